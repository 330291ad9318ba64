"""The ``dicom`` backend: asks a PACS by DIMSE, as a service class user.

A request becomes one operation on one association. FIND, GET, MOVE and STORE are producers in
the exchange's nursery: they send items as the PACS gives them and an outcome at the end, or
they raise.
"""

from __future__ import annotations

import contextlib
import dataclasses
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar, cast

import trio

from harmony.backends.probing import probed
from harmony.backends.results import check_limit, too_many
from harmony.backends.retrieving import QUERIES, How, Retriever, nothing
from harmony.backends.sparing import Sparing
from harmony.backends.storing import Storer
from harmony.dicom.status import StatusKind, kind
from harmony.dimse import contexts
from harmony.dimse.arrivals import Arrivals
from harmony.dimse.association import Association
from harmony.dimse.engines import DEFAULT_ENGINE, Engine
from harmony.dimse.examining import Examined, echo, examine
from harmony.dimse.failures import NotAnswered
from harmony.dimse.pool import AssociationPool, OpenLink, PoolLimits, Usage
from harmony.dimse.receiver import Receiver, ServeReceiver
from harmony.dimse.target import Target, Timeouts
from harmony.envelope import (
    Completion,
    Instance,
    Item,
    Items,
    Operation,
    Outcome,
    Progress,
    Query,
    RequestEnvelope,
    ResponseEnvelope,
)
from harmony.errors import HarmonyError, RequestError, Unavailable, UpstreamError
from harmony.interfaces import Exchange, Probe
from harmony.tls.contexts import ClientTls, client_context

_OPERATIONS = frozenset(set(Operation) - {Operation.HTTP})
_BUFFERED_MATCHES = 64
_Result = TypeVar("_Result")


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """``[backends.NAME.options]`` of ``service = "dicom"``; meanings in the schema.

    Attributes:
        receiver: name of a ``dicom`` endpoint, or a listener of the backend's own.
    """

    aet: str
    host: str
    port: int
    local_aet: str
    engine: Engine = DEFAULT_ENGINE
    use_tls: bool = False
    tls: ClientTls | None = None
    retrieve: How = "auto"
    without_bulk: bool = False
    receiver: str | Receiver | None = None
    max_associations: int = 4
    max_waiting: int = 32
    wait_seconds: float = 5.0
    keep_associations: int = 2
    keep_seconds: float = 5.0
    max_results: int = 10000
    maximum_pdu: int = 131072
    max_object_bytes: int = 4294967296
    timeouts: Timeouts = field(default_factory=Timeouts)


