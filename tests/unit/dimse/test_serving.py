"""What a session answers to each thing that a caller may say, proper or not."""

from __future__ import annotations

import io
import json

import pytest
import trio

from harmony.dicom.status_codes import SUCCESS
from harmony.dimse.link import End, Ending, Fragment, Role
from harmony.dimse.provider import Answer
from harmony.envelope import Operation, Originator, Root, StreamBroken
from harmony.telemetry.log import configured
from harmony.upper_layer.commands import DATA_SET_PRESENT, NO_DATA_SET, encode
from tests.support.scripted_link import CT
from tests.support.served import (
    ECHO_ID,
    FIND_ID,
    STORE_ID,
    Caller,
    FakeProvider,
    Said,
    cancel,
    echo,
    find,
    get,
    move,
    served,
    status_of,
    store,
    stored,
)

N_CREATE_RQ = 0x0140
REQUESTS = {"echo": echo(), "store": store(), "find": find(), "get": get(), "move": move()}
requests = pytest.mark.parametrize("said", REQUESTS.values(), ids=REQUESTS.keys())


# In order


@requests
async def test_a_request_is_answered_in_its_context_with_its_message_id(said):
    caller = Caller()
    async with served(caller):
        (answer,) = await caller.ask(said.but(message_id=77))
    assert answer.context_id == said.context_id
    assert answer.command.field == said.command.field | 0x8000
    assert answer.command.responds_to == 77
    assert answer.command.status == SUCCESS
    assert answer.command.affected_sop_class_uid == said.command.affected_sop_class_uid
    assert answer.command.data_set_type == NO_DATA_SET
    assert answer.data is None
    assert not caller.aborted


async def test_the_provider_is_told_what_is_asked():
    provider = FakeProvider()
    caller = Caller()
    async with served(caller, provider):
        for message_id, said in enumerate(REQUESTS.values(), 1):
            await caller.ask(said.but(message_id=message_id))
    told = [(c.operation, c.message_id, c.root, c.destination) for c in provider.calls]
    assert told == [
        (Operation.ECHO, 1, None, None),
        (Operation.STORE, 2, None, None),
        (Operation.FIND, 3, Root.STUDY, None),
        (Operation.GET, 4, Root.STUDY, None),
        (Operation.MOVE, 5, Root.STUDY, "DEST"),
    ]


async def test_requests_follow_each_other_on_one_association():
    caller = Caller()
    async with served(caller):
        for message_id in range(1, 20):
            assert status_of(await caller.ask(find(message_id=message_id))) == SUCCESS
            assert status_of(await caller.ask(store(message_id=message_id))) == SUCCESS
    assert not caller.aborted


@pytest.mark.parametrize("size", [1, 2, 3, 1000])
async def test_an_object_comes_to_the_provider_byte_for_byte_in_any_fragments(size):
    seen = []

    async def keep(call, instance):
        seen.append((instance, b"".join([chunk async for chunk in instance.data])))
        return Answer(status=SUCCESS)

    caller = Caller()
    async with served(caller, FakeProvider(on_store=keep)):
        await caller.ask(store(b"0123456789", uid="1.2.840.1"), size=size)
    ((instance, data),) = seen
    assert data == b"0123456789"
    assert instance.sop_class_uid == CT
    assert instance.sop_instance_uid == "1.2.840.1"
    assert not instance.repeatable


@pytest.mark.parametrize(
    ("title", "number", "originator"),
    [
        ("MOVER", 7, Originator("MOVER", 7)),
        ("MOVER", None, None),
        (None, 7, None),
        ("A" * 17, 7, None),
        ("TAB\tTED", 7, None),
    ],
)
async def test_the_originator_of_a_move_is_told_if_it_can_be_told_on(title, number, originator):
    seen = []

    async def keep(call, instance):
        seen.append(instance.originator)
        return Answer(status=SUCCESS)

    said = store().but(move_originator_ae_title=title, move_originator_message_id=number)
    caller = Caller()
    async with served(caller, FakeProvider(on_store=keep)):
        await caller.ask(said)
    assert seen == [originator]


async def test_a_command_set_may_come_in_fragments():
    data = encode(echo().command)
    caller = Caller()
    async with served(caller):
        for number in range(len(data)):
            caller.say(Fragment(ECHO_ID, True, number == len(data) - 1, data[number : number + 1]))
        await caller.ask(echo(2))
    assert [sent.command.responds_to for sent in caller.sent] == [1, 2]


async def test_comments_and_failure_statuses_of_the_provider_are_told():
    async def refuse(*arguments):
        return Answer(status=0xA700, comment="no room")

    caller = Caller()
    async with served(caller, FakeProvider(on_find=refuse)):
        (answer,) = await caller.ask(find())
    assert (answer.command.status, answer.command.error_comment) == (0xA700, "no room")


