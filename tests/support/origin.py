"""An HTTP origin on a raw socket that does what a test says, however wrong.

A script is a coroutine that gets each new `Visit`, a connection: it reads requests and sends
bytes. `answering` and friends make the usual ones.
"""

from __future__ import annotations

import contextlib
import functools
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

import h11
import trio

Headers: TypeAlias = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Asked:
    """A request as it came, whole."""

    method: str
    target: str
    headers: Headers
    body: bytes = field(repr=False)

    def get(self, name: str) -> str | None:
        return next((value for each, value in self.headers if each == name), None)


class Visit:
    """One connection to the origin."""

    def __init__(self, origin: Origin, sock: trio.SocketStream, stream: trio.abc.Stream) -> None:
        self._origin = origin
        self._transport = sock
        self._stream = stream
        self._h11 = h11.Connection(h11.SERVER)

    async def head(self) -> h11.Request | None:
        """The head of the next request; None if the connection ends instead."""
        if self._h11.our_state is h11.DONE:
            self._h11.start_next_cycle()
        event = await self._event()
        return event if isinstance(event, h11.Request) else None

    async def asked(self) -> Asked | None:
        """The next request with all of its body; None if the connection ends instead."""
        head = await self.head()
        if head is None:
            return None
        body = b""
        while isinstance(event := await self._event(), h11.Data):
            body += event.data
        found = Asked(
            method=head.method.decode(),
            target=head.target.decode("latin-1"),
            headers=tuple((n.decode(), v.decode("latin-1")) for n, v in head.headers),
            body=body,
        )
        self._origin.asked.append(found)
        return found

    async def data(self) -> bytes | None:
        """More of a request's body; None at its end."""
        event = await self._event()
        return bytes(event.data) if isinstance(event, h11.Data) else None

    async def _event(self) -> object:
        while (event := self._h11.next_event()) is h11.NEED_DATA:
            self._h11.receive_data(bytes(await self._stream.receive_some(65536)))
        return event

    async def send(self, data: bytes) -> None:
        await self._stream.send_all(data)

    def answered(self) -> None:
        """The answer was sent by `send`, and all of the request was read."""
        self._h11.send(h11.Response(status_code=200, headers=[("content-length", "0")]))
        self._h11.send(h11.EndOfMessage())

    async def gone(self) -> None:
        """Wait until the client closes."""
        with contextlib.suppress(trio.BrokenResourceError):
            while await self._stream.receive_some(65536):
                pass
        self._origin.gone += 1

    def reset(self) -> None:
        self._transport.socket.setsockopt(
            socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)
        )
        self._transport.socket.close()


Script: TypeAlias = Callable[[Visit], Awaitable[None]]


class Origin:
    """What is known of the origin while it runs.

    Attributes:
        script: for the connections to come.
        asked: the requests that were read whole.
        visits: connections so far.
        gone: connections that `Visit.gone` saw closed.
        left: connections that ended within a request or an answer.
    """

    def __init__(self, script: Script) -> None:
        self.script = script
        self.port = 0
        self.asked: list[Asked] = []
        self.visits = 0
        self.gone = 0
        self.left = 0


@contextlib.asynccontextmanager
async def origin(script: Script, tls: ssl.SSLContext | None = None) -> AsyncIterator[Origin]:
    """Run it on a free port of 127.0.0.1 while the block runs."""
    running = Origin(script)

    async def serve(sock: trio.SocketStream) -> None:
        running.visits += 1
        stream: trio.abc.Stream = sock
        if tls is not None:
            stream = trio.SSLStream(sock, tls, server_side=True, https_compatible=True)
        try:
            await running.script(Visit(running, sock, stream))
        except (trio.BrokenResourceError, trio.ClosedResourceError, h11.RemoteProtocolError):
            running.left += 1

    async with trio.open_nursery() as nursery:
        listeners = await nursery.start(
            functools.partial(trio.serve_tcp, serve, 0, host="127.0.0.1")
        )
        running.port = listeners[0].socket.getsockname()[1]
        yield running
        nursery.cancel_scope.cancel()


def head(status: int = 200, *headers: tuple[str, str]) -> bytes:
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers)
    return f"HTTP/1.1 {status} Whatever\r\n{lines}\r\n".encode("latin-1")


def whole(body: bytes, status: int = 200, *headers: tuple[str, str]) -> bytes:
    return head(status, ("Content-Length", str(len(body))), *headers) + body


def answering(*answers: bytes) -> Script:
    """Read each request, send the next of these, the last for ever; the connection is kept."""
    return by(lambda asked, count: answers[min(count, len(answers)) - 1])


def by(answer: Callable[[Asked, int], bytes]) -> Script:
    """Read each request and send what `answer` makes of it and of how many came so far."""
    count = 0

    async def script(visit: Visit) -> None:
        nonlocal count
        while (asked := await visit.asked()) is not None:
            count += 1
            await visit.send(answer(asked, count))
            visit.answered()

    return script


def pieces(parts: Sequence[bytes], *, end: str = "close") -> Script:
    """Read a request, send these one by one; then ``close``, ``reset`` or ``hang``."""

    async def script(visit: Visit) -> None:
        if await visit.asked() is None:
            return
        for part in parts:
            await visit.send(part)
        if end == "reset":
            visit.reset()
        elif end == "hang":
            await visit.gone()

    return script
