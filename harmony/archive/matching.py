"""A key of a query as a condition in SQL. PS3.4 C.2.2.2.

DICOM's wildcards are those of SQL's ``GLOB``, which is case-sensitive as DICOM is and has one
more special character to disarm. Values never become part of the SQL text.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass

from harmony.archive.attributes import Attribute
from harmony.archive.values import MAX_CHARACTERS, folded, utc
from harmony.dicom.keys import has_wildcard
from harmony.errors import RequestError

MAX_VALUES = 100  # of a key that is no list of UIDs

_WILDCARDS = frozenset(("AE", "CS", "LO", "PN", "SH"))
_RANGES = {
    "DA": re.compile(r"[0-9]{8}"),
    "TM": re.compile(r"[0-9]{2}(?:[0-9]{2}(?:[0-9]{2}(?:\.[0-9]{1,6})?)?)?"),
    "DT": re.compile(r"[0-9]{4,14}(?:\.[0-9]{1,6})?(?:[+-](?:0[0-9]|1[0-4])[0-5][0-9])?"),
}
_SHAPES = {"DA": "YYYYMMDD", "TM": "HHMMSS", "DT": "YYYYMMDDHHMMSS"}
# The first and the last moment that a value in lesser precision stands for; a year, and all of
# a date, are always given.
_EARLIEST = {"DA": "YYYYMMDD", "TM": "000000", "DT": "YYYY0101000000"}
_LATEST = {"DA": "99991231", "TM": "235959.999999", "DT": "99991231235959.999999"}


@dataclass(frozen=True, slots=True)
class Condition:
    """SQL with question marks, and what stands for them."""

    sql: str
    values: tuple[str, ...]


def condition(attribute: Attribute, values: Sequence[str], table: str) -> Condition | None:
    """What rows of `table` must meet; None if all do, PS3.4 C.2.2.2.3.

    Raises:
        RequestError: a value that can match nothing because it is none of its VR.
    """
    given = [text for value in values if (text := value.strip(" \0"))]
    if not given or any(not text.strip("*") for text in given):
        return None
    column = f"{table}.{attribute.compared}"
    if attribute.vr == "UI":
        return _uids(column, given)
    if len(given) > MAX_VALUES:
        raise _bad(attribute, f"it has more than {MAX_VALUES} values", "ask in several requests")
    parts = [_one(attribute, column, text) for text in given]
    return Condition(
        f"({' OR '.join(part.sql for part in parts)})",
        tuple(value for part in parts for value in part.values),
    )


def _uids(column: str, uids: Sequence[str]) -> Condition:
    """PS3.4 C.2.2.2.2. One parameter for all, as there is a limit to their number."""
    if len(uids) == 1:
        return Condition(f"{column} = ?", (uids[0],))
    listed = f"{column} IN (SELECT value FROM json_each(?))"
    return Condition(listed, (json.dumps(uids),))


def _one(attribute: Attribute, column: str, text: str) -> Condition:
    if len(text) > MAX_CHARACTERS:
        raise _bad(attribute, f"it has more than {MAX_CHARACTERS} characters", "shorten it")
    if attribute.vr in _RANGES:
        return _moment(attribute, column, text)
    if attribute.vr == "PN":
        # A key without `=` may match any component group. PS3.4 C.2.2.2.1, PS3.5 6.2.1.
        # One that is empty may be any.
        groups = "=".join(folded(group) or "*" for group in text.strip("=").split("="))
        return Condition(f"{column} GLOB ?", (f"*={_glob(groups)}=*",))
    if attribute.vr in ("IS", "US"):
        number = str(int(text)) if re.fullmatch(r"[+-]?[0-9]{1,12}", text) else text
        return Condition(f"{column} = ?", (number,))
    wild = has_wildcard(text) and attribute.vr in _WILDCARDS
    if attribute.several:
        pattern = _glob(text) if wild else _literal(text)
        return Condition(f"{column} GLOB ?", (f"*\\{pattern}\\*",))
    if wild:
        # A key such as ??? must not meet the value that is unknown. PS3.4 C.2.2.2.4.
        return Condition(f"({column} GLOB ? AND {column} <> '')", (_glob(text),))
    return Condition(f"{column} = ?", (text,))


def _glob(text: str) -> str:
    """Wildcard matching. PS3.4 C.2.2.2.4."""
    return re.sub(r"\*+", "*", text.replace("[", "[[]"))


def _literal(text: str) -> str:
    return re.sub(r"[][*?]", lambda found: f"[{found[0]}]", text)


def _moment(attribute: Attribute, column: str, text: str) -> Condition:
    """Dates and times: ranges, and single values in the precision they have.

    PS3.4 C.2.2.2.1 and C.2.2.2.5: 1030 is each moment of that minute, and ends with it.
    """
    first, last = _ends(attribute, text)
    sql = [f"{column} <> ''"]
    values = []
    if first:
        sql.append(f"{column} >= ?")
        values.append(_earliest(attribute.vr, first))
    if last:
        sql.append(f"{column} <= ?")
        values.append(utc(_padded(last, _LATEST[attribute.vr])))
    return Condition(f"({' AND '.join(sql)})", tuple(values))


def _earliest(vr: str, moment: str) -> str:
    """The first text that is not before the moment; what has lesser precision may begin there."""
    model = _EARLIEST[vr]
    whole, _, fraction = utc(_padded(moment, model)).partition(".")
    if fraction := fraction.rstrip("0"):
        return f"{whole}.{fraction}"
    end = len(whole)
    while end and whole[end - 2 : end] == model[end - 2 : end]:
        end -= 2
    return whole[:end]


def _padded(moment: str, model: str) -> str:
    """In the precision of the model; an offset from UTC stays behind it."""
    end = min((moment.find(sign) for sign in "+-" if sign in moment), default=len(moment))
    return moment[:end] + model[end:] + moment[end:]


def _ends(attribute: Attribute, text: str) -> tuple[str, str]:
    form = _RANGES[attribute.vr]
    bare = text.replace(" ", "")
    if attribute.vr == "TM":
        bare = bare.replace(":", "")
    if form.fullmatch(bare):
        return bare, bare
    for at, char in enumerate(bare):  # an offset from UTC has a hyphen too
        if char == "-":
            first, last = bare[:at], bare[at + 1 :]
            if (first or last) and all(not end or form.fullmatch(end) for end in (first, last)):
                return first, last
    shape = _SHAPES[attribute.vr]
    raise _bad(attribute, f"it is no {attribute.vr}", f"write {shape}, or {shape}-{shape}")


def _bad(attribute: Attribute, why: str, instead: str) -> RequestError:
    return RequestError(
        f"the value of key {attribute.column} cannot be matched: {why}",
        code="bad-value",
        hint=instead,
    )
