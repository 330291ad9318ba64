"""Lookup, connect and TLS, each failing in its own way."""

from __future__ import annotations

import contextlib
import socket
import ssl
from collections.abc import Iterator

import pytest
import trio
import trustme

from harmony.dimse.connecting import connect
from harmony.errors import Retry, UpstreamError
from tests.support import dimse
from tests.support.bad_pacs import Script, bad_pacs


@pytest.fixture
def authority() -> trustme.CA:
    return trustme.CA()


def trusting(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return context


@contextlib.contextmanager
def listener() -> Iterator[socket.socket]:
    """Accepted by the kernel, answered by nobody."""
    with socket.create_server(("127.0.0.1", 0)) as sock:
        yield sock


async def refused(port: int, **changes: object) -> UpstreamError:
    with trio.fail_after(20), pytest.raises(UpstreamError) as caught:
        (await connect(dimse.target(port, dimse.IMPATIENT, **changes))).close()
    return caught.value


async def test_an_unknown_name_is_502_and_names_the_host() -> None:
    error = await refused(104, host="pacs.invalid")
    assert (error.http_status, error.code) == (502, "name-unknown")
    assert "pacs.invalid" in error.detail


async def test_a_port_where_nobody_listens_is_502() -> None:
    with bad_pacs(Script(), listening=False) as peer:
        error = await refused(peer.port)
    assert (error.http_status, error.code) == (502, "connection-failed")


async def test_small_messages_leave_at_once_and_dead_hosts_are_noticed() -> None:
    with listener() as sock:
        connected = await connect(dimse.target(sock.getsockname()[1]))
        with connected:
            assert connected.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
            assert connected.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)


async def serve_tls_once(sock: socket.socket, context: ssl.SSLContext) -> None:
    accepted = trio.socket.from_stdlib_socket(sock.dup())
    accepted_sock, _ = await accepted.accept()
    accepted.close()
    stream = trio.SSLStream(
        trio.SocketStream(accepted_sock), context, server_side=True, https_compatible=True
    )
    with contextlib.suppress(trio.BrokenResourceError, ssl.SSLError):
        await stream.do_handshake()
        await stream.receive_some(1)
    await trio.aclose_forcefully(stream)


@pytest.mark.parametrize(
    ("name", "trusted", "error"),
    [
        ("127.0.0.1", True, None),
        ("other.test", True, "tls-failed"),
        ("127.0.0.1", False, "tls-failed"),
    ],
    ids=["right", "wrong name", "wrong authority"],
)
async def test_tls_is_verified(
    authority: trustme.CA, name: str, trusted: bool, error: str | None
) -> None:
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert(name).configure_cert(server)
    client = trusting(authority) if trusted else trusting(trustme.CA())
    with trio.fail_after(20), listener() as sock:
        async with trio.open_nursery() as nursery:
            sock.setblocking(False)
            nursery.start_soon(serve_tls_once, sock, server)
            target = dimse.target(sock.getsockname()[1], tls=client)
            if error is None:
                connected = await connect(target)
                assert isinstance(connected, ssl.SSLSocket)
                connected.close()
            else:
                with pytest.raises(UpstreamError) as caught:
                    await connect(target)
                assert (caught.value.code, caught.value.http_status) == (error, 502)
                assert caught.value.retry is Retry.NEVER


async def test_a_silent_tls_peer_is_504(authority: trustme.CA) -> None:
    with listener() as sock:
        error = await refused(sock.getsockname()[1], tls=trusting(authority))
    assert (error.http_status, error.code) == (504, "tls-timeout")


async def test_cancelled_in_the_handshake_the_socket_is_closed(authority: trustme.CA) -> None:
    with trio.fail_after(20), listener() as sock:
        target = dimse.target(sock.getsockname()[1], tls=trusting(authority))
        with trio.move_on_after(0.1) as scope:
            await connect(target)
        assert scope.cancelled_caught
