"""What a client asks in the query of a URL, as a `Query`. PS3.18 8.3.4 and 10.6.1.2."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import unquote_plus

from harmony.dicom.keys import find_tag, texts, vr_of
from harmony.dicom.query import (
    MAX_LIMIT,
    MAX_RETURN_KEYS,
    QUERY_RETRIEVE_LEVEL,
    SERIES_INSTANCE_UID,
    SOP_INSTANCE_UID,
    STUDY_INSTANCE_UID,
    may_be_key,
    with_returns,
)
from harmony.dicom.web_resources import Resource
from harmony.envelope import Key, Level, Query, Root
from harmony.errors import RequestError

MAX_PARAMETERS = 200
FUZZY_UNSUPPORTED = (
    "The fuzzymatching parameter is not supported. Only literal matching has been performed."
)

_NUMBER = re.compile(r"[0-9]{1,7}", re.ASCII)
_UIDS = re.compile(r"[,\\]")
# Asked for besides what every query asks for. PS3.18 tables 10.6.3-3 to 10.6.3-5.
_MORE: dict[Level, tuple[int, ...]] = {
    Level.PATIENT: (),
    Level.STUDY: (),
    Level.SERIES: (0x00400244, 0x00400245),
    Level.IMAGE: (0x00280008, 0x00280010, 0x00280011, 0x00280100),
}
# A C-FIND must name what it wants: `all` stands for these, which archives know.
_ALL: dict[Level, tuple[int, ...]] = {
    Level.PATIENT: (),
    Level.STUDY: (
        *(0x00080080, 0x00081048, 0x00081060, 0x00081080, 0x00101010, 0x00101020, 0x00101030),
        *(0x00102160, 0x00102180, 0x001021B0, 0x00104000, 0x00200010, 0x00321060, 0x00324000),
    ),
    Level.SERIES: (
        *(0x00080070, 0x00080080, 0x00081010, 0x00081040, 0x00081050, 0x00081070, 0x00081090),
        *(0x00181030, 0x00200052, 0x00200060, 0x00204000, 0x00400275, 0x00400253, 0x00400254),
    ),
    Level.IMAGE: (
        *(0x00080008, 0x00080012, 0x00080013, 0x00080022, 0x00080023, 0x00080032, 0x00080033),
        *(0x00180050, 0x00200012, 0x00200032, 0x00200037, 0x00200052, 0x00201041, 0x00204000),
        *(0x00280002, 0x00280004, 0x00280030, 0x00280101, 0x00280102, 0x00280103),
        *(0x00281050, 0x00281051, 0x00281052, 0x00281053),
    ),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class WebQuery:
    """A query, and what of it cannot be done.

    Attributes:
        notices: texts for ``Warning``: what was asked for and not done.
    """

    query: Query
    notices: tuple[str, ...] = ()


def parse_search(resource: Resource, query_string: str) -> WebQuery:
    """Check what a client asks of a resource that is searched, and make a query of it.

    Args:
        resource: of kind SEARCH; its UIDs are keys.
        query_string: as in the URL, without ``?``.

    Raises:
        RequestError: 400, saying what to write instead.
    """
    level = resource.level
    assert level is not None, "nothing to search for"
    keys: dict[int, tuple[str, ...]] = {}
    names = {
        tag: "the path"
        for tag, uid in (
            (STUDY_INSTANCE_UID, resource.study),
            (SERIES_INSTANCE_UID, resource.series),
            (SOP_INSTANCE_UID, resource.instance),
        )
        if uid is not None
    }
    for tag, uid in ((STUDY_INSTANCE_UID, resource.study), (SERIES_INSTANCE_UID, resource.series)):
        if uid is not None:
            keys[tag] = (uid,)
    controls: dict[str, str] = {}
    wanted: list[int] = []
    for name, value in parameters(query_string):
        if name == "includefield":
            wanted += _fields(value, level)
        elif name in _CONTROLS:
            if name in controls:
                raise _bad(f"`{name}` is given twice", "give it once")
            controls[name] = value
        else:
            tag = _key(name)
            if tag in names:
                raise _bad(
                    f"{tag:08X} is given twice, the first time in {names[tag]}", "give it once"
                )
            names[tag] = "a parameter"
            keys[tag] = _values(name, tag, value)
    if len(wanted) > MAX_RETURN_KEYS:
        raise _bad(f"`includefield` names more than {MAX_RETURN_KEYS} attributes", "ask for fewer")
    returned = with_returns(keys, level, Root.STUDY, (*_MORE[level], *wanted))
    limit = _number(controls, "limit", least=1)
    fuzzy = _flag(controls, "fuzzymatching")
    _flag(controls, "emptyvaluematching")
    return WebQuery(
        query=Query(
            level=level,
            root=Root.STUDY,
            keys=tuple(Key(tag, values) for tag, values in sorted(returned.items())),
            limit=limit,
            offset=_number(controls, "offset", least=0) or 0,
        ),
        notices=(FUZZY_UNSUPPORTED,) if fuzzy else (),
    )


_CONTROLS = frozenset(("limit", "offset", "fuzzymatching", "emptyvaluematching", "accept"))


def parameters(query_string: str) -> Iterator[tuple[str, str]]:
    """Names and values of a URL's query, decoded.

    Raises:
        RequestError: 400 for what is no UTF-8, or too many.
    """
    parts = [part for part in query_string.split("&") if part]
    if len(parts) > MAX_PARAMETERS:
        raise _bad(f"there are more than {MAX_PARAMETERS} parameters", "ask in several requests")
    for part in parts:
        name, _, value = part.partition("=")
        try:
            yield unquote_plus(name, errors="strict"), unquote_plus(value, errors="strict")
        except UnicodeDecodeError:
            raise _bad("a parameter is not UTF-8", "encode it as UTF-8, then by percent") from None


def _fields(value: str, level: Level) -> Iterator[int]:
    """Attributes that an ``includefield`` names: of a path in a sequence, the sequence."""
    for name in filter(None, (part.strip() for part in value.split(","))):
        if name == "all":
            yield from _ALL[level]
        else:
            tag = find_tag(name.partition(".")[0])
            if tag != QUERY_RETRIEVE_LEVEL and may_be_key(tag):
                yield tag


def _key(name: str) -> int:
    if "." in name:
        raise _bad(
            f"`{name[:40] if name.isprintable() else '?'}` is in a sequence, "
            "which cannot be matched here",
            "match on attributes outside of sequences",
        )
    tag = find_tag(name)
    if tag == QUERY_RETRIEVE_LEVEL or not may_be_key(tag):
        raise _bad(f"{tag:08X} is no key of a query", "leave it out")
    return tag


def _values(name: str, tag: int, value: str) -> tuple[str, ...]:
    """The values of a key; UIDs may be a list. PS3.18 8.3.4.1."""
    if vr_of(tag) == "UI" and _UIDS.search(value):
        return texts(name, tag, [part for part in _UIDS.split(value) if part])
    return texts(name, tag, value)


def _number(controls: dict[str, str], name: str, *, least: int) -> int | None:
    text = controls.get(name)
    if text is None:
        return None
    if not _NUMBER.fullmatch(text) or not least <= int(text) <= MAX_LIMIT:
        raise _bad(f"`{name}` is no number from {least} to {MAX_LIMIT}", f"write {name}=100")
    return int(text)


def _flag(controls: dict[str, str], name: str) -> bool:
    text = controls.get(name, "false").lower()
    if text not in ("true", "false"):
        raise _bad(f"`{name}` is neither true nor false", f"write {name}=true")
    return text == "true"


def _bad(why: str, instead: str) -> RequestError:
    return RequestError(why, code="bad-query", hint=instead)
