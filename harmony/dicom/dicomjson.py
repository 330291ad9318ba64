"""Encoded data sets as DICOM JSON, without decoding them first. PS3.18 annex F, PS3.5 7.1.

What comes out is UTF-8 whatever the peer sent, and JSON whatever its values hold: a number
that is none stays text, a byte that fits no character set becomes the replacement character.
Only a data set whose structure is broken, or beyond a limit, cannot be shown.
"""

from __future__ import annotations

import base64
import functools
import math
import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import msgspec
from pydicom.charset import decode_bytes, python_encoding
from pydicom.datadict import dictionary_VR

from harmony.envelope import Match
from harmony.errors import UpstreamError

MAX_BYTES = 1024 * 1024
MAX_ELEMENTS = 10_000
MAX_DEPTH = 64

Value: TypeAlias = object
Json: TypeAlias = dict[str, object]

_UNDEFINED = 0xFFFFFFFF
_ITEM, _ITEM_END, _SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD
_CHARACTER_SET = 0x00080005
_UTF8 = "ISO_IR 192"
_IMPLICIT, _BIG_ENDIAN = "1.2.840.10008.1.2", "1.2.840.10008.1.2.2"
_LONG_VRS = frozenset(
    ("OB", "OD", "OF", "OL", "OV", "OW", "SQ", "SV", "UC", "UN", "UR", "UT", "UV")
)
_BINARY = frozenset(("OB", "OD", "OF", "OL", "OV", "OW", "UN"))
_NUMBERS = {"US": "H", "SS": "h", "UL": "L", "SL": "l", "FL": "f", "FD": "d", "SV": "q", "UV": "Q"}
# Text that the Specific Character Set is about. PS3.5 6.1.2.2.
_LOCALISED = frozenset(("LO", "LT", "PN", "SH", "ST", "UC", "UT"))
_ONE_VALUE = frozenset(("LT", "ST", "UR", "UT"))
_PADDED_BOTH = frozenset(("AE", "CS", "DA", "DS", "DT", "IS", "TM"))
_EXACT_DIGITS = 15  # what a double holds without loss
_MAX_SAFE_INTEGER = 2**53

_encode = msgspec.json.Encoder().encode


def match_to_json(match: Match) -> bytes:
    """One match as a JSON object.

    Raises:
        UpstreamError: its identifier is damaged or beyond a limit; nothing of it is quoted.
    """
    if len(match.identifier) > MAX_BYTES:
        raise _undecodable("it is too long")
    syntax = _Syntax(
        explicit=match.transfer_syntax != _IMPLICIT,
        order=">" if match.transfer_syntax == _BIG_ENDIAN else "<",
    )
    try:
        return _encode(_Reader(match.identifier, syntax).read())
    except struct.error:
        raise _undecodable("it is cut short") from None


def matches_to_json(matches: list[Match]) -> list[bytes]:
    """Each match as a JSON object; for a worker thread."""
    return [match_to_json(match) for match in matches]


def _undecodable(why: str) -> UpstreamError:
    return UpstreamError(
        f"an answer of the PACS cannot be decoded: {why}", code="undecodable-answer"
    )


@dataclass(frozen=True, slots=True)
class _Syntax:
    explicit: bool
    order: str


