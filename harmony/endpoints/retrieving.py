"""Where the instances of a retrieve go: back over the caller's association, or elsewhere.

The counters are those of what really became of each instance. PS3.4 C.4.2.1.6 to C.4.2.1.9.
"""

from __future__ import annotations

import dataclasses
from collections.abc import AsyncIterable, AsyncIterator
from dataclasses import dataclass

from harmony.dicom.status import StatusKind, kind
from harmony.dicom.status_codes import SOME_FAILED, SUCCESS, UNABLE_TO_PERFORM
from harmony.dimse.provider import Answer, Retrieval, Tally
from harmony.envelope import (
    Completion,
    Instance,
    Items,
    Originator,
    Outcome,
    Progress,
    RequestEnvelope,
    Stored,
    StreamBroken,
)
from harmony.errors import RequestError, UpstreamError
from harmony.interfaces import OpenExchange


@dataclass(frozen=True, slots=True, kw_only=True)
class Destination:
    """Where a C-MOVE may send to.

    Attributes:
        aet: AE title that callers name.
        exchange: opens an exchange with it.
    """

    aet: str
    exchange: OpenExchange


async def retrieve_over(source: Source, retrieval: Retrieval) -> None:
    """C-GET: send each instance over the caller's own association.

    Args:
        source: what to send.
        retrieval: takes it, and is told how far it has come.

    Raises:
        HarmonyError, StreamBroken: the source failed.
    """
    async for instance in source:
        source.count(instance.sop_instance_uid, await retrieval.store(instance))
        await retrieval.progress()
    source.settle()


async def send_to(
    destination: Destination, source: Source, retrieval: Retrieval, *, store: RequestEnvelope
) -> None:
    """C-MOVE: store each instance at the destination.

    Args:
        destination: takes them.
        source: what to send.
        retrieval: is told how far it has come.
        store: the request to the destination, without its body.

    Raises:
        HarmonyError, StreamBroken: source or destination failed.
    """
    # Whoever asked may wait until its destination is left, as movescu does.
    request = dataclasses.replace(store, body=source, more_may_follow=False)
    try:
        async with destination.exchange(request) as response:
            async for item in response.items:
                assert isinstance(item, Stored)
                source.count(item.sop_instance_uid, item.status)
                await retrieval.progress()
    except RequestError as exc:  # of an instance that cannot be sent, for which no caller can
        raise UpstreamError(exc.detail, code=exc.code) from exc
    source.settle()


def retrieve_answer(tally: Tally, outcome: Outcome | None) -> Answer:
    """The final response of a retrieve whose source came to its end. PS3.4 tables C.4-2, C.4-3.

    Args:
        tally: what became of each instance.
        outcome: of the source; None if it has nothing of what was asked for.
    """
    complete = outcome is None or outcome.completion is Completion.COMPLETE
    if complete and not tally.failed and not tally.warning:
        return Answer(status=SUCCESS)
    if not tally.completed and not tally.warning:
        return Answer(status=UNABLE_TO_PERFORM, comment="all sub-operations failed")
    return Answer(status=SOME_FAILED, comment="some sub-operations failed or warned")


@dataclass(slots=True)
class Traffic:
    """Bytes of data sets that went through.

    Attributes:
        broken: whether one of them stopped early.
    """

    bytes: int = 0
    broken: bool = False

    def counted(self, instance: Instance) -> Instance:
        """The same instance, whose data is counted when it is read."""
        return dataclasses.replace(instance, data=_Counted(instance.data, self))


class _Counted:
    """Data that counts what is read of it; each iteration of it is one of the data.

    Attributes:
        ended: whether one of them came to the end.
    """

    def __init__(self, data: AsyncIterable[bytes], traffic: Traffic) -> None:
        self._data = data
        self._traffic = traffic
        self.ended = False

    def __aiter__(self) -> AsyncIterator[bytes]:
        return _Counting(aiter(self._data), self._traffic, self)

    async def pass_over(self) -> None:
        """Read what is left of data that can be read once; it does not count."""
        if not self.ended:
            async for _ in self._data:
                pass


class _Counting:
    def __init__(self, data: AsyncIterator[bytes], traffic: Traffic, counted: _Counted) -> None:
        self._data = data
        self._traffic = traffic
        self._counted = counted

    def __aiter__(self) -> _Counting:
        return self

    async def __anext__(self) -> bytes:
        try:
            chunk = await anext(self._data)
        except StopAsyncIteration:
            self._counted.ended = True
            raise
        except StreamBroken:
            self._traffic.broken = True
            raise
        self._traffic.bytes += len(chunk)
        return chunk


class Source:
    """The instances of a retrieve, counted while they are taken. Read by one task.

    Who takes the next one has done with the one before. What it left unread of that, because it
    refused it, is passed over: a PACS sends nothing more before it is rid of it.

    Args:
        items: of the backend that has them.
        tally: is kept true.
        traffic: counts their bytes.
        originator: of a C-MOVE, to be named with each. PS3.7 9.1.1.1.10.
    """

    def __init__(
        self,
        items: Items,
        tally: Tally,
        traffic: Traffic,
        originator: Originator | None = None,
    ) -> None:
        self._items = items
        self._tally = tally
        self._traffic = traffic
        self._originator = originator
        self._left: int | None = None  # as the backend counts, without those taken
        self._under_way: list[str] = []  # taken; the next may be before the last is counted
        self._unread: _Counted | None = None  # of the last one, if it can be read once

    def __aiter__(self) -> Source:
        return self

    async def __anext__(self) -> Instance:
        if self._unread is not None:
            await self._unread.pass_over()
            self._unread = None
        while True:
            item = await anext(self._items)
            if isinstance(item, Progress):
                self._left = item.counters.remaining
                if self._tally.remaining is None:
                    self._tally.remaining = self._left
                continue
            assert isinstance(item, Instance)
            if self._left is not None:
                self._left = max(0, self._left - 1)
            self._under_way.append(item.sop_instance_uid)
            data = _Counted(item.data, self._traffic)
            self._unread = None if item.repeatable else data
            originator = self._originator or item.originator
            return dataclasses.replace(item, data=data, originator=originator)

    def count(self, uid: str, status: int) -> None:
        """Tell the tally what became of an instance, and what remains.

        Whatever else is told of it, an instance counts once, and only if the source gave it.
        """
        if uid not in self._under_way:
            return
        self._under_way.remove(uid)
        tally = self._tally
        match kind(status):
            case StatusKind.SUCCESS:
                tally.completed += 1
            case StatusKind.WARNING:
                tally.warning += 1
            case _:
                tally.failed += 1
                tally.failed_uids.append(uid)
        tally.remaining = None if self._left is None else self._left + len(self._under_way)

    def settle(self) -> None:
        """At the end, add what the backend could not give, and what nobody told the fate of."""
        outcome = self._items.outcome
        counted = outcome.counters.failed if outcome.counters is not None else None
        self._tally.failed += max(counted or 0, len(outcome.missing))
        self._tally.failed_uids += outcome.missing
        self._fail_those_under_way()

    def fail(self) -> None:
        """The retrieve has failed, and with it what was under way and what was left."""
        self._tally.failed += self._left or 0
        self._fail_those_under_way()

    def _fail_those_under_way(self) -> None:
        self._tally.failed += len(self._under_way)
        self._tally.failed_uids += self._under_way
        self._under_way.clear()
        self._tally.remaining = 0
