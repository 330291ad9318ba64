"""C-CANCEL, in each moment. PS3.7 9.3.2.3."""

from __future__ import annotations

import pytest
import trio

from harmony.dicom.status_codes import SUCCESS
from harmony.dimse.provider import Answer
from harmony.upper_layer.commands import CommandField
from tests.support.served import (
    GET_ID,
    Caller,
    FakeProvider,
    cancel,
    echo,
    find,
    get,
    move,
    served,
    status_of,
    store,
)


async def test_a_cancel_before_the_first_match_ends_the_work():
    async def wait(*arguments):
        await trio.sleep_forever()

    provider = FakeProvider(on_find=wait)
    caller = Caller()
    async with served(caller, provider):
        caller.say(find(message_id=5), cancel(5))
        await caller.ask(echo(6))
        assert [s.command.status for s in caller.sent] == [0xFE00, SUCCESS]
        assert caller.sent[0].command.field == CommandField.C_FIND_RSP
        assert len(provider.cancelled) == 1


async def test_a_cancel_of_another_message_is_passed_over(autojump_clock):
    async def slowly(*arguments):
        await trio.sleep(10)
        return Answer(status=SUCCESS)

    caller = Caller()
    async with served(caller, FakeProvider(on_find=slowly)):
        caller.say(find(message_id=5), cancel(4))
        await trio.sleep(11)
        assert status_of(caller.sent) == SUCCESS


@pytest.mark.parametrize("said", [echo(), store()], ids=["echo", "store"])
async def test_a_cancel_of_what_cannot_be_cancelled_is_passed_over(said, autojump_clock):
    async def slowly(*arguments):
        await trio.sleep(10)
        return Answer(status=SUCCESS)

    async def keep(call, instance):
        async for _ in instance.data:
            pass
        return await slowly()

    caller = Caller()
    async with served(caller, FakeProvider(on_echo=slowly, on_store=keep)):
        caller.say(said, cancel())
        await trio.sleep(11)
        assert status_of(caller.sent) == SUCCESS


async def test_a_cancel_that_comes_too_late_is_passed_over():
    caller = Caller()
    async with served(caller):
        await caller.ask(find())
        caller.say(cancel())
        assert status_of(await caller.ask(echo(2))) == SUCCESS
    assert not caller.aborted


async def test_a_cancel_in_the_middle_of_a_match_lets_it_be_sent_whole(autojump_clock):
    async def matches_forever(call, identifier, matches):
        while True:
            await matches.pending(b"row", all_keys_supported=True)

    caller = Caller()
    caller.takes = trio.Event()
    async with served(caller, FakeProvider(on_find=matches_forever)):
        caller.say(find())
        await trio.sleep(1)
        caller.say(cancel())
        await trio.sleep(1)
        assert not caller.sent
        caller.takes.set()
        await trio.sleep(1)
        await caller.ask(echo(2))
        assert [sent.command.status for sent in caller.sent] == [0xFF00, 0xFE00, SUCCESS]


async def test_the_counters_of_a_cancelled_retrieve_tell_what_remains(autojump_clock):
    async def wait(call, identifier, retrieval):
        tally = retrieval.tally
        tally.remaining, tally.completed, tally.failed, tally.warning = 7, 3, 2, 1
        tally.failed_uids += ["1.2", "1.3"]
        await retrieval.progress()
        await trio.sleep_forever()

    caller = Caller()
    async with served(caller, FakeProvider(on_retrieve=wait)):
        caller.say(get())
        await trio.sleep(1)
        caller.say(cancel(context_id=GET_ID))
        await trio.sleep(1)
        pending, last = (sent.command for sent in caller.sent)
        for command in (pending, last):
            counted = command.remaining, command.completed, command.failed, command.warning
            assert counted == (7, 3, 2, 1)
        assert (pending.status, last.status) == (0xFF00, 0xFE00)
        assert caller.sent[-1].data == b"1.2\\1.3"


async def test_the_counters_of_a_retrieve_that_ended_tell_no_remaining():
    async def some(call, identifier, retrieval):
        retrieval.tally.remaining, retrieval.tally.completed = 0, 70000
        return Answer(status=SUCCESS)

    caller = Caller()
    async with served(caller, FakeProvider(on_retrieve=some)):
        (answer,) = await caller.ask(move())
    assert answer.command.remaining is None
    assert answer.command.completed == 65535  # the counters have 16 bits
    assert answer.data is None
