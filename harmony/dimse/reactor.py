"""pynetdicom's upper layer, run by us: one event at a time, asleep in ``poll`` in between.

The library's own loop wakes up every millisecond, and what it hears goes through queues that
two of its threads read. Here everything heard, fragments and signals alike, goes into one
`Inbox` in the order it came.
"""

from __future__ import annotations

import contextlib
import queue
import select
import socket
from typing import TypeAlias, cast

from pynetdicom.association import Association
from pynetdicom.dimse import DIMSEServiceProvider
from pynetdicom.dul import DULServiceProvider
from pynetdicom.pdu_primitives import A_ABORT, A_ASSOCIATE, A_P_ABORT, A_RELEASE, P_DATA
from pynetdicom.transport import T_CONNECT

from harmony.dimse.bridge import Inbox, Outbox
from harmony.dimse.link import End, Ending, Fragment

UserPrimitive: TypeAlias = A_ASSOCIATE | A_RELEASE | A_ABORT | A_P_ABORT
Signal: TypeAlias = UserPrimitive | Ending
Unit: TypeAlias = Fragment | Signal

_Primitive: TypeAlias = UserPrimitive | P_DATA | T_CONNECT
_OUTBOX_PDUS = 4
_FRAGMENT_BYTES = 128  # about what one costs besides its data
_POLL_MS = 500  # ARTIM is looked at twice a second


class _Discard:
    """Stands in for a queue that nobody reads."""

    def put(self, item: object) -> None:
        return


def attach(association: Association, inbox: Inbox[Unit], pdu_seconds: float) -> Reactor:
    """Put our reactor and our ear in the place of the library's."""
    reactor = Reactor(association, inbox, pdu_seconds)
    association.dul = reactor
    association.dimse = cast("DIMSEServiceProvider", _Fragments(inbox))
    return reactor


class _Fragments:
    """Stands in for pynetdicom's DIMSE provider: passes fragments on undecoded."""

    def __init__(self, inbox: Inbox[Unit]) -> None:
        self._inbox = inbox
        self.msg_queue = _Discard()

    def receive_primitive(self, primitive: P_DATA) -> None:
        for context_id, value in primitive.presentation_data_value_list:
            if not value:
                raise ValueError("presentation data value without a control header")
            header = value[0]
            fragment = Fragment(context_id, bool(header & 1), bool(header & 2), value[1:])
            self._inbox.put(fragment, len(value) + _FRAGMENT_BYTES)


class _Signals:
    """Stands in for ``to_user_queue``: signals keep their place among the fragments."""

    def __init__(self, inbox: Inbox[Unit]) -> None:
        self._inbox = inbox

    def put(self, signal: Signal) -> None:
        self._inbox.put(signal)


class Reactor(DULServiceProvider):
    """The upper layer's loop: one event at a time, asleep in between.

    Attributes:
        cause: why the connection broke, as seen by the transport.
        ended: set once the loop is over.
    """

    def __init__(self, association: Association, inbox: Inbox[Unit], pdu_seconds: float) -> None:
        super().__init__(association)
        self.outbox: Outbox[_Primitive] = Outbox(_OUTBOX_PDUS)
        self.to_provider_queue = self.outbox
        self.to_user_queue = cast("queue.Queue[UserPrimitive]", _Signals(inbox))
        self.artim_timer.timeout = pdu_seconds  # PS3.8 9.1.5: waiting for the peer to close
        self.cause: Ending | None = None
        self.ended: Ending | None = None
        self._inbox = inbox
        self._wake_receive, self._wake_send = socket.socketpair()
        self._wake_receive.setblocking(False)
        self._wake_send.setblocking(False)
        self._asleep = False  # or about to be

    def blame(self, end: End) -> None:
        """Note why the connection is about to break; the first reason counts."""
        if self.cause is None:
            self.cause = Ending(end)

    def wake(self) -> None:
        """Look for work now. From any thread."""
        if self._asleep:  # else it looks again before it sleeps
            with contextlib.suppress(OSError):  # full: a wake-up is under way already
                self._wake_send.send(b"\0")

    def stop(self, sock: socket.socket) -> None:
        """End the loop and every wait inside it. From any thread; never blocks."""
        self._kill_thread = True
        with contextlib.suppress(OSError):
            # not SSLSocket.shutdown, which would drop the TLS object under the reactor's feet
            socket.socket.shutdown(sock, socket.SHUT_RDWR)
        self._inbox.close()
        self.outbox.wake()
        self.wake()

    def close(self) -> None:
        self._wake_receive.close()
        self._wake_send.close()

    def run(self) -> None:
        ended = Ending(End.CLOSED)
        try:
            while not self._kill_thread:
                self._step()
        except Exception:  # whatever the library raises on what a peer sent
            ended = Ending(End.PROTOCOL)
        self.ended = self.cause or ended
        self._inbox.put(self.ended)
        self.outbox.wake()

    def _step(self) -> None:
        if self.artim_timer.expired:
            self.event_queue.put("Evt18")
        if not self._process_recv_primitive():
            self._is_transport_event()
        try:
            event = self.event_queue.get_nowait()
        except queue.Empty:
            self._sleep()
            return
        if event == "Evt19":  # invalid or unrecognised PDU
            self.blame(End.PROTOCOL)
        elif event == "Evt17":  # connection closed
            self.blame(End.CLOSED)
        self.state_machine.do_action(event)
        if (
            self.state_machine.current_state == "Sta1"
        ):  # idle again, PS3.8 9.2: the connection is gone
            self._kill_thread = True

    def _sleep(self) -> None:
        self._asleep = True
        try:
            if self.outbox.qsize() or self._kill_thread:  # since we last looked
                return
            poll = select.poll()
            poll.register(self._wake_receive, select.POLLIN)
            sock = self.socket.socket if self.socket is not None else None
            if sock is not None and sock.fileno() >= 0:
                poll.register(sock, select.POLLIN)
            woken = {descriptor for descriptor, _ in poll.poll(_POLL_MS)}
        finally:
            self._asleep = False
        if self._wake_receive.fileno() in woken:
            with contextlib.suppress(OSError):
                self._wake_receive.recv(4096)
