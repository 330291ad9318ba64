"""An HTTP listener: accepts, limits, drains, stops."""

from __future__ import annotations

import logging
import ssl
from typing import Literal

import trio

from harmony.config.model import HttpListener
from harmony.interfaces import Listening
from harmony.web import problems, sockets
from harmony.web.asgi import AsgiApp
from harmony.web.call import InFlight
from harmony.web.connection import Common, Connection
from harmony.web.engine import Shared

_log = logging.getLogger("harmony.web")


class HttpHost:
    """Serves one ASGI application on one address.

    Whatever happens on a connection ends that connection only. No lifespan protocol is spoken;
    WebSocket and upgrades are not served; HTTP/2 is, by ALPN or prior knowledge.

    Args:
        app: is called once a request, in a task of the request's connection.
        limits: the port and what a client may ask of us.
        host: address to bind; ``localhost`` is both 127.0.0.1 and ::1.
        tls: serve HTTPS. ALPN is set on it.
    """

    def __init__(
        self,
        app: AsgiApp,
        limits: HttpListener,
        host: str,
        *,
        kind: Literal["http", "admin"] = "http",
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._limits = limits
        self._host = host
        self._kind = kind
        self._tls = tls
        if tls is not None:
            tls.set_alpn_protocols(["h2", "http/1.1"])
        self._common = Common(
            app=app,
            limits=limits,
            engine=Shared(max_head_bytes=limits.max_head_bytes),
            in_flight=InFlight(limits.max_in_flight),
        )
        self._accepting = trio.CancelScope()
        self._serving = trio.CancelScope()
        self._open = 0
        self._connections: set[Connection] = set()

    @property
    def open_connections(self) -> int:
        return self._open

    @property
    def in_flight(self) -> int:
        """Requests that are worked on."""
        return self._common.in_flight.count

    async def serve(
        self, *, task_status: trio.TaskStatus[tuple[Listening, ...]] = trio.TASK_STATUS_IGNORED
    ) -> None:
        """Bind, report the addresses, and serve until drained or cancelled.

        Cancelled, it closes every connection at once. May be called once.

        Raises:
            OSError: an address cannot be bound; before anything is reported.
        """
        listeners = await sockets.open_listeners(self._host, self._limits.port)
        addresses = [listener.socket.getsockname() for listener in listeners]
        with self._serving:
            async with trio.open_nursery() as connections:
                with self._accepting:
                    task_status.started(
                        tuple(Listening(self._kind, host, port) for host, port, *_ in addresses)
                    )
                    await trio.serve_listeners(self._accept, listeners, handler_nursery=connections)
                await self._common.engine.drain()
                for connection in self._connections:
                    connection.drain()

    def drain(self, grace_seconds: float) -> None:
        """Accept no more, finish what is in flight, and cut what is not done in time.

        `serve` returns when that is over. Calling it again sets a new end.
        """
        self._common.draining = True
        self._accepting.cancel()
        self._serving.deadline = trio.current_time() + grace_seconds

    async def _accept(self, transport: trio.SocketStream) -> None:
        if self._open >= self._limits.max_connections or self._common.draining:
            sockets.reset(transport)
            return
        self._open += 1
        try:
            await self._serve(transport)
        except OSError as exc:
            _log.debug("a connection ended: %s", problems.place(exc))
        except Exception as exc:
            # A fault of ours, or of hypercorn: this client's connection is all that it costs.
            _log.error("a connection was dropped after a fault: %s", problems.place(exc))
        finally:
            self._open -= 1
            transport.socket.close()

    async def _serve(self, transport: trio.SocketStream) -> None:
        limits = self._limits
        sockets.prepare(transport, unacknowledged_seconds=limits.write_idle_seconds)
        paced = sockets.PacedStream(transport, write_idle_seconds=limits.write_idle_seconds)
        stream: trio.abc.Stream = paced
        http2 = False
        if self._tls is not None:
            secured = trio.SSLStream(paced, self._tls, server_side=True, https_compatible=True)
            try:
                with trio.fail_after(limits.head_seconds):
                    await secured.do_handshake()
            except (trio.BrokenResourceError, trio.TooSlowError):
                return
            http2 = secured.selected_alpn_protocol() == "h2"
            stream = secured
        connection = Connection(
            self._common, transport, stream, tls=self._tls is not None, http2=http2
        )
        self._connections.add(connection)
        try:
            await connection.run()
        finally:
            self._connections.discard(connection)
