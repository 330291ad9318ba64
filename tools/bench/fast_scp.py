"""A fast service class provider: what is measured with it is its caller.

    python -m tools.bench.fast_scp PORT [COUNTER]

Answers each C-FIND that asks for the Patient ID ``M<n>`` with n matches, discards what it gets by
C-STORE, and answers C-ECHO. COUNTER is a file in which it counts what was stored, as eight bytes.
Callers must take P-DATA-TF PDUs of 4 KiB.

It is `harmony.upper_layer` and a socket, with no more around them.
"""

from __future__ import annotations

import contextlib
import functools
import mmap
import socket
import struct
import sys
from collections.abc import Sequence
from pathlib import Path

import trio

from harmony.dicom.part10 import IMPLEMENTATION_CLASS_UID
from harmony.dimse.transport import Transport
from harmony.upper_layer.commands import (
    DATA_SET_PRESENT,
    NO_DATA_SET,
    Command,
    CommandField,
    encode,
)
from harmony.upper_layer.connection import (
    NEED_DATA,
    Buffer,
    Connection,
    Side,
    Violation,
)
from harmony.upper_layer.messages import Assembler, CommandSet, Packer
from harmony.upper_layer.negotiation import Context, answer
from harmony.upper_layer.pdus import (
    AssociateAccept,
    AssociateRequest,
    Fragment,
    ProposedContext,
    ReleaseRequest,
    ReleaseResponse,
)
from harmony.upper_layer.user_information import UserInformation

AE_TITLE = "FAST"

_HOST = "127.0.0.1"
_BACKLOG = 1024
_MAXIMUM_LENGTH = 131072
_SECONDS = 60.0
_IMPLICIT, _EXPLICIT = "1.2.840.10008.1.2", "1.2.840.10008.1.2.1"
_PENDING, _SUCCESS = 0xFF00, 0x0000
_PATIENT_ID = b"\x10\x00\x20\x00"
_ROWS_AT_ONCE = 1000
_RESPONSE = 0x8000  # bit of a command field, PS3.7 E.1
# What a caller gets of a study; all matches are equally long.
_ELEMENTS = (
    (0x0008, 0x0020, "DA", "20260102"),
    (0x0008, 0x0030, "TM", "101112"),
    (0x0008, 0x0050, "SH", "ACC{number:06}"),
    (0x0008, 0x0052, "CS", "STUDY"),
    (0x0008, 0x0061, "CS", "CT"),
    (0x0008, 0x0090, "PN", "House^Gregory"),
    (0x0008, 0x1030, "LO", "CT THORAX WITH CONTRAST"),
    (0x0010, 0x0010, "PN", "Doe^Jane^{number:06}"),
    (0x0010, 0x0020, "LO", "{patient}"),
    (0x0010, 0x0030, "DA", "19700101"),
    (0x0010, 0x0040, "CS", "F"),
    (0x0020, 0x000D, "UI", "1.2.826.0.1.3680043.10.999.3.1{number:06}"),
    (0x0020, 0x0010, "SH", "{number:06}"),
    (0x0020, 0x1206, "IS", "1"),
    (0x0020, 0x1208, "IS", "1"),
)


class Counter:
    """How many objects were stored, for others to read in a file."""

    def __init__(self, file: Path | None) -> None:
        self._count = 0
        self._shared: mmap.mmap | None = None
        if file is not None:
            file.write_bytes(bytes(8))
            with file.open("r+b") as opened:
                self._shared = mmap.mmap(opened.fileno(), 8)

    def add(self) -> None:
        self._count += 1
        if self._shared is not None:
            self._shared[:] = self._count.to_bytes(8, "little")


def counted(file: Path) -> int:
    """What a `Counter` says."""
    return int.from_bytes(file.read_bytes(), "little")


@functools.lru_cache(maxsize=64)
def matches(patient: str, count: int, transfer_syntax: str) -> Sequence[bytes]:
    """So many encoded identifiers, equally long."""
    return [_match(patient, number, transfer_syntax) for number in range(count)]


def _match(patient: str, number: int, transfer_syntax: str) -> bytes:
    encoded = b""
    for group, element, vr, text in _ELEMENTS:
        value = text.format(number=number, patient=patient).encode()
        if len(value) % 2:
            value += b"\0" if vr == "UI" else b" "
        encoded += struct.pack("<HH", group, element)
        if transfer_syntax == _EXPLICIT:
            encoded += vr.encode() + struct.pack("<H", len(value)) + value
        else:
            encoded += struct.pack("<L", len(value)) + value
    return encoded


def patient_in(identifier: bytes, transfer_syntax: str) -> tuple[str, int]:
    """The Patient ID that is asked for, and how many matches it has; none if it is no ``M<n>``."""
    at = identifier.find(_PATIENT_ID)
    if at < 0:
        return "", 0
    at += 4
    layout = "<2xH" if transfer_syntax == _EXPLICIT else "<L"
    (length,) = struct.unpack_from(layout, identifier, at)
    patient = identifier[at + 4 : at + 4 + length].decode("ascii", "replace").strip(" \0")
    number = patient.removeprefix("M")
    return patient, int(number) if number.isdecimal() else 0


