"""A TCP proxy with faults, in front of any peer: delay, rate, and a cut at an exact byte.

    with fault_proxy("127.0.0.1", 4242) as proxy:
        proxy.faults = Faults(cut=Cut(way=Way.DOWN, after=200, how=How.HANG))
        ...  # connect to 127.0.0.1, proxy.port

For what a network namespace cannot do, or where there is none. Two threads a connection;
leaving the block closes every socket and joins every thread.
"""

from __future__ import annotations

import contextlib
import enum
import os
import select
import socket
import struct
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass

_CHUNK = 1 << 16
_JOIN_SECONDS = 5.0
_CONNECT_SECONDS = 5.0
_RATE_STEP_SECONDS = 0.05
MAX_CONNECTIONS = 256


class Way(enum.StrEnum):
    """Which way bytes go, seen by the client."""

    UP = "up"
    DOWN = "down"


class How(enum.Enum):
    """What happens at the cut."""

    RESET = "RST both ways"
    CLOSE = "FIN to the receiver, and nothing more"
    HANG = "nothing more, either way"
    GARBAGE = "64 bytes are replaced, once"


@dataclass(frozen=True, slots=True, kw_only=True)
class Cut:
    """Where a connection breaks: after so many bytes one way."""

    way: Way
    after: int
    how: How


@dataclass(frozen=True, slots=True, kw_only=True)
class Faults:
    """What is wrong with the network; nothing by default.

    Attributes:
        delay_up, delay_down: seconds before each piece of at most 64 KiB.
        rate: bytes per second each way.
        cut: one break, counted from the start of each connection.
        refuse: RESET or HANG for new connections.
    """

    delay_up: float = 0.0
    delay_down: float = 0.0
    rate: int | None = None
    cut: Cut | None = None
    refuse: How | None = None


class _Broken(Exception):
    """The connection is to end with RST."""


class _Connection:
    """A client and the target. Its threads wait on sockets and on `reset` at once."""

    def __init__(self, client: socket.socket) -> None:
        self._sockets = [client]
        self._wake = os.eventfd(0)
        self.frozen = False
        client.setblocking(False)

    @property
    def client(self) -> socket.socket:
        return self._sockets[0]

    def connect(self, address: tuple[str, int]) -> socket.socket:
        target = socket.create_connection(address, timeout=_CONNECT_SECONDS)
        target.setblocking(False)
        self._sockets.append(target)
        for sock in self._sockets:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return target

    def reset(self) -> None:
        """From any thread: end every wait here, then the sockets, with RST."""
        os.eventfd_write(self._wake, 1)

    @property
    def is_reset(self) -> bool:
        poll = select.poll()
        poll.register(self._wake, select.POLLIN)
        return bool(poll.poll(0))

    def wait(self, seconds: float | None) -> None:
        """Wait, for ever if None."""
        poll = select.poll()
        poll.register(self._wake, select.POLLIN)
        if poll.poll(None if seconds is None else seconds * 1000):
            raise _Broken

    def receive(self, source: socket.socket) -> bytes:
        self._wait_for(source, select.POLLIN)
        return source.recv(_CHUNK)

    def send(self, sink: socket.socket, data: bytes) -> None:
        while data:
            self._wait_for(sink, select.POLLOUT)
            data = data[sink.send(data) :]

    def close(self) -> None:
        linger = struct.pack("ii", 1, 0)
        for sock in self._sockets:
            if self.is_reset:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            sock.close()
        os.close(self._wake)

    def _wait_for(self, sock: socket.socket, event: int) -> None:
        poll = select.poll()
        poll.register(sock, event)
        poll.register(self._wake, select.POLLIN)
        if any(number == self._wake for number, _ in poll.poll()):
            raise _Broken


