"""Runs of instances on few associations: what is proposed, refused, held and tried again."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Generic, TypeVar

import pytest
import trio
import trio.testing

from harmony.backends.storing import Recent, Remembered, Storer
from harmony.dimse.failures import NotAnswered
from harmony.dimse.link import Context
from harmony.dimse.pool import AssociationPool, PoolLimits
from harmony.envelope import Instance, Stored, WholeBytes
from harmony.errors import UpstreamError
from harmony.upper_layer.commands import CommandField
from tests.support.scripted_link import CLOSED, Answer, ScriptedEngine, ScriptedLink, Step, target

T = TypeVar("T")

CT = "1.2.840.10008.5.1.4.1.1.2"
MR = "1.2.840.10008.5.1.4.1.1.4"
EXPLICIT, RLE = "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.5"
STORED = Answer(field=CommandField.C_STORE_RSP, status=0)


class Once(Generic[T]):
    """Items that can be iterated once."""

    def __init__(self, items: Sequence[T]) -> None:
        self._items = list(items)

    def __aiter__(self) -> Once[T]:
        return self

    async def __anext__(self) -> T:
        await trio.lowlevel.checkpoint()
        if not self._items:
            raise StopAsyncIteration
        return self._items.pop(0)


def instance(uid: str, kind: tuple[str, str] = (CT, EXPLICIT)) -> Instance:
    return Instance(
        sop_class_uid=kind[0],
        sop_instance_uid=uid,
        transfer_syntax=kind[1],
        data=WholeBytes(b"pixels"),
        repeatable=True,
    )


def read_once(uid: str, size: int = 6) -> Instance:
    return Instance(
        sop_class_uid=CT,
        sop_instance_uid=uid,
        transfer_syntax=EXPLICIT,
        data=Once([bytes(2), bytes(size - 2)]),
    )


def link(script: Sequence[Step], *kinds: tuple[str, str]) -> ScriptedLink:
    accepted = {
        2 * i + 1: Context(2 * i + 1, *kind) for i, kind in enumerate(kinds or [(CT, EXPLICIT)])
    }
    return ScriptedLink(script, accepted)


class Peer:
    """A PACS of scripted links, and a storer before it."""

    def __init__(self, *links: ScriptedLink) -> None:
        self.engine = ScriptedEngine(*links)
        self.pool = AssociationPool("pacs", target(), PoolLimits(), self.engine)
        self.storer = Storer(self.pool)

    async def store(self, *instances: Instance, keep: bool = True) -> list[tuple[str, int]]:
        told: list[tuple[str, int]] = []

        async def report(stored: Stored) -> None:
            told.append((stored.sop_instance_uid, stored.status))

        await self.storer.store(Once(instances), report, keep=keep)
        return told

    @property
    def proposed(self) -> list[list[tuple[str, str]]]:
        return [
            [(each.abstract_syntax, each.transfer_syntaxes[0]) for each in proposals]
            for proposals in self.engine.proposals
        ]


def uids(*links: ScriptedLink) -> list[list[str | None]]:
    return [[sent.command.affected_sop_instance_uid for sent in each.sent] for each in links]


async def test_requests_one_after_the_other_share_an_association() -> None:
    only = link([STORED] * 3)
    peer = Peer(only)
    async with peer.pool.run():
        assert await peer.store(instance("1.1"), instance("1.2")) == [("1.1", 0), ("1.2", 0)]
        assert await peer.store(instance("1.3")) == [("1.3", 0)]
    assert uids(only) == [["1.1", "1.2", "1.3"]]


async def test_after_a_run_that_nothing_follows_the_association_is_released() -> None:
    only = link([STORED] * 2)
    peer = Peer(only)
    async with peer.pool.run():
        await peer.store(instance("1.1"), instance("1.2"), keep=False)
        await trio.testing.wait_all_tasks_blocked()
        assert only.released
        assert peer.pool.usage.idle == 0


async def test_a_new_association_proposes_what_was_sent_lately_newest_first() -> None:
    first = link([STORED])
    second = link([STORED] * 3, (CT, EXPLICIT), (MR, EXPLICIT))
    peer = Peer(first, second)
    async with peer.pool.run():
        await peer.store(instance("1.1"), instance("1.2", (MR, EXPLICIT)))
        await peer.store(instance("1.3"), instance("1.4", (MR, EXPLICIT)))
    first_proposed, second_proposed = peer.proposed
    assert first_proposed[0] == (CT, EXPLICIT)
    assert second_proposed[:2] == [(MR, EXPLICIT), (CT, EXPLICIT)]
    assert uids(first)[0] + uids(second)[0] == ["1.1", "1.2", "1.3", "1.4"]


async def test_each_proposed_context_has_one_transfer_syntax() -> None:
    peer = Peer(link([STORED]), link([STORED], (CT, RLE), (CT, EXPLICIT)))
    async with peer.pool.run():
        await peer.store(instance("1.1"), instance("1.2", (CT, RLE)))
    assert {len(each.transfer_syntaxes) for each in peer.engine.proposals[1]} == {1}
    assert peer.proposed[1][:2] == [(CT, RLE), (CT, EXPLICIT)]


async def test_what_the_pacs_takes_no_context_for_is_refused_alone() -> None:
    first, second = link([STORED]), link([STORED] * 2)
    peer = Peer(first, second)
    async with peer.pool.run():
        told = await peer.store(
            instance("1.1"), instance("1.2", (MR, EXPLICIT)), instance("1.3"), instance("1.4")
        )
    assert told == [("1.1", 0), ("1.2", 0x0122), ("1.3", 0), ("1.4", 0)]
    assert uids(first, second) == [["1.1"], ["1.3", "1.4"]]


async def test_a_refusal_is_not_asked_for_again_while_its_association_lasts() -> None:
    peer = Peer(link([STORED]), link([STORED]))
    refused = instance("1.2", (MR, EXPLICIT))
    async with peer.pool.run():
        assert await peer.store(instance("1.1")) == [("1.1", 0)]
        assert await peer.store(refused) == [("1.2", 0x0122)]
        assert await peer.store(refused, instance("1.3")) == [("1.2", 0x0122), ("1.3", 0)]
        assert await peer.store(refused) == [("1.2", 0x0122)]
    assert len(peer.engine.proposals) == 2


async def test_an_association_that_takes_nothing_is_not_held_and_the_next_asks_anew() -> None:
    nothing = ScriptedLink([], {})
    peer = Peer(nothing, link([STORED]))
    async with peer.pool.run():
        assert await peer.store(instance("1.1"), instance("1.2")) == [
            ("1.1", 0x0122),
            ("1.2", 0x0122),
        ]
        assert await peer.store(instance("1.1")) == [("1.1", 0)]
    assert nothing.released


@pytest.mark.parametrize(
    "second",
    [instance("1.2"), read_once("1.2"), read_once("1.2", 100_000)],
    ids=["repeatable", "short", "in one chunk more"],
)
async def test_a_held_association_that_is_dead_costs_nothing(second: Instance) -> None:
    dead, fresh = link([STORED, CLOSED]), link([STORED])
    peer = Peer(dead, fresh)
    async with peer.pool.run():
        await peer.store(instance("1.1"))
        assert await peer.store(second) == [("1.2", 0)]
    assert fresh.sent[0].data == dead.sent[1].data


async def test_one_that_dies_within_a_request_is_replaced_too() -> None:
    peer = Peer(link([STORED, CLOSED]), link([STORED] * 2))
    async with peer.pool.run():
        told = await peer.store(instance("1.1"), instance("1.2"), instance("1.3"))
    assert told == [("1.1", 0), ("1.2", 0), ("1.3", 0)]


async def test_a_long_instance_that_can_be_read_once_is_not_tried_again() -> None:
    peer = Peer(link([STORED, CLOSED]), link([STORED]))
    async with peer.pool.run():
        await peer.store(instance("1.1"))
        with pytest.raises(NotAnswered):
            await peer.store(read_once("1.2", 2_000_000))
    assert len(peer.engine.proposals) == 1


async def test_a_fresh_association_that_dies_is_a_failure_at_once() -> None:
    peer = Peer(link([CLOSED]), link([STORED]))
    async with peer.pool.run():
        with pytest.raises(UpstreamError):
            await peer.store(instance("1.1"))
    assert len(peer.engine.proposals) == 1


async def test_one_that_dies_twice_is_a_failure() -> None:
    peer = Peer(link([STORED, CLOSED]), link([CLOSED]), link([STORED]))
    async with peer.pool.run():
        await peer.store(instance("1.1"))
        with pytest.raises(UpstreamError):
            await peer.store(instance("1.2"))
    assert len(peer.engine.proposals) == 2


async def test_a_fresh_one_that_no_longer_takes_the_instance_refuses_it() -> None:
    peer = Peer(link([STORED, CLOSED]), link([], (MR, EXPLICIT)))
    async with peer.pool.run():
        await peer.store(instance("1.1"))
        assert await peer.store(instance("1.2")) == [("1.2", 0x0122)]


async def test_a_failure_status_is_told_and_the_run_goes_on() -> None:
    refusing = Answer(field=CommandField.C_STORE_RSP, status=0xA700)
    peer = Peer(link([refusing, STORED]))
    async with peer.pool.run():
        assert await peer.store(instance("1.1"), instance("1.2")) == [("1.1", 0xA700), ("1.2", 0)]


async def test_requests_at_the_same_time_have_an_association_each() -> None:
    peer = Peer(link([STORED] * 2), link([STORED] * 2))
    async with peer.pool.run():
        async with trio.open_nursery() as nursery:
            nursery.start_soon(peer.store, instance("1.1"))
            nursery.start_soon(peer.store, instance("1.2"))
        assert len(peer.engine.proposals) == 2
        assert peer.pool.usage.idle == 2


def test_what_was_sent_lately_is_bounded_and_newest_first() -> None:
    recent = Recent(most=3)
    for number in (1, 2, 3, 4, 2):
        recent.add((f"1.{number}", EXPLICIT))
    assert [uid for uid, _ in recent] == ["1.2", "1.4", "1.3"]
    recent.drop(("1.4", EXPLICIT))
    recent.drop(("1.9", EXPLICIT))
    assert [uid for uid, _ in recent] == ["1.2", "1.3"]


async def _all(data: Remembered) -> bytes:
    return b"".join([chunk async for chunk in data])


@pytest.mark.parametrize("read_before", [0, 1, 2, 3])
async def test_short_data_can_be_read_again_from_wherever_it_was_left(read_before: int) -> None:
    data = Remembered(Once([b"a", b"b", b"c"]), limit=3)
    reader = aiter(data)
    for _ in range(read_before):
        await anext(reader)
    assert data.is_whole
    assert await _all(data) == b"abc"
    assert await _all(data) == b"abc"


async def test_longer_data_says_that_it_cannot() -> None:
    data = Remembered(Once([b"a", b"bcd", b"e"]), limit=3)
    assert await _all(data) == b"abcde"
    assert not data.is_whole
