"""Callers at the edge of the standard, before a real endpoint: served, or ended for what they did.

Each case ends with an echo of a proper caller.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import itertools
import select
import socket

import pytest
import trio
import trio.testing

from harmony.dimse.engines import Engine
from harmony.dimse.negotiation import Offer, negotiate
from harmony.dimse.storage import known_storage_classes, known_transfer_syntaxes
from harmony.dimse.transport import TransportLimits
from harmony.envelope import Operation
from tests.support import engines
from tests.support.bad_caller import (
    ALL_SERVICES,
    ECHO_ID,
    FIND_ID,
    GET_ID,
    STORE_ID,
    Aborted,
    Accepted,
    Closed,
    Data,
    Message,
    Released,
    Request,
    bad_caller,
    data_sets,
    item,
    messages,
    proper_echo,
)
from tests.support.bad_caller import answers as told
from tests.support.bad_caller.request import CT, EXPLICIT, IMPLICIT
from tests.support.bad_caller.serving import serve_dicom
from tests.support.bad_pacs import pdu
from tests.support.bad_pacs.pdu import Pdv, ProposedContext
from tests.support.packings import PACKINGS

SECONDS = 30
SUCCESS, PENDING = 0x0000, 0xFF00
STUDY = data_sets.identifier([(data_sets.STUDY_UID, "UI", b"1.2.3")])
IMAGE = data_sets.element(data_sets.PATIENT_ID, "LO", b"P1") + data_sets.element(
    0x7FE00010, "OW", bytes(range(256)) * 12
)
ECHO = messages.message(ECHO_ID, messages.echo())
CANCEL = messages.message(FIND_ID, messages.cancel())
QUERY = messages.message(FIND_ID, messages.find(), STUDY)
OBJECT = messages.message(STORE_ID, messages.store(), IMAGE)


async def hold(talk):
    """Have a conversation with the endpoint: what it came to, and what was stored."""
    with trio.fail_after(SECONDS):
        async with serve_dicom() as running:
            result = await trio.to_thread.run_sync(talk, running.host, running.port)
            await trio.to_thread.run_sync(proper_echo, running.host, running.port)
            return result, running.stored


@contextlib.contextmanager
def associated(host, port, request=None):
    with bad_caller(host, port) as caller:
        answer = caller.associate(request)
        assert isinstance(answer, Accepted), answer
        yield caller


def statuses(found):
    return [each.status for each in told.messages(found)]


# Maximum length. PS3.8 D.1


def answers_until_status(caller, sizes):
    """Data of the endpoint up to the final response; the length of each PDU goes to `sizes`."""
    found = []
    while True:
        answer = caller.next()
        assert isinstance(answer, Data), answer
        sizes.append(sum(6 + len(value.data) for value in answer.values))
        found.append(answer)
        done = told.messages(found)
        if done and done[-1].status not in (None, PENDING):
            return found


@pytest.mark.parametrize(
    ("maximum", "most"),
    [
        (0, 1 << 20),
        (None, 1 << 20),
        (8, 8),
        (9, 9),
        (127, 127),
        (16383, 16383),
        (0xFFFFFFFF, 1 << 20),
        (1, 8),  # no data fits below 8, which is the least that there is
        (7, 8),
    ],
)
async def test_no_pdu_is_longer_than_the_caller_takes(maximum, most):
    sizes: list[int] = []

    def talk(host, port):
        with associated(host, port, Request(max_length=maximum)) as caller:
            caller.ask(FIND_ID, messages.find(), STUDY)
            rows = answers_until_status(caller, sizes)
            caller.ask(GET_ID, messages.get(), STUDY)
            while True:
                message = caller.next_message()
                assert isinstance(message, Message), message
                if message.status is None:
                    image = message.data
                    response = {0x0100: 0x8001, 0x0110: None, 0x0120: message.message_id}
                    change = {**response, 0x0900: SUCCESS, 0x0800: 0x0101, 0x0700: None}
                    caller.ask(message.context_id, messages.store(change=change))
                elif message.status != PENDING:
                    break
            return statuses(rows), message.status, image, caller.release()

    (rows, got, image, released), _ = await hold(talk)
    assert rows == [PENDING] * 3 + [SUCCESS]
    assert (got, released) == (SUCCESS, Released())
    assert len(image) > 10_000
    assert 0 < max(sizes) <= most


# Fragments. PS3.8 9.3.5, E.2


@pytest.mark.parametrize("packing", PACKINGS.values(), ids=PACKINGS)
async def test_requests_are_understood_however_they_are_cut(packing):
    def talk(host, port):
        with associated(host, port) as caller:
            caller.send(packing(ECHO_ID, messages.echo(), None))
            yield caller.next_message()
            caller.send(packing(STORE_ID, messages.store("1.2.3.9"), IMAGE))
            yield caller.next_message()
            caller.send(packing(FIND_ID, messages.find(), STUDY))
            for _ in range(4):
                yield caller.next_message()
            yield caller.release()

    (*heard, released), stored = await hold(lambda *at: list(talk(*at)))
    assert [each.status for each in heard] == [SUCCESS, SUCCESS, PENDING, PENDING, PENDING, SUCCESS]
    assert released == Released()
    assert stored == {"1.2.3.9": IMAGE}


@pytest.mark.parametrize("size", [1, 5, 7])
async def test_requests_are_understood_in_tcp_segments_of_any_size(size):
    whole = Request().encode() + messages.message(STORE_ID, messages.store("1.2.3.9"), IMAGE[:300])

    def talk(host, port):
        with bad_caller(host, port) as caller:
            for at in range(0, len(whole), size):
                caller.send(whole[at : at + size])
            return caller.next(), caller.next_message()

    (accepted, answer), stored = await hold(talk)
    assert isinstance(accepted, Accepted)
    assert answer.status == SUCCESS
    assert stored == {"1.2.3.9": IMAGE[:300]}


async def test_a_request_before_the_last_one_was_answered_ends_the_association():
    """No asynchronous operations are negotiated, so one at a time it is. PS3.7 D.3.3.3."""
    many = [
        Pdv(context_id=ECHO_ID, is_command=True, is_last=True, data=messages.echo(message_id=n))
        for n in range(1, 101)
    ]

    def talk(host, port):
        with associated(host, port) as caller:
            caller.send(messages.p_data(many))
            return caller.rest()

    found, _ = await hold(talk)
    assert len(found) < len(many)
    assert set(statuses(found[:-2])) <= {SUCCESS}
    assert isinstance(found[-2], Aborted)
    assert isinstance(found[-1], Closed)


async def test_a_caller_may_say_its_request_and_its_first_message_in_one_breath():
    def talk(host, port):
        with bad_caller(host, port) as caller:
            caller.send(Request().encode() + ECHO)
            return caller.next(), caller.next_message(), caller.release()

    (accepted, echoed, released), _ = await hold(talk)
    assert isinstance(accepted, Accepted)
    assert (echoed.status, released) == (SUCCESS, Released())


@pytest.mark.parametrize("number", [1, 2, 77])
async def test_a_cancel_of_what_is_over_or_never_was_does_no_harm(number):
    late = messages.message(FIND_ID, messages.cancel(message_id=number))

    def talk(host, port):
        with associated(host, port) as caller:
            caller.send(late)
            caller.ask(FIND_ID, messages.find(message_id=1), STUDY)
            found = [caller.next_message().status for _ in range(4)]
            caller.send(late + messages.message(ECHO_ID, messages.echo(message_id=2)))
            return found, caller.next_message().status, caller.release()

    (found, echoed, released), _ = await hold(talk)
    assert found == [PENDING] * 3 + [SUCCESS]
    assert (echoed, released) == (SUCCESS, Released())


# Association request. PS3.8 9.3.2, PS3.7 D.3.3


def uid_item(kind, uid, rest=b""):
    """An item of user information that begins with a UID and its length."""
    encoded = uid.encode()
    return item(kind, len(encoded).to_bytes(2, "big") + encoded + rest)


USER_ITEMS = {
    "asynchronous operations": item(0x53, b"\0\x05\0\x07"),
    "unlimited asynchronous operations": item(0x53, bytes(4)),
    "extended negotiation": uid_item(0x56, CT, b"\1\0\1\0\0\0"),
    "common extended negotiation": uid_item(0x57, CT, b"\0\x11" + b"1.2.840.10008.4.2" + b"\0\0"),
    "user identity": item(0x58, b"\1\0\0\x04user\0\0"),
    "user identity, an answer wanted": item(0x58, b"\2\1\0\x04user\0\x06secret"),
    "an item of no standard": item(0x7F, b"whatever"),
}
USER_ITEMS["all of them"] = b"".join(USER_ITEMS.values())


@pytest.mark.parametrize("items", USER_ITEMS.values(), ids=USER_ITEMS)
async def test_what_else_a_caller_negotiates_does_not_keep_it_out(items):
    def talk(host, port):
        with associated(host, port, Request(items=items)) as caller:
            caller.send(ECHO)
            return caller.next_message(), caller.release()

    (echoed, released), _ = await hold(talk)
    assert (echoed.status, released) == (SUCCESS, Released())


async def test_of_128_contexts_each_is_answered_and_the_last_serves():
    syntaxes = sorted(known_transfer_syntaxes())
    classes = itertools.islice(sorted(known_storage_classes()), 127)
    proposed = [
        ProposedContext(id=2 * n + 1, abstract_syntax=uid, transfer_syntaxes=tuple(syntaxes))
        for n, uid in enumerate(classes)
    ]
    proposed.append(dataclasses.replace(ALL_SERVICES[0], id=255))

    def talk(host, port):
        with bad_caller(host, port) as caller:
            accepted = caller.associate(Request(contexts=proposed, roles=()))
            caller.ask(255, messages.echo())
            return accepted, caller.next_message(), caller.release()

    (accepted, echoed, released), _ = await hold(talk)
    assert accepted.results == {each.id: 0 for each in proposed}
    assert (echoed.status, released) == (SUCCESS, Released())


async def test_contexts_may_come_in_any_order_and_with_strange_syntaxes_among_them():
    strange = ProposedContext(id=251, abstract_syntax="1.2.3.4.5", transfer_syntaxes=("1.2.3",))
    no_syntax_of_ours = ProposedContext(id=253, abstract_syntax=CT, transfer_syntaxes=("1.2.3",))
    both = dataclasses.replace(ALL_SERVICES[0], id=7, transfer_syntaxes=("1.2.3", IMPLICIT))
    request = Request(contexts=(no_syntax_of_ours, both, strange))

    def talk(host, port):
        with bad_caller(host, port) as caller:
            accepted = caller.associate(request)
            caller.ask(7, messages.echo())
            return accepted, caller.next_message(), caller.release()

    (accepted, echoed, released), _ = await hold(talk)
    assert accepted.results == {253: 4, 7: 0, 251: 3}
    assert (echoed.status, released) == (SUCCESS, Released())


# Release and what comes after it. PS3.8 7.2, 9.2


@pytest.mark.parametrize(
    ("said", "expected"),
    [(ECHO, [SUCCESS]), (QUERY, [PENDING] * 3 + [SUCCESS]), (OBJECT, [SUCCESS])],
    ids=["echo", "find", "store"],
)
async def test_a_release_right_behind_a_request_is_granted_and_no_answer_is_untrue(said, expected):
    def talk(host, port):
        with associated(host, port) as caller:
            caller.send(said + pdu.release_request())
            return caller.rest()

    (*found, released, closed), stored = await hold(talk)
    assert statuses(found) in (expected, [])
    assert (released, closed) == (Released(), Closed())
    if said is OBJECT and found:
        assert stored == {"1.2.3.4": IMAGE}


@pytest.mark.parametrize(
    "said",
    [ECHO, CANCEL, pdu.release_request(), Request().encode()],
    ids=["echo", "cancel", "release again", "association request"],
)
async def test_what_comes_in_the_same_breath_as_a_release_is_an_abort_or_ignored(said):
    def talk(host, port):
        with associated(host, port) as caller:
            caller.send(pdu.release_request() + said)
            return caller.rest()

    found, _ = await hold(talk)
    assert statuses(found) == []
    assert found[0] in (Released(), Aborted(2, 2))
    assert isinstance(found[-1], Closed)


@pytest.mark.parametrize("said", [ECHO, pdu.release_request(), b"what is this"])
async def test_what_comes_after_the_release_is_not_served(said):
    def talk(host, port):
        with associated(host, port) as caller:
            released = caller.release()
            with contextlib.suppress(Exception):
                caller.send(said)
            return released, caller.rest()

    (released, found), _ = await hold(talk)
    assert released == Released()
    assert isinstance(found[-1], Closed)
    assert statuses(found) == []


@pytest.mark.parametrize("ends", ["close", "half_close", "reset"])
@pytest.mark.parametrize("asks_first", [True, False])
async def test_a_caller_that_goes_without_a_release_leaves_nothing(ends, asks_first):
    def talk(host, port):
        with associated(host, port) as caller:
            if asks_first:
                caller.send(ECHO)
                assert caller.next_message().status == SUCCESS
            getattr(caller, ends)()
            return caller.rest() if ends == "half_close" else None

    found, _ = await hold(talk)
    assert found is None or isinstance(found[-1], Closed)


async def test_an_object_before_a_close_without_a_release_is_stored():
    def talk(host, port):
        with associated(host, port) as caller:
            caller.ask(STORE_ID, messages.store("1.2.3.9"), IMAGE)
            caller.half_close()
            return caller.rest()

    found, stored = await hold(talk)
    # It was whole; whether its answer could still be sent is another matter.
    assert set(statuses(found)) <= {SUCCESS}
    assert stored in ({}, {"1.2.3.9": IMAGE})
    assert not statuses(found) or stored


# A release that both ask for at once: our side of it, which no endpoint does by itself.


OFFER = Offer(
    operations=frozenset((Operation.ECHO,)),
    storage_classes=frozenset(),
    any_class=False,
    transfer_syntaxes=frozenset((EXPLICIT,)),
)
LIMITS = TransportLimits(maximum_pdu=16384, pdu_seconds=3, send_seconds=3)


@contextlib.asynccontextmanager
async def accepted_link():
    """A link of the engine under test, accepted, and the caller's socket."""
    with trio.fail_after(SECONDS), socket.create_server(("127.0.0.1", 0)) as listener:
        with socket.create_connection(listener.getsockname()) as caller:
            ours, _ = listener.accept()
            accept = engines.accept_link(Engine.TRIO)
            first = Request().encode()
            async with trio.open_nursery() as nursery:
                link = await nursery.start(
                    functools.partial(
                        accept, ours, first, LIMITS, functools.partial(negotiate, offer=OFFER)
                    )
                )
                assert link is not None
                yield link, Heard(caller)
            assert caller.recv(1) == b""


