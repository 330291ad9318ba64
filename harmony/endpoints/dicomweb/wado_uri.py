"""WADO-URI: one instance by the parameters of a URL. PS3.18 9."""

from __future__ import annotations

from harmony.dicom.uids import is_uid
from harmony.dicom.web_query import parameters
from harmony.dicom.web_resources import Kind, Resource
from harmony.envelope import Level
from harmony.errors import RequestError
from harmony.web.accept import Accept

_UIDS = {"studyUID": "study", "seriesUID": "series", "objectUID": "instance"}
_NAMES = frozenset((*_UIDS, "requestType", "contentType", "transferSyntax", "frameNumber"))
_DICOM = "application/dicom"


def wado_uri(path: str, query_string: str, *, title: str | None = None) -> tuple[Resource, Accept]:
    """What a WADO-URI request asks for, and in which form. PS3.18 9.1.2.

    Args:
        path: of the request below the root.
        title: AE title or name of the backend that is to answer.

    Raises:
        RequestError: 400, a parameter is missing, twice there, or is none.
    """
    found: dict[str, str] = {}
    for name, value in parameters(query_string):
        if name in found:
            shown = name if name in _NAMES else "a parameter"
            raise _bad(f"`{shown}` is given twice", "give it once")
        found[name] = value
    if found.get("requestType") != "WADO":
        raise _bad("`requestType` is not WADO", "write requestType=WADO")
    uids: dict[str, str] = {}
    for name, what in _UIDS.items():
        uid = found.get(name, "")
        if not is_uid(uid):
            raise _bad(f"`{name}` is no UID", f"write {name}= and the UID of the {what}")
        uids[what] = uid
    # Without a type the server may choose; DICOM is what never loses anything. PS3.18 9.1.2.2.1.
    content_type = found.get("contentType") or _DICOM
    syntax = found.get("transferSyntax")
    if syntax is not None and not is_uid(syntax):
        raise _bad("`transferSyntax` is no UID", "write the UID of a transfer syntax")
    is_dicom = content_type.partition(";")[0].strip().lower() in (_DICOM, "*/*")
    accept = Accept(f"{_DICOM}; transfer-syntax={syntax or '*'}" if is_dicom else content_type)
    frame = found.get("frameNumber")
    if frame is not None and not (frame.isascii() and frame.isdecimal() and int(frame[:9])):
        raise _bad("`frameNumber` is no frame number", "frames are counted from 1")
    resource = Resource(
        kind=Kind.INSTANCES if is_dicom else Kind.RENDERED,
        level=Level.IMAGE,
        study=uids["study"],
        series=uids["series"],
        instance=uids["instance"],
        frames=(int(frame[:9]),) if frame is not None else (),
        title=title,
        depth=path.count("/"),
    )
    return resource, accept


def _bad(why: str, instead: str) -> RequestError:
    return RequestError(why, code="bad-query", hint=instead)
