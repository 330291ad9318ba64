"""Retrieves by C-MOVE, and the objects that come for them on other associations.

A PACS answers a C-MOVE-RQ on one association and sends the objects on others, to a receiver.
`Arrivals` is one receiver's register: whoever retrieves says what it waits for (`expect`), and
whoever takes a C-STORE asks for whom it is (`claim`) and hands it over (`deliver`).

An object belongs to the retrieve whose AE title and message ID it names as its originator
(PS3.7 9.1.1.1.10). A PACS may name none, or a wrong one; then it goes by the UIDs in its data
set, but only where exactly one retrieve fits. A receiver that is there for others as well
guesses less: what another caller stores there, or what another move brings, is not taken.

All of this is for one trio thread. Nothing is collected: an object waits at its sender until
the retrieve's reader takes it, byte by byte.
"""

from __future__ import annotations

import contextlib
import dataclasses
import secrets
from collections import deque
from collections.abc import Iterator, Mapping

import trio

from harmony.dicom.peek import peek
from harmony.dicom.query import (
    PATIENT_ID,
    SERIES_INSTANCE_UID,
    SOP_INSTANCE_UID,
    STUDY_INSTANCE_UID,
)
from harmony.dicom.status_codes import PROCESSING_FAILURE, SUCCESS
from harmony.envelope import Instance, Originator, Query, StreamBroken
from harmony.errors import UpstreamError

_LAST_MESSAGE_ID = 0xFFFF
_PEEKED = (PATIENT_ID, STUDY_INSTANCE_UID, SERIES_INSTANCE_UID)
_UNIQUE = frozenset((*_PEEKED, SOP_INSTANCE_UID))


class _Arrival:
    """One object on its way from its sender's task to the reader of a retrieve.

    It is the object's data, too, to be read once: its end is what the sender waits for.

    Attributes:
        instance: as the reader gets it.
        status: to answer the sender with; None until that is known.
        settled: set with `status`.
    """

    def __init__(self, instance: Instance, expected: Expected) -> None:
        self._data = aiter(instance.data)
        self._expected = expected
        # Whoever read it a second time would find that the sender has taken it away.
        self.instance = dataclasses.replace(instance, data=self, repeatable=False)
        self.status: int | None = None
        self.settled = trio.Event()
        self._reading = False
        self._idle = trio.Event()

    def __aiter__(self) -> _Arrival:
        return self

    async def __anext__(self) -> bytes:
        if self.status == PROCESSING_FAILURE:
            raise _broken_off()
        self._reading = True
        try:
            return await anext(self._data)
        except StopAsyncIteration:
            self.settle(SUCCESS)
            raise
        except StreamBroken:
            self.settle(PROCESSING_FAILURE)
            raise _broken_off() from None
        except Exception:
            self.settle(PROCESSING_FAILURE)
            raise
        finally:
            self._reading = False
            self._idle.set()

    async def outcome(self) -> int:
        """Wait until it is settled and nobody reads the sender's data any more."""
        await self.settled.wait()
        while self._reading:
            self._idle = trio.Event()
            await self._idle.wait()
        assert self.status is not None
        return self.status

    def settle(self, status: int) -> None:
        """Say how it ended; the first word counts."""
        if self.status is None:
            self.status = status
            self.settled.set()
            self._expected.settled(self)

    def withdraw(self) -> None:
        """It goes as if it had never come: nobody has seen it."""
        self.status = PROCESSING_FAILURE
        self.settled.set()


