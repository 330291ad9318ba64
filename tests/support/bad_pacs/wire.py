"""One connection: bytes in and out, and the faults that strike in the middle of a PDU."""

from __future__ import annotations

import contextlib
import enum
import select
import socket
import struct
import threading
import time
from dataclasses import dataclass
from typing import Literal, TypeAlias

from tests.support.bad_pacs.pdu import HEADER_LENGTH, ProtocolError

MAX_PDU = 1 << 20
_CHUNK = 1 << 16


class PeerGone(Exception):
    """The peer hung up, or the test is over."""


class Part(enum.Enum):
    """What a PDU carries, seen by who wants to break one."""

    ACCEPT = "A-ASSOCIATE-AC"
    COMMAND = "P-DATA-TF with a command set"
    DATA = "P-DATA-TF with a data set"
    OTHER = "any other PDU"


@dataclass(frozen=True, slots=True, kw_only=True)
class Cut:
    """The next PDU that carries `part` stops after 3 bytes of header or half its body."""

    part: Part
    keep: Literal["header", "body"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Drip:
    """The next PDU that carries `part` goes out one byte every `seconds`."""

    part: Part
    seconds: float


Fault: TypeAlias = Cut | Drip


class CutShort(Exception):
    """An armed `Cut` has struck: nothing more of that PDU will come."""


class Wire:
    """A connected socket. Its thread owns it; `hang_up` alone may be called from another.

    Args:
        sock: accepted; closed by `close`.
        over: set when the test ends; every wait here ends with it.
    """

    def __init__(self, sock: socket.socket, over: threading.Event) -> None:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._sock = sock
        self._over = over
        self._buffer = bytearray()
        self._poll = select.poll()
        self._poll.register(sock, select.POLLIN)
        self._fault: Fault | None = None

    @property
    def armed(self) -> bool:
        """Whether a fault waits for its PDU."""
        return self._fault is not None

    def arm(self, fault: Fault) -> None:
        """Break the next PDU of the fault's kind."""
        self._fault = fault

    def send(self, data: bytes, part: Part) -> None:
        """Send one PDU, whole unless a fault is armed for it.

        Raises:
            CutShort: an armed `Cut` struck.
            PeerGone: the connection is over.
        """
        if self._fault is None or self._fault.part is not part:
            self.send_raw(data)
            return
        fault, self._fault = self._fault, None
        if isinstance(fault, Cut):
            body = len(data) - HEADER_LENGTH
            self.send_raw(data[: 3 if fault.keep == "header" else HEADER_LENGTH + body // 2])
            raise CutShort
        for i in range(len(data)):
            self.send_raw(data[i : i + 1])
            self.sleep(fault.seconds)

    def send_raw(self, data: bytes | bytearray) -> None:
        """Send bytes, whatever they are."""
        try:
            self._sock.sendall(data)
        except OSError:
            raise PeerGone from None

    def sleep(self, seconds: float) -> None:
        """Wait without looking at what arrives."""
        if self._over.wait(seconds):
            raise PeerGone

    def readable(self, seconds: float) -> bool:
        """Wait until something arrives; an end counts. False if nothing did."""
        if self._over.is_set():
            raise PeerGone
        return bool(self._buffer) or bool(self._poll.poll(max(0.0, seconds) * 1000))

    def read_pdu(self) -> tuple[int, bytes]:
        """Wait for a whole PDU: its type and its body."""
        self._fill(HEADER_LENGTH)
        kind, length = struct.unpack_from(">BxI", self._buffer)
        if length > MAX_PDU:
            raise ProtocolError(f"PDU of type {kind:#04x} claims {length} bytes")
        self._fill(HEADER_LENGTH + length)
        body = bytes(memoryview(self._buffer)[HEADER_LENGTH : HEADER_LENGTH + length])
        del self._buffer[: HEADER_LENGTH + length]
        return kind, body

    def discard(self) -> None:
        """Read and forget, until the peer hangs up."""
        while True:
            self._buffer.clear()
            self._fill(1)

    def stare(self) -> None:
        """Read nothing, as a frozen host, until the peer hangs up."""
        watch = select.poll()
        watch.register(self._sock, select.POLLRDHUP)
        watch.poll()
        raise PeerGone

    def await_end(self, seconds: float) -> None:
        """Give the peer some time to hang up by itself."""
        deadline = time.monotonic() + seconds
        with contextlib.suppress(PeerGone):
            while self.readable(deadline - time.monotonic()):
                self._buffer.clear()
                self._fill(1)

    def reset(self) -> None:
        """End with RST instead of FIN."""
        self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close()

    def finish(self) -> None:
        """Send FIN; what the peer still says can be read."""
        try:
            self._sock.shutdown(socket.SHUT_WR)
        except OSError:
            raise PeerGone from None

    def hang_up(self) -> None:
        """From any thread: end every wait on this connection."""
        with contextlib.suppress(OSError):  # it is closed already, or the peer was faster
            self._sock.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """End with FIN."""
        self._sock.close()

    def _fill(self, length: int) -> None:
        while len(self._buffer) < length:
            try:
                chunk = self._sock.recv(max(_CHUNK, length - len(self._buffer)))
            except OSError:
                raise PeerGone from None
            if not chunk:
                raise PeerGone
            self._buffer += chunk
