"""A whole data set from one uncompressed little endian syntax into the other, as it passes.

Values stay as they are; heads are written anew. What lengths would change is delimited instead,
so nothing waits for its end, and a value of any size passes in the pieces that it came in.
"""

from __future__ import annotations

import struct
import sys
from collections.abc import AsyncIterable, AsyncIterator
from dataclasses import dataclass

from harmony.dicom.elements import (
    ITEM,
    ITEM_END,
    LONG_VRS,
    MAX_DEPTH,
    MAX_SHORT,
    PIXEL_REPRESENTATION,
    SEQUENCE_END,
    UNDEFINED,
    Malformed,
    coded_vr,
    settled_vr,
    vr_of,
)
from harmony.dicom.uids import EXPLICIT_LITTLE_ENDIAN, IMPLICIT_LITTLE_ENDIAN
from harmony.envelope import Instance
from harmony.errors import RequestError

_ALTERNATIVES = {
    EXPLICIT_LITTLE_ENDIAN: IMPLICIT_LITTLE_ENDIAN,
    IMPLICIT_LITTLE_ENDIAN: EXPLICIT_LITTLE_ENDIAN,
}
_IMPLICIT_HEAD = struct.Struct("<HHL")  # and that of items and delimiters. PS3.5 7.1.3 and 7.5
_SHORT_HEAD = struct.Struct("<HH2sH")  # PS3.5 7.1.2
_LONG_HEAD = struct.Struct("<HH2sxxL")
_LENGTH = struct.Struct("<L")
_DELIMITERS = 0xFFFE
_NOWHERE = sys.maxsize  # where the data set itself ends, which nothing tells
_SMALL_BYTES = 4096  # pieces below are joined
_FED_BYTES = 64 * 1024  # so much is re-encoded at a time, for the sake of other tasks
_GIVEN_BYTES = 16 * 1024  # fewer come only at the end


def alternative(transfer_syntax: str) -> str | None:
    """The syntax that a data set can be re-encoded into on its way; None if there is none.

    Every peer takes implicit VR little endian, at least where its data is not compressed
    (PS3.5 10.1), and most prefer explicit.
    """
    return _ALTERNATIVES.get(transfer_syntax)


def suitable(transfer_syntax: str) -> tuple[str, ...]:
    """The transfer syntaxes that a data set in this one can be sent in, best first."""
    other = alternative(transfer_syntax)
    return (transfer_syntax,) if other is None else (transfer_syntax, other)


def data_in(instance: Instance, transfer_syntax: str) -> AsyncIterable[bytes]:
    """The instance's data set in a syntax that is suitable for it: itself, if it is its own."""
    if transfer_syntax == instance.transfer_syntax:
        return instance.data
    return Reencoded(instance.data, instance.transfer_syntax, transfer_syntax)


@dataclass(slots=True, kw_only=True)
class _Frame:
    """What is open: the data set, a sequence, or an item.

    Attributes:
        of_items: it is a sequence.
        explicit: how the elements in it are read.
        verbatim: it is written as it is read: the items of an element of VR UN.
        end: where it ends, or at the latest if it is `delimited`.
        delimited: a delimiter ends it.
        closing: what is written at its end.
        signed: Pixel Representation in it, or around it, says so.
    """

    of_items: bool
    explicit: bool
    verbatim: bool
    end: int
    delimited: bool
    closing: bytes
    signed: bool


