"""Several backends that each may have a part: their matches as one answer."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import trio

from harmony.dicom.elements import SYNTAXES, Malformed, parse
from harmony.dicom.query import PATIENT_ID, UNIQUE
from harmony.envelope import (
    Completion,
    Item,
    Items,
    Level,
    Match,
    Outcome,
    Query,
    RequestEnvelope,
    ResponseEnvelope,
    StreamBroken,
)
from harmony.errors import HarmonyError
from harmony.interfaces import Backend, Exchange
from harmony.pipeline.scope import answering, failure_of, names

_BUFFERED_MATCHES = 64
_MORE_TO_COME = 0xFF00  # pending: no source had to end, PS3.4 table C.4-1
_ISSUER_OF_PATIENT_ID = 0x00100021

_Send = trio.MemorySendChannel[Item | Outcome]


class Merged:
    """Which matches of several sources belong to the one answer. Pure.

    Attributes:
        limited: a match came that is beyond the limit.
    """

    def __init__(self, query: Query) -> None:
        self._level = query.level
        self._offset = query.offset
        self._limit = query.limit
        self._known: set[tuple[bytes, ...]] = set()
        self._count = 0
        self.limited = False

    def admit(self, match: Match) -> bool:
        """Whether to pass this match on: it is new, behind the offset and within the limit."""
        key = unique_key(match, self._level)
        if key is not None:
            if key in self._known:
                return False
            self._known.add(key)
        self._count += 1
        if self._limit is not None and self._count > self._offset + self._limit:
            self.limited = True
        return self._count > self._offset and not self.limited


def unique_key(match: Match, level: Level) -> tuple[bytes, ...] | None:
    """What tells one entity of this level from another; None if the match does not say it.

    At level PATIENT that is Patient ID with its issuer: the same number from two issuers may
    be two people. PS3.4 C.6.1.1.
    """
    syntax = SYNTAXES.get(match.transfer_syntax)
    if syntax is None:
        return None
    try:
        elements = parse(match.identifier, syntax)
    except Malformed:
        return None
    values = {
        element.tag: element.value.strip(b" \0")
        for element in elements
        if isinstance(element.value, bytes)
    }
    key = values.get(UNIQUE[level])
    if not key:
        return None
    if UNIQUE[level] == PATIENT_ID:
        return (key, values.get(_ISSUER_OF_PATIENT_ID, b""))
    return (key,)


def merge_matches(
    backends: Sequence[Backend], request: RequestEnvelope, scope: Exchange, *, require_all: bool
) -> ResponseEnvelope:
    """FIND at all of them at once; a match that several have is given once.

    A source that fails is told in `Outcome.failed_sources`. If all do, or with `require_all`
    the first one, its failure comes through the nursery.
    """
    send, receive = trio.open_memory_channel[Item | Outcome](_BUFFERED_MATCHES)
    scope.nursery.start_soon(_Merge(backends, request, send, require_all=require_all).run)
    return ResponseEnvelope(items=Items(receive), backend=names(backends))


class _Merge:
    """One merged FIND."""

    def __init__(
        self,
        backends: Sequence[Backend],
        request: RequestEnvelope,
        send: _Send,
        *,
        require_all: bool,
    ) -> None:
        query = request.query
        assert query is not None, "a FIND without a query"
        self._backends = backends
        # Which matches of a source are passed over is known only after merging.
        limit = None if query.limit is None else query.offset + query.limit
        self._request = dataclasses.replace(
            request, query=dataclasses.replace(query, limit=limit, offset=0)
        )
        self._send = send
        self._require_all = require_all
        self._merged = Merged(query)
        self._outcomes: list[Outcome] = []
        self._failures: dict[str, HarmonyError] = {}

    async def run(self) -> None:
        # Only this task decides what is new, and sends it: a source that fails takes with it
        # what it still had to say, and that must not count as said.
        collect, collected = trio.open_memory_channel[Match](_BUFFERED_MATCHES)
        with self._send:
            async with trio.open_nursery() as nursery:
                with collect:
                    for backend in self._backends:
                        nursery.start_soon(self._read, backend, collect.clone())
                async for match in collected:
                    if self._merged.admit(match):
                        await self._send.send(match)
                    if self._merged.limited:
                        nursery.cancel_scope.cancel()
                        break
            if len(self._failures) == len(self._backends):
                raise next(iter(self._failures.values()))
            await self._send.send(self._outcome())

    async def _read(self, backend: Backend, collect: trio.MemorySendChannel[Match]) -> None:
        try:
            with collect:
                async with answering(backend.handle, self._request) as response:
                    async for item in response.items:
                        if isinstance(item, Match):
                            await collect.send(item)
                    self._outcomes.append(response.items.outcome)
        except (HarmonyError, StreamBroken) as exc:
            failure = failure_of(backend, exc)
            if self._require_all:
                raise failure from None
            self._failures[backend.name] = failure

    def _outcome(self) -> Outcome:
        failed = tuple(b.name for b in self._backends if b.name in self._failures)
        if self._merged.limited:
            return Outcome(
                completion=Completion.LIMITED, status=_MORE_TO_COME, failed_sources=failed
            )
        for outcome in self._outcomes:
            if outcome.completion is not Completion.COMPLETE:
                return dataclasses.replace(outcome, failed_sources=failed)
        return Outcome(failed_sources=failed)
