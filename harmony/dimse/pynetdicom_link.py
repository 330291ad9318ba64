"""A link whose upper layer (PS3.8) pynetdicom runs, whichever side asked for the association.

pynetdicom gives the state machine, the PDUs and the A-ASSOCIATE negotiation items. Of its
threads none is used: its association reactor, which can take answers from under a waiting
caller (3.0.4 loses C-FIND answers that way), is never started, and its upper layer reactor is
replaced by `reactor.Reactor.run`, which sleeps in ``poll`` instead of waking every millisecond
and runs in ``trio.to_thread`` as a child task of the link's owner.

Private names of pynetdicom 3.0 that this leans on, each covered by a test:
``DULServiceProvider._process_recv_primitive``, ``._is_transport_event``, ``._kill_thread``,
``AssociationSocket._is_connected``, ``._ready``.
"""

from __future__ import annotations

import contextlib
import socket
from collections.abc import AsyncIterable, Awaitable, Callable, Mapping, Sequence
from types import MappingProxyType
from typing import cast

import trio
from pydicom.config import IGNORE
from pydicom.config import settings as pydicom_settings
from pynetdicom import _config
from pynetdicom.association import Association
from pynetdicom.pdu_primitives import A_ABORT, A_ASSOCIATE, A_P_ABORT, A_RELEASE, P_DATA

from harmony.dimse.bridge import Inbox
from harmony.dimse.link import Context, End, Ending, Fragment, LinkEnded
from harmony.dimse.reactor import Reactor, Signal, Unit
from harmony.upper_layer.connection import Buffer
from harmony.upper_layer.messages import Packer
from harmony.upper_layer.pdus import fragments

INBOX_BYTES = 1024 * 1024
_PDU_HEADER_BYTES = 6  # PS3.8 9.3.5
_FAREWELL_SECONDS = 1.0  # for a last PDU to leave


def silence() -> None:
    """Keep what peers send out of pynetdicom's log and of pydicom's warnings.

    pydicom warns with the text of each UID that is none; Python would remember every such text
    of a caller. Switches of the libraries are process wide; this is called before each use.
    """
    pydicom_settings.reading_validation_mode = IGNORE
    _config.LOG_HANDLER_LEVEL = "none"
    _config.LOG_REQUEST_IDENTIFIERS = False
    _config.LOG_RESPONSE_IDENTIFIERS = False


