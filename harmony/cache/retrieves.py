"""Retrieves that are shared: who asks for what is under way or kept does not ask the PACS again.

A retrieve runs in a task of `Retrieves`, not of a reader, for as long as it has one. What it
gives is held in memory if it is small, else in files, and each reader follows at a pace of its
own. An instance goes when no reader is before it any more and there is no room, or no time left,
to keep it.
"""

from __future__ import annotations

import contextlib
import copy
from collections.abc import AsyncIterator, Callable, Hashable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import trio

from harmony.cache.folder import Folder
from harmony.cache.kept import Kept, hold
from harmony.dicom.peek import peek
from harmony.dicom.query import SERIES_INSTANCE_UID, SOP_INSTANCE_UID, STUDY_INSTANCE_UID
from harmony.envelope import (
    Instance,
    Level,
    Outcome,
    Query,
    RequestEnvelope,
    StreamBroken,
)
from harmony.errors import DeadlineExceeded, HarmonyError
from harmony.interfaces import OpenExchange

_PARENTS = (STUDY_INSTANCE_UID, SERIES_INSTANCE_UID)
_SMALL_BYTES = 1024 * 1024  # more goes into a file
# Backend, study, series and instance.
_Name: TypeAlias = tuple[str | None, str, str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheLimits:
    """How much a cache may have, and for how long.

    Attributes:
        keep_bytes: of instances that nobody waits for any more; 0 keeps none.
        keep_seconds: after an instance was asked for last.
        ahead_bytes: a retrieve may be so far ahead of its slowest reader, besides what is kept.
        retrieves: at the same moment; others wait in order.
        memory_bytes: of all instances that lie in memory and not in a file.
    """

    keep_bytes: int
    keep_seconds: float
    ahead_bytes: int
    retrieves: int
    memory_bytes: int


class _Slot:
    """An instance and who needs it.

    Attributes:
        pins: readers that have not passed it.
        used: when it was asked for last, on trio's clock.
        gone: it is no more.
    """

    def __init__(self, kept: Kept, backend: str | None, pins: int) -> None:
        self.kept = kept
        self.name: _Name = (backend, kept.study_uid, kept.series_uid, kept.sop_instance_uid)
        self.pins = pins
        self.used = trio.current_time()
        self.gone = False


class _Retrieve:
    """One exchange, and what it has given.

    Attributes:
        slots: in the order in which they came.
        places: how many of the slots each reader has passed.
    """

    def __init__(self, key: Hashable, request: RequestEnvelope) -> None:
        self.key = key
        self.request = request
        self.slots: list[_Slot] = []
        self.places: dict[Retrieved, int] = {}
        self.watchers = 0
        self.backend: str | None = None
        self.outcome: Outcome | None = None
        self.failure: Exception | None = None
        self.scope = trio.CancelScope()
        self._changed = trio.Event()

    @property
    def ended(self) -> bool:
        return self.outcome is not None or self.failure is not None

    @property
    def can_be_joined(self) -> bool:
        """Whether a new reader would get all of it."""
        return self.failure is None and not any(slot.gone for slot in self.slots)

    @property
    def unread_bytes(self) -> int:
        """How far it is ahead of its slowest reader."""
        passed = min(self.places.values(), default=len(self.slots))
        return sum(slot.kept.size for slot in self.slots[passed:])

    def tell(self) -> None:
        changed, self._changed = self._changed, trio.Event()
        changed.set()

    async def change(self) -> None:
        """Wait until something has become of it."""
        await self._changed.wait()

    def leave_if_unwanted(self) -> None:
        if not self.places and not self.watchers and not self.ended:
            self.scope.cancel()


class Retrieves:
    """Retrieves instances through one pipeline. Use it within `run`.

    Args:
        exchange: of the pipeline.
        limits: how much may be had and kept.
        folder: where the files lie; None for the system's temporary folder.
    """

    def __init__(self, exchange: OpenExchange, limits: CacheLimits, folder: Path | None) -> None:
        self._exchange = exchange
        self._limits = limits
        self._parent = folder
        self._folder: Folder | None = None
        self._nursery: trio.Nursery | None = None
        self._running: dict[Hashable, _Retrieve] = {}
        self._kept: dict[_Name, _Slot] = {}  # the least recently used first
        self._kept_bytes = 0
        self._memory_bytes = 0
        self._turn = trio.CapacityLimiter(limits.retrieves)

    @contextlib.asynccontextmanager
    async def run(self) -> AsyncIterator[None]:
        """Have the folder and the tasks as long as the block lasts.

        Raises:
            OSError: there is no folder to be had.
        """
        self._folder = folder = await trio.to_thread.run_sync(Folder.open, self._parent)
        try:
            async with trio.open_nursery() as nursery:
                self._nursery = nursery
                nursery.start_soon(self._expire)
                yield
                nursery.cancel_scope.cancel()
        finally:
            self._nursery = self._folder = None
            self._kept.clear()
            with trio.CancelScope(shield=True):
                await trio.to_thread.run_sync(folder.close)

    @contextlib.asynccontextmanager
    async def retrieve(self, request: RequestEnvelope) -> AsyncIterator[Retrieved]:
        """The instances of a GET, of a retrieve of its own or of another's.

        An IMAGE is taken from what is kept, or waited for if a retrieve of its series or study
        is under way. Until the first instance is there ``request.deadline`` holds.

        Raises, when it is read:
            HarmonyError: what the retrieve raised.
        """
        query = request.query
        assert query is not None, "a GET without a query"
        slot = await self._had(request, query)
        if slot is not None:
            retrieve = _Retrieve(None, request)
            retrieve.slots.append(slot)
            retrieve.backend = request.backend or slot.name[0]
            retrieve.outcome = Outcome()
        else:
            retrieve = self._retrieve(request, query)
            for each in retrieve.slots:
                each.pins += 1
        reader = Retrieved(retrieve, self._passed, request.deadline)
        retrieve.places[reader] = 0
        try:
            yield reader
        finally:
            place = retrieve.places.pop(reader)
            for each in retrieve.slots[place:]:
                self._unpin(each)
            retrieve.tell()
            retrieve.leave_if_unwanted()

    def keeps(self, request: RequestEnvelope) -> bool:
        """Whether `retrieve` would find the IMAGE that is asked for at once."""
        query = request.query
        wanted = _image(query) if query is not None else None
        if query is None or wanted is None:
            return False
        slot = self._kept.get((request.backend, *wanted))
        return slot is not None and (query.without_bulk or not slot.kept.without_bulk)

    # What is there

    async def _had(self, request: RequestEnvelope, query: Query) -> _Slot | None:
        """An instance that is kept or under way, pinned for a reader; None if there is none."""
        wanted = _image(query)
        if wanted is None:
            return None
        name: _Name = (request.backend, *wanted)
        if (slot := self._take(name, query)) is not None:
            return slot
        for retrieve in list(self._running.values()):
            if not _covers(retrieve, request.backend, wanted, query) or not self._limits.keep_bytes:
                continue
            retrieve.watchers += 1
            try:
                with trio.move_on_at(request.deadline):
                    while not retrieve.ended:
                        await retrieve.change()
                        if (slot := self._take(name, query)) is not None:
                            return slot
            finally:
                retrieve.watchers -= 1
                retrieve.leave_if_unwanted()
        return self._take(name, query)

    def _take(self, name: _Name, query: Query) -> _Slot | None:
        slot = self._kept.get(name)
        if slot is None or (slot.kept.without_bulk and not query.without_bulk):
            return None
        slot.pins += 1
        slot.used = trio.current_time()
        self._kept[name] = self._kept.pop(name)
        return slot

    def _retrieve(self, request: RequestEnvelope, query: Query) -> _Retrieve:
        """An equal retrieve that can be joined, or a new one."""
        key = (request.backend, query.level, query.root, query.keys, query.without_bulk)
        retrieve = self._running.get(key)
        if retrieve is None or not retrieve.can_be_joined:
            retrieve = self._running[key] = _Retrieve(key, request)
            assert self._nursery is not None, "used outside of `run`"
            self._nursery.start_soon(self._run, retrieve, query)
        return retrieve

    # A retrieve

    async def _run(self, retrieve: _Retrieve, query: Query) -> None:
        try:
            with retrieve.scope:
                async with self._turn, self._exchange(retrieve.request) as response:
                    retrieve.backend = response.backend
                    async for item in response.items:
                        if isinstance(item, Instance):
                            await self._keep(retrieve, item)
                    retrieve.outcome = response.items.outcome
        except Exception as exc:
            retrieve.failure = exc  # whoever reads it raises it, whatever it is
        finally:
            if not retrieve.ended:  # cancelled, as nobody wants it or all is over
                retrieve.failure = StreamBroken("the retrieve was given up")
            if self._running.get(retrieve.key) is retrieve:
                del self._running[retrieve.key]
            retrieve.tell()

    async def _keep(self, retrieve: _Retrieve, instance: Instance) -> None:
        folder = self._folder
        assert folder is not None, "used outside of `run`"
        while retrieve.unread_bytes > self._limits.ahead_bytes and not self._has_room():
            await retrieve.change()
        found, instance = await peek(instance, _PARENTS)
        room = min(_SMALL_BYTES, self._limits.memory_bytes - self._memory_bytes)
        where = await hold(instance.data, folder, max(room, 0))
        size = len(where) if isinstance(where, bytes) else where.stat().st_size
        kept = Kept(
            instance,
            where,
            size,
            study_uid=found.get(STUDY_INSTANCE_UID, ""),
            series_uid=found.get(SERIES_INSTANCE_UID, ""),
        )
        slot = _Slot(kept, retrieve.request.backend, len(retrieve.places))
        retrieve.slots.append(slot)
        self._forget(self._kept.get(slot.name))
        self._kept[slot.name] = slot
        self._kept_bytes += size
        self._memory_bytes += kept.memory
        self._make_room()
        retrieve.tell()

    # Room and time

    def _has_room(self) -> bool:
        self._make_room()
        return self._kept_bytes < self._limits.keep_bytes

    def _make_room(self) -> None:
        """Let go of what nobody waits for, the least recently used first."""
        for slot in list(self._kept.values()):
            if self._kept_bytes <= self._limits.keep_bytes:
                return
            if not slot.pins:
                self._forget(slot)

    def _forget(self, slot: _Slot | None) -> None:
        """It is kept no more; it goes with its last reader."""
        if slot is None or self._kept.get(slot.name) is not slot:
            return
        del self._kept[slot.name]
        self._kept_bytes -= slot.kept.size
        if not slot.pins:
            self._remove(slot)

    def _remove(self, slot: _Slot) -> None:
        slot.gone = True
        slot.kept.remove()
        self._memory_bytes -= slot.kept.memory

    def _passed(self, retrieve: _Retrieve, slot: _Slot) -> None:
        """A reader has done with it."""
        self._unpin(slot)
        retrieve.tell()

    def _unpin(self, slot: _Slot) -> None:
        slot.pins -= 1
        if slot.pins:
            return
        if self._kept.get(slot.name) is slot:
            self._make_room()
        elif not slot.gone:
            self._remove(slot)

    async def _expire(self) -> None:
        """Let go of what nobody asked for in time."""
        while True:
            await trio.sleep(max(self._limits.keep_seconds / 4, 0.25))
            before = trio.current_time() - self._limits.keep_seconds
            for slot in list(self._kept.values()):
                if not slot.pins and slot.used <= before:
                    self._forget(slot)


class Retrieved:
    """One reader's view of a retrieve: its instances in order, each whole.

    An instance may be used until the next one is asked for, or the block of `retrieve` ends.
    """

    def __init__(
        self, retrieve: _Retrieve, passed: Callable[[_Retrieve, _Slot], None], deadline: float
    ) -> None:
        self._retrieve = retrieve
        self._passed = passed
        self._deadline = deadline
        self._given: _Slot | None = None

    @property
    def backend(self) -> str | None:
        """Name of the backend that answers, once one does."""
        return self._retrieve.backend

    @property
    def has_ended(self) -> bool:
        """Whether the outcome is there; False for a retrieve that failed."""
        return self._retrieve.outcome is not None

    @property
    def outcome(self) -> Outcome:
        """How the retrieve ended; RuntimeError while it has not, or if it failed."""
        if self._retrieve.outcome is None:
            raise RuntimeError("the retrieve has not ended")
        return self._retrieve.outcome

    async def wait(self) -> bool:
        """Wait until an instance or the end is there. True if there is an instance.

        Raises:
            HarmonyError, StreamBroken: the retrieve failed, and gave nothing more.
            DeadlineExceeded: there is no first instance in time.
        """
        retrieve = self._retrieve
        place = retrieve.places[self] + (self._given is not None)
        first = trio.CancelScope(deadline=float("inf") if place else self._deadline)
        with first:
            while len(retrieve.slots) <= place and not retrieve.ended:
                await retrieve.change()
        if first.cancelled_caught:
            raise DeadlineExceeded(
                "the request took longer than it may",
                hint="`deadline_seconds` of the endpoint sets the time for the first answer",
            )
        if len(retrieve.slots) > place:
            return True
        if retrieve.failure is not None:
            raise _again(retrieve.failure) from retrieve.failure
        return False

    def __aiter__(self) -> Retrieved:
        return self

    async def __anext__(self) -> Kept:
        await trio.lowlevel.checkpoint()
        self._done_with_last()
        if not await self.wait():
            raise StopAsyncIteration
        self._given = self._retrieve.slots[self._retrieve.places[self]]
        return self._given.kept

    def _done_with_last(self) -> None:
        if self._given is not None:
            slot, self._given = self._given, None
            self._retrieve.places[self] += 1
            self._passed(self._retrieve, slot)


def _again(failure: Exception) -> Exception:
    """The same failure for one reader: whoever raises an exception writes into it."""
    if isinstance(failure, HarmonyError):
        return copy.copy(failure)
    if isinstance(failure, StreamBroken):
        return StreamBroken(*failure.args)
    return RuntimeError("a retrieve met an error of its own")


def _image(query: Query) -> tuple[str, str, str] | None:
    """Study, series and instance of a query for just one; None for any other."""
    if query.level is not Level.IMAGE:
        return None
    values = {key.tag: key.values for key in query.keys}
    uids = [values.get(tag, ()) for tag in (*_PARENTS, SOP_INSTANCE_UID)]
    if any(len(each) != 1 for each in uids):
        return None
    return uids[0][0], uids[1][0], uids[2][0]


def _covers(
    retrieve: _Retrieve, backend: str | None, wanted: tuple[str, str, str], query: Query
) -> bool:
    """Whether a retrieve under way is going to give this instance, as it is wanted."""
    given = retrieve.request.query
    assert given is not None
    if retrieve.request.backend != backend or given.level not in (Level.STUDY, Level.SERIES):
        return False
    if given.without_bulk and not query.without_bulk:
        return False
    values = {key.tag: key.values for key in given.keys}
    if wanted[0] not in values.get(STUDY_INSTANCE_UID, ()):
        return False
    return given.level is Level.STUDY or wanted[1] in values.get(SERIES_INSTANCE_UID, ())
