"""STORE with a choice: each instance is routed by itself, on one request to each backend.

A *lane* is the request to one backend, open as long as there are instances: so a run of
instances uses one association, whatever goes to other backends in between.
"""

from __future__ import annotations

import dataclasses
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Iterable, Sequence
from typing import TypeAlias, cast

import trio

from harmony.dicom.answering import dimse_status
from harmony.dicom.status import StatusKind, kind
from harmony.envelope import (
    Instance,
    Item,
    Items,
    Operation,
    Outcome,
    RequestEnvelope,
    ResponseEnvelope,
    Stored,
    StreamBroken,
)
from harmony.errors import HarmonyError, UpstreamError
from harmony.holding import Holding
from harmony.interfaces import Backend, Exchange
from harmony.pipeline.failover import name_tried, was_asked
from harmony.pipeline.scope import answering, failure_of, names

# Which backends an instance is for; gives the instance too, since a part of it may be read.
Choose: TypeAlias = Callable[[Instance], Awaitable[tuple[Sequence[Backend], Instance]]]
# Has one instance stored by some of these.
Place: TypeAlias = Callable[["Lanes", Sequence[Backend], Instance], Awaitable[Stored]]

_SEVERITY = {StatusKind.SUCCESS: 0, StatusKind.WARNING: 1}  # all else is a failure


def store_each(
    backends: Sequence[Backend],
    request: RequestEnvelope,
    scope: Exchange,
    *,
    choose: Choose,
    place: Place,
) -> ResponseEnvelope:
    """Start storing the instances one after the other; failures come through the nursery.

    Args:
        backends: that may be chosen.
        request: whose body are the instances.
        scope: of the exchange.
        choose: the backends of an instance.
        place: the strategy.
    """
    send, receive = trio.open_memory_channel[Item | Outcome](0)
    scope.nursery.start_soon(_produce, request, send, choose, place)
    return ResponseEnvelope(items=Items(receive), backend=names(backends))


async def _produce(
    request: RequestEnvelope,
    send: trio.MemorySendChannel[Item | Outcome],
    choose: Choose,
    place: Place,
) -> None:
    with send:
        async with trio.open_nursery() as nursery:
            lanes = Lanes(request, nursery)
            async for each in cast("AsyncIterator[Instance]", request.body):
                backends, instance = await choose(each)
                await send.send(await place(lanes, backends, instance))
            await lanes.finish()
        await send.send(Outcome())


async def place_at_first(lanes: Lanes, backends: Sequence[Backend], instance: Instance) -> Stored:
    """Failover: the next backend only if the instance has not left for any before.

    Raises:
        HarmonyError: of the last one that was tried.
    """
    watched = _Watched(instance.data)
    given = instance if instance.repeatable else dataclasses.replace(instance, data=watched)
    for count, backend in enumerate(backends, 1):
        try:
            return await lanes.store(backend, given)
        except HarmonyError as exc:
            if was_asked(exc) or watched.touched or count == len(backends):
                name_tried(exc, backends[:count])
                raise
    raise AssertionError("there is no backend to ask")


def place_at_all(holding: Holding) -> Place:
    """Fan-out: stored is what every one of the backends has."""

    async def place(lanes: Lanes, backends: Sequence[Backend], instance: Instance) -> Stored:
        statuses: dict[str, int] = {}

        async def give(backend: Backend, held: Instance) -> None:
            try:
                stored = await lanes.store(backend, held)
            except HarmonyError as exc:
                statuses[backend.name] = dimse_status(exc, Operation.STORE)
            else:
                statuses[backend.name] = stored.status

        async with holding.hold(instance) as held, trio.open_nursery() as nursery:
            for backend in backends:
                nursery.start_soon(give, backend, held)
        by_backend = tuple((backend.name, statuses[backend.name]) for backend in backends)
        return Stored(
            sop_class_uid=instance.sop_class_uid,
            sop_instance_uid=instance.sop_instance_uid,
            status=worst(status for _, status in by_backend),
            by_backend=by_backend,
        )

    return place


def worst(statuses: Iterable[int]) -> int:
    """A failure rather than a warning rather than success; of several the first."""
    return max(statuses, key=lambda status: _SEVERITY.get(kind(status), 2))


class Lanes:
    """The lanes of one request, each opened when it is first needed."""

    def __init__(self, request: RequestEnvelope, nursery: trio.Nursery) -> None:
        self._request = request
        self._nursery = nursery
        self._open: dict[str, _Lane] = {}
        self._unreachable: dict[str, HarmonyError] = {}

    async def store(self, backend: Backend, instance: Instance) -> Stored:
        """Have one instance stored.

        A backend that could not be reached is not tried again in this request: each time may
        take as long as connecting may.

        Raises:
            HarmonyError: it was not, or nobody knows whether it was.
        """
        unreachable = self._unreachable.get(backend.name)
        if unreachable is not None:
            raise unreachable
        lane = self._open.get(backend.name)
        if lane is None:
            lane = self._open[backend.name] = _Lane(backend, self._request)
            self._nursery.start_soon(lane.run)
        try:
            return await lane.store(instance)
        except HarmonyError as exc:
            self._open.pop(backend.name).abandon()
            if not was_asked(exc):
                self._unreachable[backend.name] = exc
            raise

    async def finish(self) -> None:
        """There are no more instances: let all lanes come to their ends.

        Raises:
            HarmonyError: one did not end in order, though it had answered for all instances.
        """
        lanes = list(self._open.values())
        for lane in lanes:
            lane.close()
        for lane in lanes:
            await lane.wait_ended()


class _Lane:
    """One backend that stores one instance after the other. Each is answered before the next."""

    def __init__(self, backend: Backend, request: RequestEnvelope) -> None:
        self._backend = backend
        self._give, self._body = trio.open_memory_channel[Instance](0)
        self._tell, self._told = trio.open_memory_channel[Stored](0)
        self._request = dataclasses.replace(request, body=self._body)
        self._scope = trio.CancelScope()
        self._failure: HarmonyError | None = None

    async def run(self) -> None:
        """Ask the backend, until it has ended; its failure is told where it matters."""
        with self._scope, self._tell, self._body:
            try:
                async with answering(self._backend.handle, self._request) as response:
                    async for item in response.items:
                        if isinstance(item, Stored):
                            await self._tell.send(item)
            except (HarmonyError, StreamBroken) as exc:
                self._failure = failure_of(self._backend, exc)

    async def store(self, instance: Instance) -> Stored:
        try:
            await self._give.send(instance)
            stored = await self._told.receive()
        except (trio.BrokenResourceError, trio.EndOfChannel):
            raise self._failure or self._wrong("stopped storing") from None
        if stored.sop_instance_uid != instance.sop_instance_uid:
            raise self._wrong("answered for another instance")
        return stored

    def close(self) -> None:
        self._give.close()

    def abandon(self) -> None:
        """It has failed; end what may be left of it."""
        self._scope.cancel()

    async def wait_ended(self) -> None:
        async for _ in self._told:
            raise self._wrong("answered for an instance that was not given")
        if self._failure is not None:
            raise self._failure

    def _wrong(self, what: str) -> UpstreamError:
        return UpstreamError(
            f"backend {self._backend.name} {what}",
            code="answer-broken",
            backend=self._backend.name,
        )


class _Watched:
    """Data that can be read once, and whether anybody has begun to."""

    def __init__(self, data: AsyncIterable[bytes]) -> None:
        self._data = data
        self.touched = False

    def __aiter__(self) -> AsyncIterator[bytes]:
        self.touched = True
        return aiter(self._data)
