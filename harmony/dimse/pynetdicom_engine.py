"""Associations that Harmony asks for, on pynetdicom's upper layer. See `pynetdicom_link`."""

from __future__ import annotations

import socket
from collections.abc import Sequence

import trio
from pydicom.uid import UID
from pynetdicom.ae import ApplicationEntity
from pynetdicom.association import Association
from pynetdicom.pdu_primitives import A_ASSOCIATE, SCP_SCU_RoleSelectionNegotiation
from pynetdicom.presentation import build_context
from pynetdicom.transport import AddressInformation

from harmony.dicom.part10 import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME
from harmony.dicom.status import rejection
from harmony.dimse.bridge import Inbox
from harmony.dimse.connecting import connect, lost
from harmony.dimse.establishing import no_answer, not_established
from harmony.dimse.guarded_socket import GuardedSocket
from harmony.dimse.link import Context, End, Ending, Fragment, Proposal
from harmony.dimse.pynetdicom_link import INBOX_BYTES, PynetdicomLink, silence
from harmony.dimse.reactor import Unit, attach
from harmony.dimse.target import Target
from harmony.dimse.transport import TransportLimits
from harmony.errors import UpstreamError


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
    inbox: Inbox[Unit] = Inbox(INBOX_BYTES)
    try:
        association = _prepare(target, sock, proposals, inbox)
    except OSError as exc:  # its address cannot be told any more
        error = lost(target, exc, sock)
        sock.close()
        raise error from exc
    except BaseException:
        sock.close()
        raise
    link = PynetdicomLink(association, sock, inbox, release_seconds=target.timeouts.release_seconds)
    failure: UpstreamError | None = None

    async def negotiate() -> None:
        nonlocal failure
        try:
            link.ask()
            answer = await _answer(link, target)
        except UpstreamError as exc:
            failure = exc
            link.hang_up()
            return
        link.establish(_accepted(association, answer), answer.maximum_length_received or 0)
        task_status.started(link)

    await link.run(negotiate, limiter)
    if failure is not None:
        raise failure


async def _answer(link: PynetdicomLink, target: Target) -> A_ASSOCIATE:
    """The A-ASSOCIATE-AC. PS3.8 7.1.2."""
    answer: Unit | None = None
    with trio.move_on_after(target.timeouts.associate_seconds):
        answer = await link.next_unit()
    if answer is None:
        raise no_answer(target)
    if isinstance(answer, A_ASSOCIATE):
        if answer.result == 0x00:
            return answer
        raise rejection(
            answer.result or 0,
            answer.result_source or 0,
            answer.diagnostic or 0,
            peer=str(target),
            called=target.aet,
            calling=target.local_aet,
        )
    ending = link.note(answer) if not isinstance(answer, Fragment) else Ending(End.PROTOCOL)
    raise not_established(target, ending.end)


def _accepted(association: Association, answer: A_ASSOCIATE) -> dict[int, Context]:
    proposed = {cx.context_id: cx for cx in association.requestor.requested_contexts}
    accepted: dict[int, Context] = {}
    for cx in answer.presentation_context_definition_results_list:
        number = cx.context_id or 0
        asked = proposed.get(number)
        if cx.result != 0x00 or asked is None or not cx.transfer_syntax:
            continue
        syntax = cx.transfer_syntax[0]
        if syntax in asked.transfer_syntax:  # what was not offered is not understood here
            accepted[number] = Context(number, str(asked.abstract_syntax), str(syntax))
    return accepted


def _prepare(
    target: Target, sock: socket.socket, proposals: Sequence[Proposal], inbox: Inbox[Unit]
) -> Association:
    theirs = AddressInformation.from_tuple(sock.getpeername())
    ours = AddressInformation.from_tuple(sock.getsockname())
    ae = ApplicationEntity(target.local_aet)
    ae.acse_timeout = ae.dimse_timeout = ae.network_timeout = None  # ours are trio's
    association = Association(ae, "requestor")
    reactor = attach(association, inbox, target.timeouts.pdu_seconds)
    limits = TransportLimits(
        maximum_pdu=target.maximum_pdu,
        pdu_seconds=target.timeouts.pdu_seconds,
        send_seconds=target.timeouts.send_seconds,
    )
    association.set_socket(GuardedSocket(association, sock, limits, reactor.blame))
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
