"""A link on a real connection, its peer written by hand: endings, order, bounds, wake-ups."""

from __future__ import annotations

import contextlib
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from socket import SO_RCVBUF, SO_SNDBUF, SOL_SOCKET, create_connection, socket

import pytest
import trio
import trio.testing

from harmony.dimse.link import End, LinkEnded
from harmony.dimse.transport import Transport, TransportLimits
from harmony.dimse.trio_link import TrioLink
from harmony.envelope import WholeBytes
from harmony.upper_layer.connection import Connection, Side
from harmony.upper_layer.pdus import (
    Abort,
    AbortReason,
    AnsweredContext,
    AssociateAccept,
    AssociateRequest,
    ProposedContext,
    ReleaseRequest,
    ReleaseResponse,
    encode,
)
from harmony.upper_layer.states import State
from harmony.upper_layer.user_information import UserInformation

SECONDS = 5.0
VERIFICATION, IMPLICIT = "1.2.840.10008.1.1", "1.2.840.10008.1.2"
REQUEST = AssociateRequest(
    called_aet="PACS",
    calling_aet="HARMONY",
    contexts=(ProposedContext(id=1, abstract_syntax=VERIFICATION, transfer_syntaxes=(IMPLICIT,)),),
    user=UserInformation(maximum_length=131072),
)
ABORT_TYPE, DATA_TYPE = 7, 4


def accept(maximum_length: int = 0) -> bytes:
    return encode(
        AssociateAccept(
            called_aet="PACS",
            calling_aet="HARMONY",
            contexts=(AnsweredContext(id=1, result=0, transfer_syntax=IMPLICIT),),
            user=UserInformation(maximum_length=maximum_length),
        )
    )


def value(data: bytes, control: int = 3) -> bytes:
    return struct.pack(">LBB", len(data) + 2, 1, control) + data


def p_data(*values: bytes) -> bytes:
    body = b"".join(values)
    return struct.pack(">BxL", DATA_TYPE, len(body)) + body


