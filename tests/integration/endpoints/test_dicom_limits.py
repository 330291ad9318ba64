"""Limits, drain and stop of a `dicom` endpoint: others are served, and nothing is left behind."""

from __future__ import annotations

import contextlib
import gc
import io
import json
import os
import socket
import threading

import pytest
import trio

from harmony.config.model import Peer
from harmony.dimse import contexts
from harmony.dimse.failures import NotAnswered
from harmony.envelope import Instance, Outcome, StreamBroken
from harmony.errors import UpstreamError
from harmony.telemetry.log import configured
from tests.support import dimse
from tests.support.bad_caller import Request
from tests.support.dicom_endpoint import dicom_endpoint
from tests.support.eventually import eventually
from tests.support.fake_backend import FakeBackend, Shelf, gives, match

pytestmark = pytest.mark.usefixtures("engine")

SECONDS = 30
ECHO = contexts.for_queries()


async def connect(running):
    """A connection that says nothing yet."""
    return await trio.open_tcp_stream(running.host, running.port)


async def heard(stream):
    """What the endpoint says until it closes."""
    data = b""
    with contextlib.suppress(trio.BrokenResourceError):
        while piece := await stream.receive_some():
            data += piece
    return data


async def rejected(running, **how):
    """The text of the rejection that a caller meets."""
    with pytest.raises(UpstreamError) as caught:
        async with running.call(ECHO, **how):
            pass
    assert caught.value.code == "association-rejected"
    return caught.value.detail


# Associations


@pytest.mark.parametrize(
    ("options", "titles"),
    [
        ({"max_associations": 2}, ["A", "B", "C"]),
        ({"max_associations_per_aet": 2}, ["A", "A", "A"]),
    ],
    ids=["in total", "for each title"],
)
async def test_more_associations_than_allowed_are_rejected_for_the_moment(options, titles):
    one, two, three = titles
    with trio.fail_after(SECONDS):
        async with dicom_endpoint(FakeBackend(gives()), options=options) as running:
            async with running.call(ECHO, calling=one) as first:
                async with running.call(ECHO, calling=two) as second:
                    assert "(2/3/2)" in await rejected(running, calling=three)
                    await first.echo()
                    await second.echo()
                await _admitted(running, three)


async def _admitted(running, title):
    """Call until there is room: the end of an association is known to its caller first."""
    while True:
        with contextlib.suppress(UpstreamError):
            async with running.call(ECHO, calling=title) as association:
                await association.echo()
                return
        await trio.sleep(0.01)


async def test_one_title_at_its_limit_does_not_keep_others_out():
    options = {"max_associations_per_aet": 1}
    with trio.fail_after(SECONDS):
        async with dicom_endpoint(FakeBackend(gives()), options=options) as running:
            async with running.call(ECHO, calling="A"):
                async with running.call(ECHO, calling="B") as other:
                    await other.echo()


async def test_who_is_not_known_is_rejected_with_the_reason():
    peers = {"known": Peer(name="known", ae_titles=("KNOWN",), allow=("echo",))}
    with trio.fail_after(SECONDS):
        async with dicom_endpoint(FakeBackend(gives()), peers=peers) as running:
            assert "(1/1/3)" in await rejected(running, calling="OTHER")
            assert "(1/1/7)" in await rejected(running, calling="KNOWN", called="WRONG")
            async with running.call(ECHO, calling="KNOWN") as association:
                await association.echo()
                with pytest.raises(UpstreamError) as caught:
                    await association.find(dimse.query(), _no_match)
                assert caught.value.dimse_status == 0x0124
                await association.echo()


async def _no_match(item):
    raise AssertionError("a match for a caller that may not ask")


async def test_who_was_rejected_and_why_is_told_in_one_plain_line():
    told = io.StringIO()
    with trio.fail_after(SECONDS), configured("info", "json", told):
        async with dicom_endpoint(FakeBackend(gives())) as running:
            await rejected(running, calling="SOMEBODY", called="ELSEWHERE")
    lines = [json.loads(line) for line in told.getvalue().splitlines()]
    (line,) = [line for line in lines if line["event"] == "association.rejected"]
    assert line["reason"] == "calling AE title SOMEBODY, called ELSEWHERE"
    assert (line["code"], line["status"]) == ("wrong-called-aet", "1/1/7")
    assert line["address"] == "127.0.0.1"


# Connections


