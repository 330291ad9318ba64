"""A connected socket that trio reads and writes, TLS or not: small writes at once, no copies.

TLS is driven here, too: an `ssl.SSLSocket` that does not block, and trio waits for its
descriptor. One task reads, one writes.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
from collections.abc import Sequence
from dataclasses import dataclass

import trio

from harmony.upper_layer.connection import Buffer

_READ_BYTES = 128 * 1024
_MOST_BUFFERS = 1024  # IOV_MAX: what one call takes on Linux and the BSDs
_WOULD_BLOCK_READ = (BlockingIOError, ssl.SSLWantReadError)
_WOULD_BLOCK_WRITE = (BlockingIOError, ssl.SSLWantWriteError)
_QUICKACK = getattr(socket, "TCP_QUICKACK", None)  # Linux only


@dataclass(frozen=True, slots=True, kw_only=True)
class TransportLimits:
    """What a peer may take of our time and memory, PDU by PDU.

    Attributes:
        maximum_pdu: bytes of P-DATA that we announce and accept (PS3.8 D.1).
        pdu_seconds: one PDU, first to last byte.
        send_seconds: any send that makes no progress.
    """

    maximum_pdu: int
    pdu_seconds: float
    send_seconds: float


class Transport:
    """One transport connection.

    Args:
        sock: connected and non-blocking, its TLS handshake done. `close` closes it.
    """

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._is_closed = False

    async def receive(self) -> bytes:
        """What has come, at least one byte; none once the peer has closed. A checkpoint.

        Cancelled, nothing is lost.

        Raises:
            OSError: the connection broke; among them `ssl.SSLError`.
        """
        await trio.lowlevel.checkpoint_if_cancelled()
        try:
            data = self._sock.recv(_READ_BYTES)
        except _WOULD_BLOCK_READ:
            data = await self._receive_later()
        else:
            await trio.lowlevel.cancel_shielded_checkpoint()
        if _QUICKACK is not None and not self._is_closed:
            # A peer that leaves Nagle's algorithm on holds the rest of its message until the
            # first part is acknowledged, which Linux would delay by 40 ms. The flag is not sticky.
            socket.socket.setsockopt(self._sock, socket.IPPROTO_TCP, _QUICKACK, 1)
        return data

    async def _receive_later(self) -> bytes:
        while True:
            try:
                await trio.lowlevel.wait_readable(self._sock)
                return self._sock.recv(_READ_BYTES)
            except _WOULD_BLOCK_READ:
                continue
            except trio.ClosedResourceError:
                raise ConnectionAbortedError("closed by ourselves") from None

    async def send(self, buffers: Sequence[Buffer], *, seconds: float) -> None:
        """Write all of it. A checkpoint only where it has to wait.

        Cancelled, it may have written a part.

        Args:
            buffers: one PDU.
            seconds: for any wait without progress.

        Raises:
            trio.TooSlowError: the peer stopped reading.
            OSError: the connection broke.
        """
        left = list(buffers)
        is_tls = isinstance(self._sock, ssl.SSLSocket)
        if len(left) > (1 if is_tls else _MOST_BUFFERS):
            left = [b"".join(left)]
        while left:
            try:
                sent = self._sock.send(left[0]) if len(left) == 1 else self._sock.sendmsg(left)
            except _WOULD_BLOCK_WRITE:
                with trio.fail_after(seconds):
                    await self._wait_writable()
            else:
                left = _rest(left, sent)

    async def _wait_writable(self) -> None:
        try:
            await trio.lowlevel.wait_writable(self._sock)
        except trio.ClosedResourceError:
            raise ConnectionAbortedError("closed by ourselves") from None

    def send_at_once(self, data: bytes) -> bool:
        """Write a few last bytes if they can go without waiting; whether they have gone."""
        with contextlib.suppress(OSError):
            return self._sock.send(data) == len(data)
        return False

    def finish_sending(self) -> None:
        """Tell the peer that nothing more comes; what it sends can still be read."""
        with contextlib.suppress(OSError):
            socket.socket.shutdown(self._sock, socket.SHUT_WR)  # of an SSLSocket, too

    def hang_up(self) -> None:
        """End every wait, here and at the peer. May be called again."""
        with contextlib.suppress(OSError):
            # not SSLSocket.shutdown, which would drop the TLS object
            socket.socket.shutdown(self._sock, socket.SHUT_RDWR)

    def close(self) -> None:
        """Hang up, and give the descriptor back. May be called again."""
        if not self._is_closed:
            self._is_closed = True
            self.hang_up()
            trio.lowlevel.notify_closing(self._sock)
            self._sock.close()


def _rest(buffers: list[Buffer], sent: int) -> list[Buffer]:
    """What is left of `buffers` behind the first `sent` bytes."""
    for index, buffer in enumerate(buffers):
        if sent < len(buffer):
            return [memoryview(buffer)[sent:], *buffers[index + 1 :]]
        sent -= len(buffer)
    return []
