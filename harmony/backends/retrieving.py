"""Retrieve from a PACS: by C-GET, by C-MOVE to a receiver of ours, or by what it allows.

By C-GET all comes on one association. By C-MOVE the answers come on one and the instances on
others (`harmony.dimse.arrivals`); it is complete when the peer's final counters and as many
arrivals agree, in whichever order they come. Silence completes nothing.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Awaitable, Callable
from typing import Literal, TypeAlias

import trio

from harmony.dicom.status_codes import (
    CLASS_NOT_SUPPORTED,
    NOT_AUTHORISED,
    UNABLE_TO_PERFORM,
    UNRECOGNISED_OPERATION,
)
from harmony.dimse import contexts
from harmony.dimse.arrivals import Arrivals, Expected
from harmony.dimse.association import Association
from harmony.dimse.failures import NotAnswered, contradiction, too_late
from harmony.dimse.outcomes import outstanding, sent, still_to_come
from harmony.dimse.pool import AssociationPool
from harmony.dimse.receiver import entry
from harmony.dimse.target import Target
from harmony.envelope import Instance, Match, Outcome, Progress, Query, Root, SubOperations
from harmony.errors import HarmonyError, RequestError, UpstreamError

QUERIES = "queries"
_GET = "get"

How: TypeAlias = Literal["auto", "get", "move"]
Give: TypeAlias = Callable[[Match | Instance | Progress], Awaitable[None]]

# It will be so for the next retrieve, too. PS3.7 annex C.
_SERVICE_REFUSED = frozenset((CLASS_NOT_SUPPORTED, NOT_AUTHORISED, UNRECOGNISED_OPERATION))
NO_CONTEXT = "operation-not-supported"
# Codes of `harmony.dicom.status` that a PACS without an entry for the receiver ends with.
_NO_ENTRY = frozenset(("destination-unknown", "nothing-arrived"))
_PERHAPS_NO_ENTRY = frozenset(("sub-operations-failed", "unable-to-process"))


class Retriever:
    """Retrieves from one PACS. Shared by all requests.

    Args:
        pool: lends associations to `target`.
        arrivals: of the receiver that C-MOVE sends to; needed for ``move``.
    """

    def __init__(
        self, pool: AssociationPool, target: Target, how: How, arrivals: Arrivals | None
    ) -> None:
        self._pool = pool
        self._target = target
        self._how = how
        self._arrivals = arrivals
        self._without_get: set[Root] = set()  # models whose C-GET the PACS has refused

    async def retrieve(self, query: Query, give: Give) -> Outcome:
        """Give each instance as it comes, and what the peer counts in between.

        Raises:
            RequestError: 404, there is none.
            NotAnswered, UpstreamError, Unavailable
        """
        arrivals = self._arrivals
        if arrivals is None or self._how == "get":
            return await self._by_get_alone(query, give)
        if self._how == "move" or query.root in self._without_get:
            return await self._by_move(arrivals, query, give)
        given = Counting(give)
        try:
            return await self._by_get(query, given)
        except UpstreamError as exc:
            refused = exc.dimse_status in _SERVICE_REFUSED or exc.code == NO_CONTEXT
            # Often for want of a transfer syntax, of which a receiver takes more.
            cannot_send = exc.dimse_status == UNABLE_TO_PERFORM
            if given.instances or not (refused or cannot_send):
                raise
        outcome = await self._by_move(arrivals, query, give)
        if refused:  # and not both, which says more about the request than about C-GET
            self._without_get.add(query.root)
        return outcome

    # C-GET

    async def _by_get_alone(self, query: Query, give: Give) -> Outcome:
        try:
            return await self._by_get(query, Counting(give))
        except UpstreamError as exc:
            if exc.code == NO_CONTEXT and self._how == "auto":
                exc.hint = (
                    f"allow C-GET for calling AE title {self._target.local_aet} at the PACS, or "
                    "set `receiver` of this backend, so that C-MOVE can be used"
                )
            raise

    async def _by_get(self, query: Query, given: Counting) -> Outcome:
        outcome = await self._pool.ask(
            _GET, contexts.for_get, lambda association: association.get(query, given)
        )
        if not given.instances:
            raise nothing(self._target, query)
        return outcome

    # C-MOVE

    async def _by_move(self, arrivals: Arrivals, query: Query, give: Give) -> Outcome:
        moving = dataclasses.replace(query, destination=arrivals.aet)

        async def move(association: Association) -> Outcome:
            target = self._target
            with arrivals.expect(target.local_aet, moving, sender=target.aet) as expected:
                try:
                    return await _Move(association, expected, target, moving).run(give)
                except NotAnswered as exc:
                    if expected.begun:  # once more would give the reader some twice
                        raise exc.error from None
                    raise
                except UpstreamError as exc:
                    if not expected.begun:
                        await self._name_the_entry(arrivals, exc)
                    raise

        outcome = await self._pool.ask(QUERIES, contexts.for_queries, move)
        if outcome.counters is not None and not (
            outcome.counters.completed or outcome.counters.warning
        ):
            raise nothing(self._target, query)
        return outcome

    async def _name_the_entry(self, arrivals: Arrivals, exc: UpstreamError) -> None:
        if exc.code in _NO_ENTRY:
            exc.hint = await entry(arrivals, self._target)
        elif exc.code in _PERHAPS_NO_ENTRY:
            exc.hint = (
                "has the PACS what was asked for, and does it find the receiver? if it does not: "
                + await entry(arrivals, self._target)
            )


class Counting:
    """Gives items on and counts the instances."""

    def __init__(self, give: Give) -> None:
        self._give = give
        self.instances = 0

    async def __call__(self, item: Match | Instance | Progress) -> None:
        self.instances += isinstance(item, Instance)
        await self._give(item)


class _Move:
    """One C-MOVE to our receiver, from its request to the last of its instances."""

    def __init__(
        self, association: Association, expected: Expected, target: Target, query: Query
    ) -> None:
        self._association = association
        self._expected = expected
        self._target = target
        self._query = query
        self._seconds = target.timeouts.move_seconds
        self._heard_at = trio.current_time()  # when the peer last answered
        self._pending: SubOperations | None = None
        self._untold = False
        self._given = 0
        self._final: Outcome | None = None
        self._failure: HarmonyError | NotAnswered | None = None

    async def run(self, give: Give) -> Outcome:
        """Ask, and give what comes until all of it has come.

        Raises:
            NotAnswered, RequestError, UpstreamError
        """
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._ask, nursery.cancel_scope)
            try:
                await self._give_all(give)
            except HarmonyError as exc:
                self._failure = exc
            nursery.cancel_scope.cancel()
        if self._failure is not None:
            raise self._failure
        final, arrived = self._final, self._expected.arrived
        assert final is not None
        counters = final.counters or SubOperations()
        completed = arrived - (counters.warning or 0)
        return dataclasses.replace(
            final, counters=dataclasses.replace(counters, completed=completed)
        )

    async def _ask(self, scope: trio.CancelScope) -> None:
        """See the C-MOVE through. A failure ends all, instances on their way included."""
        try:
            self._final = await self._association.move(
                self._query,
                self._note,
                message_id=self._expected.message_id,
                seconds=math.inf,  # here arrivals count as well as answers
            )
        except (HarmonyError, NotAnswered) as exc:
            self._failure = exc
            scope.cancel()
        self._heard()

    async def _note(self, item: Match | Instance | Progress) -> None:
        if isinstance(item, Progress):
            self._pending = item.counters
            self._untold = True
            self._heard()

    def _heard(self) -> None:
        self._heard_at = trio.current_time()
        self._expected.tell()

    async def _give_all(self, give: Give) -> None:
        while True:
            instance = self._expected.take()
            if instance is not None:
                if self._pending is not None and self._untold:
                    self._untold = False
                    await give(Progress(counters=still_to_come(self._pending, self._given)))
                await give(instance)
                self._given += 1
            elif self._is_complete():
                return
            else:
                await self._wait()

    def _is_complete(self) -> bool:
        if self._expected.broken:
            raise UpstreamError(
                f"{self._target} broke an instance off on its way here",
                code="connection-lost",
                peer=str(self._target),
            )
        told = self._told()
        if told is None:
            return False
        if outstanding(told, self._expected.begun) < 0:
            raise contradiction(
                self._target, f"it counts {told} instances sent, {self._expected.begun} came"
            )
        return outstanding(told, self._expected.arrived) == 0

    def _told(self) -> int | None:
        """What the peer has sent, by its own count; None before its final response."""
        if self._final is None:
            return None
        told = sent(self._final.counters, self._pending)
        if told is None:
            raise UpstreamError(
                f"{self._target} does not count what it has sent, so that nobody can tell "
                "whether all of it has arrived",
                code="not-counted",
                peer=str(self._target),
                hint='set `retrieve = "get"` of this backend if the PACS can do C-GET',
            )
        return told

    async def _wait(self) -> None:
        """Wait for whatever comes next, but for the peer no longer than it may take."""
        deadline = max(self._expected.moved_at, self._heard_at) + self._seconds
        if self._expected.is_busy:  # then its sender is watched by the receiver
            deadline = math.inf
        with trio.move_on_at(deadline):
            await self._expected.news()
            return
        told, arrived = self._told(), self._expected.arrived
        if told is None:
            raise too_late(self._target, self._seconds)
        raise UpstreamError(
            f"{self._target} counts {told} instances sent, {arrived or 'none'} arrived",
            code="too-few-arrived" if arrived else "nothing-arrived",
            peer=str(self._target),
            hint="its log says more" if arrived else None,
        )


def nothing(target: Target, query: Query) -> RequestError:
    """The PACS has nothing of what was asked for."""
    return RequestError(
        f"{target} has no instance of this {query.level.lower()}",
        code="not-found",
        http_status=404,
    )
