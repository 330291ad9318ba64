"""Attributes as clients name them, and values as DICOM wants them.

A key may be a tag (``00100020``, ``0010,0020``), a DICOM keyword (``PatientID``) or the same in
snake_case (``patient_id``). A value becomes DICOM text by its VR, PS3.5 6.2, with what
PS3.4 C.2.2.2 allows for matching: lists of UIDs, wildcards and ranges.
"""

from __future__ import annotations

import difflib
import functools
import re
from collections.abc import Mapping

from pydicom.datadict import dictionary_VR, keyword_dict

from harmony.dicom.uids import is_uid
from harmony.errors import RequestError

_TAG = re.compile(r"\(?([0-9A-Fa-f]{4}),?([0-9A-Fa-f]{4})\)?", re.ASCII)
_ACRONYM = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")

# VRs whose text the character set does not touch. PS3.5 6.1.2.3.
_ASCII = frozenset(["AE", "AS", "CS", "DS", "IS", "UR"])
# Text VRs that may be matched on, and the most characters of one value. PS3.5 table 6.2-1.
_LENGTHS = {
    "AE": 16,
    "AS": 4,
    "CS": 16,
    "DA": 8,
    "DS": 16,
    "DT": 26,
    "IS": 12,
    "LO": 64,
    "LT": 10240,
    "PN": 194,
    "SH": 16,
    "ST": 1024,
    "TM": 14,
    "UC": 10240,
    "UI": 64,
    "UR": 10240,
    "UT": 10240,
}
NUMBERS = {"US": (0, 0xFFFF), "UL": (0, 0xFFFFFFFF), "SS": (-0x8000, 0x7FFF)}
NUMBERS["SL"] = (-0x80000000, 0x7FFFFFFF)
_RANGES = {
    "DA": re.compile(r"[0-9]{4}[0-9]{2}[0-9]{2}"),
    "TM": re.compile(r"[0-9]{2}([0-9]{2}([0-9]{2}(\.[0-9]{1,6})?)?)?"),
    "DT": re.compile(r"[0-9]{4,14}(\.[0-9]{1,6})?([+-][0-9]{4})?"),
}
_FORMS = {
    "AS": re.compile(r"[0-9]{3}[DWMY]"),
    "DS": re.compile(r" *[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)? *"),
    "IS": re.compile(r" *[+-]?[0-9]+ *"),
}
_FORM_TEXTS = {"AS": "an age as 042Y", "DS": "a decimal number", "IS": "a whole number"}
_RANGE_FORMS = {"DA": "YYYYMMDD", "TM": "HHMMSS", "DT": "YYYYMMDDHHMMSS"}
_WILDCARDS = frozenset(["AE", "CS", "LO", "LT", "PN", "SH", "ST", "UC", "UR", "UT"])
_ONE_VALUE = frozenset(["LT", "ST", "UR", "UT"])  # a backslash is a character there, PS3.5 6.2
_MAX_VALUES = 1000
_MAX_VALUE_BYTES = 65534  # what a 16-bit length holds, PS3.5 7.1.2


def find_tag(name: str) -> int:
    """The tag that a client's name stands for.

    Raises:
        RequestError: 400 with near names.
    """
    if match := _TAG.fullmatch(name):
        return int("".join(match.groups()), 16)
    tag = _names().get(name)
    if tag is None:
        near = difflib.get_close_matches(name, _names(), n=3, cutoff=0.7)
        raise RequestError(
            f"unknown key `{_shown(name)}`",
            code="unknown-key",
            hint=f"did you mean {' or '.join(f'`{n}`' for n in near)}?"
            if near
            else "name a DICOM attribute: `patient_id`, `PatientID` or `00100020`",
        )
    return tag


def vr_of(tag: int) -> str:
    """VR of a public attribute; UN for what the dictionary does not know."""
    try:
        return dictionary_VR(tag).split(" or ")[0]
    except KeyError:
        return "UN"


