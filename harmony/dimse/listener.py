"""Accepts callers: sockets, TLS, limits and drain are trio's; associations are an engine's.

Until its A-ASSOCIATE-RQ is there, whole, a connection is one task and one buffer. An
association then runs in a task of its own, which ends with its caller, with the listener, or
when it is told to.
"""

from __future__ import annotations

import contextlib
import functools
import socket
import ssl
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import trio

from harmony.dimse.connecting import accept_tls, tune
from harmony.dimse.first_pdu import BadStart, read_associate_request, send_abort
from harmony.dimse.link import (
    Acceptance,
    AcceptedLink,
    AssociationRequest,
    Decide,
    Rejection,
)
from harmony.dimse.refusals import Refusals
from harmony.dimse.transport import TransportLimits
from harmony.errors import peer_text
from harmony.interfaces import Listening
from harmony.telemetry.log import get_logger
from harmony.tls.faults import inbound_tls_reason

log = get_logger(__name__)

TOO_MANY = Rejection(2, 3, 2, "too-many-associations")  # local limit exceeded, PS3.8 table 9-21
OTHER_PROTOCOL = Rejection(1, 2, 2, "protocol-version")  # PS3.8 9.3.2 and table 9-21
DRAINING = Rejection(2, 3, 1, "draining")  # temporary congestion

_BACKLOG = 1024  # a burst that does not fit would wait a second for its next SYN


@dataclass(frozen=True, slots=True, kw_only=True)
class ListenerLimits:
    """How many callers, and how patient we are with them.

    Attributes:
        max_connections: open at one time; for one more, the oldest that has not sent its request
            is closed, or the new one if there is none.
        max_connections_per_address: of these, from one IP address.
        max_pending: that have not sent their request yet; with more the oldest is closed.
        max_associations: at one time; more are rejected.
        max_associations_per_aet: of these, by one calling AE title.
        tls_seconds: for the TLS handshake.
        associate_seconds: from then to the end of the A-ASSOCIATE-RQ.
        transport: for every further PDU.
    """

    max_connections: int = 128
    max_connections_per_address: int = 16
    max_pending: int = 16
    max_associations: int = 32
    max_associations_per_aet: int = 8
    tls_seconds: float = 10.0
    associate_seconds: float = 10.0
    transport: TransportLimits


class Session(Protocol):
    """What is done on one association."""

    async def run(self) -> None:
        """Serve until the association has ended. Only a bug makes it raise."""
        ...

    def finish(self) -> None:
        """End the association as soon as it is idle; at once if it is."""
        ...


class Service(Protocol):
    """Whom a listener works for."""

    def decide(self, request: AssociationRequest) -> Acceptance | Rejection: ...

    def open(self, link: AcceptedLink) -> Session: ...


class AcceptLink(Protocol):
    """An engine: answers a request, reports the link, runs it until it ends."""

    async def __call__(
        self,
        sock: socket.socket,
        first_pdu: bytes,
        limits: TransportLimits,
        decide: Decide,
        /,
        *,
        task_status: trio.TaskStatus[AcceptedLink | None],
    ) -> None: ...


