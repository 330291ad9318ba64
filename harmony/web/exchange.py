"""A request and its answer, as endpoints see them.

A `Handler` reads a `Request` and writes a `Reply`, or raises: `harmony.errors` for what went
wrong, `ClientGone` when nobody waits any more. `answer` turns that into a problem document
before the head of the answer is out, and breaks the answer off after it.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from typing import TypeAlias
from urllib.parse import unquote

import trio

from harmony.envelope import Headers, StreamBroken, header
from harmony.errors import HarmonyError, RequestError
from harmony.web import problems
from harmony.web.asgi import Client, HttpScope, Receive, Send

_PIECE_BYTES = 256 * 1024

_log = logging.getLogger("harmony.web")


class ClientGone(Exception):
    """The client closed, half-closed, or reset its stream; nothing can be told to it."""


class RequestHeaders:
    """The headers of a request. Names are lower-case, and those with ``_`` are left out.

    Servers behind us may read ``x_y`` as ``x-y``, so such a name could pass for another.
    """

    def __init__(self, raw: Iterable[tuple[bytes, bytes]]) -> None:
        self._fields = tuple(
            (name.decode("latin-1").lower(), value.decode("latin-1"))
            for name, value in raw
            if b"_" not in name
        )

    def get(self, name: str) -> str | None:
        """The first value of this header; `name` in lower case."""
        return header(self._fields, name)

    def all(self, name: str) -> tuple[str, ...]:
        """All values of this header, in order."""
        return tuple(value for field, value in self._fields if field == name)

    @property
    def fields(self) -> Headers:
        return self._fields


class Request:
    """What a client asks.

    Attributes:
        id: of the client's ``X-Request-Id`` if it is well-formed, else made.
        path: what comes below the mount, decoded; begins with ``/``.
        raw_path: the same as the client encoded it.
        query: the raw query string, without ``?``.
        version: of HTTP, that the client speaks.
        address: of the client, as host and port; None if unknown.
    """

    def __init__(
        self,
        scope: HttpScope,
        receive: Receive,
        *,
        path: str | None = None,
        raw_path: str | None = None,
    ) -> None:
        self.method = scope["method"]
        self.version = scope["http_version"]
        self.raw_path = raw_path if raw_path is not None else scope["raw_path"].decode("latin-1")
        self.path = path if path is not None else unquote(self.raw_path)
        self.query = scope["query_string"].decode("latin-1")
        self.headers = RequestHeaders(scope["headers"])
        self.id = problems.request_id(self.headers.get("x-request-id"))
        self.address = scope["client"]
        self.client: Client = scope["harmony"]
        self._receive = receive
        self._complete = False

    def stream(self, limit: int, *, as_sent: bool = False) -> AsyncIterator[bytes]:
        """The body as it comes; read once, by one task.

        Args:
            limit: bytes that are taken.
            as_sent: whether it may be encoded, because nobody here reads it.

        Raises, at once or while read:
            RequestError: 413 over `limit` bytes, 415 for an encoded body, 408 if it stalls.
            ClientGone: the body stops before its end.
        """
        encoding = (self.headers.get("content-encoding") or "identity").strip().lower()
        if encoding != "identity" and not as_sent:
            raise RequestError(
                "a body with a Content-Encoding is not read",
                code="unsupported-content-encoding",
                http_status=415,
                hint="send it without Content-Encoding",
            )
        declared = self.headers.get("content-length")
        if declared is not None and declared.isdecimal() and int(declared) > limit:
            raise _too_large(limit)
        return _Body(self, limit)

    async def body(self, limit: int) -> bytes:
        """The whole body; raises as `stream` does."""
        return b"".join([chunk async for chunk in self.stream(limit)])

    async def next_chunk(self) -> bytes | None:
        """The next bytes of the body, counted by nobody; None after its end."""
        if self._complete:
            return None
        with trio.move_on_after(self.client.body_idle_seconds) as patience:
            message = await self._receive()
        if patience.cancelled_caught:
            raise RequestError(
                f"no byte of the body came for {self.client.body_idle_seconds:g} seconds",
                code="request-timeout",
                http_status=408,
                hint="send the body without pauses, or raise `body_idle_seconds` of the listener",
            )
        if message["type"] == "http.disconnect":
            raise ClientGone
        self._complete = not message.get("more_body", False)
        return message.get("body", b"")


class _Body:
    """The body of a request, up to a limit."""

    def __init__(self, request: Request, limit: int) -> None:
        self._request = request
        self._limit = limit
        self._seen = 0

    def __aiter__(self) -> _Body:
        return self

    async def __anext__(self) -> bytes:
        while (chunk := await self._request.next_chunk()) is not None:
            self._seen += len(chunk)
            if self._seen > self._limit:
                raise _too_large(self._limit)
            if chunk:
                return chunk
        raise StopAsyncIteration


def _too_large(limit: int) -> RequestError:
    return RequestError(
        f"the body is larger than {limit} bytes",
        code="body-too-large",
        http_status=413,
        hint="send less at a time, or raise the limit of the endpoint",
    )


class Reply:
    """The answer to one request: `start`, then `send` as often as needed, then `finish`.

    Every method raises `ClientGone` once the client has left.

    Attributes:
        status: as given to `start`; None before.
        finished: the answer is whole, or was broken off.
        can_send_trailers: the client reads trailers, so `finish` may be given some if a
            ``trailer`` header announced them.
    """

    def __init__(self, scope: HttpScope, send: Send, *, request: Request) -> None:
        self._send = send
        self._client = request.client
        self._request_id = request.id
        self._trailers = False
        self.status: int | None = None
        self.finished = False
        self.can_send_trailers = (
            "http.response.trailers" in scope["extensions"]
            and request.headers.get("te") == "trailers"
        )

    @property
    def started(self) -> bool:
        """Whether the head is out, and with it the status."""
        return self.status is not None

    async def start(self, status: int, headers: Headers = ()) -> None:
        """Begin the answer. The head may wait for what comes next; see `flush`."""
        raw = _encode((*headers, *problems.always(self._request_id)))
        self._trailers = self.can_send_trailers and any(name == b"trailer" for name, _ in raw)
        self.status = status
        try:
            await self._send(
                {
                    "type": "http.response.start",
                    "status": status,
                    "headers": raw,
                    "trailers": self._trailers,
                }
            )
        except OSError as exc:
            raise ClientGone from exc

    async def send(self, data: bytes) -> None:
        """Send a part of the body; waits for a client that reads slowly."""
        try:
            for start in range(0, len(data), _PIECE_BYTES):
                piece = data[start : start + _PIECE_BYTES]
                await self._send({"type": "http.response.body", "body": piece, "more_body": True})
        except OSError as exc:
            raise ClientGone from exc

    async def flush(self) -> None:
        """Let the client have the head now: the body takes its time."""
        try:
            await self._send({"type": "http.response.body", "body": b"", "more_body": True})
        except OSError as exc:
            raise ClientGone from exc

    async def finish(self, trailers: Headers = ()) -> None:
        """End the answer; to the client it is whole now.

        Raises:
            ValueError: trailers that were not announced.
        """
        if trailers and not self._trailers:
            raise ValueError("these trailers were not announced when the answer was started")
        self.finished = True
        try:
            await self._send({"type": "http.response.body", "body": b"", "more_body": False})
            if self._trailers:
                raw = _encode(trailers)
                await self._send({"type": "http.response.trailers", "headers": raw})
        except OSError as exc:
            raise ClientGone from exc

    async def break_off(self) -> None:
        """End the answer early so that the client sees it, whatever the version of HTTP."""
        self.finished = True
        await self._client.break_off()


def _encode(headers: Headers) -> list[tuple[bytes, bytes]]:
    raw = []
    for name, value in headers:
        if any(char in value for char in "\r\n\0"):
            raise ValueError(f"the value of header {name} holds a line break")
        raw.append((name.lower().encode("ascii"), value.encode("latin-1")))
    return raw


Handler: TypeAlias = Callable[[Request, Reply], Awaitable[None]]


async def answer(handler: Handler, request: Request, reply: Reply) -> None:
    """Run the handler and tell the client the truth about how it went."""
    try:
        await handler(request, reply)
        if not reply.finished:
            raise RuntimeError("the handler has left its answer open")
    except ClientGone:
        return
    except HarmonyError as exc:
        await _fail(exc, reply, request)
    except StreamBroken:
        await _fail(problems.internal_error(), reply, request)
    except Exception as exc:
        _log.error("request %s failed: %s", request.id, problems.place(exc))
        await _fail(problems.internal_error(), reply, request)


async def _fail(error: HarmonyError, reply: Reply, request: Request) -> None:
    if reply.finished:
        return
    try:
        if reply.started:
            await reply.break_off()
            return
        status, headers, body = problems.problem(error, request_id=request.id)
        await reply.start(status, headers)
        await reply.send(body)
        await reply.finish()
    except ClientGone:
        return


async def until_gone(request: Request, work: Callable[[], Awaitable[None]]) -> None:
    """Do the work, and cancel it when the client goes: close, half-close, or RST_STREAM.

    May be used before, while and after the body is read; it reads nothing itself.

    Raises:
        ClientGone: the work was cancelled for this reason.
    """
    with request.client.cancel_when_gone() as scope:
        await work()
    if scope.cancelled_caught:
        raise ClientGone
