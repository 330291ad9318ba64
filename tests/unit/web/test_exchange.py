"""Requests, replies and what becomes of a handler's errors, without a network."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Sequence

import pytest
import trio

from harmony.envelope import Headers, StreamBroken
from harmony.errors import RequestError, Unavailable, UpstreamError
from harmony.web.asgi import HttpScope, Received, Sent
from harmony.web.exchange import ClientGone, Handler, Reply, Request, answer, until_gone


class Client:
    """The other end, and all of ASGI."""

    def __init__(self, *received: Received, gone_after: int | None = None) -> None:
        self._received = list(received)
        self._gone_after = gone_after
        self.body_idle_seconds = 5.0
        self.sent: list[Sent] = []
        self.broken = False
        self.scope = trio.CancelScope()

    @contextlib.contextmanager
    def cancel_when_gone(self) -> Iterator[trio.CancelScope]:
        with self.scope as scope:
            yield scope

    async def break_off(self) -> None:
        self.broken = True

    async def receive(self) -> Received:
        if not self._received:
            await trio.sleep_forever()
        return self._received.pop(0)

    async def send(self, message: Sent) -> None:
        if self._gone_after is not None and len(self.sent) >= self._gone_after:
            raise BrokenPipeError
        self.sent.append(message)

    @property
    def status(self) -> int:
        return self.sent[0]["status"]

    @property
    def headers(self) -> dict[bytes, bytes]:
        return dict(self.sent[0]["headers"])

    @property
    def body(self) -> bytes:
        return b"".join(message.get("body", b"") for message in self.sent)

    @property
    def ended(self) -> bool:
        return not self.sent[-1].get("more_body", True)


def exchange(
    client: Client, *headers: tuple[bytes, bytes], trailers: bool = False
) -> tuple[Request, Reply]:
    scope: HttpScope = {
        "type": "http",
        "http_version": "1.1",
        "method": "POST",
        "scheme": "http",
        "path": "/a b",
        "raw_path": b"/a%20b",
        "query_string": b"x=%20",
        "root_path": "",
        "headers": headers,
        "client": ("192.0.2.1", 4711),
        "extensions": {"http.response.trailers": {}} if trailers else {},
        "harmony": client,
    }
    request = Request(scope, client.receive)
    return request, Reply(scope, client.send, request=request)


def body(*chunks: bytes) -> list[Received]:
    messages: list[Received] = [
        {"type": "http.request", "body": chunk, "more_body": True} for chunk in chunks
    ]
    return [*messages, {"type": "http.request", "body": b"", "more_body": False}]


# Requests


def test_a_request_says_what_was_asked() -> None:
    request, _ = exchange(
        Client(), (b"X-Request-Id", b"mine"), (b"a", b"1"), (b"A", b"\xe9"), (b"a_b", b"2")
    )
    assert (request.method, request.path, request.query) == ("POST", "/a b", "x=%20")
    assert (request.id, request.address) == ("mine", ("192.0.2.1", 4711))
    assert request.headers.get("a") == "1"
    assert request.headers.all("a") == ("1", "é")
    assert request.headers.get("a_b") is None
    assert request.headers.all("none") == ()


@pytest.mark.parametrize(
    ("chunks", "limit"), [((), 0), ((b"",), 0), ((b"abc",), 3), ((b"a", b"", b"bc"), 3)]
)
async def test_a_body_up_to_the_limit_is_read(chunks: Sequence[bytes], limit: int) -> None:
    request, _ = exchange(Client(*body(*chunks)))
    assert await request.body(limit) == b"".join(chunks)
    assert await request.body(limit) == b""


async def test_a_body_over_the_limit_is_413_as_soon_as_that_shows() -> None:
    request, _ = exchange(Client(*body(b"ab", b"cd", b"ef")))
    stream = request.stream(3)
    assert await anext(stream) == b"ab"
    with pytest.raises(RequestError) as caught:
        await anext(stream)
    assert caught.value.http_status == 413


async def test_a_declared_length_over_the_limit_is_413_before_anything_is_read() -> None:
    request, _ = exchange(Client(), (b"content-length", b"4"))
    with pytest.raises(RequestError) as caught:
        request.stream(3)
    assert caught.value.http_status == 413


@pytest.mark.parametrize(("coding", "read"), [(b"identity", True), (b"gzip", False)])
async def test_an_encoded_body_is_415(coding: bytes, read: bool) -> None:
    request, _ = exchange(Client(*body(b"abc")), (b"content-encoding", coding))
    if read:
        assert await request.body(3) == b"abc"
    else:
        with pytest.raises(RequestError) as caught:
            await request.body(3)
        assert caught.value.http_status == 415


async def test_a_body_that_stands_still_is_408(autojump_clock: trio.testing.MockClock) -> None:
    request, _ = exchange(Client({"type": "http.request", "body": b"ab", "more_body": True}))
    with pytest.raises(RequestError) as caught:
        await request.body(100)
    assert caught.value.http_status == 408
    assert "body_idle_seconds" in (caught.value.hint or "")


async def test_a_body_that_breaks_off_means_that_the_client_is_gone() -> None:
    request, _ = exchange(Client(body(b"ab")[0], {"type": "http.disconnect"}))
    with pytest.raises(ClientGone):
        await request.body(100)


# Replies


async def test_a_reply_is_a_head_pieces_and_an_end() -> None:
    client = Client()
    _, reply = exchange(client, (b"x-request-id", b"r"))
    assert (reply.started, reply.status, reply.finished) == (False, None, False)
    await reply.start(201, (("X-Some", "é"),))
    assert (reply.started, reply.status, reply.finished) == (True, 201, False)
    await reply.send(b"a")
    await reply.send(b"b")
    assert not client.ended
    await reply.finish()
    assert reply.finished
    assert client.ended
    assert (client.status, client.body) == (201, b"ab")
    assert client.headers == {
        b"x-some": b"\xe9",
        b"x-request-id": b"r",
        b"x-content-type-options": b"nosniff",
    }


async def test_a_large_part_goes_out_in_pieces() -> None:
    client = Client()
    _, reply = exchange(client)
    await reply.start(200)
    await reply.send(b"x" * 1_000_000)
    assert len(client.sent) > 3
    assert client.body == b"x" * 1_000_000


@pytest.mark.parametrize("value", ["a\r\nb: c", "a\nb", "a\0"])
async def test_a_header_cannot_smuggle_another(value: str) -> None:
    client = Client()
    _, reply = exchange(client)
    with pytest.raises(ValueError, match="line break"):
        await reply.start(200, (("a", value),))
    assert not reply.started
    assert client.sent == []


@pytest.mark.parametrize(
    ("te", "extension", "can"),
    [(b"trailers", True, True), (b"trailers", False, False), (b"gzip", True, False)],
)
async def test_trailers_go_to_clients_that_ask_for_them(
    te: bytes, extension: bool, can: bool
) -> None:
    client = Client()
    _, reply = exchange(client, (b"te", te), trailers=extension)
    assert reply.can_send_trailers is can
    await reply.start(200, (("trailer", "warning"),))
    assert client.sent[0]["trailers"] is can
    trailers: Headers = (("Warning", "299"),)
    if can:
        await reply.finish(trailers)
        assert client.sent[-1]["type"] == "http.response.trailers"
        assert client.sent[-1]["headers"] == [(b"warning", b"299")]
    else:
        with pytest.raises(ValueError, match="announced"):
            await reply.finish(trailers)


@pytest.mark.parametrize("gone_after", [0, 1, 2])
async def test_whoever_writes_to_a_client_that_left_is_told(gone_after: int) -> None:
    _, reply = exchange(Client(gone_after=gone_after))
    steps = [reply.start(200), reply.send(b"a"), reply.finish()]
    for step in steps[:gone_after]:
        await step
    with pytest.raises(ClientGone):
        await steps[gone_after]
    for step in steps[gone_after + 1 :]:
        step.close()


# Handlers


def raising(error: Exception, *, started: bool = False, finished: bool = False) -> Handler:
    async def handler(request: Request, reply: Reply) -> None:
        if started:
            await reply.start(200)
            await reply.send(b"part")
        if finished:
            await reply.finish()
        raise error

    return handler


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (RequestError("x"), 400, "bad-request"),
        (UpstreamError("x", code="association-rejected"), 502, "association-rejected"),
        (Unavailable("x"), 503, "unavailable"),
        (StreamBroken("x"), 500, "internal-error"),
        (LookupError("secret"), 500, "internal-error"),
        (ExceptionGroup("secret", [LookupError("secret")]), 500, "internal-error"),
    ],
)
async def test_an_error_before_the_head_is_a_problem_document(
    error: Exception, status: int, code: str, caplog: pytest.LogCaptureFixture
) -> None:
    client = Client()
    request, reply = exchange(client)
    await answer(raising(error), request, reply)
    document = json.loads(client.body)
    assert (client.status, document["status"]) == (status, status)
    assert document["type"].endswith("#" + code)
    assert document["instance"] == request.id
    assert client.ended
    assert not client.broken
    assert "secret" not in client.body.decode() + caplog.text


@pytest.mark.parametrize(
    "error", [RequestError("x"), UpstreamError("x"), StreamBroken("x"), LookupError("x")]
)
async def test_an_error_after_the_head_breaks_the_answer_off(error: Exception) -> None:
    client = Client()
    await answer(raising(error, started=True), *exchange(client))
    assert client.broken
    assert not client.ended


@pytest.mark.parametrize(
    ("error", "lines"), [(LookupError("x"), 1), (UpstreamError("x"), 0), (ClientGone(), 0)]
)
async def test_only_bugs_are_logged_and_only_once(
    error: Exception, lines: int, caplog: pytest.LogCaptureFixture
) -> None:
    request, reply = exchange(Client())
    await answer(raising(error), request, reply)
    assert len(caplog.records) == lines
    assert all(request.id in record.getMessage() for record in caplog.records)


async def test_an_error_after_the_end_changes_nothing() -> None:
    client = Client()
    await answer(raising(LookupError("x"), started=True, finished=True), *exchange(client))
    assert client.ended
    assert not client.broken


async def test_a_handler_that_forgets_to_end_its_answer_is_a_bug() -> None:
    async def forgetful(request: Request, reply: Reply) -> None:
        await reply.start(200)

    client = Client()
    await answer(forgetful, *exchange(client))
    assert client.broken


async def test_nothing_is_said_to_a_client_that_left() -> None:
    for error in (ClientGone(), UpstreamError("x")):
        client = Client(gone_after=0)
        await answer(raising(error), *exchange(client))
        assert client.sent == []


# Work that ends with its client


async def test_work_that_ends_is_left_alone() -> None:
    done = []

    async def work() -> None:
        done.append(True)

    await until_gone(exchange(Client())[0], work)
    assert done == [True]


async def test_work_is_cancelled_when_the_client_goes(
    autojump_clock: trio.testing.MockClock,
) -> None:
    client = Client()
    ended = trio.Event()

    async def work() -> None:
        client.scope.deadline = trio.current_time() + 1
        try:
            await trio.sleep_forever()
        finally:
            ended.set()

    with pytest.raises(ClientGone):
        await until_gone(exchange(client)[0], work)
    assert ended.is_set()


async def test_an_error_of_the_work_comes_out_as_it_is() -> None:
    async def work() -> None:
        raise UpstreamError("x")

    with pytest.raises(UpstreamError):
        await until_gone(exchange(Client())[0], work)


async def test_cancellation_from_outside_is_not_taken_for_a_client_that_left() -> None:
    with trio.CancelScope() as outside:
        outside.cancel()
        await until_gone(exchange(Client())[0], trio.sleep_forever)
    assert outside.cancelled_caught
