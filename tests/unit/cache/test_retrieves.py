"""Retrieves that are shared and kept: who is asked, who gets what, and that nothing is left."""

from __future__ import annotations

import contextlib
import dataclasses
import struct
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path

import pytest
import trio
import trio.testing

from harmony.cache import CacheLimits, Retrieved, Retrieves
from harmony.dicom.uids import EXPLICIT_LITTLE_ENDIAN
from harmony.envelope import (
    Completion,
    Instance,
    Item,
    Items,
    Key,
    Level,
    Operation,
    Origin,
    Outcome,
    Progress,
    Query,
    RequestEnvelope,
    ResponseEnvelope,
    Root,
    StreamBroken,
    SubOperations,
    WholeBytes,
)
from harmony.errors import DeadlineExceeded, UpstreamError
from tests.support.fake_backend import CT

STUDY, SERIES = "1.2", "1.2.3"
# In files: what lies there must go, too.
LIMITS = CacheLimits(
    keep_bytes=1 << 20, keep_seconds=60, ahead_bytes=1 << 16, retrieves=4, memory_bytes=0
)
NOTHING_KEPT = dataclasses.replace(LIMITS, keep_bytes=0)
SIZE = 1000


def element(tag: int, vr: bytes, value: bytes) -> bytes:
    value += b"\0" * (len(value) % 2)
    return struct.pack("<HH2sH", tag >> 16, tag & 0xFFFF, vr, len(value)) + value


def data_of(uid: str, *, size: int = SIZE, series: str = SERIES) -> bytes:
    head = element(0x0020000D, b"UI", STUDY.encode()) + element(0x0020000E, b"UI", series.encode())
    rest = struct.pack("<HH2sHL", 0x7FE0, 0x0010, b"OW", 0, size)
    return head + rest + (uid.encode() * size)[:size]


def instance(number: int, *, size: int = SIZE) -> Instance:
    uid = f"1.2.3.{number}"
    return Instance(
        sop_class_uid=CT,
        sop_instance_uid=uid,
        transfer_syntax=EXPLICIT_LITTLE_ENDIAN,
        data=WholeBytes(data_of(uid, size=size)),
    )


def a_get(
    level: Level = Level.SERIES,
    number: int | None = None,
    *,
    backend: str | None = None,
    without_bulk: bool = False,
    deadline: float = float("inf"),
) -> RequestEnvelope:
    keys = [Key(0x0020000D, (STUDY,))]
    if level is not Level.STUDY:
        keys.append(Key(0x0020000E, (SERIES,)))
    if number is not None:
        keys.append(Key(0x00080018, (f"1.2.3.{number}",)))
    return RequestEnvelope(
        id="r",
        operation=Operation.GET,
        origin=Origin(pipeline="p", endpoint="e", caller="GET /"),
        query=Query(level=level, root=Root.STUDY, keys=tuple(keys), without_bulk=without_bulk),
        backend=backend,
        deadline=deadline,
    )


def an_image(number: int, **others: object) -> RequestEnvelope:
    return a_get(Level.IMAGE, number, **others)  # type: ignore[arg-type]


class Pacs:
    """An exchange that gives what a test says, and notes what it is asked.

    Attributes:
        given: items that were taken from it.
        ended: exchanges that were left.
    """

    def __init__(
        self,
        give: Callable[[RequestEnvelope], Sequence[Item]] | None = None,
        *,
        outcome: Outcome | Exception | None = Outcome(),  # noqa: B008
        goes_on: trio.Event | None = None,
    ) -> None:
        self.asked: list[RequestEnvelope] = []
        self.given = 0
        self.ended = 0
        self._give = give or self._what_is_asked
        self._outcome = outcome
        self._goes_on = goes_on

    def _what_is_asked(self, request: RequestEnvelope) -> Sequence[Item]:
        assert request.query is not None
        uids = next((k.values for k in request.query.keys if k.tag == 0x00080018), None)
        return [
            dataclasses.replace(
                instance(int(uid.rpartition(".")[2])), without_bulk=request.query.without_bulk
            )
            for uid in uids or ("1", "2", "3")
        ]

    @contextlib.asynccontextmanager
    async def exchange(self, request: RequestEnvelope) -> AsyncIterator[ResponseEnvelope]:
        self.asked.append(request)
        send, receive = trio.open_memory_channel[Item | Outcome](0)
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._produce, request, send)
                yield ResponseEnvelope(items=Items(receive), backend="pacs")
                nursery.cancel_scope.cancel()
        except BaseExceptionGroup as group:
            raise group.exceptions[0] from None
        finally:
            self.ended += 1

    async def _produce(
        self, request: RequestEnvelope, send: trio.MemorySendChannel[Item | Outcome]
    ) -> None:
        with send:
            for item in self._give(request):
                await send.send(item)
                self.given += 1
            if self._goes_on is not None:
                await self._goes_on.wait()
            if isinstance(self._outcome, Exception):
                raise self._outcome
            if self._outcome is not None:
                await send.send(self._outcome)