async def test_fifty_that_say_three_bytes_do_not_keep_a_proper_caller_out():
    options = {"max_pending": 16, "max_connections_per_address": 128}
    with trio.fail_after(SECONDS):
        async with dicom_endpoint(FakeBackend(gives()), options=options) as running:
            async with contextlib.AsyncExitStack() as stack:
                for _ in range(50):
                    stream = await stack.enter_async_context(await connect(running))
                    await stream.send_all(b"\x01\x00\x00")
                threads = threading.active_count()
                for _ in range(10):
                    with trio.fail_after(1):
                        async with running.call(ECHO) as association:
                            await association.echo()
                assert threading.active_count() <= threads + 3  # trio keeps idle ones


async def test_of_those_that_say_nothing_the_oldest_is_closed():
    options = {"max_pending": 2, "max_connections_per_address": 128}
    with trio.fail_after(SECONDS):
        async with dicom_endpoint(FakeBackend(gives()), options=options) as running:
            async with await connect(running) as first, await connect(running) as second:
                await trio.sleep(0.1)  # so that they are accepted in this order
                async with await connect(running) as third:
                    assert await heard(first) == b""
                    with trio.move_on_after(0.2) as waiting:
                        await heard(second)
                    assert waiting.cancelled_caught
                    await third.send_all(b"\x01")


MOST_CONNECTIONS = pytest.mark.parametrize(
    "options", [{"max_connections": 3}, {"max_connections_per_address": 3}], ids=str
)


@MOST_CONNECTIONS
async def test_more_connections_than_allowed_are_closed_unheard(options):
    with trio.fail_after(SECONDS):
        async with dicom_endpoint(FakeBackend(gives()), options=options) as running:
            async with contextlib.AsyncExitStack() as stack:
                for _ in range(3):
                    await stack.enter_async_context(running.call(ECHO))
                async with await connect(running) as fourth:
                    assert await heard(fourth) == b""
            await served_again(running)


@MOST_CONNECTIONS
async def test_connections_that_say_nothing_make_room_for_one_that_does(options):
    with trio.fail_after(SECONDS):
        async with dicom_endpoint(FakeBackend(gives()), options=options) as running:
            async with contextlib.AsyncExitStack() as stack:
                for _ in range(3):
                    await stack.enter_async_context(await connect(running))
                await trio.sleep(0.1)
                async with running.call(ECHO) as association:
                    await association.echo()


async def served_again(running):
    with trio.fail_after(5):
        while True:
            with contextlib.suppress(UpstreamError):
                async with running.call(ECHO) as association:
                    await association.echo()
                    return
            await trio.sleep(0.01)


async def test_a_caller_that_does_not_finish_its_request_in_time_is_closed():
    options = {"timeouts": {"associate_seconds": 0.3}}
    with trio.fail_after(SECONDS):
        async with dicom_endpoint(FakeBackend(gives()), options=options) as running:
            async with await connect(running) as stream:
                await stream.send_all(b"\x01\x00\x00\x00")
                assert await heard(stream) == b""


async def test_a_rejected_caller_that_stays_holds_nothing_for_long():
    peers = {"known": Peer(name="known", ae_titles=("KNOWN",))}
    with trio.fail_after(SECONDS):
        async with dicom_endpoint(FakeBackend(gives()), peers=peers) as running:
            async with await connect(running) as stream:
                await stream.send_all(Request(calling="OTHER").encode())
                with trio.fail_after(5):
                    assert await heard(stream) == b"\x03\0\0\0\0\4\0\1\1\3"


@pytest.mark.parametrize("count", [2000, pytest.param(10_000, marks=pytest.mark.slow)], ids=str)
async def test_a_flood_of_connects_and_drops_leaves_nothing_behind(count):
    """The leak watch of the folder sees to threads and descriptors."""
    options = {"max_connections_per_address": 128}
    limiter = trio.CapacityLimiter(4)

    def drop(number):
        with socket.create_connection((running.host, running.port), timeout=10) as sock:
            if number % 3:
                sock.sendall(b"\x01\x00\x00"[: number % 3])

    async def drop_some(numbers):
        for number in numbers:
            await trio.to_thread.run_sync(drop, number, limiter=limiter)

    async def flood(total):
        async with trio.open_nursery() as nursery:
            for start in range(4):
                nursery.start_soon(drop_some, range(start, total, 4))

    with trio.fail_after(100):
        async with dicom_endpoint(FakeBackend(gives()), options=options) as running:
            await flood(200)
            await served_again(running)
            gc.collect()
            before = resident_bytes()
            await flood(count)
            await served_again(running)
            gc.collect()
            assert resident_bytes() - before < 10_000_000
            tasks = trio.lowlevel.current_statistics().tasks_living
            assert tasks < 20


def resident_bytes():
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


