"""Called peers at the edge of the standard: what they say is taken for what it is.

No real program can be made to behave so; each case is a truth about the outcome, an association
that ends, and a next one that is fine.
"""

from __future__ import annotations

import contextlib
import struct

import pytest
import trio

from harmony.envelope import Completion
from harmony.errors import HarmonyError, UpstreamError
from tests.support import dimse
from tests.support.bad_caller import messages
from tests.support.bad_pacs import (
    Accept,
    Close,
    Counters,
    End,
    Final,
    Raw,
    Reject,
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
from tests.support.own_user import calling_impatiently
from tests.support.packings import PACKINGS

SECONDS = 20
FIND = "1.2.840.10008.5.1.4.1.2.2.1"
ECHO = "1.2.840.10008.1.1"
ONE_AT_A_TIME = 1e-6  # Rows in batches do not go by way of `Pack`


@contextlib.asynccontextmanager
async def calling(script):
    """A user before a peer with this script; at the end, the peer has nothing to complain of."""
    with trio.fail_after(SECONDS), bad_pacs(script) as peer:
        async with calling_impatiently(peer.port) as user:
            yield user, peer


def in_order(got):
    return sorted(got, key=lambda one: int(one.sop_instance.rpartition(".")[2]))


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
    async with calling(script) as (user, peer):
        assert await user.store([wire]) == [0]
        await user.echo()
        assert await user.find(dimse.query()) == (Completion.COMPLETE, [])
    by_kind = {request.kind: request for request in peer.requests}
    assert set(by_kind) == {"C-STORE-RQ", "C-ECHO-RQ", "C-FIND-RQ"}
    assert by_kind["C-STORE-RQ"].data == wire.data


async def test_a_peer_that_tells_no_maximum_length_takes_any():
    wire = dimse.instance(200_000)
    script = Script(associate=(Doctor(without_maximum_length), Accept()))
    async with calling(script) as (user, peer):
        assert await user.store([wire]) == [0]
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
    async with calling(script) as (user, _):
        await user.echo()
        completion, found = await user.find(dimse.query())
        assert completion is Completion.COMPLETE
        assert [row.count(b"Row^") for row in found] == [1] * len(rows)
        assert [f"Row^{n:05}".encode() in row for n, row in enumerate(found)] == [True] * len(rows)
        completion, got = await user.get(dimse.query())
        assert completion is Completion.COMPLETE
        assert in_order(got) == sent
        await user.echo()


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
    async with calling(Script(find=(AllInOnePdu(rows),))) as (user, peer):
        for _ in range(2):
            completion, found = await user.find(dimse.query())
            assert completion is Completion.COMPLETE
            assert len(found) == len(rows)
        await user.echo()
    assert len(peer.connections) == 1


async def test_a_pdu_without_values_breaks_the_protocol():
    # PS3.8 9.3.5: one or more presentation data values.
    script = Script(find=(Rows(dimse.rows(1)), Raw(pdu.pdu(4, b"")), Rows(dimse.rows(1)), Final()))
    async with calling(script) as (user, peer):
        with pytest.raises(UpstreamError) as caught:
            await user.find(dimse.query())
        assert caught.value.http_status == 502
        peer.script = Script()
        await user.echo()


async def test_a_cancel_that_comes_too_late_does_no_harm():
    """All answers and the last response were on their way when the limit was reached."""
    script = Script(find=(Rows(dimse.rows(40)), Final()), honours_cancel=False)
    async with calling(script) as (user, peer):
        for _ in range(5):
            completion, found = await user.find(dimse.query(limit=3))
            assert (completion, len(found)) == (Completion.LIMITED, 3)
            await user.echo()
    assert len(peer.connections) == 1
    kinds = [request.kind for request in peer.requests]
    assert kinds.count("C-FIND-RQ") == kinds.count("C-ECHO-RQ") == 5


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
    async with calling(script) as (user, _):
        await user.echo()
        completion, found = await user.find(dimse.query())
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
    async with calling(script) as (user, peer):
        await user.echo()
        with pytest.raises(HarmonyError) as caught:
            await user.find(dimse.query())
        assert caught.value.http_status == 501
        await user.echo()
    assert {request.kind for request in peer.requests} == {"C-ECHO-RQ"}


@pytest.mark.parametrize("change", [without_syntaxes_of_refused, with_unknown_items])
async def test_an_accept_of_an_unusual_shape_is_read(change):
    script = Script(associate=(Doctor(change), Accept(only=frozenset((ECHO,)))))
    async with calling(script) as (user, _):
        await user.echo()
        with pytest.raises(HarmonyError) as caught:
            await user.find(dimse.query())
        assert caught.value.http_status == 501


@pytest.mark.parametrize("roles", [True, False])
async def test_objects_come_whether_or_not_roles_are_answered(roles):
    # PS3.7 D.3.3.4: without an answer the default roles hold, and some peers send all the same.
    sent = [dimse.instance(uid="1.1"), dimse.instance(uid="1.2")]
    script = Script(associate=(Accept(roles=roles),), get=(SendInstances(sent), Final()))
    async with calling(script) as (user, _):
        completion, got = await user.get(dimse.query())
    assert completion is Completion.COMPLETE
    assert in_order(got) == sent


@pytest.mark.parametrize(
    ("result", "source", "reason"),
    [(1, 1, 1), (1, 1, 10), (1, 2, 2), (2, 3, 0), (2, 3, 2), (0, 0, 0), (1, 9, 9), (255, 255, 255)],
)
async def test_a_rejection_is_one_whatever_it_says(result, source, reason):
    async with calling(Script(associate=(Reject(result, source, reason),))) as (user, peer):
        with pytest.raises(UpstreamError) as caught:
            await user.echo()
        assert caught.value.http_status in (502, 503)
        assert "reject" in str(caught.value)
        peer.script = Script()
        await user.echo()


@pytest.mark.parametrize(("source", "reason"), [(0, 0), (0, 9), (1, 1), (2, 0), (2, 3), (255, 255)])
async def test_an_abort_is_one_whatever_it_says(source, reason):
    script = Script(find=(Rows(dimse.rows(2)), Raw(pdu.abort(source, reason)), Linger()))
    async with calling(script) as (user, peer):
        with pytest.raises(UpstreamError) as caught:
            await user.find(dimse.query())
        assert caught.value.http_status == 502
        assert "aborted" in str(caught.value)
        peer.script = Script()
        await user.echo()


# Release. PS3.8 7.2


async def test_both_ask_for_the_release_at_once():
    async with calling(Script(release=(CollideRelease(),))) as (user, peer):
        await user.echo()
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
    script = Script(release=release, find=(Rows(dimse.rows(2)), Final()))
    async with calling(script) as (user, peer):
        completion, found = await user.find(dimse.query())
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
    async with calling(Script(echo=ending)) as (user, peer):
        await user.echo()
        await eventually(lambda: peer.connections[0].end is not None)
        peer.script = Script(find=(Rows(dimse.rows(2)), Final()))
        completion, found = await user.find(dimse.query())  # on an association of its own
        assert (completion, len(found)) == (Completion.COMPLETE, 2)
        assert len(peer.connections) == 2


@pytest.mark.parametrize("more", [pdu.release_request(), pdu.abort(0, 0), b""])
async def test_an_end_before_the_last_response_is_no_success(more):
    script = Script(find=(Rows(dimse.rows(2)), Raw(more), Close()))
    async with calling(script) as (user, peer):
        with pytest.raises(HarmonyError) as caught:
            await user.find(dimse.query())
        assert caught.value.http_status == 502
        peer.script = Script()
        await user.echo()


async def test_a_get_whose_counters_do_not_tell_the_truth_is_a_failure():
    two = SendInstances([dimse.instance(uid="1.1"), dimse.instance(uid="1.2")], report=False)
    wrong = Final(0, counters=Counters(completed=3, failed=0, warning=0))
    async with calling(Script(get=(two, wrong))) as (user, peer):
        with pytest.raises(HarmonyError):
            await user.get(dimse.query())
        peer.script = Script()
        await user.echo()


class FinalOfOrthanc:
    """Orthanc 1.10.1 puts Failed SOP Instance UID List into the command set."""

    def __init__(self, status):
        self._status = status

    def run(self, talk):
        counters = Counters(completed=2, failed=1, warning=0)
        response = talk.response(self._status, counters=counters)
        uid = b"1.2.3.4\0"
        value = struct.pack("<HHI", 8, 0x58, len(uid)) + uid
        group = struct.pack("<HHII", 8, 0, 4, len(value))
        talk.send_message(response + group + value)


@pytest.mark.parametrize("status", [0xA702, 0xC000])
async def test_elements_of_another_group_in_a_command_set_are_passed_over(status):
    two = SendInstances([dimse.instance(uid="1.1"), dimse.instance(uid="1.2")])
    async with calling(Script(get=(two, FinalOfOrthanc(status)))) as (user, peer):
        with pytest.raises(UpstreamError) as caught:
            await user.get(dimse.query())
        assert caught.value.dimse_status == status
        peer.script = Script()
        await user.echo()
