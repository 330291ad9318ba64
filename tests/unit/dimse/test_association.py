"""DIMSE operations against a scripted peer: what ends well, what must not, and what is left."""

from __future__ import annotations

import dataclasses

import pytest
import trio
import trio.testing

from harmony.dimse.association import Association
from harmony.dimse.contexts import FIND, GET
from harmony.dimse.failures import NotAnswered
from harmony.dimse.link import Context, Fragment
from harmony.envelope import (
    Completion,
    Encoded,
    Instance,
    Key,
    Level,
    Match,
    Originator,
    Progress,
    Query,
    Root,
    Stored,
    StreamBroken,
    SubOperations,
    WholeBytes,
)
from harmony.errors import HarmonyError, RequestError, UpstreamError
from harmony.upper_layer.commands import CommandField
from tests.support.scripted_link import (
    ABORTED,
    CLOSED,
    CONTEXT_OF,
    CT,
    EXPLICIT,
    Answer,
    CutShort,
    Meanwhile,
    ScriptedLink,
    Silence,
    Step,
    target,
)

STUDY = Query(level=Level.STUDY, root=Root.STUDY, keys=(Key(0x0020000D, ("1.2.3",)),))
MOVE = Query(
    level=Level.STUDY, root=Root.STUDY, keys=(Key(0x0020000D, ("1.2.3",)),), destination="DEST"
)
IMPLICIT = "1.2.840.10008.1.2"
ROW = b"\x20\x00\x0d\x00UI\x06\x001.2.3\0"


def find_rsp(status: int, data: bytes | None = None, **extra: object) -> Answer:
    return Answer(field=CommandField.C_FIND_RSP, status=status, data=data, extra=extra)


def get_rsp(status: int, **extra: object) -> Answer:
    return Answer(field=CommandField.C_GET_RSP, status=status, extra=extra)


def move_rsp(status: int, data: bytes | None = None, **extra: object) -> Answer:
    return Answer(field=CommandField.C_MOVE_RSP, status=status, data=data, extra=extra)


def store_rq(uid: str, data: bytes = b"pixels") -> Answer:
    return Answer(
        field=CommandField.C_STORE_RQ,
        data=data,
        context_id=CONTEXT_OF[CT],
        extra={
            "affected_sop_class_uid": CT,
            "affected_sop_instance_uid": uid,
            "message_id": 77,
        },
    )


class Taken:
    """Takes what is emitted; reads instances in another task, as a client would."""

    def __init__(self, nursery: trio.Nursery) -> None:
        self.matches: list[Match] = []
        self.progress: list[SubOperations] = []
        self.instances: dict[str, bytes] = {}
        self._nursery = nursery

    async def __call__(self, item: Match | Instance | Progress) -> None:
        match item:
            case Match():
                self.matches.append(item)
            case Progress():
                self.progress.append(item.counters)
            case Instance():
                self._nursery.start_soon(self._read, item)

    async def _read(self, instance: Instance) -> None:
        self.instances[instance.sop_instance_uid] = b"".join([c async for c in instance.data])


@pytest.fixture
def taken(nursery: trio.Nursery) -> Taken:
    return Taken(nursery)


async def test_an_echo_that_is_answered_leaves_the_association_for_reuse() -> None:
    link = ScriptedLink([Answer(field=CommandField.C_ECHO_RSP, status=0)] * 2)
    association = Association(link, target())
    await association.echo()
    await association.echo()
    assert association.is_reusable
    assert [sent.command.message_id for sent in link.sent] == [1, 2]


async def test_an_echo_with_a_failure_status_is_a_failure_but_in_order() -> None:
    association = Association(
        ScriptedLink([Answer(field=CommandField.C_ECHO_RSP, status=0x0122)]), target()
    )
    with pytest.raises(UpstreamError) as caught:
        await association.echo()
    assert caught.value.dimse_status == 0x0122
    assert association.is_reusable


async def test_a_find_gives_its_rows_as_they_were_sent(taken: Taken) -> None:
    link = ScriptedLink([find_rsp(0xFF00, ROW), find_rsp(0xFF01, ROW), find_rsp(0)])
    outcome = await Association(link, target()).find(STUDY, taken)
    assert outcome.completion is Completion.COMPLETE
    assert [m.identifier for m in taken.matches] == [ROW, ROW]
    assert [m.all_keys_supported for m in taken.matches] == [True, False]
    (sent,) = link.sent
    assert sent.context_id == CONTEXT_OF[FIND[Root.STUDY]]
    assert sent.command.affected_sop_class_uid == FIND[Root.STUDY]
    assert b"1.2.3" in (sent.data or b"")


