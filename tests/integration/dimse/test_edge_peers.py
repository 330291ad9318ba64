"""Called peers at the edge of the standard: what they say is taken for what it is.

No real program can be made to behave so; each case is a truth about the outcome, an association
that ends, and a next one that is fine.
"""

from __future__ import annotations

import contextlib

import pytest
import trio

from harmony.dimse import contexts
from harmony.dimse.engines import Engine
from harmony.envelope import Completion, Instance, Match, WholeBytes
from harmony.errors import HarmonyError
from tests.support import dimse, engines
from tests.support.bad_caller import messages
from tests.support.bad_pacs import (
    Accept,
    Close,
    Counters,
    End,
    Final,
    Raw,
    Rows,
    Script,
    SendInstances,
    bad_pacs,
    pdu,
)
from tests.support.bad_pacs.pdu import ContextAnswer, Pdv
from tests.support.edge_steps import (
    AnswerContexts,
    CollideRelease,
    Doctor,
    Heed,
    Linger,
    Pack,
    Say,
    with_unknown_items,
    without_maximum_length,
    without_syntaxes_of_refused,
)
from tests.support.eventually import eventually
from tests.support.packings import PACKINGS

SECONDS = 20
FIND = "1.2.840.10008.5.1.4.1.2.2.1"
ECHO = "1.2.840.10008.1.1"
ONE_AT_A_TIME = 1e-6  # Rows in batches do not go by way of `Pack`


@contextlib.asynccontextmanager
async def calling(script):
    """A pool before a peer with this script; at the end, the peer has nothing to complain of."""
    with trio.fail_after(SECONDS), bad_pacs(script) as peer:
        pool = dimse.pool(peer.port, engines.open_link(Engine.TRIO))
        async with pool.run():
            yield pool, peer


def queries(pool):
    return pool.borrow("q", contexts.for_queries)


async def echo(pool):
    async with queries(pool) as association:
        await association.echo()


async def find(pool):
    found = []

    async def take(item):
        assert isinstance(item, Match)
        found.append(item.identifier)

    async with queries(pool) as association:
        outcome = await association.find(dimse.query(), take)
    return outcome.completion, found


async def get(pool):
    """The objects that came, by UID; read as they come, by tasks of their own."""
    got = {}

    async def read(instance):
        got[instance.sop_instance_uid] = b"".join([chunk async for chunk in instance.data])

    failure = None
    async with trio.open_nursery() as nursery:

        async def take(item):
            if isinstance(item, Instance):
                nursery.start_soon(read, item)

        try:
            async with pool.borrow("get", contexts.for_get) as association:
                outcome = await association.get(dimse.query(), take)
        except HarmonyError as exc:  # in no group
            failure = exc
    if failure is not None:
        raise failure
    return outcome.completion, got


async def store(pool, wire):
    async with pool.borrow(
        "store", lambda: contexts.for_store([(dimse.CT, dimse.EXPLICIT)])
    ) as association:
        stored = await association.store(
            Instance(
                sop_class_uid=wire.sop_class,
                sop_instance_uid=wire.sop_instance,
                transfer_syntax=wire.transfer_syntax,
                data=WholeBytes(wire.data),
            )
        )
    return stored.status


# Maximum length. PS3.8 D.1


@pytest.mark.parametrize(
    ("maximum", "most"),
    [
        (0, 1 << 20),
        (8, 8),
        (9, 9),
        (127, 127),
        (16383, 16383),
        (0xFFFFFFFF, 1 << 20),
        # No data fits below 8: a header and the shortest even fragment is the least there is.
        (1, 8),
        (7, 8),
    ],
)
async def test_no_pdu_is_longer_than_the_peer_takes(maximum, most):
    wire = dimse.instance(600 if most < 10 else 200_000)
    script = Script(associate=(Accept(max_length=maximum), Heed(most)))
    async with calling(script) as (pool, peer):
        assert await store(pool, wire) == 0
        await echo(pool)
        assert await find(pool) == (Completion.COMPLETE, [])
    by_kind = {request.kind: request for request in peer.requests}
    assert set(by_kind) == {"C-STORE-RQ", "C-ECHO-RQ", "C-FIND-RQ"}
    assert by_kind["C-STORE-RQ"].data == wire.data


