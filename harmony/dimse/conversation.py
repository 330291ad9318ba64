"""Messages on a link: command sets whole, data sets fragment by fragment. PS3.7 6.3, PS3.8 E.

Nothing a peer sends is believed: every message must be the one that is due, in the right
context, of bounded length and in bounded time.
"""

from __future__ import annotations

from collections.abc import AsyncIterable

import trio

from harmony.dicom.status import hex_status
from harmony.dicom.uids import DEFLATED
from harmony.dimse.failures import contradiction, too_late
from harmony.dimse.link import Context, Fragment, Link
from harmony.dimse.target import Target
from harmony.errors import RequestError
from harmony.upper_layer.commands import Command, CommandField
from harmony.upper_layer.messages import Assembler, CommandSet, Data, MessageError, Unit

MAX_IDENTIFIER_BYTES = 1024 * 1024


async def next_message(link: Link, target: Target, seconds: float) -> CommandSet:
    """The next command set, whole; its data set, if it has one, is read apart.

    Raises:
        LinkEnded, UpstreamError
    """
    assembler = Assembler()
    deadline = trio.current_time() + seconds
    while True:
        fragment = await _fragment(link, deadline)
        if fragment is None:
            raise too_late(target, seconds)
        unit = _unit(assembler, fragment, target)
        if isinstance(unit, CommandSet):
            return unit


async def _fragment(link: Link, deadline: float) -> Fragment | None:
    """The next fragment; None if it does not come in time.

    Raises:
        LinkEnded
    """
    fragment = link.take()
    if fragment is None:
        with trio.move_on_at(deadline):
            fragment = await link.receive()
    return fragment


def _unit(assembler: Assembler, fragment: Fragment, target: Target) -> Unit | None:
    try:
        return assembler.take(fragment)
    except MessageError as exc:
        raise contradiction(target, str(exc)) from exc


def check_response(
    message: CommandSet,
    target: Target,
    *,
    context: Context,
    field: CommandField,
    message_id: int,
) -> Command:
    """The command, if it is a response to this very request; else UpstreamError."""
    command = message.command
    if command.field != field:
        raise contradiction(target, f"message {hex_status(command.field)} instead of an answer")
    if command.responds_to != message_id:
        raise contradiction(target, "an answer to another message")
    if message.context_id != context.id:
        raise contradiction(target, "an answer in another presentation context")
    return command


class DataSet:
    """The data set that follows a command, as it comes."""

    def __init__(
        self, link: Link, target: Target, context_id: int, *, seconds: float, limit: int
    ) -> None:
        self._link = link
        self._target = target
        self._assembler = Assembler(data_in=context_id)
        self._seconds = seconds
        self._room = limit
        self._ended = False

    async def next(self) -> bytes | None:
        """The next bytes, within the time for each; None at the end. Only the last may be none.

        Raises:
            LinkEnded, UpstreamError
        """
        if self._ended:
            return None
        deadline = trio.current_time() + self._seconds
        while True:  # fragments with nothing in them are no progress
            fragment = await _fragment(self._link, deadline)
            if fragment is None:
                raise too_late(self._target, self._seconds)
            unit = _unit(self._assembler, fragment, self._target)
            assert isinstance(unit, Data)
            self._room -= len(unit.data)
            if self._room < 0:
                raise contradiction(self._target, "a data set is longer than allowed")
            self._ended = unit.is_last
            if unit.data or unit.is_last:
                return unit.data

    async def whole(self) -> bytes:
        """All of it, for identifiers."""
        data = bytearray()
        while (chunk := await self.next()) is not None:
            data += chunk
        return bytes(data)


class EvenData:
    """The bytes of a data set to send, which must be even in number. PS3.5 7.1, 8.2 and A.5.

    A deflated stream is padded with one NUL; any other data set of odd length is damaged, and
    a peer that gets it would wait for more.

    Raises, at the end:
        RequestError: it is damaged.
    """

    def __init__(self, data: AsyncIterable[bytes], transfer_syntax: str) -> None:
        self._data = aiter(data)
        self._deflated = transfer_syntax in DEFLATED
        self._odd = False
        self._ended = False

    def __aiter__(self) -> EvenData:
        return self

    async def __anext__(self) -> bytes:
        if self._ended:
            raise StopAsyncIteration
        try:
            chunk = await anext(self._data)
        except StopAsyncIteration:
            self._ended = True
            if not self._odd:
                raise
            if self._deflated:
                return b"\0"
            raise RequestError(
                "the data set has an odd number of bytes, so it is cut short or damaged",
                code="unreadable-instance",
                hint="send the whole file",
            ) from None
        self._odd ^= bool(len(chunk) % 2)
        return chunk
