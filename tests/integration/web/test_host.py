"""Listeners, limits, drain and stop, on real sockets."""

from __future__ import annotations

import socket
import ssl

import httpx2
import pytest
import trio
import trustme

from harmony.config.model import HttpListener
from harmony.web.asgi import HttpScope, Receive, Send
from harmony.web.exchange import Reply, Request
from harmony.web.host import HttpHost
from tests.integration.web.harness import Wire, serving

GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
MEGABYTE = b"x" * 1_000_000


async def hello(request: Request, reply: Reply) -> None:
    await reply.start(200, (("content-length", "5"),))
    await reply.send(b"hello")
    await reply.finish()


async def flood(request: Request, reply: Reply) -> None:
    await reply.start(200)
    while True:
        await reply.send(MEGABYTE)


class Gate:
    """A handler that answers once it is told to."""

    def __init__(self) -> None:
        self.entered = trio.Event()
        self.open = trio.Event()

    async def __call__(self, request: Request, reply: Reply) -> None:
        self.entered.set()
        await self.open.wait()
        await hello(request, reply)


async def test_port_0_is_reported_as_the_port_that_was_bound() -> None:
    async with serving(hello) as running:
        (listening,) = running.listening
        assert (listening.kind, listening.host) == ("http", "127.0.0.1")
        assert (await running.get()).endswith(b"hello")


async def test_localhost_is_both_loopback_addresses_on_one_port() -> None:
    async with serving(hello, bind="localhost") as running:
        assert [listening.host for listening in running.listening] == ["127.0.0.1", "::1"]
        assert len({listening.port for listening in running.listening}) == 1
        for listening in running.listening:
            async with Wire(await trio.open_tcp_stream(listening.host, listening.port)) as wire:
                await wire.send(GET)
                assert (await wire.response())[0] == 200


async def test_a_taken_port_fails_plainly_before_anything_is_reported() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        for bind in ("127.0.0.1", "localhost"):
            host = HttpHost(_never, HttpListener(port=port), bind)
            async with trio.open_nursery() as nursery:
                with pytest.raises(OSError, match="in use"):
                    await nursery.start(host.serve)


async def _never(scope: HttpScope, receive: Receive, send: Send) -> None:
    raise AssertionError("nothing was asked")


async def test_connections_beyond_the_limit_are_refused_and_room_is_given_back() -> None:
    async with serving(hello, max_connections=3) as running:
        held = [await running.connect() for _ in range(3)]
        await running.settled(3)
        for _ in range(20):
            async with await running.connect() as refused:
                assert await _answer(refused) == b""
        for wire in held:
            await wire.send(GET)
            assert (await wire.response())[0] == 200
            await wire.stream.aclose()
        await running.settled(0)
        assert (await running.get()).endswith(b"hello")


async def _answer(wire: Wire) -> bytes:
    """What a request gets; nothing if the connection is reset or closed."""
    try:
        await wire.send(GET)
        return await wire.rest()
    except trio.BrokenResourceError:
        return b""


async def test_requests_beyond_max_in_flight_get_503_and_the_next_ones_are_served() -> None:
    gate = Gate()
    async with serving(gate, max_in_flight=1) as running, await running.connect() as first:
        await first.send(GET)
        await gate.entered.wait()
        async with await running.connect() as second:
            await second.send(GET)
            status, headers, body = await second.response()
            assert (status, headers["retry-after"]) == (503, "2")
            assert headers["content-type"] == "application/problem+json"
            assert b"max_in_flight" in body
            gate.open.set()
            assert (await first.response())[0] == 200
            await second.send(GET)  # on the same connection
            assert (await second.response())[0] == 200


