"""Encoded identifiers from one uncompressed transfer syntax into another. PS3.5 annex A.

Values stay as they are but for their byte order; sequences get lengths, and group lengths,
which would no longer be true, are left out.
"""

from __future__ import annotations

import array
import struct
from dataclasses import dataclass

from harmony.dicom.elements import (
    ITEM,
    LONG_VRS,
    MAX_DEPTH,
    MAX_ELEMENTS,
    MAX_SHORT,
    SEQUENCE_END,
    SYNTAXES,
    UNDEFINED,
    Element,
    Malformed,
    Syntax,
    Walk,
    vr_of,
)
from harmony.dicom.uids import IMPLICIT_LITTLE_ENDIAN

# How wide the words are whose bytes a big endian encoding turns around. PS3.5 7.3.
_WIDTHS = {
    **dict.fromkeys(("AT", "OW", "SS", "US"), 2),
    **dict.fromkeys(("FL", "OF", "OL", "SL", "UL"), 4),
    **dict.fromkeys(("FD", "OD", "OV", "SV", "UV"), 8),
}
_ARRAY_CODES = {2: "H", 4: "I", 8: "Q"}
_IMPLICIT = SYNTAXES[IMPLICIT_LITTLE_ENDIAN]
_SHORT_HEADS = {order: struct.Struct(order + "HH2sH") for order in "<>"}  # PS3.5 7.1.2
_LONG_HEADS = {order: struct.Struct(order + "HH2sxxL") for order in "<>"}
_IMPLICIT_HEADS = {order: struct.Struct(order + "HHL") for order in "<>"}  # and those of items


def transcode(data: bytes, from_syntax: str, to_syntax: str) -> bytes:
    """The same data set in another transfer syntax; the very bytes if it is the same.

    Raises:
        Malformed: it is no data set, is beyond a limit of `elements`, or cannot be said in
            `to_syntax`; or this is no transfer syntax of identifiers.
    """
    if from_syntax == to_syntax:
        return data
    source, target = SYNTAXES.get(from_syntax), SYNTAXES.get(to_syntax)
    if source is None or target is None:
        raise Malformed("it comes or is wanted in a transfer syntax that is not for identifiers")
    whole = _Item([], turn=source.order != target.order)
    return b"".join(_Transcoding(data, target).walk(whole, source).written)


def encode(elements: list[Element], syntax: Syntax) -> bytes:
    """A data set of `elements`, whose values must be in the byte order of `syntax`.

    Raises:
        Malformed: `syntax` cannot say it, or it is nested deeper than `elements` reads.
    """
    return _data_set(elements, syntax, depth=0)


@dataclass(slots=True)
class _Item:
    """A data set or item on its way; `turn`: its words are in the other byte order."""

    written: list[bytes]
    turn: bool


class _Transcoding(Walk[_Item]):
    """Writes each element as it passes, without group lengths (PS3.5 7.2)."""

    def __init__(self, data: bytes, target: Syntax) -> None:
        super().__init__(data, MAX_ELEMENTS)
        self._target = target

    def element(self, item: _Item, tag: int, vr: str, start: int, stop: int) -> None:
        if not tag & 0xFFFF:
            return
        if vr == "UN" and not self._target.explicit and vr_of(tag) == "SQ":
            # A reader will find that it is a sequence, so it must be one. PS3.5 6.2.2.
            self.sequence(item, tag, self.items(item, tag, start, stop, _IMPLICIT))
            return
        raw = self._data[start:stop]
        item.written.append(_plain(tag, vr, _turned(vr, raw) if item.turn else raw, self._target))

    def open(self, around: _Item, tag: int, index: int, syntax: Syntax) -> _Item:
        return _Item([], turn=syntax.order != self._target.order)

    def sequence(self, item: _Item, tag: int, items: list[_Item]) -> None:
        if tag & 0xFFFF:
            whole = [b"".join(each.written) for each in items]
            item.written.append(_sequence(tag, whole, self._target))


def _turned(vr: str, raw: bytes) -> bytes:
    width = _WIDTHS.get(vr)
    if width is None:
        return raw
    if len(raw) % width:
        raise Malformed(f"the length of an element does not fit its VR {vr}")
    words = array.array(_ARRAY_CODES[width], raw)
    words.byteswap()
    return words.tobytes()


def _data_set(elements: list[Element], syntax: Syntax, depth: int) -> bytes:
    written: list[bytes] = []
    for tag, vr, value in elements:
        if isinstance(value, bytes):
            written.append(_plain(tag, vr, value, syntax))
        elif depth == MAX_DEPTH:
            raise Malformed(f"it is nested more than {MAX_DEPTH} deep")
        else:
            items = [_data_set(item, syntax, depth + 1) for item in value]
            written.append(_sequence(tag, items, syntax))
    return b"".join(written)


def _plain(tag: int, vr: str, value: bytes, syntax: Syntax) -> bytes:
    """An element that is no sequence."""
    order = syntax.order
    if not syntax.explicit:
        # The VR is not written: a reader must find the same in its dictionary.
        if vr_of(tag) == "SQ":
            raise Malformed("an attribute that is a sequence has another VR")
        return _head(tag, len(value), syntax) + value
    group, number = tag >> 16, tag & 0xFFFF
    if vr not in LONG_VRS:
        if len(value) <= MAX_SHORT:
            return _SHORT_HEADS[order].pack(group, number, vr.encode(), len(value)) + value
        if order == ">":
            value = _turned(vr, value)
        vr = "UN"  # which has room for it, and is little endian. PS3.5 6.2.2
    return _LONG_HEADS[order].pack(group, number, vr.encode(), len(value)) + value


def _sequence(tag: int, items: list[bytes], syntax: Syntax) -> bytes:
    """A sequence of items, each of which is encoded already."""
    framed = b"".join(_head(ITEM, len(item), syntax) + item for item in items)
    if syntax.explicit:
        head = _LONG_HEADS[syntax.order]
        return head.pack(tag >> 16, tag & 0xFFFF, b"SQ", len(framed)) + framed
    known = vr_of(tag)
    if known == "SQ":
        return _head(tag, len(framed), syntax) + framed
    if known != "UN":
        raise Malformed("an attribute that is no sequence holds items")
    # Only a length that is not told shows that this is a sequence. PS3.5 6.2.2, note 4.
    end = _head(SEQUENCE_END, 0, syntax)
    return _head(tag, UNDEFINED, syntax) + framed + end


def _head(tag: int, length: int, syntax: Syntax) -> bytes:
    """Head of an element in implicit VR, and of an item in any. PS3.5 7.1.3 and 7.5."""
    return _IMPLICIT_HEADS[syntax.order].pack(tag >> 16, tag & 0xFFFF, length)
