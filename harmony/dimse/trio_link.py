"""A link on Harmony's own upper layer, in trio alone.

One task reads, which is the link's `run`; the task that sends writes. Both meet in a
`Connection`, which knows what may be when. What comes waits in an inbox of bounded size, and
the peer is held back by TCP while it is full.
"""

from __future__ import annotations

import collections
import contextlib
from collections.abc import AsyncIterable, Mapping, Sequence
from typing import TypeAlias

import trio

from harmony.dimse.late_alerts import late_alert
from harmony.dimse.link import Context, End, Ending, Fragment, LinkEnded
from harmony.dimse.transport import Transport, TransportLimits
from harmony.upper_layer.connection import (
    NEED_DATA,
    Buffer,
    Closed,
    Connection,
    Received,
    StateError,
    Violation,
)
from harmony.upper_layer.messages import Packer
from harmony.upper_layer.pdus import (
    Abort,
    AbortSource,
    AssociateRequest,
    Pdu,
    ReleaseRequest,
    ReleaseResponse,
)
from harmony.upper_layer.states import State

Unit: TypeAlias = Fragment | ReleaseRequest | ReleaseResponse

_INBOX_BYTES = 256 * 1024
_FRAGMENT_BYTES = 512  # about as much work as one with so many makes, however small it is
_GATHERED_BYTES = 256 * 1024  # written at once, where a message has so many
_GATHERED_SECONDS = 0.05  # ... and not held back for longer, where its source is slow
_BUFFER_BYTES = 512  # about as much work as one with so many makes, however small it is
_TURN_BYTES = 256 * 1024  # written without giving way to other tasks
_FAREWELL_SECONDS = 1.0  # for a peer to take note of our last PDU, and to close
_FAREWELL_BYTES = 256 * 1024
_NOT_ASSOCIATED = frozenset((State.STA1, State.STA2, State.STA4, State.STA13))
_RELEASE_IS_ASKED = frozenset((State.STA8, State.STA9, State.STA12))
_BY_THE_USER = Abort(source=AbortSource.USER, reason=0)  # PS3.8 9.3.8


