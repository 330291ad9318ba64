"""The matches of several sources as one answer."""

from __future__ import annotations

import dataclasses

import pytest
import trio
import trio.testing

from harmony.envelope import (
    Completion,
    Level,
    Match,
    Outcome,
    Query,
    Root,
)
from harmony.errors import HarmonyError, RequestError, UpstreamError
from harmony.pipeline import Pipeline, Route
from harmony.pipeline.merging import Merged, unique_key
from tests.support.fake_backend import (
    FakeBackend,
    died,
    gives,
    match,
    request,
    unreachable,
)

QUERY = Query(level=Level.STUDY, root=Root.STUDY, keys=())
LIMITED = Outcome(completion=Completion.LIMITED, status=0xFF00)
NOT_FOUND = RequestError("none", code="not-found", http_status=404)


def pipeline(*produces, require_all=False):
    routes = [
        Route(FakeBackend(produce, name=name))
        for name, produce in zip("abcd", produces, strict=False)
    ]
    return Pipeline("p", routes, strategy="merge", require_all=require_all)


async def find(*produces, require_all=False, **query):
    asked = request(query=dataclasses.replace(QUERY, **query))
    async with pipeline(*produces, require_all=require_all).exchange(asked) as response:
        found = [item async for item in response.items]
        return found, response.items.outcome


def uids(found):
    return sorted(item.identifier[8:].rstrip(b"\0").decode() for item in found)


async def test_what_several_have_is_given_once():
    found, outcome = await find(
        gives(match("1"), match("2")), gives(match("2"), match("3")), gives(match("1"))
    )
    assert uids(found) == ["1", "2", "3"]
    assert outcome == Outcome()


async def test_matches_go_out_before_the_slowest_source_answers(autojump_clock):
    async def slow(request, send):
        await trio.sleep(1000)
        await gives(match("2"))(request, send)

    asked = request(query=QUERY, deadline=trio.current_time() + 5)
    async with pipeline(slow, gives(match("1"))).exchange(asked) as response:
        assert await anext(response.items) == match("1")
        assert trio.current_time() < asked.deadline
        assert await anext(response.items) == match("2")


async def test_matches_without_the_unique_key_are_all_given():
    anonymous = match("P1", tag=0x00100020)
    broken = Match(identifier=b"\xff" * 9, transfer_syntax=anonymous.transfer_syntax)
    strange = Match(identifier=match("1").identifier, transfer_syntax="9.9")
    found, _ = await find(gives(anonymous, broken, strange), gives(anonymous, broken, strange))
    assert len(found) == 6


def test_a_patient_is_known_by_its_id_and_the_issuer():
    bare, issued = match("P1 ", tag=0x00100020), match("A", tag=0x00100021)
    both = Match(
        identifier=bare.identifier + issued.identifier, transfer_syntax=bare.transfer_syntax
    )
    assert unique_key(bare, Level.PATIENT) == (b"P1", b"")
    assert unique_key(both, Level.PATIENT) == (b"P1", b"A")
    assert unique_key(bare, Level.STUDY) is None
    assert unique_key(match("", tag=0x00100020), Level.PATIENT) is None


@pytest.mark.parametrize("level", [Level.STUDY, Level.SERIES, Level.IMAGE])
def test_the_key_is_that_of_the_level(level):
    tags = {Level.STUDY: 0x0020000D, Level.SERIES: 0x0020000E, Level.IMAGE: 0x00080018}
    assert unique_key(match("1.2", tag=tags[level]), level) == (b"1.2",)


@pytest.mark.parametrize(
    ("limit", "offset", "given", "limited"),
    [
        (None, 0, ["1", "2", "3"], False),
        (None, 2, ["3"], False),
        (3, 0, ["1", "2", "3"], False),
        (2, 0, ["1", "2"], True),
        (1, 1, ["2"], True),
        (2, 1, ["2", "3"], False),
        (5, 9, [], False),
    ],
)
def test_limit_and_offset_count_what_is_merged(limit, offset, given, limited):
    merged = Merged(dataclasses.replace(QUERY, limit=limit, offset=offset))
    matches = [match(uid) for uid in ("1", "1", "2", "1", "3")]
    assert uids([each for each in matches if merged.admit(each)]) == given
    assert merged.limited is limited


async def test_sources_are_asked_for_all_that_may_be_passed_over():
    backend = FakeBackend(gives(match("1"), match("2")), name="a")
    other = FakeBackend(gives(match("3"), match("4")), name="b")
    routes = [Route(backend), Route(other)]
    asked = request(query=dataclasses.replace(QUERY, limit=2, offset=1))
    async with Pipeline("p", routes, strategy="merge").exchange(asked) as response:
        assert len([item async for item in response.items]) == 2
        assert response.items.outcome == LIMITED
    query = backend.requests[0].query
    assert (query.limit, query.offset) == (3, 0)
    assert other.ended.is_set()


async def test_a_source_that_has_more_says_so_for_all():
    _, outcome = await find(gives(match("1"), then=LIMITED), gives(match("2")), limit=5)
    assert outcome == LIMITED


@pytest.mark.parametrize("failure", [died(), unreachable(), RequestError("no"), None])
@pytest.mark.parametrize("rows", [(), (match("8"), match("9"))])
async def test_a_source_that_fails_is_told(failure, rows):
    found, outcome = await find(gives(match("1")), gives(*rows, then=failure))
    assert outcome.failed_sources == ("b",)
    assert "1" in uids(found)


async def test_a_limit_that_is_reached_hides_no_failed_source():
    failed = trio.Event()

    async def fails(request, send):
        failed.set()
        raise died()

    async def gives_later(request, send):
        await failed.wait()
        await gives(match("1"), match("2"), match("3"))(request, send)

    _, outcome = await find(fails, gives_later, limit=1)
    assert outcome == dataclasses.replace(LIMITED, failed_sources=("a",))


async def test_without_an_answer_of_any_the_first_failure_is_it():
    first = unreachable("a")
    later = trio.Event()

    async def fails_first(request, send):
        later.set()
        raise first

    async def fails_later(request, send):
        await later.wait()
        await trio.testing.wait_all_tasks_blocked()
        raise died("b")

    with pytest.raises(UpstreamError) as caught:
        await find(fails_first, fails_later)
    assert caught.value is first


async def test_all_may_fail_after_they_gave_some():
    with pytest.raises(HarmonyError):
        await find(gives(match("1"), then=died()), gives(match("2"), then=died()))


async def test_if_all_are_required_one_failure_is_the_answer():
    with pytest.raises(UpstreamError, match="aborted"):
        await find(gives(match("1")), gives(then=died()), require_all=True)
    with pytest.raises(UpstreamError, match="stopped without an end"):
        await find(gives(match("1")), gives(then=None), require_all=True)


async def test_a_bug_in_a_source_is_no_failed_source():
    with pytest.raises(ZeroDivisionError):
        await find(gives(match("1")), gives(then=ZeroDivisionError()))


async def test_leaving_early_ends_every_source():
    backends = [FakeBackend(gives(*[match(str(n))] * 3), name=str(n)) for n in range(3)]
    routes = [Route(backend) for backend in backends]
    async with Pipeline("p", routes, strategy="merge").exchange(request(query=QUERY)) as response:
        await anext(response.items)
    assert all(backend.ended.is_set() for backend in backends)
