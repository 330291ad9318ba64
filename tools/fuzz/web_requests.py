"""What in this process reads the requests of DICOMweb: paths, queries, Accept, multipart bodies."""

from __future__ import annotations

import random

from harmony.dicom.multipart import MultipartReader, PartData
from harmony.dicom.web_query import parse_search
from harmony.dicom.web_resources import Kind, resource_of
from harmony.endpoints.dicomweb.wado_uri import wado_uri
from harmony.errors import RequestError
from harmony.rendering.wanted import parse
from harmony.web.accept import Accept, Offer
from harmony.web.router import split_path
from tests.support.bad_caller.mutation import mutate
from tools.fuzz.surface import Surface, Wrong, chunks

_PATHS = (
    b"/studies/1.2/series/3.4/instances/5.6/frames/1,2,3",
    b"/studies/1.2/series/3.4/instances/5.6/bulk/54000100/0/54001010",
    b"/aets/PACS/studies/1.2/metadata",
    b"/studies/1.2/series",
    b"/instances/",
)
_QUERIES = (
    b"PatientName=Smith%2A&StudyDate=20240101-20240131&limit=10&offset=3",
    b"00100020=H1&includefield=00081030%2C00080060&fuzzymatching=true",
    b"StudyInstanceUID=1.2,1.3%5C1.4&includefield=all",
    b"requestType=WADO&studyUID=1.2&seriesUID=3.4&objectUID=5.6&contentType=image%2Fjpeg",
    b"window=40,400,sigmoid&viewport=512,512,0,0,-10,10&quality=90",
)
_ACCEPTS = (
    b'multipart/related; type="application/dicom"; transfer-syntax=*, application/dicom;q=0.5',
    b"multipart/related; type=application/octet-stream; transfer-syntax=*",
    b"text/html,application/xhtml+xml,application/xml;q=0.9,image/webp,*/*;q=0.8",
)
_OFFERS = (Offer("application/dicom", multipart=True), Offer("application/dicom"))
_BODY = (
    b"preamble\r\n--b\r\nContent-Type: application/dicom\r\nContent-Location: a\r\n\r\n"
    b"some data\r\n--b \r\n\r\nmore\r\n-- b\r\n--b--\r\nepilogue"
)
_STATUSES = (400, 404, 406, 413)


def _spoilt(rng: random.Random, kinds: tuple[bytes, ...]) -> bytes:
    data = rng.choice(kinds)
    for _ in range(rng.randrange(4)):
        data = mutate(rng, data)
    return data[:20_000]


def _make_request(rng: random.Random) -> tuple[str, bytes]:
    what = rng.choice(("path", "query", "accept"))
    kinds = {"path": _PATHS, "query": _QUERIES, "accept": _ACCEPTS}[what]
    return what, _spoilt(rng, kinds)


def _check_request(what: str, data: bytes) -> None:
    text = data.decode("latin-1")
    try:
        if what == "path":
            resource_of("/" + "/".join(split_path(data)), storing=False)
        elif what == "accept":
            Accept(text).choose(_OFFERS)
        else:
            _read_query(text)
    except RequestError as exc:
        _told(exc)


def _read_query(text: str) -> None:
    """Each of those that read queries; one that refuses does not keep the next from reading."""
    resource = resource_of("/studies/1.2/series", storing=False)
    if resource.kind is not Kind.SEARCH:
        raise Wrong("a search is none")
    try:
        for key in parse_search(resource, text).query.keys:
            if any("\\" in value for value in key.values):
                raise Wrong("a value is several")
    except RequestError as exc:
        _told(exc)
    try:
        wado_uri("/wado", text)
    except RequestError as exc:
        _told(exc)
    parse([part.partition("=")[::2] for part in text.split("&")], frame=1, thumbnail=False)


def _told(error: RequestError) -> None:
    # The name of a key is quoted to who sent it, in any script, and nothing of it is logged.
    if not error.detail.isprintable():
        raise Wrong(f"the error's text is not printable: {error.detail!a}")
    if error.http_status not in _STATUSES:
        raise Wrong(f"status {error.http_status} for what the client did")


def _make_multipart(rng: random.Random) -> tuple[str, bytes]:
    return str(rng.choice((1, 3, 17, 4096))), _spoilt(rng, (_BODY, _BODY * 3))


def _check_multipart(size: str, data: bytes) -> None:
    reader = MultipartReader(b"b", max_parts=5, max_header_bytes=200)
    given = 0
    try:
        for chunk in chunks(data, int(size)):
            for event in reader.feed(chunk):
                given += len(event.data) if isinstance(event, PartData) else 0
        reader.close()
    except RequestError as exc:
        _told(exc)
    if given > len(data):
        raise Wrong("more came out than went in")


SURFACES = {
    "request": Surface(_make_request, _check_request),
    "multipart": Surface(_make_multipart, _check_multipart),
}
