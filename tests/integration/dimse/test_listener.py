"""Faults of ours behind a listener cost one caller its association, and nobody else anything."""

from __future__ import annotations

import contextlib
import io
import json
import socket

import pytest
import trio

from harmony.dimse.engines import Engine
from harmony.dimse.listener import Listener, ListenerLimits
from harmony.dimse.negotiation import Offer, negotiate
from harmony.dimse.provider import ServingLimits
from harmony.dimse.serving import ServedAssociation
from harmony.dimse.storage import known_transfer_syntaxes
from harmony.dimse.transport import TransportLimits
from harmony.envelope import Operation
from harmony.telemetry.log import configured
from tests.support import engines
from tests.support.bad_caller import (
    Aborted,
    Accepted,
    Closed,
    Rejected,
    Request,
    bad_caller,
    proper_echo,
)
from tests.support.eventually import eventually
from tests.support.served import FakeProvider

OFFER = Offer(
    operations=frozenset({Operation.ECHO}),
    storage_classes=frozenset(),
    any_class=False,
    transfer_syntaxes=known_transfer_syntaxes(),
)
LIMITS = ListenerLimits(
    associate_seconds=5,
    transport=TransportLimits(maximum_pdu=16384, pdu_seconds=5, send_seconds=5),
)


class Service:
    """Serves echoes; where `fails` says so, it has a fault."""

    def __init__(self):
        self.fails = ""

    def decide(self, request):
        self._perhaps_fail("decide")
        return negotiate(request, OFFER)

    def open(self, link):
        self._perhaps_fail("open")
        session = ServedAssociation(link, FakeProvider(), ServingLimits(), "test")
        if self.fails == "run":
            return Broken(session)
        return session

    def _perhaps_fail(self, where):
        if self.fails == where:
            raise ZeroDivisionError("Doe^Jane")


class Broken:
    """A session that ends in a fault."""

    def __init__(self, session):
        self._session = session

    async def run(self):
        await trio.lowlevel.checkpoint()
        raise ZeroDivisionError("Doe^Jane")

    def finish(self):
        self._session.finish()


@contextlib.asynccontextmanager
async def listening(service, hosts=("127.0.0.1",)):
    listener = Listener(
        "test",
        service,
        hosts=hosts,
        port=0,
        tls=None,
        limits=LIMITS,
        accept_link=engines.accept_link(),
    )
    bound = await listener.bind()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(listener.serve)
        yield listener, bound
        nursery.cancel_scope.cancel()


def ends(host, port):
    """What a proper caller meets when something is wrong here."""
    with bad_caller(host, port) as caller:
        answer = caller.associate(Request())
        return caller.next() if isinstance(answer, Accepted) else answer


def ends_with_version_2(host, port):
    with bad_caller(host, port) as caller:
        return caller.associate(Request(version=2))


# pynetdicom's links do not know whether they may still say something.
ENDING = {Engine.TRIO: Aborted(0, 0), Engine.PYNETDICOM: Closed()}


@pytest.mark.parametrize("where", ["decide", "open", "run"])
async def test_a_fault_of_ours_ends_one_association_and_is_told_without_data(where, engine):
    service = Service()
    told = io.StringIO()
    with trio.fail_after(20), configured("debug", "json", told):
        async with listening(service) as (listener, bound):
            at = bound[0].host, bound[0].port
            service.fails = where
            for _ in range(3):
                assert await trio.to_thread.run_sync(ends, *at) == ENDING[engine]
            service.fails = ""
            await trio.to_thread.run_sync(proper_echo, *at)
            await eventually(lambda: listener.associations == 0)
    lines = [json.loads(line) for line in told.getvalue().splitlines()]
    failed = [line for line in lines if line["event"] == "association.failed"]
    assert [line["error"] for line in failed] == ["ZeroDivisionError"] * 3
    assert "Doe" not in told.getvalue()


async def test_another_protocol_version_is_refused_and_told():
    told = io.StringIO()
    with trio.fail_after(20), configured("debug", "json", told):
        async with listening(Service()) as (_, bound):
            at = bound[0].host, bound[0].port
            assert await trio.to_thread.run_sync(ends_with_version_2, *at) == Rejected(1, 2, 2)
            await trio.to_thread.run_sync(proper_echo, *at)
    lines = [json.loads(line) for line in told.getvalue().splitlines()]
    (line,) = [line for line in lines if line["event"] == "association.rejected"]
    assert (line["code"], line["status"]) == ("protocol-version", "1/2/2")


async def test_no_descriptor_left_is_one_caller_closed_and_the_next_is_served(monkeypatch):
    """pynetdicom's links need a `socketpair`; the leak watch sees to the caller's socket."""
    pair = socket.socketpair
    left = [OSError(24, "Too many open files")]

    def scarce(*arguments, **named):
        if left:
            raise left.pop()
        return pair(*arguments, **named)

    told = io.StringIO()
    with (
        trio.fail_after(20),
        configured("debug", "json", told),
        engines.tested(Engine.PYNETDICOM),
    ):
        async with listening(Service()) as (_, bound):
            at = bound[0].host, bound[0].port
            monkeypatch.setattr("harmony.dimse.reactor.socket.socketpair", scarce)
            assert isinstance(await trio.to_thread.run_sync(ends, *at), Closed)
            await trio.to_thread.run_sync(proper_echo, *at)
    assert "association.failed" in told.getvalue()


@pytest.mark.usefixtures("engine")
async def test_several_addresses_are_served_and_told():
    with trio.fail_after(20):
        async with listening(Service(), ("127.0.0.1", "127.0.0.2")) as (_, bound):
            assert [each.host for each in bound] == ["127.0.0.1", "127.0.0.2"]
            for each in bound:
                assert each.kind == "dicom"
                await trio.to_thread.run_sync(proper_echo, each.host, each.port)


async def test_an_address_that_cannot_be_bound_is_an_error_and_the_others_are_free_again():
    with trio.fail_after(20):
        with pytest.raises(OSError, match=r"."):
            async with listening(Service(), ("127.0.0.1", "192.0.2.1")):
                raise AssertionError("it is not listening")


async def test_a_drain_of_what_has_ended_returns():
    with trio.fail_after(20):
        async with listening(Service()) as (listener, _):
            await listener.drain(5)
            await listener.drain(5)
        await listener.drain(5)