async def test_a_peer_that_tells_no_maximum_length_takes_any():
    wire = dimse.instance(200_000)
    script = Script(associate=(Doctor(without_maximum_length), Accept()))
    async with calling(script) as (pool, peer):
        assert await store(pool, wire) == 0
    assert peer.requests[0].data == wire.data


# Fragments. PS3.8 9.3.5, E.2


@pytest.mark.parametrize("packing", PACKINGS.values(), ids=PACKINGS)
async def test_messages_are_understood_however_they_are_cut(packing):
    rows = dimse.rows(4)
    sent = [dimse.instance(size, uid=f"1.{size}") for size in (0, 2, 3000)]
    script = Script(
        associate=(Accept(), Pack(packing)),
        find=(Rows(rows, delay=ONE_AT_A_TIME), Final()),
        get=(SendInstances(sent), Final()),
    )
    async with calling(script) as (pool, _):
        await echo(pool)
        completion, found = await find(pool)
        assert completion is Completion.COMPLETE
        assert [row.count(b"Row^") for row in found] == [1] * len(rows)
        assert [f"Row^{n:05}".encode() in row for n, row in enumerate(found)] == [True] * len(rows)
        completion, got = await get(pool)
        assert completion is Completion.COMPLETE
        assert got == {one.sop_instance: one.data for one in sent}
        await echo(pool)


class AllInOnePdu:
    """Every response to a find, with all identifiers, in a single P-DATA-TF."""

    def __init__(self, rows):
        self._rows = rows

    def run(self, talk):
        context = talk.request.context_id
        values = []
        for row in talk.encoded(self._rows):
            values.append((True, talk.response(0xFF00, has_data=True)))
            values.append((False, row))
        values.append((True, talk.response(0)))
        talk.wire.send_raw(
            messages.p_data(
                Pdv(context_id=context, is_command=is_command, is_last=True, data=data)
                for is_command, data in values
            )
        )


async def test_many_messages_in_one_pdu_are_all_there():
    rows = dimse.rows(100)
    async with calling(Script(find=(AllInOnePdu(rows),))) as (pool, peer):
        for _ in range(2):
            completion, found = await find(pool)
            assert completion is Completion.COMPLETE
            assert len(found) == len(rows)
        await echo(pool)
    assert len(peer.connections) == 1


async def test_a_pdu_without_values_between_others_does_no_harm():
    script = Script(find=(Rows(dimse.rows(1)), Raw(pdu.pdu(4, b"")), Rows(dimse.rows(1)), Final()))
    async with calling(script) as (pool, _):
        ended = None
        found = []
        try:
            _, found = await find(pool)
        except HarmonyError as exc:
            ended = exc
        assert ended is not None or len(found) == 2  # tolerated or refused, never something lost
        await echo(pool)


# A-ASSOCIATE-AC. PS3.8 9.3.3


def among_others(answers):
    """With answers to what was not proposed."""
    strange = [
        ContextAnswer(id=255, result=0, abstract_syntax=FIND, transfer_syntax=dimse.EXPLICIT),
        ContextAnswer(id=201, result=0, abstract_syntax=FIND, transfer_syntax=dimse.EXPLICIT),
    ]
    return [*strange, *answers]


@pytest.mark.parametrize(
    "change", [lambda answers: answers[::-1], among_others], ids=["reversed", "among others"]
)
async def test_answers_to_contexts_count_by_their_ids(change):
    script = Script(associate=(AnswerContexts(change),), find=(Rows(dimse.rows(3)), Final()))
    async with calling(script) as (pool, _):
        await echo(pool)
        completion, found = await find(pool)
    assert (completion, len(found)) == (Completion.COMPLETE, 3)


def only_echo(result):
    """Verification accepted, all others answered so; with None, not at all."""

    def change(answers):
        return [
            one
            if one.abstract_syntax == ECHO
            else ContextAnswer(
                id=one.id,
                result=result,
                abstract_syntax=one.abstract_syntax,
                transfer_syntax=one.transfer_syntax if result % 2 else "",
            )
            for one in answers
            if result is not None or one.abstract_syntax == ECHO
        ]

    return change


