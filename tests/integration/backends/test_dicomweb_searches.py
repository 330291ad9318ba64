"""Searches of the `dicomweb` backend at a server that pages, cuts and repeats itself."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import trio

from harmony.envelope import (
    Completion,
    Key,
    Level,
    Operation,
    Origin,
    RequestEnvelope,
)
from harmony.errors import RequestError, UpstreamError
from tests.support.dicomweb_server import (
    JSON,
    ROW,
    ask,
    before,
    find,
    rows,
)
from tests.support.origin import Asked, Visit, by, head, whole


async def test_the_first_match_leaves_before_the_last_has_come() -> None:
    first_read = trio.Event()

    async def script(visit: Visit) -> None:
        await visit.asked()
        body = rows(ROW, ROW)
        half = len(body) // 2 + 5
        await visit.send(head(200, JSON, ("Content-Length", str(len(body)))) + body[:half])
        await first_read.wait()
        await visit.send(body[half:])

    request = RequestEnvelope(
        id="r",
        operation=Operation.FIND,
        origin=Origin(pipeline="p", endpoint="e", caller="TESTER"),
        query=find(),
    )
    async with before(script, timeouts={}) as (pipeline, _), pipeline.exchange(request) as answered:
        seen = 0
        async for _item in answered.items:
            seen += 1
            first_read.set()
        assert seen == 2


@pytest.mark.parametrize("answer", [whole(b"[]", 200, JSON), head(204)], ids=["200", "204"])
async def test_no_match_is_no_match(answer: bytes) -> None:
    async with before(by(lambda *_: answer)) as (pipeline, _):
        got = await ask(pipeline, Operation.FIND)
    assert (got.items, got.outcome.completion) == ([], Completion.COMPLETE)


def paged(total: int, at_most: int, *, warns: bool = True) -> Callable[[Asked, int], bytes]:
    """A server with so many studies, that gives so many at a time."""

    def answer(asked: Asked, _: int) -> bytes:
        parameters = dict(
            part.split("=") for part in asked.target.partition("?")[2].split("&") if part
        )
        offset, limit = int(parameters.get("offset", 0)), int(parameters.get("limit", total + 1))
        stop = min(offset + min(limit, at_most), total)
        found = [{"0020000D": {"vr": "UI", "Value": [f"1.2.{n}"]}} for n in range(offset, stop)]
        more = [("Warning", '299 h "There are additional results that can be requested"')]
        return whole(rows(*found), 200, JSON, *(more if warns and stop < total else []))

    return answer


@pytest.mark.parametrize(
    ("total", "at_most", "limit", "offset", "expected"),
    [
        (10, 100, None, 0, (10, Completion.COMPLETE)),
        (10, 3, None, 0, (10, Completion.COMPLETE)),
        (10, 3, None, 4, (6, Completion.COMPLETE)),
        (10, 100, 10, 0, (10, Completion.COMPLETE)),
        (10, 100, 9, 0, (9, Completion.LIMITED)),
        (10, 3, 9, 0, (9, Completion.LIMITED)),
        (10, 3, 10, 0, (10, Completion.COMPLETE)),
        (10, 100, 5, 5, (5, Completion.COMPLETE)),
        (10, 100, 5, 4, (5, Completion.LIMITED)),
        (0, 100, 5, 0, (0, Completion.COMPLETE)),
    ],
)
async def test_limits_are_kept_and_cuts_are_told(
    total: int,
    at_most: int,
    limit: int | None,
    offset: int,
    expected: tuple[int, Completion],
) -> None:
    query = find(limit=limit, offset=offset, keys=(Key(0x0020000D),))
    async with before(by(paged(total, at_most))) as (pipeline, _):
        got = await ask(pipeline, Operation.FIND, query)
    assert (len(got.items), got.outcome.completion) == expected


async def test_a_server_that_ignores_the_limit_is_cut() -> None:
    answer = whole(rows(*[ROW] * 50), 200, JSON)
    async with before(by(lambda *_: answer)) as (pipeline, _):
        got = await ask(pipeline, Operation.FIND, find(limit=3))
    assert (len(got.items), got.outcome.completion) == (3, Completion.LIMITED)


async def test_a_part_is_never_given_for_the_whole() -> None:
    async with before(by(paged(11, 100)), max_results=10) as (pipeline, _):
        with pytest.raises(RequestError) as caught:
            await ask(pipeline, Operation.FIND, find(keys=(Key(0x0020000D),)))
        assert (caught.value.http_status, caught.value.code) == (413, "too-many-results")
        with pytest.raises(RequestError, match="more than backend web allows"):
            await ask(pipeline, Operation.FIND, find(limit=11))
        got = await ask(pipeline, Operation.FIND, find(limit=10, keys=(Key(0x0020000D),)))
        assert got.outcome.completion is Completion.LIMITED


async def test_a_server_that_promises_more_and_gives_none_is_a_failure() -> None:
    warning = ("Warning", '299 h "There are additional results that can be requested"')
    async with before(by(lambda *_: whole(b"[]", 200, JSON, warning))) as (pipeline, _):
        with pytest.raises(UpstreamError) as caught:
            await ask(pipeline, Operation.FIND)
    assert caught.value.code == "contradiction"


async def test_patients_are_told_once_each() -> None:
    def patient(number: str, issuer: str = "A") -> dict[str, object]:
        return {
            "00100020": {"vr": "LO", "Value": [number]},
            "00100021": {"vr": "LO", "Value": [issuer]},
        }

    found = rows(patient("1"), patient("2"), patient("1"), patient("1", "B"), patient("3"))
    keys = (Key(0x00100020),)
    async with before(by(lambda *_: whole(found, 200, JSON))) as (pipeline, server):
        for limit, offset, count, completion in (
            (None, 0, 4, Completion.COMPLETE),
            (4, 0, 4, Completion.COMPLETE),
            (3, 0, 3, Completion.LIMITED),
            (2, 2, 2, Completion.COMPLETE),
            (1, 2, 1, Completion.LIMITED),
        ):
            query = find(level=Level.PATIENT, limit=limit, offset=offset, keys=keys)
            got = await ask(pipeline, Operation.FIND, query)
            assert (len(got.items), got.outcome.completion) == (count, completion)
    assert {asked.target for asked in server.asked} == {
        "/root/studies?includefield=00100020,00100021"
    }