async def test_an_object_that_the_provider_does_not_read_is_passed_over():
    async def refuse(call, instance):
        return Answer(status=0xA700)

    caller = Caller()
    async with served(caller, FakeProvider(on_store=refuse)):
        assert status_of(await caller.ask(store(b"0123456789"), size=3)) == 0xA700
        assert status_of(await caller.ask(echo(2))) == SUCCESS


# What can be answered with a failure

REFUSED = {
    "an N-service": (echo().but(field=N_CREATE_RQ), 0x0211),
    "an N-service with a data set": (
        Said(FIND_ID, find().command, b"x").but(field=N_CREATE_RQ),
        0x0211,
    ),
    "a find in the context of verification": (
        Said(ECHO_ID, find().command, b"identifier"),
        0x0211,
    ),
    "another SOP class than the context's": (store().but(affected_sop_class_uid="1.2.3"), 0x0122),
    "no SOP class": (echo().but(affected_sop_class_uid=None), 0x0122),
    "a find without a data set": (
        Said(FIND_ID, find().command).but(data_set_type=NO_DATA_SET),
        0x0212,
    ),
    "a store without a data set": (
        Said(STORE_ID, store().command).but(data_set_type=NO_DATA_SET),
        0x0212,
    ),
    "a store without a UID": (store().but(affected_sop_instance_uid=None), 0xC000),
    "a store of what is no UID": (store(uid="../../etc/passwd"), 0xC000),
    "a store of a UID that is too long": (store(uid="1." + "2" * 64), 0xC000),
}


@pytest.mark.parametrize(("said", "status"), REFUSED.values(), ids=REFUSED.keys())
async def test_what_cannot_be_served_is_answered_so_and_the_association_goes_on(said, status):
    provider = FakeProvider()
    caller = Caller()
    async with served(caller, provider):
        (answer,) = await caller.ask(said, size=3)
        assert answer.command.status == status
        assert answer.command.field == said.command.field | 0x8000
        assert not provider.calls
        assert status_of(await caller.ask(echo(2))) == SUCCESS
    assert not caller.aborted


async def test_a_uid_outside_ascii_is_answered_and_not_repeated():
    encoded = bytearray(encode(store(uid="1.2.3XX").command))
    place = encoded.index(b"1.2.3XX")
    encoded[place + 5 : place + 7] = b"\xff\xe9"
    caller = Caller()
    async with served(caller):
        caller.say(Fragment(STORE_ID, True, True, bytes(encoded)))
        caller.say(Fragment(STORE_ID, False, True, b"object"))
        assert status_of(await caller.ask(echo(2))) == SUCCESS
    refused = caller.sent[0].command
    assert (refused.status, refused.affected_sop_instance_uid) == (0xC000, None)


async def test_an_echo_with_a_data_set_is_answered():
    said = Said(ECHO_ID, echo().command, b"why").but(data_set_type=DATA_SET_PRESENT)
    caller = Caller()
    async with served(caller):
        assert status_of(await caller.ask(said)) == SUCCESS
        assert status_of(await caller.ask(echo(2))) == SUCCESS


async def test_a_store_in_a_role_that_was_not_granted_is_refused():
    caller = Caller(roles={CT: Role(scu=False, scp=True)})
    async with served(caller):
        assert status_of(await caller.ask(store())) == 0x0122


async def test_an_identifier_that_is_too_long_is_refused_and_not_kept():
    provider = FakeProvider()
    caller = Caller()
    async with served(caller, provider):
        assert status_of(await caller.ask(find(bytes(1024 * 1024 + 2)), size=100_000)) == 0xC000
        assert status_of(await caller.ask(echo(2))) == SUCCESS
    assert [call.operation for call in provider.calls] == [Operation.ECHO]


@pytest.mark.parametrize("answer", [SUCCESS, 0xC000])
async def test_an_object_that_is_too_long_is_refused_whatever_the_provider_says(answer):
    broken = []

    async def keep(call, instance):
        try:
            async for _ in instance.data:
                pass
        except StreamBroken:
            broken.append(call.message_id)
        return Answer(status=answer)

    caller = Caller()
    async with served(caller, FakeProvider(on_store=keep), max_object_bytes=10):
        assert status_of(await caller.ask(store(bytes(12)), size=3)) == 0xA700
        assert status_of(await caller.ask(store(bytes(10), 2), size=3)) == answer
    assert broken == [1]


