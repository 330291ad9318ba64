"""Callers that break every rule, before a real endpoint, which goes on serving proper ones."""

from __future__ import annotations

import contextlib
import dataclasses
import io

import pytest
import trio

from harmony.dimse.engines import Engine
from harmony.telemetry.log import configured
from tests.support.bad_caller import (
    ECHO_ID,
    FIND_ID,
    GET_ID,
    MOVE_ID,
    STORE_ID,
    Aborted,
    Accepted,
    Closed,
    Message,
    Rejected,
    Released,
    Request,
    bad_caller,
    data_sets,
    messages,
    proper_echo,
    table,
)
from tests.support.bad_caller.serving import OPTIONS, serve_dicom
from tests.support.bad_pacs import pdu
from tools.fuzz import corpus, live

pytestmark = pytest.mark.usefixtures("engine")

SEED = 20261125
CONNECTIONS = {Engine.TRIO: 3000, Engine.PYNETDICOM: 1000}
SECONDS = 100
STUDY = data_sets.identifier([(data_sets.STUDY_UID, "UI", b"1.2.3")])


@contextlib.asynccontextmanager
async def served(options=OPTIONS):
    """The endpoint; its log must tell of no fault of ours, and hold nothing unescaped."""
    told = io.StringIO()
    with trio.fail_after(SECONDS), configured("debug", "json", told):
        async with serve_dicom(options) as running:
            yield running
    assert live.log_faults(told.getvalue()) == []


def with_timeouts(**seconds):
    return dataclasses.replace(OPTIONS, timeouts=dataclasses.replace(OPTIONS.timeouts, **seconds))


async def in_thread(function, *arguments):
    return await trio.to_thread.run_sync(function, *arguments)


async def findings(cases, running):
    address = live.Address(running.host, running.port)
    found = await live.run("live", enumerate(cases), address)
    return [f"{finding.index}: {finding.why}" for finding in found]


@pytest.mark.parametrize("surface", live.SURFACES)
async def test_generated_callers_are_answered_and_the_next_proper_one_is_served(engine, surface):
    count = CONNECTIONS[engine] // len(live.SURFACES)
    made = live.make_cases(surface, seed=SEED, first=0, count=count)
    async with served() as running:
        assert await findings((case for _, case in made), running) == []


async def test_every_bad_caller_of_the_table_is_answered():
    async with served() as running:
        assert await findings(table.named(), running) == []
        assert table.UNFINISHED not in running.stored


async def test_every_pdu_in_every_state_is_answered():
    async with served() as running:
        assert await findings(table.each_pdu_in_each_state(), running) == []


async def test_no_conversation_of_the_corpus_fails_any_more():
    async with served() as running:
        assert await findings((case for _, case in corpus.cases()), running) == []


@pytest.mark.parametrize(
    ("request_", "expected"),
    [
        (Request(version=2), Rejected(1, 2, 2)),
        (Request(application_context="1.2.3"), Rejected(1, 1, 2)),
        (Request(application_context=None), Rejected(1, 1, 2)),
        (Request(called="OTHER"), Rejected(1, 1, 7)),
    ],
)
async def test_a_request_that_cannot_be_accepted_is_rejected_with_its_reason(request_, expected):
    def talk(host: str, port: int):
        with bad_caller(host, port) as caller:
            return caller.associate(request_)

    async with served() as running:
        assert await in_thread(talk, running.host, running.port) == expected


# Source and reason (PS3.8 9.3.8). pynetdicom gives no reasons, and of PDUs that are too long it
# is told nothing: the guard around its socket hangs up.
_UNRECOGNISED, _UNEXPECTED, _INVALID = Aborted(2, 1), Aborted(2, 2), Aborted(2, 6)
_NO_REASON = Aborted(2, 0)


