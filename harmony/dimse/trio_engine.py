"""Associations that Harmony asks for, on its own upper layer. See `trio_link`."""

from __future__ import annotations

from collections.abc import Sequence

import trio

from harmony.dicom.part10 import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME
from harmony.dicom.status import rejection
from harmony.dimse.connecting import connect
from harmony.dimse.establishing import no_answer, not_established
from harmony.dimse.link import End, Proposal
from harmony.dimse.target import Target
from harmony.dimse.transport import Transport, TransportLimits
from harmony.dimse.trio_link import TrioLink
from harmony.upper_layer.connection import Connection, Received, Side
from harmony.upper_layer.pdus import (
    AssociateAccept,
    AssociateReject,
    AssociateRequest,
    ProposedContext,
)
from harmony.upper_layer.reading import Limits
from harmony.upper_layer.user_information import RoleSelection, UserInformation


async def open_link(
    target: Target, proposals: Sequence[Proposal], *, task_status: trio.TaskStatus[TrioLink]
) -> None:
    """Associate with `target`, report the link, and run it until it ends or is cancelled.

    For ``nursery.start``: the nursery owns the link. Cancelled, it is hung up at once.

    Args:
        target: whom to call.
        proposals: at most 128 presentation contexts (PS3.8 9.3.2.2).
        task_status: gets the link once it is established.

    Raises:
        UpstreamError: before the link is there: no connection, rejected, aborted, no answer.
    """
    request = _request(target, proposals)
    sock = await connect(target)
    sock.setblocking(False)
    link = TrioLink(
        Transport(sock),
        Connection(Side.REQUESTOR, Limits(data=target.maximum_pdu)),
        TransportLimits(
            maximum_pdu=target.maximum_pdu,
            pdu_seconds=target.timeouts.pdu_seconds,
            send_seconds=target.timeouts.send_seconds,
        ),
        release_seconds=target.timeouts.release_seconds,
    )
    try:
        await _associate(link, request, target)
        task_status.started(link)
        await link.run()
    finally:
        link.close()


async def _associate(link: TrioLink, request: AssociateRequest, target: Target) -> None:
    """PS3.8 7.1.

    Raises:
        UpstreamError: there is no association.
    """
    event: Received | None = None
    with trio.move_on_after(target.timeouts.associate_seconds):
        event = await link.ask(request)
    if event is None and link.ending is None:
        raise no_answer(target)
    if isinstance(event, AssociateReject):
        raise rejection(
            event.result,
            event.source,
            event.reason,
            peer=str(target),
            called=target.aet,
            calling=target.local_aet,
        )
    if not isinstance(event, AssociateAccept):
        ending = link.ending
        raise not_established(target, ending.end if ending is not None else End.PROTOCOL)


def _request(target: Target, proposals: Sequence[Proposal]) -> AssociateRequest:
    receiving = dict.fromkeys(each.abstract_syntax for each in proposals if each.receive)
    return AssociateRequest(
        called_aet=target.aet,
        calling_aet=target.local_aet,
        contexts=tuple(
            ProposedContext(
                id=2 * index + 1,  # odd: PS3.8 9.3.2.2
                abstract_syntax=each.abstract_syntax,
                transfer_syntaxes=each.transfer_syntaxes,
            )
            for index, each in enumerate(proposals)
        ),
        user=UserInformation(
            maximum_length=target.maximum_pdu,
            implementation_class_uid=IMPLEMENTATION_CLASS_UID,
            implementation_version_name=IMPLEMENTATION_VERSION_NAME,
            # The SCP role alone: what is received in a C-GET is never sent here.
            roles=tuple(RoleSelection(sop_class_uid=uid, scu=False, scp=True) for uid in receiving),
        ),
    )
