"""Answers that are broken off, and clients that go, over HTTP/1."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import httpx2
import pytest
import trio

from harmony.envelope import StreamBroken
from harmony.errors import RequestError, UpstreamError
from harmony.web.exchange import ClientGone, Handler, Reply, Request, until_gone
from tests.integration.web.harness import Wire, serving

GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
CHUNKED: tuple[tuple[str, str], ...] = ()
COUNTED = (("content-length", "1000"),)


def breaking(headers: tuple[tuple[str, str], ...], how: BaseException | None) -> Handler:
    """A handler that sends ten bytes and then fails, or forgets to go on."""

    async def handler(request: Request, reply: Reply) -> None:
        await reply.start(200, headers)
        await reply.send(b"0123456789")
        if how is not None:
            raise how

    return handler


FAILURES = [
    UpstreamError("pacs is gone"),
    RequestError("a late mistake"),
    StreamBroken("half"),
    LookupError("a bug"),
    None,
]


@pytest.mark.parametrize("failure", FAILURES, ids=repr)
@pytest.mark.parametrize("headers", [CHUNKED, COUNTED], ids=["chunked", "counted"])
async def test_a_failure_after_the_head_is_no_clean_end(
    headers: tuple[tuple[str, str], ...], failure: BaseException | None
) -> None:
    async with serving(breaking(headers, failure)) as running:
        async with await running.connect() as wire:
            await wire.send(GET)
            answer = await wire.rest()
            assert answer.startswith(b"HTTP/1.1 200")
            assert b"0123456789" in answer
            assert not answer.endswith(b"0\r\n\r\n")
        async with httpx2.AsyncClient(trust_env=False) as client:
            with pytest.raises(httpx2.RemoteProtocolError):
                await client.get(running.url)


async def test_an_http_1_0_client_that_waits_for_the_end_sees_a_reset() -> None:
    async with (
        serving(breaking(CHUNKED, UpstreamError("gone"))) as running,
        await running.connect() as wire,
    ):
        await wire.send(b"GET / HTTP/1.0\r\n\r\n")
        with pytest.raises(trio.BrokenResourceError):
            await wire.rest()


async def test_an_http_1_0_client_gets_a_whole_answer_with_a_clean_end() -> None:
    async def whole(request: Request, reply: Reply) -> None:
        await reply.start(200)
        await reply.send(b"all of it")
        await reply.finish()

    async with serving(whole) as running, await running.connect() as wire:
        await wire.send(b"GET / HTTP/1.0\r\n\r\n")
        assert (await wire.rest()).endswith(b"all of it")


@pytest.mark.parametrize("version", [b"1.0", b"1.1"])
async def test_a_hard_stop_is_no_clean_end_either(version: bytes) -> None:
    async def endless(request: Request, reply: Reply) -> None:
        await reply.start(200)
        await reply.send(b"0123456789")
        await trio.sleep_forever()

    async with serving(endless) as running, await running.connect() as wire:
        await wire.send(b"GET / HTTP/" + version + b"\r\nHost: x\r\n\r\n")
        await wire.until(b"0123456789")
        running.stop.cancel()
        if version == b"1.0":
            with pytest.raises(trio.BrokenResourceError):
                await wire.rest()
        else:
            assert b"0\r\n\r\n" not in await wire.rest()


async def test_a_body_shorter_than_its_content_length_is_no_clean_end() -> None:
    async def short(request: Request, reply: Reply) -> None:
        await reply.start(200, COUNTED)
        await reply.send(b"0123456789")
        await reply.finish()

    async with serving(short) as running, httpx2.AsyncClient(trust_env=False) as client:
        with pytest.raises(httpx2.RemoteProtocolError):
            await client.get(running.url)


async def test_a_failure_before_the_head_is_a_problem_document() -> None:
    async def failing(request: Request, reply: Reply) -> None:
        raise UpstreamError("pacs is gone", backend="pacs", peer="ORTHANC", dimse_status=0xA702)

    async with serving(failing) as running, httpx2.AsyncClient(trust_env=False) as client:
        answer = await client.get(running.url, headers={"X-Request-Id": "mine"})
        assert answer.status_code == 502
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.json() == {
            "type": "https://harmony-proxy.readthedocs.io/problems#upstream-failure",
            "title": "Upstream failure",
            "status": 502,
            "detail": "pacs is gone",
            "instance": "mine",
            "dicom_status": "0xA702",
            "peer": "ORTHANC",
            "backend": "pacs",
        }


# Clients that go


class Work:
    """Work under `until_gone` that starts an answer, or not, and then waits."""

    def __init__(self, *, body: bool = False, started: bool = False) -> None:
        self.body = body
        self.started = started
        self.entered = trio.Event()
        self.outcome: BaseException | None = None
        self.ended = trio.Event()

    async def __call__(self, request: Request, reply: Reply) -> None:
        try:
            if self.body:
                await request.body(100)
            await until_gone(request, lambda: self._work(reply))
        except BaseException as exc:
            self.outcome = exc
            raise
        finally:
            self.ended.set()

    async def _work(self, reply: Reply) -> None:
        if self.started:
            await reply.start(200)
            await reply.send(b"first")
        self.entered.set()
        await trio.sleep_forever()


async def _close(wire: Wire) -> None:
    await wire.stream.aclose()


async def _half_close(wire: Wire) -> None:
    assert isinstance(wire.stream, trio.SocketStream)
    await wire.stream.send_eof()


async def _reset(wire: Wire) -> None:
    wire.reset()


LEAVING = pytest.mark.parametrize("leave", [_close, _half_close, _reset])


@LEAVING
@pytest.mark.parametrize("started", [False, True], ids=["before_first_byte", "mid_stream"])
@pytest.mark.parametrize("body", [False, True], ids=["get", "post"])
async def test_work_is_cancelled_when_the_client_goes(
    leave: Callable[[Wire], Awaitable[None]], started: bool, body: bool
) -> None:
    work = Work(body=body, started=started)
    async with serving(work) as running, await running.connect() as wire:
        await wire.send(
            b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc" if body else GET
        )
        await work.entered.wait()
        await leave(wire)
        with trio.fail_after(2):
            await work.ended.wait()
            await running.settled(0)
        assert isinstance(work.outcome, ClientGone)


@LEAVING
async def test_a_client_that_goes_while_it_uploads_ends_the_reader(
    leave: Callable[[Wire], Awaitable[None]],
) -> None:
    outcome: list[BaseException] = []
    reading = trio.Event()

    async def upload(request: Request, reply: Reply) -> None:
        try:
            async for _ in request.stream(10_000):
                reading.set()
        except BaseException as exc:
            outcome.append(exc)
            raise

    async with serving(upload) as running, await running.connect() as wire:
        await wire.send(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 300\r\n\r\nabc")
        await reading.wait()
        await leave(wire)
        with trio.fail_after(2):
            await running.settled(0)
    assert [type(exc) for exc in outcome] == [ClientGone]


async def test_a_client_that_goes_after_its_upload_cancels_what_is_still_done_with_it() -> None:
    uploaded = trio.Event()
    ended = trio.Event()

    async def upload(request: Request, reply: Reply) -> None:
        async def work() -> None:
            await request.body(10_000)
            uploaded.set()
            await trio.sleep_forever()

        try:
            await until_gone(request, work)
        finally:
            ended.set()

    async with serving(upload) as running, await running.connect() as wire:
        await wire.send(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc")
        await uploaded.wait()
        await wire.stream.aclose()
        with trio.fail_after(2):
            await ended.wait()


@pytest.mark.parametrize("leave", [_close, _reset])
async def test_a_client_that_goes_is_seen_past_bytes_that_nobody_reads(
    leave: Callable[[Wire], Awaitable[None]],
) -> None:
    entered = trio.Event()
    ended = trio.Event()

    async def stuck(request: Request, reply: Reply) -> None:
        entered.set()
        try:
            await until_gone(request, trio.sleep_forever)
        finally:
            ended.set()

    async with serving(stuck) as running, await running.connect() as wire:
        await wire.send(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100000000\r\n\r\n")
        await entered.wait()
        for _ in range(30):  # more messages than are queued for the handler
            await wire.send(b"x" * 100)
            await trio.sleep(0.002)
        await leave(wire)
        with trio.fail_after(2):
            await ended.wait()
            await running.settled(0)


async def test_a_reset_is_seen_behind_a_full_window() -> None:
    ended = trio.Event()

    async def stuck(request: Request, reply: Reply) -> None:
        try:
            await until_gone(request, trio.sleep_forever)
        finally:
            ended.set()

    async with serving(stuck) as running, await running.connect() as wire:
        await wire.send(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100000000\r\n\r\n")
        with trio.move_on_after(0.5):
            while True:
                await wire.send(b"x" * 65536)
        wire.reset()
        with trio.fail_after(2):
            await ended.wait()
            await running.settled(0)


async def test_a_client_that_goes_is_seen_past_pipelined_requests() -> None:
    work = Work()
    async with serving(work) as running, await running.connect() as wire:
        await wire.send(GET * 2000)
        await work.entered.wait()
        await wire.stream.aclose()
        with trio.fail_after(2):
            await work.ended.wait()


async def test_who_sends_without_watching_is_told_that_the_client_is_gone() -> None:
    started = trio.Event()
    told: list[type[BaseException]] = []

    async def stream(request: Request, reply: Reply) -> None:
        await reply.start(200)
        started.set()
        try:
            while True:
                await reply.send(b"x" * 1000)
                await trio.sleep(0.001)
        except ClientGone as exc:
            told.append(type(exc))
            raise

    async with serving(stream) as running, await running.connect() as wire:
        await wire.send(GET)
        await started.wait()
        await wire.stream.aclose()
        with trio.fail_after(2):
            await running.settled(0)
    assert told == [ClientGone]


async def test_an_upload_is_paced_by_its_reader() -> None:
    taken = 0

    async def slow(request: Request, reply: Reply) -> None:
        nonlocal taken
        async for chunk in request.stream(1_000_000_000):
            taken += len(chunk)
            if taken > 200_000:
                await trio.sleep_forever()

    async with serving(slow) as running, await running.connect() as wire:
        await wire.send(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100000000\r\n\r\n")
        pushed = 0
        with trio.move_on_after(1):
            while pushed < 100_000_000:
                await wire.send(b"x" * 65536)
                pushed += 65536
        assert pushed < 20_000_000
