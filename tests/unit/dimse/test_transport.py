"""One transport connection: writes in parts, ends that are told apart, TLS driven by hand."""

from __future__ import annotations

import contextlib
import ssl
from collections.abc import Iterator
from pathlib import Path
from socket import SO_SNDBUF, SOL_SOCKET, create_connection, socket

import pytest
import trio
import trio.testing

from harmony.dimse.connecting import accept_tls, tls_handshake
from harmony.dimse.transport import Transport
from harmony.tls.contexts import ClientTls, ServerTls, client_context, server_context
from tests.support.certificates import Authority

SECONDS = 5.0


@contextlib.contextmanager
def connected(*, small: bool = False) -> Iterator[tuple[socket, socket]]:
    """Two ends of a TCP connection, non-blocking; what `small` ones hold is soon full."""
    with socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(1)
        ours = create_connection(listener.getsockname())
        theirs, _ = listener.accept()
    if small:
        ours.setsockopt(SOL_SOCKET, SO_SNDBUF, 4096)
    ours.setblocking(False)
    theirs.setblocking(False)
    with ours, theirs:
        yield ours, theirs


async def read(sock: socket, size: int) -> bytes:
    """So many bytes, or all until the end."""
    data = bytearray()
    while len(data) < size:
        try:
            piece = sock.recv(size - len(data))
        except (BlockingIOError, ssl.SSLWantReadError):
            await trio.lowlevel.wait_readable(sock)
            continue
        if not piece:
            break
        data += piece
    return bytes(data)


@contextlib.contextmanager
def contexts(folder: Path) -> Iterator[tuple[ssl.SSLContext, ssl.SSLContext]]:
    """Of a client and of a server that know each other."""
    authority = Authority(folder)
    identity = authority.issue("127.0.0.1", name="server")
    yield (
        client_context(ClientTls(ca_file=str(authority.ca_file)), folder),
        server_context(
            ServerTls(
                cert_file=str(identity.cert_file),
                key_file=str(identity.key_file),
                client_certificate="none",
            ),
            folder,
        ),
    )


async def encrypted(
    ours: socket, theirs: socket, client: ssl.SSLContext, server: ssl.SSLContext
) -> tuple[ssl.SSLSocket, ssl.SSLSocket]:
    """The same connection under TLS, where we are the client."""
    accepted: list[ssl.SSLSocket] = []

    async def accept() -> None:
        accepted.append(await accept_tls(theirs, server))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(accept)
        calling = await tls_handshake(ours, client, server_hostname="127.0.0.1")
    return calling, accepted[0]


@pytest.mark.parametrize("size", [1, 14, 4096])
async def test_more_buffers_than_one_call_takes_are_all_sent(size: int) -> None:
    buffers = [bytes([number % 251]) * size for number in range(3000)]
    received = b""

    with connected() as (ours, theirs), trio.fail_after(SECONDS):

        async def peer() -> None:
            nonlocal received
            received = await read(theirs, 3000 * size)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(peer)
            await Transport(ours).send(buffers, seconds=SECONDS)

    assert received == b"".join(buffers)


async def test_what_is_written_in_parts_arrives_whole_and_in_order() -> None:
    buffers = [bytes([number]) * (number * 197) for number in range(100)] + [b""]
    whole = b"".join(buffers)
    received = b""

    with connected(small=True) as (ours, theirs), trio.fail_after(SECONDS):

        async def peer() -> None:
            nonlocal received
            received = await read(theirs, len(whole))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(peer)
            await Transport(ours).send(buffers, seconds=SECONDS)

    assert received == whole


async def test_a_peer_that_does_not_read_is_not_waited_for_without_end() -> None:
    with connected(small=True) as (ours, _), trio.fail_after(SECONDS):
        with pytest.raises(trio.TooSlowError):
            await Transport(ours).send([bytes(16 << 20)], seconds=0.05)


