"""Walks an encoded data set without interpreting values. PS3.5 7.

Lengths, nesting and the number of elements are checked against the bytes that are really there
before anything is made of them, so a hostile data set costs no more than its size.
"""

from __future__ import annotations

import abc
import functools
import mmap
import struct
from typing import Generic, NamedTuple, TypeAlias, TypeVar

from pydicom.datadict import dictionary_VR

from harmony.dicom.uids import (
    EXPLICIT_BIG_ENDIAN,
    EXPLICIT_LITTLE_ENDIAN,
    IMPLICIT_LITTLE_ENDIAN,
)

MAX_ELEMENTS = 10_000
MAX_DEPTH = 64

# VRs whose explicit header has a 32-bit length. PS3.5 7.1.2.
LONG_VRS = frozenset(("OB", "OD", "OF", "OL", "OV", "OW", "SQ", "SV", "UC", "UN", "UR", "UT", "UV"))
_SHORT_VRS = frozenset(
    (
        *("AE", "AS", "AT", "CS", "DA", "DS", "DT", "FD", "FL", "IS", "LO"),
        *("LT", "PN", "SH", "SL", "SS", "ST", "TM", "UI", "UL", "US"),
    )
)
_VRS = {vr.encode(): vr for vr in LONG_VRS | _SHORT_VRS}

MAX_SHORT = 0xFFFE  # most bytes behind a 16-bit length, which are even in number. PS3.5 7.1
UNDEFINED = 0xFFFFFFFF  # a length that is not told, PS3.5 7.1.1
ITEM, ITEM_END, SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD  # PS3.5 7.5
PIXEL_REPRESENTATION = 0x00280103
_DELIMITERS = 0xFFFE

Data: TypeAlias = bytes | mmap.mmap
Items: TypeAlias = list[list["Element"]]


class Element(NamedTuple):
    """One element: its value as encoded, or the items of a sequence."""

    tag: int
    vr: str
    value: bytes | Items


class Malformed(ValueError):
    """The bytes are no data set, or one beyond a limit. The text quotes nothing of them."""


class Syntax(NamedTuple):
    """How elements are encoded; `order` is the prefix that `struct` takes. PS3.5 annex A."""

    explicit: bool
    order: str


SYNTAXES = {
    IMPLICIT_LITTLE_ENDIAN: Syntax(explicit=False, order="<"),
    EXPLICIT_LITTLE_ENDIAN: Syntax(explicit=True, order="<"),
    EXPLICIT_BIG_ENDIAN: Syntax(explicit=True, order=">"),
}
_IMPLICIT = SYNTAXES[IMPLICIT_LITTLE_ENDIAN]
_EXPLICIT_HEADS = {order: struct.Struct(order + "HH2sH") for order in "<>"}
_IMPLICIT_HEADS = {order: struct.Struct(order + "HHL") for order in "<>"}  # and those of items
_LENGTHS = {order: struct.Struct(order + "L") for order in "<>"}
_ITEM_ENDS = {order: struct.pack(order + "HH", _DELIMITERS, 0xE00D) for order in "<>"}


@functools.lru_cache(maxsize=8192)
def vr_of(tag: int) -> str:
    """The dictionary's VR, which may be a choice such as ``US or SS``; UN if it has none."""
    if not tag & 0xFFFF:
        return "UL"  # group length, PS3.5 7.2
    if tag >> 16 & 1:
        return "LO" if 0x10 <= tag & 0xFFFF <= 0xFF else "UN"  # private creator, PS3.5 7.8.1
    try:
        return dictionary_VR(tag)
    except KeyError:
        return "UN"


def coded_vr(code: bytes) -> str:
    """The VR of an explicit head; UN for one newer than this program.

    Raises:
        Malformed: these are not two capital letters.
    """
    return _VRS.get(code) or _unknown_vr(code)


def settled_vr(vrs: str, *, signed: bool) -> str:
    """One of several VRs that the dictionary allows. PS3.5 A.1, PS3.3 C.7.6.3.1."""
    if vrs == "US or SS":
        return "SS" if signed else "US"
    return "OW"


def parse(data: bytes, syntax: Syntax) -> list[Element]:
    """The elements of a whole data set.

    Raises:
        Malformed: what is there is no data set, or is beyond a limit.
    """
    return _Parse(data, MAX_ELEMENTS).walk([], syntax)


Item = TypeVar("Item")