@pytest.mark.parametrize("name", REQUESTS)
async def test_a_bug_of_ours_fails_one_request_and_is_told_without_data(name):
    async def fail(*arguments):
        raise ValueError("Doe^Jane")

    hooks = {"echo": "on_echo", "store": "on_store", "find": "on_find"}
    provider = FakeProvider()
    setattr(provider, hooks.get(name, "on_retrieve"), fail)
    told = io.StringIO()
    caller = Caller()
    with configured("debug", "json", told):
        async with served(caller, provider):
            assert status_of(await caller.ask(REQUESTS[name])) == 0x0110
            provider.on_echo = FakeProvider().on_echo
            assert status_of(await caller.ask(echo(2))) == SUCCESS
    lines = [json.loads(line) for line in told.getvalue().splitlines()]
    assert [line["error"] for line in lines if line["event"] == "request.failed"] == ["ValueError"]
    assert "Doe" not in told.getvalue()


# What cannot be answered

COMMAND = encode(echo().command)
ABORTED = {
    "a data set without a command": ([Fragment(ECHO_ID, False, True, b"x")], "without-command"),
    "an unknown context": ([Fragment(99, True, True, COMMAND)], "unknown-context"),
    "a command set without end": (
        [Fragment(ECHO_ID, True, False, bytes(4096))] * 5,
        "command-too-long",
    ),
    "no command set": ([Fragment(ECHO_ID, True, True, b"garbage!")], "bad-command-set"),
    "an empty command set": ([Fragment(ECHO_ID, True, True, b"")], "bad-command-set"),
    "a command set broken off by a data set": (
        [Fragment(ECHO_ID, True, False, COMMAND[:9]), Fragment(ECHO_ID, False, True, b"x")],
        "without-command",
    ),
    "a command set that changes its context": (
        [Fragment(ECHO_ID, True, False, COMMAND[:9]), Fragment(FIND_ID, True, True, COMMAND[9:])],
        "command-broken-off",
    ),
    "a command set that stops": ([Fragment(ECHO_ID, True, False, COMMAND[:9])], "stalled"),
    "a response to nothing": ([stored()], "response-to-nothing"),
    "a request without a message id": ([echo().but(message_id=None)], "without-message-id"),
    "a data set broken off by a command": (
        [*store(b"12345678").fragments(4)[:-1], Fragment(STORE_ID, True, True, COMMAND)],
        "data-set-broken-off",
    ),
    "a data set that changes its context": (
        [*store(b"12345678").fragments(4)[:-1], Fragment(FIND_ID, False, True, b"x")],
        "data-set-broken-off",
    ),
    "a data set that stops": (store(b"12345678").fragments(4)[:-1], "stalled"),
    "an identifier that stops": (find(b"12345678").fragments(4)[:-1], "stalled"),
    "a request before the answer": ([find(), find(message_id=2)], "request-before-answer"),
    "a store before the answer": ([find(), store(message_id=2)], "request-before-answer"),
    "the answer to a sub-operation that was not begun": ([get(), stored()], "response-to-nothing"),
    "the answer to a sub-operation in a find": ([find(), stored()], "response-to-nothing"),
}


@pytest.mark.parametrize(("said", "code"), ABORTED.values(), ids=ABORTED.keys())
async def test_what_cannot_be_answered_is_an_abort_and_is_told(said, code, autojump_clock):
    async def wait(*arguments):
        await trio.sleep_forever()

    provider = FakeProvider(on_find=wait, on_retrieve=wait)
    told = io.StringIO()
    caller = Caller()
    with configured("debug", "json", told):
        async with served(caller, provider):
            caller.say(*said)
            await trio.sleep(60)
            assert caller.aborted
    assert not caller.sent
    (line,) = [json.loads(line) for line in told.getvalue().splitlines()]
    assert line["event"] == "association.aborted"
    assert code in line["code"]
    assert line["address"] == "127.0.0.1"


@pytest.mark.parametrize("said", [find(), get(), echo()], ids=["find", "get", "echo"])
@pytest.mark.parametrize("end", [End.PEER_RELEASED, End.PEER_ABORTED, End.CLOSED, End.STALLED])
async def test_work_ends_with_its_caller(said, end, autojump_clock):
    async def wait(*arguments):
        await trio.sleep_forever()

    provider = FakeProvider(on_echo=wait, on_find=wait, on_retrieve=wait)
    caller = Caller()
    async with served(caller, provider):
        caller.say(said, Ending(end))
        await trio.sleep(1)
        assert len(provider.cancelled) == 1
    assert not caller.sent
    assert not caller.aborted


@pytest.mark.parametrize("end", [End.PEER_ABORTED, End.CLOSED, End.STALLED])
async def test_a_store_whose_caller_goes_in_the_middle_is_not_answered(end, autojump_clock):
    seen = []

    async def keep(call, instance):
        try:
            async for _ in instance.data:
                pass
        except StreamBroken:
            seen.append("broken")
        return Answer(status=SUCCESS)

    caller = Caller()
    async with served(caller, FakeProvider(on_store=keep)):
        caller.say(*store(b"12345678").fragments(4)[:-1], Ending(end))
        await trio.sleep(1)
    assert seen == ["broken"]
    assert not caller.sent