PRIVATE = b"\x09\x00\x10\x00LO\x04\x00ACME\x20\x00\x0d\x00UI\x06\x001.2.3\0"


async def test_the_identifier_of_a_dimse_caller_is_sent_as_it_came(taken: Taken) -> None:
    link = ScriptedLink([find_rsp(0)])
    query = dataclasses.replace(STUDY, encoded=Encoded(data=PRIVATE, transfer_syntax=EXPLICIT))
    await Association(link, target()).find(query, taken)
    assert link.sent[0].data == PRIVATE


async def test_it_is_written_anew_where_another_transfer_syntax_was_agreed_on(
    taken: Taken,
) -> None:
    context = Context(1, FIND[Root.STUDY], IMPLICIT)
    link = ScriptedLink([find_rsp(0)], contexts={1: context})
    query = dataclasses.replace(STUDY, encoded=Encoded(data=PRIVATE, transfer_syntax=EXPLICIT))
    await Association(link, target()).find(query, taken)
    assert link.sent[0].data == (
        b"\x09\x00\x10\x00\x04\0\0\0ACME\x20\x00\x0d\x00\x06\0\0\x001.2.3\0"
    )


async def test_one_that_cannot_be_written_anew_is_refused_and_nothing_is_sent(
    taken: Taken,
) -> None:
    link = ScriptedLink([], contexts={1: Context(1, FIND[Root.STUDY], IMPLICIT)})
    association = Association(link, target())
    query = dataclasses.replace(STUDY, encoded=Encoded(data=b"\xff", transfer_syntax=EXPLICIT))
    with pytest.raises(RequestError):
        await association.find(query, taken)
    assert link.sent == []
    assert association.is_reusable


async def test_a_limit_is_kept_by_cancel_and_drain(taken: Taken) -> None:
    link = ScriptedLink(
        [find_rsp(0xFF00, ROW)] * 5 + [find_rsp(0xFE00)],
    )
    association = Association(link, target())
    query = Query(level=Level.STUDY, root=Root.STUDY, keys=STUDY.keys, limit=2, offset=1)
    outcome = await association.find(query, taken)
    assert outcome.completion is Completion.LIMITED
    assert len(taken.matches) == 2
    assert [s.command.field for s in link.sent] == [
        CommandField.C_FIND_RQ,
        CommandField.C_CANCEL_RQ,
    ]
    assert link.sent[1].command.responds_to == link.sent[0].command.message_id
    assert association.is_reusable


async def test_exactly_as_many_rows_as_the_limit_are_the_whole_answer(taken: Taken) -> None:
    link = ScriptedLink([find_rsp(0xFF00, ROW)] * 2 + [find_rsp(0)])
    query = Query(level=Level.STUDY, root=Root.STUDY, keys=STUDY.keys, limit=2)
    outcome = await Association(link, target()).find(query, taken)
    assert outcome.completion is Completion.COMPLETE
    assert len(link.sent) == 1


@pytest.mark.parametrize(
    "after_cancel",
    [
        [Silence()],
        [ABORTED],
        [Answer(field=CommandField.C_FIND_RSP, status=0xFE00, data=b"")],
        [find_rsp(0xFF00, ROW)] * 3,
    ],
    ids=["silent", "aborts", "announces a data set", "goes on"],
)
async def test_a_cancel_that_is_not_answered_in_order_costs_the_association_only(
    taken: Taken, after_cancel: list[Step], autojump_clock: trio.testing.MockClock
) -> None:
    link = ScriptedLink([find_rsp(0xFF00, ROW)] * 2 + after_cancel)
    association = Association(link, target())
    query = Query(level=Level.STUDY, root=Root.STUDY, keys=STUDY.keys, limit=1)
    outcome = await association.find(query, taken)
    assert outcome.completion is Completion.LIMITED
    assert not association.is_reusable
    assert link.hung_up


