"""The one instance that stands for a series or a study: for a thumbnail. PS3.18 10.4.1.1.4."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import msgspec

from harmony.dicom.dicomjson import match_to_json
from harmony.dicom.query import SERIES_INSTANCE_UID, SOP_INSTANCE_UID, STUDY_INSTANCE_UID
from harmony.dicom.uids import is_uid
from harmony.dicom.web_resources import Resource
from harmony.endpoints.dicomweb.asking import Asking
from harmony.endpoints.dicomweb.metadata import damaged, nothing
from harmony.envelope import Completion, Key, Level, Match, Operation, Query, Root
from harmony.web.exchange import Request

_MODALITY, _SERIES_NUMBER, _INSTANCE_NUMBER = 0x00080060, 0x00200011, 0x00200013
# What has nothing to look at. PS3.3 C.7.3.1.1.1.
_WITHOUT_PICTURES = frozenset(
    ("AU", "DOC", "KO", "PLAN", "PR", "REG", "RTPLAN", "RTRECORD", "RTSTRUCT", "SR")
)
_MOST = 2000  # rows that are looked through; of a longer series it is the middle of these

_decode = msgspec.json.Decoder(dict[str, dict[str, object]]).decode
_Row = Mapping[str, Mapping[str, object]]


async def representative(asking: Asking, request: Request, resource: Resource) -> Resource:
    """The instance in the middle of a series; of a study, that of its first series of images.

    By Series Number and Instance Number: those that have none come last.

    Raises:
        RequestError: 404, there is none.
        HarmonyError, StreamBroken: the backend cannot say.
    """
    if resource.series is None:
        wanted = (_MODALITY, SERIES_INSTANCE_UID, _SERIES_NUMBER)
        rows = await _rows(asking, request, resource, Level.SERIES, wanted)
        rows.sort(key=_series_rank)
        resource = dataclasses.replace(resource, series=_uid(rows[0], SERIES_INSTANCE_UID))
    keys = (SOP_INSTANCE_UID, _INSTANCE_NUMBER)
    rows = await _rows(asking, request, resource, Level.IMAGE, keys)
    rows.sort(key=lambda row: _number(row, _INSTANCE_NUMBER))
    instance = _uid(rows[len(rows) // 2], SOP_INSTANCE_UID)
    return dataclasses.replace(resource, level=Level.IMAGE, instance=instance)


async def _rows(
    asking: Asking, request: Request, resource: Resource, level: Level, wanted: tuple[int, ...]
) -> list[_Row]:
    """What there is at a level, at least one."""
    above = {STUDY_INSTANCE_UID: resource.study, SERIES_INSTANCE_UID: resource.series}
    keys = {tag: () if uid is None else (uid,) for tag, uid in above.items()}
    keys = {tag: values for tag, values in keys.items() if values or tag in wanted}
    keys |= {tag: () for tag in wanted if tag not in keys}
    query = Query(
        level=level,
        root=Root.STUDY,
        keys=tuple(Key(tag, values) for tag, values in sorted(keys.items())),
        limit=_MOST,
    )
    found: list[_Row] = []
    async with asking.exchange(
        asking.envelope(request, resource, Operation.FIND, query=query)
    ) as response:
        async for item in response.items:
            if isinstance(item, Match):
                found.append(_decode(match_to_json(item)))
        if not found:
            raise nothing(Completion.COMPLETE, response.items.outcome.status)
    return found


def _text(row: _Row, tag: int) -> str:
    values = row.get(f"{tag:08X}", {}).get("Value")
    return str(values[0]) if isinstance(values, list) and values else ""


def _series_rank(row: _Row) -> tuple[bool, float]:
    return _text(row, _MODALITY) in _WITHOUT_PICTURES, _number(row, _SERIES_NUMBER)


def _number(row: _Row, tag: int) -> float:
    try:
        return float(_text(row, tag))
    except ValueError:
        return float("inf")


def _uid(row: _Row, tag: int) -> str:
    uid = _text(row, tag)
    if not is_uid(uid):
        raise damaged("a match names no UID")
    return uid