async def test_a_store_whose_caller_goes_before_the_answer_is_cancelled(autojump_clock):
    async def slowly(call, instance):
        async for _ in instance.data:
            pass
        await trio.sleep_forever()

    provider = FakeProvider(on_store=slowly)
    caller = Caller()
    async with served(caller, provider):
        caller.say(store(), Ending(End.CLOSED))
        await trio.sleep(1)
        assert len(provider.cancelled) == 1
    assert not caller.sent


# Time


async def test_an_idle_association_is_aborted(autojump_clock):
    caller = Caller()
    async with served(caller, idle_seconds=60):
        await trio.sleep(59)
        assert status_of(await caller.ask(echo())) == SUCCESS
        await trio.sleep(59)
        assert not caller.aborted
        await trio.sleep(2)
        assert caller.aborted


async def test_cancels_that_come_too_late_do_not_keep_an_association(autojump_clock):
    caller = Caller()
    async with served(caller, idle_seconds=60):
        await caller.ask(find())
        for _ in range(3):
            await trio.sleep(25)
            caller.say(cancel())
        assert caller.aborted


async def test_empty_fragments_do_not_keep_an_association(autojump_clock):
    caller = Caller()
    async with served(caller, object_idle_seconds=15):
        for _ in range(20):
            caller.say(Fragment(ECHO_ID, True, False, b""))
            await trio.sleep(1)
        assert caller.aborted


async def drip(caller, data, *, seconds):
    for fragment in store(data).fragments(1):
        caller.say(fragment)
        await trio.sleep(seconds)


async def test_an_object_that_comes_too_slowly_is_given_up_after_half_a_minute(autojump_clock):
    caller = Caller()
    async with served(caller, minimum_rate=10):
        await drip(caller, bytes(28), seconds=1)
        assert [sent.command.status for sent in caller.sent] == [SUCCESS]
        await drip(caller, bytes(45), seconds=1)
        assert caller.aborted


async def test_a_slow_object_is_taken_if_there_is_no_minimum_rate(autojump_clock):
    caller = Caller()
    async with served(caller, minimum_rate=0):
        await drip(caller, bytes(50), seconds=5)
        assert [sent.command.status for sent in caller.sent] == [SUCCESS]


async def test_an_object_has_a_total_time(autojump_clock):
    caller = Caller()
    async with served(caller, minimum_rate=0, object_seconds=100):
        await drip(caller, bytes(50), seconds=5)
        assert caller.aborted


async def test_time_that_the_provider_takes_is_not_the_callers(autojump_clock):
    async def slowly(call, instance):
        async for _ in instance.data:
            await trio.sleep(1000)
        return Answer(status=SUCCESS)

    caller = Caller()
    async with served(caller, FakeProvider(on_store=slowly), object_seconds=100):
        assert status_of(await caller.ask(store(bytes(8)), size=1)) == SUCCESS


# The end of the listener


async def test_finishing_ends_an_idle_association_at_once(autojump_clock):
    caller = Caller()
    async with served(caller) as session:
        await caller.ask(echo())
        now = trio.current_time()
        session.finish()
        await trio.testing.wait_all_tasks_blocked()
        assert caller.aborted
        assert trio.current_time() == now


async def test_finishing_lets_a_request_end_and_then_ends_the_association(autojump_clock):
    async def slowly(*arguments):
        await trio.sleep(10)
        return Answer(status=SUCCESS)

    caller = Caller()
    async with served(caller, FakeProvider(on_find=slowly)) as session:
        caller.say(find())
        await trio.sleep(5)
        session.finish()
        await trio.sleep(5.5)
        assert status_of(caller.sent) == SUCCESS
        caller.say(find(message_id=2))
        await trio.sleep(2)
        assert caller.aborted
    assert len(caller.sent) == 1


async def test_a_caller_that_releases_after_its_last_answer_is_not_aborted():
    async def finish(*arguments):
        session.finish()
        return Answer(status=SUCCESS)

    caller = Caller()
    async with served(caller, FakeProvider(on_find=finish)) as session:
        await caller.ask(find())
    assert not caller.aborted


async def test_finished_before_it_began_it_serves_nothing(autojump_clock):
    caller = Caller()
    async with served(caller) as session:
        session.finish()
        caller.say(echo())
        await trio.sleep(2)
        assert caller.aborted
    assert not caller.sent


async def test_a_command_under_way_when_it_is_to_finish_is_still_answered(autojump_clock):
    data = encode(echo().command)
    caller = Caller()
    async with served(caller) as session:
        caller.say(Fragment(ECHO_ID, True, False, data[:9]))
        await trio.sleep(1)
        session.finish()
        caller.say(Fragment(ECHO_ID, True, True, data[9:]))
        await trio.sleep(0.5)
        assert status_of(caller.sent) == SUCCESS
