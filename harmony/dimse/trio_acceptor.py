"""Associations that callers ask for, on Harmony's own upper layer. See `trio_link`."""

from __future__ import annotations

import socket

import trio

from harmony.dicom.part10 import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME
from harmony.dimse.link import (
    Acceptance,
    AcceptedLink,
    AssociationRequest,
    Decide,
    LinkEnded,
    Proposal,
    Rejection,
    Role,
)
from harmony.dimse.transport import Transport, TransportLimits
from harmony.dimse.trio_link import TrioLink
from harmony.upper_layer.connection import Connection, Side
from harmony.upper_layer.negotiation import answer
from harmony.upper_layer.pdus import AssociateReject, AssociateRequest
from harmony.upper_layer.reading import Limits
from harmony.upper_layer.user_information import RoleSelection, UserInformation

_RELEASE_SECONDS = 5.0


async def accept_link(
    sock: socket.socket,
    first_pdu: bytes,
    limits: TransportLimits,
    decide: Decide,
    *,
    task_status: trio.TaskStatus[AcceptedLink | None],
) -> None:
    """Answer a caller's request, report the link, and run it until it ends or is cancelled.

    For ``nursery.start``. Reports None if there is no association: the request was rejected,
    could not be read, or its caller has gone. `sock` is closed at the end.

    Args:
        sock: connected, TLS done.
        first_pdu: the A-ASSOCIATE-RQ, whole and undecoded.
        limits: for every further PDU.
        decide: judges the request.
        task_status: gets the link once it is established.
    """
    try:
        address = sock.getpeername()[0]
    except OSError:  # it has gone already
        sock.close()
        task_status.started(None)
        return
    sock.setblocking(False)
    connection = Connection(Side.ACCEPTOR, Limits(data=limits.maximum_pdu))
    connection.receive_data(first_pdu)
    link = TrioAcceptedLink(Transport(sock), connection, limits, release_seconds=_RELEASE_SECONDS)
    try:
        if not await _negotiate(link, address, limits, decide):
            task_status.started(None)
            return
        task_status.started(link)
        await link.run()
    finally:
        link.close()


async def _negotiate(
    link: TrioAcceptedLink, address: str, limits: TransportLimits, decide: Decide
) -> bool:
    """PS3.8 7.1. Whether there is an association now."""
    asked = await link.next_event()
    if not isinstance(asked, AssociateRequest):
        return False
    request = _request(asked, address)
    decision = decide(request)
    if isinstance(decision, Rejection):
        await link.reject(
            AssociateReject(result=decision.result, source=decision.source, reason=decision.reason)
        )
        return False
    try:
        await link.accept(asked, request, decision, limits.maximum_pdu)
    except LinkEnded:
        return False
    return True


class TrioAcceptedLink(TrioLink):
    """An association that a caller asked for. Implements `harmony.dimse.link.AcceptedLink`."""

    async def reject(self, refusal: AssociateReject) -> None:
        """Send an A-ASSOCIATE-RJ and see it off. PS3.8 9.3.4."""
        await self.part(self._connection.send(refusal))

    async def accept(
        self,
        asked: AssociateRequest,
        request: AssociationRequest,
        acceptance: Acceptance,
        maximum_pdu: int,
    ) -> None:
        """Send an A-ASSOCIATE-AC. PS3.8 9.3.3.

        Raises:
            LinkEnded: the caller has gone.
        """
        self._request = request
        self._acceptance = acceptance
        await self.say(
            answer(
                asked,
                accepted=acceptance.contexts,
                refused=acceptance.refused,
                user=UserInformation(
                    maximum_length=maximum_pdu,
                    implementation_class_uid=IMPLEMENTATION_CLASS_UID,
                    implementation_version_name=IMPLEMENTATION_VERSION_NAME,
                    roles=tuple(
                        RoleSelection(sop_class_uid=uid, scu=role.scu, scp=role.scp)
                        for uid, role in acceptance.roles.items()
                    ),
                ),
            )
        )

    @property
    def request(self) -> AssociationRequest:
        return self._request

    @property
    def acceptance(self) -> Acceptance:
        return self._acceptance


def _request(asked: AssociateRequest, address: str) -> AssociationRequest:
    return AssociationRequest(
        calling_aet=asked.calling_aet.strip(" \0"),
        called_aet=asked.called_aet.strip(" \0"),
        address=address,
        application_context=asked.application_context,
        contexts={
            context.id: Proposal(context.abstract_syntax, context.transfer_syntaxes)
            for context in asked.contexts
        },
        roles={role.sop_class_uid: Role(scu=role.scu, scp=role.scp) for role in asked.user.roles},
        protocol_version=asked.protocol_version,
    )
