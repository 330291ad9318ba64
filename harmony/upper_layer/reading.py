"""Bytes of a connection cut into PDUs, under limits. PS3.8 9.3.1.

What a header claims is judged when the header is there: nothing of a PDU that is longer than
allowed is kept.
"""

from __future__ import annotations

from dataclasses import dataclass

from harmony.upper_layer.pdus import AbortReason, PduError, PduType

HEADER_BYTES = 6  # type, reserved, length
MAX_ASSOCIATE_BYTES = 256 * 1024  # 128 contexts with every transfer syntax stay below 64 KiB
MAX_CONTROL_BYTES = 256  # A-ASSOCIATE-RJ, A-RELEASE and A-ABORT are 4 bytes long (PS3.8 9.3)


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Most bytes behind the header of a PDU that is received, by its type.

    Attributes:
        data: of a P-DATA-TF; the maximum length that we announce (PS3.8 D.1).
        associate: of an A-ASSOCIATE-RQ or -AC.
        control: of all others.
    """

    data: int = 128 * 1024
    associate: int = MAX_ASSOCIATE_BYTES
    control: int = MAX_CONTROL_BYTES

    def of(self, kind: int) -> int:
        """The limit for a type of PDU.

        Raises:
            PduError: there is no such type.
        """
        if kind == PduType.DATA_TF:
            return self.data
        if kind in (PduType.ASSOCIATE_RQ, PduType.ASSOCIATE_AC):
            return self.associate
        if PduType.ASSOCIATE_RJ <= kind <= PduType.ABORT:
            return self.control
        raise PduError("there is no such type of PDU", AbortReason.UNRECOGNISED_PDU)


class PduReader:
    """Takes bytes as they come, gives PDUs whole.

    What was fed is joined at most once for a PDU, however small the pieces are.
    """

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._pieces: list[bytes | memoryview] = []
        self._held = 0
        self._wanted = HEADER_BYTES

    @property
    def is_within_pdu(self) -> bool:
        """True if a PDU has begun and is not whole yet."""
        return self._held > 0

    def feed(self, data: bytes) -> None:
        """Take bytes in; they must not change afterwards."""
        self._pieces.append(data)
        self._held += len(data)

    def next(self) -> tuple[int, memoryview] | None:
        """Type and body of the next PDU; None if more bytes are needed.

        The body is a view of what was fed, which it keeps alive.

        Raises:
            PduError: its type is unknown, or it is longer than allowed. What follows cannot be
                told apart any more.
        """
        if self._held < self._wanted:
            return None
        whole = self._whole()
        if self._wanted == HEADER_BYTES:
            length = int.from_bytes(whole[2:HEADER_BYTES], "big")
            limit = self._limits.of(whole[0])
            if length > limit:
                raise PduError(
                    f"a PDU of {length} bytes, at most {limit}", AbortReason.INVALID_PARAMETER
                )
            self._wanted += length
            if self._held < self._wanted:
                return None
        end, self._wanted = self._wanted, HEADER_BYTES
        self._held -= end
        self._pieces = [whole[end:]] if self._held else []
        return whole[0], whole[HEADER_BYTES:end]

    def _whole(self) -> memoryview:
        """All that is held, in one piece."""
        first = self._pieces[0]
        if len(self._pieces) == 1 and isinstance(first, memoryview):
            return first
        joined = first if len(self._pieces) == 1 else b"".join(self._pieces)
        view = memoryview(joined)
        self._pieces = [view]
        return view
