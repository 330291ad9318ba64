"""The fates of the instances in a STOW request: the Store Instances Response. PS3.18 I.2.

`response` makes one, `read` takes one apart.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from xml.etree import ElementTree

import msgspec

from harmony.dicom import strict_json
from harmony.dicom.multipart import bare_type
from harmony.dicom.status import StatusKind, kind
from harmony.dicom.status_codes import UNABLE_TO_PROCESS
from harmony.errors import RequestError

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


# Reading

_JSON = frozenset(("application/dicom+json", "application/json"))
_XML = frozenset(("application/dicom+xml", "application/xml", "text/xml"))
_NATIVE = "{http://dicom.nema.org/PS3.19/models/NativeDICOM}"  # PS3.19 A.1


class NotAResponse(ValueError):
    """This is no Store Instances Response. Nothing of it is quoted."""


def read(body: bytes, content_type: str | None) -> Mapping[str, int]:
    """The status of each instance that the response names, by SOP Instance UID.

    One that is named as failed has a failure status, whatever the reason says; one named both
    ways has failed.

    Raises:
        NotAResponse
    """
    kind_of_body = bare_type(content_type)
    if kind_of_body in _JSON:
        items = _items_of_json(body)
    elif kind_of_body in _XML:
        items = _items_of_xml(body)
    else:
        raise NotAResponse("it is neither DICOM JSON nor DICOM XML")
    found: dict[str, int] = {}
    for sequence, uid, reason in items:
        failed = sequence == _FAILED
        status = reason if reason is not None else UNABLE_TO_PROCESS if failed else 0
        if failed and kind(status) is not StatusKind.FAILURE:
            status = UNABLE_TO_PROCESS
        if failed or kind(found.get(uid, 0)) is not StatusKind.FAILURE:
            found[uid] = status
    return found


def _items_of_json(body: bytes) -> Iterator[tuple[str, str, int | None]]:
    try:
        document = strict_json.loads(body)
    except RequestError:
        raise NotAResponse("it is no proper JSON") from None
    if isinstance(document, list) and len(document) == 1:  # some send the module in an array
        document = document[0]
    if not isinstance(document, dict):
        raise NotAResponse("it is no JSON object")
    for sequence, reason in ((_STORED, _WARNING_REASON), (_FAILED, _FAILURE_REASON)):
        for item in _values(document, sequence):
            if not isinstance(item, dict):
                raise NotAResponse("an item of it is no object")
            uids = _values(item, _INSTANCE)
            if uids and isinstance(uids[0], str):
                reasons = _values(item, reason)
                yield sequence, uids[0], _number(reasons[0]) if reasons else None


def _values(document: Mapping[str, object], tag: str) -> list[object]:
    attribute = document.get(tag, {})
    values = attribute.get("Value", []) if isinstance(attribute, dict) else None
    if not isinstance(values, list):
        raise NotAResponse(f"its attribute {tag} is none")
    return values


def _number(value: object) -> int:
    try:
        if isinstance(value, int | str):
            return int(value)
    except ValueError:
        pass
    raise NotAResponse("a reason in it is no number")


def _items_of_xml(body: bytes) -> Iterator[tuple[str, str, int | None]]:
    if b"<!DOCTYPE" in body or b"\0" in body:  # the one defines entities, the other hides it
        raise NotAResponse("its XML has a document type, or is not UTF-8")
    try:
        root = ElementTree.fromstring(body)  # noqa: S314 - without a document type it is tame
    except ElementTree.ParseError:
        raise NotAResponse("it is no proper XML") from None
    if root.tag.removeprefix(_NATIVE) != "NativeDicomModel":
        raise NotAResponse("it is no native DICOM model")
    for sequence, reason in ((_STORED, _WARNING_REASON), (_FAILED, _FAILURE_REASON)):
        for attribute in _attributes(root, sequence):
            for item in attribute:
                uid = _first_text(item, _INSTANCE)
                if uid is not None:
                    told = _first_text(item, reason)
                    yield sequence, uid, None if told is None else _number(told)


def _attributes(model: ElementTree.Element, tag: str) -> Iterator[ElementTree.Element]:
    for attribute in model:
        if attribute.tag.removeprefix(_NATIVE) == "DicomAttribute" and attribute.get("tag") == tag:
            yield attribute


def _first_text(model: ElementTree.Element, tag: str) -> str | None:
    for attribute in _attributes(model, tag):
        for value in attribute:
            if value.text and value.text.strip():
                return value.text.strip()
    return None