class Peer:
    """The other end of the connection, which says and hears bytes."""

    def __init__(self, sock: socket) -> None:
        self._sock = trio.socket.from_stdlib_socket(sock)

    async def say(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            view = view[await self._sock.send(view) :]

    async def hear(self, size: int) -> bytes:
        """So many bytes, or less if the connection ends before."""
        data = bytearray()
        with contextlib.suppress(OSError):
            while len(data) < size and (piece := await self._sock.recv(size - len(data))):
                data += piece
        return bytes(data)

    async def hear_what_is_there(self) -> bytes:
        data = b""
        with trio.move_on_after(0.1):
            while piece := await self._sock.recv(1 << 20):
                data += piece
        return data

    async def pdu(self) -> tuple[int, bytes] | None:
        """The next PDU; None at the end of the connection."""
        head = await self.hear(6)
        if not head:
            return None
        return head[0], await self.hear(int.from_bytes(head[2:], "big"))

    async def pdus(self) -> list[tuple[int, bytes]]:
        """All until the end. Fails if the last one is torn, or what follows it is none."""
        found = []
        while (pdu := await self.pdu()) is not None:
            assert pdu[0] in range(1, 8), "no PDU"
            found.append(pdu)
        return found

    def stop_sending(self) -> None:
        self._sock.shutdown(trio.socket.SHUT_WR)

    def close(self) -> None:
        self._sock.close()


@dataclass(frozen=True, slots=True)
class Talk:
    link: TrioLink
    connection: Connection
    peer: Peer
    nursery: trio.Nursery


@asynccontextmanager
async def established(
    *, maximum_length: int = 0, send_seconds: float = 1.0, pdu_seconds: float = 1.0
) -> AsyncIterator[Talk]:
    """A link that has associated with its peer, and runs."""
    with socket() as listener:
        listener.setsockopt(SOL_SOCKET, SO_RCVBUF, 4096)
        listener.bind(("127.0.0.1", 0))
        listener.listen(1)
        ours = create_connection(listener.getsockname())
        ours.setsockopt(SOL_SOCKET, SO_SNDBUF, 4096)  # a send that nobody reads waits soon
        theirs, _ = listener.accept()
    ours.setblocking(False)
    connection = Connection(Side.REQUESTOR)
    limits = TransportLimits(maximum_pdu=131072, pdu_seconds=pdu_seconds, send_seconds=send_seconds)
    link = TrioLink(Transport(ours), connection, limits, release_seconds=0.5)
    peer = Peer(theirs)
    with contextlib.closing(peer), trio.fail_after(SECONDS):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(peer.say, accept(maximum_length))
            await link.ask(REQUEST)
            assert await peer.pdu() is not None
            nursery.start_soon(link.run)
            yield Talk(link, connection, peer, nursery)
            nursery.cancel_scope.cancel()


class Endless:
    """A data set without end."""

    def __aiter__(self) -> Endless:
        return self

    async def __anext__(self) -> bytes:
        return bytes(100_000)


# Order and truth


async def test_what_came_before_the_end_is_given_before_the_end() -> None:
    async with established() as talk:
        await talk.peer.say(p_data(value(b"1")) + p_data(value(b"2"), value(b"3")))
        await talk.peer.say(encode(Abort(source=2, reason=2)))
        talk.peer.close()
        await trio.sleep(0.05)

        heard = [(await talk.link.receive()).data for _ in range(3)]
        with pytest.raises(LinkEnded) as ended:
            await talk.link.receive()

    assert heard == [b"1", b"2", b"3"]
    assert ended.value.ending.end is End.PEER_ABORTED
    assert (ended.value.ending.source, ended.value.ending.reason) == (2, 2)


@pytest.mark.parametrize("maximum_length", [1, 8, 64, 128, 255, 1000, 0])
async def test_a_message_reaches_a_peer_of_any_maximum_length(maximum_length: int) -> None:
    data = bytes(range(256)) * (800 if maximum_length not in range(1, 64) else 80)
    received = bytearray()

    async with established(maximum_length=maximum_length) as talk:
        talk.nursery.start_soon(talk.link.send, 1, b"command.", WholeBytes(data))
        last = False
        while not last:
            pdu = await talk.peer.pdu()
            assert pdu is not None, "the link ended"
            kind, body = pdu
            assert kind == DATA_TYPE
            assert not maximum_length or len(body) <= max(maximum_length, 8)
            while body:
                length, _, control = struct.unpack_from(">LBB", body)
                if not control & 1:
                    received += body[6 : length + 4]
                    last = control & 2 != 0
                body = body[length + 4 :]

    assert received == data


async def test_a_release_that_was_answered_is_told_as_one() -> None:
    async with established() as talk:
        talk.nursery.start_soon(talk.peer.say, encode(ReleaseResponse()))  # at once
        await talk.link.release()

        assert talk.link.ending is not None
        assert talk.link.ending.end is End.RELEASED


async def test_two_releases_that_cross_end_in_order() -> None:
    async with established() as talk:

        async def releasing() -> None:
            await talk.link.release()

        talk.nursery.start_soon(releasing)
        assert await talk.peer.pdu() == (5, bytes(4))
        await talk.peer.say(encode(ReleaseRequest()))
        assert await talk.peer.pdu() == (6, bytes(4))  # PS3.8 9.2.3: the requestor answers first
        await talk.peer.say(encode(ReleaseResponse()))

        assert await talk.peer.pdus() == []
        assert talk.connection.state is State.STA1
        assert talk.link.ending is not None
        assert talk.link.ending.end is End.RELEASED


async def test_a_peer_that_releases_is_answered_even_if_more_was_unread() -> None:
    async with established() as talk:
        await talk.peer.say(p_data(value(b"1")) + encode(ReleaseRequest()))
        assert (await talk.link.receive()).data == b"1"
        talk.nursery.start_soon(talk.peer.pdus)
        with pytest.raises(LinkEnded) as ended:
            await talk.link.receive()

    assert ended.value.ending.end is End.PEER_RELEASED


async def test_what_a_slow_source_has_given_is_not_held_back() -> None:
    heard = trio.Event()

    class Slow:
        """Ends once the first of it has arrived."""

        def __init__(self) -> None:
            self._given = 0

        def __aiter__(self) -> Slow:
            return self

        async def __anext__(self) -> bytes:
            self._given += 1
            await trio.sleep(0.05)
            if self._given == 5:
                await heard.wait()
                raise StopAsyncIteration
            return bytes(20_000)

    async with established(maximum_length=16384) as talk:
        talk.nursery.start_soon(talk.link.send, 1, b"command.", Slow())
        assert await talk.peer.pdu() is not None
        heard.set()


# Cancellation: never an A-ABORT inside another PDU


Ending = Callable[[TrioLink], Awaitable[None]]


async def hang_up(link: TrioLink) -> None:
    link.hang_up()


async def close(link: TrioLink) -> None:
    link.close()


@pytest.mark.parametrize("end", [hang_up, close, TrioLink.abort, TrioLink.release])
async def test_no_pdu_is_put_inside_another_that_is_cut_off(end: Ending) -> None:
    async with established() as talk:
        with trio.move_on_after(0.1):
            await talk.link.send(1, b"command.", Endless())
        heard = await talk.peer.hear_what_is_there()  # so that there is room again
        await end(talk.link)
        heard += await talk.peer.hear(1_000_000)

    while heard:
        assert heard[0] == DATA_TYPE
        heard = heard[6 + int.from_bytes(heard[2:6], "big") :]


@pytest.mark.parametrize("end", [hang_up, close, TrioLink.abort])
async def test_between_two_messages_an_abort_goes_ahead(end: Ending) -> None:
    async with established() as talk:
        await talk.link.send(1, b"command.")
        await end(talk.link)

        pdus = await talk.peer.pdus()

    assert [kind for kind, _ in pdus] == [DATA_TYPE, ABORT_TYPE]


async def test_a_message_whose_source_fails_is_never_ended_as_if_it_were_whole() -> None:
    async def broken() -> AsyncIterator[bytes]:
        yield bytes(1_000_000)
        raise ValueError("source")

    async with established() as talk:
        heard: list[tuple[int, bytes]] = []

        async def peer() -> None:
            heard.extend(await talk.peer.pdus())

        talk.nursery.start_soon(peer)
        with pytest.raises(ValueError, match="source"):
            await talk.link.send(1, b"command.", broken())
        talk.link.hang_up()
        while not heard:
            await trio.sleep(0.01)

    assert heard[-1][0] == ABORT_TYPE
    for kind, body in heard[:-1]:
        assert kind == DATA_TYPE
        while body:
            length, _, control = struct.unpack_from(">LBB", body)
            assert control in (3, 0)  # the whole command, never the last of the data set
            body = body[length + 4 :]


async def test_an_association_request_that_is_cut_off_is_followed_by_nothing() -> None:
    with socket() as listener:
        listener.setsockopt(SOL_SOCKET, SO_RCVBUF, 2048)
        listener.bind(("127.0.0.1", 0))
        listener.listen(1)
        ours = create_connection(listener.getsockname())
        ours.setsockopt(SOL_SOCKET, SO_SNDBUF, 2048)
        theirs, _ = listener.accept()
    ours.setblocking(False)
    peer = Peer(theirs)
    contexts = tuple(
        ProposedContext(
            id=2 * number + 1,
            abstract_syntax=VERIFICATION,
            transfer_syntaxes=(IMPLICIT,) * 60,
        )
        for number in range(128)
    )
    request = AssociateRequest(
        called_aet="PACS", calling_aet="HARMONY", contexts=contexts, user=UserInformation()
    )
    limits = TransportLimits(maximum_pdu=131072, pdu_seconds=1, send_seconds=1)
    link = TrioLink(Transport(ours), Connection(Side.REQUESTOR), limits, release_seconds=1)
    with contextlib.closing(peer), trio.fail_after(SECONDS):
        with trio.move_on_after(0.1):
            await link.ask(request)
        heard = await peer.hear_what_is_there()  # so that there is room again
        link.close()
        heard += await peer.hear(1_000_000)

    whole = encode(request)
    assert len(heard) < len(whole), "the request fitted into the buffers of the connection"
    assert heard == whole[: len(heard)]


# Waiting and waking


async def test_everybody_who_watches_wakes_when_something_comes() -> None:
    async with established() as talk:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(talk.link.wait_disturbed)
            nursery.start_soon(talk.link.wait_disturbed)
            await trio.testing.wait_all_tasks_blocked()
            await talk.peer.say(p_data(value(b"1")))

        assert (await talk.link.receive()).data == b"1"


async def test_a_receiver_that_is_cancelled_as_something_comes_loses_nothing() -> None:
    async with established() as talk:
        taken: list[bytes] = []
        for number in range(50):
            with trio.CancelScope() as scope:
                async with trio.open_nursery() as nursery:

                    async def receive() -> None:
                        taken.append((await talk.link.receive()).data)

                    nursery.start_soon(receive)
                    await talk.peer.say(p_data(value(bytes([number]))))
                    for _ in range(number % 5):
                        await trio.lowlevel.checkpoint()
                    scope.cancel()
        while len(taken) < 50:
            taken.append((await talk.link.receive()).data)

    assert taken == [bytes([number]) for number in range(50)]


@pytest.mark.parametrize("full", [False, True])
async def test_hanging_up_wakes_the_receiver_the_sender_and_the_reader(full: bool) -> None:
    ended: list[str] = []
    async with established() as talk:

        async def receive() -> None:
            with pytest.raises(LinkEnded):
                await talk.link.receive()
            ended.append("receiver")

        async def send() -> None:
            with pytest.raises(LinkEnded):
                await talk.link.send(1, b"command.", Endless())
            ended.append("sender")

        async def flood() -> None:
            with contextlib.suppress(OSError):
                while True:
                    await talk.peer.say(p_data(value(bytes(10_000))))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(send)
            nursery.start_soon(flood if full else receive)
            await trio.sleep(0.1)
            talk.link.hang_up()

    assert sorted(ended) == (["sender"] if full else ["receiver", "sender"])


async def test_a_peer_that_stops_within_a_pdu_is_told_from_one_that_is_silent() -> None:
    async with established(pdu_seconds=0.05) as talk:
        await trio.sleep(0.1)
        assert talk.link.is_quiet
        await talk.peer.say(p_data(value(b"1"))[:-1])
        with pytest.raises(LinkEnded) as ended:
            await talk.link.receive()

    assert ended.value.ending.end is End.STALLED


async def test_bytes_that_trickle_in_do_not_prolong_the_time_of_a_pdu() -> None:
    async with established(pdu_seconds=0.2) as talk:

        async def trickle() -> None:
            with contextlib.suppress(OSError):
                for byte in p_data(value(bytes(1000))):
                    await talk.peer.say(bytes([byte]))
                    await trio.sleep(0.01)

        talk.nursery.start_soon(trickle)
        with pytest.raises(LinkEnded) as ended:
            await talk.link.receive()

    assert ended.value.ending.end is End.STALLED


# Bounds


@pytest.mark.parametrize("size", [0, 1, 100, 10_000])
async def test_a_flood_is_held_back_by_tcp(size: int) -> None:
    said = 0
    pdu = p_data(*[value(bytes(size), 0)] * max(1, min(20_000 // (size + 6), 500)))
    async with established() as talk:

        async def flood() -> None:
            nonlocal said
            with contextlib.suppress(OSError):
                while True:
                    await talk.peer.say(pdu)
                    said += len(pdu)

        talk.nursery.start_soon(flood)
        before = -1
        while said != before:  # until the connection takes no more
            before = said
            await trio.sleep(0.1)
        held = 0
        while talk.link.take() is not None:
            held += size + 128

    assert held < 600_000


async def test_nothing_is_kept_of_what_comes_after_hanging_up() -> None:
    async with established() as talk:

        async def flood() -> None:
            with contextlib.suppress(OSError):
                while True:
                    await talk.peer.say(p_data(value(bytes(10_000))))

        talk.nursery.start_soon(flood)
        with trio.move_on_after(0.1):
            await talk.link.send(1, b"command.", Endless())  # so that no A-ABORT can go
        talk.link.hang_up()
        await trio.sleep(0.1)

        assert talk.link.take() is None


async def test_empty_values_are_given_one_by_one() -> None:
    async with established() as talk:
        talk.nursery.start_soon(talk.peer.say, p_data(*[value(b"", 0)] * 1000) * 20)
        heard = [await talk.link.receive() for _ in range(20_000)]

    assert all(not fragment.data for fragment in heard)


# A peer that breaks the protocol


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        (b"\x08\0\0\0\0\0", AbortReason.UNRECOGNISED_PDU),
        (b"\x04\0\xff\xff\xff\xff", AbortReason.INVALID_PARAMETER),
        (b"\x04\0\0\0\0\0", AbortReason.INVALID_PARAMETER),
        (encode(ReleaseResponse()), AbortReason.UNEXPECTED_PDU),
        (encode(REQUEST), AbortReason.UNEXPECTED_PDU),
        (accept(), AbortReason.UNEXPECTED_PDU),
    ],
)
async def test_it_hears_why_and_nothing_else(said: bytes, reason: AbortReason) -> None:
    async with established() as talk:
        await talk.peer.say(said + bytes(50_000))
        pdus: list[tuple[int, bytes]] = []

        async def peer() -> None:
            pdus.extend(await talk.peer.pdus())
            talk.peer.close()

        talk.nursery.start_soon(peer)
        with pytest.raises(LinkEnded) as ended:
            await talk.link.receive()
        while not pdus:
            await trio.sleep(0.01)

    assert ended.value.ending.end is End.PROTOCOL
    assert pdus == [(ABORT_TYPE, bytes((0, 0, 2, reason)))]