class FaultProxy:
    """A listener on loopback that passes everything on to a target.

    Attributes:
        port: what to connect to.
        faults: may be replaced at any time; open connections follow.
    """

    def __init__(self, host: str, port: int) -> None:
        self.faults = Faults()
        self._target = (host, port)
        self._over = threading.Event()
        self._lock = threading.Lock()
        self._threads: dict[threading.Thread, _Connection] = {}
        self._connections = 0
        self._passed = {Way.UP: 0, Way.DOWN: 0}
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=MAX_CONNECTIONS)
        self.port: int = self._listener.getsockname()[1]
        self._acceptor = threading.Thread(target=self._accept, name="fault-proxy")
        self._acceptor.start()

    @property
    def connections(self) -> int:
        """How many came, refused ones included."""
        return self._connections

    def passed(self, way: Way) -> int:
        """Bytes that went this way, over all connections."""
        with self._lock:
            return self._passed[way]

    def drop_all(self) -> None:
        """Reset what is open now."""
        with self._lock:
            for connection in self._threads.values():
                connection.reset()

    def close(self) -> None:
        """Close every socket and join every thread.

        Raises:
            RuntimeError: a thread did not end.
        """
        self._over.set()
        self._listener.shutdown(socket.SHUT_RDWR)
        self._acceptor.join(_JOIN_SECONDS)
        self._listener.close()
        self.drop_all()
        deadline = time.monotonic() + _JOIN_SECONDS
        with self._lock:
            threads = list(self._threads)
        for thread in threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        if any(thread.is_alive() for thread in threads):
            raise RuntimeError("a connection of the fault proxy did not end")

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return  # shut down by `close`
            self._connections += 1
            connection = _Connection(sock)
            thread = threading.Thread(target=self._serve, args=(connection,), name="fault-proxy")
            with self._lock:
                if self._over.is_set() or len(self._threads) >= MAX_CONNECTIONS:
                    sock.close()
                    continue
                self._threads[thread] = connection
            thread.start()

    def _serve(self, connection: _Connection) -> None:
        try:
            if self.faults.refuse is How.RESET:
                raise _Broken
            if self.faults.refuse is not None:
                connection.wait(None)
            target = connection.connect(self._target)
            down = threading.Thread(
                target=self._pump,
                args=(connection, Way.DOWN, target, connection.client),
                name="fault-proxy",
            )
            down.start()
            self._pump(connection, Way.UP, connection.client, target)
            down.join()
        except (_Broken, OSError):  # OSError: the target refuses
            connection.reset()
        finally:
            with self._lock:
                del self._threads[threading.current_thread()]
                connection.close()

    def _pump(
        self, connection: _Connection, way: Way, source: socket.socket, sink: socket.socket
    ) -> None:
        seen = 0
        try:
            while data := connection.receive(source):
                if connection.frozen:
                    connection.wait(None)
                self._forward(connection, way, data, sink, seen)
                seen += len(data)
            sink.shutdown(socket.SHUT_WR)
        except (_Broken, OSError):
            connection.reset()

    def _forward(
        self, connection: _Connection, way: Way, data: bytes, sink: socket.socket, seen: int
    ) -> None:
        faults = self.faults
        connection.wait(faults.delay_up if way is Way.UP else faults.delay_down)
        cut = faults.cut
        if cut is not None and cut.way is way and seen <= cut.after < seen + len(data):
            data = self._cut(connection, cut, data, sink, cut.after - seen)
        step = len(data) if faults.rate is None else max(1, int(faults.rate * _RATE_STEP_SECONDS))
        for start in range(0, len(data), step):
            connection.send(sink, data[start : start + step])
            if faults.rate is not None:
                connection.wait(_RATE_STEP_SECONDS)
        self._count(way, len(data))

    def _cut(
        self, connection: _Connection, cut: Cut, data: bytes, sink: socket.socket, at: int
    ) -> bytes:
        if cut.how is How.GARBAGE:
            return data[:at] + b"\xff" * min(64, len(data) - at) + data[at + 64 :]
        connection.send(sink, data[:at])
        self._count(cut.way, at)
        if cut.how is How.RESET:
            raise _Broken
        if cut.how is How.CLOSE:
            sink.shutdown(socket.SHUT_WR)
        else:
            connection.frozen = True
        connection.wait(None)
        raise AssertionError("waiting for ever has ended")

    def _count(self, way: Way, size: int) -> None:
        with self._lock:
            self._passed[way] += size


@contextlib.contextmanager
def fault_proxy(host: str, port: int) -> Iterator[FaultProxy]:
    """A proxy in front of ``host:port`` until the block ends."""
    proxy = FaultProxy(host, port)
    try:
        yield proxy
    finally:
        proxy.close()
