"""What a client asks in JSON, as a `Query`, and a `Query` as an encoded identifier.

Which attributes an identifier may and must hold depends on the information model, the level
and the operation: PS3.4 C.4.1.2 for FIND, C.4.2.1.4 for MOVE, C.4.3.1.3 for GET.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping

from harmony.dicom.elements import LONG_VRS, SYNTAXES, Syntax
from harmony.dicom.keys import NUMBERS, find_tag, has_wildcard, texts, vr_of
from harmony.envelope import Key, Level, Operation, Query, Root
from harmony.errors import RequestError

QUERY_RETRIEVE_LEVEL = 0x00080052
SPECIFIC_CHARACTER_SET = 0x00080005
PATIENT_ID = 0x00100020
STUDY_INSTANCE_UID = 0x0020000D
SERIES_INSTANCE_UID = 0x0020000E
SOP_INSTANCE_UID = 0x00080018

MAX_LIMIT = 1_000_000
MAX_RETURN_KEYS = 500

# Unique keys, from the top of the hierarchy down. PS3.4 C.6.1.1 and C.6.2.1.
UNIQUE = {
    Level.PATIENT: PATIENT_ID,
    Level.STUDY: STUDY_INSTANCE_UID,
    Level.SERIES: SERIES_INSTANCE_UID,
    Level.IMAGE: SOP_INSTANCE_UID,
}
_KEYWORDS = {
    PATIENT_ID: "patient_id",
    STUDY_INSTANCE_UID: "study_instance_uid",
    SERIES_INSTANCE_UID: "series_instance_uid",
    SOP_INSTANCE_UID: "sop_instance_uid",
}
# What a FIND asks for besides its keys: the required and the most useful optional keys.
_PATIENT = (0x00100010, 0x00100020, 0x00100030, 0x00100040)
_DEFAULTS: dict[Level, tuple[int, ...]] = {
    Level.PATIENT: (*_PATIENT, 0x00201200, 0x00201202, 0x00201204),
    Level.STUDY: (
        0x00080020,
        0x00080030,
        0x00080050,
        0x00080061,
        0x00080090,
        0x00081030,
        *_PATIENT,
        0x0020000D,
        0x00200010,
        0x00201206,
        0x00201208,
    ),
    Level.SERIES: (
        0x00080021,
        0x00080031,
        0x00080060,
        0x0008103E,
        0x00180015,
        0x0020000D,
        0x0020000E,
        0x00200011,
        0x00201209,
    ),
    Level.IMAGE: (0x00080016, 0x00080018, 0x0020000D, 0x0020000E, 0x00200013),
}
_CONTROLS = frozenset(("query_level", "query_model", "return", "limit", "offset", "destination"))
_LEVELS = {"INSTANCE": Level.IMAGE, **{level.value: level for level in Level}}
_ORDER = tuple(Level)


def parse_query(operation: Operation, document: object) -> Query:
    """Check what a client sent and make a query of it.

    Raises:
        RequestError: 400, saying what to write instead.
    """
    if not isinstance(document, Mapping):
        raise _bad("the body is not a JSON object", 'write {"patient_id": "12345"}')
    controls = {name: value for name, value in document.items() if name in _CONTROLS}
    keys = _keys({name: value for name, value in document.items() if name not in _CONTROLS})
    level = _level(controls.get("query_level"), keys)
    by_patient = operation is not Operation.FIND and bool(keys.get(PATIENT_ID))
    root = _root(controls.get("query_model"), level, by_patient=by_patient)
    if operation is Operation.FIND:
        keys = with_returns(keys, level, root, _wanted(controls.get("return")))
        if "destination" in controls:
            raise _bad("`destination` is for move", "leave it out")
    else:
        _refuse_find_controls(controls, operation)
        keys = _only_unique(keys, level, root)
    return Query(
        level=level,
        root=root,
        keys=tuple(Key(tag, values) for tag, values in sorted(keys.items())),
        limit=_count(controls, "limit", least=1),
        offset=_count(controls, "offset", least=0) or 0,
        destination=_destination(controls, operation),
    )


def _keys(given: Mapping[str, object]) -> dict[int, tuple[str, ...]]:
    found: dict[int, tuple[str, ...]] = {}
    names: dict[int, str] = {}
    for name, value in given.items():
        tag = find_tag(name)
        if tag in found:
            raise _bad(f"`{names[tag]}` and `{name}` are the same key", "give it once")
        if tag == QUERY_RETRIEVE_LEVEL:
            raise _bad(f"`{name}` is the level of the query", "write it as `query_level`")
        if not may_be_key(tag):
            raise _bad(f"`{name}` is no key of a query", "leave it out")
        found[tag] = texts(name, tag, value)
        names[tag] = name
    return found


def may_be_key(tag: int) -> bool:
    """Neither command, file meta, group length nor delimiter (PS3.5 7.1, 7.2, 7.5).

    The character set of an identifier is ours to choose.
    """
    group, element = tag >> 16, tag & 0xFFFF
    return 0x0008 <= group < 0xFFFE and element != 0x0000 and tag != SPECIFIC_CHARACTER_SET


def _level(given: object, keys: Mapping[int, tuple[str, ...]]) -> Level:
    if given is None:
        named = [level for level in _ORDER if keys.get(UNIQUE[level])]
        if not named or named[-1] is Level.PATIENT:
            return Level.STUDY
        return named[-1]
    level = _LEVELS.get(given.upper()) if isinstance(given, str) else None
    if level is None:
        raise _bad("`query_level` is none that DICOM knows", f"write {', '.join(_LEVELS)}")
    return level


def _root(given: object, level: Level, *, by_patient: bool) -> Root:
    """PS3.4 C.6: only the patient root model has a PATIENT level.

    Args:
        given: `query_model`.
        level: of the query.
        by_patient: whether Patient ID must be a unique key, so that a retrieve obeys it.
    """
    if given is None:
        return Root.PATIENT if level is Level.PATIENT or by_patient else Root.STUDY
    if not isinstance(given, str) or given.lower() not in tuple(Root):
        raise _bad("`query_model` is none that DICOM knows", "write patient or study")
    root = Root(given.lower())
    if root is Root.STUDY and level is Level.PATIENT:
        raise _bad(
            "the study model has no PATIENT level",
            'ask at level STUDY, or with `query_model` "patient"',
        )
    return root


def _wanted(given: object) -> list[int]:
    """The attributes that `return` names."""
    if given is None:
        return []
    if not isinstance(given, list) or not all(isinstance(name, str) for name in given):
        raise _bad("`return` is no list of keys", 'write "return": ["study_date"]')
    if len(given) > MAX_RETURN_KEYS:
        raise _bad(f"`return` lists more than {MAX_RETURN_KEYS} keys", "ask for fewer")
    return [find_tag(name) for name in given]


def with_returns(
    keys: Mapping[int, tuple[str, ...]], level: Level, root: Root, wanted: Iterable[int]
) -> dict[int, tuple[str, ...]]:
    """Add what the answer should hold, with universal matching. PS3.4 C.2.2.1.3.

    Raises:
        RequestError: a key is below the level, or something wanted is no key.
    """
    for below in _ORDER[_ORDER.index(level) + 1 :]:
        if keys.get(UNIQUE[below]):  # a PACS may pass over it and answer for everything
            raise _bad(f"{_name(UNIQUE[below])} is below level {level}", f"ask at level {below}")
    found = dict(keys)
    above = [UNIQUE[each] for each in _ORDER[: _ORDER.index(level)]]
    if root is Root.STUDY:
        above = [tag for tag in above if tag != PATIENT_ID]
    for tag in (*_DEFAULTS[level], *above, *wanted):
        if not may_be_key(tag):
            raise _bad(f"{tag:08X} is to be returned, and is no key of a query", "leave it out")
        if tag != QUERY_RETRIEVE_LEVEL:
            found.setdefault(tag, ())
    return found


def _only_unique(
    keys: dict[int, tuple[str, ...]], level: Level, root: Root
) -> dict[int, tuple[str, ...]]:
    """Just the unique keys of the level and of those above it. PS3.4 C.4.2.1.4."""
    needed = [UNIQUE[each] for each in _ORDER[: _ORDER.index(level) + 1]]
    if root is Root.STUDY:
        needed.remove(PATIENT_ID)
    for tag, values in keys.items():
        if tag not in needed:
            raise RequestError(
                f"{_name(tag)} is no key of a retrieve at level {level} in the {root} model",
                code="bad-value",
                hint=f"give just {', '.join(_KEYWORDS[each] for each in needed)}",
            )
        if any(has_wildcard(value) for value in values):
            raise _bad(f"{_name(tag)} holds a wildcard", "a retrieve needs the value itself")
    for tag in needed:
        values = keys.get(tag, ())
        if not values:
            raise RequestError(
                f"a retrieve at level {level} needs `{_KEYWORDS[tag]}`",
                code="missing-uid",
                hint=f"give {', '.join(_KEYWORDS[each] for each in needed)}",
            )
        if len(values) > 1 and (tag != UNIQUE[level] or tag == PATIENT_ID):
            raise _bad(
                f"`{_KEYWORDS[tag]}` has several values; a retrieve takes a list only of UIDs, "
                f"and only at their own level",
                "give one of them",
            )
    return {tag: keys[tag] for tag in needed}


def _name(tag: int) -> str:
    return f"`{_KEYWORDS.get(tag, f'{tag:08X}')}`"


def _refuse_find_controls(controls: Mapping[str, object], operation: Operation) -> None:
    for name in ("return", "limit", "offset"):
        if name in controls:
            raise _bad(f"`{name}` is for find, not for {operation}", "leave it out")
    if operation is not Operation.MOVE and "destination" in controls:
        raise _bad("`destination` is for move", "leave it out")


def _destination(controls: Mapping[str, object], operation: Operation) -> str | None:
    if operation is not Operation.MOVE:
        return None
    title = controls.get("destination")
    if title is None:
        raise RequestError(
            "move needs `destination`",
            code="missing-destination",
            hint="name the AE title that the PACS shall send to",
        )
    if not isinstance(title, str) or not _is_ae_title(title):
        raise _bad("`destination` is no AE title", "write 1 to 16 characters, no backslash")
    return title


def _is_ae_title(text: str) -> bool:
    """PS3.5 6.2, AE."""
    printable = all(0x20 <= ord(char) < 0x7F and char != "\\" for char in text)
    return 1 <= len(text) <= 16 and printable and bool(text.strip())


def _count(controls: Mapping[str, object], name: str, *, least: int) -> int | None:
    value = controls.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= MAX_LIMIT:
        raise _bad(f"`{name}` is no number from {least} to {MAX_LIMIT}", f'write "{name}": 100')
    return value


def _bad(why: str, instead: str) -> RequestError:
    return RequestError(why, code="bad-query", hint=instead)


# Encoding, PS3.5 7.1


_FORMATS = {"US": "H", "SS": "h", "UL": "L", "SL": "l"}
_UTF8 = "ISO_IR 192"


def encode_identifier(query: Query, transfer_syntax: str) -> bytes:
    """The identifier of a request: level and keys in tag order.

    Names the character set only where a value needs one. PS3.4 C.4.1.1.3.1.

    Raises:
        ValueError: no such transfer syntax.
    """
    try:
        syntax = SYNTAXES[transfer_syntax]
    except KeyError:
        raise ValueError(f"identifiers are not encoded in {transfer_syntax}") from None
    elements = {key.tag: key.values for key in query.keys}
    elements[QUERY_RETRIEVE_LEVEL] = (query.level.value,)
    if not all(value.isascii() for values in elements.values() for value in values):
        elements[SPECIFIC_CHARACTER_SET] = (_UTF8,)
    return b"".join(
        _element(tag, vr_of(tag), values, syntax) for tag, values in sorted(elements.items())
    )


def _element(tag: int, vr: str, values: tuple[str, ...], syntax: Syntax) -> bytes:
    if vr in NUMBERS:
        value = b"".join(struct.pack(syntax.order + _FORMATS[vr], int(v)) for v in values)
    else:
        value = "\\".join(values).encode("utf-8")
        if len(value) % 2:
            value += b"\0" if vr == "UI" else b" "
    head = struct.pack(syntax.order + "HH", tag >> 16, tag & 0xFFFF)
    if not syntax.explicit:
        return head + struct.pack(syntax.order + "L", len(value)) + value
    if vr in LONG_VRS:
        return head + vr.encode() + b"\0\0" + struct.pack(syntax.order + "L", len(value)) + value
    return head + vr.encode() + struct.pack(syntax.order + "H", len(value)) + value
