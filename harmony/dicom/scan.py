"""Finds elements of an encoded data set by passing over what stands before them. PS3.5 7.

A sequence whose length is told is one step, however much it holds, and no value is looked at:
of a file that is mapped into memory, little more than the heads on the way is read. So what is
wrong inside of what is passed over stays unseen; `elements.Walk` sees everything.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Generator
from typing import NamedTuple

from harmony.dicom.elements import (
    ITEM,
    ITEM_END,
    LONG_VRS,
    MAX_DEPTH,
    SEQUENCE_END,
    SYNTAXES,
    UNDEFINED,
    Data,
    Malformed,
    Syntax,
    coded_vr,
    settled_vr,
    vr_of,
)
from harmony.dicom.uids import DEFLATED, EXPLICIT_LITTLE_ENDIAN, IMPLICIT_LITTLE_ENDIAN

MAX_PASSED = 500_000  # elements, items and fragments
MAX_INFLATED_BYTES = 64 * 1024 * 1024

_IMPLICIT = SYNTAXES[IMPLICIT_LITTLE_ENDIAN]
_EXPLICIT = SYNTAXES[EXPLICIT_LITTLE_ENDIAN]
_EXPLICIT_HEADS = {order: struct.Struct(order + "HH2sH") for order in "<>"}  # PS3.5 7.1.2
_IMPLICIT_HEADS = {order: struct.Struct(order + "HHL") for order in "<>"}  # 7.1.3, 7.5
_LENGTHS = {order: struct.Struct(order + "L") for order in "<>"}
_HEAD_BYTES, _LENGTH_BYTES = 8, 4
_DELIMITERS = 0xFFFE


class Place(NamedTuple):
    """Where elements stand one after another: a data set, or an item.

    Attributes:
        stop: where it ends, or at the latest if it is `delimited`.
        delimited: a delimiter ends it. PS3.5 7.5.1.
        depth: how many sequences are around it.
    """

    start: int
    stop: int
    syntax: Syntax
    delimited: bool = False
    depth: int = 0


class Found(NamedTuple):
    """An element.

    Attributes:
        stop: where its value ends; None if its length is not told.
        limit: where the place ends that it stands in.
        syntax: of the place, and of its value.
        depth: of the place.
    """

    tag: int
    vr: str
    start: int
    stop: int | None
    limit: int
    syntax: Syntax
    depth: int


def opened(data: Data, transfer_syntax: str) -> tuple[Data, Syntax]:
    """The data set as its elements lie in it, and how they are encoded.

    It is the one given, unless that is deflated.

    Raises:
        Malformed: it cannot be inflated.
    """
    if transfer_syntax in DEFLATED:
        data = inflated(data)
    # What is not listed has encapsulated pixel data, in explicit VR little endian. PS3.5 A.4.
    syntax = SYNTAXES.get(transfer_syntax, _EXPLICIT)
    if syntax == _EXPLICIT and not data[4:6].isalpha():
        syntax = _IMPLICIT  # some archives keep files whose meta information is wrong
    return data, syntax


def inflated(data: Data) -> bytes:
    """What a deflated data set holds. PS3.5 A.5.

    Raises:
        Malformed: it cannot be inflated, has no end, or becomes longer than 64 MiB.
    """
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        plain = inflater.decompress(data, MAX_INFLATED_BYTES)
    except zlib.error:
        raise Malformed("it cannot be inflated") from None
    if inflater.unconsumed_tail:
        raise Malformed(f"it has more than {MAX_INFLATED_BYTES} bytes when inflated")
    if not inflater.eof:
        raise Malformed("its deflated stream has no end")
    return plain


class Scan:
    """Passes over one data set, as often as is asked; all passes together have one limit.

    Each generator returns where what it passed over ends, and raises `Malformed` where it meets
    what is no data set or is beyond a limit.

    Args:
        data: as `opened` gives it.
        syntax: likewise.

    Attributes:
        top: the data set itself.
    """

    def __init__(self, data: Data, syntax: Syntax) -> None:
        self.top = Place(0, len(data), syntax)
        self._data = data
        self._left = MAX_PASSED

    def elements(self, place: Place) -> Generator[Found, None, int]:
        """Elements in the order in which they stand."""
        offset = place.start
        while offset < place.stop:
            found = self._element(offset, place)
            if found is None:
                return offset + _HEAD_BYTES
            yield found
            offset = self._after(found)
        if place.delimited:
            raise Malformed("an item has no end")
        return offset

    def items(self, sequence: Found) -> Generator[Place, None, int]:
        """Items of a sequence, which may hide behind VR UN. PS3.5 7.5, 6.2.2."""
        if sequence.depth == MAX_DEPTH:
            raise Malformed(f"it is nested more than {MAX_DEPTH} deep")
        syntax = _IMPLICIT if sequence.vr == "UN" else sequence.syntax  # PS3.5 6.2.2, note 4
        offset = sequence.start
        limit = sequence.limit if sequence.stop is None else sequence.stop
        while offset < limit:
            tag, length = self._mark(offset, limit, syntax)
            offset += _HEAD_BYTES
            if tag == SEQUENCE_END and sequence.stop is None:
                return offset
            if tag != ITEM:
                raise Malformed("a sequence holds something else than items")
            delimited = length == UNDEFINED
            stop = limit if delimited else offset + length
            if stop > limit:
                raise Malformed("an item is longer than what is left")
            item = Place(offset, stop, syntax, delimited, sequence.depth + 1)
            yield item
            offset = _end_of(self.elements(item)) if delimited else stop
        if sequence.stop is None:
            raise Malformed("a sequence has no end")
        return offset

    def fragments(self, pixels: Found) -> Generator[tuple[int, int], None, int]:
        """Where the fragments of encapsulated data lie, the offset table first. PS3.5 A.4."""
        offset = pixels.start
        while offset < pixels.limit:
            tag, length = self._mark(offset, pixels.limit, pixels.syntax)
            offset += _HEAD_BYTES
            if tag == SEQUENCE_END:
                return offset
            if tag != ITEM or length == UNDEFINED:
                raise Malformed("encapsulated data holds something else than fragments")
            if offset + length > pixels.limit:
                raise Malformed("a fragment is longer than what is left")
            yield offset, offset + length
            offset += length
        raise Malformed("encapsulated data has no end")

    def _element(self, offset: int, place: Place) -> Found | None:
        """The element whose head is there; None if it is the end of an item."""
        self._count()
        explicit, order = place.syntax
        start = offset + _HEAD_BYTES
        if start > place.stop:
            raise Malformed("it ends within an element")
        group, number, length = _IMPLICIT_HEADS[order].unpack_from(self._data, offset)
        tag = group << 16 | number
        if group == _DELIMITERS:
            if tag == ITEM_END and place.delimited:
                return None
            raise Malformed("an item or a delimiter stands where an element should")
        if explicit:
            _, _, code, length = _EXPLICIT_HEADS[order].unpack_from(self._data, offset)
            vr = coded_vr(code)
            if vr in LONG_VRS:
                if start + _LENGTH_BYTES > place.stop:
                    raise Malformed("it ends within an element")
                (length,) = _LENGTHS[order].unpack_from(self._data, start)
                start += _LENGTH_BYTES
        else:
            vr = vr_of(tag)
            if " " in vr:
                vr = settled_vr(vr, signed=False)
        stop = None if length == UNDEFINED else start + length
        if stop is not None and stop > place.stop:
            raise Malformed("an element is longer than what is left")
        return Found(tag, vr, start, stop, place.stop, place.syntax, place.depth)

    def _after(self, found: Found) -> int:
        """Where what stands behind an element begins."""
        if found.stop is not None:
            return found.stop
        if found.vr in ("SQ", "UN"):
            return _end_of(self.items(found))
        return _end_of(self.fragments(found))

    def _mark(self, offset: int, limit: int, syntax: Syntax) -> tuple[int, int]:
        """Tag and length of an item or a delimiter."""
        self._count()
        if offset + _HEAD_BYTES > limit:
            raise Malformed("it ends within an item")
        group, number, length = _IMPLICIT_HEADS[syntax.order].unpack_from(self._data, offset)
        return group << 16 | number, length

    def _count(self) -> None:
        self._left -= 1
        if self._left < 0:
            raise Malformed(f"it has more than {MAX_PASSED} elements")


def _end_of(passing: Generator[Found | Place | tuple[int, int], None, int]) -> int:
    while True:
        try:
            next(passing)
        except StopIteration as exc:
            end: int = exc.value
            return end
