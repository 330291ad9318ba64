"""One request on its way through an ASGI application: its messages, its limits, its end."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import trio

from harmony.errors import HarmonyError, Unavailable
from harmony.web import problems
from harmony.web.asgi import AsgiApp, HttpScope, Received, Sent
from harmony.web.engine import Stream

_QUEUE_MESSAGES = 10
_LOOK_SECONDS = 0.5
_HTTP2_PIECE = 16384  # what hypercorn's buffer of a stream takes without waiting

_log = logging.getLogger("harmony.web")


@dataclass(slots=True)
class InFlight:
    """How many requests a host works on, of how many it may."""

    limit: int
    count: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What a call may ask of, and tell, its connection.

    Attributes:
        hung_up: whether the client has closed, seen past bytes that are not read yet.
        ends: whether this answer is the last one of its connection.
        cut: close the connection now.
        body_complete: whether the client has sent all of its HTTP/1 request.
        undelimited: told True while an answer runs that only the end of the connection ends.
    """

    body_idle_seconds: float
    write_idle_seconds: float
    hung_up: Callable[[], bool]
    ends: Callable[[], bool]
    cut: Callable[[], None]
    body_complete: Callable[[], bool]
    undelimited: Callable[[bool], None]


class Call:
    """Runs the application for one request; `harmony.web.asgi.Client` for it.

    The connection puts the client's messages; after it said ``http.disconnect``, or once the
    application has returned, further ones are dropped.
    """

    def __init__(self, scope: HttpScope, stream: Stream, around: Surroundings) -> None:
        self._scope = scope
        self._stream = stream
        self._around = around
        self._inbox, self._outbox = trio.open_memory_channel[Received](_QUEUE_MESSAGES)
        self._waiting: set[trio.CancelScope] = set()
        self._http2 = scope["http_version"] == "2"
        self._body_received = False
        self._started = False
        self._head: Sent | None = None
        self._trailers = False
        self._finished = False
        self._gone = False
        scope["harmony"] = self

    # From the client

    async def put(self, message: Received) -> None:
        """Hand on what the client sent; waits while the application is behind."""
        if message["type"] == "http.disconnect":
            self.disconnect()
            return
        self._body_received = not message.get("more_body", False)
        with contextlib.suppress(trio.WouldBlock, trio.BrokenResourceError):
            # Without a checkpoint: what came in one piece is known before the application runs.
            self._inbox.send_nowait(message)
            return
        while True:
            try:
                with trio.move_on_after(_LOOK_SECONDS):
                    await self._inbox.send(message)
                    return
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                return
            if self._around.hung_up():
                self._go()

    def disconnect(self) -> None:
        """The client will send no more, and unless the answer is out, gets none."""
        self._inbox.close()
        self._go()

    def _go(self) -> None:
        if not self._finished:
            self._gone = True
            for scope in self._waiting:
                scope.cancel()

    # For the application

    @property
    def body_idle_seconds(self) -> float:
        return self._around.body_idle_seconds

    @contextlib.contextmanager
    def cancel_when_gone(self) -> Iterator[trio.CancelScope]:
        with trio.CancelScope() as scope:
            if self._gone:
                scope.cancel()
            self._waiting.add(scope)
            try:
                yield scope
            finally:
                self._waiting.discard(scope)

    async def receive(self) -> Received:
        try:
            return await self._outbox.receive()
        except trio.EndOfChannel:
            return {"type": "http.disconnect"}

    async def send(self, message: Sent) -> None:
        """Send a part of the answer; OSError once the client is gone, as ASGI has it."""
        if self._gone:
            raise BrokenPipeError("the client is gone")
        match message["type"]:
            case "http.response.start":
                message = self._begin(message)
            case "http.response.body":
                last = not message.get("more_body", False)
                self._finished = last and not self._trailers
            case "http.response.trailers":
                self._finished = not message.get("more_trailers", False)
        if self._http2:
            await self._send_paced(message)
        elif message["type"] == "http.response.start":
            self._head = message  # it goes with what comes next
        else:
            await self._stream.send(*self._take_head(), message)
        if self._finished:
            self._around.undelimited(False)

    def _take_head(self) -> list[Sent]:
        """The head of the answer, if it is not sent yet."""
        head, self._head = self._head, None
        return [] if head is None else [head]

    def _begin(self, message: Sent) -> Sent:
        headers = list(message.get("headers", ()))
        names = {name.lower() for name, _ in headers}
        self._started = True
        self._trailers = message.get("trailers", False)
        if not self._http2:
            if self._around.ends() or not self._around.body_complete():
                headers.append((b"connection", b"close"))
            self._around.undelimited(
                self._scope["http_version"] == "1.0" and b"content-length" not in names
            )
        return {**message, "headers": headers}

    async def _send_paced(self, message: Sent) -> None:
        """HTTP/2: a client that opens no window may not hold the answer for ever."""
        body = message.get("body", b"")
        pieces: list[Sent] = []
        while len(body) > _HTTP2_PIECE:
            pieces.append({**message, "body": body[:_HTTP2_PIECE], "more_body": True})
            body = body[_HTTP2_PIECE:]
        last: Sent = {**message, "body": body} if "body" in message else message
        for piece in (*pieces, last):
            with trio.move_on_after(self._around.write_idle_seconds) as patience:
                await self._stream.send(piece)
            if patience.cancelled_caught:
                self._finished = False
                self._go()
                await self._stream.reset()
                raise BrokenPipeError("the client stopped reading")

    async def break_off(self) -> None:
        if not self._gone:
            for head in self._take_head():
                await self._stream.send(head)
        self._finished = False
        self._go()
        if self._http2:
            await self._stream.reset()
        else:
            self._around.cut()

    # The run

    async def run(self, app: AsgiApp, in_flight: InFlight) -> None:
        """Run the application to its end, whatever that is; only cancellation comes out."""
        try:
            if in_flight.count >= in_flight.limit:
                await self._refuse(
                    Unavailable(
                        f"harmony is busy with {in_flight.limit} requests",
                        code="too-many-requests-in-flight",
                        hint="try again shortly, or raise `max_in_flight` of the listener",
                    )
                )
            else:
                in_flight.count += 1
                try:
                    await self._run(app)
                finally:
                    in_flight.count -= 1
        finally:
            self._outbox.close()
        if self._http2 and self._finished and not self._body_received and not self._gone:
            await self._stream.stop_upload()
        await self._stream.release()

    async def _run(self, app: AsgiApp) -> None:
        try:
            await app(self._scope, self.receive, self.send)
        except Exception as exc:
            if not self._gone:
                _log.error("an application failed: %s", problems.place(exc))
        if self._gone or self._finished:
            return
        if self._started:
            await self.break_off()
        else:
            await self._refuse(problems.internal_error())

    async def _refuse(self, error: HarmonyError) -> None:
        identity = problems.request_id(None)
        status, headers, body = problems.problem(error, request_id=identity)
        raw = [
            (name.encode(), value.encode())
            for name, value in (*headers, *problems.always(identity))
        ]
        with contextlib.suppress(OSError):
            await self.send({"type": "http.response.start", "status": status, "headers": raw})
            await self.send({"type": "http.response.body", "body": body})