async def test_a_read_that_is_cancelled_loses_nothing() -> None:
    with connected() as (ours, theirs), trio.fail_after(SECONDS):
        transport = Transport(ours)
        theirs.send(b"data")
        with trio.CancelScope() as scope:
            scope.cancel()
            await transport.receive()
        assert scope.cancelled_caught

        assert await transport.receive() == b"data"


@pytest.mark.parametrize("hang_up", ["hang_up", "close"])
async def test_hanging_up_ends_a_read_and_a_write_that_wait(hang_up: str) -> None:
    ended: list[str] = []

    with connected(small=True) as (ours, _), trio.fail_after(SECONDS):
        transport = Transport(ours)

        async def reading() -> None:
            with contextlib.suppress(OSError):
                assert await transport.receive() == b""
            ended.append("read")

        async def writing() -> None:
            with contextlib.suppress(OSError):
                await transport.send([bytes(16 << 20)], seconds=SECONDS)
                pytest.fail("all of it was written")
            ended.append("write")

        async with trio.open_nursery() as nursery:
            nursery.start_soon(reading)
            nursery.start_soon(writing)
            await trio.testing.wait_all_tasks_blocked(0.05)
            getattr(transport, hang_up)()

    assert sorted(ended) == ["read", "write"]


async def test_after_close_everything_fails_and_nothing_raises_what_is_no_oserror() -> None:
    with connected() as (ours, _), trio.fail_after(SECONDS):
        transport = Transport(ours)
        transport.close()
        transport.close()
        transport.hang_up()
        transport.finish_sending()

        assert not transport.send_at_once(b"x")
        with pytest.raises(OSError, match="Bad file descriptor"):
            await transport.receive()
        with pytest.raises(OSError, match="Bad file descriptor"):
            await transport.send([b"x"], seconds=1)


async def test_over_tls_what_openssl_has_read_already_is_given_without_a_wait(
    tmp_path: Path,
) -> None:
    data = bytes(range(256)) * 512  # several records, all in the kernel by the first read
    received = bytearray()

    with connected() as (a, b), contexts(tmp_path) as (client, server), trio.fail_after(SECONDS):
        ours, theirs = await encrypted(a, b, client, server)
        with ours, theirs:
            transport = Transport(ours)
            await Transport(theirs).send([data], seconds=SECONDS)
            while len(received) < len(data):
                received += await transport.receive()

    assert received == data


async def test_over_tls_both_sides_write_more_than_fits_and_read_it(tmp_path: Path) -> None:
    there, back = [b"a" * 1_000_000] * 3, [b"b" * 999_999] * 4
    seen: dict[str, int] = {}

    with connected(small=True) as (a, b), contexts(tmp_path) as (client, server):
        with trio.fail_after(SECONDS):
            pair = await encrypted(a, b, client, server)
            ours, theirs = map(Transport, pair)

            async def reading(name: str, transport: Transport, size: int) -> None:
                seen[name] = 0
                while seen[name] < size:
                    seen[name] += len(await transport.receive())

            async with trio.open_nursery() as nursery:
                nursery.start_soon(reading, "back", ours, 4 * 999_999)
                nursery.start_soon(reading, "there", theirs, 3_000_000)
                for transport, buffers in ((ours, there), (theirs, back)):

                    async def writing(transport: Transport, buffers: list[bytes]) -> None:
                        await transport.send(buffers, seconds=SECONDS)

                    nursery.start_soon(writing, transport, buffers)
            for each in pair:
                each.close()

    assert seen == {"there": 3_000_000, "back": 4 * 999_999}


async def test_over_tls_a_last_word_is_heard_before_the_end(tmp_path: Path) -> None:
    with connected() as (a, b), contexts(tmp_path) as (client, server), trio.fail_after(SECONDS):
        pair = await encrypted(a, b, client, server)
        ours, theirs = map(Transport, pair)
        assert ours.send_at_once(b"last")
        ours.finish_sending()

        assert await theirs.receive() == b"last"
        assert await theirs.receive() == b""
        for each in pair:
            each.close()
