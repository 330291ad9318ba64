"""Sub-operations of a C-GET: each is sent whole and ends with its answer, or is an abort."""

from __future__ import annotations

import pytest
import trio

from harmony.dicom.status_codes import SUCCESS
from harmony.dimse.link import End, Ending, Role
from harmony.dimse.provider import Answer, Tally
from harmony.dimse.serving_streams import with_counters
from harmony.envelope import ByteStream, Instance, StreamBroken, WholeBytes
from harmony.upper_layer.commands import Command, CommandField
from tests.support.fake_backend import Once
from tests.support.scripted_link import CT, EXPLICIT
from tests.support.served import (
    FIND_ID,
    GET_ID,
    STORE_ID,
    Caller,
    FakeProvider,
    Said,
    cancel,
    echo,
    find,
    get,
    served,
    stored,
)

TAKES = {CT: Role(scu=True, scp=True)}


def instance(data=b"object", uid="1.2.3", *, syntax=EXPLICIT, sop_class=CT):
    return Instance(
        sop_class_uid=sop_class,
        sop_instance_uid=uid,
        transfer_syntax=syntax,
        data=WholeBytes(data) if isinstance(data, bytes) else data,
        repeatable=isinstance(data, bytes),
    )


def answers(sent):
    return stored(sent.command.message_id)


def gives(*instances, then=SUCCESS, statuses=None):
    async def retrieve(call, identifier, retrieval):
        for each in instances:
            status = await retrieval.store(each)
            if statuses is not None:
                statuses.append(status)
        return Answer(status=then)

    return FakeProvider(on_retrieve=retrieve)


def kinds(caller):
    return [CommandField(sent.command.field) for sent in caller.sent]


async def test_instances_go_out_in_their_context_each_with_a_number_of_its_own():
    caller = Caller(roles=TAKES, on_store=answers)
    provider = gives(instance(b"one!", "1.1"), instance(b"two!", "1.2"))
    async with served(caller, provider):
        one, two, final = await caller.ask(get(message_id=9))
    for sent, number, data in ((one, 1, b"one!"), (two, 2, b"two!")):
        assert sent.context_id == STORE_ID
        assert sent.command.message_id == number
        assert sent.command.affected_sop_class_uid == CT
        assert sent.command.affected_sop_instance_uid == f"1.{number}"
        assert sent.command.move_originator_ae_title is None
        assert sent.data == data
    assert final.command.status == SUCCESS


@pytest.mark.parametrize("status", [SUCCESS, 0xB000, 0xA700, 0x0122])
async def test_the_callers_answer_is_the_status(status):
    statuses: list[int] = []
    caller = Caller(roles=TAKES, on_store=lambda sent: stored(sent.command.message_id, status))
    async with served(caller, gives(instance(), statuses=statuses)):
        await caller.ask(get())
    assert statuses == [status]


@pytest.mark.parametrize(
    ("roles", "given"),
    [
        ({}, instance()),
        ({CT: Role(scu=True, scp=False)}, instance()),
        (TAKES, instance(syntax="1.2.840.10008.1.2.4.50")),
        (TAKES, instance(sop_class="1.2.3")),
        ({"1.2.3": Role(scu=False, scp=True)}, instance(sop_class="1.2.3")),
    ],
    ids=["no role", "not the SCP's", "another syntax", "another class", "no context"],
)
async def test_what_the_caller_does_not_take_is_0122_and_not_sent(roles, given):
    statuses: list[int] = []
    caller = Caller(roles=roles)
    async with served(caller, gives(given, statuses=statuses)):
        await caller.ask(get())
    assert statuses == [0x0122]
    assert kinds(caller) == [CommandField.C_GET_RSP]


@pytest.mark.parametrize(
    "answer",
    [
        stored(2),
        stored(1).but(status=None),
        stored(1).but(data_set_type=1),
        Said(FIND_ID, stored(1).command),
    ],
    ids=["another number", "no status", "with a data set", "in another context"],
)
async def test_an_answer_to_something_else_is_an_abort(answer):
    caller = Caller(roles=TAKES, on_store=lambda sent: answer)
    async with served(caller, gives(instance())):
        await caller.ask(get())
        assert caller.aborted
    assert kinds(caller) == [CommandField.C_STORE_RQ]


