"""The ``dicom`` endpoint: accepts associations and serves C-ECHO, C-STORE, C-FIND, C-GET, C-MOVE.

The listener owns sockets and associations, `dimse_requests` turns each request into an
exchange. This module joins the two for one ``[endpoints.NAME]``.
"""

from __future__ import annotations

import ssl
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import trio

from harmony.config.model import Peer
from harmony.dimse.arrivals import Arrivals
from harmony.dimse.engines import DEFAULT_ENGINE, Engine
from harmony.dimse.link import Acceptance, AcceptedLink, AssociationRequest, Rejection
from harmony.dimse.listener import AcceptLink, Listener, ListenerLimits
from harmony.dimse.negotiation import Offer, negotiate
from harmony.dimse.provider import ServingLimits
from harmony.dimse.serving import ServedAssociation
from harmony.dimse.storage import known_storage_classes, known_transfer_syntaxes
from harmony.dimse.transport import TransportLimits
from harmony.endpoints.admission import Admission, Admitted
from harmony.endpoints.dimse_requests import Requests, Surroundings
from harmony.endpoints.retrieving import Destination
from harmony.envelope import Operation
from harmony.interfaces import Listening, Observer, OpenExchange, PortClaim
from harmony.tls.contexts import ServerTls, server_context


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeouts:
    """Seconds that callers may take; meanings in the schema."""

    tls_seconds: float = 10.0
    associate_seconds: float = 10.0
    idle_seconds: float = 60.0
    pdu_seconds: float = 15.0
    object_idle_seconds: float = 15.0
    object_seconds: float = 3600.0
    store_seconds: float = 60.0
    send_seconds: float = 20.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """``[endpoints.NAME.options]`` of ``service = "dicom"``; meanings in the schema."""

    local_aet: str
    engine: Engine = DEFAULT_ENGINE
    accept_any_called_aet: bool = False
    bind_addr: str | None = None
    port: int = 11112
    peers: tuple[str, ...] = ()
    move_destinations: tuple[str, ...] = ()
    tls: ServerTls | None = None
    max_associations: int = 32
    max_associations_per_aet: int = 8
    max_connections: int = 128
    max_connections_per_address: int = 16
    max_pending: int = 16
    maximum_pdu: int = 131072
    storage_classes: tuple[str, ...] = ()
    accept_unknown_storage_classes: bool = False
    max_object_bytes: int = 4294967296
    memory_object_bytes: int = 131072
    minimum_rate: int = 65536
    deadline_seconds: float = 120.0
    timeouts: Timeouts = field(default_factory=Timeouts)