class Reencoder:
    """Re-encodes one data set between explicit and implicit VR little endian. PS3.5 A.1, A.2.

    Keeps no more than the head of one element. Group lengths are left out. Into explicit VR:
    an element that the dictionary does not know becomes UN, or SQ if it holds items. Into
    implicit VR: a reader must find the VR in its dictionary, so one that is not there is lost.

    After `Malformed` it is of no more use; what it gave before is the beginning of a data set.
    """

    def __init__(self, from_syntax: str, to_syntax: str) -> None:
        if alternative(from_syntax) != to_syntax:
            raise ValueError(f"nothing re-encodes {from_syntax} into {to_syntax} on its way")
        self._to_explicit = to_syntax == EXPLICIT_LITTLE_ENDIAN
        self._frames = [
            _Frame(
                of_items=False,
                explicit=not self._to_explicit,
                verbatim=False,
                end=_NOWHERE,
                delimited=False,
                closing=b"",
                signed=False,
            )
        ]
        self._position = 0  # of what is fed next, less `_head`
        self._head = b""  # of an element, not whole yet
        self._left = 0  # of a value on its way
        self._dropping = False  # that value
        self._small = bytearray()
        self._pieces: list[bytes] = []

    def feed(self, chunk: bytes) -> list[bytes]:
        """Take the next bytes; gives what they became, which may be nothing yet.

        Raises:
            Malformed: this is no data set, is nested too deep, or cannot be said in the other
                syntax.
        """
        data = self._head + chunk if self._head else chunk
        offset = self._pass_on(data, 0)
        while (after := self._step(data, offset)) is not None:
            offset = self._pass_on(data, after)
        self._head = data[offset:]
        self._position += offset
        return self._given()

    def close(self) -> list[bytes]:
        """Say that nothing follows.

        Raises:
            Malformed: the data set is not whole.
        """
        if self._left or self._head:
            raise Malformed("it ends within an element")
        if len(self._frames) > 1:
            raise Malformed("it ends within a sequence")
        return self._given()

    def _given(self) -> list[bytes]:
        self._join()
        pieces, self._pieces = self._pieces, []
        return pieces

    def _write(self, piece: bytes) -> None:
        if len(piece) < _SMALL_BYTES:
            self._small += piece
        else:
            self._join()
            self._pieces.append(piece)

    def _join(self) -> None:
        if self._small:
            self._pieces.append(bytes(self._small))
            self._small.clear()

    def _pass_on(self, data: bytes, offset: int) -> int:
        """Write what is there of the value under way; where it ends."""
        if not self._left:
            return offset
        piece = data[offset : offset + self._left]
        self._left -= len(piece)
        if not self._dropping:
            self._write(piece)
        return offset + len(piece)

    def _step(self, data: bytes, offset: int) -> int | None:
        """Pass one head, or the end of a frame. None: more bytes are needed."""
        if self._left:
            return None
        frame = self._frames[-1]
        room = frame.end - self._position - offset
        if not room:
            if frame.delimited:
                raise Malformed("a sequence or an item has no end")
            self._leave(frame)
            return offset
        if room < _IMPLICIT_HEAD.size:
            raise Malformed("an element is longer than what is left")
        if len(data) < offset + _IMPLICIT_HEAD.size:
            return None
        group, number, length = _IMPLICIT_HEAD.unpack_from(data, offset)
        start = offset + _IMPLICIT_HEAD.size
        if group == _DELIMITERS:
            self._delimiter(frame, group << 16 | number, length, self._position + start)
            return start
        if frame.of_items:
            raise Malformed("a sequence holds something else than items")
        tag = group << 16 | number
        if frame.explicit:
            vr = coded_vr(data[offset + 4 : offset + 6])
            if vr in LONG_VRS:
                if len(data) < offset + _LONG_HEAD.size:
                    return None
                (length,) = _LENGTH.unpack_from(data, start)
                start = offset + _LONG_HEAD.size
            else:
                length >>= 16
        else:
            vr = vr_of(tag)
            if " " in vr:
                vr = settled_vr(vr, signed=frame.signed)
        end = self._position + start + (0 if length == UNDEFINED else length)
        if end > frame.end:
            raise Malformed("an element is longer than what is left")
        if (
            vr == "SQ"
            or length == UNDEFINED
            or (vr == "UN" and frame.explicit and vr_of(tag) == "SQ")
        ):
            self._enter(frame, tag, vr, length, end)
            return start
        if tag == PIXEL_REPRESENTATION and length == 2:
            if len(data) < start + length:
                return None
            frame.signed = any(data[start : start + length])
        self._left = length
        self._dropping = not number and not frame.verbatim  # group length, PS3.5 7.2
        if not self._dropping:
            self._write(self._value_head(frame, tag, vr, length))
        return start

    def _value_head(self, frame: _Frame, tag: int, vr: str, length: int) -> bytes:
        group, number = tag >> 16, tag & 0xFFFF
        if not self._to_explicit:
            if frame.explicit and length and vr_of(tag) == "SQ":
                raise Malformed("an attribute that is a sequence has another VR")
            return _IMPLICIT_HEAD.pack(group, number, length)
        if vr in LONG_VRS:
            return _LONG_HEAD.pack(group, number, vr.encode(), length)
        if length <= MAX_SHORT:
            return _SHORT_HEAD.pack(group, number, vr.encode(), length)
        return _LONG_HEAD.pack(group, number, b"UN", length)  # has room for it. PS3.5 6.2.2

    def _enter(self, frame: _Frame, tag: int, vr: str, length: int, end: int) -> None:
        """Begin a sequence. PS3.5 7.5."""
        known = vr_of(tag)
        if vr not in ("SQ", "UN"):
            # Encapsulated pixel data too, which has no place in these syntaxes. PS3.5 A.4
            raise Malformed(f"an element of VR {vr} has no length")
        if not self._to_explicit and known not in ("SQ", "UN"):
            raise Malformed("an attribute that is no sequence holds items")
        if len(self._frames) > 2 * MAX_DEPTH:
            raise Malformed(f"it is nested more than {MAX_DEPTH} deep")
        hidden = frame.explicit and vr == "UN"  # it is implicit inside. PS3.5 6.2.2, note 4
        verbatim = frame.verbatim or hidden
        told = length
        # Only a length that is not told shows that an attribute nobody knows is a sequence.
        if not verbatim and (length or known != "SQ"):
            told = UNDEFINED
        group, number = tag >> 16, tag & 0xFFFF
        if self._to_explicit:
            self._write(_LONG_HEAD.pack(group, number, b"SQ", told))
        else:
            self._write(_IMPLICIT_HEAD.pack(group, number, told))
        self._frames.append(
            _Frame(
                of_items=True,
                explicit=frame.explicit and not hidden,
                verbatim=verbatim,
                end=frame.end if length == UNDEFINED else end,
                delimited=length == UNDEFINED,
                closing=_item_head(SEQUENCE_END, 0) if told == UNDEFINED else b"",
                signed=frame.signed,
            )
        )

    def _delimiter(self, frame: _Frame, tag: int, length: int, start: int) -> None:
        """Begin an item, or end something of undefined length. PS3.5 7.5."""
        if tag == ITEM and frame.of_items:
            if length != UNDEFINED and start + length > frame.end:
                raise Malformed("an item is longer than what is left")
            told = length if frame.verbatim or not length else UNDEFINED
            self._write(_item_head(ITEM, told))
            self._frames.append(
                _Frame(
                    of_items=False,
                    explicit=frame.explicit,
                    verbatim=frame.verbatim,
                    end=frame.end if length == UNDEFINED else start + length,
                    delimited=length == UNDEFINED,
                    closing=_item_head(ITEM_END, 0) if told == UNDEFINED else b"",
                    signed=frame.signed,
                )
            )
        elif frame.delimited and tag == (SEQUENCE_END if frame.of_items else ITEM_END):
            self._leave(frame)
        else:
            raise Malformed("an item or a delimiter stands where an element should")

    def _leave(self, frame: _Frame) -> None:
        self._frames.pop()
        self._write(frame.closing)