class PynetdicomLink:
    """One association. Implements `harmony.dimse.link.Link`.

    Args:
        association: prepared by `reactor.attach`, with its socket.
        sock: the same socket; closed by `close`.
        inbox: what the reactor hears.
        release_seconds: for the answer to our A-RELEASE-RQ.
    """

    def __init__(
        self,
        association: Association,
        sock: socket.socket,
        inbox: Inbox[Unit],
        *,
        release_seconds: float,
    ) -> None:
        self._association = association
        self._sock = sock
        self._inbox = inbox
        self._release_seconds = release_seconds
        self._reactor = cast("Reactor", association.dul)
        self._ending: Ending | None = None
        self._over = trio.Event()
        self._contexts: Mapping[int, Context] = {}
        self._peer_maximum = 0

    # Life

    async def run(
        self, negotiate: Callable[[], Awaitable[None]], limiter: trio.CapacityLimiter
    ) -> None:
        """Run the upper layer until the connection is gone, `negotiate` beside it.

        Cancelled, the link is hung up and its thread waited for; that takes milliseconds.
        """
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._hang_up_when_cancelled)
                negotiated = trio.Event()

                async def task() -> None:
                    try:
                        await negotiate()
                    finally:
                        negotiated.set()

                nursery.start_soon(task)
                try:
                    await trio.to_thread.run_sync(self._reactor.run, limiter=limiter)
                finally:
                    self._over.set()
                await negotiated.wait()  # a negotiation under way sees how the reactor ended
                nursery.cancel_scope.cancel()
        finally:
            # pynetdicom leaves sockets open after a reset
            self._sock.close()
            self._reactor.close()

    async def _hang_up_when_cancelled(self) -> None:
        try:
            await trio.sleep_forever()
        finally:
            if self._reactor.ended is None:
                self.hang_up()

    def hang_up(self) -> None:
        if self._ending is None:
            self._ending = Ending(End.HUNG_UP)
        self._reactor.stop(self._sock)

    async def abort(self) -> None:
        try:
            if self._ending is None and self._reactor.ended is None:
                self._ending = Ending(End.HUNG_UP)
                self._association.acse.send_abort(0x00)  # by the service user, PS3.8 9.3.8
                await self.see_off()
        finally:
            self.hang_up()

    async def see_off(self) -> None:
        """Let the reactor send what is queued and close, if it can within a moment."""
        self._reactor.wake()
        with trio.move_on_after(_FAREWELL_SECONDS):
            await self._over.wait()

    # Negotiation, PS3.8 7.1

    def ask(self) -> None:
        """Send the A-ASSOCIATE-RQ that the association was prepared for."""
        self._association.acse.send_request()
        self._reactor.wake()

    async def answer(self, primitive: A_ASSOCIATE) -> None:
        """Send an A-ASSOCIATE-AC or -RJ."""
        self._reactor.outbox.put(primitive)
        self._reactor.wake()
        if primitive.result:
            await self.see_off()

    async def next_unit(self) -> Unit:
        """What the reactor hears next, undigested, while nothing is negotiated yet."""
        try:
            return await self._inbox.get()
        except trio.ClosedResourceError:  # hung up meanwhile
            return Ending(End.HUNG_UP)

    def establish(self, contexts: Mapping[int, Context], announced: int) -> None:
        """Note what both sides agreed on.

        Args:
            contexts: accepted.
            announced: the peer's maximum length; 0 for none (PS3.8 D.1.1).
        """
        self._contexts = MappingProxyType(dict(contexts))
        self._peer_maximum = announced

    # Link

    @property
    def contexts(self) -> Mapping[int, Context]:
        return self._contexts

    @property
    def is_quiet(self) -> bool:
        return self._ending is None and self._inbox.is_empty

    async def wait_disturbed(self) -> None:
        await self._inbox.wait()

    def take(self) -> Fragment | None:
        return None  # the reactor's thread could go on filling the inbox meanwhile

    async def receive(self) -> Fragment:
        if self._ending is not None:
            raise LinkEnded(self._ending)
        try:
            unit = await self._inbox.get()
        except trio.ClosedResourceError:  # hung up meanwhile
            raise LinkEnded(Ending(End.HUNG_UP)) from None
        if isinstance(unit, Fragment):
            return unit
        ending = self.note(unit)
        if ending.end is End.PEER_RELEASED and self._reactor.ended is None:
            self._send_release(is_response=True)  # PS3.8 7.2.2
            await self.see_off()
        raise LinkEnded(ending)

    async def send(
        self,
        context_id: int,
        command: bytes,
        data: AsyncIterable[bytes] | None = None,
        *,
        more: bool = False,
    ) -> None:
        packer = Packer(context_id, self._peer_maximum)
        for pdu in packer.command(command):
            await self._send_pdu(pdu)
        if data is not None:
            async for chunk in data:
                for pdu in packer.data(chunk):
                    await self._send_pdu(pdu)
            for pdu in packer.end_data():
                await self._send_pdu(pdu)
        await self._send_pdu(packer.take())

    async def _send_pdu(self, pdu: Sequence[Buffer]) -> None:
        self._check()
        await self._reactor.outbox.wait_room()
        self._check()
        self._reactor.outbox.put(_primitive(pdu))
        self._reactor.wake()

    async def release(self) -> None:
        try:
            if self._ending is None:
                with trio.move_on_after(self._release_seconds):
                    await self._release()
        finally:
            self.hang_up()

    async def _release(self) -> None:
        """PS3.8 7.2. The peer may have asked first; anything else it said ends politeness."""
        with contextlib.suppress(trio.ClosedResourceError):
            if self._inbox.is_empty:
                self._send_release(is_response=False)
            unit = await self._inbox.get()
            while isinstance(unit, A_RELEASE) and unit.result is None:
                self._send_release(is_response=True)
                unit = await self._inbox.get()
            if not isinstance(unit, Fragment):
                self._ending = Ending(End.RELEASED)

    def _send_release(self, *, is_response: bool) -> None:
        self._association.acse.send_release(is_response=is_response)
        self._reactor.wake()

    def _check(self) -> None:
        if self._ending is None and self._reactor.ended is not None:
            self._ending = self._reactor.ended
        if self._ending is not None:
            raise LinkEnded(self._ending)

    def note(self, signal: Signal) -> Ending:
        """Turn a signal of the upper layer into an ending and remember the first one."""
        if isinstance(signal, A_RELEASE):
            ending = Ending(End.PEER_RELEASED)
        elif isinstance(signal, A_ABORT):
            ending = Ending(End.PEER_ABORTED, signal.abort_source, 0)
        elif isinstance(signal, A_P_ABORT):
            # PS3.8 9.3.8: the library also makes one up when the connection is closed (AA-4)
            # or the peer breaks the protocol (AA-8); the reactor knows which it was.
            ending = self._reactor.cause or Ending(End.PEER_ABORTED, 2, signal.provider_reason)
        elif isinstance(signal, Ending):
            ending = signal
        else:
            ending = Ending(End.PROTOCOL)
        if self._ending is None:
            self._ending = ending
        return self._ending


def _primitive(pdu: Sequence[Buffer]) -> P_DATA:
    """A PDU as the library wants to be told of it: by values, each with its header of PS3.8 E.2."""
    primitive = P_DATA()
    body = memoryview(b"".join(pdu))[_PDU_HEADER_BYTES:]
    for value in fragments(body):
        header = bytes((value.is_command | value.is_last << 1,))
        primitive.presentation_data_value_list.append((value.context_id, header + value.data))
    return primitive