class Expected:
    """One retrieve that waits for objects.

    An object that comes twice is counted once and given to the reader once: a PACS sends again
    what it saw no answer to.

    Attributes:
        message_id: to be that of the C-MOVE-RQ, (0000,0110).
        arrived: different objects that the reader has taken, to the last byte.
        begun: different objects that have come, those on their way included.
        broken: whether the sender of an object went away in the middle of it.
        moved_at: when an object last began or ended, on trio's clock.
    """

    def __init__(self, message_id: int, query: Query, *, sender: str) -> None:
        self.message_id = message_id
        self.arrived = 0
        self.broken = False
        self.moved_at = trio.current_time()
        self._wanted = {key.tag: frozenset(key.values) for key in query.keys if key.tag in _UNIQUE}
        self._sender = _folded(sender)
        self._seen: dict[str, _Arrival] = {}  # by SOP instance UID
        self._offered: deque[_Arrival] = deque()
        self._taken: set[_Arrival] = set()
        self._closed = False
        self._news = trio.Event()

    @property
    def begun(self) -> int:
        return len(self._seen)

    @property
    def is_busy(self) -> bool:
        """True while an object is on its way; its sender and its reader have deadlines."""
        return bool(self._offered or self._taken)

    # For the retrieve

    def take(self) -> Instance | None:
        """The next object if one is there; it must be read before the next is taken."""
        if not self._offered:
            return None
        arrival = self._offered.popleft()
        self._taken.add(arrival)
        return arrival.instance

    async def news(self) -> None:
        """Wait until something happens here, or `tell` is called.

        What has happened before counts as known, so look first.
        """
        if self._news.is_set():
            self._news = trio.Event()
        await self._news.wait()

    def tell(self) -> None:
        """Let `news` return."""
        self._news.set()

    # For the receiver, by way of `Arrivals`

    def fits(self, found: Mapping[int, str]) -> bool:
        """Whether these unique keys of an object are those of the query."""
        wanted = {tag: values for tag, values in self._wanted.items() if values}
        return bool(wanted) and all(found.get(tag) in values for tag, values in wanted.items())

    def may_be_from(self, caller: str, originator: Originator | None) -> bool:
        """Whether an object of a caller can be of this retrieve, though it does not name it.

        It must be the PACS that was asked, and the object must not name the move of another.
        """
        if _folded(caller) != self._sender:
            return False
        if originator is None or not originator.message_id:
            return True
        return _folded(originator.aet) == self._sender  # a PACS that names itself

    async def hand_over(self, instance: Instance) -> int:
        if self._closed:
            return PROCESSING_FAILURE
        uid = instance.sop_instance_uid
        if (first := self._seen.get(uid)) is not None:
            return await _same_again(first, instance)
        arrival = _Arrival(instance, self)
        self._seen[uid] = arrival
        self._offered.append(arrival)
        self._moved()
        try:
            return await arrival.outcome()
        finally:
            if arrival in self._offered:
                self._offered.remove(arrival)
                del self._seen[uid]
                arrival.withdraw()
                self._moved()
            else:
                arrival.settle(PROCESSING_FAILURE)

    def settled(self, arrival: _Arrival) -> None:
        self._taken.discard(arrival)
        if arrival.status == SUCCESS:
            self.arrived += 1
        else:
            self.broken = True
        self._moved()

    def close(self) -> None:
        """Refuse what is on its way, and all that still comes."""
        self._closed = True
        for arrival in (*self._offered, *self._taken):
            arrival.settle(PROCESSING_FAILURE)
        self._offered.clear()

    def _moved(self) -> None:
        self.moved_at = trio.current_time()
        self.tell()


async def _same_again(first: _Arrival, again: Instance) -> int:
    """Take a second copy out of its sender's way; it is received if the first one is."""
    try:
        async for _ in again.data:
            pass
    except StreamBroken:
        return PROCESSING_FAILURE
    return await first.outcome()


class Arrivals:
    """The retrieves that wait at one receiver.

    Args:
        aet: the receiver's AE title, which C-MOVE names as its destination.

    Attributes:
        address: host and port where the receiver listens, once it does; for hints.
    """

    def __init__(self, aet: str) -> None:
        self.aet = aet
        self.address: tuple[str, int] | None = None
        self._open: dict[tuple[str, int], Expected] = {}
        # Objects of a process that ended meanwhile are not to meet a retrieve of this one.
        self._last_id = secrets.randbelow(_LAST_MESSAGE_ID)

    @contextlib.contextmanager
    def expect(self, originator_aet: str, query: Query, *, sender: str) -> Iterator[Expected]:
        """Wait for the objects of a C-MOVE until the block is left; whatever comes later fails.

        Args:
            originator_aet: our AE title on the association of the C-MOVE.
            query: what it asks for.
            sender: AE title of the PACS that is asked.
        """
        title = _folded(originator_aet)
        expected = Expected(self._unused_id(title), query, sender=sender)
        key = (title, expected.message_id)
        self._open[key] = expected
        try:
            yield expected
        finally:
            del self._open[key]
            expected.close()

    async def claim(
        self, instance: Instance, *, caller: str | None = None
    ) -> tuple[Expected | None, Instance]:
        """The retrieve that an object came for, if any, and the object to go on with.

        Args:
            instance: its data may be read from the start, so use the one that is returned.
            caller: AE title of who sends it, where objects may come for other reasons, too.
        """
        if not self._open:
            return None, instance
        originator = instance.originator
        if originator is not None:
            named = self._open.get((_folded(originator.aet), originator.message_id))
            if named is not None:
                return named, instance
        possible = [
            expected
            for expected in self._open.values()
            if caller is None or expected.may_be_from(caller, originator)
        ]
        if not possible:
            return None, instance
        values, instance = await peek(instance, _PEEKED)
        found = {**values, SOP_INSTANCE_UID: instance.sop_instance_uid}
        fitting = [expected for expected in possible if expected.fits(found)]
        return (fitting[0] if len(fitting) == 1 else None), instance

    async def deliver(self, expected: Expected, instance: Instance) -> int:
        """Hand an object over; returns the status of its C-STORE-RSP. PS3.4 B.2.3.

        Success means that the retrieve's reader has taken the last byte, or had the same object
        before. Cancelling it breaks the object off; if its reader has begun, with it the retrieve.
        """
        return await expected.hand_over(instance)

    def _unused_id(self, title: str) -> int:
        for _ in range(_LAST_MESSAGE_ID):
            self._last_id = self._last_id % _LAST_MESSAGE_ID + 1
            if (title, self._last_id) not in self._open:
                return self._last_id
        raise RuntimeError("65535 retrieves wait already")  # far above any limit of associations


def _folded(title: str) -> str:
    """An AE title to compare with: some PACS change its case on its way round."""
    return title.strip().upper()


def _broken_off() -> UpstreamError:
    return UpstreamError("the PACS broke an instance off on its way here", code="connection-lost")
