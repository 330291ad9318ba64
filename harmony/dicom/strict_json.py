"""JSON without surprises: bounded, finite, and each key once.

Python's own parser takes NaN, lets a repeated key win silently, and recurses as deep as the
text does. Who sends such JSON gets a 400 that says where it is.
"""

from __future__ import annotations

import json
import math
import re
from typing import TypeAlias

import msgspec

from harmony.errors import RequestError

Json: TypeAlias = "bool | int | float | str | list[Json] | dict[str, Json] | None"

MAX_BYTES = 1024 * 1024
MAX_DEPTH = 64
_MAX_DIGITS = 100
# A string as a whole, or one bracket; everything between is of no interest here.
# A string that never closes reaches to the end: without that, each of its quotes would be tried.
_STRUCTURE = re.compile(r'"[^"\\]*+(?:\\.[^"\\]*+)*+"?|[\[{]|[\]}]', re.DOTALL)
_encode = msgspec.json.Encoder().encode


def loads(data: bytes, *, max_bytes: int = MAX_BYTES, max_depth: int = MAX_DEPTH) -> Json:
    """Parse a JSON text.

    Raises:
        RequestError: 413 if it is too large, 400 for anything else that is wrong with it.
    """
    if len(data) > max_bytes:
        raise RequestError(
            f"JSON of {len(data)} bytes, at most {max_bytes} are read",
            code="body-too-large",
            http_status=413,
        )
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as exc:
        raise _bad(f"not UTF-8 at byte {exc.start}") from None
    _check_depth(text, max_depth)
    try:
        document: Json = json.loads(
            text,
            object_pairs_hook=_unique,
            parse_constant=_constant,
            parse_float=_finite,
            parse_int=_integer,
        )
    except json.JSONDecodeError as exc:
        what = exc.msg.lower().removesuffix(" at")
        raise _bad(f"{what} at line {exc.lineno}, column {exc.colno}") from None
    except RecursionError:
        raise _bad("it cannot be parsed") from None
    if "\\u" in text:
        _check_surrogates(document)
    return document


def dumps(document: object) -> bytes:
    """Compact UTF-8."""
    return _encode(document)


def _check_surrogates(document: Json) -> None:
    try:
        json.dumps(document, ensure_ascii=False).encode("utf-8")
    except UnicodeEncodeError:
        raise _bad("half a surrogate pair in a string") from None


def _check_depth(text: str, most: int) -> None:
    depth = 0
    for match in _STRUCTURE.finditer(text):
        char = text[match.start()]
        if char in "[{":
            depth += 1
            if depth > most:
                raise _bad(f"nested more than {most} deep")
        elif char in "]}":
            depth -= 1


def _unique(pairs: list[tuple[str, Json]]) -> dict[str, Json]:
    found = dict(pairs)
    if len(found) != len(pairs):
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                raise _bad(f"key `{_shown(key)}` is given twice")
            seen.add(key)
    return found


def _shown(key: str) -> str:
    return key[:40] if key.isprintable() else "?"


def _constant(name: str) -> Json:
    raise _bad(f"{name} is no JSON number")


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise _bad("a number is too large")
    return number


def _integer(text: str) -> int:
    if len(text) > _MAX_DIGITS:
        raise _bad("a number is too long")
    return int(text)


def _bad(why: str) -> RequestError:
    return RequestError(f"the body is not proper JSON: {why}", code="bad-json")