BAD_FINDS: dict[str, list[Step]] = {
    "failure": [find_rsp(0xC001)],
    "failure after a row": [find_rsp(0xFF00, ROW), find_rsp(0xA700)],
    "cancelled by the peer": [find_rsp(0xFF00, ROW), find_rsp(0xFE00)],
    "aborts": [find_rsp(0xFF00, ROW), ABORTED],
    "closes": [find_rsp(0xFF00, ROW), CLOSED],
    "silent": [Silence()],
    "silent after a row": [find_rsp(0xFF00, ROW), Silence()],
    "pending without identifier": [find_rsp(0xFF00)],
    "silent in a row": [find_rsp(0xFF00, data_set_type=1), Silence()],
    "other message": [Answer(field=CommandField.C_ECHO_RSP, status=0)],
    "other message ID": [Answer(field=CommandField.C_FIND_RSP, status=0, responds_to=99)],
    "other context": [Answer(field=CommandField.C_FIND_RSP, status=0, context_id=1)],
    "no status": [Answer(field=CommandField.C_FIND_RSP)],
    "data without command": [Fragment(5, False, True, ROW)],
    "damaged command": [Fragment(5, True, True, b"\xff" * 20)],
    "endless command": [Fragment(5, True, False, b"\0" * 9000)] * 3,
    "endless identifier": [
        Answer(field=CommandField.C_FIND_RSP, status=0xFF00, data=b"x" * 2_000_000)
    ],
}


@pytest.mark.parametrize("script", BAD_FINDS.values(), ids=BAD_FINDS.keys())
async def test_a_find_that_goes_wrong_raises(
    taken: Taken, script: list[Step], autojump_clock: trio.testing.MockClock
) -> None:
    with trio.fail_after(120), pytest.raises(HarmonyError):
        await Association(ScriptedLink(script), target()).find(STUDY, taken)


@pytest.mark.parametrize(
    ("script", "reusable"),
    [([find_rsp(0xC001)], True), ([ABORTED], False), ([Silence()], False)],
)
async def test_only_a_failure_that_was_answered_leaves_the_association_for_reuse(
    taken: Taken, script: list[Step], reusable: bool, autojump_clock: trio.testing.MockClock
) -> None:
    link = ScriptedLink(script)
    association = Association(link, target())
    with pytest.raises(HarmonyError):
        await association.find(STUDY, taken)
    assert association.is_reusable is reusable
    assert link.hung_up is not reusable


async def test_a_held_association_that_was_dead_already_says_that_nothing_was_answered() -> None:
    link = ScriptedLink([Answer(field=CommandField.C_ECHO_RSP, status=0), CLOSED])
    association = Association(link, target())
    await association.echo()
    with pytest.raises(NotAnswered):
        await association.echo()


async def test_a_fresh_association_that_dies_is_a_failure_of_the_peer() -> None:
    with pytest.raises(UpstreamError):
        await Association(ScriptedLink([CLOSED]), target()).echo()


async def test_cancellation_hangs_up(taken: Taken) -> None:
    link = ScriptedLink([Silence()])
    association = Association(link, target())
    with trio.move_on_after(0.01):
        await association.find(STUDY, taken)
    assert link.hung_up
    assert not association.is_reusable


async def test_a_get_answers_each_instance_after_its_reader_has_it(taken: Taken) -> None:
    link = ScriptedLink(
        [
            store_rq("1.1", b"first"),
            get_rsp(0xFF00, remaining=1, completed=1),
            store_rq("1.2", b"second"),
            get_rsp(0, completed=2, failed=0, warning=0),
        ]
    )
    association = Association(link, target())
    outcome = await association.get(STUDY, taken)
    assert outcome.completion is Completion.COMPLETE
    assert taken.instances == {"1.1": b"first", "1.2": b"second"}
    responses = [s.command for s in link.sent[1:]]
    assert [(c.field, c.status, c.responds_to) for c in responses] == [
        (CommandField.C_STORE_RSP, 0, 77)
    ] * 2
    assert link.sent[0].context_id == CONTEXT_OF[GET[Root.STUDY]]
    assert association.is_reusable


async def test_what_is_counted_in_a_get_is_told_just_before_the_next_instance() -> None:
    link = ScriptedLink(
        [
            get_rsp(0xFF00, remaining=3, completed=0),
            store_rq("1.1"),
            get_rsp(0xFF00, remaining=2, completed=1),
            get_rsp(0xFF00),
            store_rq("1.2"),
            store_rq("1.3"),
            get_rsp(0xFF00, remaining=0, completed=3),
            get_rsp(0, completed=3),
        ]
    )
    told: list[str | int | None] = []

    async with trio.open_nursery() as nursery:
        taken = Taken(nursery)

        async def take(item: Match | Instance | Progress) -> None:
            await taken(item)
            if isinstance(item, Instance):
                told.append(item.sop_instance_uid)
            elif isinstance(item, Progress):
                told.append(item.counters.remaining)

        await Association(link, target()).get(STUDY, take)
    assert told == [3, "1.1", 2, "1.2", "1.3"]