class Heard:
    """The caller's side, from trio."""

    def __init__(self, sock):
        self._sock = sock
        sock.settimeout(SECONDS)

    def say(self, data):
        self._sock.sendall(data)

    def is_silent(self):
        readable, _, _ = select.select([self._sock], [], [], 0)
        return not readable

    async def pdu(self):
        """Type of the next PDU."""
        return await trio.to_thread.run_sync(self._pdu)

    def _pdu(self):
        head = self._read(6)
        self._read(int.from_bytes(head[2:], "big"))
        return head[0]

    def _read(self, length):
        data = b""
        while len(data) < length:
            more = self._sock.recv(length - len(data))
            assert more, "the connection ended"
            data += more
        return data


ACCEPT, RELEASE_RQ, RELEASE_RP, ABORT = 2, 5, 6, 7


async def test_an_acceptor_in_a_release_collision_answers_second():
    async with accepted_link() as (link, caller):
        assert await caller.pdu() == ACCEPT
        async with trio.open_nursery() as nursery:
            nursery.start_soon(link.release)
            assert await caller.pdu() == RELEASE_RQ
            caller.say(pdu.release_request())
            await trio.testing.wait_all_tasks_blocked(0.05)
            assert caller.is_silent()
            caller.say(pdu.release_reply())
            assert await caller.pdu() == RELEASE_RP


async def test_an_acceptor_that_is_asked_before_it_asks_grants_the_release():
    async with accepted_link() as (link, caller):
        assert await caller.pdu() == ACCEPT
        caller.say(pdu.release_request())
        await link.wait_disturbed()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(link.release)
            assert await caller.pdu() == RELEASE_RP


async def test_an_acceptor_releases_in_order():
    async with accepted_link() as (link, caller):
        assert await caller.pdu() == ACCEPT
        async with trio.open_nursery() as nursery:
            nursery.start_soon(link.release)
            assert await caller.pdu() == RELEASE_RQ
            caller.say(pdu.release_reply())


async def test_data_in_the_place_of_an_answer_to_the_release_ends_it_with_an_abort():
    async with accepted_link() as (link, caller):
        assert await caller.pdu() == ACCEPT
        async with trio.open_nursery() as nursery:
            nursery.start_soon(link.release)
            assert await caller.pdu() == RELEASE_RQ
            caller.say(ECHO)
            assert await caller.pdu() == ABORT
