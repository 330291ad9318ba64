"""A connected socket, under a deadline for each step: lookup, connect, TLS.

trio does all three, so each can be cancelled; what comes out is a plain socket (or
`ssl.SSLSocket`) for an engine to borrow. The TLS handshake of a listener is here, too.
"""

from __future__ import annotations

import os
import socket
import ssl

import trio

from harmony.dimse.target import Target
from harmony.errors import UpstreamError
from harmony.tls.faults import TlsFault, late_tls_fault, outbound_tls_fault

KEEPALIVE_IDLE, KEEPALIVE_INTERVAL, KEEPALIVE_COUNT = 30, 10, 3
USER_TIMEOUT_MS = 20_000

_PLAIN = "if this port of the PACS speaks plain DICOM, set `use_tls = false`; else check `port`"


async def connect(target: Target) -> socket.socket:
    """Connect to `target`; the caller owns the socket.

    Raises:
        UpstreamError: 502 for a refused connection, an unknown name or a TLS failure, 504 for
            a step that took too long.
    """
    peer = str(target)
    sock = await _connect(target, peer)
    try:
        tune(sock)
        if target.tls is not None:
            sock = await _handshake(sock, target.tls, target, peer)
    except OSError as exc:
        error = lost(target, exc, sock)
        sock.close()
        raise error from exc
    except BaseException:
        sock.close()
        raise
    return sock


def lost(target: Target, exc: OSError, sock: socket.socket) -> UpstreamError:
    """The error for a connection that went as soon as it had come; `sock` is still open."""
    if isinstance(sock, ssl.SSLSocket):
        fault = _unread_fault(sock)
        if fault is not None:
            return tls_failed(target, fault)
    return UpstreamError(
        f"{target} closed the connection at once: {_reason(exc)}",
        code="connection-lost",
        asked=False,
        peer=str(target),
        hint="a PACS that does not admit this host often does so; its log says more",
    )


def _unread_fault(sock: ssl.SSLSocket) -> TlsFault | None:
    """The reason in an alert that has come and is not read yet; does not wait."""
    sock.settimeout(0.0)
    try:
        sock.recv(1)
    except OSError as exc:
        return late_tls_fault(exc)
    return None


def tls_failed(target: Target, fault: TlsFault) -> UpstreamError:
    """The error for a TLS handshake that did not come about."""
    return UpstreamError(
        f"TLS with {target} failed: {fault.text}",
        code="tls-failed",
        asked=False,
        peer=str(target),
        retry=fault.retry,
        hint=fault.hint,
    )


def tune(sock: socket.socket) -> None:
    """Small messages at once, and dead hosts noticed."""
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in (
        ("TCP_KEEPIDLE", KEEPALIVE_IDLE),
        ("TCP_KEEPINTVL", KEEPALIVE_INTERVAL),
        ("TCP_KEEPCNT", KEEPALIVE_COUNT),
        ("TCP_USER_TIMEOUT", USER_TIMEOUT_MS),
    ):
        if hasattr(socket, name):  # not every system has them all
            sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)


async def _connect(target: Target, peer: str) -> socket.socket:
    timeouts = target.timeouts
    with trio.move_on_after(timeouts.lookup_seconds) as lookup:
        try:
            await trio.socket.getaddrinfo(target.host, target.port, type=socket.SOCK_STREAM)
        except OSError as exc:
            raise UpstreamError(
                f"cannot find the address of {target.host}: {exc.strerror}",
                code="name-unknown",
                asked=False,
                peer=peer,
                hint="check `host` of this backend and the name service",
            ) from exc
    if lookup.cancelled_caught:
        raise UpstreamError(
            f"looking up {target.host} took longer than {timeouts.lookup_seconds:g} s",
            code="lookup-timeout",
            http_status=502,
            asked=False,
            peer=peer,
        )
    with trio.move_on_after(timeouts.connect_seconds) as connecting:
        try:
            stream = await trio.open_tcp_stream(target.host, target.port)
        except OSError as exc:
            raise UpstreamError(
                f"cannot connect to {peer}: {_reason(exc)}",
                code="connection-failed",
                asked=False,
                peer=peer,
                hint="is the PACS running, and do `host` and `port` of this backend fit it?",
            ) from exc
        return socket.socket(fileno=stream.socket.detach())
    assert connecting.cancelled_caught
    raise UpstreamError(
        f"connecting to {peer} took longer than {timeouts.connect_seconds:g} s",
        code="connect-timeout",
        http_status=504,
        asked=False,
        peer=peer,
        hint="a firewall may drop the packets, or the host is down",
    )


def _reason(exc: OSError) -> str:
    # trio wraps the attempts at several addresses; the first one's text is enough
    cause = exc.__cause__
    if isinstance(cause, BaseExceptionGroup):
        first = cause.exceptions[0]
        cause = first if isinstance(first, OSError) else None
    source = cause if isinstance(cause, OSError) and cause.errno else exc
    if not source.errno:
        return "connection failed"
    return os.strerror(source.errno).lower()  # trio's own texts hold Python tuples


async def _handshake(
    sock: socket.socket, context: ssl.SSLContext, target: Target, peer: str
) -> ssl.SSLSocket:
    name = target.server_name or target.host
    with trio.move_on_after(target.timeouts.tls_seconds):
        try:
            return await tls_handshake(sock, context, server_hostname=name)
        except OSError as exc:
            raise tls_failed(target, outbound_tls_fault(exc, name, plain=_PLAIN)) from exc
    raise UpstreamError(
        f"the TLS handshake with {peer} took longer than {target.timeouts.tls_seconds:g} s",
        code="tls-timeout",
        http_status=504,
        asked=False,
        peer=peer,
        hint="a port that speaks plain DICOM waits like this: try `use_tls = false`",
    )


async def tls_handshake(
    sock: socket.socket, context: ssl.SSLContext, *, server_hostname: str
) -> ssl.SSLSocket:
    """TLS as a client on a connected socket; every wait is a checkpoint.

    `sock` is used up: its descriptor is the result's, or closed.

    Raises:
        OSError: among them `ssl.SSLError`; see `harmony.tls.faults`.
    """
    return await _shake_hands(sock, context, server_hostname=server_hostname)


async def accept_tls(sock: socket.socket, context: ssl.SSLContext) -> ssl.SSLSocket:
    """TLS as a server on an accepted socket; every wait is a checkpoint.

    A silent peer is waited for without end: give it a deadline from outside. `sock` is used
    up: its descriptor is the result's, or closed.

    Raises:
        OSError: among them `ssl.SSLError`; see `harmony.tls.faults`.
    """
    return await _shake_hands(sock, context, server_hostname=None)


async def _shake_hands(
    sock: socket.socket, context: ssl.SSLContext, *, server_hostname: str | None
) -> ssl.SSLSocket:
    owner = sock
    try:
        sock.getpeername()  # SSLSocket forgets its descriptor if the peer is gone by now
        sock.setblocking(False)
        owner = tls = context.wrap_socket(
            sock,
            server_side=server_hostname is None,
            server_hostname=server_hostname,
            do_handshake_on_connect=False,
        )
        while True:
            try:
                tls.do_handshake()
                return tls
            except ssl.SSLWantReadError:
                await trio.lowlevel.wait_readable(tls)
            except ssl.SSLWantWriteError:
                await trio.lowlevel.wait_writable(tls)
    except BaseException:
        owner.close()
        raise
