"""The scope of one request: what comes out of it, and that nothing is left in it."""

from __future__ import annotations

import dataclasses

import pytest
import trio
import trio.testing

from harmony.envelope import (
    Match,
    Operation,
    Outcome,
    RequestEnvelope,
    ResponseEnvelope,
    StreamBroken,
)
from harmony.errors import DeadlineExceeded, RequestError, UpstreamError
from harmony.interfaces import Exchange, Handler
from harmony.pipeline import Pipeline, Route
from tests.support.fake_backend import FakeBackend, Send, gives, request

ROW = Match(identifier=b"", transfer_syntax="1.2")


async def rows_for_ever(request: RequestEnvelope, send: Send) -> None:
    while True:
        await send.send(ROW)


async def silence(request: RequestEnvelope, send: Send) -> None:
    await trio.sleep_forever()


async def test_items_and_outcome_come_through() -> None:
    async def produce(request: RequestEnvelope, send: Send) -> None:
        await send.send(ROW)
        await send.send(Outcome())

    async with Pipeline("p", [Route(FakeBackend(produce))]).exchange(request()) as response:
        assert [item async for item in response.items] == [ROW]
        assert response.items.outcome == Outcome()


async def test_a_failure_before_the_first_item_comes_before_the_block() -> None:
    async def produce(request: RequestEnvelope, send: Send) -> None:
        raise UpstreamError("dead")

    with pytest.raises(UpstreamError, match="dead"):
        async with Pipeline("p", [Route(FakeBackend(produce))]).exchange(request()):
            raise AssertionError("the block must not run")


async def test_a_failure_after_items_comes_out_of_the_block_and_not_as_an_end() -> None:
    async def produce(request: RequestEnvelope, send: Send) -> None:
        await send.send(ROW)
        raise UpstreamError("died")

    ended = False
    with pytest.raises(UpstreamError, match="died"):
        async with Pipeline("p", [Route(FakeBackend(produce))]).exchange(request()) as response:
            async for _ in response.items:
                pass
            ended = True
    assert not ended


async def test_a_producer_that_stops_without_an_outcome_breaks_the_stream() -> None:
    async def produce(request: RequestEnvelope, send: Send) -> None:
        await send.send(ROW)

    with pytest.raises(StreamBroken):
        async with Pipeline("p", [Route(FakeBackend(produce))]).exchange(request()) as response:
            async for _ in response.items:
                pass


async def test_leaving_the_block_ends_the_producer() -> None:
    backend = FakeBackend(rows_for_ever)
    async with Pipeline("p", [Route(backend)]).exchange(request()) as response:
        assert await response.items.batch(1) == [ROW]
    assert backend.ended.is_set()


async def test_an_error_of_the_reader_comes_out_as_it_is() -> None:
    backend = FakeBackend(rows_for_ever)
    with pytest.raises(KeyError, match="mine"):
        async with Pipeline("p", [Route(backend)]).exchange(request()):
            raise KeyError("mine")
    assert backend.ended.is_set()


async def test_a_bug_in_a_producer_is_not_hidden_behind_a_failure_of_the_reader() -> None:
    async def produce(request: RequestEnvelope, send: Send) -> None:
        await send.send(ROW)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        async with Pipeline("p", [Route(FakeBackend(produce))]).exchange(request()) as response:
            async for _ in response.items:
                pass


async def test_cancelling_the_exchange_ends_the_producer() -> None:
    backend = FakeBackend(silence)
    with trio.move_on_after(0.01) as scope:
        async with Pipeline("p", [Route(backend)]).exchange(request()):
            pass
    assert scope.cancelled_caught
    assert backend.ended.is_set()


async def test_the_deadline_holds_until_the_first_item(
    autojump_clock: trio.testing.MockClock,
) -> None:
    backend = FakeBackend(silence)
    with pytest.raises(DeadlineExceeded):
        async with Pipeline("p", [Route(backend)]).exchange(
            request(deadline=trio.current_time() + 5)
        ):
            pass
    assert trio.current_time() >= 5


async def test_a_stream_that_has_begun_may_outlive_the_deadline(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async def produce(request: RequestEnvelope, send: Send) -> None:
        for _ in range(5):
            await send.send(ROW)
            await trio.sleep(3)
        await send.send(Outcome())

    deadline = trio.current_time() + 5
    async with Pipeline("p", [Route(FakeBackend(produce))]).exchange(
        request(deadline=deadline)
    ) as r:
        assert len([item async for item in r.items]) == 5


async def test_an_operation_that_no_backend_can_is_501() -> None:
    pipeline = Pipeline("p", [Route(FakeBackend(silence, Operation.ECHO))])
    assert not pipeline.accepts(Operation.FIND)
    with pytest.raises(RequestError) as caught:
        async with pipeline.exchange(request()):
            pass
    assert caught.value.http_status == 501


async def test_a_backend_that_is_asked_for_by_name_answers_and_no_other() -> None:
    first, second = (FakeBackend(gives(ROW), name=name) for name in ("first", "second"))
    pipeline = Pipeline("p", [Route(first), Route(second)], strategy="merge")
    asked = dataclasses.replace(request(), backend="second")
    async with pipeline.exchange(asked) as response:
        assert response.backend == "second"
    assert (first.requests, second.requests) == ([], [asked])


async def test_a_backend_asked_for_that_the_pipeline_has_not_is_501() -> None:
    pipeline = Pipeline("p", [Route(FakeBackend(gives(ROW), name="first"))])
    with pytest.raises(RequestError, match="no backend other that can find") as caught:
        async with pipeline.exchange(dataclasses.replace(request(), backend="other")):
            pass
    assert caught.value.http_status == 501


async def test_middleware_runs_in_order_around_the_backend() -> None:
    seen: list[str] = []

    class Layer:
        def __init__(self, name: str) -> None:
            self._name = name

        async def handle(
            self, request: RequestEnvelope, scope: Exchange, call_next: Handler
        ) -> ResponseEnvelope:
            seen.append(f"in {self._name}")
            response = await call_next(request, scope)
            seen.append(f"out {self._name}")
            return response

    async def produce(request: RequestEnvelope, send: Send) -> None:
        await send.send(Outcome())

    pipeline = Pipeline("p", [Route(FakeBackend(produce))], [Layer("a"), Layer("b")])
    async with pipeline.exchange(request()):
        pass
    assert seen == ["in a", "in b", "out b", "out a"]


def test_a_strategy_that_is_not_known_is_no_pipeline() -> None:
    with pytest.raises(ValueError, match="balance"):
        Pipeline("p", [], strategy="balance")


async def test_one_backend_for_everything_is_asked_directly() -> None:
    scopes: list[Exchange] = []

    class Layer:
        async def handle(
            self, request: RequestEnvelope, scope: Exchange, call_next: Handler
        ) -> ResponseEnvelope:
            scopes.append(scope)
            return await call_next(request, scope)

    class Direct(FakeBackend):
        async def handle(self, request: RequestEnvelope, scope: Exchange) -> ResponseEnvelope:
            assert scope is scopes[0], "no scope in between"
            return await super().handle(request, scope)

    for strategy in ("failover", "fan_out", "merge"):
        scopes.clear()
        backend = Direct(gives(ROW))
        pipeline = Pipeline("p", [Route(backend)], [Layer()], strategy=strategy)
        asked = request()
        async with pipeline.exchange(asked) as response:
            assert [item async for item in response.items] == [ROW]
        assert backend.requests == [asked]