@contextlib.asynccontextmanager
async def cache(
    pacs: Pacs, tmp_path: Path, limits: CacheLimits = LIMITS
) -> AsyncIterator[Retrieves]:
    with trio.fail_after(20):
        retrieves = Retrieves(pacs.exchange, limits, tmp_path)
        async with retrieves.run():
            yield retrieves
        assert everything(tmp_path) == []
        assert pacs.ended == len(pacs.asked)


def everything(tmp_path: Path) -> list[Path]:
    return list(tmp_path.glob("*"))


def files(tmp_path: Path) -> list[Path]:
    return [each for each in tmp_path.glob("*/*") if each.name != "lock"]


async def uids(retrieved: Retrieved) -> list[str]:
    found = []
    async for kept in retrieved:
        data = b"".join([chunk async for chunk in kept.data])
        assert data == data_of(kept.sop_instance_uid, size=len(data) - len(data_of("", size=0)))
        with kept.view() as view:
            assert view[:] == data
        found.append(kept.sop_instance_uid)
    return found


async def take(retrieves: Retrieves, request: RequestEnvelope) -> list[str]:
    async with retrieves.retrieve(request) as retrieved:
        return await uids(retrieved)


async def test_instances_come_in_order_and_the_outcome_behind_them(tmp_path):
    counted = Progress(counters=SubOperations(remaining=2))
    pacs = Pacs(lambda request: [counted, instance(1), counted, instance(2)])
    async with cache(pacs, tmp_path) as retrieves:
        async with retrieves.retrieve(a_get()) as retrieved:
            assert await uids(retrieved) == ["1.2.3.1", "1.2.3.2"]
            assert retrieved.outcome == Outcome()
            assert retrieved.backend == "pacs"


async def test_equal_retrieves_at_the_same_moment_are_one(tmp_path):
    goes_on = trio.Event()
    pacs = Pacs(goes_on=goes_on)
    async with cache(pacs, tmp_path) as retrieves:
        async with trio.open_nursery() as nursery:
            results: list[list[str]] = []

            async def reader() -> None:
                results.append(await take(retrieves, a_get()))

            for _ in range(10):
                nursery.start_soon(reader)
            await trio.testing.wait_all_tasks_blocked(0.05)
            goes_on.set()
        assert results == [["1.2.3.1", "1.2.3.2", "1.2.3.3"]] * 10
        assert len(pacs.asked) == 1


@pytest.mark.parametrize(
    "other",
    [
        a_get(backend="second"),
        a_get(without_bulk=True),
        a_get(Level.STUDY),
        an_image(1),
    ],
)
async def test_what_differs_is_asked_for_on_its_own(tmp_path, other):
    goes_on = trio.Event()
    pacs = Pacs(goes_on=goes_on)
    limits = dataclasses.replace(LIMITS, keep_bytes=0)
    async with cache(pacs, tmp_path, limits) as retrieves:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(take, retrieves, a_get())
            nursery.start_soon(take, retrieves, other)
            await trio.testing.wait_all_tasks_blocked(0.05)
            assert len(pacs.asked) == 2
            goes_on.set()


async def test_an_instance_that_is_kept_is_not_asked_for_again(tmp_path):
    pacs = Pacs()
    async with cache(pacs, tmp_path) as retrieves:
        await take(retrieves, a_get())
        for number in (3, 1, 2, 3):
            request = an_image(number)
            assert retrieves.keeps(request)
            assert await take(retrieves, request) == [f"1.2.3.{number}"]
        assert len(pacs.asked) == 1


@pytest.mark.parametrize("change", ["backend", "series", "study", "instance"])
async def test_another_instance_is_asked_for(tmp_path, change):
    pacs = Pacs()
    async with cache(pacs, tmp_path) as retrieves:
        await take(retrieves, a_get())
        request = an_image(1)
        query = request.query
        assert query is not None
        keys = {key.tag: key.values for key in query.keys}
        match change:
            case "backend":
                request = dataclasses.replace(request, backend="pacs")
            case "series":
                keys[0x0020000E] = ("1.2.9",)
            case "study":
                keys[0x0020000D] = ("1.9",)
            case "instance":
                keys[0x00080018] = ("1.2.3.9",)
        changed = tuple(Key(tag, values) for tag, values in sorted(keys.items()))
        request = dataclasses.replace(request, query=dataclasses.replace(query, keys=changed))
        assert not retrieves.keeps(request)
        await take(retrieves, request)
        assert len(pacs.asked) == 2


