"""A backend's own receiver takes what a retrieve waits for, and nothing else."""

from __future__ import annotations

import contextlib
import functools
from pathlib import Path

import pytest
import trio

from harmony.dimse.arrivals import Arrivals
from harmony.dimse.receiver import Receiver
from harmony.dimse.receiving import receivers
from tests.support import dimse, engines
from tests.support.bad_caller import (
    ECHO_ID,
    FIND_ID,
    GET_ID,
    MOVE_ID,
    STORE_ID,
    Accepted,
    Message,
    Rejected,
    Released,
    Request,
    bad_caller,
    messages,
)

pytestmark = pytest.mark.usefixtures("engine")

AET = "RECEIVER"


@contextlib.asynccontextmanager
async def receiving():
    """Its register and its port."""
    arrivals = Arrivals(AET)
    serve = receivers(engines.accept_link(), Path())
    with trio.fail_after(20):
        async with serve(Receiver(local_aet=AET, port=0), arrivals) as port:
            yield arrivals, port


def ask(port, context_id, command, data=None, called=AET):
    """What a caller is answered; its association ends in order."""
    with bad_caller("127.0.0.1", port) as caller:
        answer = caller.associate(Request(called=called))
        if not isinstance(answer, Accepted):
            return answer
        caller.ask(context_id, command, data)
        message = caller.next_message()
        assert isinstance(caller.release(), Released)
        return message


async def in_thread(*arguments, **named):
    return await trio.to_thread.run_sync(functools.partial(ask, *arguments, **named))


async def test_an_object_that_nobody_waits_for_is_refused():
    uid = "1.2.3.4"
    async with receiving() as (_, port):
        told = await in_thread(port, STORE_ID, messages.store(uid), dimse.instance(uid=uid).data)
    assert isinstance(told, Message)
    assert told.status == 0x0124


async def test_an_object_for_a_retrieve_is_handed_over_byte_for_byte():
    uid, got = "1.2.3.4", []
    sent = dimse.instance(300_000, uid=uid).data

    async def read(expected):
        while (arrived := expected.take()) is None:
            await expected.news()
        got.append(b"".join([chunk async for chunk in arrived.data]))

    async with receiving() as (arrivals, port):
        with arrivals.expect("BAD_CALLER", dimse.query(), sender="PACS") as expected:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(read, expected)
                for_whom = {0x1030: "BAD_CALLER", 0x1031: expected.message_id}
                command = messages.store(uid, change=for_whom)
                told = await in_thread(port, STORE_ID, command, sent)
    assert told.status == 0x0000
    assert got == [sent]


async def test_an_echo_is_answered():
    async with receiving() as (_, port):
        assert (await in_thread(port, ECHO_ID, messages.echo())).status == 0x0000


async def test_who_calls_it_by_another_title_is_rejected():
    async with receiving() as (_, port):
        told = await in_thread(port, ECHO_ID, messages.echo(), called="OTHER")
    assert told == Rejected(1, 1, 7)


async def test_no_query_or_retrieve_is_accepted():
    def results(port):
        with bad_caller("127.0.0.1", port) as caller:
            return caller.associate(Request(called=AET)).results

    async with receiving() as (_, port):
        told = await trio.to_thread.run_sync(results, port)
    assert told == {ECHO_ID: 0, STORE_ID: 0, FIND_ID: 3, MOVE_ID: 3, GET_ID: 3}
