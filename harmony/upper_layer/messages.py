"""DIMSE messages as presentation data values: cut for sending, told apart on arrival.

A message is a command set and, if that says so, a data set; each goes as fragments in values of
one presentation context, the last of each marked. PS3.7 6.3, PS3.8 9.3.5 and annex E.

A data set is a stream: neither direction ever joins it.
"""

from __future__ import annotations

import enum
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TypeAlias

from harmony.upper_layer.commands import MAX_COMMAND_BYTES, Command, CommandError, decode
from harmony.upper_layer.connection import Buffer
from harmony.upper_layer.pdus import Fragment, PduType

MAX_PDU_BYTES = 128 * 1024  # more makes nothing faster
VALUE_HEADER_BYTES = 6  # item length, context ID, message control header
MIN_PDU_BYTES = VALUE_HEADER_BYTES + 2

_JOINED_BYTES = 16 * 1024  # below, one write of a copy is cheaper than a gathering one
_SMALL_CHUNK_BYTES = 4 * 1024  # keeps the buffers of a PDU far below what one write may have
_COMMAND, _LAST = 1, 2  # bits of the message control header, PS3.8 E.2
_PDU_HEADER = struct.Struct(">BxL")  # PS3.8 table 9-22
_VALUE_HEADER = struct.Struct(">LBB")  # PS3.8 table 9-23, and the header of E.2


class Packer:
    """Cuts one message into P-DATA-TF PDUs.

    Each method yields the PDUs that are full, each as the buffers to write one after the other;
    a small PDU is a single buffer. The last PDU comes from `take`.

        packer = Packer(context_id, limit)
        for pdu in packer.command(command): write(pdu)
        for chunk in data_set:                    # these four lines only if there is a data set
            for pdu in packer.data(chunk): write(pdu)
        for pdu in packer.end_data(): write(pdu)
        write(packer.take())

    The command set and the first fragment of the data set share a PDU, so that a peer's delayed
    acknowledgement of the one cannot hold up the other. Chunks are not copied, except small
    ones: the buffers are views of them.

    Args:
        context_id: of the presentation context.
        limit: the peer's maximum length, which counts values with their headers (PS3.8 D.1);
            0 if it sets none. No PDU is longer than `MAX_PDU_BYTES` anyway. A limit below
            `MIN_PDU_BYTES` leaves no room for data, and is taken for that.
    """

    def __init__(self, context_id: int, limit: int) -> None:
        self._context_id = context_id
        self._limit = max(min(limit or MAX_PDU_BYTES, MAX_PDU_BYTES), MIN_PDU_BYTES)
        self._command = b""  # a value, for the PDU that is being filled
        self._held: list[Buffer | bytearray] = []  # a fragment of the data set, for the same
        self._held_bytes = 0
        self._room = self._space()
        self._is_ended = False

    def command(self, data: bytes) -> Iterator[list[Buffer]]:
        """Add the command set."""
        while len(data) > self._room:
            self._command = self._value_header(self._room, _COMMAND) + data[: self._room]
            data = data[self._room :]
            yield self.take()
        self._command = self._value_header(len(data), _COMMAND | _LAST) + data
        self._room = self._space()

    def data(self, chunk: Buffer) -> Iterator[list[Buffer]]:
        """Add bytes of the data set, which must not change any more.

        What fills a PDU just so is held back: it may turn out to be the last.
        """
        view = memoryview(chunk)
        while len(view) > self._room:
            if self._room > 0:
                head, view = view[: self._room], view[self._room :]
                self._hold(head)
            yield self.take()
        self._hold(view)

    def end_data(self) -> Iterator[list[Buffer]]:
        """Make what is held the last fragment of the data set."""
        if self._room < 0:
            yield self.take()
        self._is_ended = True

    def take(self) -> list[Buffer]:
        """What has been filled so far, as a PDU."""
        head = self._command
        if self._held or self._is_ended:
            head += self._value_header(self._held_bytes, _LAST if self._is_ended else 0)
        length = len(head) + self._held_bytes
        head = _PDU_HEADER.pack(PduType.DATA_TF, length) + head
        held = self._held
        self._command, self._held, self._held_bytes = b"", [], 0
        self._room = self._space()
        if length <= _JOINED_BYTES:
            return [b"".join((head, *held))]
        return [head, *(memoryview(piece) for piece in held)]

    def _space(self) -> int:
        # Even, as every fragment has to be (PS3.8 annex E.1); negative if there is none.
        return (self._limit - len(self._command) - VALUE_HEADER_BYTES) & ~1

    def _hold(self, piece: memoryview) -> None:
        size = len(piece)
        if size >= _SMALL_CHUNK_BYTES:
            self._held.append(piece)
        elif self._held and isinstance(last := self._held[-1], bytearray):
            last += piece
        elif size:
            self._held.append(bytearray(piece))
        self._held_bytes += size
        self._room -= size

    def _value_header(self, size: int, control: int) -> bytes:
        # The length counts the two bytes behind it, PS3.8 9.3.5.1.
        return _VALUE_HEADER.pack(size + 2, self._context_id, control)