async def test_what_was_retrieved_without_bulk_serves_nobody_who_needs_it(tmp_path):
    pacs = Pacs()
    async with cache(pacs, tmp_path) as retrieves:
        await take(retrieves, a_get(without_bulk=True))
        assert retrieves.keeps(an_image(1, without_bulk=True))
        assert not retrieves.keeps(an_image(1))
        await take(retrieves, an_image(1, without_bulk=True))
        assert len(pacs.asked) == 1
        await take(retrieves, an_image(1))
        assert len(pacs.asked) == 2


async def test_what_came_whole_serves_everybody_however_it_was_asked_for(tmp_path):
    pacs = Pacs(lambda request: [instance(1)])
    async with cache(pacs, tmp_path) as retrieves:
        await take(retrieves, a_get(without_bulk=True))
        assert retrieves.keeps(an_image(1))
        await take(retrieves, an_image(1))
        assert len(pacs.asked) == 1


async def test_an_instance_of_a_retrieve_under_way_is_waited_for(tmp_path):
    goes_on = trio.Event()
    pacs = Pacs(goes_on=goes_on)
    async with cache(pacs, tmp_path) as retrieves:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(take, retrieves, a_get())
            await trio.testing.wait_all_tasks_blocked()
            assert await take(retrieves, an_image(3)) == ["1.2.3.3"]  # before the end
            nursery.start_soon(take, retrieves, an_image(9))
            await trio.testing.wait_all_tasks_blocked(0.05)
            assert len(pacs.asked) == 1
            goes_on.set()  # it has not come, so it is asked for
        assert [request.query.level for request in pacs.asked if request.query] == [
            Level.SERIES,
            Level.IMAGE,
        ]


async def test_who_waits_for_an_instance_keeps_the_retrieve_going(tmp_path):
    goes_on = trio.Event()
    pacs = Pacs(lambda request: [instance(1)], goes_on=goes_on)
    async with cache(pacs, tmp_path) as retrieves:
        async with trio.open_nursery() as nursery:
            async with retrieves.retrieve(a_get()) as retrieved:
                await retrieved.wait()
                nursery.start_soon(take, retrieves, an_image(9))
                await trio.testing.wait_all_tasks_blocked(0.05)
            await trio.testing.wait_all_tasks_blocked(0.05)
            assert pacs.ended == 0
            nursery.cancel_scope.cancel()
        await trio.testing.wait_all_tasks_blocked(0.05)
        assert pacs.ended == 1


async def test_the_last_reader_who_leaves_ends_the_retrieve(tmp_path):
    pacs = Pacs(goes_on=trio.Event())
    async with cache(pacs, tmp_path) as retrieves:
        async with retrieves.retrieve(a_get()) as first:
            async with retrieves.retrieve(a_get()) as second:
                await second.wait()
            await first.wait()
            assert pacs.ended == 0
        await trio.testing.wait_all_tasks_blocked(0.05)
        assert pacs.ended == 1


async def test_a_reader_who_is_cancelled_does_not_hurt_the_others(tmp_path):
    goes_on = trio.Event()
    pacs = Pacs(goes_on=goes_on)
    async with cache(pacs, tmp_path) as retrieves:
        async with retrieves.retrieve(a_get()) as patient:
            with trio.move_on_after(0.05):
                await take(retrieves, a_get())
            goes_on.set()
            assert len(await uids(patient)) == 3
        assert len(pacs.asked) == 1


@pytest.mark.parametrize("given", [0, 2])
@pytest.mark.parametrize(
    ("outcome", "raised"),
    [(UpstreamError("dead", peer="PACS"), UpstreamError), (None, StreamBroken)],
)
async def test_each_reader_gets_the_failure_behind_what_came(tmp_path, given, outcome, raised):
    goes_on = trio.Event()
    pacs = Pacs(
        lambda request: [instance(n) for n in range(given)], outcome=outcome, goes_on=goes_on
    )
    failures: list[Exception] = []
    came: list[int] = []

    async def reader(retrieves: Retrieves) -> None:
        async with retrieves.retrieve(a_get()) as retrieved:
            count = 0
            try:
                async for _ in retrieved:
                    count += 1
            except (UpstreamError, StreamBroken) as exc:
                failures.append(exc)
            came.append(count)
            assert not retrieved.has_ended

    async with cache(pacs, tmp_path) as retrieves:
        async with trio.open_nursery() as nursery:
            for _ in range(3):
                nursery.start_soon(reader, retrieves)
            await trio.testing.wait_all_tasks_blocked(0.05)
            goes_on.set()
    assert came == [given] * 3
    assert [type(each) for each in failures] == [raised] * 3
    assert len({id(each) for each in failures}) == 3
    assert all(getattr(each, "peer", "PACS") == "PACS" for each in failures)


