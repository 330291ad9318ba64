"""Encoded values as DICOM JSON, VR by VR. PS3.18 F.2.

A number that JSON has not, or that its readers would change, stays text or becomes null.
"""

from __future__ import annotations

import array
import base64
import math
import re
import struct
from collections.abc import Callable
from decimal import Decimal
from typing import TypeAlias

from harmony.dicom.charsets import Decoder
from harmony.dicom.elements import Malformed

Json: TypeAlias = dict[str, object]
# VR, value, byte order as `struct` writes it, and what decodes its text.
Show: TypeAlias = Callable[[str, bytes, str, Decoder], Json]

_NUMBERS = {"US": "H", "SS": "h", "UL": "L", "SL": "l", "FL": "f", "FD": "d", "SV": "q", "UV": "Q"}
_SIZES = {vr: struct.calcsize("<" + code) for vr, code in _NUMBERS.items()}
# How wide the words are that a big endian sender turned around.
_BINARY = {"OB": 1, "UN": 1, "OW": 2, "OF": 4, "OL": 4, "OD": 8, "OV": 8}
_ARRAY_CODES = {2: "H", 4: "I", 8: "Q"}
_GROUPS = ("Alphabetic", "Ideographic", "Phonetic")  # PS3.18 F.2.2

_INTEGER = re.compile(r"[+-]?[0-9]{1,15}")
_DECIMAL = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_EXACT = 15  # decimal digits that a double always keeps
_MAX_SAFE_INTEGER = 2**53 - 1


def json_of(vr: str, raw: bytes, order: str, decoder: Decoder) -> Json:
    """The JSON object of an element that is no sequence.

    Args:
        vr: one of PS3.5 6.2, and none of the dictionary's choices.
        raw: the value as encoded.
        order: of its bytes, as `struct` writes it.
        decoder: for its Specific Character Set.

    Raises:
        Malformed: the length of the value does not fit its VR.
    """
    if not raw:
        return {"vr": vr}
    return _SHOW[vr](vr, raw, order, decoder)


def fits(vr: str, length: int) -> bool:
    """Whether this is the VR of a value, no sequence and no choice, that may have this length."""
    size = 4 if vr == "AT" else _SIZES.get(vr, 1)
    return vr in _SHOW and length % size == 0


def _plain(vr: str, raw: bytes, order: str, decoder: Decoder) -> Json:
    text = raw.decode("latin-1").strip(" \0")
    if "\\" in text:
        return {"vr": vr, "Value": [part.strip(" \0") or None for part in text.split("\\")]}
    return {"vr": vr, "Value": [text]} if text else {"vr": vr}


def _localised(vr: str, raw: bytes, order: str, decoder: Decoder) -> Json:
    text = decoder.text(raw).rstrip(" \0")
    if "\\" in text:
        return {"vr": vr, "Value": [part.rstrip(" \0") or None for part in text.split("\\")]}
    return {"vr": vr, "Value": [text]} if text else {"vr": vr}


def _one_text(vr: str, raw: bytes, order: str, decoder: Decoder) -> Json:
    """A backslash is a character there."""
    text = decoder.text(raw).rstrip(" \0")
    return {"vr": vr, "Value": [text]} if text else {"vr": vr}


def _locator(vr: str, raw: bytes, order: str, decoder: Decoder) -> Json:
    text = raw.decode("latin-1").rstrip(" \0")
    return {"vr": vr, "Value": [text]} if text else {"vr": vr}


def _names(vr: str, raw: bytes, order: str, decoder: Decoder) -> Json:
    text = decoder.text(raw, name=True).rstrip(" \0")
    if not text:
        return {"vr": vr}
    if "=" not in text and "\\" not in text:
        return {"vr": vr, "Value": [{"Alphabetic": text}]}
    return _values(vr, [_name(part) for part in text.split("\\")])


def _name(text: str) -> Json | None:
    """PS3.5 6.2.1: at most three component groups. More is no name, and stays in the last."""
    groups = [group.rstrip(" \0") for group in text.split("=", 2)]
    return {kind: group for kind, group in zip(_GROUPS, groups, strict=False) if group} or None