class Fault(enum.StrEnum):
    """What can be wrong with the fragments of a peer. PS3.8 annex E."""

    DATA_SET_WITHOUT_COMMAND = "data-set-without-command"
    COMMAND_BROKEN_OFF = "command-broken-off"
    COMMAND_TOO_LONG = "command-too-long"
    BAD_COMMAND_SET = "bad-command-set"
    DATA_SET_BROKEN_OFF = "data-set-broken-off"


class MessageError(Exception):
    """These fragments make no message; what follows cannot be told apart any more.

    The text is for people and quotes nothing of the peer.
    """

    def __init__(self, code: Fault, text: str) -> None:
        super().__init__(text)
        self.code = code


@dataclass(frozen=True, slots=True)
class CommandSet:
    """A command set, whole. If it `has_data_set`, that is what comes next."""

    context_id: int
    command: Command


@dataclass(frozen=True, slots=True)
class Data:
    """The next bytes of the data set that the last command set announced."""

    data: bytes = field(repr=False)
    is_last: bool


Unit: TypeAlias = CommandSet | Data


class Assembler:
    """Tells what the fragments of a peer are: a message is whole, or refused.

    After an error it is of no use.

    Args:
        max_command_bytes: the most that is kept of a command set.
        data_in: the context of a data set that is due; None if a command set is.
    """

    def __init__(
        self, max_command_bytes: int = MAX_COMMAND_BYTES, *, data_in: int | None = None
    ) -> None:
        self._max_command_bytes = max_command_bytes
        self._data_in = data_in
        self._command_in: int | None = None  # the context of a command set that has begun
        self._held = bytearray()

    def take(self, fragment: Fragment) -> Unit | None:
        """What this fragment makes; None while a command set is not whole.

        Raises:
            MessageError: it is not what is due.
        """
        if self._data_in is not None:
            return self._data(fragment, self._data_in)
        if not fragment.is_command:
            raise MessageError(
                Fault.DATA_SET_WITHOUT_COMMAND, "a data set that no command announced"
            )
        if self._command_in not in (None, fragment.context_id):
            raise MessageError(
                Fault.COMMAND_BROKEN_OFF, "a command set is broken off by another message"
            )
        if len(self._held) + len(fragment.data) > self._max_command_bytes:
            raise MessageError(Fault.COMMAND_TOO_LONG, "a command set without end")
        if not fragment.is_last:
            self._command_in = fragment.context_id
            self._held += fragment.data
            return None
        whole = bytes(self._held + fragment.data) if self._held else fragment.data
        self._command_in = None
        self._held.clear()
        return self._command_set(fragment.context_id, whole)

    def _command_set(self, context_id: int, data: bytes) -> CommandSet:
        try:
            command = decode(data)
        except CommandError as exc:
            raise MessageError(Fault.BAD_COMMAND_SET, str(exc)) from exc
        if command.has_data_set:
            self._data_in = context_id
        return CommandSet(context_id, command)

    def _data(self, fragment: Fragment, context_id: int) -> Data:
        if fragment.is_command or fragment.context_id != context_id:
            raise MessageError(
                Fault.DATA_SET_BROKEN_OFF, "a data set is broken off by another message"
            )
        if fragment.is_last:
            self._data_in = None
        return Data(fragment.data, fragment.is_last)
