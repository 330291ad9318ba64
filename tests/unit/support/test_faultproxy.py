from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator

import pytest

from tests.support.faultproxy import Cut, FaultProxy, Faults, How, Way, fault_proxy

WHOLE = bytes(range(256)) * 1000


@pytest.fixture(autouse=True)
def _leak_watch(leak_watch):
    """Each of these uses sockets and threads."""


@contextlib.contextmanager
def echo_server() -> Iterator[int]:
    """Sends back what it gets, until both ends are done."""
    listener = socket.create_server(("127.0.0.1", 0))
    threads: list[threading.Thread] = []

    def echo(sock: socket.socket) -> None:
        with sock, contextlib.suppress(OSError):
            while data := sock.recv(65536):
                sock.sendall(data)

    def accept() -> None:
        with contextlib.suppress(OSError):
            while True:
                thread = threading.Thread(target=echo, args=(listener.accept()[0],))
                threads.append(thread)
                thread.start()

    acceptor = threading.Thread(target=accept)
    acceptor.start()
    try:
        yield listener.getsockname()[1]
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        for thread in (acceptor, *threads):
            thread.join(5)


@pytest.fixture
def proxy() -> Iterator[FaultProxy]:
    with echo_server() as port, fault_proxy("127.0.0.1", port) as running:
        yield running


def talk(proxy: FaultProxy, data: bytes) -> bytes:
    """Send, and read what comes back until the end."""
    with socket.create_connection(("127.0.0.1", proxy.port), timeout=5) as sock:
        received = bytearray()

        def read() -> None:
            with contextlib.suppress(OSError):
                while chunk := sock.recv(65536):
                    received.extend(chunk)

        reader = threading.Thread(target=read)
        reader.start()
        with contextlib.suppress(OSError):
            sock.sendall(data)
            sock.shutdown(socket.SHUT_WR)
        reader.join()
    return bytes(received)


def read_byte(proxy: FaultProxy) -> bytes:
    # The RST may come before connect() has returned, or after.
    with socket.create_connection(("127.0.0.1", proxy.port), timeout=5) as sock:
        return sock.recv(1)


def test_everything_passes_both_ways(proxy):
    assert talk(proxy, WHOLE) == WHOLE
    assert proxy.passed(Way.UP) == proxy.passed(Way.DOWN) == len(WHOLE)
    assert proxy.connections == 1


@pytest.mark.parametrize("way", Way)
@pytest.mark.parametrize("how", [How.CLOSE, How.RESET])
def test_connection_ends_at_an_exact_byte(proxy, way, how):
    proxy.faults = Faults(cut=Cut(way=way, after=1000, how=how))
    with socket.create_connection(("127.0.0.1", proxy.port), timeout=5) as sock:
        sock.sendall(WHOLE[:2000])
        received = b""
        sock.settimeout(0.5)
        with contextlib.suppress(ConnectionResetError, TimeoutError):
            while chunk := sock.recv(65536):
                received += chunk
    assert WHOLE.startswith(received)
    assert len(received) <= 1000  # RST may overtake what was sent before it
    assert proxy.passed(way) == 1000


def test_connection_hangs_at_an_exact_byte(proxy):
    proxy.faults = Faults(cut=Cut(way=Way.DOWN, after=3, how=How.HANG))
    with socket.create_connection(("127.0.0.1", proxy.port), timeout=0.3) as sock:
        sock.sendall(b"abcdef")
        assert sock.recv(6, socket.MSG_WAITALL) == b"abc"
        with pytest.raises(TimeoutError):
            sock.recv(1)


def test_garbage_replaces_bytes_once(proxy):
    proxy.faults = Faults(cut=Cut(way=Way.DOWN, after=10, how=How.GARBAGE))
    assert talk(proxy, bytes(100)) == bytes(10) + b"\xff" * 64 + bytes(26)


def test_delay_and_rate_change_no_byte(proxy):
    proxy.faults = Faults(delay_up=0.01, delay_down=0.01, rate=1_000_000)
    assert talk(proxy, WHOLE[:100_000]) == WHOLE[:100_000]


def test_new_connections_are_reset(proxy):
    proxy.faults = Faults(refuse=How.RESET)
    with pytest.raises(ConnectionResetError):
        read_byte(proxy)


def test_new_connections_hang_until_dropped(proxy):
    proxy.faults = Faults(refuse=How.HANG)
    with socket.create_connection(("127.0.0.1", proxy.port), timeout=0.2) as sock:
        with pytest.raises(TimeoutError):
            sock.recv(1)
        proxy.drop_all()
        sock.settimeout(5)
        with pytest.raises(ConnectionResetError):
            sock.recv(1)


def test_target_that_refuses_resets_the_client():
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        nobody = bound.getsockname()[1]
        with fault_proxy("127.0.0.1", nobody) as proxy, pytest.raises(ConnectionResetError):
            read_byte(proxy)
