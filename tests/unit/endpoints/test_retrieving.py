"""The counters of a retrieve are those of what really became of each instance."""

from __future__ import annotations

import dataclasses
import itertools

import pytest
import trio

from harmony.dimse.provider import Tally
from harmony.endpoints.retrieving import (
    Destination,
    Source,
    Traffic,
    retrieve_answer,
    retrieve_over,
    send_to,
)
from harmony.envelope import (
    ByteStream,
    Completion,
    Items,
    Operation,
    Originator,
    Outcome,
    Progress,
    Stored,
    StreamBroken,
    SubOperations,
)
from harmony.errors import HarmonyError, RequestError, UpstreamError
from harmony.pipeline import Pipeline, Route
from tests.support.fake_backend import FakeBackend, Once, instance, request

OK, WARNED, REFUSED = 0x0000, 0xB000, 0xA700


class Told:
    """A retrieval that keeps its tally at each step. Implements `provider.Retrieval`."""

    def __init__(self, statuses=()):
        self.tally = Tally()
        self.steps = []
        self.stored = []
        self._statuses = list(statuses)

    async def progress(self):
        tally = self.tally
        self.steps.append((tally.remaining, tally.completed, tally.failed, tally.warning))

    async def store(self, given):
        data = b"".join([chunk async for chunk in given.data])
        self.stored.append((given.sop_instance_uid, data))
        return self._statuses.pop(0) if self._statuses else OK


def remaining(number):
    return Progress(counters=SubOperations(remaining=number))


def broken(*items):
    """Items that stop without an outcome."""
    send, receive = trio.open_memory_channel(len(items))
    for item in items:
        send.send_nowait(item)
    send.close()
    return Items(receive)


class Shelf:
    """Stores what comes with the statuses given; a status may be an exception to raise."""

    def __init__(self, statuses=()):
        self.has = {}
        self.originators = []
        self.more_may_follow = None
        self._statuses = list(statuses)

    async def produce(self, asked, send):
        self.more_may_follow = asked.more_may_follow
        async for each in asked.body:
            self.originators.append(each.originator)
            status = self._statuses.pop(0) if self._statuses else OK
            if isinstance(status, Exception):
                raise status
            self.has[each.sop_instance_uid] = b"".join([chunk async for chunk in each.data])
            if status is not None:
                await send.send(
                    Stored(
                        sop_class_uid=each.sop_class_uid,
                        sop_instance_uid=each.sop_instance_uid,
                        status=status,
                    )
                )
        await send.send(Outcome())

    @property
    def destination(self):
        pipeline = Pipeline("to", [Route(FakeBackend(self.produce))])
        return Destination(aet="WS1", exchange=pipeline.exchange)


async def over(items, statuses=(), *, told=None):
    """A C-GET; its retrieval and bytes."""
    told, traffic = told or Told(statuses), Traffic()
    source = Source(items, told.tally, traffic)
    try:
        await retrieve_over(source, told)
    except (HarmonyError, StreamBroken):
        source.fail()
        raise
    return told, traffic


async def to(shelf, items, told=None):
    """A C-MOVE; its retrieval and bytes."""
    told, traffic = told or Told(), Traffic()
    source = Source(items, told.tally, traffic, Originator("CALLER", 7))
    try:
        await send_to(shelf.destination, source, told, store=request(Operation.STORE))
    except (HarmonyError, StreamBroken):
        source.fail()
        raise
    return told, traffic


def counted(told):
    tally = told.tally
    return tally.remaining, tally.completed, tally.failed, tally.warning


@pytest.mark.parametrize("statuses", list(itertools.product((OK, WARNED, REFUSED), repeat=3)))
@pytest.mark.parametrize("how", ["get", "move"])
async def test_each_instance_counts_as_what_became_of_it(statuses, how):
    given = [instance(f"1.{n}", b"data") for n in range(3)]
    items = Items.of(remaining(3), *given, outcome=Outcome())
    told, traffic = await (over(items, statuses) if how == "get" else to(Shelf(statuses), items))
    expected = (0, statuses.count(OK), statuses.count(REFUSED), statuses.count(WARNED))
    assert counted(told) == expected
    assert [step[0] for step in told.steps] == [2, 1, 0]
    assert all(sum(step) == 3 for step in told.steps)
    failed = [f"1.{n}" for n, status in enumerate(statuses) if status == REFUSED]
    assert told.tally.failed_uids == failed
    assert traffic.bytes == 12
    answer = retrieve_answer(told.tally, items.outcome).status
    assert (answer == OK) is (statuses == (OK, OK, OK))
    assert (answer == 0xA702) is (statuses == (REFUSED, REFUSED, REFUSED))


