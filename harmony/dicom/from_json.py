"""DICOM JSON as an encoded data set. PS3.18 F.2.

Servers differ: numbers come as text and text as numbers, and a list of values may come as one
text with backslashes in it. What can only mean one thing is taken so; the rest is refused.
"""

from __future__ import annotations

import base64
import binascii
import struct
from collections.abc import Collection, Mapping
from typing import TypeAlias

from harmony.dicom.elements import (
    MAX_DEPTH,
    SYNTAXES,
    Element,
    Items,
    Malformed,
    coded_vr,
)
from harmony.dicom.query import SPECIFIC_CHARACTER_SET
from harmony.dicom.transcode import encode
from harmony.dicom.uids import EXPLICIT_LITTLE_ENDIAN

_SYNTAX = SYNTAXES[EXPLICIT_LITTLE_ENDIAN]
_GROUPS = ("Alphabetic", "Ideographic", "Phonetic")  # PS3.18 F.2.2
_INTEGERS = {"US": "H", "SS": "h", "UL": "L", "SL": "l", "UV": "Q", "SV": "q"}
_FLOATS = {"FL": "f", "FD": "d"}
_LOCALISED = frozenset(("LO", "LT", "SH", "ST", "UC", "UT"))  # PS3.5 6.1.2.3
_PLAIN = frozenset(("AE", "AS", "CS", "DA", "DS", "DT", "IS", "TM", "UI", "UR"))
_BINARY = frozenset(("OB", "OD", "OF", "OL", "OV", "OW", "UN"))
_UTF8 = b"ISO_IR 192"
_MAX_DS = 16  # characters, PS3.5 table 6.2-1

Values: TypeAlias = list[object]


class NotDicomJson(ValueError):
    """This is no object of DICOM JSON. The text names a tag at most, and no value."""


def elements_of(
    document: Mapping[str, object], *, only: Collection[int] | None = None
) -> list[Element]:
    """The elements of one data set in ascending order, text in UTF-8.

    A value that lies elsewhere (``BulkDataURI``) leaves its attribute out. The character set
    is named where a text needs one, whatever the object says of it. PS3.18 F.2.

    Args:
        only: tags of the top level that are wanted; None for all.

    Raises:
        NotDicomJson
    """
    reading = _Reading()
    elements = reading.data_set(document, only, depth=0)
    if reading.beyond_ascii:
        elements.append(Element(SPECIFIC_CHARACTER_SET, "CS", _UTF8))
    return sorted(elements)


def data_set_of(elements: list[Element]) -> bytes:
    """The elements in explicit VR little endian.

    Raises:
        NotDicomJson: they are nested too deep.
    """
    try:
        return encode(elements, _SYNTAX)
    except Malformed as exc:
        raise NotDicomJson(str(exc)) from None


