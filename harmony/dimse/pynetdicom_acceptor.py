"""Associations that callers ask for, on pynetdicom's upper layer. See `pynetdicom_link`."""

from __future__ import annotations

import socket

import trio
from pydicom.uid import UID
from pynetdicom.ae import ApplicationEntity
from pynetdicom.association import Association
from pynetdicom.pdu_primitives import (
    A_ASSOCIATE,
    ImplementationClassUIDNotification,
    ImplementationVersionNameNotification,
    MaximumLengthNotification,
    SCP_SCU_RoleSelectionNegotiation,
)
from pynetdicom.presentation import PresentationContext
from pynetdicom.transport import AddressInformation

from harmony.dicom.part10 import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME
from harmony.dicom.uids import IMPLICIT_LITTLE_ENDIAN
from harmony.dimse.bridge import Inbox
from harmony.dimse.guarded_socket import GuardedSocket
from harmony.dimse.link import (
    Acceptance,
    AcceptedLink,
    AssociationRequest,
    Decide,
    Proposal,
    Rejection,
    Role,
)
from harmony.dimse.negotiation import APPLICATION_CONTEXT
from harmony.dimse.pynetdicom_link import INBOX_BYTES, PynetdicomLink, silence
from harmony.dimse.reactor import Unit, attach
from harmony.dimse.request_items import without_unknown_items
from harmony.dimse.transport import TransportLimits

_RELEASE_SECONDS = 5.0


async def accept_link(
    sock: socket.socket,
    first_pdu: bytes,
    limits: TransportLimits,
    decide: Decide,
    *,
    limiter: trio.CapacityLimiter,
    task_status: trio.TaskStatus[AcceptedLink | None],
) -> None:
    """Answer a caller's request, report the link, and run it until it ends or is cancelled.

    For ``nursery.start``. Reports None if there is no association: the request was rejected,
    could not be read, or its caller has gone. `sock` is closed at the end.

    Args:
        sock: connected and blocking, TLS done.
        first_pdu: the A-ASSOCIATE-RQ, whole and undecoded.
        limits: for every further PDU.
        decide: judges the request.
        limiter: counts the threads of links.
        task_status: gets the link once it is established.
    """
    silence()
    inbox: Inbox[Unit] = Inbox(INBOX_BYTES)
    try:
        theirs, ours = sock.getpeername(), sock.getsockname()
    except OSError:  # it has gone already
        sock.close()
        task_status.started(None)
        return
    association = Association(ApplicationEntity(), "acceptor")
    association.requestor.address_info = AddressInformation.from_tuple(theirs)
    association.acceptor.address_info = AddressInformation.from_tuple(ours)
    reactor = attach(association, inbox, limits.pdu_seconds)
    known = without_unknown_items(first_pdu)
    association.set_socket(GuardedSocket(association, sock, limits, reactor.blame, known))
    link = PynetdicomAcceptedLink(association, sock, inbox, release_seconds=_RELEASE_SECONDS)

    async def negotiate() -> None:
        asked = await link.next_unit()
        if not isinstance(asked, A_ASSOCIATE):
            await link.see_off()
            task_status.started(None)
            return
        request = _request(asked, theirs[0])
        decision = decide(request)
        if isinstance(decision, Rejection):
            await link.answer(_reject(decision))
            task_status.started(None)
            return
        link.accept(request, decision, asked.maximum_length_received or 0)
        await link.answer(_accept(asked, request, decision, limits))
        task_status.started(link)

    await link.run(negotiate, limiter)


class PynetdicomAcceptedLink(PynetdicomLink):
    """An association that a caller asked for. Implements `harmony.dimse.link.AcceptedLink`."""

    def accept(self, request: AssociationRequest, acceptance: Acceptance, announced: int) -> None:
        """Note what is agreed; before any other use but `run`."""
        self._request = request
        self._acceptance = acceptance
        self.establish(acceptance.contexts, announced)

    @property
    def request(self) -> AssociationRequest:
        return self._request

    @property
    def acceptance(self) -> Acceptance:
        return self._acceptance


def _request(asked: A_ASSOCIATE, address: str) -> AssociationRequest:
    return AssociationRequest(
        calling_aet=asked.calling_ae_title.strip(),
        called_aet=asked.called_ae_title.strip(),
        address=address,
        application_context=str(asked.application_context_name or ""),
        contexts={
            context.context_id: Proposal(
                str(context.abstract_syntax), tuple(str(s) for s in context.transfer_syntax)
            )
            for context in asked.presentation_context_definition_list
            if context.context_id is not None and context.abstract_syntax is not None
        },
        roles={
            str(item.sop_class_uid): Role(scu=bool(item.scu_role), scp=bool(item.scp_role))
            for item in asked.user_information
            if isinstance(item, SCP_SCU_RoleSelectionNegotiation)
        },
    )


def _reject(rejection: Rejection) -> A_ASSOCIATE:
    """PS3.8 9.3.4."""
    primitive = A_ASSOCIATE()
    primitive.result = rejection.result
    primitive.result_source = rejection.source
    primitive.diagnostic = rejection.reason
    return primitive


def _accept(
    asked: A_ASSOCIATE,
    request: AssociationRequest,
    acceptance: Acceptance,
    limits: TransportLimits,
) -> A_ASSOCIATE:
    """PS3.8 9.3.3; the AE titles are sent back as they came."""
    primitive = A_ASSOCIATE()
    primitive.application_context_name = UID(APPLICATION_CONTEXT)
    primitive.calling_ae_title = asked.calling_ae_title
    primitive.called_ae_title = asked.called_ae_title
    primitive.result = 0x00
    primitive.result_source = 0x01
    results = []
    for number in request.contexts:
        result = PresentationContext()
        result.context_id = number
        accepted = acceptance.contexts.get(number)
        # The transfer syntax of a refused context is not significant, and must be there.
        syntax = accepted.transfer_syntax if accepted else IMPLICIT_LITTLE_ENDIAN
        result.add_transfer_syntax(UID(syntax))
        result.result = 0x00 if accepted else int(acceptance.refused[number])
        results.append(result)
    primitive.presentation_context_definition_results_list = results
    maximum = MaximumLengthNotification()
    maximum.maximum_length_received = limits.maximum_pdu
    implementation = ImplementationClassUIDNotification()
    implementation.implementation_class_uid = UID(IMPLEMENTATION_CLASS_UID)
    version = ImplementationVersionNameNotification()
    version.implementation_version_name = IMPLEMENTATION_VERSION_NAME
    primitive.user_information = [maximum, implementation, version]
    for uid, role in acceptance.roles.items():
        item = SCP_SCU_RoleSelectionNegotiation()
        item.sop_class_uid = UID(uid)
        item.scu_role, item.scp_role = role.scu, role.scp
        primitive.user_information.append(item)
    return primitive