async def test_what_remains_is_told_again_by_the_source():
    items = Items.of(
        remaining(5), instance("1.1"), remaining(7), instance("1.2"), outcome=Outcome()
    )
    told, _ = await over(items)
    assert [step[0] for step in told.steps] == [4, 6]


async def test_an_instance_more_than_was_told_makes_nothing_negative():
    items = Items.of(remaining(1), instance("1.1"), instance("1.2"), outcome=Outcome())
    told, _ = await over(items)
    assert [step[0] for step in told.steps] == [0, 0]
    assert counted(told) == (0, 2, 0, 0)


async def test_nobody_knows_what_remains_if_the_source_does_not_count():
    told, _ = await over(Items.of(instance("1.1"), instance("1.2"), outcome=Outcome()))
    assert [step[0] for step in told.steps] == [None, None]
    assert counted(told) == (0, 2, 0, 0)


async def test_no_instances_are_no_sub_operations():
    for told, _ in (
        await over(Items.of(outcome=Outcome())),
        await to(Shelf(), Items.of(outcome=Outcome())),
    ):
        assert counted(told) == (0, 0, 0, 0)
        assert not told.steps


@pytest.mark.parametrize(
    ("counters", "missing", "failed"),
    [
        (SubOperations(completed=1, failed=2), ("1.8", "1.9"), 2),
        (SubOperations(completed=1, failed=3), ("1.8",), 3),
        (SubOperations(completed=1), ("1.8", "1.9"), 2),
        (None, ("1.8",), 1),
        (SubOperations(completed=1, failed=2), (), 2),
    ],
)
@pytest.mark.parametrize("how", ["get", "move"])
async def test_what_the_source_could_not_give_has_failed(counters, missing, failed, how):
    outcome = Outcome(
        completion=Completion.PARTIAL, status=0xB000, counters=counters, missing=missing
    )
    items = Items.of(instance("1.1"), outcome=outcome)
    told, _ = await (over(items) if how == "get" else to(Shelf(), items))
    assert counted(told) == (0, 1, failed, 0)
    assert told.tally.failed_uids == list(missing)
    assert retrieve_answer(told.tally, outcome).status == 0xB000


def cut_short(uid):
    return dataclasses.replace(instance(uid), data=Once(b"da", failure=StreamBroken("gone")))


@pytest.mark.parametrize(
    ("given", "failed", "uids"),
    [
        ([remaining(5), instance("1.1")], 4, []),
        ([remaining(5), instance("1.1"), cut_short("1.2")], 4, ["1.2"]),
        ([instance("1.1"), cut_short("1.2")], 1, ["1.2"]),
    ],
    ids=["between instances", "in an instance", "in an instance, not counted"],
)
@pytest.mark.parametrize("how", ["get", "move"])
async def test_a_source_that_stops_fails_what_was_left(given, failed, uids, how):
    told = Told()
    with pytest.raises(StreamBroken):
        if how == "get":
            await over(broken(*given), told=told)
        else:
            await to(Shelf(), broken(*given), told)
    assert counted(told) == (0, 1, failed, 0)
    assert told.tally.failed_uids == uids


async def test_a_destination_that_fails_fails_what_is_under_way_and_left():
    gone = UpstreamError("the destination has gone")
    told = Told()
    items = Items.of(remaining(4), *(instance(f"1.{n}") for n in range(4)), outcome=Outcome())
    with pytest.raises(UpstreamError):
        await to(Shelf([OK, gone]), items, told)
    assert counted(told) == (0, 1, 3, 0)
    assert told.tally.failed_uids == ["1.1"]


async def test_an_instance_of_which_the_destination_says_nothing_has_failed():
    items = Items.of(instance("1.1"), instance("1.2"), outcome=Outcome())
    told, _ = await to(Shelf([OK, None]), items)
    assert counted(told) == (0, 1, 1, 0)
    assert told.tally.failed_uids == ["1.2"]
    assert retrieve_answer(told.tally, Outcome()).status == 0xB000


async def test_an_instance_that_the_destination_tells_twice_counts_once():
    class Twice(Shelf):
        async def produce(self, asked, send):
            async for each in asked.body:
                for uid in (each.sop_instance_uid, each.sop_instance_uid, "9.9"):
                    await send.send(
                        Stored(sop_class_uid=each.sop_class_uid, sop_instance_uid=uid, status=OK)
                    )
            await send.send(Outcome())

    told, _ = await to(Twice(), Items.of(instance("1.1"), outcome=Outcome()))
    assert counted(told) == (0, 1, 0, 0)


async def test_a_destination_may_take_the_next_before_it_tells_of_the_last():
    class Ahead(Shelf):
        async def produce(self, asked, send):
            taken = [each async for each in asked.body]
            for each in taken:
                await send.send(
                    Stored(
                        sop_class_uid=each.sop_class_uid,
                        sop_instance_uid=each.sop_instance_uid,
                        status=OK,
                    )
                )
            await send.send(Outcome())

    items = Items.of(remaining(3), *(instance(f"1.{n}") for n in range(3)), outcome=Outcome())
    told, _ = await to(Ahead(), items)
    assert told.steps == [(2, 1, 0, 0), (1, 2, 0, 0), (0, 3, 0, 0)]


