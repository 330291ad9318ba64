"""C-FIND answers as DICOM JSON. PS3.18 annex F.

What comes out is UTF-8 and valid JSON whatever the values hold: a number that is none, or that
a double would change, stays text. Only a data set whose structure is damaged, or which is
beyond a limit, cannot be shown, and that is a failure of the peer.
"""

from __future__ import annotations

import array
import base64
import math
import re
import struct
from decimal import Decimal
from typing import TypeAlias

import msgspec

from harmony.dicom.charsets import UNDECLARED, Decoder, decoder_for
from harmony.dicom.elements import SYNTAXES, Element, Malformed, Syntax, parse, vr_of
from harmony.dicom.uids import IMPLICIT_LITTLE_ENDIAN
from harmony.envelope import Match
from harmony.errors import UpstreamError

MAX_BYTES = 1024 * 1024

Json: TypeAlias = dict[str, object]

_CHARACTER_SET = 0x00080005
_CHARACTER_SET_KEY = f"{_CHARACTER_SET:08X}"
_UTF8 = "ISO_IR 192"

_NUMBERS = {"US": "H", "SS": "h", "UL": "L", "SL": "l", "FL": "f", "FD": "d", "SV": "q", "UV": "Q"}
# Binary VRs, and how wide the words are that a big endian sender turned around.
_BINARY = {"OB": 1, "UN": 1, "OW": 2, "OF": 4, "OL": 4, "OD": 8, "OV": 8}
_ARRAY_CODES = {2: "H", 4: "I", 8: "Q"}
_LOCALISED = frozenset(("LO", "LT", "PN", "SH", "ST", "UC", "UT"))  # PS3.5 6.1.2.2
_ONE_VALUE = frozenset(("LT", "ST", "UR", "UT"))  # a backslash is a character there
_BLANKS_MEAN_NOTHING = frozenset(("AE", "CS", "DA", "DS", "DT", "IS", "TM"))
_GROUPS = ("Alphabetic", "Ideographic", "Phonetic")  # PS3.18 F.2.2

_INTEGER = re.compile(r"[+-]?[0-9]{1,15}")
_DECIMAL = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_EXACT = 15  # decimal digits that a double always keeps
_MAX_SAFE_INTEGER = 2**53 - 1

_encode = msgspec.json.Encoder().encode


def match_to_json(match: Match) -> bytes:
    """One match as a JSON object.

    Raises:
        UpstreamError: its identifier is damaged or beyond a limit; nothing of it is quoted.
    """
    if len(match.identifier) > MAX_BYTES:
        raise _undecodable(f"it has more than {MAX_BYTES} bytes")
    syntax = SYNTAXES.get(match.transfer_syntax)
    if syntax is None:
        raise _undecodable("it comes in a transfer syntax that nobody offered")
    try:
        found = _data_set(parse(match.identifier, syntax), syntax, UNDECLARED)
    except Malformed as exc:
        raise _undecodable(str(exc)) from None
    row = _encode(found)
    if not row.isascii() and _CHARACTER_SET_KEY not in found:
        found[_CHARACTER_SET_KEY] = {"vr": "CS", "Value": [_UTF8]}
        row = _encode(dict(sorted(found.items())))
    return row


def matches_to_json(matches: list[Match]) -> list[bytes]:
    """Each match as a JSON object, in the same order.

    Raises:
        UpstreamError: one of them cannot be shown.
    """
    return [match_to_json(match) for match in matches]


def _undecodable(why: str) -> UpstreamError:
    return UpstreamError(
        f"an answer of the PACS cannot be decoded: {why}", code="undecodable-answer"
    )


def _data_set(elements: list[Element], syntax: Syntax, decoder: Decoder) -> Json:
    found: Json = {}
    for tag, vr, value in elements:
        if not tag & 0xFFFF or tag >> 16 in (0x0000, 0x0002):
            continue  # group lengths and file meta information have no place, PS3.18 F.2.2
        if isinstance(value, list):
            items = [_data_set(item, syntax, decoder) for item in value]
            found[f"{tag:08X}"] = {"vr": "SQ", "Value": items} if items else {"vr": "SQ"}
        elif tag == _CHARACTER_SET:
            decoder = decoder_for(value)
            found[_CHARACTER_SET_KEY] = {"vr": "CS", "Value": [_UTF8]}
        else:
            found[f"{tag:08X}"] = _element(tag, vr, value, syntax, decoder)
    return found