def texts(name: str, tag: int, value: object) -> tuple[str, ...]:
    """The values of a key as DICOM text; none for universal matching.

    Raises:
        RequestError: 400, saying what to write instead.
    """
    if value is None or value == "":
        return ()
    vr = vr_of(tag)
    if vr not in _LENGTHS and vr not in NUMBERS:
        raise _bad(name, f"attributes of VR {vr} cannot be matched", "name it in `return`")
    items = value if isinstance(value, list) else [value]
    if not items:
        raise _bad(name, "its list is empty", "leave the key out, or give null")
    if len(items) > _MAX_VALUES:
        raise _bad(name, f"more than {_MAX_VALUES} values", "ask in several requests")
    if len(items) > 1 and vr in _ONE_VALUE:
        raise _bad(name, f"VR {vr} takes one value", "give a string")
    found = tuple(_text(name, vr, item) for item in items)
    if sum(len(text.encode()) + 1 for text in found) > _MAX_VALUE_BYTES:
        raise _bad(name, "its values are too long together", "ask in several requests")
    return found


def has_wildcard(text: str) -> bool:
    return "*" in text or "?" in text


def _text(name: str, vr: str, item: object) -> str:
    if isinstance(item, bool) or not isinstance(item, str | int | float):
        raise _bad(name, "its value is neither text nor a number", 'write "key": "value"')
    text = item if isinstance(item, str) else _number_text(item)
    if not text:
        raise _bad(name, "one of its values is empty", "leave it out")
    if any(
        ord(char) < 0x20 or 0x7F <= ord(char) < 0xA0 or "\ud800" <= char <= "\udfff"
        for char in text
    ):
        raise _bad(name, "its value holds a control character", "leave it out")
    if "\\" in text:
        raise _bad(name, "its value holds a backslash", "write several values as a list")
    if vr in NUMBERS:
        return _check_number(name, vr, text)
    if vr in _RANGES:
        return _check_range(name, vr, text)
    if vr == "UI":
        if not is_uid(text):
            raise _bad(name, "its value is no UID", "write digits and dots, at most 64")
        return text
    if len(text) > _LENGTHS[vr]:
        raise _bad(name, f"its value is longer than {_LENGTHS[vr]} characters", "shorten it")
    if vr in _ASCII and not text.isascii():
        raise _bad(name, f"VR {vr} takes no letters beyond ASCII", "write it without them")
    if has_wildcard(text) and vr not in _WILDCARDS:
        raise _bad(name, f"VR {vr} takes no wildcards", "give the value itself")
    if vr in _FORMS and not _FORMS[vr].fullmatch(text):
        raise _bad(name, f"its value is no {vr} of DICOM", f"write {_FORM_TEXTS[vr]}")
    return text


def _number_text(number: float) -> str:
    return str(number) if isinstance(number, int) else repr(number)


def _check_number(name: str, vr: str, text: str) -> str:
    low, high = NUMBERS[vr]
    try:
        number = int(text)
    except ValueError:
        raise _bad(name, "its value is no whole number", "write digits") from None
    if not low <= number <= high:
        raise _bad(name, f"its value is outside {low} to {high}", "write another number")
    return str(number)


def _check_range(name: str, vr: str, text: str) -> str:
    """A date, time or both, or a range of them. PS3.4 C.2.2.2.5."""
    form = _RANGES[vr]
    if form.fullmatch(text):
        return text
    for at, char in enumerate(text):
        if char != "-":
            continue
        ends = (text[:at], text[at + 1 :])
        if any(ends) and all(not end or form.fullmatch(end) for end in ends):
            return text
    shape = _RANGE_FORMS[vr]
    raise _bad(name, f"its value is no {vr} of DICOM", f"write {shape}, or {shape}-{shape}")


@functools.cache
def _names() -> Mapping[str, int]:
    """Every keyword of the dictionary, and its snake_case form."""
    keywords = {keyword: tag for keyword, tag in keyword_dict.items() if keyword}
    return {snake_case(keyword): tag for keyword, tag in keywords.items()} | keywords


def snake_case(keyword: str) -> str:
    """``StudyInstanceUID`` as ``study_instance_uid``."""
    return _ACRONYM.sub("_", keyword).lower()


def _shown(name: str) -> str:
    return name[:40] if name.isprintable() else "?"


def _bad(name: str, why: str, instead: str) -> RequestError:
    return RequestError(f"key `{_shown(name)}`: {why}", code="bad-value", hint=instead)
