"""One HTTP connection: reads, writes, deadlines and the end."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import trio

from harmony.config.model import HttpListener
from harmony.errors import RequestError
from harmony.web import problems, sockets
from harmony.web.asgi import AsgiApp, HttpScope
from harmony.web.call import Call, InFlight, Surroundings
from harmony.web.engine import Engine, Shared, Stream
from harmony.web.head import HeadGuard, Phase

_READ_BYTES = 65536
_LINGER_SECONDS = 5.0
_GOODBYE_SECONDS = 1.0
_LOOK_SECONDS = 0.5


@dataclass(slots=True)
class Common:
    """What the connections of one host share."""

    app: AsgiApp
    limits: HttpListener
    engine: Shared
    in_flight: InFlight
    draining: bool = False


class Connection:
    """Serves one client until it or we have had enough. Implements `harmony.web.engine.Host`.

    Args:
        transport: the accepted socket; owned from here on.
        stream: the same, or TLS on top of it.
        http2: HTTP/2 was agreed on during the TLS handshake.
    """

    def __init__(
        self,
        common: Common,
        transport: trio.SocketStream,
        stream: trio.abc.Stream,
        *,
        tls: bool,
        http2: bool,
    ) -> None:
        self._common = common
        self._transport = transport
        self._stream = stream
        self._tls = tls
        self._client = _address(transport.socket.getpeername())
        self._server = _address(transport.socket.getsockname())
        limits = common.limits
        self._guard = HeadGuard(
            max_head_bytes=limits.max_head_bytes, http2=http2, preface_allowed=not tls
        )
        self._engine: Engine | None = None
        self._nursery: trio.Nursery | None = None
        self._writing = trio.Lock()
        self._reading = trio.CancelScope()
        self._busy = 0
        self._served = False
        self._closing = False
        self._lingering = False
        self._undelimited = False
        self._quiet_since = self._head_since = trio.current_time()
        self._around = Surroundings(
            body_idle_seconds=limits.body_idle_seconds,
            write_idle_seconds=limits.write_idle_seconds,
            hung_up=lambda: sockets.hung_up(transport),
            ends=lambda: common.draining,
            cut=self._cut,
            body_complete=lambda: self._guard.phase is not Phase.BODY,
            undelimited=self._set_undelimited,
        )

    async def run(self) -> None:
        """Serve; returns with the socket closed and all requests ended.

        Cancelling it closes the socket at once, so that an unfinished answer looks unfinished.
        """
        try:
            async with trio.open_nursery() as nursery:
                self._nursery = nursery
                await self._read()
                await self._close()
                if self._engine is not None:
                    await self._engine.gone()
        finally:
            self._cut()

    def drain(self) -> None:
        """Close now if nothing is owed to the client, else with the last answer."""
        self._reading.cancel()

    # Reading

    async def _read(self) -> None:
        while not self._closing:
            await self._forward()
            if self._guard.buffered > self._common.limits.max_head_bytes and self._busy:
                await self._leave_unread()
                continue
            data = await self._receive()
            if data == b"":
                return
            if data is not None:
                if self._guard.phase is Phase.IDLE:
                    self._head_since = trio.current_time()
                self._guard.feed(data)

    async def _forward(self) -> None:
        """Hand on what may be: not the next request before this one is answered."""
        while not self._closing:
            if self._busy and self._guard.phase in (Phase.IDLE, Phase.HEAD):
                return
            try:
                data = self._guard.take()
            except RequestError as exc:
                await self._refuse(exc)
                return
            if data is None:
                return
            await (self._engine or await self._start_engine()).receive(data)

    async def _start_engine(self) -> Engine:
        self._engine = Engine(
            self._common.engine,
            self,
            http2=self._guard.phase is Phase.HTTP2,
            tls=self._tls,
            client=self._client,
            server=self._server,
        )
        await self._engine.start()
        return self._engine

    async def _receive(self) -> bytes | None:
        """What the client sends; empty if it or its time is over, None if there is news."""
        with trio.CancelScope(deadline=self._deadline()) as self._reading:
            if self._over():
                return b""
            try:
                return bytes(await self._stream.receive_some(_READ_BYTES))
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                return b""
        return b"" if self._over() else None

    def _over(self) -> bool:
        return (
            self._closing
            or (self._common.draining and not self._busy)
            or trio.current_time() >= self._deadline()
        )

    def _deadline(self) -> float:
        """Until when the next bytes must come; while a request is worked on, the call decides."""
        if self._busy:
            return float("inf")
        limits = self._common.limits
        if self._guard.phase is Phase.HEAD:
            return max(self._head_since, self._quiet_since) + limits.head_seconds
        patience = limits.keep_alive_seconds if self._served else limits.head_seconds
        return self._quiet_since + patience

    async def _leave_unread(self) -> None:
        """Let the client's bytes lie for a while, or until there is news; it may have left."""
        with trio.CancelScope() as self._reading:
            await trio.sleep(_LOOK_SECONDS)
        if sockets.hung_up(self._transport):
            self.close()

    async def _refuse(self, error: RequestError) -> None:
        """Answer what cannot be a request; in the middle of one there is nothing to say."""
        if not self._busy:
            await self.write(problems.refusal(error))
            self._lingering = True
        self._closing = True

    # For the engine

    async def write(self, data: bytes) -> None:
        """Send bytes. Cancelled in the middle, the connection cannot go on and is cut."""
        try:
            async with self._writing:
                await self._stream.send_all(data)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            self.close()
            if self._engine is not None:
                await self._engine.gone()
        except trio.Cancelled:
            self._cut()
            raise

    def close(self) -> None:
        """Read no more; the reader sees to the rest."""
        self._closing = True
        self._lingering = self._guard.phase is Phase.BODY
        self._reading.cancel()

    def begin(self, scope: HttpScope, stream: Stream) -> Call:
        assert self._nursery is not None
        call = Call(scope, stream, self._around)
        self._busy += 1
        self._reading.deadline = float("inf")
        self._nursery.start_soon(self._serve, call)
        return call

    def spawn(self, task: Callable[[], Awaitable[None]]) -> None:
        assert self._nursery is not None
        self._nursery.start_soon(task)

    async def _serve(self, call: Call) -> None:
        try:
            await call.run(self._common.app, self._common.in_flight)
        finally:
            self._busy -= 1
            self._served = True
            self._quiet_since = trio.current_time()
            self._reading.cancel()

    # The end

    def _set_undelimited(self, undelimited: bool) -> None:
        self._undelimited = undelimited

    def _cut(self) -> None:
        """Close at once. Where only the end of the connection ends an answer, with a reset."""
        self._closing = True
        self._reading.cancel()
        if self._undelimited:
            sockets.reset(self._transport)
        else:
            self._transport.socket.close()

    async def _close(self) -> None:
        """Close so that the client gets what was sent to it."""
        if self._lingering:
            await self._linger()
        elif self._tls and not self._undelimited:
            with (
                trio.move_on_after(_GOODBYE_SECONDS),
                contextlib.suppress(trio.BrokenResourceError),
            ):
                await self._stream.aclose()
        self._cut()

    async def _linger(self) -> None:
        """Close our side and read on for a while: a reset would take our answer from the client."""
        with trio.move_on_after(_LINGER_SECONDS), contextlib.suppress(OSError):
            self._transport.socket.shutdown(socket.SHUT_WR)
            while await self._transport.socket.recv(_READ_BYTES):
                pass


def _address(name: tuple[str, int]) -> tuple[str, int]:
    return name[0], name[1]
