"""Joins what is to be committed at one time."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

import trio

from harmony.archive.arrivals import OUT_OF_RESOURCES, Entry, Refused
from harmony.archive.index import Decision

Commit: TypeAlias = Callable[[Sequence[Entry]], Awaitable[Sequence[Decision]]]

MOST_AT_ONCE: Final = 64
COMMIT_SECONDS: Final = 30.0


class NotCommitted(Refused):
    """The index was busy for too long; the commit has not begun and never will."""

    def __init__(self) -> None:
        super().__init__(OUT_OF_RESOURCES, "the index is busy")


@dataclass(slots=True, eq=False)
class _Waiting:
    entry: Entry
    done: trio.Event
    result: Decision | Exception | None = None


class Commits:
    """Whoever comes first commits for all who wait meanwhile.

    A commit waits for the disk; waiting once for many is what makes many objects quick.
    """

    def __init__(self, commit: Commit) -> None:
        self._commit = commit
        self._turn = trio.Lock()
        self._queue: list[_Waiting] = []

    async def commit(self, entry: Entry) -> Decision:
        """Commit it, with others. Not to be cancelled: it ends when the disk is done.

        Raises:
            NotCommitted: it waited in vain.
            Exception: what the commit raised, for each entry that was in it.
        """
        own = _Waiting(entry, trio.Event())
        self._queue.append(own)
        with trio.move_on_after(COMMIT_SECONDS, shield=True):
            async with self._turn:
                if not own.done.is_set():
                    await self._commit_queue()
        if own in self._queue:
            self._queue.remove(own)
            raise NotCommitted
        with trio.CancelScope(shield=True):  # somebody is at it, and knows how it ends
            await own.done.wait()
        if isinstance(own.result, Exception):
            raise own.result
        assert own.result is not None
        return own.result

    async def _commit_queue(self) -> None:
        batch = self._queue[:MOST_AT_ONCE]
        del self._queue[:MOST_AT_ONCE]
        results: Sequence[Decision | Exception]
        try:
            with trio.CancelScope(shield=True):  # a thread that writes is not to be left behind
                results = await self._commit([each.entry for each in batch])
        except Exception as exc:
            results = [exc] * len(batch)
        for each, result in zip(batch, results, strict=True):
            each.result = result
            each.done.set()