class _Reader:
    """Walks through one data set."""

    def __init__(self, data: bytes, syntax: _Syntax) -> None:
        self._data = data
        self._syntax = syntax
        self._elements = 0

    def read(self) -> Json:
        """The whole data set."""
        found, _ = self._data_set(0, len(self._data), self._syntax, _ascii_or_guess, depth=0)
        return found

    def _data_set(
        self,
        offset: int,
        end: int,
        syntax: _Syntax,
        decode: Callable[[bytes], str],
        *,
        depth: int,
        in_item: bool = False,
    ) -> tuple[Json, int]:
        """Elements up to `end`, or to the delimiter of an item of undefined length."""
        if depth > MAX_DEPTH:
            raise _undecodable(f"it is nested more than {MAX_DEPTH} deep")
        found: Json = {}
        localised = False
        while offset < end:
            tag, vr, length, offset = self._header(offset, syntax)
            if tag == _ITEM_END and in_item:
                break
            if vr == "SQ" or length == _UNDEFINED:
                inner = syntax if vr != "UN" else _Syntax(False, "<")  # PS3.5 6.2.2, note 4
                items, offset = self._sequence(offset, length, end, inner, decode, depth)
                element: Json = {"vr": "SQ"}
                if items:
                    element["Value"] = items
            else:
                if length > end - offset:
                    raise _undecodable("an element is longer than what is left")
                raw = self._data[offset : offset + length]
                offset += length
                if tag == _CHARACTER_SET:
                    decode = _decoder(raw)
                    if raw.strip(b" \0"):
                        localised = True
                    continue
                localised |= vr in _LOCALISED and not raw.isascii()
                element = _plain(vr, raw, syntax.order, decode)
            if tag >> 16 not in (0x0000, 0x0002):
                found[f"{tag:08X}"] = element
        if localised:
            found = {f"{_CHARACTER_SET:08X}": {"vr": "CS", "Value": [_UTF8]}, **found}
        return found, offset

    def _header(self, offset: int, syntax: _Syntax) -> tuple[int, str, int, int]:
        """Tag, VR, length and where the value begins."""
        self._elements += 1
        if self._elements > MAX_ELEMENTS:
            raise _undecodable(f"it has more than {MAX_ELEMENTS} elements")
        data, order = self._data, syntax.order
        group, number = struct.unpack_from(order + "HH", data, offset)
        tag = group << 16 | number
        if group == 0xFFFE:
            (length,) = struct.unpack_from(order + "L", data, offset + 4)
            return tag, "", length, offset + 8
        if not syntax.explicit:
            (length,) = struct.unpack_from(order + "L", data, offset + 4)
            return tag, _vr_of(tag), length, offset + 8
        vr = data[offset + 4 : offset + 6].decode("latin-1")
        if vr in _LONG_VRS:
            (length,) = struct.unpack_from(order + "L", data, offset + 8)
            return tag, vr, length, offset + 12
        if not (vr.isascii() and vr.isalpha() and vr.isupper()):
            raise _undecodable("an element has no proper VR")
        (length,) = struct.unpack_from(order + "H", data, offset + 6)
        return tag, vr, length, offset + 8

    def _sequence(
        self,
        offset: int,
        length: int,
        end: int,
        syntax: _Syntax,
        decode: Callable[[bytes], str],
        depth: int,
    ) -> tuple[list[Json], int]:
        """Items of a sequence. PS3.5 7.5."""
        if length != _UNDEFINED:
            if length > end - offset:
                raise _undecodable("a sequence is longer than what is left")
            end = offset + length
        items: list[Json] = []
        while offset < end:
            tag, _, item_length, offset = self._header(offset, syntax)
            if tag == _SEQUENCE_END:
                break
            if tag != _ITEM:
                raise _undecodable("a sequence holds something else than items")
            if item_length != _UNDEFINED and item_length > end - offset:
                raise _undecodable("an item is longer than what is left")
            open_ended = item_length == _UNDEFINED
            item_end = end if open_ended else offset + item_length
            item, offset = self._data_set(
                offset, item_end, syntax, decode, depth=depth + 1, in_item=open_ended
            )
            items.append(item)
        return items, offset