class _Caller:
    """One association."""

    def __init__(self, transport: Transport, stored: Counter) -> None:
        self._transport = transport
        self._connection = Connection(Side.ACCEPTOR)
        self._assembler = Assembler()
        self._request: CommandSet | None = None  # whose data set is coming
        self._identifier = b""
        self._stored = stored

    async def run(self) -> None:
        """Serve it to its end.

        Raises:
            OSError, trio.TooSlowError: the caller has gone.
        """
        connection = self._connection
        while True:
            event = connection.next_event()
            if event is NEED_DATA:
                connection.receive_data(await self._transport.receive())
            elif isinstance(event, Fragment):
                await self._take(event)
            elif isinstance(event, AssociateRequest):
                await self._write([connection.send(_accept(event))])
            elif isinstance(event, ReleaseRequest):
                await self._write([connection.send(ReleaseResponse())])
            else:
                if isinstance(event, Violation):
                    await self._write([event.reply])
                return

    async def _take(self, fragment: Fragment) -> None:
        unit = self._assembler.take(fragment)
        if isinstance(unit, CommandSet):
            self._request, self._identifier = unit, b""
            if not unit.command.has_data_set:
                await self._answer(unit)
        elif unit is not None and self._request is not None:
            if self._request.command.field == CommandField.C_FIND_RQ:
                self._identifier += unit.data
            if unit.is_last:
                await self._answer(self._request)

    async def _answer(self, request: CommandSet) -> None:
        match request.command.field:
            case CommandField.C_CANCEL_RQ:  # what it is about has ended
                return
            case CommandField.C_STORE_RQ:
                self._stored.add()
            case CommandField.C_FIND_RQ:
                await self._send_matches(request)
        await self._write(self._message(request, _response(request.command, _SUCCESS)))

    async def _send_matches(self, request: CommandSet) -> None:
        context = self._connection.contexts[request.context_id]
        patient, left = patient_in(self._identifier, context.transfer_syntax)
        rows = matches(patient, min(left, _ROWS_AT_ONCE), context.transfer_syntax)
        pending = _response(request.command, _PENDING, DATA_SET_PRESENT)
        while left:
            some = rows[: min(left, _ROWS_AT_ONCE)]
            (first,) = self._message(request, pending, some[0])
            # Whatever is before an identifier is the same each time.
            head = bytes(first[: len(first) - len(some[0])])
            await self._write([head + head.join(some)])
            left -= len(some)

    def _message(
        self, request: CommandSet, command: Command, data: bytes | None = None
    ) -> Sequence[Buffer]:
        packer = Packer(request.context_id, self._connection.peer_maximum_length)
        pdus = list(packer.command(encode(command)))
        if data is not None:
            pdus += [*packer.data(data), *packer.end_data()]
        assert not pdus, "this caller takes no PDUs of 4 KiB"
        return self._connection.send_data(packer.take())

    async def _write(self, buffers: Sequence[Buffer]) -> None:
        await self._transport.send(buffers, seconds=_SECONDS)


def _response(request: Command, status: int, data_set_type: int = NO_DATA_SET) -> Command:
    return Command(
        field=request.field | _RESPONSE,
        affected_sop_class_uid=request.affected_sop_class_uid,
        affected_sop_instance_uid=request.affected_sop_instance_uid,
        responds_to=request.message_id,
        status=status,
        data_set_type=data_set_type,
    )


def _accept(request: AssociateRequest) -> AssociateAccept:
    return answer(
        request,
        accepted={
            context.id: Context(context.id, context.abstract_syntax, _chosen(context))
            for context in request.contexts
        },
        refused={},
        user=UserInformation(
            maximum_length=_MAXIMUM_LENGTH,
            implementation_class_uid=IMPLEMENTATION_CLASS_UID,
        ),
    )


def _chosen(context: ProposedContext) -> str:
    for syntax in (_EXPLICIT, _IMPLICIT):
        if syntax in context.transfer_syntaxes:
            return syntax
    return context.transfer_syntaxes[0]


async def _serve(stored: Counter, stream: trio.SocketStream) -> None:
    sock = socket.socket(fileno=stream.socket.detach())
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    transport = Transport(sock)
    try:
        with contextlib.suppress(OSError, trio.TooSlowError):
            await _Caller(transport, stored).run()
    finally:
        transport.close()


async def serve(port: int, counter: Path | None) -> None:
    """Serve until cancelled."""
    await trio.serve_tcp(
        functools.partial(_serve, Counter(counter)), port, host=_HOST, backlog=_BACKLOG
    )


def main(arguments: list[str]) -> None:
    """Serve until the process is ended."""
    port, *counter = arguments
    trio.run(serve, int(port), Path(counter[0]) if counter else None)


if __name__ == "__main__":
    main(sys.argv[1:])
