"""The fates of the instances in a STOW request: the Store Instances Response. PS3.18 I.2."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import msgspec

from harmony.dicom.status import StatusKind, kind

_RETRIEVE_URL = "00081190"
_FAILED, _FAILURE_REASON = "00081198", "00081197"
_STORED, _WARNING_REASON = "00081199", "00081196"
_OTHERS = "0008119A"
_CLASS, _INSTANCE = "00081150", "00081155"

_encode = msgspec.json.Encoder().encode


@dataclass(frozen=True, slots=True, kw_only=True)
class Fate:
    """What became of one instance.

    Attributes:
        sop_class_uid, sop_instance_uid: None where they could not be known.
        status: the DIMSE status of its storage. PS3.4 B.2.3.
        url: to retrieve it with; None if that is not known.
    """

    sop_class_uid: str | None
    sop_instance_uid: str | None
    status: int
    url: str | None = None


def response(fates: Iterable[Fate], *, study_url: str | None = None) -> bytes:
    """The response module as a DICOM JSON object.

    Args:
        fates: in the order of the instances.
        study_url: to retrieve the study with, if all belong to one.
    """
    stored: list[Mapping[str, object]] = []
    failed: list[Mapping[str, object]] = []
    others: list[Mapping[str, object]] = []
    for fate in fates:
        outcome = kind(fate.status)
        if outcome in (StatusKind.SUCCESS, StatusKind.WARNING):
            item = _reference(fate)
            if fate.url is not None:
                item[_RETRIEVE_URL] = _of("UR", fate.url)
            if outcome is StatusKind.WARNING:
                item[_WARNING_REASON] = _of("US", fate.status)
            stored.append(_sorted(item))
        elif fate.sop_instance_uid is None:
            others.append({_FAILURE_REASON: _of("US", fate.status)})
        else:
            item = _reference(fate)
            item[_FAILURE_REASON] = _of("US", fate.status)
            failed.append(_sorted(item))
    module: dict[str, object] = {}
    if study_url is not None and stored:
        module[_RETRIEVE_URL] = _of("UR", study_url)
    for tag, items in ((_FAILED, failed), (_STORED, stored), (_OTHERS, others)):
        if items:
            module[tag] = {"vr": "SQ", "Value": items}
    return _encode(_sorted(module))


def _reference(fate: Fate) -> dict[str, object]:
    found: dict[str, object] = {}
    if fate.sop_class_uid is not None:
        found[_CLASS] = _of("UI", fate.sop_class_uid)
    if fate.sop_instance_uid is not None:
        found[_INSTANCE] = _of("UI", fate.sop_instance_uid)
    return found


def _of(vr: str, value: str | int) -> Mapping[str, object]:
    return {"vr": vr, "Value": [value]}


def _sorted(found: Mapping[str, object]) -> dict[str, object]:
    return {tag: found[tag] for tag in sorted(found)}
