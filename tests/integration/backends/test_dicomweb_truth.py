"""A bad DICOMweb server drives every operation of the `dicomweb` backend.

Whatever it does, nothing looks like "no results", "complete" or "stored" that is not so; and
the next proper request is served.
"""

from __future__ import annotations

import pytest
import trio

from harmony.dicom.answering import dimse_status
from harmony.envelope import (
    Completion,
    Instance,
    Key,
    Level,
    Match,
    Operation,
    Origin,
    Query,
    RequestEnvelope,
    Root,
    Stored,
)
from harmony.errors import HarmonyError, RequestError, UpstreamError
from harmony.pipeline import Pipeline
from tests.support.dicomweb_server import (
    DATA,
    GOOD,
    HTML,
    JSON,
    LOGIN,
    MARK,
    RELATED,
    ROW,
    STUDY,
    ask,
    before,
    by_method,
    file,
    get,
    related,
    rows,
)
from tests.support.origin import Asked, Visit, by, head, pieces, whole


@pytest.mark.parametrize("operation", GOOD)
async def test_a_good_server_is_passed_on(operation: Operation) -> None:
    async with before(by(lambda asked, _: GOOD[operation])) as (pipeline, server):
        got = await ask(pipeline, operation)
    assert got.outcome.completion is Completion.COMPLETE
    kinds = {
        Operation.ECHO: [],
        Operation.FIND: [Match, Match],
        Operation.GET: [bytes, bytes],
        Operation.STORE: [Stored],
    }
    assert [type(item) for item in got.items] == kinds[operation]
    assert server.asked[0].target.startswith("/root/studies")


# What a status means to a caller of DIMSE: the table, row by row.

TABLE = {  # C-STORE, C-FIND, C-GET and C-MOVE
    400: (0xC000, 0xA900, 0xA900),
    422: (0xC000, 0xA900, 0xA900),
    401: (0x0124, 0x0124, 0x0124),
    403: (0x0124, 0x0124, 0x0124),
    404: (0xC000, 0xC000, 0xC000),
    410: (0xC000, 0xC000, 0xC000),
    406: (0x0122, 0xA900, 0xA702),
    415: (0x0122, 0xA900, 0xA702),
    409: (0xC000, 0xC000, 0xC000),
    413: (0xA700, 0xA700, 0xA701),
    **dict.fromkeys((408, 425, 429, 502, 503, 504, 507), (0xA700, 0xA700, 0xA702)),
    **dict.fromkeys((500, 501, 418, 301, 302, 303, 307, 308), (0xC000, 0xC000, 0xC000)),
}


async def told(pipeline: Pipeline, operation: Operation) -> tuple[int, HarmonyError | None]:
    """The DIMSE status of the failure, and the failure if it was one of the request."""
    try:
        got = await ask(pipeline, operation)
    except HarmonyError as exc:
        return dimse_status(exc, operation), exc
    (stored,) = got.items
    assert isinstance(stored, Stored)
    return stored.status, None


@pytest.mark.parametrize("status", TABLE)
@pytest.mark.parametrize(
    ("operation", "column"), [(Operation.STORE, 0), (Operation.FIND, 1), (Operation.GET, 2)]
)
async def test_a_status_is_what_the_table_says(
    status: int, operation: Operation, column: int
) -> None:
    body = f"<html>{MARK}".encode()
    refused = whole(body, status, HTML, ("Location", f"/{MARK}"), ("Retry-After", "7"))
    async with before(by(lambda *_: refused)) as (pipeline, server):
        dimse, error = await told(pipeline, operation)
        assert dimse == TABLE[status][column]
        if error is not None:
            assert isinstance(error, UpstreamError)
            assert error.peer_http_status == status
            assert error.backend == "web"
            assert error.http_status not in (401, 403)
            assert MARK not in f"{error.detail} {error.hint} {error.comment}"
            assert (error.retry_after == 7) == (error.http_status == 503)
        assert all("/root/studies" in asked.target for asked in server.asked)
        server.script = by(lambda *_: GOOD[operation])
        await ask(pipeline, operation)


@pytest.mark.parametrize("told_of", ["9" * 30, "-1", "soon", "Wed, 21 Oct 2026 07:28:00 GMT", ""])
async def test_a_strange_time_to_retry_after_is_ours(told_of: str) -> None:
    refused = whole(b"", 503, ("Retry-After", told_of))
    async with before(by(lambda *_: refused)) as (pipeline, _):
        with pytest.raises(UpstreamError) as caught:
            await ask(pipeline, Operation.FIND)
    assert caught.value.retry_after == 10


# What is no answer at all.