async def test_what_is_counted_is_not_told_if_nothing_comes_after_it(taken: Taken) -> None:
    link = ScriptedLink([get_rsp(0xFF00, remaining=2, completed=0), get_rsp(0xA702, failed=2)])
    with pytest.raises(UpstreamError):
        await Association(link, target()).get(STUDY, taken)
    assert taken.progress == []


BAD_GETS: dict[str, list[Step]] = {
    "counts more than came": [store_rq("1.1"), get_rsp(0, completed=2)],
    "counts fewer than came": [store_rq("1.1"), get_rsp(0, completed=0)],
    "success with remaining": [store_rq("1.1"), get_rsp(0, completed=1, remaining=3)],
    "failure": [get_rsp(0xA702, failed=3)],
    "failure after one": [store_rq("1.1"), get_rsp(0xA702, completed=1, failed=2)],
    "warning and nothing came": [get_rsp(0xB000, completed=0, failed=2)],
    "cancelled by the peer": [store_rq("1.1"), get_rsp(0xFE00, completed=1)],
    "aborts in an instance": [
        store_rq("1.1"),
        Fragment(CONTEXT_OF[CT], True, True, b"\0"),
    ],
    "aborts between instances": [store_rq("1.1"), ABORTED],
    "UID that is none": [store_rq("1.2\r\nX-Injected: 1"), get_rsp(0, completed=1)],
    "unknown context": [
        Answer(field=CommandField.C_STORE_RQ, data=b"x", context_id=255),
    ],
    "no data set": [
        Answer(
            field=CommandField.C_STORE_RQ,
            context_id=CONTEXT_OF[CT],
            extra={
                "affected_sop_class_uid": CT,
                "affected_sop_instance_uid": "1",
                "message_id": 1,
            },
        )
    ],
    "silent": [store_rq("1.1"), Silence()],
}


@pytest.mark.parametrize("script", BAD_GETS.values(), ids=BAD_GETS.keys())
async def test_a_get_that_goes_wrong_raises(
    taken: Taken, script: list[Step], autojump_clock: trio.testing.MockClock
) -> None:
    with trio.fail_after(120), pytest.raises(HarmonyError):
        await Association(ScriptedLink(script), target()).get(STUDY, taken)


async def test_a_get_of_which_a_part_failed_is_partial(taken: Taken) -> None:
    link = ScriptedLink([store_rq("1.1"), get_rsp(0xB000, completed=1, failed=1)])
    outcome = await Association(link, target()).get(STUDY, taken)
    assert outcome.completion is Completion.PARTIAL
    assert outcome.counters is not None
    assert outcome.counters.failed == 1


async def test_success_with_failed_sub_operations_is_partial_all_the_same(taken: Taken) -> None:
    link = ScriptedLink([store_rq("1.1"), get_rsp(0, completed=1, failed=1)])
    outcome = await Association(link, target()).get(STUDY, taken)
    assert outcome.completion is Completion.PARTIAL


async def test_an_instance_that_breaks_off_does_not_look_whole() -> None:
    ends: list[str] = []

    async def read(instance: Instance) -> None:
        try:
            async for _ in instance.data:
                pass
            ends.append("whole")
        except StreamBroken:
            ends.append("broken")

    async with trio.open_nursery() as nursery:

        async def take(item: object) -> None:
            assert isinstance(item, Instance)
            nursery.start_soon(read, item)

        link = ScriptedLink([CutShort(store_rq("1.1")), CLOSED])
        with pytest.raises(UpstreamError):
            await Association(link, target()).get(STUDY, take)
    assert ends == ["broken"]


async def test_a_move_tells_its_progress_and_its_counters(taken: Taken) -> None:
    link = ScriptedLink(
        [
            move_rsp(0xFF00, remaining=2, completed=1, failed=0, warning=0),
            move_rsp(0, completed=3, failed=0, warning=0),
        ]
    )
    outcome = await Association(link, target()).move(MOVE, taken)
    assert outcome.counters == SubOperations(completed=3, failed=0, warning=0)
    assert taken.progress == [SubOperations(remaining=2, completed=1, failed=0, warning=0)]
    assert link.sent[0].command.move_destination == "DEST"