class DicomBackend:
    """One PACS. Implements `harmony.interfaces.Backend`.

    Args:
        name: as in the configuration.
        options: checked already.
        open_link: the engine that associations run on.
        folder: where relative paths of TLS files start.
        arrivals: of the endpoint that ``receiver`` names.
        serve_receiver: runs a receiver of the backend's own, for as long as its `lifespan`.

    Raises:
        TlsSetupError: a TLS file cannot be used.
    """

    def __init__(
        self,
        name: str,
        options: Options,
        open_link: OpenLink,
        *,
        folder: Path = Path(),
        arrivals: Arrivals | None = None,
        serve_receiver: ServeReceiver | None = None,
    ) -> None:
        self.name = name
        self._options = options
        tls = options.tls or (ClientTls() if options.use_tls else None)
        self._target = Target(
            aet=options.aet,
            host=options.host,
            port=options.port,
            local_aet=options.local_aet,
            tls=client_context(tls, folder) if tls else None,
            server_name=tls.server_name if tls else None,
            maximum_pdu=options.maximum_pdu,
            max_object_bytes=options.max_object_bytes,
            timeouts=options.timeouts,
        )
        self._pool = AssociationPool(
            name,
            self._target,
            PoolLimits(
                max_associations=options.max_associations,
                max_waiting=options.max_waiting,
                wait_seconds=options.wait_seconds,
                keep_associations=options.keep_associations,
                keep_seconds=options.keep_seconds,
            ),
            open_link,
        )
        self._serve_receiver = serve_receiver
        if isinstance(options.receiver, Receiver):
            arrivals = Arrivals(options.receiver.local_aet)
        self._arrivals = arrivals
        self._retriever = Retriever(self._pool, self._target, options.retrieve, arrivals)
        self._sparing = Sparing(self._pool, self._target)
        self._storer = Storer(self._pool)

    @property
    def peer(self) -> str:
        """``AET@host:port``, for people."""
        return str(self._target)

    def usage(self) -> Usage:
        """Associations and waiting requests at this moment, for metrics."""
        return self._pool.usage

    @property
    def options(self) -> Options:
        """As in the configuration."""
        return self._options

    @property
    def can_receive(self) -> bool:
        """Whether a C-MOVE has somewhere to send to."""
        return self._arrivals is not None

    async def examine(self, associated: Callable[[], None] = lambda: None) -> Examined:
        """What the PACS accepts. Not for use within `lifespan`; serves no receiver.

        Args:
            associated: called once the first association stands.

        Raises:
            UpstreamError, Unavailable
        """
        return await self._alone(lambda: examine(self._pool, associated))

    async def echo(self) -> float:
        """Seconds that a C-ECHO took, without its association. Not for use within `lifespan`.

        Raises:
            UpstreamError, Unavailable
        """
        return await self._alone(lambda: echo(self._pool))

    async def _alone(self, call: Callable[[], Awaitable[_Result]]) -> _Result:
        async with self._pool.run():
            try:
                return await call()
            except HarmonyError as exc:
                failure = exc  # the pool's nursery would wrap it
        raise failure

    def accepts(self, operation: Operation) -> bool:
        return operation in _OPERATIONS

    @contextlib.asynccontextmanager
    async def lifespan(self) -> AsyncIterator[None]:
        async with contextlib.AsyncExitStack() as stack:
            receiver = self._options.receiver
            if isinstance(receiver, Receiver) and self._arrivals and self._serve_receiver:
                port = await stack.enter_async_context(
                    self._serve_receiver(receiver, self._arrivals)
                )
                self._arrivals.address = (receiver.bind_addr, port)
            await stack.enter_async_context(self._pool.run())
            yield

    async def probe(self) -> Probe:
        async def ask() -> str:
            # Not held: a peer that takes one association at a time would be taken.
            await self._echo(keep=False)
            return f"{self.peer} answers C-ECHO"

        return await probed(ask)

    async def handle(self, request: RequestEnvelope, scope: Exchange) -> ResponseEnvelope:
        """Answer ECHO at once, the others by a producer in ``scope.nursery``.

        Raises:
            RequestError, UpstreamError, Unavailable: here for ECHO, else through the nursery.
        """
        if request.operation is Operation.ECHO:
            started = time.monotonic()
            with self._named():
                await self._echo()
            seconds = time.monotonic() - started
            return ResponseEnvelope(
                items=Items.of(outcome=Outcome(seconds=seconds)),
                backend=self.name,
                notes={
                    "aet": self._target.aet,
                    "host": self._target.host,
                    "port": self._target.port,
                },
            )
        buffered = _BUFFERED_MATCHES if request.operation is Operation.FIND else 0
        send, receive = trio.open_memory_channel[Item | Outcome](buffered)
        scope.nursery.start_soon(self._produce, request, send)
        return ResponseEnvelope(items=Items(receive), backend=self.name)

    async def _produce(
        self, request: RequestEnvelope, send: trio.MemorySendChannel[Item | Outcome]
    ) -> None:
        with send, self._named():
            await send.send(await self._run(request, send))

    async def _run(
        self, request: RequestEnvelope, send: trio.MemorySendChannel[Item | Outcome]
    ) -> Outcome:
        if request.operation is Operation.STORE:
            body = cast("AsyncIterator[Instance]", request.body)
            await self._storer.store(body, send.send, keep=request.more_may_follow)
            return Outcome()
        query = request.query
        assert query is not None, f"{request.operation} without a query"
        match request.operation:
            case Operation.FIND:
                return await self._find(query, send)
            case Operation.GET:
                if query.without_bulk and self._options.without_bulk:
                    spared = await self._sparing.retrieve(query, send.send)
                    if spared is not None:
                        return spared
                return await self._retriever.retrieve(query, send.send)
            case Operation.MOVE:
                return await self._move(query, send)
        raise RequestError(f"backend {self.name} cannot {request.operation}", http_status=501)

    # Operations

    async def _echo(self, *, keep: bool = True) -> None:
        await self._pool.ask(QUERIES, contexts.for_queries, Association.echo, keep=keep)

    async def _find(self, query: Query, send: trio.MemorySendChannel[Item | Outcome]) -> Outcome:
        most = self._options.max_results
        check_limit(query, self.name, most)
        capped = dataclasses.replace(query, limit=query.limit if query.limit is not None else most)
        outcome = await self._pool.ask(
            QUERIES, contexts.for_queries, lambda association: association.find(capped, send.send)
        )
        ours = kind(outcome.status) is StatusKind.PENDING  # the peer had not ended yet
        if outcome.completion is Completion.LIMITED and query.limit is None and ours:
            raise too_many(self.name, most)
        return outcome

    async def _move(self, query: Query, send: trio.MemorySendChannel[Item | Outcome]) -> Outcome:
        moved = 0

        async def follow(item: Item) -> None:
            nonlocal moved
            if isinstance(item, Progress):
                moved = max(moved, item.counters.completed or 0, item.counters.warning or 0)
            await send.send(item)

        async with self._pool.borrow(QUERIES, contexts.for_queries) as association:
            outcome = await association.move(query, follow)
        counters = outcome.counters
        if counters is not None and counters.completed == 0 and not (counters.warning or moved):
            raise nothing(self._target, query)
        return outcome

    @contextlib.contextmanager
    def _named(self) -> Iterator[None]:
        """Put this backend's name on failures, and let no retry signal out."""
        try:
            yield
        except NotAnswered as exc:
            exc.error.backend = self.name
            raise exc.error from None
        except (UpstreamError, Unavailable) as exc:
            exc.backend = self.name
            raise
