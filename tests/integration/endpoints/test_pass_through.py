"""HTTP in front of a backend that speaks HTTP: what goes on, what does not, and how it breaks."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

import httpx2
import pytest
import trio

from harmony.backends.files import FilesBackend, Options
from harmony.envelope import (
    Headers,
    Item,
    Items,
    Operation,
    Outcome,
    RequestEnvelope,
    ResponseEnvelope,
)
from harmony.errors import UpstreamError
from harmony.interfaces import Exchange, Probe
from tests.support.eventually import eventually
from tests.support.fronted import fronted

SECONDS = 20
Send = trio.MemorySendChannel[Item | Outcome]


@dataclass(slots=True)
class Origin:
    """A backend that answers as a test says, and notes what it was asked."""

    produce: Callable[[Send], Awaitable[None]]
    status: int = 200
    headers: Headers = ()
    name: str = "origin"
    asked: list[RequestEnvelope] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)
    ended: int = 0

    def accepts(self, operation: Operation) -> bool:
        return operation is Operation.HTTP

    @contextlib.asynccontextmanager
    async def lifespan(self) -> AsyncIterator[None]:
        yield

    async def probe(self) -> Probe:
        return Probe(True, "", 0)

    async def handle(self, request: RequestEnvelope, scope: Exchange) -> ResponseEnvelope:
        self.asked.append(request)
        body = request.body
        if not isinstance(body, bytes):
            body = b"".join([chunk async for chunk in cast("AsyncIterator[bytes]", body)])
        self.bodies.append(body)
        send, receive = trio.open_memory_channel[Item | Outcome](0)
        scope.nursery.start_soon(self._run, send)
        return ResponseEnvelope(
            items=Items(receive), backend=self.name, status=self.status, headers=self.headers
        )

    async def _run(self, send: Send) -> None:
        try:
            with send:
                await self.produce(send)
        finally:
            self.ended += 1


async def hello(send: Send) -> None:
    await send.send(b"hello ")
    await send.send(b"world")
    await send.send(Outcome())


async def test_a_request_goes_on_as_it_was_sent():
    origin = Origin(hello, status=201, headers=(("x-own", "yes"), ("content-type", "text/plain")))
    async with fronted(origin) as (client, observed):
        answer = await client.put(
            "/a%2Cb/c%20d/?x=1&y=%20", content=b"body", headers={"x-mine": "1", "te": "trailers"}
        )
    (request,) = origin.asked
    assert request.http is not None
    asked = (request.http.method, request.http.path, request.http.query)
    assert asked == ("PUT", "/a%2Cb/c%20d/", "x=1&y=%20")
    assert dict(request.headers)["x-mine"] == "1"
    assert origin.bodies == [b"body"]
    assert (answer.status_code, answer.content) == (201, b"hello world")
    assert (answer.headers["x-own"], answer.headers["content-type"]) == ("yes", "text/plain")
    (told,) = observed.all
    assert (told.operation, told.outcome, told.http_status) == (Operation.HTTP, "ok", 201)
    assert told.bytes_out == 11


async def test_what_is_of_one_connection_goes_no_further_either_way():
    headers = (("connection", "x-hop"), ("x-hop", "1"), ("keep-alive", "5"), ("x-own", "yes"))
    origin = Origin(hello, headers=headers)
    async with fronted(origin) as (client, _):
        answer = await client.get(
            "/", headers={"connection": "x-secret", "x-secret": "1", "proxy-authorization": "x"}
        )
    sent = {name for name, _ in origin.asked[0].headers}
    assert sent.isdisjoint({"connection", "x-secret", "proxy-authorization", "te", "upgrade"})
    assert "x-own" in answer.headers
    assert {"x-hop", "keep-alive"}.isdisjoint(answer.headers)


async def test_an_answer_without_a_body_has_none():
    async def nothing(send: Send) -> None:
        await send.send(Outcome())

    for status in (204, 304):
        async with fronted(Origin(nothing, status=status)) as (client, _):
            answer = await client.get("/")
            assert (answer.status_code, answer.content) == (status, b"")


async def test_a_body_that_breaks_off_breaks_off():
    async def half(send: Send) -> None:
        await send.send(b"half")
        raise UpstreamError("gone")

    async with fronted(Origin(half)) as (client, observed):
        with pytest.raises(httpx2.RemoteProtocolError):
            await client.get("/")
        await eventually(lambda: bool(observed.all))
    assert observed.all[0].outcome == "broken"


async def test_a_failure_before_the_head_is_a_problem_document():
    async def fails(send: Send) -> None:
        raise UpstreamError("the origin is gone", backend="origin")

    async with fronted(Origin(fails)) as (client, _):
        answer = await client.get("/")
    assert answer.status_code == 502
    assert answer.json()["backend"] == "origin"


async def test_an_origin_that_says_nothing_is_504():
    async def silent(send: Send) -> None:
        await trio.sleep_forever()

    async with fronted(Origin(silent), deadline_seconds=0.2) as (client, _):
        assert (await client.get("/")).status_code == 504


async def test_a_client_that_leaves_ends_the_work():
    async def endless(send: Send) -> None:
        while True:
            await send.send(b"x" * 65536)

    origin = Origin(endless)
    async with fronted(origin) as (client, observed):
        stream = await trio.open_tcp_stream("127.0.0.1", client.base_url.port or 0)
        async with stream:
            await stream.send_all(b"GET /front/ HTTP/1.1\r\nHost: x\r\n\r\n")
            assert b" 200 " in await stream.receive_some()
        await eventually(lambda: origin.ended == 1)
        await eventually(lambda: bool(observed.all))
    assert observed.all[0].outcome == "client_gone"


async def test_a_body_over_the_limit_is_413():
    async with fronted(Origin(hello), max_store_bytes=10) as (client, _):
        assert (await client.post("/", content=b"x" * 11)).status_code == 413
        assert (await client.post("/", content=b"x" * 10)).status_code == 200


async def test_files_of_a_folder(tmp_path: Path):
    (tmp_path / "index.html").write_text("<html>")
    (tmp_path / "big.bin").write_bytes(bytes(3_000_000))
    async with fronted(FilesBackend("viewer", Options(folder="."), tmp_path)) as (client, _):
        page = await client.get("/")
        assert (page.text, page.headers["content-type"]) == ("<html>", "text/html; charset=utf-8")
        again = await client.get("/", headers={"if-none-match": page.headers["etag"]})
        assert (again.status_code, again.content) == (304, b"")
        big = await client.get("/big.bin")
        assert len(big.content) == 3_000_000
        head = await client.head("/big.bin")
        assert (head.headers["content-length"], head.content) == ("3000000", b"")
        assert (await client.get("/gone")).json()["status"] == 404
        refused = await client.post("/", content=b"")
        assert (refused.status_code, refused.headers["allow"]) == (405, "GET, HEAD")
