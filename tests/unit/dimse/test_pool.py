"""Places, waiting, holding: what is lent, what is kept, and what is never kept."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest
import trio
import trio.lowlevel
import trio.testing

from harmony.dimse.association import Association
from harmony.dimse.contexts import for_queries
from harmony.dimse.link import Context, Link, Proposal
from harmony.dimse.pool import AssociationPool, PoolLimits, Usage
from harmony.dimse.target import Target
from harmony.errors import Unavailable, UpstreamError
from harmony.upper_layer.commands import CommandField
from tests.support.scripted_link import CLOSED, CONTEXTS, Answer, ScriptedLink, Step, target

ECHO = Answer(field=CommandField.C_ECHO_RSP, status=0)


class FakeLink(ScriptedLink):
    """Answers echoes, and can be disturbed."""

    def __init__(
        self, script: Sequence[Step], contexts: Mapping[int, Context], release_seconds: float
    ) -> None:
        super().__init__(script, contexts)
        self._release_seconds = release_seconds
        self.disturbed = trio.Event()

    async def wait_disturbed(self) -> None:
        await self.disturbed.wait()

    async def release(self) -> None:
        await trio.sleep(self._release_seconds)
        await super().release()


class FakeEngine:
    """Opens links as an engine does, and remembers them."""

    def __init__(self) -> None:
        self.links: list[FakeLink] = []
        self.script: list[Step] = [ECHO] * 10
        self.contexts: Mapping[int, Context] = CONTEXTS
        self.release_seconds = 0.0
        self.most_open = 0
        self._open = 0
        self.failure: UpstreamError | None = None

    async def __call__(
        self,
        target: Target,
        proposals: Sequence[Proposal],
        /,
        *,
        task_status: trio.TaskStatus[Link],
    ) -> None:
        await trio.lowlevel.checkpoint()
        if self.failure is not None:
            raise self.failure
        link = FakeLink(self.script, self.contexts, self.release_seconds)
        self.links.append(link)
        self._open += 1
        self.most_open = max(self.most_open, self._open)
        task_status.started(link)
        try:
            await link.ended.wait()
        finally:
            self._open -= 1
            link.hung_up = link.hung_up or not link.released


@pytest.fixture
def engine() -> FakeEngine:
    return FakeEngine()


def pool_of(engine: FakeEngine, **limits: float) -> AssociationPool:
    return AssociationPool("pacs", target(), PoolLimits(**limits), engine)  # type: ignore[arg-type]


async def echo(pool: AssociationPool, purpose: str = "q") -> None:
    async with pool.borrow(purpose, for_queries) as association:
        await association.echo()


async def test_an_association_in_order_is_held_and_lent_again(engine: FakeEngine) -> None:
    pool = pool_of(engine)
    async with pool.run():
        await echo(pool)
        assert pool.usage == Usage(busy=0, idle=1, waiting=0)
        await echo(pool)
        assert len(engine.links) == 1
    assert engine.links[0].released, "the farewell is polite"


async def test_another_purpose_gets_an_association_of_its_own(engine: FakeEngine) -> None:
    pool = pool_of(engine)
    async with pool.run():
        await echo(pool, "q")
        await echo(pool, "g")
        assert len(engine.links) == 2


async def test_a_held_association_is_released_when_its_time_is_over(
    engine: FakeEngine, autojump_clock: trio.testing.MockClock
) -> None:
    pool = pool_of(engine, keep_seconds=5)
    async with pool.run():
        await echo(pool)
        await trio.sleep(6)
        assert engine.links[0].released
        assert pool.usage.idle == 0


async def test_a_held_association_that_the_peer_disturbs_is_given_up(engine: FakeEngine) -> None:
    pool = pool_of(engine)
    async with pool.run():
        await echo(pool)
        engine.links[0].disturbed.set()
        await trio.testing.wait_all_tasks_blocked()
        assert pool.usage.idle == 0
        await echo(pool)
        assert len(engine.links) == 2


async def test_no_more_than_the_limit_are_held(engine: FakeEngine) -> None:
    pool = pool_of(engine, keep_associations=1)
    async with pool.run():
        async with trio.open_nursery() as nursery:
            for _ in range(3):
                nursery.start_soon(echo, pool)
        await trio.testing.wait_all_tasks_blocked()
        assert pool.usage.idle == 1
        assert sum(link.released for link in engine.links) == len(engine.links) - 1


async def test_the_one_used_last_is_held_rather_than_the_oldest(engine: FakeEngine) -> None:
    pool = pool_of(engine, keep_associations=1)
    async with pool.run():
        await echo(pool, "q")
        await echo(pool, "g")
        await trio.testing.wait_all_tasks_blocked()
        assert [link.released for link in engine.links] == [True, False]
        await echo(pool, "g")
        assert len(engine.links) == 2


async def test_a_held_one_is_lent_only_if_it_fits(engine: FakeEngine) -> None:
    pool = pool_of(engine)
    async with pool.run():
        await echo(pool)
        async with pool.borrow("q", for_queries, fits=lambda association: False):
            assert len(engine.links) == 2
        async with pool.borrow("q", for_queries, fits=lambda association: association.was_used):
            assert len(engine.links) == 2


async def test_one_on_which_the_peer_accepts_nothing_is_not_held(engine: FakeEngine) -> None:
    engine.contexts = {}
    pool = pool_of(engine)
    async with pool.run():
        async with pool.borrow("q", for_queries):
            pass
        assert pool.usage.idle == 0


async def test_asking_on_a_held_one_that_is_dead_asks_once_more_on_a_fresh_one(
    engine: FakeEngine,
) -> None:
    pool = pool_of(engine)
    async with pool.run():
        engine.script = [ECHO, CLOSED]
        await pool.ask("q", for_queries, Association.echo)
        engine.script = [ECHO]
        await pool.ask("q", for_queries, Association.echo)
        assert len(engine.links) == 2


async def test_asking_does_not_repeat_what_failed_on_a_fresh_one(engine: FakeEngine) -> None:
    pool = pool_of(engine)
    engine.script = [CLOSED]
    async with pool.run():
        with pytest.raises(UpstreamError):
            await pool.ask("q", for_queries, Association.echo)
        assert len(engine.links) == 1


async def test_after_a_failure_in_the_block_the_association_is_not_held(
    engine: FakeEngine,
) -> None:
    pool = pool_of(engine)
    async with pool.run():
        with pytest.raises(RuntimeError, match="mine"):
            async with pool.borrow("q", for_queries) as association:
                association.hang_up()
                raise RuntimeError("mine")
        assert pool.usage == Usage(busy=0, idle=0, waiting=0)
        assert engine.links[0].hung_up


async def test_cancelled_in_an_operation_the_association_is_hung_up(engine: FakeEngine) -> None:
    pool = pool_of(engine)
    async with pool.run():
        with trio.CancelScope() as scope:
            async with pool.borrow("q", for_queries) as association:
                scope.cancel()
                await association.echo()
        assert engine.links[0].hung_up
        assert pool.usage.busy == 0


async def test_the_next_request_waits_for_a_place_and_gets_it(engine: FakeEngine) -> None:
    pool = pool_of(engine, max_associations=1)
    async with pool.run(), trio.open_nursery() as nursery:
        async with pool.borrow("q", for_queries):
            nursery.start_soon(echo, pool)
            await trio.testing.wait_all_tasks_blocked()
            assert pool.usage == Usage(busy=1, idle=0, waiting=1)
        with trio.fail_after(5):
            while pool.usage.waiting or pool.usage.busy:
                await trio.lowlevel.checkpoint()


async def test_a_wait_that_takes_too_long_is_503_with_a_retry_after(
    engine: FakeEngine, autojump_clock: trio.testing.MockClock
) -> None:
    pool = pool_of(engine, max_associations=1, wait_seconds=3)
    async with pool.run(), pool.borrow("q", for_queries):
        with pytest.raises(Unavailable) as caught:
            await echo(pool)
    assert caught.value.http_status == 503
    assert caught.value.retry_after > 0


async def test_a_full_queue_is_503_at_once(engine: FakeEngine) -> None:
    pool = pool_of(engine, max_associations=1, max_waiting=0)
    async with pool.run(), pool.borrow("q", for_queries):
        with pytest.raises(Unavailable):
            await echo(pool)


async def test_a_held_association_makes_room_for_another_purpose(engine: FakeEngine) -> None:
    pool = pool_of(engine, max_associations=1)
    async with pool.run():
        await echo(pool, "q")
        async with pool.borrow("g", for_queries):
            await trio.testing.wait_all_tasks_blocked()
            assert pool.usage.idle == 0
            assert engine.links[0].released


async def test_never_more_are_open_than_allowed_not_even_while_some_are_closing(
    engine: FakeEngine, autojump_clock: trio.testing.MockClock
) -> None:
    engine.release_seconds = 0.3
    pool = pool_of(engine, max_associations=2, max_waiting=99, wait_seconds=99)
    async with pool.run():
        for _ in range(3):
            async with trio.open_nursery() as nursery:
                for purpose in "abcdef":
                    nursery.start_soon(echo, pool, purpose)
    assert engine.most_open == 2


async def test_one_that_is_about_to_close_counts_before_it_has_begun_to(
    engine: FakeEngine, autojump_clock: trio.testing.MockClock
) -> None:
    engine.release_seconds = 0.3
    pool = pool_of(engine, max_associations=1, keep_associations=0, wait_seconds=99)
    async with pool.run():
        for _ in range(20):
            await echo(pool)  # the next one asks before the closing task has had a turn
    assert engine.most_open == 1


async def test_no_association_is_a_failure_and_gives_its_place_back(engine: FakeEngine) -> None:
    pool = pool_of(engine, max_associations=1)
    engine.failure = UpstreamError("refused")
    async with pool.run():
        with pytest.raises(UpstreamError, match="refused"):
            await echo(pool)
        engine.failure = None
        await echo(pool)


async def test_a_fresh_one_is_opened_although_one_is_held(engine: FakeEngine) -> None:
    pool = pool_of(engine)
    async with pool.run():
        await echo(pool)
        async with pool.borrow("q", for_queries, fresh=True) as association:
            await association.echo()
        assert len(engine.links) == 2


async def test_outside_its_run_block_the_pool_lends_nothing(engine: FakeEngine) -> None:
    pool = pool_of(engine)
    async with pool.run():
        pass
    with pytest.raises(Unavailable):
        await echo(pool)