async def test_associations_one_after_the_other_leave_nothing_behind():
    with trio.fail_after(SECONDS):
        async with dicom_endpoint(FakeBackend(gives())) as running:
            for _ in range(50):
                async with running.call(ECHO) as association:
                    await association.echo()
            await eventually(lambda: _associations(running) == 0)


def _associations(running):
    listener = running.endpoint._listener
    assert listener is not None
    return listener.associations


# Drain and stop


async def rows_until(event, request, send):
    await send.send(match("1.2.1"))
    await event.wait()
    await send.send(match("1.2.2"))
    await send.send(Outcome())


class Rows:
    """A find that gives one match, waits, and gives another."""

    def __init__(self):
        self.go_on = trio.Event()
        self.begun = trio.Event()
        self.seen = []

    async def produce(self, request, send):
        await rows_until(self.go_on, request, send)

    async def take(self, item):
        self.seen.append(item)
        self.begun.set()


async def test_a_drain_ends_idle_associations_at_once_and_accepts_nothing_new():
    with trio.fail_after(SECONDS):
        async with dicom_endpoint(FakeBackend(gives())) as running:
            async with running.call(ECHO) as association:
                await association.echo()
                with trio.fail_after(2):
                    await running.endpoint.drain(60)
                with pytest.raises((UpstreamError, NotAnswered)):
                    await association.echo()
            with pytest.raises(OSError, match=r"."):
                await connect(running)


async def test_a_drain_lets_a_find_end_and_its_caller_release():
    rows = Rows()
    with trio.fail_after(SECONDS):
        async with dicom_endpoint(FakeBackend(rows.produce)) as running:
            async with trio.open_nursery() as nursery:
                outcomes = []

                async def ask():
                    async with running.call(ECHO) as association:
                        outcomes.append(await association.find(dimse.query(), rows.take))
                        assert association.is_in_order

                nursery.start_soon(ask)
                await rows.begun.wait()
                nursery.start_soon(running.endpoint.drain, 60)
                await trio.sleep(0.1)
                assert not outcomes
                rows.go_on.set()
            assert [outcome.status for outcome in outcomes] == [0]
            assert len(rows.seen) == 2


async def test_a_drain_cuts_what_does_not_end_in_its_grace():
    rows = Rows()
    with trio.fail_after(SECONDS):
        async with dicom_endpoint(FakeBackend(rows.produce)) as running:
            async with trio.open_nursery() as nursery:
                failures = []

                async def ask():
                    with pytest.raises(UpstreamError) as caught:
                        async with running.call(ECHO) as association:
                            await association.find(dimse.query(), rows.take)
                    failures.append(caught.value.code)

                nursery.start_soon(ask)
                await rows.begun.wait()
                with trio.fail_after(2.3):
                    await running.endpoint.drain(0.3)
            assert failures in (["connection-lost"], ["association-aborted"])
    assert len(rows.seen) == 1


async def test_a_drain_ends_those_that_have_said_nothing():
    with trio.fail_after(SECONDS):
        async with dicom_endpoint(FakeBackend(gives())) as running:
            async with await connect(running) as stream:
                await trio.sleep(0.1)
                with trio.fail_after(2):
                    await running.endpoint.drain(60)
                assert await heard(stream) == b""


async def test_a_hard_stop_ends_everything_within_two_seconds(nursery):
    rows, shelf = Rows(), Shelf()

    async def never(request, send):
        if request.operation == "store":
            await trio.sleep_forever()
        await rows.produce(request, send)

    async def endless():
        while True:
            yield bytes(100_000)

    sent = Instance(
        sop_class_uid=dimse.CT,
        sop_instance_uid="1.2.3",
        transfer_syntax=dimse.EXPLICIT,
        data=endless(),
    )

    async def ask(work):
        with contextlib.suppress(UpstreamError, StreamBroken):
            await work()

    async def find():
        async with running.call(ECHO) as association:
            await association.find(dimse.query(), rows.take)

    async def store():
        proposals = contexts.for_store([(dimse.CT, dimse.EXPLICIT)])
        async with running.call(proposals) as association:
            await association.store(sent)

    async def idle():
        async with running.call(ECHO):
            await trio.sleep_forever()

    with trio.fail_after(SECONDS):
        async with dicom_endpoint(FakeBackend(never)) as running:
            for work in (find, find, store, idle):
                nursery.start_soon(ask, work)
            silent = await connect(running)
            await rows.begun.wait()
            await eventually(lambda: _associations(running) == 4)
            with trio.fail_after(2):
                running.nursery.cancel_scope.cancel()
                while _associations(running):
                    with trio.CancelScope(shield=True):
                        await trio.sleep(0.01)
    await silent.aclose()
    nursery.cancel_scope.cancel()
    assert not shelf.has