class DicomEndpoint:
    """One AE title on one port. Implements `harmony.interfaces.Endpoint`.

    Args:
        name: as in ``[endpoints.NAME]``.
        options: its options.
        pipeline: name of its pipeline.
        hosts: addresses to bind to, unless the options name one.
        folder: that relative paths start from.
        operations: what the pipeline can serve.
        peers: all that there are, by name.
        destinations: backends that C-MOVE may send to, by name.
        arrivals: retrieves by C-MOVE that wait for objects here.
        observer: hears of every request.
        accept_link: the engine that associations run on.
    """

    def __init__(
        self,
        name: str,
        options: Options,
        *,
        pipeline: str,
        hosts: Sequence[str],
        folder: Path,
        operations: frozenset[Operation],
        peers: Mapping[str, Peer],
        destinations: Mapping[str, Destination],
        arrivals: Arrivals,
        observer: Observer,
        accept_link: AcceptLink,
    ) -> None:
        self.name = name
        self._options = options
        self._pipeline = pipeline
        self._hosts = (options.bind_addr,) if options.bind_addr is not None else tuple(hosts)
        self._offer = _offer(options, operations)
        self._admission = Admission(
            options.local_aet,
            any_called=options.accept_any_called_aet,
            peers=[peers[name] for name in options.peers],
        )
        self._destinations = destinations
        self._arrivals = arrivals
        self._observer = observer
        self._accept_link = accept_link
        self._tls: ssl.SSLContext | None = None
        if options.tls is not None:
            self._tls = server_context(options.tls, folder)
        self._listener: Listener | None = None

    def claims(self) -> Collection[PortClaim]:
        return [PortClaim(host, self._options.port) for host in self._hosts]

    def decide(self, request: AssociationRequest) -> Acceptance | Rejection:
        """Judge a caller and its presentation contexts; neither waits nor raises."""
        admitted = self._admission.judge(request)
        if isinstance(admitted, Rejection):
            return admitted
        return negotiate(request, self._offer)

    async def serve(
        self,
        exchange: OpenExchange,
        *,
        task_status: trio.TaskStatus[Sequence[Listening]] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """Accept until cancelled or drained. See `Endpoint.serve`."""
        options, timeouts = self._options, self._options.timeouts
        around = Surroundings(
            endpoint=self.name,
            pipeline=self._pipeline,
            exchange=exchange,
            observer=self._observer,
            whole_bytes=self._options.memory_object_bytes,
            destinations=self._destinations,
            default_destinations=options.move_destinations,
            arrivals=self._arrivals,
            deadline_seconds=options.deadline_seconds,
            object_seconds=timeouts.object_seconds,
        )
        listener = Listener(
            self.name,
            _Service(self, self._admission, around, self._limits()),
            hosts=self._hosts,
            port=options.port,
            tls=self._tls,
            limits=ListenerLimits(
                max_connections=options.max_connections,
                max_connections_per_address=options.max_connections_per_address,
                max_pending=options.max_pending,
                max_associations=options.max_associations,
                max_associations_per_aet=options.max_associations_per_aet,
                tls_seconds=timeouts.tls_seconds,
                associate_seconds=timeouts.associate_seconds,
                transport=TransportLimits(
                    maximum_pdu=options.maximum_pdu,
                    pdu_seconds=timeouts.pdu_seconds,
                    send_seconds=timeouts.send_seconds,
                ),
            ),
            accept_link=self._accept_link,
        )
        bound = await listener.bind()
        self._listener = listener
        self._arrivals.address = (bound[0].host, bound[0].port)
        task_status.started(bound)
        await listener.serve()

    async def drain(self, grace_seconds: float) -> None:
        if self._listener is not None:
            await self._listener.drain(grace_seconds)

    def _limits(self) -> ServingLimits:
        options, timeouts = self._options, self._options.timeouts
        return ServingLimits(
            idle_seconds=timeouts.idle_seconds,
            object_idle_seconds=timeouts.object_idle_seconds,
            object_seconds=timeouts.object_seconds,
            minimum_rate=options.minimum_rate,
            store_seconds=timeouts.store_seconds,
            max_object_bytes=options.max_object_bytes,
        )


def _offer(options: Options, operations: frozenset[Operation]) -> Offer:
    """What callers may have contexts for. A C-MOVE is a GET here and a STORE elsewhere."""
    offered = set(operations - {Operation.MOVE})
    if Operation.GET in offered:
        offered.add(Operation.MOVE)
    return Offer(
        operations=frozenset(offered),
        storage_classes=frozenset(options.storage_classes) or known_storage_classes(),
        any_class=options.accept_unknown_storage_classes,
        transfer_syntaxes=known_transfer_syntaxes(),
    )


class _Service:
    """Judges callers and serves them. Implements `harmony.dimse.listener.Service`."""

    def __init__(
        self,
        endpoint: DicomEndpoint,
        admission: Admission,
        around: Surroundings,
        limits: ServingLimits,
    ) -> None:
        self.decide = endpoint.decide
        self._admission = admission
        self._around = around
        self._limits = limits

    def open(self, link: AcceptedLink) -> ServedAssociation:
        admitted = self._admission.judge(link.request)
        assert isinstance(admitted, Admitted)
        requests = Requests(self._around, link.request, admitted)
        return ServedAssociation(link, requests, self._limits, self._around.endpoint)
