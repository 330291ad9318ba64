"""A host with a handler on a port of its own, and clients that show every byte."""

from __future__ import annotations

import contextlib
import socket
import struct
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any, Self

import h2.config
import h2.connection
import h2.events
import h2.settings
import trio

from harmony.config.model import HttpListener
from harmony.interfaces import Listening
from harmony.web.exchange import Handler
from harmony.web.host import HttpHost
from harmony.web.router import Router

LIMIT_SECONDS = 15


@dataclass(frozen=True, slots=True)
class Running:
    host: HttpHost
    listening: tuple[Listening, ...]
    ended: trio.Event
    stop: trio.CancelScope

    @property
    def port(self) -> int:
        return self.listening[0].port

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def connect(self, *, receive_buffer: int | None = None) -> Wire:
        sock = trio.socket.socket()
        if receive_buffer is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        try:
            await sock.connect(("127.0.0.1", self.port))
        except OSError:
            sock.close()
            raise
        return Wire(trio.SocketStream(sock))

    async def get(self, path: str = "/") -> bytes:
        """One request on a connection of its own."""
        async with await self.connect() as wire:
            await wire.send(f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
            return await wire.rest()

    async def settled(self, connections: int = 0) -> None:
        """Wait until so many connections are open."""
        while self.host.open_connections != connections:
            await trio.sleep(0.005)


@contextlib.asynccontextmanager
async def serving(
    handler: Handler, *, bind: str = "127.0.0.1", tls: Any = None, **limits: Any
) -> AsyncIterator[Running]:
    """Serve `handler` at ``/``; at the end the host is cancelled and must end at once."""
    router = Router()
    router.mount("/", handler)
    host = HttpHost(router, HttpListener(port=0, **limits), bind, tls=tls)
    ended = trio.Event()
    stop = trio.CancelScope()

    async def serve(task_status: trio.TaskStatus[tuple[Listening, ...]]) -> None:
        with stop:
            await host.serve(task_status=task_status)
        ended.set()

    with trio.fail_after(LIMIT_SECONDS):
        async with trio.open_nursery() as nursery:
            listening = await nursery.start(serve)
            yield Running(host, listening, ended, stop)
            stop.cancel()
            with trio.fail_after(1):
                await ended.wait()
    assert host.open_connections == 0


class Wire:
    """A client's end of a connection, as bytes."""

    def __init__(self, stream: trio.abc.Stream) -> None:
        self.stream = stream
        self.unread = b""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await trio.aclose_forcefully(self.stream)

    async def send(self, data: bytes) -> None:
        await self.stream.send_all(data)

    async def rest(self) -> bytes:
        """All that comes until the server closes; a reset raises."""
        data, self.unread = self.unread, b""
        while more := await self.stream.receive_some(65536):
            data += more
        return data

    async def until(self, mark: bytes) -> bytes:
        """What comes up to and with `mark`."""
        while mark not in self.unread:
            more = await self.stream.receive_some(65536)
            assert more, f"closed before {mark!r}, after {self.unread!r}"
            self.unread += more
        end = self.unread.index(mark) + len(mark)
        data, self.unread = self.unread[:end], self.unread[end:]
        return data

    async def response(self) -> tuple[int, dict[str, str], bytes]:
        """One answer that has a Content-Length or is chunked."""
        head = (await self.until(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        headers = {
            name.lower(): value.strip()
            for name, _, value in (line.partition(":") for line in head[1:] if line)
        }
        if "content-length" in headers:
            body = await self._exactly(int(headers["content-length"]))
        else:
            body = b""
            while size := int(await self.until(b"\r\n"), 16):
                body += await self._exactly(size)
                await self._exactly(2)
            await self._exactly(2)
        return int(head[0].split()[1]), headers, body

    async def _exactly(self, size: int) -> bytes:
        while len(self.unread) < size:
            more = await self.stream.receive_some(65536)
            assert more, f"closed {size - len(self.unread)} bytes too early"
            self.unread += more
        data, self.unread = self.unread[:size], self.unread[size:]
        return data

    def reset(self) -> None:
        """Leave with RST."""
        assert isinstance(self.stream, trio.SocketStream)
        self.stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.stream.socket.close()


class Http2Wire:
    """A client's end of an HTTP/2 connection, as events. Windows are opened by hand."""

    def __init__(self, stream: trio.abc.Stream, *, window: int | None = None) -> None:
        self.stream = stream
        self.h2 = h2.connection.H2Connection(h2.config.H2Configuration(client_side=True))
        if window is not None:
            self.h2.local_settings = h2.settings.Settings(
                client=True,
                initial_values={h2.settings.SettingCodes.INITIAL_WINDOW_SIZE: window},
            )
        self.h2.initiate_connection()
        self._events: list[h2.events.Event] = []

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await trio.aclose_forcefully(self.stream)

    async def flush(self) -> None:
        await self.stream.send_all(self.h2.data_to_send())

    async def request(
        self,
        path: str = "/",
        *,
        method: str = "GET",
        headers: tuple[tuple[str, str], ...] = (),
        end: bool = True,
    ) -> int:
        stream_id = self.h2.get_next_available_stream_id()
        pseudo = ((":method", method), (":path", path), (":scheme", "http"), (":authority", "x"))
        self.h2.send_headers(stream_id, [*pseudo, *headers], end_stream=end)
        await self.flush()
        return stream_id

    async def next(self, *kinds: type[h2.events.Event]) -> Any:
        """The next event of one of these kinds; the others are dropped."""
        while True:
            while self._events:
                event = self._events.pop(0)
                if isinstance(event, kinds):
                    return event
            data = await self.stream.receive_some(65536)
            assert data, f"closed before {kinds}"
            self._events += self.h2.receive_data(data)
            await self.flush()
