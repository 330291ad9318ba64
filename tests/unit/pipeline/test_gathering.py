"""The instances of several sources as one answer."""

from __future__ import annotations

import pytest
import trio
import trio.testing

from harmony.envelope import (
    Completion,
    Instance,
    Level,
    Operation,
    Outcome,
    Progress,
    Query,
    Root,
    SubOperations,
)
from harmony.errors import RequestError, UpstreamError
from harmony.pipeline import Pipeline, Route
from tests.support.fake_backend import (
    FakeBackend,
    died,
    gives,
    instance,
    request,
    unreachable,
)

QUERY = Query(level=Level.STUDY, root=Root.STUDY, keys=())
NOT_FOUND = RequestError("none", code="not-found", http_status=404)
ONE, TWO, THREE = (instance(f"1.{number}") for number in (1, 2, 3))


def counted(remaining):
    return Progress(counters=SubOperations(remaining=remaining))


def partial(*missing, failed=None):
    return Outcome(
        completion=Completion.PARTIAL,
        status=0xB000,
        missing=missing,
        counters=None if failed is None else SubOperations(failed=failed),
    )


async def get(*produces, require_all=False):
    routes = [
        Route(FakeBackend(produce, name=name))
        for name, produce in zip("abcd", produces, strict=False)
    ]
    merge = Pipeline("p", routes, strategy="merge", require_all=require_all)
    async with merge.exchange(request(Operation.GET, query=QUERY)) as response:
        items = [item async for item in response.items]
        return items, response.items.outcome


def uids(items):
    return [item.sop_instance_uid for item in items if isinstance(item, Instance)]


@pytest.mark.parametrize(
    "other", [gives(then=NOT_FOUND), gives(), gives(counted(0)), gives(TWO), gives(TWO, THREE)]
)
@pytest.mark.parametrize("order", [1, -1])
async def test_a_study_in_parts_is_given_whole_and_each_instance_once(other, order):
    items, outcome = await get(*(gives(ONE, TWO, THREE), other)[::order])
    assert sorted(uids(items)) == ["1.1", "1.2", "1.3"]
    assert (outcome.completion, outcome.status) == (Completion.COMPLETE, 0)
    assert outcome.counters == SubOperations(remaining=0, completed=3, failed=0, warning=0)


async def test_what_is_given_twice_counts_as_come_and_is_read_to_its_end():
    twice = instance("1.1", repeatable=False)
    items, _ = await get(gives(ONE), gives(counted(2), twice, TWO))
    assert [
        item.counters.remaining if isinstance(item, Progress) else item.sop_instance_uid
        for item in items
    ] == ["1.1", None, 2, 1, "1.2", 0]
    with pytest.raises(StopAsyncIteration):
        await anext(aiter(twice.data))


@pytest.mark.parametrize(
    "failing",
    [
        gives(then=died()),
        gives(then=unreachable()),
        gives(counted(2), then=died()),
        gives(then=None),
    ],
)
@pytest.mark.parametrize("order", [1, -1])
async def test_beside_a_source_that_failed_the_others_give_a_part(failing, order):
    items, outcome = await get(*(failing, gives(ONE, TWO))[::order])
    assert uids(items) == ["1.1", "1.2"]
    assert (outcome.completion, outcome.status) == (Completion.PARTIAL, 0xB000)
    assert outcome.failed_sources == ("a" if order == 1 else "b",)


@pytest.mark.parametrize("then", [died(), None])
async def test_a_source_may_fail_after_it_gave_some(then):
    items, outcome = await get(gives(counted(3), ONE, then=then), gives(ONE, TWO))
    assert uids(items) == ["1.1", "1.2"]
    assert outcome.completion is Completion.PARTIAL
    assert outcome.counters is not None
    # What a source had sent when it died is lost or not; whichever, another gives it.
    assert outcome.counters.failed in ((2, 3) if then else (2,))


@pytest.mark.parametrize(
    ("first", "completion", "missing", "failed"),
    [
        (partial("1.2"), Completion.COMPLETE, (), 0),
        (partial("1.2", failed=1), Completion.COMPLETE, (), 0),
        (partial("1.2", failed=2), Completion.PARTIAL, (), 1),
        (partial("1.9", "1.2"), Completion.PARTIAL, ("1.9",), 1),
        (partial(failed=1), Completion.PARTIAL, (), 1),
        (partial(), Completion.PARTIAL, (), 0),
    ],
)
async def test_what_one_source_could_not_give_another_may(first, completion, missing, failed):
    items, outcome = await get(gives(ONE, then=first), gives(TWO))
    assert uids(items) == ["1.1", "1.2"]
    assert (outcome.completion, outcome.missing) == (completion, missing)
    assert outcome.counters is not None
    assert outcome.counters.failed == failed


async def test_if_all_are_required_one_failure_is_the_answer():
    with pytest.raises(UpstreamError):
        await get(gives(ONE), gives(then=died()), require_all=True)
    items, outcome = await get(gives(ONE), gives(then=NOT_FOUND), require_all=True)
    assert (uids(items), outcome.completion) == (["1.1"], Completion.COMPLETE)


@pytest.mark.parametrize("produces", [(gives(then=NOT_FOUND), gives()), (gives(), gives())])
async def test_what_no_source_has_is_not_found(produces):
    with pytest.raises(RequestError) as caught:
        await get(*produces)
    assert caught.value.http_status == 404


@pytest.mark.parametrize(
    "failing",
    [gives(then=died()), gives(then=unreachable()), gives(then=None), gives(then=partial())],
)
@pytest.mark.parametrize("order", [1, -1])
async def test_what_a_failed_source_may_have_is_never_called_not_found(failing, order):
    with pytest.raises(UpstreamError) as caught:
        await get(*(gives(then=NOT_FOUND), failing)[::order])
    assert caught.value.http_status == 502


async def test_a_source_is_kept_until_its_last_instance_is_read():
    state = []

    async def produce(request, send):
        await gives(ONE)(request, send)
        try:
            await trio.sleep_forever()
        finally:
            state.append("source ended")

    backend = FakeBackend(produce, name="a")
    merge = Pipeline("p", [Route(backend), Route(FakeBackend(gives(), name="b"))], strategy="merge")
    async with merge.exchange(request(Operation.GET, query=QUERY)) as response:
        await anext(response.items)
        await trio.testing.wait_all_tasks_blocked()
        state.append("read")
        async for _ in response.items:
            pass
    assert state == ["read", "source ended"]


async def test_leaving_early_ends_the_source():
    async def endless(request, send):
        await gives(ONE, then=None)(request, send)
        await trio.sleep_forever()

    backends = [FakeBackend(endless, name="a"), FakeBackend(gives(TWO), name="b")]
    merge = Pipeline("p", [Route(backend) for backend in backends], strategy="merge")
    async with merge.exchange(request(Operation.GET, query=QUERY)) as response:
        await anext(response.items)
    assert backends[0].ended.is_set()
    assert backends[1].requests == []


async def test_a_bug_in_a_source_is_no_failed_source():
    with pytest.raises(ZeroDivisionError):
        await get(gives(ONE), gives(then=ZeroDivisionError()))
