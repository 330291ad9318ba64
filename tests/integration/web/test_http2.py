"""HTTP/2: streams have ends of their own, and a connection survives them."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import h2.events
import httpx2
import pytest
import trio
import trustme
from h2.errors import ErrorCodes

from harmony.errors import UpstreamError
from harmony.web.exchange import ClientGone, Handler, Reply, Request, until_gone
from tests.integration.web.harness import Http2Wire, Running, serving

TRAILERS = (("te", "trailers"),)


@asynccontextmanager
async def connected(
    handler: Handler, *, window: int | None = None, **limits: Any
) -> AsyncIterator[tuple[Running, Http2Wire]]:
    """Prior knowledge, RFC 9113 3.3."""
    async with serving(handler, **limits) as running:
        stream = await trio.open_tcp_stream("127.0.0.1", running.port)
        async with Http2Wire(stream, window=window) as wire:
            yield running, wire


async def whole(request: Request, reply: Reply) -> None:
    size = len(await request.body(10_000))
    await reply.start(200)
    await reply.send(f"{request.method} {request.path} {size}".encode())
    await reply.finish()


async def broken(request: Request, reply: Reply) -> None:
    await reply.start(200)
    await reply.send(b"0123456789")
    raise UpstreamError("pacs is gone")


async def test_prior_knowledge_is_served_and_streams_share_the_connection() -> None:
    async with connected(whole) as (_, wire):
        for path in ("/a", "/b"):
            await wire.request(path)
            response = await wire.next(h2.events.ResponseReceived)
            assert (b":status", b"200") in response.headers
            assert (await wire.next(h2.events.DataReceived)).data == f"GET {path} 0".encode()
            await wire.next(h2.events.StreamEnded)


async def test_a_broken_answer_is_reset_after_what_was_sent_and_never_ended() -> None:
    async with connected(broken) as (_, wire):
        for _ in range(2):
            await wire.request()
            event = await wire.next(
                h2.events.DataReceived, h2.events.StreamEnded, h2.events.StreamReset
            )
            assert event.data == b"0123456789"
            event = await wire.next(h2.events.StreamEnded, h2.events.StreamReset)
            assert isinstance(event, h2.events.StreamReset)
            assert event.error_code == ErrorCodes.INTERNAL_ERROR


async def test_a_broken_answer_is_an_exception_for_httpx2() -> None:
    authority = trustme.CA()
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("localhost").configure_cert(tls)
    trust = ssl.create_default_context()
    authority.configure_trust(trust)
    async with (
        serving(broken, tls=tls) as running,
        httpx2.AsyncClient(verify=trust, http2=True, trust_env=False) as client,
    ):
        for _ in range(2):
            with pytest.raises(httpx2.RemoteProtocolError):
                await client.get(f"https://localhost:{running.port}/")


@pytest.mark.parametrize("started", [False, True], ids=["before_first_byte", "mid_stream"])
async def test_a_reset_by_the_client_cancels_its_work_only(started: bool) -> None:
    entered = trio.Event()
    outcome: list[BaseException] = []
    ended = trio.Event()

    async def handler(request: Request, reply: Reply) -> None:
        if request.path == "/quick":
            await whole(request, reply)
            return

        async def work() -> None:
            if started:
                await reply.start(200)
                await reply.send(b"first")
            entered.set()
            await trio.sleep_forever()

        try:
            await until_gone(request, work)
        except BaseException as exc:
            outcome.append(exc)
            raise
        finally:
            ended.set()

    async with connected(handler) as (running, wire):
        stream = await wire.request("/slow")
        await entered.wait()
        wire.h2.reset_stream(stream, ErrorCodes.CANCEL)
        await wire.flush()
        with trio.fail_after(2):
            await ended.wait()
        assert [type(exc) for exc in outcome] == [ClientGone]
        await wire.request("/quick")
        assert (await wire.next(h2.events.StreamEnded)).stream_id != stream
        assert running.host.open_connections == 1


async def test_a_closed_connection_ends_a_handler_that_waits_for_the_window() -> None:
    entered = trio.Event()

    async def flood(request: Request, reply: Reply) -> None:
        await reply.start(200)
        entered.set()
        while True:
            await reply.send(b"x" * 1_000_000)

    async with connected(flood, window=1000) as (running, wire):
        await wire.request()
        await entered.wait()
        await trio.sleep(0.1)
        await wire.stream.aclose()
        with trio.fail_after(2):
            await running.settled(0)


async def test_a_window_that_is_never_opened_ends_that_answer_only() -> None:
    async def handler(request: Request, reply: Reply) -> None:
        await reply.start(200)
        if request.path == "/big":
            await reply.send(b"x" * 1_000_000)
        await reply.finish()

    async with connected(handler, window=1000, write_idle_seconds=0.2) as (_, wire):
        big = await wire.request("/big")
        reset = await wire.next(h2.events.StreamReset, h2.events.StreamEnded)
        assert isinstance(reset, h2.events.StreamReset)
        small = await wire.request("/small")
        assert (await wire.next(h2.events.StreamEnded)).stream_id == small != big


@pytest.mark.parametrize("given", [(("warning", "299 x"),), ()])
async def test_trailers_reach_a_client_that_asks_for_them(
    given: tuple[tuple[str, str], ...],
) -> None:
    async def handler(request: Request, reply: Reply) -> None:
        assert reply.can_send_trailers
        await reply.start(200, (("trailer", "warning"),))
        await reply.send(b"rows")
        await reply.finish(given)

    async with connected(handler) as (_, wire):
        for _ in range(2):
            await wire.request(headers=TRAILERS)
            await wire.next(h2.events.DataReceived)
            if given:
                trailers = await wire.next(h2.events.TrailersReceived)
                assert list(trailers.headers) == [(b"warning", b"299 x")]
            await wire.next(h2.events.StreamEnded)


async def test_trailers_are_not_offered_to_others() -> None:
    async def handler(request: Request, reply: Reply) -> None:
        assert not reply.can_send_trailers
        await whole(request, reply)

    async with connected(handler) as (running, wire):
        await wire.request()
        assert (b":status", b"200") in (await wire.next(h2.events.ResponseReceived)).headers
        assert b" 200 " in await running.get()


async def test_an_early_413_leaves_the_connection_in_use() -> None:
    async with connected(whole) as (_, wire):
        stream = await wire.request(method="POST", end=False)
        wire.h2.send_data(stream, b"x" * 16384)
        await wire.flush()
        response = await wire.next(h2.events.ResponseReceived)
        assert (b":status", b"413") in response.headers
        reset = await wire.next(h2.events.StreamReset)
        assert reset.error_code == ErrorCodes.NO_ERROR
        await wire.request("/next")
        await wire.next(h2.events.StreamEnded)


async def test_data_for_an_answered_stream_costs_nothing() -> None:
    async def early(request: Request, reply: Reply) -> None:
        await reply.start(200)
        await reply.finish()

    async with connected(early) as (_, wire):
        for _ in range(3):
            stream = await wire.request(method="POST", end=False)
            wire.h2.send_data(stream, b"x" * 10_000)
            wire.h2.send_data(stream, b"x" * 10_000)
            await wire.flush()
            await wire.next(h2.events.StreamEnded)


@pytest.mark.parametrize(
    "pseudo",
    [
        ((":method", "CONNECT"), (":authority", "x")),
        (
            (":method", "CONNECT"),
            (":protocol", "websocket"),
            (":scheme", "http"),
            (":path", "/"),
            (":authority", "x"),
        ),
        ((":method", "GET"), (":scheme", "http"), (":path", "/\xe9"), (":authority", "x")),
    ],
)
async def test_connect_and_odd_paths_end_their_stream_only(
    pseudo: tuple[tuple[str, str], ...], caplog: pytest.LogCaptureFixture
) -> None:
    async with connected(whole) as (_, wire):
        wire.h2.config.validate_outbound_headers = False
        wire.h2.send_headers(1, list(pseudo), end_stream=True)
        await wire.flush()
        await wire.next(h2.events.StreamReset)
        await wire.request("/next")
        await wire.next(h2.events.StreamEnded)
    assert caplog.records == []


@pytest.mark.parametrize(
    "garbage", [b"\0" * 1000, b"\xff" * 20_000, b"\xff\xff\xff\0\0" + b"\0" * 20_000]
)
async def test_garbage_ends_the_connection_in_silence(
    garbage: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    async with connected(whole) as (running, wire):
        await wire.flush()
        await wire.stream.send_all(garbage)
        with trio.fail_after(2):
            await running.settled(0)
    assert caplog.records == []


async def test_an_idle_connection_is_closed_though_it_pings() -> None:
    async with connected(whole, head_seconds=0.3, keep_alive_seconds=0.3) as (running, wire):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_ping, wire)
            await running.settled(1)
            await running.settled(0)
            nursery.cancel_scope.cancel()


async def _ping(wire: Http2Wire) -> None:
    try:
        while True:
            wire.h2.ping(b"12345678")
            await wire.flush()
            await trio.sleep(0.02)
    except trio.BrokenResourceError:
        await trio.sleep_forever()


async def test_drain_lets_a_stream_finish_and_takes_no_new_one() -> None:
    entered = trio.Event()
    release = trio.Event()

    async def gated(request: Request, reply: Reply) -> None:
        entered.set()
        await release.wait()
        await whole(request, reply)

    async with connected(gated) as (running, wire):
        first = await wire.request()
        await entered.wait()
        running.host.drain(10)
        await trio.sleep(0.05)
        second = await wire.request()
        assert (await wire.next(h2.events.StreamReset)).stream_id == second
        release.set()
        assert (await wire.next(h2.events.StreamEnded)).stream_id == first
        await running.ended.wait()


async def test_over_http_2_too_requests_beyond_max_in_flight_get_503() -> None:
    release = trio.Event()

    async def gated(request: Request, reply: Reply) -> None:
        await release.wait()
        await whole(request, reply)

    async with connected(gated, max_in_flight=2) as (_, wire):
        for _ in range(3):
            await wire.request()
        refused = await wire.next(h2.events.ResponseReceived)
        assert (b":status", b"503") in refused.headers
        assert (b"retry-after", b"2") in refused.headers
        release.set()
        for _ in range(3):
            await wire.next(h2.events.StreamEnded)
