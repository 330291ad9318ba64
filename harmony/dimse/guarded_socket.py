"""pynetdicom's transport, bounded: a deadline and a length for each PDU, a deadline for sends.

The library's own waits for the rest of a PDU for as long as the peer likes, whatever its
timeouts are, and reads as many bytes as a header claims.
"""

from __future__ import annotations

import select
import socket
import ssl
import time
from collections.abc import Callable
from typing import cast

from pynetdicom.association import Association
from pynetdicom.transport import T_CONNECT, AssociationSocket

from harmony.dimse.late_alerts import late_alert
from harmony.dimse.link import End
from harmony.dimse.transport import TransportLimits
from harmony.upper_layer.reading import MAX_ASSOCIATE_BYTES, MAX_CONTROL_BYTES

_P_DATA_TF = 0x04
_ASSOCIATE_TYPES = (0x01, 0x02)
_KNOWN_TYPES = range(0x01, 0x08)
_HEADER_BYTES = 6


class GuardedSocket(AssociationSocket):
    """A socket that is connected already and belongs to somebody else.

    Args:
        association: the one that will use it.
        sock: connected, with or without TLS.
        limits: for every PDU.
        blame: told why, before the connection is given up. Called in the reactor's thread.
        first_pdu: what a caller has sent already, for an acceptor; None for a requestor.
    """

    def __init__(
        self,
        association: Association,
        sock: socket.socket,
        limits: TransportLimits,
        blame: Callable[[End], None],
        first_pdu: bytes | None = None,
    ) -> None:
        super().__init__(association, client_socket=sock)
        if first_pdu is None:
            self.event_queue.get_nowait()  # "peer connected" (Evt5) is for acceptors only
            self._is_connected = False
            self._ready.clear()
        self._blame = blame
        self._limits = {
            _P_DATA_TF: limits.maximum_pdu,
            **dict.fromkeys(_ASSOCIATE_TYPES, MAX_ASSOCIATE_BYTES),
        }
        self._pdu_seconds = limits.pdu_seconds
        self._send_seconds = limits.send_seconds
        self._deadline: float | None = None  # of the PDU whose header has been read
        self._pdu_type = 0
        self._ahead = first_pdu or b""  # read already, here by `ready`

    def connect(self, primitive: T_CONNECT) -> None:
        """Called for AE-1 (PS3.8 9.2): the connection is there already."""
        self._is_connected = True
        primitive.result = "Evt2"
        self.provider_queue.put(primitive)
        self._ready.set()

    @property
    def ready(self) -> bool:
        """Whether there is something to read."""
        sock = self.socket
        if sock is None or not self._is_connected or sock.fileno() < 0:
            return False
        if self._ahead:
            return True
        if isinstance(sock, ssl.SSLSocket) and sock.pending():
            return True
        poll = select.poll()  # select() refuses descriptors above 1023
        poll.register(sock, select.POLLIN)
        if not poll.poll(0):
            return False
        return self._has_data(sock) if isinstance(sock, ssl.SSLSocket) else True

    def _has_data(self, sock: ssl.SSLSocket) -> bool:
        """Whether what came is data: TLS 1.3 sends session tickets, which nobody may wait for."""
        sock.settimeout(0.0)
        try:
            self._ahead += sock.recv(1)
        except ssl.SSLWantReadError:
            return False
        except OSError as exc:
            end = late_alert(exc)
            if end is not None:
                self._blame(end)
            return True  # to be met again, and reported, by `recv`
        return True

    def recv(self, nr_bytes: int) -> bytearray:
        """Read exactly `nr_bytes`: first a PDU's header, then its body.

        Raises:
            OSError: the PDU's time is over, or it claims to be longer than allowed.
        """
        if self._deadline is None:
            deadline = time.monotonic() + self._pdu_seconds
            data = self._read(nr_bytes, deadline)
            if len(data) == _HEADER_BYTES and data[0] in _KNOWN_TYPES:
                self._deadline, self._pdu_type = deadline, data[0]
            return data
        deadline, self._deadline = self._deadline, None
        limit = self._limits.get(self._pdu_type, MAX_CONTROL_BYTES)
        if nr_bytes > limit:
            self._blame(End.PROTOCOL)
            raise OSError(f"PDU of {nr_bytes} bytes, at most {limit}")
        return self._read(nr_bytes, deadline)

    def _read(self, size: int, deadline: float) -> bytearray:
        """Read `size` bytes, fewer only if the connection is closed."""
        data = bytearray(size)
        got = min(len(self._ahead), size)
        data[:got] = self._ahead[:got]
        self._ahead = self._ahead[got:]
        sock = cast("socket.socket", self.socket)
        with memoryview(data) as view:
            while got < size:
                left = deadline - time.monotonic()
                if left <= 0:
                    self._blame(End.STALLED)
                    raise TimeoutError("PDU not complete in time")
                sock.settimeout(left)
                try:
                    count = sock.recv_into(view[got:])
                except TimeoutError:
                    self._blame(End.STALLED)
                    raise
                if not count:
                    break
                got += count
        del data[got:]
        _acknowledge(sock)
        return data

    def send(self, bytestream: bytes) -> None:
        """Send it all, or tell the state machine that the connection is gone (Evt17)."""
        view = memoryview(bytestream)
        sock = cast("socket.socket", self.socket)
        try:
            while view:
                sock.settimeout(self._send_seconds)  # per piece: progress resets it
                view = view[sock.send(view) :]
        except TimeoutError:
            self._blame(End.SEND_STALLED)
            self.event_queue.put("Evt17")
        except OSError:
            if isinstance(sock, ssl.SSLSocket):
                self._has_data(sock)  # an alert that says why may lie there unread
            self.event_queue.put("Evt17")


def _acknowledge(sock: socket.socket) -> None:
    """Acknowledge now what was read.

    A peer that leaves Nagle's algorithm on holds the rest of its message until the first part
    is acknowledged, which Linux would delay by 40 ms. The flag is not sticky.
    """
    if hasattr(socket, "TCP_QUICKACK"):
        socket.socket.setsockopt(sock, socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
