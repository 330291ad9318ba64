"""One connection of a caller that does as its test says. Blocking, with a time limit on all."""

from __future__ import annotations

import contextlib
import socket
import ssl
import struct
import time
from collections.abc import Iterator

from tests.support.bad_caller import messages
from tests.support.bad_caller.answers import (
    Accepted,
    Answer,
    Assembler,
    Closed,
    Data,
    Message,
    parse,
)
from tests.support.bad_caller.request import ECHO_ID, Request
from tests.support.bad_pacs import pdu
from tests.support.bad_pacs.pdu import HEADER_LENGTH, ProtocolError
from tests.support.bad_pacs.wire import PeerGone

SECONDS = 10.0
_CHUNK = 1 << 16
_MAX_ANSWER = 1 << 20


@contextlib.contextmanager
def bad_caller(
    host: str,
    port: int,
    *,
    seconds: float = SECONDS,
    tls: ssl.SSLContext | None = None,
    server_name: str | None = None,
) -> Iterator[Caller]:
    """Connect, and say nothing; leaving the block closes.

    Args:
        seconds: how long each wait may take before it raises `TimeoutError`.
        tls: wraps the connection before it is handed over.
        server_name: to verify, when it is not `host`.
    """
    sock = socket.create_connection((host, port), timeout=seconds)
    try:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if tls is not None:
            sock = tls.wrap_socket(sock, server_hostname=server_name or host)
        yield Caller(sock, seconds)
    finally:
        sock.close()


class Caller:
    """A connected socket and what can be said over it. One thread uses it.

    Args:
        sock: belongs to who made it.
        seconds: the limit of each wait.
    """

    def __init__(self, sock: socket.socket, seconds: float = SECONDS) -> None:
        self._sock = sock
        self._seconds = seconds
        self._buffer = bytearray()
        self._assembler = Assembler()
        self._arrived: list[Message] = []

    # Saying

    def send(self, data: bytes) -> None:
        """Send bytes, whatever they are.

        Raises:
            PeerGone: the peer has hung up; what it said before can still be read.
            TimeoutError: it does not take them.
        """
        self._sock.settimeout(self._seconds)
        try:
            self._sock.sendall(data)
        except TimeoutError:
            raise
        except OSError:
            raise PeerGone from None

    def drip(self, data: bytes, *, every: float = 1.0) -> int:
        """Send a byte, wait, send the next; returns how many went out before the peer left."""
        for count in range(len(data)):
            try:
                self.send(data[count : count + 1])
            except PeerGone:
                return count
            if self._hears_end(every):
                return count + 1
        return len(data)

    def half_close(self) -> None:
        """Send FIN and go on listening."""
        with contextlib.suppress(OSError):  # the peer may have reset the connection
            self._sock.shutdown(socket.SHUT_WR)

    def reset(self) -> None:
        """End with RST."""
        self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._sock.close()

    def close(self) -> None:
        """End with FIN."""
        self._sock.close()

    # Hearing

    def next(self, *, seconds: float | None = None) -> Answer:
        """The next PDU, or the end of the connection.

        Raises:
            TimeoutError: nothing came, or not all of it.
            ProtocolError: what came is no PDU that an acceptor may send.
        """
        deadline = time.monotonic() + (self._seconds if seconds is None else seconds)
        end = self._fill(HEADER_LENGTH, deadline)
        if end is not None:
            if self._buffer and not end.reset:
                raise ProtocolError("the connection ends within the header of a PDU")
            return end
        kind, length = struct.unpack_from(">BxI", self._buffer)
        if length > _MAX_ANSWER:
            raise ProtocolError(f"PDU of type {kind:#04x} claims {length} bytes")
        end = self._fill(HEADER_LENGTH + length, deadline)
        if end is not None:
            if not end.reset:
                raise ProtocolError("the connection ends within a PDU")
            return end
        body = bytes(self._buffer[HEADER_LENGTH : HEADER_LENGTH + length])
        del self._buffer[: HEADER_LENGTH + length]
        return parse(kind, body)

    def rest(self, *, seconds: float | None = None) -> list[Answer]:
        """Everything up to the end of the connection, which is the last item.

        Raises:
            TimeoutError: the peer did not end it within `seconds`.
            ProtocolError: as `next`.
        """
        deadline = time.monotonic() + (self._seconds if seconds is None else seconds)
        found: list[Answer] = []
        while not found or not isinstance(found[-1], Closed):
            found.append(self.next(seconds=max(0.0, deadline - time.monotonic())))
        return found

    def next_message(self) -> Message | Answer:
        """The next whole DIMSE message, or what came instead of one."""
        while not self._arrived:
            answer = self.next()
            if not isinstance(answer, Data):
                return answer
            self._arrived += self._assembler.feed(answer.values)
        return self._arrived.pop(0)

    # Behaving

    def associate(self, request: Request | None = None) -> Answer:
        """Send an A-ASSOCIATE-RQ; by default a proper one for all five services."""
        self.send((request or Request()).encode())
        return self.next()

    def ask(self, context_id: int, command_set: bytes, data: bytes | None = None) -> None:
        """Send a message, properly framed."""
        self.send(messages.message(context_id, command_set, data))

    def release(self) -> Answer:
        """Ask for the end, as one should."""
        self.send(pdu.release_request())
        return self.next()

    def _fill(self, length: int, deadline: float) -> Closed | None:
        """Read until so much is there; gives the end of the connection if that comes first."""
        while len(self._buffer) < length:
            left = deadline - time.monotonic()
            if left <= 0:
                raise TimeoutError(f"no whole PDU in time, just {len(self._buffer)} bytes")
            if (end := self._read(left)) is not None:
                return end
        return None

    def _read(self, seconds: float) -> Closed | None:
        self._sock.settimeout(seconds)
        try:
            chunk = self._sock.recv(_CHUNK)
        except TimeoutError:
            raise
        except OSError:
            return Closed(reset=True)
        self._buffer += chunk
        return None if chunk else Closed()

    def _hears_end(self, seconds: float) -> bool:
        try:
            return self._read(seconds) is not None
        except TimeoutError:
            return False


def proper_echo(
    host: str, port: int, *, request: Request | None = None, seconds: float = SECONDS
) -> None:
    """What a proper caller does: associate, C-ECHO, release.

    Raises:
        AssertionError: it was not served.
    """
    with bad_caller(host, port, seconds=seconds) as caller:
        answer = caller.associate(request)
        assert isinstance(answer, Accepted), f"a proper caller got {answer}"
        assert answer.results[ECHO_ID] == 0, "a proper caller may not echo"
        caller.ask(ECHO_ID, messages.echo())
        told = caller.next_message()
        assert isinstance(told, Message), f"a proper C-ECHO got {told}"
        assert told.status == 0, f"a proper C-ECHO got status {told.status:#06x}"
        caller.send(pdu.release_request())
        caller.rest()