def _plain(vr: str, raw: bytes, order: str, decode: Callable[[bytes], str]) -> Json:
    """An element that is no sequence."""
    if not raw:
        return {"vr": vr}
    if vr in _NUMBERS:
        return _with_values(vr, _numbers(vr, raw, order))
    if vr == "AT":
        pairs = struct.iter_unpack(order + "HH", raw[: len(raw) // 4 * 4])
        return _with_values(vr, [f"{group:04X}{element:04X}" for group, element in pairs])
    if vr in _BINARY or vr not in _TEXT_VRS:
        return {"vr": vr, "InlineBinary": base64.b64encode(raw).decode("ascii")}
    text = decode(raw) if vr in _LOCALISED else raw.decode("latin-1")
    text = text.rstrip(" \0")
    if vr in _ONE_VALUE:
        return _with_values(vr, [text] if text else [])
    parts = text.split("\\")
    if vr == "PN":
        return _with_values(vr, [_person_name(part) for part in parts])
    if vr in _PADDED_BOTH:
        parts = [part.strip(" \0") for part in parts]
    else:
        parts = [part.rstrip(" \0") for part in parts]
    if vr == "IS":
        return _with_values(vr, [_integer(part) for part in parts])
    if vr == "DS":
        return _with_values(vr, [_decimal(part) for part in parts])
    return _with_values(vr, [part or None for part in parts])


_TEXT_VRS = _LOCALISED | _PADDED_BOTH | {"AS", "UI", "UR"}


def _with_values(vr: str, values: list[object]) -> Json:
    """PS3.18 F.2.5: an empty value among others is null; nothing but empty ones is none."""
    if all(value is None for value in values):
        return {"vr": vr}
    return {"vr": vr, "Value": values}


def _numbers(vr: str, raw: bytes, order: str) -> list[object]:
    form = order + _NUMBERS[vr]
    size = struct.calcsize(form)
    values = [value for (value,) in struct.iter_unpack(form, raw[: len(raw) // size * size])]
    if vr in ("FL", "FD"):
        return [value if math.isfinite(value) else str(value) for value in values]
    if vr in ("SV", "UV"):
        return [value if abs(value) < _MAX_SAFE_INTEGER else str(value) for value in values]
    return list(values)


def _person_name(text: str) -> Json | None:
    """PS3.18 F.2.2: up to three component groups. PS3.5 6.2.1."""
    names = ("Alphabetic", "Ideographic", "Phonetic")
    groups = [group.rstrip(" \0") for group in text.split("=")]
    found: Json = {name: group for name, group in zip(names, groups, strict=False) if group}
    return found or None


def _integer(text: str) -> object:
    """A number where JSON can hold it, else the text. PS3.18 F.2.3, note 1."""
    if not text:
        return None
    try:
        number = int(text) if text.isascii() and "_" not in text else None
    except ValueError:
        number = None
    return number if number is not None and abs(number) < _MAX_SAFE_INTEGER else text


def _decimal(text: str) -> object:
    if not text:
        return None
    try:
        number = float(text) if text.isascii() and "_" not in text else math.nan
    except ValueError:
        number = math.nan
    digits = sum(char.isdigit() for char in text)
    if not math.isfinite(number) or digits > _EXACT_DIGITS:
        return text
    return number


@functools.lru_cache(maxsize=4096)
def _vr_of(tag: int) -> str:
    """VR in Implicit VR; of several that the dictionary allows, the one without surprises."""
    if tag >> 16 & 1:
        return "LO" if 0x10 <= tag & 0xFFFF <= 0xFF else "UN"  # PS3.5 7.8.1
    if not tag & 0xFFFF:
        return "UL"  # group length, PS3.5 7.2
    try:
        names = dictionary_VR(tag)
    except KeyError:
        return "UN"
    first = names.split(" or ")[0]
    return "OW" if "OW" in names else first


# Character sets, PS3.5 6.1.2


def _ascii_or_guess(raw: bytes) -> str:
    """Text of a peer that declared no character set, and should have."""
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        return raw.decode("latin-1")


@functools.lru_cache(maxsize=256)
def _decoder(declared: bytes) -> Callable[[bytes], str]:
    """How to decode text under this value of (0008,0005)."""
    terms = [term.strip() for term in declared.decode("latin-1").strip(" \0").split("\\")]
    if terms in ([""], ["ISO_IR 6"], ["ISO 2022 IR 6"]):
        return _ascii_or_guess
    codecs = [python_encoding.get(term, "latin-1" if term else "iso8859") for term in terms]
    if len(codecs) == 1 and not terms[0].startswith("ISO 2022"):
        codec = codecs[0]
        return lambda raw: raw.decode(codec, errors="replace")
    return functools.partial(_decode_extended, tuple(codecs))


_DELIMITERS = set(b"\n\r\t\f\\^=")  # these end an extension, PS3.5 6.1.2.5.3


def _decode_extended(codecs: tuple[str, ...], raw: bytes) -> str:
    """Text with code extensions, ISO 2022. PS3.5 6.1.2.5."""
    try:
        return decode_bytes(raw, list(codecs), _DELIMITERS)
    except (LookupError, ValueError, Warning):
        return raw.decode("ascii", errors="replace")
