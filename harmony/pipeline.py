"""A pipeline: what happens to one request between an endpoint and its backends.

`Pipeline.exchange` is the scope of one request. It owns a nursery in which a streaming backend
starts its producer; leaving the block ends that work, whoever leaves it and why. This is the
one place where exception groups are unwrapped.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass

import trio

from harmony.envelope import Operation, RequestEnvelope, ResponseEnvelope, StreamBroken
from harmony.errors import DeadlineExceeded, HarmonyError, RequestError
from harmony.interfaces import Backend, Exchange, Handler, Middleware

# Operations whose answer may go on for as long as it moves; each step has a deadline of its own.
_STREAMING = frozenset((Operation.FIND, Operation.GET, Operation.MOVE, Operation.STORE))


@dataclass(frozen=True, slots=True)
class _Scope:
    """What a backend sees of the exchange it works for."""

    nursery: trio.Nursery


class Pipeline:
    """Joins endpoints to backends. Shared by all requests of its endpoints; holds no state."""

    def __init__(
        self, name: str, backends: Sequence[Backend], middleware: Sequence[Middleware] = ()
    ) -> None:
        self.name = name
        self._backends = tuple(backends)
        handler: Handler = self._dispatch
        for layer in reversed(middleware):
            handler = _Layer(layer, handler)
        self._handler = handler

    def accepts(self, operation: Operation) -> bool:
        """Whether any backend can serve this."""
        return any(backend.accepts(operation) for backend in self._backends)

    @contextlib.asynccontextmanager
    async def exchange(self, request: RequestEnvelope) -> AsyncIterator[ResponseEnvelope]:
        """Ask the backend; the block runs once the first item, or the end, is there.

        Until then ``request.deadline`` holds. A stream that has begun may go on for as long as
        it moves.

        Raises:
            HarmonyError: what went wrong, before or inside the block.
        """
        deadline = trio.CancelScope(deadline=request.deadline)
        try:
            with deadline:
                async with trio.open_nursery() as nursery:
                    response = await self._handler(request, _Scope(nursery))
                    await response.items.wait()
                    if request.operation in _STREAMING:
                        deadline.deadline = float("inf")
                    yield response
                    nursery.cancel_scope.cancel()
        except BaseExceptionGroup as group:
            raise _root(group) from None
        if deadline.cancelled_caught:
            raise DeadlineExceeded(
                "the request took longer than it may",
                hint="`deadline_seconds` of the endpoint sets the time for the first answer",
            )

    async def _dispatch(self, request: RequestEnvelope, scope: Exchange) -> ResponseEnvelope:
        for backend in self._backends:
            if backend.accepts(request.operation):
                return await backend.handle(request, scope)
        raise RequestError(
            f"no backend of pipeline {self.name} can {request.operation}",
            code="operation-not-supported",
            http_status=501,
        )


class _Layer:
    """One middleware with what comes after it."""

    def __init__(self, middleware: Middleware, call_next: Handler) -> None:
        self._middleware = middleware
        self._call_next = call_next

    async def __call__(self, request: RequestEnvelope, scope: Exchange) -> ResponseEnvelope:
        return await self._middleware.handle(request, scope, self._call_next)


def _root(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """The one exception that explains the others.

    A producer's failure breaks its stream, and the reader then fails too: the producer's is
    the cause. Anything that is not ours is a bug and goes first, so that it is seen.
    """
    leaves = list(_leaves(group))
    for exc in leaves:
        if not isinstance(exc, HarmonyError | StreamBroken | trio.Cancelled):
            return exc
    for exc in leaves:
        if isinstance(exc, HarmonyError):
            return exc
    return leaves[0]


def _leaves(group: BaseExceptionGroup[BaseException]) -> list[BaseException]:
    found: list[BaseException] = []
    for exc in group.exceptions:
        if isinstance(exc, BaseExceptionGroup):
            found += _leaves(exc)
        else:
            found.append(exc)
    return found