async def test_a_fault_of_ours_reaches_the_reader_and_harms_nobody_else(tmp_path):
    pacs = Pacs(outcome=ZeroDivisionError("ours"))
    async with cache(pacs, tmp_path) as retrieves:
        with pytest.raises(RuntimeError, match="error of its own"):
            await take(retrieves, a_get())
        assert await take(retrieves, an_image(1)) == ["1.2.3.1"]  # what came is whole


async def test_a_failed_retrieve_is_not_joined(tmp_path):
    pacs = Pacs(lambda request: [], outcome=UpstreamError("dead"))
    async with cache(pacs, tmp_path) as retrieves:
        for _ in range(2):
            with pytest.raises(UpstreamError):
                await take(retrieves, a_get())
        assert len(pacs.asked) == 2


async def test_a_partial_outcome_is_told(tmp_path):
    partial = Outcome(completion=Completion.PARTIAL, status=0xB000)
    async with cache(Pacs(outcome=partial), tmp_path) as retrieves:
        async with retrieves.retrieve(a_get()) as retrieved:
            await uids(retrieved)
            assert retrieved.outcome == partial


async def test_nothing_is_kept_where_nothing_may_be(tmp_path):
    pacs = Pacs()
    async with cache(pacs, tmp_path, NOTHING_KEPT) as retrieves:
        async with retrieves.retrieve(a_get()) as retrieved:
            async for _ in retrieved:
                assert files(tmp_path)
        assert files(tmp_path) == []
        await take(retrieves, an_image(1))
        assert len(pacs.asked) == 2


async def test_the_least_recently_used_goes_first(tmp_path):
    one = len(data_of("1.2.3.1"))
    limits = dataclasses.replace(LIMITS, keep_bytes=2 * one)
    pacs = Pacs()
    async with cache(pacs, tmp_path, limits) as retrieves:
        await take(retrieves, an_image(1))
        await take(retrieves, an_image(2))
        await take(retrieves, an_image(1))
        await take(retrieves, an_image(3))
        assert [retrieves.keeps(an_image(n)) for n in (1, 2, 3)] == [True, False, True]
        assert len(files(tmp_path)) == 2


async def test_what_nobody_asks_for_in_time_goes(tmp_path):
    limits = dataclasses.replace(LIMITS, keep_seconds=0.5)
    async with cache(Pacs(), tmp_path, limits) as retrieves:
        await take(retrieves, an_image(1))
        assert retrieves.keeps(an_image(1))
        while retrieves.keeps(an_image(1)):
            await trio.sleep(0.05)
        assert files(tmp_path) == []


async def test_an_instance_that_is_read_outlives_its_time(tmp_path):
    limits = dataclasses.replace(LIMITS, keep_seconds=0.1)
    async with cache(Pacs(), tmp_path, limits) as retrieves:
        async with retrieves.retrieve(an_image(1)) as retrieved:
            kept = await anext(retrieved)
            await trio.sleep(1)
            with kept.view() as view:
                assert view[:] == data_of("1.2.3.1")


async def test_a_retrieve_waits_for_a_slow_reader_and_goes_on_when_it_reads(tmp_path):
    one = len(data_of("1.2.3.1"))
    limits = dataclasses.replace(NOTHING_KEPT, ahead_bytes=3 * one)
    pacs = Pacs(lambda request: [instance(n) for n in range(1, 10)] + [instance(10)])
    async with cache(pacs, tmp_path, limits) as retrieves:
        async with retrieves.retrieve(a_get()) as retrieved:
            await retrieved.wait()
            await trio.testing.wait_all_tasks_blocked(0.1)
            assert 3 <= len(files(tmp_path)) <= 5
            ahead = pacs.given
            assert ahead < 10
            assert len(await uids(retrieved)) == 10