async def test_an_answer_twice_is_an_abort():
    async def retrieve(call, identifier, retrieval):
        await retrieval.store(instance())
        caller.say(stored(1))
        await trio.sleep_forever()

    caller = Caller(roles=TAKES, on_store=answers)
    async with served(caller, FakeProvider(on_retrieve=retrieve)):
        await caller.ask(get())
        assert caller.aborted


async def test_an_answer_that_comes_before_the_last_byte_counts():
    statuses: list[int] = []

    async def slowly():
        yield b"some"
        caller.say(stored(1, 0xA700))
        await trio.sleep(1)
        yield b"more"

    caller = Caller(roles=TAKES)
    async with served(caller, gives(instance(slowly()), statuses=statuses)):
        await caller.ask(get())
    assert statuses == [0xA700]


async def test_no_answer_in_time_is_an_abort(autojump_clock):
    caller = Caller(roles=TAKES)
    async with served(caller, gives(instance()), store_seconds=60):
        caller.say(get())
        await trio.sleep(59)
        assert not caller.aborted
        await trio.sleep(2)
        assert caller.aborted


async def test_an_instance_that_is_cut_short_is_an_abort_and_no_answer():
    data = Once(b"some", failure=StreamBroken("the source has gone"))
    caller = Caller(roles=TAKES, on_store=answers)
    async with served(caller, gives(instance(data))):
        await caller.ask(get())
        assert caller.aborted
    assert not caller.sent


async def test_an_instance_of_odd_length_is_an_abort_and_no_answer():
    caller = Caller(roles=TAKES, on_store=answers)
    async with served(caller, gives(instance(b"odd"))):
        await caller.ask(get())
        assert caller.aborted
    assert not caller.sent


@pytest.mark.parametrize("end", [End.PEER_RELEASED, End.PEER_ABORTED, End.CLOSED])
async def test_a_caller_that_goes_in_a_sub_operation_ends_it(end, autojump_clock):
    provider = gives(instance())
    caller = Caller(roles=TAKES, on_store=lambda sent: Ending(end))
    async with served(caller, provider, store_seconds=60):
        caller.say(get())
        await trio.sleep(1)
        assert len(provider.cancelled) == 1
    assert kinds(caller) == [CommandField.C_STORE_RQ]


# C-CANCEL in a sub-operation


async def test_a_cancel_while_an_instance_is_sent_lets_it_end_with_its_answer(autojump_clock):
    caller = Caller(roles=TAKES, on_store=answers)
    caller.takes = trio.Event()
    provider = gives(instance(uid="1.1"), instance(uid="1.2"))
    async with served(caller, provider):
        caller.say(get())
        await trio.sleep(1)
        caller.say(cancel(context_id=GET_ID))
        await trio.sleep(1)
        assert not caller.sent
        caller.takes.set()
        await trio.sleep(1)
        assert kinds(caller) == [CommandField.C_STORE_RQ, CommandField.C_GET_RSP]
        assert caller.sent[-1].command.status == 0xFE00
        await caller.ask(echo(2))
        assert not caller.aborted


async def test_a_cancel_before_the_answer_of_an_instance_waits_for_it(autojump_clock):
    caller = Caller(roles=TAKES)
    async with served(caller, gives(instance(uid="1.1"), instance(uid="1.2"))):
        caller.say(get())
        await trio.sleep(1)
        caller.say(cancel(context_id=GET_ID))
        await trio.sleep(1)
        assert kinds(caller) == [CommandField.C_STORE_RQ]
        caller.say(stored(1))
        await trio.sleep(1)
        assert kinds(caller) == [CommandField.C_STORE_RQ, CommandField.C_GET_RSP]
        assert caller.sent[-1].command.status == 0xFE00
        await caller.ask(echo(2))
        assert not caller.aborted


# A source that fails beside the sender, as the producer of a backend does