@pytest.mark.parametrize("result", [None, 1, 2, 3, 4, 5, 255])
async def test_a_context_that_was_not_accepted_is_told_and_the_others_serve(result):
    script = Script(associate=(AnswerContexts(only_echo(result)),))
    async with calling(script) as (pool, peer):
        await echo(pool)
        with pytest.raises(HarmonyError) as caught:
            await find(pool)
        assert caught.value.http_status == 501
        await echo(pool)
    assert {request.kind for request in peer.requests} == {"C-ECHO-RQ"}


@pytest.mark.parametrize("change", [without_syntaxes_of_refused, with_unknown_items])
async def test_an_accept_of_an_unusual_shape_is_read(change):
    script = Script(associate=(Doctor(change), Accept(only=frozenset((ECHO,)))))
    async with calling(script) as (pool, _):
        await echo(pool)
        with pytest.raises(HarmonyError) as caught:
            await find(pool)
        assert caught.value.http_status == 501


# Release. PS3.8 7.2


async def test_both_ask_for_the_release_at_once():
    async with calling(Script(release=(CollideRelease(),))) as (pool, peer):
        await echo(pool)
    await eventually(lambda: peer.connections[0].end is not None)
    assert peer.connections[0].end is End.RELEASED


LATE_DATA = messages.message(1, messages.echo())


@pytest.mark.parametrize(
    "release",
    [
        (Raw(pdu.release_request() + pdu.release_reply()), Linger()),
        (Raw(LATE_DATA + pdu.release_reply()), Linger()),
        (Raw(pdu.release_reply() + LATE_DATA), Linger()),
        (Raw(pdu.release_reply() + pdu.release_request()), Linger()),
        (Raw(pdu.abort(0, 0)), Linger()),
        (Close(),),
        (Linger(),),
    ],
    ids=[
        "asks and answers",
        "data before the answer",
        "data after the answer",
        "asks after the answer",
        "aborts",
        "closes",
        "says nothing",
    ],
)
async def test_however_the_release_goes_the_association_ends(release):
    async with calling(Script(release=release, find=(Rows(dimse.rows(2)), Final()))) as (
        pool,
        peer,
    ):
        completion, found = await find(pool)
        assert (completion, len(found)) == (Completion.COMPLETE, 2)
    await eventually(lambda: peer.connections[0].end is not None)
    assert len(peer.connections) == 1


@pytest.mark.parametrize(
    "ending",
    [
        (Say(more=pdu.release_request()), Linger()),
        (Say(more=pdu.release_request() + LATE_DATA), Linger()),
        (Say(more=pdu.abort(0, 0)), Linger()),
        (Say(more=pdu.abort(2, 0)), Close()),
        (Say(), Close()),
        (Say(more=b"\x04\0\0"), Close()),
        (Say(more=LATE_DATA), Linger()),
        (Say(more=b"what is this"), Linger()),
    ],
    ids=[
        "release",
        "release and data",
        "abort of the user",
        "abort of the provider",
        "close",
        "close within a PDU",
        "data that nobody asked for",
        "garbage",
    ],
)
async def test_what_follows_the_last_response_does_not_unsay_it(ending):
    async with calling(Script(echo=ending)) as (pool, peer):
        await echo(pool)
        await eventually(lambda: peer.connections[0].end is not None)
        peer.script = Script(find=(Rows(dimse.rows(2)), Final()))
        completion, found = await find(pool)  # on an association of its own
        assert (completion, len(found)) == (Completion.COMPLETE, 2)
        assert len(peer.connections) == 2


@pytest.mark.parametrize("more", [pdu.release_request(), pdu.abort(0, 0), b""])
async def test_an_end_before_the_last_response_is_no_success(more):
    script = Script(find=(Rows(dimse.rows(2)), Raw(more), Close()))
    async with calling(script) as (pool, peer):
        with pytest.raises(HarmonyError) as caught:
            await find(pool)
        assert caught.value.http_status == 502
        peer.script = Script()
        await echo(pool)


async def test_a_get_whose_counters_do_not_tell_the_truth_is_a_failure():
    two = SendInstances([dimse.instance(uid="1.1"), dimse.instance(uid="1.2")], report=False)
    wrong = Final(0, counters=Counters(completed=3, failed=0, warning=0))
    async with calling(Script(get=(two, wrong))) as (pool, peer):
        with pytest.raises(HarmonyError):
            await get(pool)
        peer.script = Script()
        await echo(pool)
