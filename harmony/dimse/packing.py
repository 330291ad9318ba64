"""Outgoing messages cut into presentation data values. PS3.8 9.3.5.1 and annex E."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeAlias

Values: TypeAlias = list[tuple[int, bytes]]

VALUE_HEADER_BYTES = 6  # item length 4, context ID 1, message control header 1
MIN_PDU_BYTES = VALUE_HEADER_BYTES + 2
_SLICE_BYTES = 256 * 1024
_COMMAND, _LAST = 1, 2  # message control header, PS3.8 E.2


class Packer:
    """Fills P-DATA with the fragments of one message.

    The command set and the first fragment of the data set share a PDU, so that a peer's
    delayed acknowledgement of the one cannot hold up the other. The last piece of the data set
    is held back until `end_data`, because only then it is known to be the last.

    Args:
        limit: the peer's maximum length, which counts values with their headers (PS3.8 D.1).
    """

    def __init__(self, context_id: int, limit: int) -> None:
        self._context_id = context_id
        self._limit = limit
        self._values: Values = []
        self._used = 0
        self._held = bytearray()

    def command(self, data: bytes) -> Iterator[Values]:
        """Add the command set; yields what is full."""
        start = 0
        while True:
            piece = data[start : start + self._room()]
            start += len(piece)
            last = start >= len(data)
            self._add(piece, _COMMAND | (_LAST if last else 0))
            if last:
                return
            yield self.take()

    def data(self, chunk: bytes) -> Iterator[Values]:
        """Add bytes of the data set; yields what is full."""
        view = memoryview(chunk)
        for start in range(0, len(view), _SLICE_BYTES):
            self._held += view[start : start + _SLICE_BYTES]
            while self._values and len(self._held) > self._room():
                if self._room() > 0:
                    self._add_held(self._room())
                yield self.take()
            while len(self._held) > self._room():
                self._add_held(self._room())
                yield self.take()

    def end_data(self) -> Iterator[Values]:
        """Add what is held back as the last fragment; yields what is full."""
        if self._values and self._room() < len(self._held):
            yield self.take()
        self._add(bytes(self._held), _LAST)
        self._held.clear()

    def take(self) -> Values:
        """What has been filled so far, for one P-DATA-TF."""
        values, self._values, self._used = self._values, [], 0
        return values

    def _room(self) -> int:
        # Even, as every fragment has to be (PS3.8 annex E.1); negative if there is none.
        return (self._limit - self._used - VALUE_HEADER_BYTES) & ~1

    def _add_held(self, size: int) -> None:
        self._add(bytes(self._held[:size]), 0)
        del self._held[:size]

    def _add(self, piece: bytes, header: int) -> None:
        self._values.append((self._context_id, bytes((header,)) + piece))
        self._used += len(piece) + VALUE_HEADER_BYTES
