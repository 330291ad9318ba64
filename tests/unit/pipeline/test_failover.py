"""The next backend is asked only if the one before was not."""

from __future__ import annotations

import pytest

from harmony.envelope import Match, Operation
from harmony.errors import HarmonyError, RequestError, Unavailable, UpstreamError
from harmony.pipeline import Pipeline, Route
from tests.support.fake_backend import (
    FakeBackend,
    Shelf,
    died,
    gives,
    instance,
    match,
    request,
    stream,
    unreachable,
)


def pipeline(*backends):
    return Pipeline("p", [Route(backend) for backend in backends])


async def test_the_next_one_answers_for_one_that_cannot_be_reached():
    first = FakeBackend(gives(then=unreachable()), name="first")
    second = FakeBackend(gives(match("1"), match("2")), name="second")
    third = FakeBackend(gives(), name="third")
    async with pipeline(first, second, third).exchange(request()) as response:
        assert response.backend == "second"
        assert [item async for item in response.items] == [match("1"), match("2")]
    assert first.ended.is_set()
    assert second.ended.is_set()
    assert third.requests == []


@pytest.mark.parametrize(
    "failure", [died(), RequestError("bad"), Unavailable("busy"), ZeroDivisionError()]
)
async def test_any_other_failure_is_the_answer(failure):
    other = FakeBackend(gives(match("1")))
    with pytest.raises(type(failure)) as caught:
        async with pipeline(FakeBackend(gives(then=failure), name="a"), other).exchange(request()):
            raise AssertionError("the block must not run")
    assert caught.value is failure
    assert other.requests == []


async def test_the_last_failure_says_who_was_tried():
    backends = [FakeBackend(gives(then=unreachable(name)), name=name) for name in "abc"]
    with pytest.raises(UpstreamError) as caught:
        async with pipeline(*backends).exchange(request()):
            raise AssertionError("the block must not run")
    assert caught.value.backend == "c"
    assert caught.value.hint == "tried in this order: a, b, c"


async def test_a_failure_after_the_first_item_breaks_the_answer():
    other = FakeBackend(gives(match("1")))
    failing = FakeBackend(gives(match("1"), then=unreachable()), name="a")
    seen: list[Match] = []
    with pytest.raises(HarmonyError):
        async with pipeline(failing, other).exchange(request()) as response:
            async for item in response.items:
                seen.append(item)
            raise AssertionError("the answer must not end")
    assert seen == [match("1")]
    assert other.requests == []


async def store(backends, *instances):
    async with pipeline(*backends).exchange(
        request(Operation.STORE, body=stream(*instances))
    ) as response:
        return [(item.sop_instance_uid, item.status) async for item in response.items]


@pytest.mark.parametrize("repeatable", [True, False])
async def test_instances_go_to_the_next_one_and_stay_there(repeatable):
    down, up = Shelf(fails_at=0, failure=unreachable()), Shelf()
    first, second = FakeBackend(down.produce, name="a"), FakeBackend(up.produce, name="b")
    sent = [instance(f"1.{n}", repeatable=repeatable) for n in range(3)]
    assert await store([first, second], *sent) == [("1.0", 0), ("1.1", 0), ("1.2", 0)]
    assert up.has == {"1.0": b"data", "1.1": b"data", "1.2": b"data"}
    assert len(first.requests) == 1, "what cannot be reached is not tried for each instance"
    assert len(second.requests) == 1, "a run of instances is one request"


async def test_an_instance_that_was_begun_goes_nowhere_else():
    down, up = Shelf(fails_at=0, failure=unreachable(), read_first=True), Shelf()
    backends = FakeBackend(down.produce, name="a"), FakeBackend(up.produce, name="b")
    with pytest.raises(UpstreamError):
        await store(backends, instance(repeatable=False))
    assert up.seen == []


async def test_an_instance_that_a_backend_was_asked_to_store_goes_nowhere_else():
    down, up = Shelf(fails_at=1, failure=died()), Shelf()
    backends = FakeBackend(down.produce, name="a"), FakeBackend(up.produce, name="b")
    with pytest.raises(UpstreamError, match="aborted"):
        await store(backends, instance("1.0"), instance("1.1"))
    assert up.seen == []


async def test_a_refused_instance_is_no_reason_for_another_backend():
    full, up = Shelf({"1.0": 0xA700}), Shelf()
    backends = FakeBackend(full.produce, name="a"), FakeBackend(up.produce, name="b")
    assert await store(backends, instance("1.0"), instance("1.1")) == [("1.0", 0xA700), ("1.1", 0)]
    assert up.seen == []


async def test_an_empty_upload_asks_nobody():
    backends = [FakeBackend(Shelf().produce, name=name) for name in "ab"]
    assert await store(backends) == []
    assert not any(backend.requests for backend in backends)


@pytest.mark.parametrize("operation", [Operation.ECHO, Operation.GET, Operation.MOVE])
async def test_other_operations_fail_over_alike(operation):
    first = FakeBackend(gives(then=unreachable()), name="a")
    second = FakeBackend(gives(), name="b")
    async with pipeline(first, second).exchange(request(operation)) as response:
        assert response.backend == "b"
