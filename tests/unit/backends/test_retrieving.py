"""Retrieves by C-GET, by C-MOVE and by what goes: nothing looks complete that is not."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable, Sequence

import pytest
import trio
import trio.lowlevel
import trio.testing

from harmony.backends.retrieving import How, Retriever
from harmony.dimse.arrivals import Arrivals
from harmony.dimse.failures import NotAnswered
from harmony.dimse.pool import AssociationPool, PoolLimits
from harmony.envelope import (
    Completion,
    Instance,
    Key,
    Level,
    Match,
    Originator,
    Outcome,
    Progress,
    Query,
    Root,
    StreamBroken,
    WholeBytes,
)
from harmony.errors import HarmonyError, RequestError, UpstreamError
from harmony.upper_layer.commands import Command, CommandField
from tests.support.scripted_link import (
    ABORTED,
    CLOSED,
    CONTEXT_OF,
    CONTEXTS,
    CT,
    EXPLICIT,
    Answer,
    Meanwhile,
    ScriptedEngine,
    ScriptedLink,
    Silence,
    Step,
    target,
)

STUDY = Query(level=Level.STUDY, root=Root.STUDY, keys=(Key(0x0020000D, ("1.2.3",)),))
IN_STUDY = b"\x20\x00\x0d\x00UI\x06\x001.2.3\0"
FAILURE = 0x0110
GET_CLASSES = ("1.2.840.10008.5.1.4.1.2.1.3", "1.2.840.10008.5.1.4.1.2.2.3")
WITHOUT_GET = {
    number: context
    for number, context in CONTEXTS.items()
    if context.abstract_syntax not in GET_CLASSES
}


def move_rsp(status: int, **counters: int) -> Answer:
    return Answer(field=CommandField.C_MOVE_RSP, status=status, extra=counters)


def get_rsp(status: int, **counters: int) -> Answer:
    return Answer(field=CommandField.C_GET_RSP, status=status, extra=counters)


def store_rq(uid: str) -> Answer:
    return Answer(
        field=CommandField.C_STORE_RQ,
        data=b"pixels",
        context_id=CONTEXT_OF[CT],
        extra={
            "affected_sop_class_uid": CT,
            "affected_sop_instance_uid": uid,
            "message_id": 77,
        },
    )


class Broken:
    """A data set that stops early."""

    def __aiter__(self) -> Broken:
        return self

    async def __anext__(self) -> bytes:
        await trio.lowlevel.checkpoint()
        raise StreamBroken("the sender went away")


class Pacs:
    """A PACS of scripted links, the receiver that it sends to, and a retriever before both."""

    def __init__(self, how: How = "move", *, receiver: bool = True, **timeouts: float) -> None:
        self.target = target(**timeouts)
        self.arrivals = Arrivals("RECEIVER")
        self.arrivals.address = ("192.0.2.7", 11112)
        self.links: list[ScriptedLink] = []
        self.engine = ScriptedEngine()
        self.pool = AssociationPool("pacs", self.target, PoolLimits(), self.engine)
        self.retriever = Retriever(self.pool, self.target, how, self.arrivals if receiver else None)
        self.statuses: dict[str, list[int | None]] = {}
        self._senders: trio.Nursery | None = None

    @contextlib.asynccontextmanager
    async def running(self, *scripts: Sequence[Step]) -> AsyncIterator[None]:
        self.serve(*(ScriptedLink(script) for script in scripts))
        async with trio.open_nursery() as senders, self.pool.run():
            self._senders = senders
            yield

    def serve(self, *links: ScriptedLink) -> None:
        self.links += links
        self.engine.links += links

    def sends(self, uid: str, *, named: bool = True, after: float | None = None) -> Step:
        """Send an object to the receiver; wait for the answer, or do so some seconds later."""
        return self._sends(uid, WholeBytes(IN_STUDY), named=named, after=after)

    def breaks_off(self, uid: str) -> Step:
        """Go away in the middle of an object."""
        return self._sends(uid, Broken(), named=True, after=0)

    def _sends(
        self, uid: str, data: WholeBytes | Broken, *, named: bool, after: float | None
    ) -> Step:
        async def send(request: Command) -> None:
            assert request.message_id is not None
            originator = Originator("HARMONY", request.message_id) if named else None
            sent = Instance(
                sop_class_uid=CT,
                sop_instance_uid=uid,
                transfer_syntax=EXPLICIT,
                data=data,
                originator=originator,
            )
            await trio.sleep(after or 0)
            expected, sent = await self.arrivals.claim(sent)
            status = None
            if expected is not None:
                status = await self.arrivals.deliver(expected, sent)
            self.statuses.setdefault(uid, []).append(status)

        async def happen(request: Command) -> None:
            assert self._senders is not None
            if after is None:
                await send(request)
            else:
                self._senders.start_soon(send, request)
                await trio.lowlevel.checkpoint()

        return Meanwhile(happen)


class Client:
    """Takes items as an exchange does, and reads each instance before it asks for more."""

    def __init__(self) -> None:
        self.uids: list[str] = []
        self.remaining: list[int | None] = []
        self.items: list[str] = []
        self._send, self._receive = trio.open_memory_channel[Match | Instance | Progress](0)

    async def retrieve(self, pacs: Pacs, query: Query = STUDY) -> Outcome:
        outcome: Outcome | None = None
        failure: HarmonyError | NotAnswered | None = None

        async def produce() -> None:
            nonlocal outcome, failure
            try:
                outcome = await pacs.retriever.retrieve(query, self._send.send)
            except (HarmonyError, NotAnswered) as exc:
                failure = exc
            nursery.cancel_scope.cancel()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(produce)
            while True:
                item = await self._receive.receive()
                if isinstance(item, Progress):
                    self.items.append("progress")
                    self.remaining.append(item.counters.remaining)
                elif isinstance(item, Instance):
                    self.items.append("instance")
                    with contextlib.suppress(UpstreamError, StreamBroken):
                        async for _ in item.data:
                            pass
                        self.uids.append(item.sop_instance_uid)
        if failure is not None:
            raise failure
        assert outcome is not None
        return outcome


@pytest.fixture
def client() -> Client:
    return Client()


# By C-MOVE


async def test_all_that_is_counted_and_arrives_is_complete(client: Client) -> None:
    pacs = Pacs()
    script = [
        pacs.sends("1.1"),
        move_rsp(0xFF00, remaining=1, completed=1, failed=0, warning=0),
        pacs.sends("1.2"),
        move_rsp(0, completed=2, failed=0, warning=0),
    ]
    async with pacs.running(script):
        outcome = await client.retrieve(pacs)
    assert outcome.completion is Completion.COMPLETE
    assert client.uids == ["1.1", "1.2"]
    assert pacs.statuses == {"1.1": [0], "1.2": [0]}
    request = pacs.links[0].sent[0].command
    assert request.move_destination == "RECEIVER"
    assert outcome.counters is not None
    assert outcome.counters.completed == 2


async def _long(request: Command) -> None:
    await trio.sleep(150)


Run = Callable[[Pacs], list[Step]]
COMPLETE: dict[str, Run] = {
    "objects come after the final response": lambda pacs: [
        pacs.sends("1.1", after=5),
        pacs.sends("1.2", after=9),
        move_rsp(0, completed=2),
    ],
    "no originator": lambda pacs: [
        pacs.sends("1.1", named=False),
        pacs.sends("1.2", named=False),
        move_rsp(0, completed=2),
    ],
    "one is sent twice": lambda pacs: [
        pacs.sends("1.1"),
        pacs.sends("1.1"),
        pacs.sends("1.2"),
        move_rsp(0, completed=2),
    ],
    "only pending responses count": lambda pacs: [
        move_rsp(0xFF00, remaining=2, completed=0),
        pacs.sends("1.1"),
        pacs.sends("1.2"),
        move_rsp(0),
    ],
    "one with a warning": lambda pacs: [
        pacs.sends("1.1"),
        pacs.sends("1.2"),
        move_rsp(0, completed=1, warning=1),
    ],
    "on two associations at a time": lambda pacs: [
        pacs.sends("1.1", after=0),
        pacs.sends("1.2", after=0),
        move_rsp(0, completed=2),
    ],
    "slowly, without a word in between": lambda pacs: [
        pacs.sends("1.1", after=50),
        pacs.sends("1.2", after=100),
        Meanwhile(_long),
        move_rsp(0, completed=2),
    ],
}


@pytest.mark.parametrize("run", COMPLETE.values(), ids=COMPLETE.keys())
async def test_a_retrieve_is_complete_in_whichever_order_things_come(
    client: Client, run: Run, autojump_clock: trio.testing.MockClock
) -> None:
    pacs = Pacs()
    with trio.fail_after(1000):
        async with pacs.running(run(pacs)):
            outcome = await client.retrieve(pacs)
    assert outcome.completion is Completion.COMPLETE
    assert sorted(client.uids) == ["1.1", "1.2"]


INCOMPLETE: dict[str, tuple[str, Run]] = {
    "receiver is never called": ("nothing-arrived", lambda pacs: [move_rsp(0, completed=2)]),
    "counts more than came": (
        "too-few-arrived",
        lambda pacs: [pacs.sends("1.1"), move_rsp(0, completed=2)],
    ),
    "counts fewer than came": (
        "protocol-error",
        lambda pacs: [pacs.sends("1.1"), pacs.sends("1.2"), move_rsp(0, completed=1)],
    ),
    "counts a second copy": (
        "too-few-arrived",
        lambda pacs: [pacs.sends("1.1"), pacs.sends("1.1"), move_rsp(0, completed=2)],
    ),
    "one more comes after the final response": (
        "protocol-error",
        lambda pacs: [
            pacs.sends("1.1", after=1),
            pacs.sends("1.2", after=1),
            pacs.sends("1.3", after=1),
            move_rsp(0, completed=2),
        ],
    ),
    "counts nothing at all": ("not-counted", lambda pacs: [pacs.sends("1.1"), move_rsp(0)]),
    "success with some remaining": (
        "protocol-error",
        lambda pacs: [pacs.sends("1.1"), move_rsp(0, completed=1, remaining=1)],
    ),
    "an object breaks off": (
        "connection-lost",
        lambda pacs: [pacs.sends("1.1"), pacs.breaks_off("1.2"), move_rsp(0, completed=2)],
    ),
    "silent from the start": ("answer-timeout", lambda pacs: [Silence()]),
    "silent after an object": ("answer-timeout", lambda pacs: [pacs.sends("1.1"), Silence()]),
    "aborts after an object": ("association-aborted", lambda pacs: [pacs.sends("1.1"), ABORTED]),
    "fails after an object": (
        "sub-operations-failed",
        lambda pacs: [pacs.sends("1.1"), move_rsp(0xA702, completed=1, failed=1)],
    ),
    "all fail": ("sub-operations-failed", lambda pacs: [move_rsp(0xB000, completed=0, failed=2)]),
    "destination unknown": ("destination-unknown", lambda pacs: [move_rsp(0xA801)]),
    "cancelled by the peer": (
        "cancelled-by-peer",
        lambda pacs: [pacs.sends("1.1"), move_rsp(0xFE00, completed=1, remaining=1)],
    ),
}


@pytest.mark.parametrize(("code", "run"), INCOMPLETE.values(), ids=INCOMPLETE.keys())
async def test_what_is_not_complete_is_a_failure(
    client: Client, code: str, run: Run, autojump_clock: trio.testing.MockClock
) -> None:
    pacs = Pacs()
    with trio.fail_after(1000):
        async with pacs.running(run(pacs)):
            with pytest.raises(UpstreamError) as caught:
                await client.retrieve(pacs)
    assert caught.value.code == code


@pytest.mark.parametrize(
    "final",
    [move_rsp(0xB000, completed=1, failed=1), move_rsp(0, completed=1, failed=1)],
    ids=["warning", "success"],
)
async def test_a_retrieve_of_which_a_part_failed_is_partial(client: Client, final: Answer) -> None:
    pacs = Pacs()
    async with pacs.running([pacs.sends("1.1"), final]):
        outcome = await client.retrieve(pacs)
    assert outcome.completion is Completion.PARTIAL
    assert outcome.counters is not None
    assert (outcome.counters.completed, outcome.counters.failed) == (1, 1)


async def test_nothing_to_send_is_not_found(client: Client) -> None:
    pacs = Pacs()
    async with pacs.running([move_rsp(0, completed=0)]):
        with pytest.raises(RequestError) as caught:
            await client.retrieve(pacs)
    assert caught.value.http_status == 404


ENTRY = "add AE title RECEIVER, host 192.0.2.7, port 11112 to the PACS"


@pytest.mark.parametrize(
    "final",
    [
        move_rsp(0, completed=2),
        move_rsp(0xA801),
        move_rsp(0xA702, completed=0, failed=2),
        move_rsp(0xB000, completed=0, failed=2),
        move_rsp(0xC000),
    ],
    ids=["success", "A801", "A702", "B000", "C000"],
)
async def test_when_nothing_arrives_the_entry_that_the_pacs_lacks_is_named(
    client: Client, final: Answer, autojump_clock: trio.testing.MockClock
) -> None:
    pacs = Pacs()
    async with pacs.running([final]):
        with pytest.raises(UpstreamError) as caught:
            await client.retrieve(pacs)
    assert caught.value.hint is not None
    assert ENTRY in caught.value.hint


@pytest.mark.parametrize(
    "script",
    [[move_rsp(0xA900)], [move_rsp(0xA701)], [ABORTED]],
    ids=["keys", "resources", "abort"],
)
async def test_other_failures_do_not_send_people_to_the_entry(
    client: Client, script: list[Step]
) -> None:
    pacs = Pacs()
    async with pacs.running(script):
        with pytest.raises(UpstreamError) as caught:
            await client.retrieve(pacs)
    assert "add AE title" not in (caught.value.hint or "")


async def test_what_is_counted_is_told_before_the_next_instance_and_fits_it(
    client: Client, autojump_clock: trio.testing.MockClock
) -> None:
    pacs = Pacs()
    script = [
        move_rsp(0xFF00, remaining=3, completed=0, failed=0),
        pacs.sends("1.1"),
        pacs.sends("1.2"),
        move_rsp(0xFF00, remaining=1, completed=2, failed=0),
        pacs.sends("1.3"),
        move_rsp(0, completed=3),
    ]
    async with pacs.running(script):
        await client.retrieve(pacs)
    assert client.items == ["progress", "instance", "instance", "progress", "instance"]
    assert client.remaining == [3, 1]


async def test_cancelled_the_association_is_hung_up_and_the_senders_hear_a_failure(
    client: Client,
) -> None:
    pacs = Pacs()
    begun = trio.Event()

    async def note(item: object) -> None:
        begun.set()
        await trio.sleep_forever()

    async with pacs.running([pacs.sends("1.1", after=0), pacs.sends("1.2", after=0), Silence()]):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(pacs.retriever.retrieve, STUDY, note)
            await begun.wait()
            await trio.testing.wait_all_tasks_blocked()
            nursery.cancel_scope.cancel()
        await trio.testing.wait_all_tasks_blocked()
        assert pacs.links[0].hung_up
        assert pacs.statuses == {"1.1": [FAILURE], "1.2": [FAILURE]}
        assert pacs.pool.usage.busy == 0


async def test_a_held_association_that_is_dead_costs_nothing(client: Client) -> None:
    pacs = Pacs()
    first = [pacs.sends("1.1"), move_rsp(0, completed=1), CLOSED]
    async with pacs.running(first, [pacs.sends("1.2"), move_rsp(0, completed=1)]):
        await client.retrieve(pacs)
        await client.retrieve(pacs)
    assert client.uids == ["1.1", "1.2"]


async def test_one_that_dies_after_an_object_has_come_is_not_asked_again(client: Client) -> None:
    pacs = Pacs()
    first = [pacs.sends("1.1"), move_rsp(0, completed=1), pacs.sends("1.2"), CLOSED]
    async with pacs.running(first, [pacs.sends("1.2"), move_rsp(0, completed=1)]):
        await client.retrieve(pacs)
        with pytest.raises(UpstreamError):
            await client.retrieve(pacs)
    assert client.uids == ["1.1", "1.2"]


async def test_a_slow_reader_holds_the_senders_back_and_nothing_times_out(
    autojump_clock: trio.testing.MockClock,
) -> None:
    pacs = Pacs(move_seconds=10)
    script = [pacs.sends("1.1", after=0), pacs.sends("1.2", after=0), move_rsp(0, completed=2)]
    taken: list[str] = []

    async def give(item: Match | Instance | Progress) -> None:
        assert isinstance(item, Instance)
        await trio.sleep(100)
        assert len(pacs.statuses) == len(taken)
        async for _ in item.data:
            pass
        taken.append(item.sop_instance_uid)
        await trio.testing.wait_all_tasks_blocked()

    async with pacs.running(script):
        outcome = await pacs.retriever.retrieve(STUDY, give)
    assert outcome.completion is Completion.COMPLETE
    assert taken == ["1.1", "1.2"]


# By what goes


GET_WELL = [store_rq("1.1"), get_rsp(0, completed=1)]


async def test_auto_uses_get_where_it_goes(client: Client) -> None:
    pacs = Pacs("auto")
    async with pacs.running(GET_WELL):
        outcome = await client.retrieve(pacs)
    assert outcome.completion is Completion.COMPLETE
    assert client.uids == ["1.1"]


@pytest.mark.parametrize("status", [0x0122, 0x0124, 0x0211])
async def test_auto_moves_when_get_is_refused_and_remembers(client: Client, status: int) -> None:
    pacs = Pacs("auto")
    moves = [pacs.sends("1.1"), move_rsp(0, completed=1)] * 2
    async with pacs.running([get_rsp(status)], moves):
        await client.retrieve(pacs)
        await client.retrieve(pacs)
    assert client.uids == ["1.1", "1.1"]
    assert [sent.command.field for sent in pacs.links[0].sent] == [CommandField.C_GET_RQ]
    assert len(pacs.links[1].sent) == 2


async def test_auto_moves_when_there_is_no_context_for_get(client: Client) -> None:
    pacs = Pacs("auto")
    pacs.serve(ScriptedLink([], WITHOUT_GET))
    async with pacs.running([pacs.sends("1.1"), move_rsp(0, completed=1)]):
        await client.retrieve(pacs)
    assert client.uids == ["1.1"]
    assert pacs.links[0].sent == []


async def test_auto_remembers_nothing_if_the_move_is_refused_too(client: Client) -> None:
    pacs = Pacs("auto")
    async with pacs.running([get_rsp(0x0124), *GET_WELL], [move_rsp(0x0124)]):
        with pytest.raises(UpstreamError):
            await client.retrieve(pacs)
        await client.retrieve(pacs)
    assert client.uids == ["1.1"]


async def test_auto_remembers_for_each_model_by_itself(client: Client) -> None:
    pacs = Pacs("auto")
    by_patient = Query(level=Level.STUDY, root=Root.PATIENT, keys=STUDY.keys)
    moves = [pacs.sends("1.1"), move_rsp(0, completed=1)]
    async with pacs.running([get_rsp(0x0122), *GET_WELL], moves):
        await client.retrieve(pacs)
        await client.retrieve(pacs, by_patient)
    assert client.uids == ["1.1", "1.1"]


async def test_auto_moves_what_get_cannot_send_and_tries_get_again(client: Client) -> None:
    pacs = Pacs("auto")
    first = [get_rsp(0xA702, completed=0, failed=1), *GET_WELL]
    async with pacs.running(first, [pacs.sends("1.1"), move_rsp(0, completed=1)]):
        await client.retrieve(pacs)
        await client.retrieve(pacs)
    assert [sent.command.field for sent in pacs.links[0].sent] == [
        CommandField.C_GET_RQ,
        CommandField.C_GET_RQ,
        CommandField.C_STORE_RSP,
    ]


@pytest.mark.parametrize(
    "script",
    [
        [get_rsp(0xC000)],
        [get_rsp(0xA900)],
        [get_rsp(0xB000, completed=0, failed=1)],
        [ABORTED],
        [store_rq("1.1"), get_rsp(0x0122, completed=1)],
        [store_rq("1.1"), get_rsp(0xA702, completed=1, failed=1)],
    ],
    ids=["C000", "A900", "B000", "abort", "refused after one", "cannot after one"],
)
async def test_auto_does_not_move_after_other_failures(client: Client, script: list[Step]) -> None:
    pacs = Pacs("auto")
    async with pacs.running(script):
        with pytest.raises(UpstreamError):
            await client.retrieve(pacs)
    assert len(pacs.engine.proposals) == 1


async def test_auto_does_not_move_what_is_not_there(client: Client) -> None:
    pacs = Pacs("auto")
    async with pacs.running([get_rsp(0, completed=0)]):
        with pytest.raises(RequestError) as caught:
            await client.retrieve(pacs)
    assert caught.value.http_status == 404


async def test_without_a_receiver_auto_says_what_would_help(client: Client) -> None:
    pacs = Pacs("auto", receiver=False)
    pacs.serve(ScriptedLink([], WITHOUT_GET))
    async with pacs.running():
        with pytest.raises(UpstreamError) as caught:
            await client.retrieve(pacs)
    assert caught.value.hint is not None
    assert "`receiver`" in caught.value.hint


async def test_get_stays_with_get_although_there_is_a_receiver(client: Client) -> None:
    pacs = Pacs("get")
    async with pacs.running([get_rsp(0x0122)]):
        with pytest.raises(UpstreamError):
            await client.retrieve(pacs)
    assert len(pacs.engine.proposals) == 1
