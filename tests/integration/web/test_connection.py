"""What a connection accepts, refuses and waits for, byte by byte."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator

import httpx2
import pytest
import trio

from harmony.web.exchange import Handler, Reply, Request
from tests.integration.web.harness import Wire, serving

GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"


async def echo(request: Request, reply: Reply) -> None:
    """Answers with the size of the body, or 413 over 100 kB."""
    size = len(await request.body(100_000))
    body = f"{request.method} {request.path} {size}".encode()
    await reply.start(200, (("content-length", str(len(body))),))
    await reply.send(body)
    await reply.finish()


async def ignore(request: Request, reply: Reply) -> None:
    """Answers without a look at the body."""
    await reply.start(200, (("content-length", "2"),))
    await reply.send(b"ok")
    await reply.finish()


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked", 400),
        (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: 6", 400),
        (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: +5", 400),
        (b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip, chunked", 501),
        (b"GET / HTTP/1.1\r\nHost: x\r\nA: b\r\n c", 400),
        (b"GET / HTTP/1.1\r\nHost: x\nA: b", 400),
        (b"GET / HTTP/1.1\r\nHost: x\r\nA: \0", 400),
        (b"GET / HTTP/1.1\r\nHost : x", 400),
        (b"GET / HTTP/1.1\r\nHost: x\r\nHost: y", 400),
        (b"GET / HTTP/1.1\r\nA: b", 400),
        (b"GET / HTTP/3.0\r\nHost: x", 505),
        (b"GET / HTTP/1.1\r\nHost: x\r\nA: " + b"a" * 20_000, 431),
        (b"\x16\x03\x01\x02\x00\x01", 400),
    ],
)
async def test_an_ambiguous_head_is_refused_and_the_connection_closed(
    head: bytes, status: int
) -> None:
    async with serving(echo) as running, await running.connect() as wire:
        await wire.send(head + b"\r\n\r\n12345")
        answered, headers, body = await wire.response()
        assert answered == status
        assert headers["connection"] == "close"
        document = json.loads(body)
        assert document["status"] == status
        assert document["instance"] == headers["x-request-id"]
        assert await wire.rest() == b""


async def test_a_refused_head_waits_for_the_answer_before_it() -> None:
    async with serving(echo) as running, await running.connect() as wire:
        await wire.send(GET + b"GET /\r\n\r\n")
        assert (await wire.response())[0] == 200
        assert (await wire.response())[0] == 400
        assert await wire.rest() == b""


@pytest.mark.parametrize(
    "upgrade",
    [
        b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
        b"Sec-WebSocket-Key: bKdPyn3u98cTfZJSh4TNeQ==",
        b"Connection: upgrade\r\nUpgrade: WebSocket",
        b"Connection: Upgrade\r\nUpgrade: h2c, websocket",
    ],
)
async def test_websocket_is_refused_and_others_are_served(
    upgrade: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    async with serving(echo) as running, await running.connect() as wire:
        await wire.send(b"GET / HTTP/1.1\r\nHost: x\r\n" + upgrade + b"\r\n\r\nx")
        assert (await wire.response())[0] == 400
        assert await wire.rest() == b""
        assert b"GET / 0" in await running.get()
    assert caplog.records == []


@pytest.mark.parametrize("settings", [b"AAMAAABkAAQCAAAAAAIAAAAA", b"!!!"])
async def test_an_upgrade_to_h2c_is_not_honoured(settings: bytes) -> None:
    async with serving(echo) as running, await running.connect() as wire:
        await wire.send(
            b"GET /a HTTP/1.1\r\nHost: x\r\nConnection: Upgrade, HTTP2-Settings\r\n"
            b"Upgrade: h2c\r\nHTTP2-Settings: " + settings + b"\r\n\r\n"
        )
        assert (await wire.response())[::2] == (200, b"GET /a 0")
        await wire.send(GET)  # the connection goes on in HTTP/1.1
        assert (await wire.response())[0] == 200


@pytest.mark.parametrize("part", [b"", b"GET / HT", b"GET / HTTP/1.1\r\nHost: x\r\n", b"PRI * HT"])
async def test_a_head_that_never_ends_is_closed_without_an_answer(part: bytes) -> None:
    async with serving(echo, head_seconds=0.2) as running, await running.connect() as wire:
        await wire.send(part)
        assert await wire.rest() == b""
        await running.settled(0)


async def test_a_dripping_head_is_closed() -> None:
    async with (
        serving(echo, head_seconds=0.3) as running,
        await running.connect() as wire,
        trio.open_nursery() as nursery,
    ):
        nursery.start_soon(_drip, wire)
        await running.settled(1)
        await running.settled(0)
        nursery.cancel_scope.cancel()


async def _drip(wire: Wire) -> None:
    try:
        await wire.send(b"GET / HTTP/1.1\r\nA: ")
        while True:
            await wire.send(b"a")
            await trio.sleep(0.02)
    except trio.BrokenResourceError:
        await trio.sleep_forever()


async def test_the_second_head_has_its_full_time_though_keep_alive_is_nearly_over() -> None:
    async with (
        serving(echo, head_seconds=5, keep_alive_seconds=0.4) as running,
        await running.connect() as wire,
    ):
        await wire.send(GET)
        await wire.response()
        await wire.send(GET[:5])
        await trio.sleep(0.6)
        await wire.send(GET[5:])
        assert (await wire.response())[0] == 200


async def test_an_idle_kept_alive_connection_is_closed() -> None:
    async with (
        serving(echo, keep_alive_seconds=0.2) as running,
        await running.connect() as wire,
    ):
        await wire.send(GET)
        assert (await wire.response())[0] == 200
        assert await wire.rest() == b""


@pytest.mark.parametrize("framing", [b"Content-Length: 100", b"Transfer-Encoding: chunked"])
async def test_a_stalled_body_is_408_and_closed(framing: bytes) -> None:
    async with serving(echo, body_idle_seconds=0.2) as running, await running.connect() as wire:
        await wire.send(b"POST / HTTP/1.1\r\nHost: x\r\n" + framing + b"\r\n\r\n5\r\nabc")
        status, headers, body = await wire.response()
        assert (status, headers["connection"]) == (408, "close")
        assert b"body_idle_seconds" in body
        assert await wire.rest() == b""


async def test_a_patient_client_is_not_taken_for_a_stalled_body() -> None:
    async def slow(request: Request, reply: Reply) -> None:
        await request.body(100)
        await trio.sleep(0.4)
        await ignore(request, reply)

    async with (
        serving(slow, body_idle_seconds=0.1, head_seconds=0.1) as running,
        await running.connect() as wire,
    ):
        await wire.send(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc")
        assert (await wire.response())[0] == 200


@pytest.mark.parametrize("framing", [b"Content-Length: 50000000", b"Transfer-Encoding: chunked"])
@pytest.mark.parametrize("handler", [echo, ignore])
async def test_an_early_answer_reaches_a_client_that_is_still_sending(
    framing: bytes, handler: Handler
) -> None:
    async with serving(handler) as running, await running.connect() as wire:
        await wire.send(b"POST / HTTP/1.1\r\nHost: x\r\n" + framing + b"\r\n\r\n")
        chunk = b"10000\r\n" + b"x" * 65536 + b"\r\n" if b"chunked" in framing else b"x" * 65536
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_push, wire, chunk, 100)
            status, headers, _ = await wire.response()
            assert status == (413 if handler is echo else 200)
            assert headers["connection"] == "close"
            nursery.cancel_scope.cancel()


@pytest.mark.parametrize("handler", [echo, ignore])
async def test_httpx2_gets_an_early_answer_to_a_large_upload(handler: Handler) -> None:
    async def upload() -> AsyncIterator[bytes]:
        for _ in range(300):
            yield b"x" * 65536

    async with serving(handler) as running, httpx2.AsyncClient(trust_env=False) as client:
        answer = await client.post(running.url, content=upload())
        assert answer.status_code == (413 if handler is echo else 200)


async def _push(wire: Wire, chunk: bytes, times: int) -> None:
    try:
        for _ in range(times):
            await wire.send(chunk)
    except trio.BrokenResourceError:
        await trio.sleep_forever()


async def test_a_connection_is_kept_after_errors() -> None:
    async with serving(echo) as running, await running.connect() as wire:
        for target, body, status in (
            ("//", "", 400),
            ("/", "x" * 10, 200),
            ("/..", "x" * 10, 400),
            ("/", "", 200),
        ):
            head = f"POST {target} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n"
            await wire.send((head + body).encode())
            answered, headers, _ = await wire.response()
            assert answered == status
            assert "connection" not in headers


async def test_pipelined_requests_are_answered_in_order() -> None:
    async with serving(echo) as running, await running.connect() as wire:
        await wire.send(
            b"POST /1 HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
            b"3;a=b\r\nabc\r\n0\r\nT: r\r\n\r\n"
            b"POST /2 HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nab"
            b"\r\nGET /3 HTTP/1.1\r\nHost: x\r\n\r\n"
        )
        bodies = [(await wire.response())[2] for _ in range(3)]
        assert bodies == [b"POST /1 3", b"POST /2 2", b"GET /3 0"]


async def test_a_malformed_chunk_ends_the_connection_without_a_success() -> None:
    async with serving(echo) as running, await running.connect() as wire:
        await wire.send(b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n")
        assert b" 200 " not in await wire.rest()


async def test_expect_100_continue_is_answered_before_the_body() -> None:
    async with serving(echo) as running, await running.connect() as wire:
        await wire.send(
            b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n"
        )
        assert (await wire.until(b"\r\n\r\n")).startswith(b"HTTP/1.1 100")
        await wire.send(b"ab")
        assert (await wire.response())[2] == b"POST / 2"


async def test_a_slow_but_moving_reader_gets_all() -> None:
    size = 3_000_000

    async def big(request: Request, reply: Reply) -> None:
        await reply.start(200, (("content-length", str(size)),))
        await reply.send(b"x" * size)
        await reply.finish()

    async with (
        serving(big, write_idle_seconds=0.4) as running,
        await running.connect(receive_buffer=65536) as wire,
    ):
        await wire.send(GET)
        await wire.until(b"\r\n\r\n")
        seen = len(wire.unread)
        while seen < size:
            await trio.sleep(0.02)
            seen += len(await wire.stream.receive_some(65536))
        assert seen == size


async def test_a_reader_that_stops_is_cut_and_its_work_ended() -> None:
    ended = trio.Event()

    async def flood(request: Request, reply: Reply) -> None:
        try:
            await reply.start(200)
            while True:
                await reply.send(b"x" * 1_000_000)
        finally:
            ended.set()

    async with (
        serving(flood, write_idle_seconds=0.2) as running,
        await running.connect(receive_buffer=4096) as wire,
    ):
        await wire.send(GET)
        with trio.fail_after(3):
            await ended.wait()
            await running.settled(0)


async def test_every_answer_says_its_request_id_and_no_server() -> None:
    async with serving(echo) as running, await running.connect() as wire:
        for offered, taken in (("abc-1._", True), ("with space", False), ("x" * 65, False)):
            await wire.send(
                f"GET / HTTP/1.1\r\nHost: x\r\nX-Request-Id: {offered}\r\n\r\n".encode()
            )
            _, headers, _ = await wire.response()
            assert (headers["x-request-id"] == offered) is taken
            assert headers["x-request-id"]
            assert headers["x-content-type-options"] == "nosniff"
            assert "server" not in headers
