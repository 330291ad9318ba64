"""Fan-out of STORE: stored is what every backend has."""

from __future__ import annotations

import dataclasses

import pytest
import trio

from harmony.envelope import Operation, Outcome, Stored
from harmony.errors import RequestError, UpstreamError
from harmony.holding import Holding
from harmony.pipeline import Pipeline, Route
from harmony.pipeline.storing import worst
from tests.support.fake_backend import (
    CT,
    FakeBackend,
    Once,
    Shelf,
    died,
    gives,
    instance,
    request,
    stream,
    unreachable,
)


def pipeline(*backends, holding=None):
    routes = [Route(backend) for backend in backends]
    return Pipeline("p", routes, strategy="fan_out", holding=holding)


def backend(name, shelf):
    return FakeBackend(shelf.produce, name=name)


async def store(backends, *instances, holding=None):
    asked = request(Operation.STORE, body=stream(*instances))
    async with pipeline(*backends, holding=holding).exchange(asked) as response:
        return [item async for item in response.items]


@pytest.mark.parametrize("size", [10, 3_000_000])
async def test_all_get_all_of_it(size, tmp_path):
    a, b = Shelf(), Shelf()
    data = bytes(range(256)) * (size // 256 + 1)
    backends = [backend("a", a), backend("b", b)]
    sent = [instance(f"1.{n}", data, repeatable=False) for n in range(3)]
    told = await store(backends, *sent, holding=Holding(tmp_path, 100_000))
    assert told == [
        Stored(
            sop_class_uid=CT,
            sop_instance_uid=f"1.{n}",
            status=0,
            by_backend=(("a", 0), ("b", 0)),
        )
        for n in range(3)
    ]
    assert a.has == b.has == {f"1.{n}": data for n in range(3)}
    assert [len(each.requests) for each in backends] == [1, 1]


async def test_the_worst_answer_counts_and_each_is_told():
    a, b = Shelf({"1.0": 0xB000, "1.1": 0xB000}), Shelf({"1.1": 0xA700})
    told = await store([backend("a", a), backend("b", b)], instance("1.0"), instance("1.1"))
    assert [(each.status, each.by_backend) for each in told] == [
        (0xB000, (("a", 0xB000), ("b", 0))),
        (0xA700, (("a", 0xB000), ("b", 0xA700))),
    ]


@pytest.mark.parametrize("repeatable", [True, False])
@pytest.mark.parametrize("read_first", [True, False])
@pytest.mark.parametrize("failure", [died(), unreachable(), None])
async def test_one_that_fails_costs_only_what_it_does_not_have(failure, read_first, repeatable):
    a = Shelf(fails_at=1, failure=failure, read_first=read_first)
    b = Shelf()
    sent = [instance(f"1.{n}", repeatable=repeatable) for n in range(3)]
    told = await store([backend("a", a), backend("b", b)], *sent)
    assert [each.by_backend[1] for each in told] == [("b", 0)] * 3
    assert (told[0].status, told[1].status) == (0, 0xA700)
    assert [each.sop_instance_uid for each in told if each.status == 0] == list(a.has)
    assert list(b.has) == ["1.0", "1.1", "1.2"]


async def test_one_that_cannot_be_reached_is_not_tried_for_each_instance():
    a, b = Shelf(fails_at=0, failure=unreachable()), Shelf()
    backends = [backend("a", a), backend("b", b)]
    told = await store(backends, *(instance(f"1.{n}") for n in range(5)))
    assert [each.status for each in told] == [0xA700] * 5
    assert [len(each.requests) for each in backends] == [1, 1]


@pytest.mark.parametrize("memory", [0, 1_000_000])
async def test_an_upload_that_breaks_off_is_the_client_s_failure(memory, tmp_path):
    a, b = Shelf(), Shelf()
    cut = dataclasses.replace(
        instance("1.1", repeatable=False),
        data=Once(b"begun", failure=RequestError("the body ends early")),
    )
    with pytest.raises(RequestError, match="ends early"):
        await store(
            [backend("a", a), backend("b", b)],
            instance("1.0"),
            cut,
            holding=Holding(tmp_path, memory),
        )
    assert list(a.has) == list(b.has) == ["1.0"]


async def test_a_bug_in_a_backend_is_no_status():
    a = Shelf(fails_at=0, failure=ZeroDivisionError())
    with pytest.raises(ZeroDivisionError):
        await store([backend("a", a), backend("b", Shelf())], instance())


async def test_an_answer_for_another_instance_is_none():
    async def produce(request, send):
        async for _ in request.body:
            await send.send(Stored(sop_class_uid=CT, sop_instance_uid="9.9", status=0))

    told = await store([FakeBackend(produce, name="a"), backend("b", Shelf())], instance())
    assert [each.status for each in told] == [0xA700]


async def test_a_failure_after_the_last_instance_is_told():
    async def produce(request, send):
        async for each in request.body:
            await send.send(
                Stored(sop_class_uid=CT, sop_instance_uid=each.sop_instance_uid, status=0)
            )
        raise died()

    with pytest.raises(UpstreamError, match="aborted"):
        await store([FakeBackend(produce, name="a"), backend("b", Shelf())], instance())


async def test_a_slow_backend_does_not_hold_up_the_others():
    fast_has_it = trio.Event()
    fast, slow = Shelf(), Shelf()

    async def produce_fast(request, send):
        await fast.produce(request, send)

    class Waits(Shelf):
        async def produce(self, request, send):
            await fast_has_it.wait()
            await slow.produce(request, send)

    async def watch():
        while not fast.has:
            await trio.sleep(0.001)
        fast_has_it.set()

    with trio.fail_after(5):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(watch)
            told = await store(
                [FakeBackend(produce_fast, name="a"), backend("b", Waits())],
                instance(repeatable=False),
            )
    assert told[0].status == 0


async def test_leaving_early_ends_every_backend():
    backends = [backend("a", Shelf()), backend("b", Shelf())]
    asked = request(Operation.STORE, body=stream(instance("1.0"), instance("1.1")))
    async with pipeline(*backends).exchange(asked) as response:
        await anext(response.items)
    assert all(each.ended.is_set() for each in backends)


async def test_echo_means_that_all_answer():
    a = FakeBackend(gives(then=Outcome(seconds=0.1)), name="a")
    b = FakeBackend(gives(then=Outcome(seconds=0.3)), name="b")
    async with pipeline(a, b).exchange(request(Operation.ECHO)) as response:
        assert [item async for item in response.items] == []
        assert response.items.outcome.seconds == 0.3
        assert response.backend == "a + b"


async def test_echo_fails_with_any():
    a, b = FakeBackend(gives(), name="a"), FakeBackend(gives(then=died("b")), name="b")
    with pytest.raises(UpstreamError) as caught:
        async with pipeline(a, b).exchange(request(Operation.ECHO)):
            raise AssertionError("the block must not run")
    assert caught.value.backend == "b"


@pytest.mark.parametrize(
    ("statuses", "expected"),
    [
        ([0, 0], 0),
        ([0, 0xB007], 0xB007),
        ([0xB000, 0xC000, 0], 0xC000),
        ([0xA700, 0xC000], 0xA700),
        ([0, 0xFF00], 0xFF00),
    ],
)
def test_a_failure_is_worse_than_a_warning(statuses, expected):
    assert worst(statuses) == expected