@pytest.mark.parametrize(
    ("said", "by_trio", "by_pynetdicom"),
    [
        (pdu.pdu(9, bytes(4)), _UNRECOGNISED, _NO_REASON),
        (Request().encode(), _UNEXPECTED, _NO_REASON),
        (pdu.associate_reject(1, 1, 1), _UNEXPECTED, _NO_REASON),
        (pdu.release_reply(), _UNEXPECTED, _NO_REASON),
        (pdu.pdu(4, b"\0\0\0\x10\x01\x03"), _INVALID, _NO_REASON),
        (pdu.pdu(4, b"\0\0\0\x04\x63\x03ab"), _INVALID, Aborted(0, 0)),
        (b"\x04\0\0\x10\0\0", _INVALID, Closed()),
    ],
    ids=[
        "of no type",
        "a second request",
        "an answer",
        "a release that nobody asked for",
        "a value that overruns",
        "a context that was not proposed",
        "longer than announced",
    ],
)
async def test_a_pdu_against_the_protocol_is_an_abort_that_says_why(
    said, by_trio, by_pynetdicom, engine
):
    def talk(host: str, port: int):
        with bad_caller(host, port) as caller:
            caller.associate()
            caller.send(said)
            return caller.next()

    expected = {Engine.TRIO: by_trio, Engine.PYNETDICOM: by_pynetdicom}[engine]
    async with served() as running:
        assert await in_thread(talk, running.host, running.port) == expected


async def test_one_association_too_many_is_rejected_for_now():
    def talk(host: str, port: int):
        with bad_caller(host, port) as first, bad_caller(host, port) as second:
            return first.associate(), second.associate()

    async with served(dataclasses.replace(OPTIONS, max_associations=1)) as running:
        accepted, rejected = await in_thread(talk, running.host, running.port)
        assert isinstance(accepted, Accepted)
        assert rejected == Rejected(2, 3, 2)


@pytest.mark.parametrize(
    ("context_id", "command", "data", "status"),
    [
        (STORE_ID, messages.store("not a uid"), b"", 0xC000),
        (FIND_ID, messages.find(), data_sets.named_bomb("200 levels with lengths"), 0xC000),
        (FIND_ID, messages.find(), data_sets.named_bomb("30,000 elements"), 0xC000),
        (FIND_ID, messages.find(), data_sets.identifier([], level=None), 0xA900),
        (GET_ID, messages.get(), data_sets.identifier([]), 0xA900),
        (MOVE_ID, messages.move("NOBODY"), STUDY, 0xA801),
        (ECHO_ID, messages.find(), STUDY, 0x0211),
    ],
)
async def test_a_request_that_cannot_be_served_fails_and_the_association_goes_on(
    context_id, command, data, status
):
    def talk(host: str, port: int):
        with bad_caller(host, port) as caller:
            caller.associate()
            caller.ask(context_id, command, data)
            failed = caller.next_message()
            caller.ask(ECHO_ID, messages.echo())
            return failed, caller.next_message(), caller.release()

    async with served() as running:
        failed, echoed, released = await in_thread(talk, running.host, running.port)
        assert isinstance(failed, Message)
        assert failed.status == status
        assert isinstance(echoed, Message)
        assert echoed.status == 0x0000
        assert released == Released()


async def test_fifty_callers_that_send_three_bytes_keep_nobody_waiting():
    def talk(host: str, port: int):
        with contextlib.ExitStack() as stack:
            for _ in range(50):
                stack.enter_context(bad_caller(host, port)).send(b"\x01\x00\x00")
            for _ in range(5):
                proper_echo(host, port)

    async with served(with_timeouts(associate_seconds=60)) as running:
        await in_thread(talk, running.host, running.port)


@pytest.mark.parametrize("said", [0, 3, 6, 100])
async def test_a_caller_that_falls_silent_in_its_request_is_hung_up(said):
    def talk(host: str, port: int):
        with bad_caller(host, port) as caller:
            caller.send(Request().encode()[:said])
            return caller.next()

    async with served(with_timeouts(associate_seconds=0.3)) as running:
        assert isinstance(await in_thread(talk, running.host, running.port), Closed)


async def test_a_dripping_caller_is_hung_up_before_its_request_is_there():
    request = Request().encode()

    def talk(host: str, port: int):
        with bad_caller(host, port) as caller:
            return caller.drip(request, every=0.05)

    async with served(with_timeouts(associate_seconds=0.5)) as running:
        assert await in_thread(talk, running.host, running.port) < len(request)


async def test_a_caller_that_stops_within_a_message_is_hung_up():
    def talk(host: str, port: int):
        with bad_caller(host, port) as caller:
            caller.associate()
            caller.send(messages.message(STORE_ID, messages.store()))
            return caller.rest()

    async with served(with_timeouts(object_idle_seconds=0.3)) as running:
        first, *_, last = await in_thread(talk, running.host, running.port)
        assert isinstance(first, Aborted)
        assert isinstance(last, Closed)
        assert running.stored == {}