def _element(tag: int, vr: str, raw: bytes, syntax: Syntax, decoder: Decoder) -> Json:
    if not raw:
        return {"vr": vr}
    if vr == "UN":
        vr, raw, syntax = _recognised(tag, raw, syntax)
    if vr in _NUMBERS:
        return {"vr": vr, "Value": _numbers(vr, raw, syntax.order)}
    if vr in _BINARY:
        return {"vr": vr, "InlineBinary": _base64(raw, _BINARY[vr], syntax.order)}
    if vr == "AT":
        return {"vr": vr, "Value": _tags(raw, syntax.order)}
    localised = vr in _LOCALISED
    text = decoder.text(raw, name=vr == "PN") if localised else raw.decode("latin-1")
    text = text.rstrip(" \0")
    if not text:
        return {"vr": vr}
    if vr in _ONE_VALUE:
        return {"vr": vr, "Value": [text]}
    values = [_value(vr, part) for part in text.split("\\")]
    if values.count(None) == len(values):
        return {"vr": vr}
    return {"vr": vr, "Value": values}


def _recognised(tag: int, raw: bytes, syntax: Syntax) -> tuple[str, bytes, Syntax]:
    """What UN hides: a sender that did not know the VR left the value as it was. PS3.5 6.2.2."""
    vr = vr_of(tag)
    if vr in _NUMBERS:
        fits = len(raw) % struct.calcsize("<" + _NUMBERS[vr]) == 0
        return (vr, raw, SYNTAXES[IMPLICIT_LITTLE_ENDIAN]) if fits else ("UN", raw, syntax)
    if vr in _LOCALISED or vr in _ONE_VALUE or vr in _BLANKS_MEAN_NOTHING or vr in ("UI", "AS"):
        return vr, raw, syntax
    return "UN", raw, syntax


def _value(vr: str, text: str) -> object:
    """One value of several; None for an empty one. PS3.18 F.2.5."""
    text = text.strip(" \0") if vr in _BLANKS_MEAN_NOTHING else text.rstrip(" \0")
    if not text:
        return None
    if vr == "PN":
        return _person_name(text)
    if vr == "IS":
        return int(text) if _INTEGER.fullmatch(text) else text
    if vr == "DS":
        return _decimal(text)
    return text


def _person_name(text: str) -> Json | None:
    """PS3.5 6.2.1: at most three component groups. More is no name, and stays in the last."""
    groups = [group.rstrip(" \0") for group in text.split("=", 2)]
    return {kind: group for kind, group in zip(_GROUPS, groups, strict=False) if group} or None


def _decimal(text: str) -> object:
    """A number if JSON's readers get the same one, else the text. PS3.18 F.2.3.1, note."""
    if not _DECIMAL.fullmatch(text):
        return text
    number = float(text)
    if not math.isfinite(number):
        return text
    plain = len(text) <= _EXACT and "e" not in text and "E" not in text
    if plain or Decimal(text) == Decimal(repr(number)):
        return number
    return text


def _numbers(vr: str, raw: bytes, order: str) -> list[object]:
    form = order + _NUMBERS[vr]
    try:
        values = [value for (value,) in struct.iter_unpack(form, raw)]
    except struct.error:
        raise Malformed(f"the length of an element does not fit its VR {vr}") from None
    if vr in ("FL", "FD"):
        return [value if math.isfinite(value) else None for value in values]
    if vr in ("SV", "UV"):
        return [value if abs(value) <= _MAX_SAFE_INTEGER else str(value) for value in values]
    return list(values)


def _tags(raw: bytes, order: str) -> list[object]:
    if len(raw) % 4:
        raise Malformed("the length of an element does not fit its VR AT")
    return [f"{group:04X}{number:04X}" for group, number in struct.iter_unpack(order + "HH", raw)]


def _base64(raw: bytes, width: int, order: str) -> str:
    """Words come out little endian whatever the peer sent. PS3.18 F.2.7."""
    if order == ">" and width > 1:
        if len(raw) % width:
            raise Malformed("the length of a binary element does not fit its VR")
        words = array.array(_ARRAY_CODES[width], raw)
        words.byteswap()
        raw = words.tobytes()
    return base64.b64encode(raw).decode("ascii")
