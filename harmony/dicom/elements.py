"""Walks an encoded data set without interpreting values. PS3.5 7.

Lengths, nesting and the number of elements are checked against the bytes that are really there
before anything is made of them, so a hostile data set costs no more than its size.
"""

from __future__ import annotations

import functools
import struct
from typing import NamedTuple, TypeAlias

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
    walk = _Walk(data)
    try:
        elements, _ = walk.data_set(0, len(data), syntax, depth=0)
    except struct.error:
        raise Malformed("it ends within an element") from None
    return elements


class _Walk:
    """One pass over one data set."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._left = MAX_ELEMENTS
        self._signed = False

    def data_set(
        self, offset: int, end: int, syntax: Syntax, *, depth: int, delimited: bool = False
    ) -> tuple[list[Element], int]:
        """Elements up to `end`, or up to the delimiter of an item of undefined length."""
        data = self._data
        elements: list[Element] = []
        head = struct.Struct(syntax.order + ("HH2sH" if syntax.explicit else "HHL")).unpack_from
        item_end = b"\xfe\xff\x0d\xe0" if syntax.order == "<" else b"\xff\xfe\xe0\x0d"
        while offset < end:
            if delimited and data.startswith(item_end, offset):
                return elements, offset + 8
            self._count()
            if syntax.explicit:
                group, number, code, length = head(data, offset)
                tag, start = group << 16 | number, offset + 8
                vr = _VRS.get(code)
                if vr is None:
                    vr = _unknown_vr(code)
                if vr in LONG_VRS:
                    (length,) = struct.unpack_from(syntax.order + "L", data, start)
                    start += 4
            else:
                group, number, length = head(data, offset)
                tag, start = group << 16 | number, offset + 8
                vr = vr_of(tag)
                if " " in vr:
                    vr = settled_vr(vr, signed=self._signed)
            if group == 0xFFFE:
                raise Malformed("an item or a delimiter stands where an element should")
            if vr == "SQ" or length == UNDEFINED:
                value, offset = self._sequence(start, length, end, vr, syntax, depth)
                elements.append(Element(tag, "SQ", value))
                continue
            offset = start + length
            if offset > end:
                raise Malformed("an element is longer than what is left")
            raw = data[start:offset]
            if tag == PIXEL_REPRESENTATION:
                self._signed = any(raw)
            elements.append(Element(tag, vr, raw))
        if delimited:
            raise Malformed("an item has no end")
        return elements, offset

    def _sequence(
        self, offset: int, length: int, end: int, vr: str, syntax: Syntax, depth: int
    ) -> tuple[Items, int]:
        """Items of a sequence. PS3.5 7.5."""
        if vr == "UN":
            syntax = SYNTAXES[IMPLICIT_LITTLE_ENDIAN]  # PS3.5 6.2.2, note 4
        elif vr != "SQ":
            raise Malformed(f"an element of VR {vr} has no length")
        if depth == MAX_DEPTH:
            raise Malformed(f"it is nested more than {MAX_DEPTH} deep")
        delimited = length == UNDEFINED
        if not delimited:
            if offset + length > end:
                raise Malformed("a sequence is longer than what is left")
            end = offset + length
        items: Items = []
        while offset < end:
            self._count()
            group, number, length = struct.unpack_from(syntax.order + "HHL", self._data, offset)
            tag = group << 16 | number
            offset += 8
            if tag == SEQUENCE_END and delimited:
                return items, offset
            if tag != ITEM:
                raise Malformed("a sequence holds something else than items")
            open_ended = length == UNDEFINED
            stop = end if open_ended else offset + length
            if stop > end:
                raise Malformed("an item is longer than what is left")
            item, offset = self.data_set(
                offset, stop, syntax, depth=depth + 1, delimited=open_ended
            )
            items.append(item)
        if delimited:
            raise Malformed("a sequence has no end")
        return items, offset

    def _count(self) -> None:
        self._left -= 1
        if self._left < 0:
            raise Malformed(f"it has more than {MAX_ELEMENTS} elements")


def _unknown_vr(code: bytes) -> str:
    # A VR newer than this program: the standard promises a 32-bit length. PS3.5 6.2.2.
    if code.isalpha() and code.isupper():
        return "UN"
    raise Malformed("an element has no proper VR")