def _integers(vr: str, raw: bytes, order: str, decoder: Decoder) -> Json:
    return _values(vr, [_integer(part) for part in raw.decode("latin-1").split("\\")])


def _integer(text: str) -> object:
    text = text.strip(" \0")
    return int(text) if _INTEGER.fullmatch(text) else text or None


def _decimals(vr: str, raw: bytes, order: str, decoder: Decoder) -> Json:
    return _values(vr, [_decimal(part) for part in raw.decode("latin-1").split("\\")])


def _decimal(text: str) -> object:
    """A number if JSON's readers get the same one, else the text. PS3.18 F.2.3.1, note."""
    text = text.strip(" \0")
    if not _DECIMAL.fullmatch(text):
        return text or None
    number = float(text)
    if not math.isfinite(number):
        return text
    plain = len(text) <= _EXACT and "e" not in text and "E" not in text
    if plain or Decimal(text) == Decimal(repr(number)):
        return number
    return text


def _values(vr: str, values: list[object]) -> Json:
    """Of several values an empty one is null; an empty one alone is no value. PS3.18 F.2.5."""
    return {"vr": vr} if values == [None] else {"vr": vr, "Value": values}


def _numbers(vr: str, raw: bytes, order: str, decoder: Decoder) -> Json:
    return {"vr": vr, "Value": _unpacked(vr, raw, order)}


def _floats(vr: str, raw: bytes, order: str, decoder: Decoder) -> Json:
    """JSON has no infinity and no NaN."""
    numbers = _unpacked(vr, raw, order)
    return {"vr": vr, "Value": [each if math.isfinite(each) else None for each in numbers]}


def _long_integers(vr: str, raw: bytes, order: str, decoder: Decoder) -> Json:
    """JSON's readers keep integers up to 53 bits."""
    numbers = _unpacked(vr, raw, order)
    shown = [each if abs(each) <= _MAX_SAFE_INTEGER else str(each) for each in numbers]
    return {"vr": vr, "Value": shown}


def _unpacked(vr: str, raw: bytes, order: str) -> list[float]:
    """Integers, where they are."""
    count, rest = divmod(len(raw), _SIZES[vr])
    if rest:
        raise _misfit(vr)
    return list(struct.unpack(f"{order}{count}{_NUMBERS[vr]}", raw))


def _tags(vr: str, raw: bytes, order: str, decoder: Decoder) -> Json:
    if len(raw) % 4:
        raise _misfit(vr)
    pairs = struct.iter_unpack(order + "HH", raw)
    return {"vr": vr, "Value": [f"{group:04X}{number:04X}" for group, number in pairs]}


def _binary(vr: str, raw: bytes, order: str, decoder: Decoder) -> Json:
    """Words come out little endian whatever the peer sent. PS3.18 F.2.7."""
    width = _BINARY[vr]
    if order == ">" and width > 1:
        if len(raw) % width:
            raise _misfit(vr)
        words = array.array(_ARRAY_CODES[width], raw)
        words.byteswap()
        raw = words.tobytes()
    return {"vr": vr, "InlineBinary": base64.b64encode(raw).decode("ascii")}


def _misfit(vr: str) -> Malformed:
    return Malformed(f"the length of an element does not fit its VR {vr}")


_SHOW: dict[str, Show] = {
    **dict.fromkeys(("AE", "AS", "CS", "DA", "DT", "TM", "UI"), _plain),
    **dict.fromkeys(("LO", "SH", "UC"), _localised),
    **dict.fromkeys(("LT", "ST", "UT"), _one_text),
    **dict.fromkeys(("US", "SS", "UL", "SL"), _numbers),
    **dict.fromkeys(("FL", "FD"), _floats),
    **dict.fromkeys(("SV", "UV"), _long_integers),
    **dict.fromkeys(_BINARY, _binary),
    "AT": _tags,
    "DS": _decimals,
    "IS": _integers,
    "PN": _names,
    "UR": _locator,
}