async def test_a_retrieve_goes_on_where_there_is_room_to_keep(tmp_path):
    pacs = Pacs(lambda request: [instance(n) for n in range(1, 10)] + [instance(10)])
    limits = dataclasses.replace(LIMITS, ahead_bytes=1)
    async with cache(pacs, tmp_path, limits) as retrieves:
        async with retrieves.retrieve(a_get()) as retrieved:
            await retrieved.wait()
            while not retrieved.has_ended:
                await trio.sleep(0.01)
            assert len(files(tmp_path)) == 10


async def test_who_comes_when_the_beginning_is_gone_asks_anew(tmp_path):
    one = len(data_of("1.2.3.1"))
    limits = dataclasses.replace(NOTHING_KEPT, ahead_bytes=one)
    goes_on = trio.Event()
    pacs = Pacs(goes_on=goes_on)
    async with cache(pacs, tmp_path, limits) as retrieves:
        async with retrieves.retrieve(a_get()) as retrieved:
            await anext(retrieved)
            await anext(retrieved)
            goes_on.set()
            assert len(await take(retrieves, a_get())) == 3
        assert len(pacs.asked) == 2


async def test_more_retrieves_than_there_may_be_wait_in_order(tmp_path):
    goes_on = trio.Event()
    pacs = Pacs(goes_on=goes_on)
    limits = dataclasses.replace(LIMITS, retrieves=1)
    async with cache(pacs, tmp_path, limits) as retrieves:
        async with trio.open_nursery() as nursery:
            for number in range(6):
                nursery.start_soon(take, retrieves, an_image(number))
                await trio.testing.wait_all_tasks_blocked()
            assert len(pacs.asked) == 1
            goes_on.set()
        asked = [key.values for request in pacs.asked for key in request.query.keys]
        numbers = [values[0] for values in asked if values[0].count(".") == 3]
        assert numbers == [f"1.2.3.{number}" for number in range(6)]


async def test_many_readers_of_few_instances_cost_an_exchange_each(tmp_path):
    pacs = Pacs()
    async with cache(pacs, tmp_path) as retrieves:
        async with trio.open_nursery() as nursery:
            for number in range(200):
                nursery.start_soon(take, retrieves, an_image(number % 20))
        assert len(pacs.asked) == 20


async def test_the_first_instance_has_a_deadline(tmp_path):
    pacs = Pacs(lambda request: [], goes_on=trio.Event())
    async with cache(pacs, tmp_path) as retrieves:
        with pytest.raises(DeadlineExceeded):
            await take(retrieves, a_get(deadline=trio.current_time() + 0.1))
        await trio.testing.wait_all_tasks_blocked(0.05)
        assert pacs.ended == 1


async def test_an_instance_that_breaks_off_leaves_no_file(tmp_path):
    async def half() -> AsyncIterator[bytes]:
        yield data_of("1.2.3.1")[:500]
        raise StreamBroken("cut")

    broken = dataclasses.replace(instance(1), data=half())
    async with cache(Pacs(lambda request: [broken]), tmp_path) as retrieves:
        with pytest.raises(StreamBroken):
            await take(retrieves, a_get())
        assert files(tmp_path) == []
        assert not retrieves.keeps(an_image(1))


async def test_an_empty_instance_is_kept_too(tmp_path):
    empty = dataclasses.replace(instance(1), data=WholeBytes(b""))
    async with cache(Pacs(lambda request: [empty]), tmp_path) as retrieves:
        async with retrieves.retrieve(a_get()) as retrieved:
            kept = await anext(retrieved)
            assert [chunk async for chunk in kept.data] == []
            with kept.view() as view:
                assert view == b""
            assert kept.instance().size == 0


# In memory


async def test_small_instances_lie_in_memory_as_far_as_there_is_room(tmp_path):
    limits = dataclasses.replace(LIMITS, memory_bytes=2 * SIZE + 200)
    async with cache(Pacs(), tmp_path, limits) as retrieves:
        assert await take(retrieves, a_get()) == ["1.2.3.1", "1.2.3.2", "1.2.3.3"]
        assert len(files(tmp_path)) == 1
        for number in (1, 2, 3):
            assert await take(retrieves, an_image(number)) == [f"1.2.3.{number}"]


async def test_what_leaves_the_memory_makes_room_there(tmp_path):
    limits = dataclasses.replace(LIMITS, keep_bytes=0, memory_bytes=SIZE + 100)
    async with cache(Pacs(), tmp_path, limits) as retrieves:
        for number in (1, 2, 3):
            async with retrieves.retrieve(an_image(number)) as retrieved:
                await anext(retrieved)
                assert files(tmp_path) == []
