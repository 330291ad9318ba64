"""Many clients that behave in every bad way at once; afterwards nothing is left of them."""

from __future__ import annotations

import random

import h2.exceptions
import pytest
import trio
from h2.errors import ErrorCodes

from harmony.errors import UpstreamError
from harmony.web.exchange import Reply, Request, until_gone
from tests.integration.web.harness import Http2Wire, Running, Wire, serving

PIECES = (
    b"GET /rows HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET /break HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET /wait HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET /fail HTTP/1.0\r\nHost: x\r\n\r\n",
    b"POST /upload HTTP/1.1\r\nHost: x\r\nContent-Length: 200000\r\n\r\n",
    b"POST /upload HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n",
    b"800\r\n" + b"x" * 2048 + b"\r\n",
    b"0\r\n\r\n",
    b"x" * 50_000,
    b"GET / HTTP/1.1\r\nHo",
    b"\r\n\r\n",
    b"GET / HTTP/1.1\nHost: x\n\n",
    b"GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n",
)
PATHS = ("/rows", "/break", "/wait", "/fail", "/upload")


async def handler(request: Request, reply: Reply) -> None:
    if request.path == "/fail":
        raise UpstreamError("nobody there")
    if request.path == "/wait":
        await until_gone(request, trio.sleep_forever)
    if request.path == "/upload":
        await until_gone(request, lambda: _drink(request))
    await reply.start(200)
    for _ in range(50):
        await reply.send(b"x" * 5000)
    if request.path == "/break":
        raise UpstreamError("lost on the way")
    await reply.finish()


async def _drink(request: Request) -> None:
    async for _ in request.stream(150_000):
        await trio.lowlevel.checkpoint()


async def rough(running: Running, seed: int) -> None:
    chance = random.Random(seed)
    with trio.move_on_after(chance.uniform(0.05, 1)):
        try:
            wire = await running.connect()
        except OSError:
            return
        async with wire:
            try:
                await (rough_http2 if chance.random() < 0.3 else rough_http1)(wire, chance)
            except (OSError, trio.BrokenResourceError, AssertionError, h2.exceptions.H2Error):
                return
            if chance.random() < 0.5:
                wire.reset()


async def rough_http1(wire: Wire, chance: random.Random) -> None:
    for _ in range(chance.randint(1, 6)):
        await wire.send(chance.choice(PIECES))
        if chance.random() < 0.3:
            await wire.stream.receive_some(1000)
        await trio.sleep(chance.uniform(0, 0.02))
    if chance.random() < 0.5:
        await wire.rest()


async def rough_http2(wire: Wire, chance: random.Random) -> None:
    http2 = Http2Wire(wire.stream, window=chance.choice((0, 100, 65535)))
    for _ in range(chance.randint(1, 8)):
        upload = chance.random() < 0.5
        stream = await http2.request(
            chance.choice(PATHS), method="POST" if upload else "GET", end=not upload
        )
        for _ in range(chance.randint(0, 5) if upload else 0):
            http2.h2.send_data(stream, b"x" * chance.randint(0, 10_000))
        if chance.random() < 0.5:
            http2.h2.reset_stream(stream, ErrorCodes.CANCEL)
        if chance.random() < 0.1:
            await wire.send(chance.choice(PIECES))
        await http2.flush()
        with trio.move_on_after(chance.choice((0, 0.02, 0.5))):
            await http2.next(h2.events.StreamEnded)


@pytest.mark.parametrize("seed", range(3))
async def test_rough_clients_leave_nothing_and_others_are_served(
    seed: int, caplog: pytest.LogCaptureFixture
) -> None:
    async with serving(handler, max_in_flight=1000, keep_alive_seconds=1) as running:
        async with trio.open_nursery() as nursery:
            for number in range(120):
                nursery.start_soon(rough, running, seed * 1000 + number)
        await running.settled(0)
        assert running.host.in_flight == 0
        assert (await running.get("/rows")).endswith(b"0\r\n\r\n")
    assert [record.getMessage() for record in caplog.records] == []


async def test_a_hard_stop_among_rough_clients_ends_at_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with serving(handler, max_in_flight=1000) as running, trio.open_nursery() as nursery:
        for number in range(120):
            nursery.start_soon(rough, running, 9000 + number)
        await trio.sleep(0.1)
        running.stop.cancel()
        with trio.fail_after(1):
            await running.ended.wait()
    assert [record.getMessage() for record in caplog.records] == []