BAD_BODIES = {
    "log-in page": whole(LOGIN, 200, HTML),
    "log-in page as JSON": whole(LOGIN, 200, JSON),
    "no type": whole(b"[]", 200),
    "no body": whole(b"", 200, JSON),
    "another type": whole(b"[]", 200, ("Content-Type", "text/plain")),
    "an error object": whole(b'{"error": "Doe^Jane"}', 200, JSON),
    "null": whole(b"null", 200, JSON),
    "cut JSON": whole(rows(ROW)[:-1], 200, JSON),
    "cut JSON within a row": whole(rows(ROW)[:-20], 200, JSON),
    "rows of text": whole(rows(MARK, MARK), 200, JSON),
    "rows of rows": whole(rows([ROW]), 200, JSON),
    "no DICOM JSON": whole(rows({"name": MARK}), 200, JSON),
    "a wrong VR": whole(rows({"0020000D": {"vr": "ZZZ", "Value": [MARK]}}), 200, JSON),
    "a wrong value": whole(rows({"0020000D": {"vr": "US", "Value": [MARK]}}), 200, JSON),
    "twice the same key": whole(b'[{"0020000D":{"vr":"UI"},"0020000D":{"vr":"UI"}}]', 200, JSON),
    "two arrays": whole(b"[][]", 200, JSON),
    "a huge row": whole(rows({"0020000D": {"vr": "UI", "Value": ["1" * 2_000_000]}}), 200, JSON),
    "closes early": head(200, JSON, ("Content-Length", "99999")) + rows(ROW)[:-1],
    "says nothing": b"",
}


@pytest.mark.parametrize("bad", BAD_BODIES.values(), ids=BAD_BODIES.keys())
@pytest.mark.parametrize("operation", GOOD)
async def test_what_is_no_answer_is_a_failure(bad: bytes, operation: Operation) -> None:
    current = bad
    script = by(lambda *_: current)
    if b"99999" in bad or not bad:
        script = pieces([bad] if bad else [], end="close" if bad else "hang")
    async with before(script) as (pipeline, server):
        with pytest.raises(UpstreamError) as caught:
            await ask(pipeline, operation)
        current = GOOD[operation]
        error = caught.value
        assert error.http_status in (502, 504)
        assert MARK not in f"{error.detail} {error.hint} {error!r}"
        server.script = by(lambda *_: current)
        await ask(pipeline, operation)


BAD_PARTS = {
    "no closing boundary": related(file(), file(), closed=False),
    "cut within a part": related(file(), file())[:-200],
    "a part that is no DICOM": related(file(), b"Doe^Jane" * 100),
    "an empty part": related(file(), b""),
    "a nested multipart": b"--frontier\r\nContent-Type: multipart/mixed\r\n\r\nx\r\n--frontier--",
    "no parts": b"Doe^Jane",
}


@pytest.mark.parametrize("body", BAD_PARTS.values(), ids=BAD_PARTS.keys())
@pytest.mark.parametrize("known", [True, False])
async def test_a_multipart_that_is_not_whole_is_a_failure(body: bytes, known: bool) -> None:
    answer = whole(body, 200, RELATED) if known else head(200, RELATED) + body
    async with before(pieces([answer])) as (pipeline, _):
        with pytest.raises(UpstreamError) as caught:
            await ask(pipeline, Operation.GET)
    assert caught.value.code == "undecodable-answer"
    assert MARK not in caught.value.detail


@pytest.mark.parametrize(
    "kind",
    [
        "multipart/related",
        "multipart/related; boundary=",
        'multipart/related; type="application/dicom+xml"; boundary=frontier',
        "application/json",
        "text/html",
    ],
)
async def test_a_retrieve_of_another_type_is_a_failure(kind: str) -> None:
    answer = whole(related(file()), 200, ("Content-Type", kind))
    async with before(by(lambda *_: answer)) as (pipeline, _):
        with pytest.raises(UpstreamError, match="cannot be read"):
            await ask(pipeline, Operation.GET)


async def test_a_single_file_is_a_retrieve_too() -> None:
    answer = whole(file(), 200, ("Content-Type", "application/dicom"))
    async with before(by(lambda *_: answer)) as (pipeline, _):
        got = await ask(pipeline, Operation.GET, get(Level.IMAGE))
    assert got.items == [DATA]


async def test_another_instance_than_was_asked_for_is_a_failure() -> None:
    answer = whole(related(file("1.9.9")), 200, RELATED)
    async with before(by(lambda *_: answer)) as (pipeline, _):
        with pytest.raises(UpstreamError, match="another instance"):
            await ask(pipeline, Operation.GET, get(Level.IMAGE))


async def test_an_instance_beyond_the_limit_is_a_failure() -> None:
    answer = whole(related(file(data=bytes(2000))), 200, RELATED)
    async with before(by(lambda *_: answer), max_object_bytes=1000) as (pipeline, _):
        with pytest.raises(UpstreamError, match="more than 1000 bytes"):
            await ask(pipeline, Operation.GET)