async def test_each_instance_says_for_whom_it_is_moved():
    shelf = Shelf()
    await to(shelf, Items.of(instance("1.1"), instance("1.2"), outcome=Outcome()))
    assert shelf.originators == [Originator("CALLER", 7)] * 2


async def test_data_arrives_as_it_was_given():
    shelf = Shelf()
    given = [instance("1.1", b"one!"), instance("1.2", b"two!", repeatable=False)]
    await to(shelf, Items.of(*given, outcome=Outcome()))
    assert shelf.has == {"1.1": b"one!", "1.2": b"two!"}
    given = [instance("1.1", b"one!"), instance("1.2", b"two!", repeatable=False)]
    told, _ = await over(Items.of(*given, outcome=Outcome()))
    assert told.stored == [("1.1", b"one!"), ("1.2", b"two!")]


PARTIAL = Outcome(completion=Completion.PARTIAL, status=0xB000)


@pytest.mark.parametrize(
    ("tally", "outcome", "status"),
    [
        (Tally(), None, 0x0000),
        (Tally(), Outcome(), 0x0000),
        (Tally(completed=3), Outcome(), 0x0000),
        (Tally(completed=3), PARTIAL, 0xB000),
        (Tally(completed=2, failed=1), Outcome(), 0xB000),
        (Tally(completed=2, warning=1), Outcome(), 0xB000),
        (Tally(warning=1), Outcome(), 0xB000),
        (Tally(warning=1, failed=1), Outcome(), 0xB000),
        (Tally(failed=1), Outcome(), 0xA702),
        (Tally(), PARTIAL, 0xA702),
    ],
)
def test_the_final_response_says_whether_all_is_done(tally, outcome, status):
    answer = retrieve_answer(tally, outcome)
    assert answer.status == status
    assert bool(answer.comment) is (status != 0)
    assert len(answer.comment) <= 64


async def test_an_instance_that_cannot_be_sent_is_not_the_callers_fault():
    damaged = RequestError("an odd number of bytes", code="unreadable-instance")
    items = Items.of(instance("1.1"), instance("1.2"), outcome=Outcome())
    with pytest.raises(UpstreamError) as caught:
        await to(Shelf([OK, damaged]), items)
    assert caught.value.code == "unreadable-instance"


async def one_after_the_other(send, numbers):
    """A source that gives an instance only when the one before has been read, as C-GET does."""
    with send:
        for number in numbers:
            data_in, data = trio.open_memory_channel(0)
            given = instance(f"1.{number}", b"", repeatable=False)
            await send.send(dataclasses.replace(given, data=ByteStream(data)))
            for piece in (b"one!", b"two!", None):
                await data_in.send(piece)
        await send.send(Outcome())


class Unread:
    """A destination that refuses everything, each after so many pieces."""

    def __init__(self, pieces):
        self._pieces = pieces

    async def produce(self, asked, send):
        async for each in asked.body:
            reader = aiter(each.data)
            for _ in range(self._pieces):
                await anext(reader)
            await send.send(
                Stored(
                    sop_class_uid=each.sop_class_uid,
                    sop_instance_uid=each.sop_instance_uid,
                    status=0x0122,
                )
            )
        await send.send(Outcome())

    destination = Shelf.destination


@pytest.mark.parametrize("pieces", [0, 1, 2])
async def test_what_a_destination_refuses_unread_does_not_hold_up_the_source(pieces, nursery):
    send, receive = trio.open_memory_channel(0)
    nursery.start_soon(one_after_the_other, send, (1, 2, 3))
    with trio.fail_after(5):
        told, traffic = await to(Unread(pieces), Items(receive))
    assert told.tally.failed == 3
    assert told.tally.failed_uids == ["1.1", "1.2", "1.3"]
    assert traffic.bytes == 3 * 4 * pieces


async def test_what_a_caller_cannot_take_does_not_hold_up_the_source(nursery):
    class Refuses(Told):
        async def store(self, given):
            return 0x0122

    send, receive = trio.open_memory_channel(0)
    nursery.start_soon(one_after_the_other, send, (1, 2, 3))
    with trio.fail_after(5):
        told, traffic = await over(Items(receive), told=Refuses())
    assert told.tally.failed == 3
    assert traffic.bytes == 0


async def test_a_move_leaves_its_destination_when_it_is_over():
    shelf = Shelf()
    await to(shelf, Items.of(instance("1.1"), outcome=Outcome()))
    assert shelf.more_may_follow is False
