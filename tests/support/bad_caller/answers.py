"""What an acceptor answers, read strictly: anything the standard does not allow is an error."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from tests.support.bad_pacs import command
from tests.support.bad_pacs.command import NO_DATA_SET, Tag
from tests.support.bad_pacs.pdu import PduType, Pdv, ProtocolError, parse_data

# Result, then source -> reasons. PS3.8 9.3.4.
_REJECT_REASONS = {1: {1, 2, 3, 7}, 2: {1, 2}, 3: {1, 2}}
# Source -> reasons. PS3.8 9.3.8: for the service-user the reason is not significant.
_ABORT_REASONS = {0: range(256), 2: (0, 1, 2, 4, 5, 6)}


@dataclass(frozen=True, slots=True)
class Accepted:
    """A-ASSOCIATE-AC.

    Attributes:
        results: result by presentation context; 0 accepts.
        roles: SOP class -> (SCU, SCP), for each role selection that was answered.
    """

    results: Mapping[int, int] = field(default_factory=dict)
    max_length: int = 0
    roles: Mapping[str, tuple[bool, bool]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Rejected:
    """A-ASSOCIATE-RJ."""

    result: int
    source: int
    reason: int


@dataclass(frozen=True, slots=True)
class Data:
    """P-DATA-TF."""

    values: Sequence[Pdv]


@dataclass(frozen=True, slots=True)
class ReleaseAsked:
    """A-RELEASE-RQ."""


@dataclass(frozen=True, slots=True)
class Released:
    """A-RELEASE-RP."""


@dataclass(frozen=True, slots=True)
class Aborted:
    """A-ABORT."""

    source: int
    reason: int


@dataclass(frozen=True, slots=True)
class Closed:
    """The connection is over: by FIN, or by RST."""

    reset: bool = False


Answer: TypeAlias = Accepted | Rejected | Data | ReleaseAsked | Released | Aborted | Closed


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One DIMSE message of the acceptor: a response, or the C-STORE-RQ of a C-GET.

    Attributes:
        status: None for a request.
    """

    context_id: int
    field: int
    message_id: int
    status: int | None
    elements: Mapping[int, bytes]
    data: bytes | None

    @property
    def is_failure(self) -> bool:
        """Whether its status is of no other class. PS3.7 annex C."""
        status = self.status
        return status is not None and not (
            status in (0x0000, 0x0001, 0x0107, 0x0116, 0xFE00, 0xFF00, 0xFF01)
            or status & 0xF000 == 0xB000
        )


def parse(kind: int, body: bytes) -> Answer:
    """Read one PDU.

    Raises:
        ProtocolError: an acceptor may not send that.
    """
    if kind == PduType.ASSOCIATE_AC:
        return _accepted(body)
    if kind == PduType.P_DATA:
        if not (values := parse_data(body)):
            raise ProtocolError("P-DATA-TF without a value")
        return Data(values)
    if kind not in (
        PduType.ASSOCIATE_RJ,
        PduType.RELEASE_RQ,
        PduType.RELEASE_RP,
        PduType.ABORT,
    ):
        raise ProtocolError(f"an acceptor sent a PDU of type {kind:#04x}")
    if len(body) != 4:
        raise ProtocolError(f"PDU of type {kind:#04x} with {len(body)} bytes")
    if kind == PduType.ASSOCIATE_RJ:
        result, source, reason = body[1:]
        if result not in (1, 2) or reason not in _REJECT_REASONS.get(source, ()):
            raise ProtocolError(f"A-ASSOCIATE-RJ {result}/{source}/{reason}")
        return Rejected(result, source, reason)
    if kind == PduType.ABORT:
        source, reason = body[2:]
        if reason not in _ABORT_REASONS.get(source, ()):
            raise ProtocolError(f"A-ABORT {source}/{reason}")
        return Aborted(source, reason)
    return ReleaseAsked() if kind == PduType.RELEASE_RQ else Released()


class Assembler:
    """Makes messages of presentation data values. PS3.7 annex F."""

    def __init__(self) -> None:
        self._context_id: int | None = None
        self._command, self._data = bytearray(), bytearray()
        self._elements: Mapping[int, bytes] | None = None

    def feed(self, values: Iterable[Pdv]) -> list[Message]:
        """Take the values of a PDU; gives the messages that are whole now.

        Raises:
            ProtocolError: the values are in an order that the standard does not allow.
        """
        found = []
        for value in values:
            if self._context_id not in (None, value.context_id):
                raise ProtocolError("a message goes on in another context")
            self._context_id = value.context_id
            if value.is_command is not (self._elements is None):
                raise ProtocolError("command and data set in the wrong order")
            (self._command if value.is_command else self._data).extend(value.data)
            if not value.is_last:
                continue
            if self._elements is None:
                self._elements = command.decode(bytes(self._command))
                if command.number(self._elements, Tag.DATA_SET_TYPE) != NO_DATA_SET:
                    continue
                found.append(self._whole(self._elements, None))
            else:
                found.append(self._whole(self._elements, bytes(self._data)))
        return found

    def _whole(self, elements: Mapping[int, bytes], data: bytes | None) -> Message:
        kind = command.number(elements, Tag.COMMAND_FIELD)
        is_response = bool(kind & 0x8000)
        made = Message(
            context_id=self._context_id or 0,
            field=kind,
            message_id=command.number(
                elements, Tag.RESPONDED_TO if is_response else Tag.MESSAGE_ID
            ),
            status=command.number(elements, Tag.STATUS) if is_response else None,
            elements=elements,
            data=data,
        )
        self._context_id, self._elements = None, None
        self._command, self._data = bytearray(), bytearray()
        return made


def messages(answers: Iterable[Answer]) -> list[Message]:
    """All whole messages of a conversation."""
    assembler = Assembler()
    found = []
    for answer in answers:
        if isinstance(answer, Data):
            found += assembler.feed(answer.values)
    return found


def _accepted(body: bytes) -> Accepted:
    if len(body) < 68:
        raise ProtocolError("A-ASSOCIATE-AC is shorter than its fixed fields")
    results: dict[int, int] = {}
    roles: dict[str, tuple[bool, bool]] = {}
    max_length = 0
    for kind, value in _items(body[68:]):
        if kind == 0x21:
            results[value[0]] = value[2]
        elif kind == 0x50:
            for user_kind, user in _items(value):
                if user_kind == 0x51:
                    (max_length,) = struct.unpack(">I", user)
                elif user_kind == 0x54:
                    roles[user[2:-2].decode("ascii")] = (bool(user[-2]), bool(user[-1]))
    return Accepted(results, max_length, roles)


def _items(data: bytes) -> list[tuple[int, bytes]]:
    found = []
    at = 0
    while at < len(data):
        if at + 4 > len(data):
            raise ProtocolError("A-ASSOCIATE-AC ends inside the header of an item")
        kind, length = struct.unpack_from(">BxH", data, at)
        at += 4 + length
        if at > len(data):
            raise ProtocolError(f"item {kind:#04x} is longer than what holds it")
        found.append((kind, data[at - length : at]))
    return found