class TrioLink:
    """One association. Implements `harmony.dimse.link.Link`.

    Args:
        transport: closed at the end of `run`.
        connection: the protocol machine on it.
        limits: for what comes and goes.
        release_seconds: for the answer to our A-RELEASE-RQ.
    """

    def __init__(
        self,
        transport: Transport,
        connection: Connection,
        limits: TransportLimits,
        *,
        release_seconds: float,
    ) -> None:
        self._transport = transport
        self._connection = connection
        self._limits = limits
        self._release_seconds = release_seconds
        self._ending: Ending | None = None
        self._inbox: collections.deque[Unit] = collections.deque()
        self._inbox_bytes = 0
        self._heard = trio.lowlevel.ParkingLot()
        self._room = trio.lowlevel.ParkingLot()
        self._is_running = False
        self._over = trio.Event()
        self._is_writing = False  # a PDU of ours has gone in part, perhaps
        self._gathered: list[Buffer] = []
        self._gathered_bytes = 0
        self._gathered_since = 0.0
        self._written = 0
        self._deadline: float | None = None  # of the PDU that is arriving

    # Reading

    async def run(self) -> None:
        """Read until the association has ended; then close the connection.

        Cancelled, the link is hung up.
        """
        self._is_running = True
        try:
            while isinstance(event := await self.next_event(), Unit):
                await self._take(event)
        finally:
            self.close()

    async def next_event(self) -> Received:
        """What the peer does next; before `run`, for the negotiation.

        A peer that breaks the protocol, stalls or goes gets its due, and the ending is noted.
        """
        while (event := self._connection.next_event()) is NEED_DATA:
            ending = await self._read()
            if ending is not None:
                self._note(ending)
                return Closed()
        self._deadline = None
        match event:
            case Violation():
                self._note(Ending(End.PROTOCOL, AbortSource.PROVIDER, event.reason))
                await self.part(event.reply)
            case Abort():
                self._note(Ending(End.PEER_ABORTED, event.source, event.reason))
            case ReleaseResponse() if self._connection.state is State.STA1:  # AR-3
                self._note(Ending(End.RELEASED))
            case Closed():
                self._note(Ending(End.CLOSED))
        return event

    async def _read(self) -> Ending | None:
        """Feed the connection once; how it ended, if it did.

        A PDU has its time from its first byte on, but for what we ourselves were busy.
        """
        if self._deadline is None and self._connection.is_within_pdu:
            self._deadline = trio.current_time() + self._limits.pdu_seconds
        try:
            if self._deadline is None:
                data = await self._transport.receive()
            else:
                with trio.fail_at(self._deadline):
                    data = await self._transport.receive()
        except trio.TooSlowError:
            return Ending(End.STALLED)
        except OSError as exc:
            return Ending(late_alert(exc) or End.CLOSED)
        self._connection.receive_data(data)
        return None

    async def _take(self, unit: Unit) -> None:
        """Put it into the inbox, and wait while that is full; after `hang_up`, drop it."""
        if self._ending is not None and self._ending.end is End.HUNG_UP:
            return
        self._inbox.append(unit)
        self._inbox_bytes += _size(unit)
        self._heard.unpark_all()
        while self._inbox_bytes > _INBOX_BYTES and self._ending is None:
            await self._room.park()

    async def ask(self, request: AssociateRequest) -> Received:
        """Send the A-ASSOCIATE-RQ; what came of it. PS3.8 7.1."""
        data = self._connection.send(request)
        self._is_writing = True  # and stays so if that does not end well
        with contextlib.suppress(OSError, trio.TooSlowError):  # what was said first tells more
            await self._transport.send([data], seconds=self._limits.send_seconds)
            self._is_writing = False
        return await self.next_event()

    async def part(self, last: bytes) -> None:
        """Send a last PDU, and read for a moment what still comes without a look at it.

        A connection that is closed with something unread is reset, and a reset may overtake
        what was sent. For the task that reads.
        """
        if self._is_writing or not self._transport.send_at_once(last):
            return
        self._transport.finish_sending()
        left = _FAREWELL_BYTES
        with trio.move_on_after(_FAREWELL_SECONDS):
            try:
                while left > 0 and (data := await self._transport.receive()):
                    left -= len(data)
            except OSError:
                return

    # Ending

    def close(self) -> None:
        """End the association and give the connection back; nothing is waited for.

        What was heard until then can still be received.
        """
        self._break_off()
        self._transport.close()
        self._over.set()

    def hang_up(self) -> None:
        """See `Link.hang_up`."""
        self._inbox.clear()
        self._inbox_bytes = 0
        self._break_off()

    def _break_off(self) -> None:
        """An A-ABORT goes ahead where the peer can read it as one. PS3.8 7.3."""
        self._note(Ending(End.HUNG_UP))
        if not self._is_writing and self._connection.state not in _NOT_ASSOCIATED:
            self._transport.send_at_once(self._connection.send(_BY_THE_USER))
        self._transport.hang_up()

    async def abort(self) -> None:
        """See `AcceptedLink.abort`."""
        try:
            if not self._is_writing and self._connection.state not in _NOT_ASSOCIATED:
                self._note(Ending(End.HUNG_UP))
                self._transport.send_at_once(self._connection.send(_BY_THE_USER))
                await self._see_off()
        finally:
            self.hang_up()

    async def release(self) -> None:
        """See `Link.release`."""
        try:
            if self._ending is None and not self._is_writing:
                with trio.move_on_after(self._release_seconds):
                    await self._release()
        except LinkEnded:
            return
        finally:
            self.hang_up()

    async def _release(self) -> None:
        """PS3.8 7.2. The peer may have asked first, or ask at the same moment (7.2.2.6)."""
        if not self._inbox:
            await self.say(ReleaseRequest())
        while not isinstance(await self._next_unit(), Fragment):  # no time for politeness then
            await self._grant_release()
            if self._connection.state in _NOT_ASSOCIATED:
                self._note(Ending(End.RELEASED))
                return

    async def _grant_release(self) -> None:
        if self._connection.state in _RELEASE_IS_ASKED:
            await self.say(ReleaseResponse())

    async def _see_off(self) -> None:
        """Let the peer close the connection, if it does within a moment. PS3.8 9.1.5."""
        self._transport.finish_sending()
        with trio.move_on_after(_FAREWELL_SECONDS):
            await self._over.wait()

    def _note(self, ending: Ending) -> None:
        """Remember how it ended; the first ending counts."""
        if self._ending is None:
            self._ending = ending
        self._heard.unpark_all()
        self._room.unpark_all()

    # Link

    @property
    def contexts(self) -> Mapping[int, Context]:
        return self._connection.contexts

    @property
    def ending(self) -> Ending | None:
        """How it ended, once it has."""
        return self._ending

    @property
    def is_quiet(self) -> bool:
        return self._ending is None and not self._inbox

    async def wait_disturbed(self) -> None:
        while self.is_quiet:
            await self._heard.park()

    def take(self) -> Fragment | None:
        if self._inbox and isinstance(self._inbox[0], Fragment):
            unit = self._pop()
            assert isinstance(unit, Fragment)
            return unit
        return None

    async def receive(self) -> Fragment:
        unit = await self._next_unit()
        if isinstance(unit, Fragment):
            return unit
        self._note(Ending(End.PEER_RELEASED))
        if not self._is_writing:
            await self._grant_release()
            await self._see_off()
        raise LinkEnded(Ending(End.PEER_RELEASED))

    async def _next_unit(self) -> Unit:
        """What was heard first.

        A deadline takes effect here however fast the peer sends, and before anything is taken.

        Raises:
            LinkEnded: nothing more comes.
        """
        await trio.lowlevel.checkpoint_if_cancelled()
        while not self._inbox:
            if self._ending is not None:
                raise LinkEnded(self._ending)
            await self._heard.park()
        return self._pop()

    def _pop(self) -> Unit:
        unit = self._inbox.popleft()
        self._inbox_bytes -= _size(unit)
        if self._inbox_bytes <= _INBOX_BYTES:
            self._room.unpark_all()
        return unit

    async def send(
        self,
        context_id: int,
        command: bytes,
        data: AsyncIterable[bytes] | None = None,
        *,
        more: bool = False,
    ) -> None:
        packer = Packer(context_id, self._connection.peer_maximum_length)
        for pdu in packer.command(command):
            await self._gather(pdu)
        if data is not None:
            async for chunk in data:
                for pdu in packer.data(chunk):
                    await self._gather(pdu)
            for pdu in packer.end_data():
                await self._gather(pdu)
        await self._gather(packer.take(), is_last=not more)

    async def say(self, pdu: Pdu) -> None:
        """Send a PDU that is not data.

        Raises:
            LinkEnded
        """
        try:
            data = self._connection.send(pdu)
        except StateError:
            raise self._ended() from None
        await self._write([data])

    async def _gather(self, pdu: Sequence[Buffer], *, is_last: bool = False) -> None:
        """Send data once enough has come together, or there is no more.

        Raises:
            LinkEnded
        """
        if self._ending is not None:
            raise LinkEnded(self._ending)
        now = trio.current_time()
        if not self._gathered:
            self._gathered_since = now
        try:
            self._gathered += self._connection.send_data(pdu)
        except StateError:
            raise self._ended() from None
        self._gathered_bytes += _work(pdu)
        is_late = now - self._gathered_since >= _GATHERED_SECONDS
        if is_last or is_late or self._gathered_bytes >= _GATHERED_BYTES:
            buffers, self._gathered, self._gathered_bytes = self._gathered, [], 0
            await self._write(buffers)

    async def _write(self, buffers: Sequence[Buffer]) -> None:
        self._is_writing = True  # and stays so if that does not end well
        try:
            await self._transport.send(buffers, seconds=self._limits.send_seconds)
        except trio.TooSlowError:
            self._note(Ending(End.SEND_STALLED))
            self._transport.hang_up()
            raise self._ended() from None
        except OSError:
            if self._is_running:  # the reader may learn why
                with trio.move_on_after(_FAREWELL_SECONDS):
                    await self._over.wait()
            raise self._ended() from None
        self._is_writing = False
        self._written += _work(buffers)
        if self._written > _TURN_BYTES:
            self._written = 0
            await trio.lowlevel.checkpoint()

    def _ended(self) -> LinkEnded:
        self._note(Ending(End.CLOSED))
        assert self._ending is not None
        return LinkEnded(self._ending)


def _work(buffers: Sequence[Buffer]) -> int:
    """How much there is to do, in bytes."""
    return sum(map(len, buffers)) + _BUFFER_BYTES * len(buffers)


def _size(unit: Unit) -> int:
    return len(unit.data) + _FRAGMENT_BYTES if isinstance(unit, Fragment) else 0
