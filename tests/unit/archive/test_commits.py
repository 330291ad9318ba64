"""Many commits at one time."""

import pytest
import trio

from harmony.archive import commits
from harmony.archive.arrivals import OUT_OF_RESOURCES, Entry
from harmony.archive.commits import MOST_AT_ONCE, Commits, NotCommitted
from harmony.archive.index import Decision, Verdict

ADDED = Decision(Verdict.ADDED)


def entry(number=0):
    return Entry(
        file=f"{number:032x}",
        sop_class_uid="1.2",
        sop_instance_uid=f"1.2.{number}",
        transfer_syntax="1.2",
        head_bytes=0,
        size=0,
        sha256=b"",
        values={},
    )


class SlowIndex:
    """Commits when it is let go."""

    def __init__(self):
        self.batches = []
        self.begun = trio.Event()
        self.go_on = trio.Event()
        self.failure = None

    async def __call__(self, entries):
        self.batches.append([each.file for each in entries])
        self.begun.set()
        await self.go_on.wait()
        if self.failure is not None:
            raise self.failure
        return [ADDED] * len(entries)


async def test_what_comes_while_a_commit_runs_goes_into_the_next_one(autojump_clock):
    index = SlowIndex()
    joined = Commits(index)
    decisions = []

    async def one(number):
        decisions.append(await joined.commit(entry(number)))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(one, 0)
        await index.begun.wait()
        for number in range(1, MOST_AT_ONCE + 10):
            nursery.start_soon(one, number)
        await trio.testing.wait_all_tasks_blocked()
        index.go_on.set()
    assert [len(batch) for batch in index.batches] == [1, MOST_AT_ONCE, 9]
    assert decisions == [ADDED] * (MOST_AT_ONCE + 10)


async def test_a_failure_is_told_to_everybody_in_the_commit_and_nobody_else():
    index = SlowIndex()
    joined = Commits(index)
    index.failure = RuntimeError("as a test wants it")
    index.go_on.set()
    with pytest.raises(RuntimeError):
        await joined.commit(entry())
    index.failure = None
    assert await joined.commit(entry()) == ADDED


@pytest.mark.parametrize("who", ["the one that commits", "one that waits"])
async def test_a_commit_that_has_begun_is_seen_to_its_end(autojump_clock, who):
    index = SlowIndex()
    joined = Commits(index)
    told = []

    async def one(number, scope):
        with scope:
            told.append((number, await joined.commit(entry(number))))

    first, second = trio.CancelScope(), trio.CancelScope()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(one, 1, first)
        await index.begun.wait()
        nursery.start_soon(one, 2, second)
        await trio.testing.wait_all_tasks_blocked()
        (first if who == "the one that commits" else second).cancel()
        await trio.testing.wait_all_tasks_blocked()
        index.go_on.set()
    assert sorted(told) == [(1, ADDED), (2, ADDED)]


async def test_who_waits_too_long_is_told_that_nothing_was_committed(autojump_clock, monkeypatch):
    monkeypatch.setattr(commits, "COMMIT_SECONDS", 5.0)
    index = SlowIndex()
    joined = Commits(index)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(joined.commit, entry(1))
        await index.begun.wait()
        with pytest.raises(NotCommitted) as caught:
            await joined.commit(entry(2))
        assert caught.value.status == OUT_OF_RESOURCES
        index.go_on.set()
    assert index.batches == [[entry(1).file]]
