"""Peers that mean harm, before Harmony's own engine in both roles: each wait and buffer ends.

They are written byte by byte, and live in the same event loop as what they attack.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import struct
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager

import pytest
import trio

from harmony.dimse import contexts, trio_engine
from harmony.dimse.association import Association
from harmony.dimse.engines import Engine
from harmony.dimse.link import Link
from harmony.dimse.target import Target
from harmony.envelope import Instance, Match, Progress, StreamBroken
from harmony.errors import UpstreamError
from harmony.upper_layer.commands import DATA_SET_PRESENT, Command, CommandField, encode
from harmony.upper_layer.connection import Connection, Side
from harmony.upper_layer.messages import Assembler, CommandSet
from harmony.upper_layer.negotiation import Context, answer
from harmony.upper_layer.pdus import AssociateRequest, Fragment
from harmony.upper_layer.user_information import RoleSelection, UserInformation
from tests.support import dimse, engines
from tests.support.bad_caller import FIND_ID, STORE_ID, Request, data_sets, messages
from tests.support.bad_caller.serving import OPTIONS, serve_dicom

SECONDS = 20.0
IDENTIFIER = data_sets.identifier([(data_sets.STUDY_UID, "UI", b"1.2.3")])
RELEASE_REQUEST = b"\5\0\0\0\0\4\0\0\0\0"


@pytest.fixture(autouse=True)
def _own_engine() -> Iterator[None]:
    with engines.tested(Engine.TRIO):
        yield


def value(context_id: int, data: bytes, control: int) -> bytes:
    return struct.pack(">LBB", len(data) + 2, context_id, control) + data


def p_data(*values: bytes) -> bytes:
    body = b"".join(values)
    return struct.pack(">BxL", 4, len(body)) + body


# A PACS


class Pacs:
    """One association, accepted with everything in it; then it is as bad as its test says."""

    def __init__(self, stream: trio.SocketStream) -> None:
        self.stream = stream
        self._connection = Connection(Side.ACCEPTOR)
        self._assembler = Assembler()

    async def accept(self) -> None:
        asked = await self._next()
        if not isinstance(asked, AssociateRequest):
            raise trio.BrokenResourceError("it has gone")
        accepted = {
            each.id: Context(each.id, each.abstract_syntax, each.transfer_syntaxes[0])
            for each in asked.contexts
        }
        user = UserInformation(
            maximum_length=0,
            roles=tuple(
                RoleSelection(sop_class_uid=role.sop_class_uid, scu=role.scu, scp=role.scp)
                for role in asked.user.roles
            ),
        )
        reply = answer(asked, accepted=accepted, refused={}, user=user)
        await self.stream.send_all(self._connection.send(reply))

    async def request(self) -> CommandSet:
        """The next command set; data sets are passed over."""
        while True:
            fragment = await self._next()
            assert isinstance(fragment, Fragment)
            unit = self._assembler.take(fragment)
            if isinstance(unit, CommandSet) and not unit.command.has_data_set:
                return unit
            if isinstance(unit, CommandSet):
                asked = unit
            elif unit is not None and unit.is_last:
                return asked

    async def _next(self) -> object:
        while isinstance(event := self._connection.next_event(), type(_NEEDS)):
            self._connection.receive_data(await self.stream.receive_some())
        return event

    async def answer(
        self, asked: CommandSet, status: int, *, data: bool = False, field: int | None = None
    ) -> None:
        command = Command(
            field=field or asked.command.field | 0x8000,
            responds_to=asked.command.message_id,
            affected_sop_class_uid=asked.command.affected_sop_class_uid,
            data_set_type=DATA_SET_PRESENT if data else 0x0101,
            status=status,
        )
        await self.stream.send_all(p_data(value(asked.context_id, encode(command), 3)))

    async def flood(self, data: bytes) -> None:
        """Say the same again and again until nobody takes it."""
        with contextlib.suppress(trio.BrokenResourceError, trio.ClosedResourceError):
            while True:
                await self.stream.send_all(data * (60_000 // len(data) + 1))


_NEEDS = Connection(Side.ACCEPTOR).next_event()
Behaviour = Callable[[Pacs], Awaitable[None]]


@asynccontextmanager
async def pacs(behave: Behaviour, *, accepts: bool = True) -> AsyncIterator[Target]:
    async def serve(stream: trio.SocketStream) -> None:
        async with stream:
            bad = Pacs(stream)
            with contextlib.suppress(trio.BrokenResourceError):
                if accepts:
                    await bad.accept()
                await behave(bad)

    with trio.fail_after(SECONDS):
        async with trio.open_nursery() as nursery:
            (listener,) = await nursery.start(
                functools.partial(trio.serve_tcp, serve, 0, host="127.0.0.1")
            )
            port = listener.socket.getsockname()[1]
            yield dimse.target(port, dimse.IMPATIENT)
            nursery.cancel_scope.cancel()


@asynccontextmanager
async def associated(target: Target, proposals: object = None) -> AsyncIterator[Association]:
    async with trio.open_nursery() as nursery:
        link: Link = await nursery.start(
            trio_engine.open_link, target, proposals or contexts.for_queries()
        )
        yield Association(link, target)
        nursery.cancel_scope.cancel()


async def _ignore(item: Match | Instance | Progress) -> None: ...


async def outcome_of(operation: Awaitable[object]) -> object:
    """What it returned, or the code of what it raised."""
    try:
        return await operation
    except UpstreamError as exc:
        return exc.code


async def test_an_identifier_of_endless_empty_fragments_ends_as_an_answer_that_is_late() -> None:
    async def behave(bad: Pacs) -> None:
        asked = await bad.request()
        await bad.answer(asked, 0xFF00, data=True)
        await bad.flood(p_data(value(asked.context_id, b"", 0)))

    async with pacs(behave) as target, associated(target) as association:
        with trio.fail_after(5 * target.timeouts.find_next_seconds):
            assert await outcome_of(association.find(dimse.query(), _ignore)) == "answer-timeout"


async def test_an_object_of_endless_empty_fragments_ends_as_an_answer_that_is_late() -> None:
    async def behave(bad: Pacs) -> None:
        asked = await bad.request()
        command = Command(
            field=CommandField.C_STORE_RQ,
            affected_sop_class_uid=dimse.CT,
            affected_sop_instance_uid="1.2.3",
            message_id=1,
            data_set_type=DATA_SET_PRESENT,
        )
        context_id = next(
            2 * index + 1
            for index, each in enumerate(contexts.for_get())
            if each.abstract_syntax == dimse.CT
        )
        await bad.stream.send_all(p_data(value(context_id, encode(command), 3)))
        assert asked.command.field == CommandField.C_GET_RQ
        await bad.flood(p_data(value(context_id, b"", 0)))

    async with pacs(behave) as target, associated(target, contexts.for_get()) as association:
        async with trio.open_nursery() as readers:

            async def emit(item: Match | Instance | Progress) -> None:
                async def read(instance: Instance) -> None:
                    with contextlib.suppress(StreamBroken):
                        async for _ in instance.data:
                            pass

                if isinstance(item, Instance):
                    readers.start_soon(read, item)

            with trio.fail_after(5 * target.timeouts.get_seconds):
                assert await outcome_of(association.get(dimse.query(), emit)) == "answer-timeout"


async def test_a_command_set_of_endless_empty_fragments_ends_as_an_answer_that_is_late() -> None:
    async def behave(bad: Pacs) -> None:
        asked = await bad.request()
        await bad.flood(p_data(value(asked.context_id, b"", 1)))

    async with pacs(behave) as target, associated(target) as association:
        assert await outcome_of(association.echo()) == "answer-timeout"


async def test_an_answer_that_is_followed_by_the_end_at_once_is_an_answer() -> None:
    async def behave(bad: Pacs) -> None:
        await bad.answer(await bad.request(), 0x0000)

    async with pacs(behave) as target, associated(target) as association:
        await association.echo()


async def test_half_an_answer_is_none() -> None:
    async def behave(bad: Pacs) -> None:
        asked = await bad.request()
        command = encode(
            Command(
                field=CommandField.C_ECHO_RSP, responds_to=asked.command.message_id, status=0x0000
            )
        )
        await bad.stream.send_all(p_data(value(asked.context_id, command, 1)))

    async with pacs(behave) as target, associated(target) as association:
        assert await outcome_of(association.echo()) == "connection-lost"


@pytest.mark.parametrize(
    "said", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\2\0\xff\xff\xff\xff", b"\4"]
)
async def test_a_peer_that_answers_with_something_else_is_not_told_as_silent(said: bytes) -> None:
    async def behave(bad: Pacs) -> None:
        await bad.stream.send_all(said + bytes(5))
        await trio.sleep_forever()

    async with pacs(behave, accepts=False) as target:
        async with trio.open_nursery() as nursery:
            with pytest.raises(UpstreamError) as failed:
                await nursery.start(trio_engine.open_link, target, contexts.for_queries())

    assert failed.value.code == "associate-failed"
    assert failed.value.asked is False


async def test_opening_can_be_cancelled_anywhere_and_leaves_nothing() -> None:
    async def behave(bad: Pacs) -> None:
        await bad.stream.receive_some()

    async def open_and_cancel(target: Target, turns: int) -> None:
        with trio.CancelScope() as scope:

            async def cancel() -> None:
                for _ in range(turns):
                    await trio.lowlevel.checkpoint()
                scope.cancel()

            async with trio.open_nursery() as nursery:
                nursery.start_soon(cancel)
                await nursery.start(trio_engine.open_link, target, contexts.for_queries())

    async with pacs(behave) as target:
        for turns in range(60):
            await open_and_cancel(target, turns)


# A caller


async def read_pdu(stream: trio.SocketStream) -> tuple[int, bytes]:
    """The next PDU."""
    head = await _read(stream, 6)
    return head[0], await _read(stream, int.from_bytes(head[2:], "big"))


async def _read(stream: trio.SocketStream, size: int) -> bytes:
    data = b""
    while len(data) < size:
        piece = await stream.receive_some(size - len(data))
        assert piece, "the connection ended"
        data += piece
    return data


async def rest(stream: trio.SocketStream) -> bytes:
    """What comes until the end."""
    data = b""
    with contextlib.suppress(trio.BrokenResourceError):
        while piece := await stream.receive_some():
            data += piece
    return data


@asynccontextmanager
async def calling(**timeouts: float) -> AsyncIterator[trio.SocketStream]:
    """An association with an endpoint, as its caller."""
    options = dataclasses.replace(
        OPTIONS, timeouts=dataclasses.replace(OPTIONS.timeouts, **timeouts)
    )
    with trio.fail_after(SECONDS):
        async with serve_dicom(options) as running:
            stream = await trio.open_tcp_stream(running.host, running.port)
            async with stream:
                await stream.send_all(Request().encode())
                assert (await read_pdu(stream))[0] == 2
                yield stream


async def flood(stream: trio.SocketStream, data: bytes) -> None:
    with contextlib.suppress(trio.BrokenResourceError, trio.ClosedResourceError):
        while True:
            await stream.send_all(data * (60_000 // len(data) + 1))


@pytest.mark.parametrize(
    "begin",
    [
        p_data(value(STORE_ID, messages.store(), 3)) + p_data(value(STORE_ID, b"", 0)),
        p_data(value(FIND_ID, messages.find(), 3)) + p_data(value(FIND_ID, b"", 0)),
    ],
    ids=["store", "find"],
)
async def test_a_data_set_of_endless_empty_fragments_is_given_up(begin: bytes) -> None:
    again = begin[-12:]
    async with calling(object_seconds=0.2) as stream, trio.open_nursery() as nursery:
        await stream.send_all(begin)
        nursery.start_soon(flood, stream, again * 1000 + p_data(*[again[6:]] * 1000))
        assert (await rest(stream))[:1] in (b"\7", b"")
        nursery.cancel_scope.cancel()


async def test_empty_fragments_are_no_part_of_a_data_set() -> None:
    async with calling() as stream:
        await stream.send_all(p_data(value(STORE_ID, messages.store(), 3)))
        await stream.send_all(p_data(*[value(STORE_ID, b"", 0)] * 1000) * 20)
        await stream.send_all(p_data(value(STORE_ID, IDENTIFIER, 2)))
        kind, body = await read_pdu(stream)

        assert kind == 4
        assert b"\0\0\0\x09\2\0\0\0\0\0" in body  # (0000,0900) status: success


@pytest.mark.parametrize("count", range(12))
async def test_a_cancel_that_crosses_the_answer_harms_nothing(count: int) -> None:
    cancel = messages.cancel()
    head, tail = (
        p_data(value(FIND_ID, cancel[:20], 1)),
        p_data(value(FIND_ID, cancel[20:], 3)),
    )
    async with calling() as stream:
        await stream.send_all(p_data(value(FIND_ID, messages.find(), 3)))
        await stream.send_all(p_data(value(FIND_ID, IDENTIFIER, 2)))
        for _ in range(count):
            await trio.lowlevel.checkpoint()
        await stream.send_all(head)  # in two PDUs, with the answer between them
        await trio.sleep(0.02)
        await stream.send_all(tail + RELEASE_REQUEST)
        kinds: list[int] = []
        while not kinds or kinds[-1] == 4:
            kinds.append((await read_pdu(stream))[0])

    assert kinds[-1] == 6
