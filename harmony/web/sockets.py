"""Listeners and accepted sockets, as HTTP needs them."""

from __future__ import annotations

import errno
import select
import socket
import struct

import trio

_LOOPBACKS = ("127.0.0.1", "::1")
_PORT_TRIES = 20
_KEEPALIVE_IDLE, _KEEPALIVE_INTERVAL, _KEEPALIVE_COUNT = 30, 10, 3  # seconds, seconds, probes


async def open_listeners(host: str, port: int) -> list[trio.SocketListener]:
    """Bind; ``localhost`` means both loopback addresses, on one port, also when that is 0.

    Raises:
        OSError: the address cannot be bound.
    """
    if host != "localhost":
        return await trio.open_tcp_listeners(port, host=host)
    for _ in range(_PORT_TRIES):
        (first,) = await trio.open_tcp_listeners(port, host=_LOOPBACKS[0])
        try:
            chosen = first.socket.getsockname()[1]
            return [first, *await trio.open_tcp_listeners(chosen, host=_LOOPBACKS[1])]
        except OSError as exc:
            if exc.errno in (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT):
                return [first]  # a machine without IPv6
            first.socket.close()
            if port or exc.errno != errno.EADDRINUSE:
                raise
        except BaseException:
            first.socket.close()
            raise
    raise OSError(errno.EADDRINUSE, "no port is free on both 127.0.0.1 and ::1")


def prepare(transport: trio.SocketStream, *, unacknowledged_seconds: float) -> None:
    """Set what an accepted connection needs: no delay, and an end when the other side is dead."""
    transport.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    transport.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    if hasattr(socket, "TCP_USER_TIMEOUT"):  # Linux
        milliseconds = int(unacknowledged_seconds * 1000)
        transport.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, milliseconds)
        transport.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, _KEEPALIVE_IDLE)
        transport.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, _KEEPALIVE_INTERVAL)
        transport.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, _KEEPALIVE_COUNT)


def hung_up(transport: trio.SocketStream) -> bool:
    """Whether the other side has closed or reset, though there may be unread bytes before that."""
    if transport.socket.fileno() < 0:
        return True
    poll = select.poll()
    poll.register(transport.socket.fileno(), getattr(select, "POLLRDHUP", 0))
    return bool(poll.poll(0))


def reset(transport: trio.SocketStream) -> None:
    """Close with RST, which no client can take for the end of an answer."""
    if transport.socket.fileno() >= 0:
        transport.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        transport.socket.close()


class PacedStream(trio.abc.Stream):
    """A socket whose writes may be slow but must move.

    Each part that the kernel takes restarts the clock; a write that stands still for
    `write_idle_seconds` closes the socket and raises `trio.BrokenResourceError`.
    """

    def __init__(self, transport: trio.SocketStream, *, write_idle_seconds: float) -> None:
        self._transport = transport
        self._write_idle_seconds = write_idle_seconds

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        rest = memoryview(data)
        while rest:
            with trio.move_on_after(self._write_idle_seconds) as patience:
                try:
                    sent = await self._transport.socket.send(rest)
                except OSError as exc:
                    raise trio.BrokenResourceError("the client is gone") from exc
            if patience.cancelled_caught:
                reset(self._transport)
                raise trio.BrokenResourceError("the client stopped reading")
            rest = rest[sent:]

    async def wait_send_all_might_not_block(self) -> None:
        await self._transport.wait_send_all_might_not_block()

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        return await self._transport.receive_some(max_bytes)

    async def aclose(self) -> None:
        await self._transport.aclose()