async def test_a_partial_retrieve_is_partial() -> None:
    answer = whole(related(file()), 206, RELATED)
    async with before(by(lambda *_: answer)) as (pipeline, _):
        got = await ask(pipeline, Operation.GET)
    assert got.outcome.completion is Completion.PARTIAL
    assert got.items == [DATA]


@pytest.mark.parametrize("status", [404, 410, 204])
async def test_a_study_that_is_not_there_is_told_from_a_service_that_is_not(status: int) -> None:
    there = by_method(whole(b"[]", 200, JSON), head(status, ("Content-Length", "0")))
    async with before(by(there)) as (pipeline, server):
        with pytest.raises(RequestError) as caught:
            await ask(pipeline, Operation.GET)
        assert (caught.value.http_status, caught.value.code) == (404, "not-found")
        if status != 204:
            server.script = by(lambda *_: whole(b"", status))
            with pytest.raises(UpstreamError) as missing:
                await ask(pipeline, Operation.GET)
            assert missing.value.code == "service-missing"


async def test_a_server_that_does_not_know_the_wildcard_is_asked_again() -> None:
    def answer(asked: Asked, _: int) -> bytes:
        wild = "transfer-syntax=*" in str(asked.get("accept"))
        return whole(b"", 406) if wild else GOOD[Operation.GET]

    async with before(by(answer)) as (pipeline, _):
        assert len((await ask(pipeline, Operation.GET)).items) == 2


async def test_each_uid_of_a_list_is_asked_for_by_itself() -> None:
    def answer(asked: Asked, _: int) -> bytes:
        if asked.target.endswith("/1.2"):
            return whole(b"", 404)
        return whole(b"[]", 200, JSON) if "?" in asked.target else GOOD[Operation.GET]

    async with before(by(answer)) as (pipeline, server):
        got = await ask(pipeline, Operation.GET, get(Level.STUDY, "1.1", "1.2", "1.3"))
    assert len(got.items) == 4
    paths = [asked.target for asked in server.asked if "?" not in asked.target]
    assert paths == [f"/root/studies/1.{n}" for n in (1, 2, 3)]


async def test_a_patient_is_retrieved_study_by_study() -> None:
    studies = whole(rows(ROW, {"0020000D": {"vr": "UI", "Value": ["1.9"]}}, ROW), 200, JSON)
    script = by(by_method(studies, GOOD[Operation.GET]))
    async with before(script) as (pipeline, server):
        got = await ask(pipeline, Operation.GET, get(Level.PATIENT))
    assert len(got.items) == 4
    assert [asked.target for asked in server.asked] == [
        "/root/studies?00100020=P1&includefield=0020000D",
        f"/root/studies/{STUDY}",
        "/root/studies/1.9",
    ]


@pytest.mark.parametrize("uid", [None, "", "../../admin", 7])
async def test_a_study_whose_uid_is_none_is_a_failure(uid: object) -> None:
    row = {"0020000D": {"vr": "UI", "Value": [uid]}}
    async with before(by(lambda *_: whole(rows(row), 200, JSON))) as (pipeline, server):
        with pytest.raises(UpstreamError, match="no UID"):
            await ask(pipeline, Operation.GET, get(Level.PATIENT))
    assert len(server.asked) == 1


@pytest.mark.parametrize("level", [Level.SERIES, Level.IMAGE])
async def test_a_retrieve_without_the_uids_above_is_the_callers_fault(level: Level) -> None:
    own = {Level.SERIES: 0x0020000E, Level.IMAGE: 0x00080018}[level]
    query = Query(level=level, root=Root.STUDY, keys=(Key(own, ("1.2",)),))
    async with before(by(lambda *_: GOOD[Operation.GET])) as (pipeline, server):
        with pytest.raises(RequestError, match="Instance UID"):
            await ask(pipeline, Operation.GET, query)
    assert not server.asked


async def test_the_first_instance_leaves_before_the_second_has_come() -> None:
    first_read = trio.Event()

    async def script(visit: Visit) -> None:
        await visit.asked()
        body = related(file(), file())
        half = body.index(b"--frontier", 10) + 12
        await visit.send(head(200, RELATED, ("Content-Length", str(len(body)))) + body[:half])
        await first_read.wait()
        await visit.send(body[half:])

    request = RequestEnvelope(
        id="r",
        operation=Operation.GET,
        origin=Origin(pipeline="p", endpoint="e", caller="TESTER"),
        query=get(),
    )
    async with before(script, timeouts={}) as (pipeline, _), pipeline.exchange(request) as answered:
        seen = 0
        async for item in answered.items:
            assert isinstance(item, Instance)
            assert b"".join([chunk async for chunk in item.data]) == DATA
            seen += 1
            first_read.set()
        assert seen == 2