async def test_a_move_can_have_a_message_id_of_its_callers_choice(taken: Taken) -> None:
    link = ScriptedLink([move_rsp(0, completed=1)] * 2)
    association = Association(link, target())
    await association.move(MOVE, taken, message_id=4711)
    await association.move(MOVE, taken)
    assert [sent.command.message_id for sent in link.sent] == [4711, 4712]


async def test_a_move_can_wait_longer_than_the_target_says(
    taken: Taken, autojump_clock: trio.testing.MockClock
) -> None:
    async def wait(request: object) -> None:
        await trio.sleep(1000)

    link = ScriptedLink([Meanwhile(wait), move_rsp(0, completed=1)])
    await Association(link, target(move_seconds=1)).move(MOVE, taken, seconds=2000)


async def test_a_partial_move_names_what_is_missing(taken: Taken) -> None:
    uid_list = b"\x08\x00\x58\x00UI\x08\x001.2\\1.3\0"
    link = ScriptedLink([move_rsp(0xB000, uid_list, completed=1, failed=2)])
    outcome = await Association(link, target()).move(MOVE, taken)
    assert outcome.completion is Completion.PARTIAL
    assert outcome.missing == ("1.2", "1.3")


@pytest.mark.parametrize(
    "script",
    [
        [move_rsp(0xA801)],
        [move_rsp(0xB000, completed=0, failed=1)],
        [move_rsp(0, completed=1, remaining=2)],
        [move_rsp(0xFF00, completed=3), move_rsp(0, completed=1)],
        [ABORTED],
        [Silence()],
    ],
    ids=["unknown", "all failed", "remaining", "backwards", "aborts", "silent"],
)
async def test_a_move_that_goes_wrong_raises(
    taken: Taken, script: list[Step], autojump_clock: trio.testing.MockClock
) -> None:
    with trio.fail_after(120), pytest.raises(HarmonyError):
        await Association(ScriptedLink(script), target()).move(MOVE, taken)


def instance(data: bytes = b"pixels") -> Instance:
    return Instance(
        sop_class_uid=CT,
        sop_instance_uid="1.1",
        transfer_syntax=EXPLICIT,
        data=WholeBytes(data),
    )


@pytest.mark.parametrize("status", [0x0000, 0xB000, 0xA700, 0xC000])
async def test_a_store_gives_the_status_of_the_peer(status: int) -> None:
    link = ScriptedLink([Answer(field=CommandField.C_STORE_RSP, status=status)])
    association = Association(link, target())
    assert await association.store(instance()) == Stored(
        sop_class_uid=CT, sop_instance_uid="1.1", status=status
    )
    assert link.sent[0].data == b"pixels"
    assert association.is_reusable


@pytest.mark.parametrize(
    ("originator", "told"),
    [
        (None, (None, None)),
        (Originator("WORKSTATION", 7), ("WORKSTATION", 7)),
        (Originator("W\xe4RK", 7), (None, None)),
    ],
    ids=["none", "known", "not ASCII"],
)
async def test_a_store_says_for_which_move_it_is(
    originator: Originator | None, told: tuple[str | None, int | None]
) -> None:
    link = ScriptedLink([Answer(field=CommandField.C_STORE_RSP, status=0)])
    sent = dataclasses.replace(instance(), originator=originator)
    await Association(link, target()).store(sent)
    command = link.sent[0].command
    assert (command.move_originator_ae_title, command.move_originator_message_id) == told


async def test_a_store_answer_about_another_instance_is_no_success() -> None:
    answer = Answer(
        field=CommandField.C_STORE_RSP, status=0, extra={"affected_sop_instance_uid": "9.9"}
    )
    with pytest.raises(UpstreamError):
        await Association(ScriptedLink([answer]), target()).store(instance())


async def test_what_the_peer_does_not_accept_is_501_and_the_next_request_asks_anew() -> None:
    link = ScriptedLink([], contexts={})
    association = Association(link, target())
    with pytest.raises(UpstreamError) as caught:
        await association.echo()
    assert caught.value.http_status == 501
    assert association.is_in_order
    assert not association.is_reusable
    assert not link.hung_up
