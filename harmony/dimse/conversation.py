"""Messages on a link: command sets whole, data sets fragment by fragment. PS3.7 6.3, PS3.8 E.

Nothing a peer sends is believed: every message must be the one that is due, in the right
context, of bounded length and in bounded time.
"""

from __future__ import annotations

from collections.abc import AsyncIterable
from dataclasses import dataclass

import trio

from harmony.dicom.status import hex_status
from harmony.dicom.uids import DEFLATED
from harmony.dimse.failures import contradiction, too_late
from harmony.dimse.link import Context, Fragment, Link
from harmony.dimse.target import Target
from harmony.errors import RequestError
from harmony.upper_layer.commands import (
    MAX_COMMAND_BYTES,
    Command,
    CommandError,
    CommandField,
    decode,
)

MAX_IDENTIFIER_BYTES = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Message:
    """A command set and the presentation context it came in."""

    context_id: int
    command: Command


async def next_message(link: Link, target: Target, seconds: float) -> Message:
    """The next command set, whole.

    Raises:
        LinkEnded, UpstreamError
    """
    data = bytearray()
    with trio.move_on_after(seconds):
        while True:
            fragment = await link.receive()
            if not fragment.is_command:
                raise contradiction(target, "a data set that no command announced")
            data += fragment.data
            if len(data) > MAX_COMMAND_BYTES:
                raise contradiction(target, "a command set without end")
            if fragment.is_last:
                return Message(fragment.context_id, _decode(bytes(data), target))
    raise too_late(target, seconds)


def _decode(data: bytes, target: Target) -> Command:
    try:
        return decode(data)
    except CommandError as exc:
        raise contradiction(target, str(exc)) from exc


def check_response(
    message: Message,
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
        self._context_id = context_id
        self._seconds = seconds
        self._room = limit
        self._ended = False

    async def next(self) -> bytes | None:
        """The next bytes, within the time for each; None at the end.

        Raises:
            LinkEnded, UpstreamError
        """
        if self._ended:
            return None
        fragment: Fragment | None = None
        with trio.move_on_after(self._seconds):
            fragment = await self._link.receive()
        if fragment is None:
            raise too_late(self._target, self._seconds)
        if fragment.is_command or fragment.context_id != self._context_id:
            raise contradiction(self._target, "a data set is broken off by another message")
        self._room -= len(fragment.data)
        if self._room < 0:
            raise contradiction(self._target, "a data set is longer than allowed")
        self._ended = fragment.is_last
        return fragment.data

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