def fails_beside(make_instance, *, when):
    """Give an instance while another task fails; answered with a failure, as a proxy does."""

    async def retrieve(call, identifier, retrieval):
        async def source():
            await trio.sleep(when)
            raise ConnectionError("the PACS has gone")

        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(source)
                await retrieval.store(make_instance(nursery))
                retrieval.tally.completed += 1
                await trio.sleep_forever()
        except ExceptionGroup as group:
            rest = group.split(ConnectionError)[1]
            if rest is not None:
                raise rest.exceptions[0] from None
        return Answer(status=0xA702)

    return FakeProvider(on_retrieve=retrieve)


async def test_a_source_that_fails_while_an_answer_is_due_waits_for_it(autojump_clock):
    caller = Caller(roles=TAKES)
    async with served(caller, fails_beside(lambda _: instance(), when=1)):
        caller.say(get())
        await trio.sleep(2)
        assert kinds(caller) == [CommandField.C_STORE_RQ]
        caller.say(stored(1))
        await trio.sleep(1)
        final = caller.sent[-1].command
        assert (final.status, final.completed, final.failed) == (0xA702, 1, 0)
        await caller.ask(echo(2))
        assert not caller.aborted


async def test_a_source_that_fails_in_the_middle_of_an_instance_is_an_abort(autojump_clock):
    """Never a response in the middle of a data set: no caller could read it."""

    def half(nursery):
        send, receive = trio.open_memory_channel(1)
        send.send_nowait(b"half")

        async def hold():
            with send:
                await trio.sleep_forever()

        nursery.start_soon(hold)
        return instance(ByteStream(receive))

    caller = Caller(roles=TAKES, on_store=answers)
    async with served(caller, fails_beside(half, when=1)):
        caller.say(get())
        await trio.sleep(2)
        assert caller.aborted
    assert not caller.sent


async def test_a_source_that_fails_while_a_match_is_sent_lets_it_be_sent_whole(autojump_clock):
    async def fail_beside(call, identifier, matches):
        async def source():
            await trio.sleep(1)
            raise ConnectionError("the PACS has gone")

        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(source)
                await matches.pending(b"row", all_keys_supported=False)
                await trio.sleep_forever()
        except* ConnectionError:
            pass
        return Answer(status=0xA700)

    caller = Caller()
    caller.takes = trio.Event()
    async with served(caller, FakeProvider(on_find=fail_beside)):
        caller.say(find())
        await trio.sleep(2)
        caller.takes.set()
        await trio.sleep(1)
        assert [sent.command.status for sent in caller.sent] == [0xFF01, 0xA700]
        assert caller.sent[0].data == b"row"


async def test_cancelled_from_outside_it_waits_for_nobody(autojump_clock):
    caller = Caller(roles=TAKES)
    started = trio.current_time()
    with trio.move_on_after(5):
        async with served(caller, gives(instance()), store_seconds=60):
            caller.say(get())
            await trio.sleep_forever()
    assert trio.current_time() - started == 5


# Counters. PS3.4 C.4.2.1.6 to C.4.2.1.9


async def test_nothing_is_told_of_progress_while_nobody_knows_what_remains():
    async def retrieve(call, identifier, retrieval):
        retrieval.tally.completed = 3
        await retrieval.progress()
        retrieval.tally.remaining = 2
        await retrieval.progress()
        return Answer(status=SUCCESS)

    caller = Caller()
    async with served(caller, FakeProvider(on_retrieve=retrieve)):
        pending, final = await caller.ask(get())
    assert (pending.command.status, pending.command.remaining) == (0xFF00, 2)
    assert pending.command.completed == final.command.completed == 3


@pytest.mark.parametrize(
    ("tally", "remaining", "told"),
    [
        (Tally(remaining=4, completed=1, failed=2, warning=3), True, (4, 1, 2, 3)),
        (Tally(remaining=4, completed=1, failed=2, warning=3), False, (None, 1, 2, 3)),
        (Tally(completed=1), True, (None, 1, 0, 0)),
        (Tally(remaining=70000, completed=70000, failed=70000), True, (65535, 65535, 65535, 0)),
    ],
)
def test_counters_fit_into_sixteen_bits(tally, remaining, told):
    command = with_counters(Command(field=0x8010), tally, remaining=remaining)
    assert (command.remaining, command.completed, command.failed, command.warning) == told
