"""The beginning of a data set: what the index keeps of it, and no byte more.

Values that nobody asks for are passed over in the file, so an object costs no memory however
large it is, and everything behind the last attribute of the index is never looked at.
"""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Mapping
from typing import BinaryIO

from pydicom.valuerep import EXPLICIT_VR_LENGTH_16

from harmony.archive.attributes import ATTRIBUTES, LAST_TAG
from harmony.archive.values import told
from harmony.dicom.charsets import UNDECLARED, decoder_for
from harmony.dicom.elements import MAX_DEPTH, SYNTAXES, Malformed, Syntax
from harmony.dicom.uids import DEFLATED, EXPLICIT_LITTLE_ENDIAN, IMPLICIT_LITTLE_ENDIAN

MAX_VALUE_BYTES = 65536
MAX_INFLATED_BYTES = 8 * 1024 * 1024
# More than a parsed data set may have: these are counted and passed over, not kept, and a
# presentation state with a few thousand references in sequences is nothing unusual.
MAX_ELEMENTS = 200_000

_CHARACTER_SET = 0x00080005
_UNDEFINED = 0xFFFFFFFF
_ITEM, _ITEM_END, _SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD
_DELIMITERS = 0xFFFE
_SHORT_VRS = frozenset(vr.value.encode() for vr in EXPLICIT_VR_LENGTH_16)


def read_head(file: BinaryIO, start: int, size: int, transfer_syntax: str) -> Mapping[int, str]:
    """The values of the index's attributes that the data set has, by tag.

    Args:
        file: can be read and sought; where it stands afterwards is not said.
        start: where the data set begins in it.
        size: of the data set.
        transfer_syntax: all that are not native ones are Explicit VR Little Endian, PS3.5 A.4.

    Raises:
        Malformed: there is no data set, or one beyond a limit.
    """
    if transfer_syntax in DEFLATED:
        data = _inflated(file, start, size)
        file, start, size = io.BytesIO(data), 0, len(data)
    syntax = SYNTAXES.get(transfer_syntax, SYNTAXES[EXPLICIT_LITTLE_ENDIAN])
    file.seek(start)
    walk = _Walk(file, start, start + size)
    try:
        raw = walk.values(syntax)
    except struct.error:
        raise Malformed("it ends within an element") from None
    decoder = decoder_for(raw[_CHARACTER_SET]) if _CHARACTER_SET in raw else UNDECLARED
    return {
        tag: text
        for tag, value in raw.items()
        if tag in ATTRIBUTES and (text := told(ATTRIBUTES[tag], value, decoder, syntax.order))
    }


def _inflated(file: BinaryIO, start: int, size: int) -> bytes:
    """The first bytes of a deflated data set. PS3.5 A.5."""
    file.seek(start)
    try:
        return zlib.decompressobj(-zlib.MAX_WBITS).decompress(
            file.read(min(size, MAX_INFLATED_BYTES)), MAX_INFLATED_BYTES
        )
    except zlib.error:
        raise Malformed("it is not deflated as its transfer syntax says") from None


class _Walk:
    """One pass over the elements at the top of one data set."""

    def __init__(self, file: BinaryIO, at: int, end: int) -> None:
        self._file = file
        self._at = at
        self._end = end
        self._left = MAX_ELEMENTS

    def values(self, syntax: Syntax) -> dict[int, bytes]:
        found: dict[int, bytes] = {}
        while self._at < self._end:
            tag, vr, length = self._element(syntax)
            if tag >> 16 == _DELIMITERS:
                raise Malformed("an item or a delimiter stands where an element should")
            if tag > LAST_TAG:
                break
            if length == _UNDEFINED:
                self._pass_sequence(_within(vr, syntax), depth=1)
            elif (tag in ATTRIBUTES or tag == _CHARACTER_SET) and length <= MAX_VALUE_BYTES:
                found[tag] = self._read(length)
            else:
                self._pass(length)
        return found

    def _pass_sequence(self, syntax: Syntax, depth: int) -> None:
        """Items of a sequence of undefined length, and its delimiter. PS3.5 7.5."""
        if depth > MAX_DEPTH:
            raise Malformed(f"it is nested more than {MAX_DEPTH} deep")
        while True:
            self._count()
            group, number, length = struct.unpack(syntax.order + "HHL", self._read(8))
            tag = group << 16 | number
            if tag == _SEQUENCE_END:
                return
            if tag != _ITEM:
                raise Malformed("a sequence holds something else than items")
            if length == _UNDEFINED:
                self._pass_item(syntax, depth)
            else:
                self._pass(length)

    def _pass_item(self, syntax: Syntax, depth: int) -> None:
        while True:
            tag, vr, length = self._element(syntax)
            if tag == _ITEM_END:
                return
            if tag >> 16 == _DELIMITERS:
                raise Malformed("an item or a delimiter stands where an element should")
            if length == _UNDEFINED:
                self._pass_sequence(_within(vr, syntax), depth + 1)
            else:
                self._pass(length)

    def _element(self, syntax: Syntax) -> tuple[int, bytes, int]:
        """Tag, VR and length; no VR if it is implicit. PS3.5 7.1.2 and 7.1.3."""
        self._count()
        head = self._read(8)
        group, number, length = struct.unpack(syntax.order + "HHL", head)
        tag = group << 16 | number
        if not syntax.explicit or group == _DELIMITERS:
            return tag, b"", length
        vr = head[4:6]
        if vr in _SHORT_VRS:
            (length,) = struct.unpack(syntax.order + "H", head[6:])
        elif vr.isalpha() and vr.isupper():  # one newer than this program too, PS3.5 6.2.2
            (length,) = struct.unpack(syntax.order + "L", self._read(4))
        else:
            raise Malformed("an element has no proper VR")
        return tag, vr, length

    def _read(self, length: int) -> bytes:
        self._move(length)
        return self._file.read(length)

    def _pass(self, length: int) -> None:
        self._move(length)
        self._file.seek(length, io.SEEK_CUR)

    def _move(self, length: int) -> None:
        self._at += length
        if self._at > self._end:
            raise Malformed("an element is longer than what is left")

    def _count(self) -> None:
        self._left -= 1
        if self._left < 0:
            raise Malformed(f"it has more than {MAX_ELEMENTS} elements before its pixel data")


def _within(vr: bytes, syntax: Syntax) -> Syntax:
    """How the items of an element of undefined length are encoded."""
    if vr == b"UN":
        return SYNTAXES[IMPLICIT_LITTLE_ENDIAN]  # PS3.5 6.2.2, note 4
    if vr not in (b"", b"SQ"):
        raise Malformed("an element that is no sequence has no length")
    return syntax
