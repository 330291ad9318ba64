"""A backend's own receiver: a listener that takes the objects of its retrieves, nothing else."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import trio

from harmony.dicom.status_codes import NOT_AUTHORISED, PROCESSING_FAILURE, SUCCESS
from harmony.dimse.arrivals import Arrivals
from harmony.dimse.link import Acceptance, AcceptedLink, AssociationRequest, Rejection
from harmony.dimse.listener import AcceptLink, Listener, ListenerLimits
from harmony.dimse.negotiation import APPLICATION_CONTEXT, Offer, negotiate
from harmony.dimse.provider import Answer, Call, Matches, Retrieval, ServingLimits
from harmony.dimse.receiver import Receiver, ServeReceiver
from harmony.dimse.serving import ServedAssociation
from harmony.dimse.storage import known_storage_classes, known_transfer_syntaxes
from harmony.dimse.transport import TransportLimits
from harmony.envelope import Encoded, Instance, Operation, StreamBroken
from harmony.errors import HarmonyError
from harmony.telemetry.log import get_logger
from harmony.tls.contexts import server_context

log = get_logger(__name__)


_TRANSPORT = TransportLimits(maximum_pdu=131072, pdu_seconds=15.0, send_seconds=20.0)


def receivers(accept_link: AcceptLink, folder: Path) -> ServeReceiver:
    """How backends run a receiver of their own, on an engine.

    Args:
        accept_link: the engine.
        folder: where relative paths of TLS files start.
    """

    @contextlib.asynccontextmanager
    async def serve(receiver: Receiver, arrivals: Arrivals) -> AsyncIterator[int]:
        name = f"receiver {receiver.local_aet}"
        listener = Listener(
            name,
            _Service(receiver.local_aet, arrivals),
            hosts=(receiver.bind_addr,),
            port=receiver.port,
            tls=None if receiver.tls is None else server_context(receiver.tls, folder),
            limits=ListenerLimits(transport=_TRANSPORT),
            accept_link=accept_link,
        )
        at, *_ = await listener.bind()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(listener.serve)
            log.info("listener.bound", listener=name, name=at.kind, address=f"{at.host}:{at.port}")
            yield at.port
            nursery.cancel_scope.cancel()

    return serve


class _Service:
    """Admits whoever calls the receiver by its title: it takes only what a retrieve waits for."""

    def __init__(self, local_aet: str, arrivals: Arrivals) -> None:
        self._local_aet = local_aet.strip()
        self._arrivals = arrivals

    def decide(self, request: AssociationRequest) -> Acceptance | Rejection:
        if request.application_context != APPLICATION_CONTEXT:
            return Rejection(1, 1, 2, "application-context")
        if request.called_aet != self._local_aet:
            return Rejection(1, 1, 7, "wrong-called-aet")
        return negotiate(request, _offer())

    def open(self, link: AcceptedLink) -> ServedAssociation:
        return ServedAssociation(
            link, _Arriving(self._arrivals), ServingLimits(), f"receiver {self._local_aet}"
        )


def _offer() -> Offer:
    return Offer(
        operations=frozenset((Operation.ECHO, Operation.STORE)),
        storage_classes=known_storage_classes(),
        any_class=True,  # whatever the PACS sends was asked for
        transfer_syntaxes=known_transfer_syntaxes(),
    )


class _Arriving:
    """Takes objects for retrieves. Implements `harmony.dimse.provider.Provider`."""

    def __init__(self, arrivals: Arrivals) -> None:
        self._arrivals = arrivals

    async def echo(self, call: Call) -> Answer:
        return Answer(status=SUCCESS)

    async def store(self, call: Call, instance: Instance) -> Answer:
        try:
            expected, instance = await self._arrivals.claim(instance)
            if expected is None:
                return Answer(status=NOT_AUTHORISED, comment="no retrieve waits for this")
            return Answer(status=await self._arrivals.deliver(expected, instance))
        except (HarmonyError, StreamBroken):
            return Answer(status=PROCESSING_FAILURE)

    async def find(self, call: Call, identifier: Encoded, matches: Matches) -> Answer:
        return Answer(status=NOT_AUTHORISED)

    async def retrieve(self, call: Call, identifier: Encoded, retrieval: Retrieval) -> Answer:
        return Answer(status=NOT_AUTHORISED)

    def failed_list(self, uids: list[str], transfer_syntax: str) -> bytes:
        return b""
