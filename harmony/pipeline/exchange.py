"""The pipeline: the scope of one request, its middleware, and the choice of who answers."""

from __future__ import annotations

import contextlib
import enum
from collections.abc import AsyncIterator, Sequence

import trio

from harmony.envelope import Instance, Operation, RequestEnvelope, ResponseEnvelope
from harmony.errors import DeadlineExceeded, RequestError
from harmony.holding import Holding
from harmony.interfaces import Backend, Exchange, Handler, Middleware
from harmony.pipeline.failover import first_reachable
from harmony.pipeline.fan_out import echo_all
from harmony.pipeline.gathering import gather_instances
from harmony.pipeline.merging import merge_matches
from harmony.pipeline.routing import (
    OF_CONTENT,
    OF_REQUESTS,
    Route,
    backends_of,
    facts_of,
    facts_of_instance,
    ruled_by,
)
from harmony.pipeline.scope import answering
from harmony.pipeline.storing import Choose, place_at_all, place_at_first, store_each

# Operations whose answer may go on for as long as it moves; each step has a deadline of its own.
_STREAMING = frozenset(set(Operation) - {Operation.ECHO})
_MEMORY_BYTES = 1024 * 1024


class Strategy(enum.StrEnum):
    """What several backends are for each other."""

    FAILOVER = "failover"
    FAN_OUT = "fan_out"
    MERGE = "merge"


class Pipeline:
    """Joins endpoints to backends. Shared by all requests of its endpoints; holds no state.

    Args:
        name: as in ``[pipelines.NAME]``.
        routes: its backends, in the order in which they are asked.
        middleware: in the order in which a request passes it.
        strategy: one of `Strategy`.
        require_all: whether a merged FIND or GET fails with any of its sources.
        holding: keeps what is stored at several backends; None for the system's temporary folder.

    Raises:
        ValueError: a strategy that is not known.
    """

    def __init__(
        self,
        name: str,
        routes: Sequence[Route],
        middleware: Sequence[Middleware] = (),
        *,
        strategy: str = Strategy.FAILOVER,
        require_all: bool = False,
        holding: Holding | None = None,
    ) -> None:
        self.name = name
        self._routes = tuple(routes)
        self._conditional = any(route.attributes for route in routes)
        self._strategy = Strategy(strategy)
        self._require_all = require_all
        self._place = (
            place_at_all(holding or Holding(None, _MEMORY_BYTES))
            if self._strategy is Strategy.FAN_OUT
            else place_at_first
        )
        handler: Handler = self._dispatch
        for layer in reversed(middleware):
            handler = _Layer(layer, handler)
        self._handler = handler

    def accepts(self, operation: Operation) -> bool:
        """Whether any backend can serve this."""
        return any(route.backend.accepts(operation) for route in self._routes)

    @contextlib.asynccontextmanager
    async def exchange(self, request: RequestEnvelope) -> AsyncIterator[ResponseEnvelope]:
        """Ask the backend; the block runs once the first item, or the end, is there.

        Until then ``request.deadline`` holds. A stream that has begun may go on for as long as
        it moves.

        Raises:
            HarmonyError: what went wrong, before or inside the block.
        """
        deadline = trio.CancelScope(deadline=request.deadline)
        with deadline:
            async with answering(self._handler, request) as response:
                if request.operation in _STREAMING:
                    deadline.deadline = float("inf")
                yield response
        if deadline.cancelled_caught:
            raise DeadlineExceeded(
                "the request took longer than it may",
                hint="`deadline_seconds` of the endpoint sets the time for the first answer",
            )

    async def _dispatch(self, request: RequestEnvelope, scope: Exchange) -> ResponseEnvelope:
        routes = [
            route
            for route in self._routes
            if route.backend.accepts(request.operation)
            and request.backend in (None, route.backend.name)
        ]
        if not routes:
            raise RequestError(
                f"pipeline {self.name} has no backend{_named(request.backend)} that can "
                f"{request.operation}",
                code="operation-not-supported",
                http_status=501,
            )
        storing = request.operation is Operation.STORE
        if self._conditional:
            facts = facts_of(request)
            if storing:
                known = OF_REQUESTS
            elif self._strategy is Strategy.MERGE:  # a source is left out if it can have nothing
                known = OF_REQUESTS | ruled_by(facts)
            else:
                known = OF_REQUESTS | OF_CONTENT
            routes = [route for route in routes if route.matches(facts, among=known)]
            if not routes:
                raise self._nobody()
        backends = backends_of(routes)
        by_content = storing and any(route.looks_at_content for route in routes)
        if len(backends) == 1 and not by_content:
            return await backends[0].handle(request, scope)
        if storing:
            choose = self._choice(routes)
            return store_each(backends, request, scope, choose=choose, place=self._place)
        match self._strategy, request.operation:
            case Strategy.FAN_OUT, Operation.ECHO:
                return await echo_all(backends, request)
            case Strategy.MERGE, Operation.FIND:
                return merge_matches(backends, request, scope, require_all=self._require_all)
            case Strategy.MERGE, Operation.GET:
                return gather_instances(backends, request, scope, require_all=self._require_all)
            case _:
                return await first_reachable(backends, request, scope)

    def _choice(self, routes: Sequence[Route]) -> Choose:
        """Choose by what an instance is, among routes that fit the request."""
        wanted = frozenset().union(*(route.attributes for route in routes))

        async def choose(instance: Instance) -> tuple[Sequence[Backend], Instance]:
            facts, instance = await facts_of_instance(instance, wanted)
            fitting = [route for route in routes if route.matches(facts, among=OF_CONTENT)]
            if not fitting:
                raise self._nobody()
            return backends_of(fitting), instance

        return choose

    def _nobody(self) -> RequestError:
        return RequestError(
            f"pipeline {self.name} has no backend for this",
            code="no-backend-for-this",
            http_status=422,
            hint="`when` of its backends says what each is for; one without `when` takes all",
        )


def _named(backend: str | None) -> str:
    return f" {backend}" if backend is not None else ""


class _Layer:
    """One middleware with what comes after it."""

    def __init__(self, middleware: Middleware, call_next: Handler) -> None:
        self._middleware = middleware
        self._call_next = call_next

    async def __call__(self, request: RequestEnvelope, scope: Exchange) -> ResponseEnvelope:
        return await self._middleware.handle(request, scope, self._call_next)