class _Reading:
    """One object; `beyond_ascii`: a text in it needs a character set."""

    def __init__(self) -> None:
        self.beyond_ascii = False

    def data_set(
        self, document: Mapping[str, object], only: Collection[int] | None, depth: int
    ) -> list[Element]:
        if depth > MAX_DEPTH:
            raise NotDicomJson(f"it is nested more than {MAX_DEPTH} deep")
        found: dict[int, Element] = {}
        for key, attribute in document.items():
            tag = _tag(key)
            if tag == SPECIFIC_CHARACTER_SET or (only is not None and tag not in only):
                continue
            if tag in found:  # written in another case
                raise NotDicomJson(f"{tag:08X} is there twice")
            if not isinstance(attribute, Mapping):
                raise NotDicomJson(f"{tag:08X} is no object")
            element = self._element(tag, attribute, depth)
            if element is not None:
                found[tag] = element
        return sorted(found.values())

    def _element(self, tag: int, attribute: Mapping[str, object], depth: int) -> Element | None:
        vr = _vr(tag, attribute.get("vr"))
        if "BulkDataURI" in attribute:
            return None
        values = attribute.get("Value")
        inline = attribute.get("InlineBinary")
        if inline is not None:
            return Element(tag, vr, _padded(vr, _decoded(tag, vr, inline)))
        if values is None or values == []:
            return Element(tag, vr, [] if vr == "SQ" else b"")
        if not isinstance(values, list):
            raise NotDicomJson(f"the Value of {tag:08X} is no array")
        if vr == "SQ":
            return Element(tag, vr, self._items(tag, values, depth))
        try:
            raw = self._raw(vr, values)
        except (ValueError, struct.error, OverflowError):
            raise NotDicomJson(f"a value of {tag:08X} does not fit its VR {vr}") from None
        return Element(tag, vr, _padded(vr, raw))

    def _items(self, tag: int, values: Values, depth: int) -> Items:
        items: Items = []
        for value in values:
            if value is not None and not isinstance(value, Mapping):
                raise NotDicomJson(f"an item of {tag:08X} is no object")
            items.append(self.data_set(value or {}, None, depth + 1))
        return items

    def _raw(self, vr: str, values: Values) -> bytes:
        if vr in _INTEGERS:
            form = struct.Struct("<" + _INTEGERS[vr])
            return b"".join(form.pack(_whole(value)) for value in values)
        if vr in _FLOATS:
            form = struct.Struct("<" + _FLOATS[vr])
            return b"".join(form.pack(_number(value)) for value in values)
        if vr == "AT":
            tags = [_tag(value) for value in values]
            return b"".join(struct.pack("<HH", tag >> 16, tag & 0xFFFF) for tag in tags)
        if vr in _PLAIN:
            return "\\".join(_text(value) for value in values).encode("ascii")
        if vr == "PN":
            return self._encoded("\\".join(_name(value) for value in values))
        if vr in _LOCALISED:
            return self._encoded("\\".join(_text(value) for value in values))
        raise ValueError(vr)

    def _encoded(self, text: str) -> bytes:
        self.beyond_ascii = self.beyond_ascii or not text.isascii()
        return text.encode("utf-8")


def _tag(key: object) -> int:
    if not isinstance(key, str) or len(key) != 8:
        raise NotDicomJson("a key is no tag of eight hexadecimal digits")
    try:
        return int(key, 16)
    except ValueError:
        raise NotDicomJson("a key is no tag of eight hexadecimal digits") from None


def _vr(tag: int, vr: object) -> str:
    try:
        return coded_vr(vr.encode("ascii") if isinstance(vr, str) else b"")
    except (Malformed, UnicodeEncodeError):
        raise NotDicomJson(f"{tag:08X} has no vr") from None


def _decoded(tag: int, vr: str, inline: object) -> bytes:
    if vr not in _BINARY or not isinstance(inline, str):
        raise NotDicomJson(f"the InlineBinary of {tag:08X} does not fit its VR {vr}")
    try:
        return base64.b64decode(inline, validate=True)
    except (binascii.Error, ValueError):
        raise NotDicomJson(f"the InlineBinary of {tag:08X} is no base64") from None


def _padded(vr: str, raw: bytes) -> bytes:
    """To an even length. PS3.5 6.2."""
    if not len(raw) % 2:
        return raw
    return raw + (b"\0" if vr in _BINARY or vr == "UI" else b" ")


def _whole(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise ValueError
    number = int(value)
    if isinstance(value, float) and number != value:
        raise ValueError
    return number


def _number(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise ValueError
    return float(value)


def _text(value: object) -> str:
    """Text, or what a server has made of it; null is an empty value. PS3.18 F.2.5."""
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError
    if isinstance(value, int):
        return str(value)
    if value.is_integer() and abs(value) < 1e15:
        return str(int(value))
    return min((repr(value), f"{value:.10g}"), key=lambda text: len(text) > _MAX_DS)


def _name(value: object) -> str:
    if not isinstance(value, Mapping):
        return _text(value)
    groups = [_text(value.get(group)) for group in _GROUPS]
    return "=".join(groups).rstrip("=")