class Listener:
    """One port on one or several addresses, with all its connections. For one `serve`.

    Args:
        name: for the log.
        service: judges callers and serves them.
        hosts: IP addresses to bind to.
        port: 0 takes a free one.
        tls: context of a server, or None for plain DICOM.
        limits: for all callers together and for each.
        accept_link: the engine.
    """

    def __init__(
        self,
        name: str,
        service: Service,
        *,
        hosts: Sequence[str],
        port: int,
        tls: ssl.SSLContext | None,
        limits: ListenerLimits,
        accept_link: AcceptLink,
    ) -> None:
        self._name = name
        self._service = service
        self._hosts = tuple(hosts)
        self._port = port
        self._tls = tls
        self._limits = limits
        self._accept_link = accept_link
        self._listeners: list[trio.SocketListener] = []
        self._accepting = trio.CancelScope()
        self._connections: trio.Nursery | None = None
        self._ended = trio.Event()
        self._by_address: Counter[str] = Counter()
        self._by_aet: Counter[str] = Counter()
        self._pending: dict[trio.CancelScope, str] = {}  # with their addresses, oldest first
        self._sessions: set[Session] = set()
        self._refusals = Refusals(name)
        self._draining = False

    @property
    def associations(self) -> int:
        """How many there are at this moment."""
        return self._by_aet.total()

    async def bind(self) -> Sequence[Listening]:
        """Take the addresses; `serve` must follow, which gives them back.

        Raises:
            OSError: one of them cannot be bound.
        """
        listeners: list[trio.SocketListener] = []
        try:
            for host in self._hosts:
                listeners += await trio.open_tcp_listeners(self._port, host=host, backlog=_BACKLOG)
        except BaseException:
            for listener in listeners:
                listener.socket.close()
            raise
        self._listeners = listeners
        return [Listening("dicom", *each.socket.getsockname()[:2]) for each in listeners]

    async def serve(self) -> None:
        """Accept until cancelled or drained."""
        try:
            async with trio.open_nursery() as connections:
                self._connections = connections
                with self._accepting:
                    await trio.serve_listeners(
                        self._connection, self._listeners, handler_nursery=connections
                    )
        finally:
            self._connections = None
            self._ended.set()

    async def drain(self, grace_seconds: float) -> None:
        """Accept nothing new, end what is idle, and after `grace_seconds` the rest."""
        self._draining = True
        self._accepting.cancel()
        for scope in self._pending:
            scope.cancel()
        for session in tuple(self._sessions):
            session.finish()
        with trio.move_on_after(grace_seconds):
            await self._ended.wait()
        if self._connections is not None:
            self._connections.cancel_scope.cancel()
        await self._ended.wait()

    # One connection

    async def _connection(self, stream: trio.SocketStream) -> None:
        sock = socket.socket(fileno=stream.socket.detach())
        try:
            address = str(sock.getpeername()[0])
            tune(sock)
        except OSError:  # it has gone already
            sock.close()
            return
        if not self._makes_room(address):
            sock.close()
            self._refusals.tell(address, "too-many-connections")
            return
        self._by_address[address] += 1
        try:
            await self._admitted(sock, address)
        except Exception:
            # A fault of ours, met by one caller; the others must not pay for it.
            log.exception("association.failed", listener=self._name, address=address)
        finally:
            self._by_address[address] -= 1
            if not self._by_address[address]:
                del self._by_address[address]

    def _makes_room(self, address: str) -> bool:
        """Whether one more may come; for it the oldest that has asked nothing yet has to go.

        Without that, whoever connects and says nothing would lock out all callers behind the
        same address.
        """
        limits = self._limits
        if self._by_address[address] >= limits.max_connections_per_address:
            return self._displace(address)
        if self._by_address.total() >= limits.max_connections:
            return self._displace()
        if len(self._pending) >= limits.max_pending:
            self._displace()
        return True

    def _displace(self, address: str | None = None) -> bool:
        """Close the oldest that has not sent its request yet, if there is one."""
        for scope, its_address in self._pending.items():
            if address in (None, its_address):
                del self._pending[scope]
                scope.cancel()
                return True
        return False

    async def _admitted(self, sock: socket.socket, address: str) -> None:
        with self._waiting(address) as scope:
            started = await self._start(sock, address)
        if scope.cancelled_caught:
            self._refusals.tell(address, "draining" if self._draining else "too-many-pending")
            return
        if started is None:
            return
        sock, first_pdu = started
        with contextlib.closing(sock), contextlib.ExitStack() as claims:
            sock.setblocking(True)
            engine = functools.partial(
                self._accept_link,
                sock,
                first_pdu,
                self._limits.transport,
                functools.partial(self._decide, claims),
            )
            async with trio.open_nursery() as nursery:
                link = await nursery.start(engine)
                if link is not None:
                    await self._run(link)
                nursery.cancel_scope.cancel()

    @contextlib.contextmanager
    def _waiting(self, address: str) -> Iterator[trio.CancelScope]:
        """A place among those that have not sent their request yet."""
        with trio.CancelScope() as scope:
            self._pending[scope] = address
            try:
                yield scope
            finally:
                self._pending.pop(scope, None)

    async def _start(self, sock: socket.socket, address: str) -> tuple[socket.socket, bytes] | None:
        """TLS, then the A-ASSOCIATE-RQ; None, with the socket closed, if there is none."""
        reason: str | None = None
        try:
            try:
                if self._tls is not None:
                    with trio.fail_after(self._limits.tls_seconds):
                        sock = await accept_tls(sock, self._tls)
                sock.setblocking(False)
                with trio.fail_after(self._limits.associate_seconds):
                    return sock, await read_associate_request(sock)
            except BadStart as exc:
                code = exc.code
                if exc.abort_reason is not None:
                    await send_abort(sock, exc.abort_reason)
            except trio.TooSlowError:
                code = "no-request-in-time"
            except OSError as exc:
                code = "connection-lost"
                if self._tls is not None:
                    code, reason = inbound_tls_reason(exc)
        except BaseException:
            sock.close()
            raise
        sock.close()
        self._refusals.tell(address, code, reason)
        return None

    def _decide(
        self, claims: contextlib.ExitStack, request: AssociationRequest
    ) -> Acceptance | Rejection:
        """The service's judgement, then the limits; counts what is accepted in `claims`."""
        decision: Acceptance | Rejection = OTHER_PROTOCOL
        if request.protocol_version & 1:
            decision = self._service.decide(request)
        if isinstance(decision, Acceptance):
            if self._draining:
                decision = DRAINING
            elif (
                self.associations >= self._limits.max_associations
                or self._by_aet[request.calling_aet] >= self._limits.max_associations_per_aet
            ):
                decision = TOO_MANY
            else:
                self._by_aet[request.calling_aet] += 1
                claims.callback(self._forget, request.calling_aet)
        if isinstance(decision, Rejection):
            log.warning(
                "association.rejected",
                listener=self._name,
                address=request.address,
                code=decision.code,
                reason=f"calling AE title {peer_text(request.calling_aet)}, "
                f"called {peer_text(request.called_aet)}",
                status=f"{decision.result}/{decision.source}/{decision.reason}",
            )
        return decision

    def _forget(self, aet: str) -> None:
        self._by_aet[aet] -= 1
        if not self._by_aet[aet]:
            del self._by_aet[aet]

    async def _run(self, link: AcceptedLink) -> None:
        session = self._service.open(link)
        self._sessions.add(session)
        if self._draining:
            session.finish()
        try:
            await session.run()
        finally:
            self._sessions.discard(session)
            link.hang_up()
