"""What every engine owes the DIMSE room: honest answers, honest failures, nothing left behind.

The peers are real sockets with hand-written PDUs. The leak watch of the folder sees to threads
and descriptors.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace

import pytest
import trio

from harmony.dimse import contexts
from harmony.dimse.association import Association
from harmony.dimse.link import Proposal
from harmony.dimse.pool import OpenLink
from harmony.envelope import (
    Completion,
    Instance,
    Match,
    Outcome,
    Progress,
    StreamBroken,
    WholeBytes,
)
from harmony.errors import HarmonyError, UpstreamError
from tests.support import dimse
from tests.support.bad_pacs import (
    Abort,
    Accept,
    Close,
    Counters,
    End,
    Final,
    Forged,
    Freeze,
    Part,
    Reject,
    ReleaseRequest,
    Reset,
    Rows,
    Script,
    SendInstances,
    Silence,
    Slow,
    Stare,
    Steps,
    bad_pacs,
    broken_command_set,
    counting,
    full_backlog,
    garbage,
    huge_pdu,
    unknown_pdu,
)
from tests.support.bad_pacs.pdu import ContextAnswer
from tests.support.bad_pacs.talk import Talk
from tests.support.eventually import eventually

Operation = Callable[[Association, "Taken"], Awaitable[Outcome | None]]


class Taken:
    """Takes what an operation emits."""

    def __init__(self, nursery: trio.Nursery) -> None:
        self.matches: list[Match] = []
        self.progress: list[Progress] = []
        self.instances: dict[str, bytes] = {}
        self._nursery = nursery

    async def __call__(self, item: Match | Instance | Progress) -> None:
        match item:
            case Match():
                self.matches.append(item)
            case Progress():
                self.progress.append(item)
            case Instance():
                self._nursery.start_soon(self._read, item)

    async def _read(self, instance: Instance) -> None:
        with contextlib.suppress(StreamBroken):
            data = b"".join([chunk async for chunk in instance.data])
            self.instances[instance.sop_instance_uid] = data


async def echo(association: Association, taken: Taken) -> None:
    await association.echo()


async def find(association: Association, taken: Taken) -> Outcome:
    return await association.find(dimse.query(), taken)


async def get(association: Association, taken: Taken) -> Outcome:
    return await association.get(dimse.query(), taken)


async def move(association: Association, taken: Taken) -> Outcome:
    return await association.move(dimse.move_query(), taken)


def sent_instance(size: int = 300_000) -> Instance:
    wire = dimse.instance(size, uid="1.2.3.4")
    return Instance(
        sop_class_uid=wire.sop_class,
        sop_instance_uid=wire.sop_instance,
        transfer_syntax=wire.transfer_syntax,
        data=WholeBytes(wire.data),
    )


class NotStored(HarmonyError):
    """A failure status is a result of C-STORE; here it is turned into what others raise."""

    def __init__(self, status: int) -> None:
        super().__init__("not stored", http_status=502)
        self.dimse_status = status


async def store(association: Association, taken: Taken) -> None:
    stored = await association.store(sent_instance())
    if stored.status != 0:
        raise NotStored(stored.status)


OPERATIONS: dict[str, Operation] = {
    "echo": echo,
    "find": find,
    "get": get,
    "move": move,
    "store": store,
}


def proposals_of(name: str) -> tuple[Proposal, ...]:
    if name == "get":
        return contexts.for_get()
    if name == "store":
        return contexts.for_store([(dimse.CT, dimse.EXPLICIT)])
    return contexts.for_queries()


async def perform(
    name: str, port: int, open_link: OpenLink, taken: Taken | None = None
) -> Outcome | None:
    """One operation on an association of its own; raises what it raised, in no group."""
    pool = dimse.pool(port, open_link, dimse.IMPATIENT)
    error: BaseException | None = None
    outcome: Outcome | None = None
    async with pool.run(), trio.open_nursery() as nursery:
        taken = taken or Taken(nursery)
        try:
            async with pool.borrow(name, lambda: proposals_of(name)) as association:
                outcome = await OPERATIONS[name](association, taken)
                assert association.is_reusable
        except HarmonyError as exc:
            error = exc
    if error is not None:
        raise error
    return outcome


GOOD = Script(
    find=(Rows(dimse.rows(3)), Final()),
    get=(SendInstances([dimse.instance(uid="1.1"), dimse.instance(uid="1.2")]), Final()),
    move=(counting(3), Final()),
)


@pytest.mark.parametrize("name", OPERATIONS)
async def test_a_good_peer_is_released_in_order(name: str, open_link: OpenLink) -> None:
    with trio.fail_after(20), bad_pacs(GOOD) as peer:
        await perform(name, peer.port, open_link)
        await eventually(lambda: peer.connections[0].end is not None)
    assert [c.end for c in peer.connections] == [End.RELEASED]
    assert peer.connections[0].calling_ae_title == "HARMONY"
    assert peer.connections[0].called_ae_title == "PACS"


async def test_what_is_sent_arrives_byte_for_byte(open_link: OpenLink) -> None:
    with trio.fail_after(20), bad_pacs(GOOD) as peer:
        await perform("store", peer.port, open_link)
    (request,) = peer.requests
    assert request.data == dimse.instance(300_000, uid="1.2.3.4").data
    assert request.sop_instance == "1.2.3.4"


async def test_what_a_get_brings_is_byte_for_byte_what_was_sent(
    open_link: OpenLink, nursery: trio.Nursery
) -> None:
    sent = [dimse.instance(size, uid=f"1.{size}") for size in (0, 2, 131072, 1_000_000)]
    taken = Taken(nursery)
    with trio.fail_after(20), bad_pacs(Script(get=(SendInstances(sent), Final()))) as peer:
        await perform("get", peer.port, open_link, taken)
    assert taken.instances == {one.sop_instance: one.data for one in sent}


@pytest.mark.parametrize("max_length", [0, 8, 30, 4096, 1 << 20])
async def test_the_peers_maximum_length_is_kept(max_length: int, open_link: OpenLink) -> None:
    script = Script(associate=(Accept(max_length=max_length),))
    pool_size = 300 if max_length == 8 else 20_000
    with trio.fail_after(20), bad_pacs(script) as peer:
        pool = dimse.pool(peer.port, open_link)
        async with pool.run():
            async with pool.borrow("store", lambda: proposals_of("store")) as association:
                await association.store(sent_instance(pool_size))
    assert peer.requests[0].data == dimse.instance(pool_size, uid="1.2.3.4").data


class AcceptInAnotherSyntax:
    """Accept every context in a transfer syntax that nobody offered."""

    def run(self, talk: Talk) -> None:
        answers = [
            ContextAnswer(
                id=context.id,
                result=0,
                abstract_syntax=context.abstract_syntax,
                transfer_syntax="1.2.840.10008.1.2.4.50",
            )
            for context in talk.association.contexts
            if "1.2.840.10008.1.2.4.50" not in context.transfer_syntaxes
        ]
        talk.accept(answers, roles=False, max_length=16384)


@dataclass(frozen=True, slots=True)
class Bad:
    """A way to fail before or instead of the first answer, and the status that tells it."""

    associate: Steps | None = None
    answer: Steps | None = None
    http_status: int = 502


BAD: dict[str, Bad] = {
    "rejects, called AE unknown": Bad(associate=(Reject(1, 1, 7),)),
    "rejects, congested": Bad(associate=(Reject(2, 3, 1),), http_status=503),
    "refuses all contexts": Bad(associate=(Accept(only=frozenset()),), http_status=501),
    "accepts in another syntax": Bad(associate=(AcceptInAnotherSyntax(),), http_status=501),
    "aborts the request": Bad(associate=(Abort(0, 0),)),
    "closes at the request": Bad(associate=(Close(),)),
    "resets at the request": Bad(associate=(Reset(),)),
    "silent at the request": Bad(associate=(Silence(),), http_status=504),
    "frozen at the request": Bad(associate=(Stare(),), http_status=504),
    "freezes in the accept": Bad(
        associate=(Freeze(Part.ACCEPT, "header"), Accept()), http_status=504
    ),
    "freezes in the accept's body": Bad(
        associate=(Freeze(Part.ACCEPT, "body"), Accept()), http_status=504
    ),
    "drips the accept": Bad(associate=(Slow(Part.ACCEPT), Accept()), http_status=504),
    "garbage for an accept": Bad(associate=(garbage(),)),
    "huge PDU for an accept": Bad(associate=(huge_pdu(),)),
    "unknown PDU for an accept": Bad(associate=(unknown_pdu(),)),
    "silent": Bad(answer=(Silence(),), http_status=504),
    "frozen": Bad(answer=(Stare(),), http_status=504),
    "aborts": Bad(answer=(Abort(2, 0),)),
    "closes": Bad(answer=(Close(),)),
    "resets": Bad(answer=(Reset(),)),
    "freezes in a header": Bad(answer=(Freeze(Part.COMMAND, "header"), Final()), http_status=504),
    "freezes in a body": Bad(answer=(Freeze(Part.COMMAND, "body"), Final()), http_status=504),
    "drips": Bad(answer=(Slow(Part.COMMAND), Final()), http_status=504),
    "garbage": Bad(answer=(garbage(),)),
    "huge PDU": Bad(answer=(huge_pdu(),)),
    "unknown PDU": Bad(answer=(unknown_pdu(),)),
    "broken command set": Bad(answer=(broken_command_set(),)),
    "wrong message ID": Bad(answer=(Final(forged=Forged(message_id_shift=1)),)),
    "answer to something else": Bad(answer=(Final(forged=Forged(field=0x8FFF)),)),
    "asks for release": Bad(answer=(ReleaseRequest(),)),
    "processing failure": Bad(answer=(Final(0x0110, error_comment="out of paper"),)),
    "not authorised": Bad(answer=(Final(0x0124),)),
}


@pytest.mark.parametrize("name", OPERATIONS)
@pytest.mark.parametrize("bad", BAD.values(), ids=BAD.keys())
async def test_a_bad_peer_is_a_failure_with_a_truthful_status(
    name: str, bad: Bad, open_link: OpenLink
) -> None:
    script = Script(associate=bad.associate or (Accept(),))
    if bad.answer is not None:
        script = replace(script, **{name: bad.answer})  # type: ignore[arg-type]
    with trio.fail_after(20), bad_pacs(script) as peer:
        with pytest.raises(HarmonyError) as caught:
            await perform(name, peer.port, open_link)
        assert caught.value.http_status == bad.http_status
        if isinstance(caught.value, UpstreamError):
            assert caught.value.peer == f"PACS@127.0.0.1:{peer.port}"
        peer.script = GOOD
        await perform(name, peer.port, open_link)


@pytest.mark.parametrize(
    "ending",
    [
        (Silence(),),
        (Abort(0, 0),),
        (Close(),),
        (Reset(),),
        (garbage(),),
        (Final(0xC001),),
        (Final(0xA700),),
        (Freeze(Part.DATA, "header"), Rows(dimse.rows(1))),
        (Freeze(Part.DATA, "body"), Rows(dimse.rows(1))),
    ],
    ids=lambda steps: type(steps[0]).__name__,
)
async def test_a_find_that_breaks_after_rows_fails(
    ending: Steps, open_link: OpenLink, nursery: trio.Nursery
) -> None:
    taken = Taken(nursery)
    script = Script(find=(Rows(dimse.rows(3)), *ending))
    with trio.fail_after(20), bad_pacs(script) as peer, pytest.raises(HarmonyError):
        await perform("find", peer.port, open_link, taken)
    assert len(taken.matches) == 3


@pytest.mark.parametrize(
    "ending",
    [
        (Silence(),),
        (Abort(0, 0),),
        (Reset(),),
        (Final(0xA702),),
        (Final(0x0000, counters=Counters(completed=5, failed=0, warning=0)),),
        (Final(0x0000, counters=Counters(completed=1, failed=0, warning=0)),),
        (Freeze(Part.DATA, "body"), SendInstances([dimse.instance(uid="1.9")])),
    ],
    ids=["silent", "aborts", "resets", "fails", "claims more", "claims fewer", "freezes"],
)
async def test_a_get_that_breaks_after_instances_fails(ending: Steps, open_link: OpenLink) -> None:
    two = SendInstances([dimse.instance(uid="1.1"), dimse.instance(uid="1.2")])
    with trio.fail_after(20), bad_pacs(Script(get=(two, *ending))) as peer:
        with pytest.raises(HarmonyError):
            await perform("get", peer.port, open_link)


async def test_nobody_listening_is_a_refused_connection(open_link: OpenLink) -> None:
    with trio.fail_after(20), bad_pacs(Script(), listening=False) as peer:
        with pytest.raises(UpstreamError) as caught:
            await perform("echo", peer.port, open_link)
    assert caught.value.http_status == 502
    assert "refused" in caught.value.detail


async def test_a_connect_that_hangs_is_a_timeout(open_link: OpenLink) -> None:
    with trio.fail_after(20), full_backlog() as port, pytest.raises(UpstreamError) as caught:
        await perform("echo", port, open_link)
    assert caught.value.http_status == 504


async def test_a_limit_cancels_a_slow_find_and_keeps_the_association(
    open_link: OpenLink, nursery: trio.Nursery
) -> None:
    taken = Taken(nursery)
    script = Script(find=(Rows(dimse.rows(500), delay=0.01), Final()))
    with trio.fail_after(20), bad_pacs(script) as peer:
        pool = dimse.pool(peer.port, open_link)
        async with pool.run(), pool.borrow("q", contexts.for_queries) as association:
            outcome = await association.find(dimse.query(limit=5), taken)
            assert association.is_reusable
            await association.echo()
    assert outcome.completion is Completion.LIMITED
    assert len(taken.matches) == 5
    assert [r.kind for r in peer.requests] == ["C-FIND-RQ", "C-CANCEL-RQ", "C-ECHO-RQ"]


class Flood:
    """Pending responses without end, many in each PDU, as fast as they are taken."""

    def run(self, talk: Talk) -> None:
        response = talk.response(0xFF00)
        value = (
            (len(response) + 2).to_bytes(4, "big") + bytes((talk.request.context_id, 3)) + response
        )
        body = value * 500
        while True:  # until the peer hangs up
            talk.wire.send_raw(b"\x04\0" + len(body).to_bytes(4, "big") + body)


async def test_a_peer_that_sends_faster_than_we_read_does_not_outlive_a_deadline(
    open_link: OpenLink, nursery: trio.Nursery
) -> None:
    with trio.fail_after(20), bad_pacs(Script(get=(Flood(),))) as peer:
        pool = dimse.pool(peer.port, open_link, dimse.IMPATIENT)
        async with pool.run():
            with trio.move_on_after(0.5) as scope:
                async with pool.borrow("get", contexts.for_get) as association:
                    await association.get(dimse.query(), Taken(nursery))
            assert scope.cancelled_caught
        await eventually(lambda: peer.connections[0].end is not None)


async def test_cancelled_while_it_is_released_an_association_is_hung_up(
    open_link: OpenLink,
) -> None:
    with trio.fail_after(20), bad_pacs(Script(release=(Silence(),))) as peer:
        pool = dimse.pool(peer.port, open_link)
        with trio.move_on_after(0.3):
            async with pool.run():
                async with pool.borrow("store", lambda: proposals_of("store")) as association:
                    await association.store(sent_instance())
        await eventually(lambda: peer.connections[0].end is not None, seconds=2)


async def test_a_reader_that_does_not_read_holds_the_peer_back(open_link: OpenLink) -> None:
    hundred_megabytes = Script(find=(Rows([bytes(50_000)] * 2000), Final()))
    seen = 0

    async def stuck(item: object) -> None:
        nonlocal seen
        seen += 1
        await trio.sleep_forever()

    with trio.fail_after(20), bad_pacs(hundred_megabytes) as peer:
        pool = dimse.pool(peer.port, open_link)
        before = resident_bytes()
        async with pool.run():
            with trio.move_on_after(0.5):
                async with pool.borrow("q", contexts.for_queries) as association:
                    await association.find(dimse.query(), stuck)
        grown = resident_bytes() - before
        await eventually(lambda: peer.connections[0].end is not None)
    assert seen == 1
    assert grown < 40_000_000


def resident_bytes() -> int:
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.parametrize("what", ["abort", "release", "close"])
async def test_what_an_idle_peer_does_is_noticed(what: str, open_link: OpenLink) -> None:
    endings: dict[str, Steps] = {
        "abort": (Final(), Abort(0, 0)),
        "release": (Final(), ReleaseRequest()),
        "close": (Final(), Close()),
    }
    with trio.fail_after(20), bad_pacs(Script(echo=endings[what])) as peer:
        pool = dimse.pool(peer.port, open_link)
        async with pool.run():
            async with pool.borrow("q", contexts.for_queries) as association:
                await association.echo()
            await eventually(lambda: pool.usage.idle == 0)
            peer.script = GOOD
            async with pool.borrow("q", contexts.for_queries) as association:
                await association.echo()
        assert len(peer.connections) == 2