def _item_head(tag: int, length: int) -> bytes:
    return _IMPLICIT_HEAD.pack(tag >> 16, tag & 0xFFFF, length)


class Reencoded:
    """Chunks of a data set in the other syntax; each reader begins anew if `data` lets it.

    Raises, while read:
        RequestError: the data set is damaged, or cannot be said in `to_syntax`.
        Exception: whatever reading `data` raises.
    """

    def __init__(self, data: AsyncIterable[bytes], from_syntax: str, to_syntax: str) -> None:
        self._data = data
        self._syntaxes = (from_syntax, to_syntax)

    def __aiter__(self) -> AsyncIterator[bytes]:
        return _Reading(aiter(self._data), Reencoder(*self._syntaxes))


class _Reading:
    """One reader's pass."""

    def __init__(self, source: AsyncIterator[bytes], reencoder: Reencoder) -> None:
        self._source = source
        self._reencoder = reencoder
        self._chunk = b""
        self._fed = 0  # of the chunk
        self._ended = False

    def __aiter__(self) -> _Reading:
        return self

    async def __anext__(self) -> bytes:
        pieces: list[bytes] = []
        size = 0
        while size < _GIVEN_BYTES and not self._ended:
            if self._fed == len(self._chunk):
                await self._read()
            given = self._reencode()
            pieces += given
            size += sum(map(len, given))
        if not pieces:
            raise StopAsyncIteration
        return b"".join(pieces)

    async def _read(self) -> None:
        self._fed = 0
        try:
            self._chunk = await anext(self._source)
        except StopAsyncIteration:
            self._chunk = b""
            self._ended = True

    def _reencode(self) -> list[bytes]:
        part = self._chunk[self._fed : self._fed + _FED_BYTES]
        self._fed += len(part)
        try:
            return self._reencoder.close() if self._ended else self._reencoder.feed(part)
        except Malformed as exc:
            raise RequestError(
                f"the data set cannot be sent in another transfer syntax: {exc}",
                code="unreadable-instance",
                hint="send a whole and proper data set, or let the peer accept the syntax it has",
            ) from exc
