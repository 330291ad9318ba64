"""GET from several backends that each may have a part: their instances as one answer."""

from __future__ import annotations

from collections.abc import Sequence

import trio

from harmony.envelope import (
    Completion,
    Instance,
    Item,
    Items,
    Outcome,
    Progress,
    RequestEnvelope,
    ResponseEnvelope,
    StreamBroken,
    SubOperations,
)
from harmony.errors import HarmonyError, RequestError, UpstreamError
from harmony.interfaces import Backend, Exchange
from harmony.pipeline.scope import answering, failure_of, names

_SOME_FAILED = 0xB000  # PS3.4 table C.4-3

_Send = trio.MemorySendChannel[Item | Outcome]


def gather_instances(
    backends: Sequence[Backend], request: RequestEnvelope, scope: Exchange, *, require_all: bool
) -> ResponseEnvelope:
    """GET from one after the other; an instance that several have is given once.

    Which of them has all of a study nobody can know beforehand, so all are asked. If one
    fails, what the others give is told to be a part. If none gives anything, or with
    `require_all` at once, the failure comes through the nursery; that there is nothing is told
    only if each of them says so.
    """
    send, receive = trio.open_memory_channel[Item | Outcome](0)
    gather = _Gather(backends, request, send, require_all=require_all)
    scope.nursery.start_soon(gather.run)
    return ResponseEnvelope(items=Items(receive), backend=names(backends))


class Gathered:
    """What came and what did not, over all sources. Pure."""

    def __init__(self) -> None:
        self.given: set[str] = set()  # SOP instance UIDs
        self._missing: dict[str, None] = {}
        self._unnamed = 0  # failed sub-operations of which nobody says which instance it was
        self._failed_sources: list[str] = []
        self._whole = True

    def ended(self, outcome: Outcome) -> None:
        """A source told its end."""
        if outcome.completion is Completion.COMPLETE:
            return
        counted = outcome.counters.failed if outcome.counters is not None else None
        self._unnamed += max(0, (counted or 0) - len(outcome.missing))
        self._missing |= dict.fromkeys(outcome.missing)
        self._whole &= bool(outcome.missing)

    def failed(self, name: str, left: int | None) -> None:
        """A source failed, which had counted so many instances still to come."""
        self._failed_sources.append(name)
        self._unnamed += left or 0

    @property
    def outcome(self) -> Outcome:
        """Complete only if another source gave what one could not."""
        missing = tuple(uid for uid in self._missing if uid not in self.given)
        failed = len(missing) + self._unnamed
        whole = self._whole and not failed and not self._failed_sources
        return Outcome(
            completion=Completion.COMPLETE if whole else Completion.PARTIAL,
            status=0x0000 if whole else _SOME_FAILED,
            counters=SubOperations(
                remaining=0, completed=len(self.given), failed=failed, warning=0
            ),
            missing=missing,
            failed_sources=tuple(self._failed_sources),
        )


class _Gather:
    """One gathered GET."""

    def __init__(
        self,
        backends: Sequence[Backend],
        request: RequestEnvelope,
        send: _Send,
        *,
        require_all: bool,
    ) -> None:
        self._backends = backends
        self._request = request
        self._send = send
        self._require_all = require_all
        self._gathered = Gathered()
        self._left: int | None = None  # as the present source counts

    async def run(self) -> None:
        absence: HarmonyError | None = None
        failure: HarmonyError | None = None
        with self._send:
            for backend in self._backends:
                self._left = None
                try:
                    await self._take_from(backend)
                except (HarmonyError, StreamBroken) as exc:
                    told = failure_of(backend, exc)
                    if told.http_status == 404:
                        absence = absence or told
                        continue
                    if self._require_all:
                        raise told from None
                    failure = failure or told
                    self._gathered.failed(backend.name, self._left)
            if not self._gathered.given:
                raise failure or self._nothing(absence)
            await self._send.send(self._gathered.outcome)

    async def _take_from(self, backend: Backend) -> None:
        async with answering(backend.handle, self._request) as response:
            async for item in response.items:
                match item:
                    case Progress():
                        self._left = item.counters.remaining
                        await self._send.send(item)
                    case Instance():
                        await self._pass_on(item)
            self._gathered.ended(response.items.outcome)
            # Whoever takes this has read the last instance; until then the source is needed.
            await self._count()

    async def _pass_on(self, instance: Instance) -> None:
        if instance.sop_instance_uid not in self._gathered.given:
            # A source that fails meanwhile takes this with it: it is not given before it is taken.
            await self._send.send(instance)
            self._gathered.given.add(instance.sop_instance_uid)
            self._come()
            return
        if not instance.repeatable:  # the source goes on only once it is read
            async for _ in instance.data:
                pass
        self._come()
        await self._count()

    def _come(self) -> None:
        if self._left is not None:
            self._left = max(0, self._left - 1)

    async def _count(self) -> None:
        await self._send.send(Progress(counters=SubOperations(remaining=self._left)))

    def _nothing(self, absence: HarmonyError | None) -> HarmonyError:
        outcome = self._gathered.outcome
        if outcome.completion is Completion.COMPLETE:
            return absence or RequestError(
                "no backend has an instance of it", code="not-found", http_status=404
            )
        return UpstreamError(
            f"none of the backends {names(self._backends)} could give an instance of it",
            dimse_status=outcome.status,
            backend=names(self._backends),
        )
