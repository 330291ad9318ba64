"""Links whose upper layer (PS3.8) pynetdicom runs.

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
from collections.abc import AsyncIterator, Mapping, Sequence
from types import MappingProxyType
from typing import cast

import trio
from pydicom.uid import UID
from pynetdicom import _config
from pynetdicom.ae import ApplicationEntity
from pynetdicom.association import Association
from pynetdicom.pdu_primitives import (
    A_ABORT,
    A_ASSOCIATE,
    A_P_ABORT,
    A_RELEASE,
    P_DATA,
    SCP_SCU_RoleSelectionNegotiation,
)
from pynetdicom.presentation import build_context
from pynetdicom.transport import AddressInformation

from harmony.dicom.part10 import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME
from harmony.dicom.status import rejection
from harmony.dimse.bridge import Inbox
from harmony.dimse.connecting import connect, lost
from harmony.dimse.guarded_socket import GuardedSocket
from harmony.dimse.link import Context, End, Ending, Fragment, LinkEnded, Proposal
from harmony.dimse.packing import MIN_PDU_BYTES, Packer
from harmony.dimse.reactor import Reactor, Signal, Unit, attach
from harmony.dimse.target import Target
from harmony.errors import UpstreamError

_INBOX_BYTES = 1024 * 1024
_DEFAULT_SEND_BYTES = 128 * 1024  # for a peer that sets no maximum (PS3.8 D.1.1)
_MAX_SEND_BYTES = 1024 * 1024


def silence() -> None:
    """Keep identifiers out of pynetdicom's log, and its formatting off our time.

    Switches of the library are process wide; this is called before each use of it.
    """
    _config.LOG_HANDLER_LEVEL = "none"
    _config.LOG_REQUEST_IDENTIFIERS = False
    _config.LOG_RESPONSE_IDENTIFIERS = False


async def open_link(
    target: Target,
    proposals: Sequence[Proposal],
    *,
    limiter: trio.CapacityLimiter,
    task_status: trio.TaskStatus[PynetdicomLink],
) -> None:
    """Associate with `target`, report the link, and run it until it ends or is cancelled.

    For ``nursery.start``: the nursery owns the link. Cancelled, it is hung up, and its thread
    is waited for; that takes milliseconds.

    Args:
        target: whom to call.
        proposals: at most 128 presentation contexts (PS3.8 9.3.2.2).
        limiter: counts the threads of links.
        task_status: gets the link once it is established.

    Raises:
        UpstreamError: before the link is there: no connection, rejected, aborted, no answer.
    """
    silence()
    sock = await connect(target)
    try:
        link = PynetdicomLink(target, sock, proposals)
    except OSError as exc:  # its address cannot be told any more
        sock.close()
        raise lost(target, exc) from exc
    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(link.hang_up_when_cancelled)
            nursery.start_soon(link.associate, task_status)
            await trio.to_thread.run_sync(link.run_reactor, limiter=limiter)
            await link.settled()
            nursery.cancel_scope.cancel()
    finally:
        link.close()
    if link.failure is not None:
        raise link.failure


class PynetdicomLink:
    """One association. Implements `harmony.dimse.link.Link`."""

    def __init__(self, target: Target, sock: socket.socket, proposals: Sequence[Proposal]) -> None:
        self._target = target
        self._sock = sock
        self._inbox: Inbox[Unit] = Inbox(_INBOX_BYTES)
        self._association = _prepare(target, sock, proposals, self._inbox)
        self._reactor = cast("Reactor", self._association.dul)
        self.failure: UpstreamError | None = None
        self._ending: Ending | None = None
        self._negotiated = trio.Event()
        self._contexts: dict[int, Context] = {}
        self._send_bytes = _DEFAULT_SEND_BYTES

    # Life

    def run_reactor(self) -> None:
        """Run the upper layer in this thread until the connection is gone."""
        self._reactor.run()

    async def hang_up_when_cancelled(self) -> None:
        try:
            await trio.sleep_forever()
        finally:
            if self._reactor.ended is None:
                self.hang_up()

    async def settled(self) -> None:
        """Wait until a negotiation that is under way has seen how the reactor ended."""
        await self._negotiated.wait()

    def hang_up(self) -> None:
        if self._ending is None:
            self._ending = Ending(End.HUNG_UP)
        self._reactor.stop(self._sock)

    def close(self) -> None:
        """Close the sockets, which pynetdicom leaves open after a reset."""
        self._sock.close()
        self._reactor.close()

    # Negotiation, PS3.8 7.1

    async def associate(self, task_status: trio.TaskStatus[PynetdicomLink]) -> None:
        """Send the A-ASSOCIATE-RQ; report the link if it is accepted, else set `failure`."""
        try:
            self._association.acse.send_request()
            self._reactor.wake()
            await self._negotiate(self._target)
            task_status.started(self)
        except UpstreamError as exc:
            self.failure = exc
            self.hang_up()
        finally:
            self._negotiated.set()

    async def _negotiate(self, target: Target) -> None:
        peer = str(target)
        answer: Unit | None = None
        with trio.move_on_after(target.timeouts.associate_seconds):
            try:
                answer = await self._inbox.get()
            except trio.ClosedResourceError:  # hung up meanwhile
                answer = Ending(End.HUNG_UP)
        if answer is None:
            raise UpstreamError(
                f"{target} did not answer the association request within "
                f"{target.timeouts.associate_seconds:g} s",
                code="associate-timeout",
                http_status=504,
                peer=peer,
                hint="something else than a PACS may listen there, or it has no room left",
            )
        if isinstance(answer, A_ASSOCIATE):
            if answer.result == 0x00:
                return self._accept(answer)
            raise rejection(
                answer.result or 0,
                answer.result_source or 0,
                answer.diagnostic or 0,
                peer=peer,
                called=target.aet,
                calling=target.local_aet,
            )
        ending = self._note(answer) if not isinstance(answer, Fragment) else Ending(End.PROTOCOL)
        stalled = ending.end is End.STALLED
        hint = (
            "a PACS that knows neither AE title often closes the connection without a word; "
            "so does a TLS port that is spoken to in plain DICOM"
        )
        if ending.end is End.PROTOCOL:
            hint = "something else than a PACS may answer on this port: check `port`"
        raise UpstreamError(
            f"no association with {peer}: {ending.end.value}",
            code="associate-failed",
            http_status=504 if stalled else 502,
            peer=peer,
            hint=hint,
        )

    def _accept(self, answer: A_ASSOCIATE) -> None:
        proposed = {cx.context_id: cx for cx in self._association.requestor.requested_contexts}
        for cx in answer.presentation_context_definition_results_list:
            number = cx.context_id or 0
            asked = proposed.get(number)
            if cx.result != 0x00 or asked is None or not cx.transfer_syntax:
                continue
            syntax = cx.transfer_syntax[0]
            if syntax in asked.transfer_syntax:  # what was not offered is not understood here
                self._contexts[number] = Context(number, str(asked.abstract_syntax), str(syntax))
        announced = answer.maximum_length_received or 0
        if announced:
            self._send_bytes = min(max(announced, MIN_PDU_BYTES), _MAX_SEND_BYTES)

    # Link

    @property
    def contexts(self) -> Mapping[int, Context]:
        return MappingProxyType(self._contexts)

    @property
    def is_quiet(self) -> bool:
        return self._ending is None and self._inbox.is_empty

    async def wait_disturbed(self) -> None:
        await self._inbox.wait()

    async def receive(self) -> Fragment:
        if self._ending is not None:
            raise LinkEnded(self._ending)
        try:
            unit = await self._inbox.get()
        except trio.ClosedResourceError:  # hung up meanwhile
            raise LinkEnded(Ending(End.HUNG_UP)) from None
        if isinstance(unit, Fragment):
            return unit
        raise LinkEnded(self._note(unit))

    async def send(
        self, context_id: int, command: bytes, data: AsyncIterator[bytes] | None = None
    ) -> None:
        packer = Packer(context_id, self._send_bytes)
        for values in packer.command(command):
            await self._send_pdu(values)
        if data is not None:
            async for chunk in data:
                for values in packer.data(chunk):
                    await self._send_pdu(values)
            for values in packer.end_data():
                await self._send_pdu(values)
        await self._send_pdu(packer.take())

    async def _send_pdu(self, values: list[tuple[int, bytes]]) -> None:
        self._check()
        await self._reactor.outbox.wait_room()
        self._check()
        primitive = P_DATA()
        primitive.presentation_data_value_list.extend(values)
        self._reactor.outbox.put(primitive)
        self._reactor.wake()

    async def release(self) -> None:
        try:
            if self._ending is None:
                with trio.move_on_after(self._target.timeouts.release_seconds):
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

    def _note(self, signal: Signal) -> Ending:
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


# pynetdicom, prepared


def _prepare(
    target: Target, sock: socket.socket, proposals: Sequence[Proposal], inbox: Inbox[Unit]
) -> Association:
    theirs = AddressInformation.from_tuple(sock.getpeername())
    ours = AddressInformation.from_tuple(sock.getsockname())
    ae = ApplicationEntity(target.local_aet)
    ae.acse_timeout = ae.dimse_timeout = ae.network_timeout = None  # ours are trio's
    association = Association(ae, "requestor")
    reactor = attach(association, inbox, target.timeouts.pdu_seconds)
    association.set_socket(GuardedSocket(association, sock, target, reactor.blame))
    acceptor, requestor = association.acceptor, association.requestor
    acceptor.ae_title = target.aet
    acceptor.address_info, requestor.address_info = theirs, ours
    requestor.ae_title = target.local_aet
    requestor.maximum_length = target.maximum_pdu
    requestor.implementation_class_uid = UID(IMPLEMENTATION_CLASS_UID)
    requestor.implementation_version_name = IMPLEMENTATION_VERSION_NAME
    contexts = []
    receiving: dict[str, None] = {}
    for index, proposal in enumerate(proposals):
        context = build_context(proposal.abstract_syntax, list(proposal.transfer_syntaxes))
        context.context_id = 2 * index + 1  # odd: PS3.8 9.3.2.2
        contexts.append(context)
        if proposal.receive:
            receiving[proposal.abstract_syntax] = None
    requestor.requested_contexts = contexts
    for uid in receiving:
        role = SCP_SCU_RoleSelectionNegotiation()
        role.sop_class_uid = UID(uid)
        role.scu_role, role.scp_role = False, True
        requestor.add_negotiation_item(role)
    return association