async def test_drain_closes_idle_connections_and_finishes_what_is_in_flight() -> None:
    gate = Gate()
    async with (
        serving(gate) as running,
        await running.connect() as busy,
        await running.connect() as idle,
    ):
        await busy.send(GET)
        await gate.entered.wait()
        await running.settled(2)
        running.host.drain(10)
        assert await idle.rest() == b""
        with pytest.raises(OSError, match="refused"):
            await running.connect()
        gate.open.set()
        status, headers, body = await busy.response()
        assert (status, headers["connection"], body) == (200, "close", b"hello")
        assert await busy.rest() == b""
        await running.ended.wait()


async def test_drain_closes_a_kept_alive_connection() -> None:
    async with serving(hello) as running, await running.connect() as wire:
        await wire.send(GET)
        await wire.response()
        running.host.drain(10)
        assert await wire.rest() == b""
        await running.ended.wait()


@pytest.mark.parametrize("secure", [False, True])
async def test_drain_ends_at_grace_though_a_client_refuses_to_read(secure: bool) -> None:
    authority = trustme.CA()
    async with serving(flood, tls=_server_tls(authority) if secure else None) as running:
        wire = await running.connect(receive_buffer=4096)
        if secure:
            wire.stream = trio.SSLStream(
                wire.stream, _client_tls(authority), server_hostname="localhost"
            )
        async with wire:
            await wire.send(GET)
            await wire.until(b"\r\n\r\n")
            running.host.drain(0.3)
            with trio.fail_after(2):
                await running.ended.wait()


@pytest.mark.parametrize("secure", [False, True])
async def test_cancelling_ends_at_once_though_a_client_refuses_to_read(secure: bool) -> None:
    authority = trustme.CA()
    async with serving(flood, tls=_server_tls(authority) if secure else None) as running:
        wire = await running.connect(receive_buffer=4096)
        if secure:
            wire.stream = trio.SSLStream(
                wire.stream, _client_tls(authority), server_hostname="localhost"
            )
        async with wire:
            await wire.send(GET)
            await wire.until(b"\r\n\r\n")
            running.stop.cancel()
            with trio.fail_after(0.5):
                await running.ended.wait()


async def test_150_resets_in_the_middle_of_an_answer_leave_nothing() -> None:
    async with serving(flood) as running:
        for _ in range(150):
            wire = await running.connect()
            await wire.send(GET)
            wire.reset()
        await running.settled(0)
        async with await running.connect() as wire:
            await wire.send(GET)
            assert (await wire.until(b"\r\n")).startswith(b"HTTP/1.1 200")


async def test_an_application_that_fails_costs_one_answer_and_one_log_line(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def broken(scope: HttpScope, receive: Receive, send: Send) -> None:
        raise LookupError("name of a patient")

    host = HttpHost(broken, HttpListener(port=0), "127.0.0.1")
    with trio.fail_after(5):
        async with trio.open_nursery() as nursery:
            (listening,) = await nursery.start(host.serve)
            async with Wire(await trio.open_tcp_stream("127.0.0.1", listening.port)) as wire:
                for _ in range(2):
                    await wire.send(GET)
                    status, _, body = await wire.response()
                    assert status == 500
                    assert b"internal-error" in body
            nursery.cancel_scope.cancel()
    assert len(caplog.records) == 2
    assert "LookupError" in caplog.text
    assert "patient" not in caplog.text + body.decode()


async def test_https_serves_http_1_and_2() -> None:
    authority = trustme.CA()
    async with serving(hello, tls=_server_tls(authority)) as running:
        for http2, version in ((False, "HTTP/1.1"), (True, "HTTP/2")):
            async with httpx2.AsyncClient(verify=_client_tls(authority), http2=http2) as client:
                answer = await client.get(f"https://localhost:{running.port}/")
                assert (answer.http_version, answer.text) == (version, "hello")


async def test_a_tls_client_that_says_nothing_is_closed() -> None:
    tls = _server_tls(trustme.CA())
    async with (
        serving(hello, tls=tls, head_seconds=0.2) as running,
        await running.connect() as wire,
    ):
        assert await wire.rest() == b""
        await running.settled(0)


def _server_tls(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("localhost").configure_cert(context)
    return context


def _client_tls(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return context
