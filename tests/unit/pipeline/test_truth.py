"""Whatever fails, and when: an answer that looks whole is whole.

Every strategy and operation, over backends of which each may be in order, be out of reach, or
fail before its first item, between items, or in place of its end. How each behaves is drawn; the
answer is then judged by what the backends really have.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import trio
import trio.testing
from hypothesis import event, given, settings
from hypothesis import strategies as st

from harmony.envelope import (
    Completion,
    Instance,
    Item,
    Level,
    Operation,
    Outcome,
    Query,
    Root,
    Stored,
    StreamBroken,
)
from harmony.errors import HarmonyError, RequestError
from harmony.holding import Holding
from harmony.pipeline import Pipeline, Route
from tests.support.fake_backend import (
    FakeBackend,
    Shelf,
    died,
    gives,
    instance,
    match,
    request,
    stream,
    unreachable,
)

UIDS = ("1", "2", "3", "4")
QUERY = Query(level=Level.STUDY, root=Root.STUDY, keys=())
PARTIAL = Outcome(completion=Completion.PARTIAL, status=0xB000)
NOT_FOUND = RequestError("none", code="not-found", http_status=404)
TRUE = ("in order",)
FAULTS = ("unreachable", "dies", "stops", "partial")


@dataclass(frozen=True)
class Nature:
    """How one backend behaves, and what it has.

    Attributes:
        after: so many items are given before it fails.
    """

    behaves: str
    has: tuple[str, ...]
    after: int
    read_first: bool

    @property
    def in_order(self):
        return self.behaves == "in order"

    def failure(self):
        return {"unreachable": unreachable(), "dies": died()}.get(self.behaves)

    def answers(self, name, operation):
        """A backend that answers a query or an echo."""
        items: list[Item] = []
        if operation is Operation.FIND:
            items = [match(uid) for uid in self.has]
        elif operation is Operation.GET:
            items = [instance(uid, name.encode()) for uid in self.has]
        match self.behaves:
            case "in order" if operation is Operation.GET and not items:
                produce = gives(then=NOT_FOUND)
            case "in order" if operation is Operation.FIND:
                produce = obeys_limits(items)
            case "in order":
                produce = gives(*items)
            case "unreachable":
                produce = gives(then=unreachable(name))
            case "partial" if operation is Operation.GET:
                produce = gives(*items[: self.after], then=PARTIAL)
            case "dies" | "partial":
                produce = gives(*items[: self.after], then=died(name))
            case _:
                produce = gives(*items[: self.after], then=None)
        return FakeBackend(produce, name=name)


def obeys_limits(matches):
    async def produce(request, send):
        query = request.query
        end = None if query.limit is None else query.offset + query.limit
        limited = end is not None and len(matches) > end
        then = Outcome(completion=Completion.LIMITED) if limited else Outcome()
        await gives(*matches[query.offset : end], then=then)(request, send)

    return produce


natures = st.lists(
    st.builds(
        Nature,
        behaves=st.sampled_from((*TRUE * 3, *FAULTS)),
        has=st.lists(st.sampled_from(UIDS), unique=True, max_size=3).map(tuple),
        after=st.integers(0, 3),
        read_first=st.booleans(),
    ),
    min_size=2,
    max_size=3,
)
strategies = st.sampled_from(("failover", "fan_out", "merge"))
thorough = settings(max_examples=150, deadline=None)


def answer(backends, asked, **options):
    """Items and outcome of an answer that ended in order, or None."""

    async def main():
        pipeline = Pipeline("p", [Route(backend) for backend in backends], **options)
        items: list[Item] = []
        with trio.fail_after(100):
            try:
                async with pipeline.exchange(asked()) as response:
                    items += [item async for item in response.items]
                    ended = response.items.outcome
            except (HarmonyError, StreamBroken):
                ended = None
        assert all(backend.ended.is_set() for backend in backends if backend.requests)
        return None if ended is None else (items, ended)

    return trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))


def first_reachable(natures):
    return next((n for n in natures if n.behaves != "unreachable"), None)


@given(natures=natures, strategy=strategies, require_all=st.booleans())
@thorough
def test_a_find_that_looks_whole_has_all_matches(natures, strategy, require_all):
    backends = [n.answers(name, Operation.FIND) for name, n in zip("abc", natures, strict=False)]
    told = answer(
        backends, lambda: request(query=QUERY), strategy=strategy, require_all=require_all
    )
    if all(n.in_order for n in natures):
        assert told is not None, "nothing failed, so there is an answer"
    if told is None:
        event("told as a failure")
        return
    found, outcome = told
    expected = (
        {match(uid) for n in natures for uid in n.has}
        if strategy == "merge"
        else {match(uid) for uid in first_reachable(natures).has}
    )
    failed = {name for name, n in zip("abc", natures, strict=False) if not n.in_order}
    if strategy == "merge":
        assert set(outcome.failed_sources) == failed
        assert len(failed) < len(natures)
        assert not (failed and require_all)
    else:
        assert first_reachable(natures).in_order
        assert outcome.failed_sources == ()
    assert len(set(found)) == len(found)
    if not outcome.failed_sources:
        event("whole")
        assert set(found) == expected
        assert outcome.completion is Completion.COMPLETE
    else:
        event("a failed source is told")
        assert {match(uid) for n in natures if n.in_order for uid in n.has} <= set(found)


@given(
    natures=natures,
    limit=st.integers(1, 5),
    offset=st.integers(0, 3),
)
@thorough
def test_a_page_that_looks_like_the_last_is_the_last(natures, limit, offset):
    backends = [n.answers(name, Operation.FIND) for name, n in zip("abc", natures, strict=False)]
    query = dataclasses.replace(QUERY, limit=limit, offset=offset)
    told = answer(backends, lambda: request(query=query), strategy="merge")
    if told is None:
        assert not all(n.in_order for n in natures)
        return
    found, outcome = told
    there = {match(uid) for n in natures for uid in n.has}
    assert len(found) <= limit
    assert set(found) <= there
    if outcome.failed_sources:
        return
    assert len(found) == min(limit, max(0, len(there) - offset))
    more = len(there) > offset + limit
    assert (outcome.completion is Completion.LIMITED) is more


@given(natures=natures, strategy=strategies)
@thorough
def test_a_retrieve_that_looks_whole_is_whole(natures, strategy):
    named = dict(zip("abc", natures, strict=False))
    backends = [n.answers(name, Operation.GET) for name, n in named.items()]
    told = answer(backends, lambda: request(Operation.GET, query=QUERY), strategy=strategy)
    if told is None:
        return
    items, outcome = told
    if outcome.completion is not Completion.COMPLETE:
        event("told to be a part")
        return
    event("whole")
    assert items, "a retrieve of nothing is not found"

    found = [item for item in items if isinstance(item, Instance)]
    uids = [item.sop_instance_uid for item in found]
    if strategy == "merge":
        assert all(nature.in_order for nature in natures)
        assert sorted(uids) == sorted({uid for nature in natures for uid in nature.has})
        return

    async def sources():
        return {b"".join([chunk async for chunk in item.data]).decode() for item in found}

    (name,) = trio.run(sources)
    assert named[name].in_order
    assert tuple(uids) == named[name].has


@given(natures=natures, strategy=strategies)
@thorough
def test_absence_is_told_only_if_all_that_may_have_it_say_so(natures, strategy):
    backends = [n.answers(name, Operation.GET) for name, n in zip("abc", natures, strict=False)]

    async def main():
        pipeline = Pipeline("p", [Route(b) for b in backends], strategy=strategy)
        try:
            async with pipeline.exchange(request(Operation.GET, query=QUERY)):
                return False
        except HarmonyError as exc:
            return exc.http_status == 404
        except StreamBroken:
            return False

    if trio.run(main):
        event("absent")
        if strategy == "merge":
            assert all(n.in_order and not n.has for n in natures)
        else:
            assert first_reachable(natures).in_order
            assert not first_reachable(natures).has


@given(natures=natures, strategy=strategies)
@thorough
def test_an_echo_that_succeeds_was_answered(natures, strategy):
    backends = [n.answers(name, Operation.ECHO) for name, n in zip("abc", natures, strict=False)]
    told = answer(backends, lambda: request(Operation.ECHO), strategy=strategy)
    needed = natures if strategy == "fan_out" else [first_reachable(natures)]
    assert (told is not None) == all(n is not None and n.in_order for n in needed)


@given(
    natures=natures,
    strategy=strategies,
    repeatable=st.booleans(),
    refused=st.dictionaries(st.sampled_from(UIDS), st.sampled_from((0xB000, 0xA700, 0xC000))),
)
@thorough
def test_what_is_called_stored_is_there(natures, strategy, repeatable, refused):
    shelves = {
        name: Shelf(
            refused if n.after % 2 else None,
            fails_at=None if n.in_order or n.behaves == "partial" else n.after,
            failure=n.failure(),
            read_first=n.read_first,
        )
        for name, n in zip("abc", natures, strict=False)
    }
    backends = [FakeBackend(shelf.produce, name=name) for name, shelf in shelves.items()]
    data = {uid: uid.encode() * 50 for uid in UIDS}

    def asked():
        sent = [instance(uid, data[uid], repeatable=repeatable) for uid in UIDS]
        return request(Operation.STORE, body=stream(*sent))

    told = answer(backends, asked, strategy=strategy, holding=Holding(None, 1000))
    for name, shelf in shelves.items():
        assert shelf.has.items() <= data.items(), f"{name} has other bytes"
    if told is None:
        assert strategy != "fan_out", "that tells each failure by instance"
        event("told as a failure")
        return
    results, outcome = told
    assert outcome == Outcome()
    assert [each.sop_instance_uid for each in results] == list(UIDS)
    for each in results:
        assert isinstance(each, Stored)
        having = [name for name, shelf in shelves.items() if each.sop_instance_uid in shelf.has]
        if strategy == "fan_out":
            assert [name for name, status in each.by_backend if status == 0] == having
            assert (each.status == 0) == (len(having) == len(shelves))
        else:
            assert (each.status == 0) == (len(having) == 1)
            asked_to = [
                name
                for name, n in zip("abc", natures, strict=False)
                if n.behaves != "unreachable"
                and each.sop_instance_uid in {i.sop_instance_uid for i in shelves[name].seen}
            ]
            assert len(asked_to) <= 1, "nothing is stored twice by failing over"
