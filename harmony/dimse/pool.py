"""At most so many associations to one target, a few of them held for some seconds.

Holding saves the association's set-up where requests follow each other. It is modest on
purpose: an idle association takes one of the peer's places, and a firewall may drop it without
a word. One that is not certainly in order is never held (PS3.7 knows no way to find out).
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

import trio

from harmony.dimse.association import Association
from harmony.dimse.failures import NotAnswered
from harmony.dimse.link import Link, Proposal
from harmony.dimse.target import Target
from harmony.errors import Unavailable

T = TypeVar("T")

_FAREWELL_SECONDS = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolLimits:
    """How many associations, and how long to wait for one.

    Attributes:
        max_associations: open at a time, held ones included.
        max_waiting: requests that may wait for a free one.
        wait_seconds: how long each of them waits.
        keep_associations: held idle, at most.
        keep_seconds: how long each is held.
    """

    max_associations: int = 4
    max_waiting: int = 32
    wait_seconds: float = 5.0
    keep_associations: int = 2
    keep_seconds: float = 5.0


class OpenLink(Protocol):
    """An engine: associates, reports the link, runs it until it ends."""

    async def __call__(
        self,
        target: Target,
        proposals: Sequence[Proposal],
        /,
        *,
        task_status: trio.TaskStatus[Link],
    ) -> None: ...


@dataclass(frozen=True, slots=True)
class Usage:
    """Associations and requests at this moment."""

    busy: int
    idle: int
    waiting: int


@dataclass(slots=True, eq=False)
class _Held:
    purpose: str
    association: Association
    scope: trio.CancelScope = field(default_factory=trio.CancelScope)


class AssociationPool:
    """Lends associations to one target. `run` owns them; use it inside that block only."""

    def __init__(
        self, backend: str, target: Target, limits: PoolLimits, open_link: OpenLink
    ) -> None:
        self._backend = backend
        self._target = target
        self._limits = limits
        self._open_link = open_link
        self._free = trio.CapacityLimiter(limits.max_associations)
        self._waiting = 0
        self._closing = 0
        self._closed = trio.Event()  # of the next one to be closed
        self._held: list[_Held] = []
        self._nursery: trio.Nursery | None = None

    @property
    def usage(self) -> Usage:
        return Usage(self._free.borrowed_tokens, len(self._held), self._waiting)

    @contextlib.asynccontextmanager
    async def run(self) -> AsyncIterator[None]:
        """Own the links until the block is left; then release what is idle and end the rest."""
        async with trio.open_nursery() as nursery:
            self._nursery = nursery
            try:
                yield
                await self._say_farewell()
            finally:
                self._nursery = None
                nursery.cancel_scope.cancel()

    @contextlib.asynccontextmanager
    async def borrow(
        self,
        purpose: str,
        proposals: Callable[[], Sequence[Proposal]],
        *,
        fits: Callable[[Association], bool] | None = None,
        fresh: bool = False,
        keep: bool = True,
    ) -> AsyncIterator[Association]:
        """An association for one operation or a run of them, waiting for a free place first.

        Args:
            purpose: associations with the same purpose have the same contexts, or `fits` tells.
            proposals: makes the contexts to ask for, should a new one be needed.
            fits: whether a held one will do; by default all of the purpose do. A new one is
                lent whether it fits or not.
            fresh: do not take a held one.
            keep: whether it may be held afterwards; else it is released at once.

        Raises:
            Unavailable: too many wait already, or the wait took too long.
            UpstreamError: no association could be had.
        """
        async with self._place():
            held = None if fresh else self._take(purpose, fits)
            association = held or await self._open(proposals())
            try:
                yield association
            finally:
                self._give_back(purpose, association, keep=keep)

    async def ask(
        self,
        purpose: str,
        proposals: Callable[[], Sequence[Proposal]],
        operation: Callable[[Association], Awaitable[T]],
        *,
        keep: bool = True,
    ) -> T:
        """Run an operation that does no harm when repeated.

        If it was lent a held association that was dead before it answered anything, it is run
        once more, on a fresh one.

        Raises:
            Unavailable, UpstreamError: as `borrow`.
        """
        try:
            async with self.borrow(purpose, proposals, keep=keep) as association:
                return await operation(association)
        except NotAnswered:
            async with self.borrow(purpose, proposals, fresh=True, keep=keep) as association:
                return await operation(association)

    # A place

    @contextlib.asynccontextmanager
    async def _place(self) -> AsyncIterator[None]:
        borrower = object()
        try:
            self._free.acquire_on_behalf_of_nowait(borrower)
        except trio.WouldBlock:
            await self._wait_for_place(borrower)
        try:
            yield
        finally:
            self._free.release_on_behalf_of(borrower)

    async def _wait_for_place(self, borrower: object) -> None:
        if self._waiting >= self._limits.max_waiting:
            raise self._busy(f"{self._waiting} requests wait for backend {self._backend} already")
        self._waiting += 1
        try:
            with trio.move_on_after(self._limits.wait_seconds) as scope:
                await self._free.acquire_on_behalf_of(borrower)
        finally:
            self._waiting -= 1
        if scope.cancelled_caught:
            raise self._busy(
                f"all {self._limits.max_associations} associations of backend {self._backend} "
                f"were busy for {self._limits.wait_seconds:g} s"
            )

    def _busy(self, detail: str) -> Unavailable:
        return Unavailable(
            detail,
            code="backend-busy",
            backend=self._backend,
            hint="try again, or raise `max_associations` if the PACS allows more",
        )

    # Associations

    async def _open(self, proposals: Sequence[Proposal]) -> Association:
        if self._nursery is None:
            raise Unavailable("shutting down", code="draining", backend=self._backend)
        while self._open_now > self._limits.max_associations:
            await self._make_room()
        link = await self._nursery.start(
            functools.partial(self._open_link, self._target, proposals)
        )
        return Association(link, self._target)

    @property
    def _open_now(self) -> int:
        return self._free.borrowed_tokens + len(self._held) + self._closing

    async def _make_room(self) -> None:
        """Close one that is held, or wait until one that is closing is closed."""
        if self._held:
            held = self._held.pop(0)
            held.scope.cancel()
            await self._close(held.association)
        else:
            await self._closed.wait()

    async def _close(self, association: Association) -> None:
        self._closing += 1
        await self._close_counted(association)

    async def _close_counted(self, association: Association) -> None:
        try:
            await association.close()
        finally:
            self._closing -= 1
            self._closed.set()
            self._closed = trio.Event()

    def _take(self, purpose: str, fits: Callable[[Association], bool] | None) -> Association | None:
        for held in reversed(self._held):
            if held.purpose != purpose or not held.association.is_reusable:
                continue
            if fits is None or fits(held.association):
                self._held.remove(held)
                held.scope.cancel()
                return held.association
        return None

    def _give_back(self, purpose: str, association: Association, *, keep: bool) -> None:
        """Hold it, or end it in the background. Never waits, so it is safe when cancelled."""
        if self._nursery is None or not association.is_in_order:
            association.hang_up()
            return
        if not keep or not association.is_reusable or not self._limits.keep_associations:
            self._close_soon(self._nursery, association)
            return
        if len(self._held) >= self._limits.keep_associations:
            oldest = self._held.pop(0)  # what was used last is likeliest to be used next
            oldest.scope.cancel()
            self._close_soon(self._nursery, oldest.association)
        held = _Held(purpose, association)
        self._held.append(held)
        self._nursery.start_soon(self._hold, held)

    def _close_soon(self, nursery: trio.Nursery, association: Association) -> None:
        self._closing += 1  # from now on, not from when the task gets its turn
        nursery.start_soon(self._close_counted, association)

    async def _hold(self, held: _Held) -> None:
        with held.scope:
            with trio.move_on_after(self._limits.keep_seconds):
                await held.association.wait_disturbed()
        if held in self._held:  # not taken meanwhile
            self._held.remove(held)
            await self._close(held.association)

    async def _say_farewell(self) -> None:
        leaving, self._held = self._held, []
        with trio.move_on_after(_FAREWELL_SECONDS):
            async with trio.open_nursery() as nursery:
                for held in leaving:
                    held.scope.cancel()
                    nursery.start_soon(held.association.close)