class Walk(abc.ABC, Generic[Item]):
    """One pass over one data set, in which a subclass makes of each element what it wants.

    Args:
        data: the data set; of a file that is mapped into memory, only what is looked at is read.
        max_elements: in it and in all of its items, which count as well.
    """

    def __init__(self, data: Data, max_elements: int) -> None:
        self._data = data
        self._max_elements = self._left = max_elements
        self._depth = 0
        self._signed = False  # Pixel Representation in the item, or around it

    @abc.abstractmethod
    def element(self, item: Item, tag: int, vr: str, start: int, stop: int) -> None:
        """Take an element that is no sequence; its value is between `start` and `stop`."""

    @abc.abstractmethod
    def open(self, around: Item, tag: int, index: int, syntax: Syntax) -> Item:
        """Begin an item of the sequence `tag`."""

    @abc.abstractmethod
    def sequence(self, item: Item, tag: int, items: list[Item]) -> None:
        """Take a sequence, whose items are whole."""

    def encapsulated(self, item: Item, tag: int, vr: str, start: int, end: int) -> int:
        """Take a value of undefined length that is no sequence; returns where it ends.

        Raises:
            Malformed: always, unless a subclass knows what to do with it.
        """
        raise Malformed(f"an element of VR {vr} has no length")

    def walk(self, item: Item, syntax: Syntax) -> Item:
        """Walk through all of it, and return `item`.

        Raises:
            Malformed: what is there is no data set, or is beyond a limit.
        """
        try:
            self._elements(item, 0, len(self._data), syntax)
        except struct.error:
            raise Malformed("it ends within an element") from None
        return item

    def items(self, around: Item, tag: int, start: int, stop: int, syntax: Syntax) -> list[Item]:
        """The items that a value holds after all, of which the head did not tell.

        Raises:
            Malformed: it holds none, or there is a limit; the walk can go on behind it.
        """
        depth, signed = self._depth, self._signed
        try:
            items, _ = self._items(around, tag, start, stop - start, stop, syntax)
        except struct.error:
            raise Malformed("it ends within an element") from None
        finally:
            self._depth, self._signed = depth, signed
        return items

    def count(self) -> None:
        """Count an element, item or fragment.

        Raises:
            Malformed: it is one too many.
        """
        self._left -= 1
        if self._left < 0:
            raise Malformed(f"it has more than {self._max_elements} elements")

    def _elements(
        self, item: Item, offset: int, end: int, syntax: Syntax, *, delimited: bool = False
    ) -> int:
        """Elements up to `end`, or up to the delimiter of an item of undefined length."""
        data, count, element = self._data, self.count, self.element
        signed_around = self._signed
        explicit, order = syntax
        head = (_EXPLICIT_HEADS if explicit else _IMPLICIT_HEADS)[order].unpack_from
        wide = _LENGTHS[order].unpack_from
        item_end = _ITEM_ENDS[order]
        while offset < end:
            if delimited and data[offset : offset + 4] == item_end:
                self._signed = signed_around
                return offset + 8
            count()
            if explicit:
                group, number, code, length = head(data, offset)
                vr = _VRS.get(code)
                if vr is None:
                    vr = _unknown_vr(code)
                start = offset + 8
                if vr in LONG_VRS:
                    (length,) = wide(data, start)
                    start += 4
                tag = group << 16 | number
            else:
                group, number, length = head(data, offset)
                tag = group << 16 | number
                start = offset + 8
                vr = vr_of(tag)
                if " " in vr:
                    vr = settled_vr(vr, signed=self._signed)
            if group == _DELIMITERS:
                raise Malformed("an item or a delimiter stands where an element should")
            if vr == "SQ" or length == UNDEFINED:
                if vr not in ("SQ", "UN"):
                    offset = self.encapsulated(item, tag, vr, start, end)
                else:
                    inside = syntax if vr == "SQ" else _IMPLICIT  # PS3.5 6.2.2, note 4
                    items, offset = self._items(item, tag, start, length, end, inside)
                    self.sequence(item, tag, items)
                if offset > end:
                    raise Malformed("a sequence is longer than what is left")
                continue
            offset = start + length
            if offset > end:
                raise Malformed("an element is longer than what is left")
            if tag == PIXEL_REPRESENTATION:
                self._signed = any(data[start:offset])
            element(item, tag, vr, start, offset)
        if delimited:
            raise Malformed("an item has no end")
        self._signed = signed_around
        return offset

    def _items(
        self, around: Item, tag: int, offset: int, length: int, end: int, syntax: Syntax
    ) -> tuple[list[Item], int]:
        """Items of a sequence. PS3.5 7.5."""
        if self._depth == MAX_DEPTH:
            raise Malformed(f"it is nested more than {MAX_DEPTH} deep")
        delimited = length == UNDEFINED
        if not delimited:
            if offset + length > end:
                raise Malformed("a sequence is longer than what is left")
            end = offset + length
        self._depth += 1
        head = _IMPLICIT_HEADS[syntax.order].unpack_from
        items: list[Item] = []
        while offset < end:
            self.count()
            group, number, length = head(self._data, offset)
            delimiter = group << 16 | number
            offset += 8
            if delimiter == SEQUENCE_END and delimited:
                break
            if delimiter != ITEM:
                raise Malformed("a sequence holds something else than items")
            open_ended = length == UNDEFINED
            stop = end if open_ended else offset + length
            if stop > end:
                raise Malformed("an item is longer than what is left")
            item = self.open(around, tag, len(items), syntax)
            offset = self._elements(item, offset, stop, syntax, delimited=open_ended)
            if offset > stop:
                raise Malformed("an item is longer than what is left")
            items.append(item)
        else:
            if delimited:
                raise Malformed("a sequence has no end")
        self._depth -= 1
        return items, offset


class _Parse(Walk[list[Element]]):
    """Keeps everything as it is."""

    def element(self, item: list[Element], tag: int, vr: str, start: int, stop: int) -> None:
        item.append(Element(tag, vr, self._data[start:stop]))

    def open(self, around: list[Element], tag: int, index: int, syntax: Syntax) -> list[Element]:
        return []

    def sequence(self, item: list[Element], tag: int, items: Items) -> None:
        item.append(Element(tag, "SQ", items))


def _unknown_vr(code: bytes) -> str:
    # A VR newer than this program: the standard promises a 32-bit length. PS3.5 6.2.2.
    if code.isalpha() and code.isupper():
        return "UN"
    raise Malformed("an element has no proper VR")
