"""PDUs of the upper layer, written and read by hand. PS3.8 9.3.

Just enough for the accepting side. It shares no code with what it tests.
"""

from __future__ import annotations

import enum
import struct
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

APPLICATION_CONTEXT = "1.2.840.10008.3.1.1.1"
IMPLEMENTATION_CLASS = "2.25.17355401612841275190442061543077015310"
IMPLEMENTATION_VERSION = "BAD_PACS"
HEADER_LENGTH = 6
_NO_LIMIT = 1 << 24


class ProtocolError(Exception):
    """The peer under test sent what the standard does not allow."""


class PduType(enum.IntEnum):
    """PS3.8 9.3.1."""

    ASSOCIATE_RQ = 1
    ASSOCIATE_AC = 2
    ASSOCIATE_RJ = 3
    P_DATA = 4
    RELEASE_RQ = 5
    RELEASE_RP = 6
    ABORT = 7


@dataclass(frozen=True, slots=True, kw_only=True)
class ProposedContext:
    """One presentation context of an A-ASSOCIATE-RQ. PS3.8 9.3.2.2."""

    id: int
    abstract_syntax: str
    transfer_syntaxes: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ContextAnswer:
    """Its answer; `result` 0 accepts. PS3.8 9.3.3.2."""

    id: int
    result: int
    abstract_syntax: str
    transfer_syntax: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Role:
    """SCP/SCU role selection. PS3.7 D.3.3.4."""

    sop_class: str
    scu: bool
    scp: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class AssociateRequest:
    """What an A-ASSOCIATE-RQ says; `max_length` 0 means no limit."""

    called_ae_title: str
    calling_ae_title: str
    contexts: tuple[ProposedContext, ...]
    roles: tuple[Role, ...]
    max_length: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Pdv:
    """A presentation data value. PS3.8 annex E."""

    context_id: int
    is_command: bool
    is_last: bool
    data: bytes


def pdu(kind: int, body: bytes) -> bytes:
    """One PDU with a true length."""
    return struct.pack(">BxI", kind, len(body)) + body


def associate_accept(
    request: AssociateRequest,
    answers: Iterable[ContextAnswer],
    *,
    roles: Iterable[Role] = (),
    max_length: int = 131072,
) -> bytes:
    """An A-ASSOCIATE-AC. PS3.8 9.3.3."""
    contexts = b"".join(
        _item(
            0x21,
            struct.pack(">BxBx", answer.id, answer.result)
            + _item(0x40, answer.transfer_syntax.encode()),
        )
        for answer in answers
    )
    user = (
        _item(0x51, struct.pack(">I", max_length))
        + _item(0x52, IMPLEMENTATION_CLASS.encode())
        + b"".join(
            _item(
                0x54,
                struct.pack(">H", len(role.sop_class))
                + role.sop_class.encode()
                + bytes([role.scu, role.scp]),
            )
            for role in roles
        )
        + _item(0x55, IMPLEMENTATION_VERSION.encode())
    )
    return pdu(
        PduType.ASSOCIATE_AC,
        struct.pack(
            ">Hxx16s16s32x",
            1,
            request.called_ae_title.ljust(16).encode(),
            request.calling_ae_title.ljust(16).encode(),
        )
        + _item(0x10, APPLICATION_CONTEXT.encode())
        + contexts
        + _item(0x50, user),
    )


def associate_reject(result: int, source: int, reason: int) -> bytes:
    """An A-ASSOCIATE-RJ. PS3.8 9.3.4."""
    return pdu(PduType.ASSOCIATE_RJ, bytes([0, result, source, reason]))


def release_request() -> bytes:
    """An A-RELEASE-RQ. PS3.8 9.3.6."""
    return pdu(PduType.RELEASE_RQ, bytes(4))


def release_reply() -> bytes:
    """An A-RELEASE-RP. PS3.8 9.3.7."""
    return pdu(PduType.RELEASE_RP, bytes(4))


def abort(source: int, reason: int) -> bytes:
    """An A-ABORT. PS3.8 9.3.8."""
    return pdu(PduType.ABORT, bytes([0, 0, source, reason]))


def data_pdus(
    context_id: int, data: bytes, *, is_command: bool, max_length: int
) -> Iterator[bytes]:
    """One message part as P-DATA-TF PDUs of at most `max_length` bytes. PS3.8 9.3.5."""
    step = (max_length or _NO_LIMIT) - HEADER_LENGTH
    for start in range(0, max(len(data), 1), step):
        part = data[start : start + step]
        control = is_command | (start + step >= len(data)) << 1
        yield (
            struct.pack(
                ">BxIIBB", PduType.P_DATA, len(part) + 6, len(part) + 2, context_id, control
            )
            + part
        )


def parse_associate_request(body: bytes) -> AssociateRequest:
    """Read the body of an A-ASSOCIATE-RQ. PS3.8 9.3.2."""
    if len(body) < 68:
        raise ProtocolError("A-ASSOCIATE-RQ is shorter than its fixed fields")
    version, called, calling = struct.unpack_from(">Hxx16s16s", body)
    if not version & 1:
        raise ProtocolError(f"protocol version {version:#06x} lacks bit 0")
    contexts: list[ProposedContext] = []
    roles: list[Role] = []
    max_length = 0
    for kind, value in _items(body[68:]):
        if kind == 0x10 and value.decode() != APPLICATION_CONTEXT:
            raise ProtocolError("application context is not DICOM's")
        if kind == 0x20:
            contexts.append(_context(value))
        elif kind == 0x50:
            for user_kind, user in _items(value):
                if user_kind == 0x51:
                    (max_length,) = struct.unpack(">I", user)
                elif user_kind == 0x54:
                    (length,) = struct.unpack_from(">H", user)
                    sop_class = user[2 : 2 + length].decode()
                    roles.append(Role(sop_class=sop_class, scu=bool(user[-2]), scp=bool(user[-1])))
    if not contexts:
        raise ProtocolError("A-ASSOCIATE-RQ proposes no presentation context")
    return AssociateRequest(
        called_ae_title=called.decode().strip(),
        calling_ae_title=calling.decode().strip(),
        contexts=tuple(contexts),
        roles=tuple(roles),
        max_length=max_length,
    )


def parse_data(body: bytes) -> Sequence[Pdv]:
    """Read the presentation data values of a P-DATA-TF. PS3.8 9.3.5.1."""
    found = []
    at = 0
    while at < len(body):
        if at + 6 > len(body):
            raise ProtocolError("P-DATA-TF ends inside the header of a value")
        length, context_id, control = struct.unpack_from(">IBB", body, at)
        end = at + 4 + length
        if length < 2 or end > len(body):
            raise ProtocolError(f"value of {length} bytes does not fit into its P-DATA-TF")
        found.append(
            Pdv(
                context_id=context_id,
                is_command=bool(control & 1),
                is_last=bool(control & 2),
                data=bytes(body[at + 6 : end]),
            )
        )
        at = end
    return found


def _context(value: bytes) -> ProposedContext:
    context_id = value[0]
    if context_id % 2 == 0:
        raise ProtocolError(f"presentation context id {context_id} is even")
    abstract_syntax, transfer_syntaxes = "", []
    for kind, text in _items(value[4:]):
        if kind == 0x30:
            abstract_syntax = text.decode()
        elif kind == 0x40:
            transfer_syntaxes.append(text.decode())
    if not abstract_syntax or not transfer_syntaxes:
        raise ProtocolError(f"presentation context {context_id} lacks a syntax")
    return ProposedContext(
        id=context_id, abstract_syntax=abstract_syntax, transfer_syntaxes=tuple(transfer_syntaxes)
    )


def _item(kind: int, value: bytes) -> bytes:
    return struct.pack(">BxH", kind, len(value)) + value


def _items(data: bytes) -> Iterator[tuple[int, bytes]]:
    at = 0
    while at < len(data):
        if at + 4 > len(data):
            raise ProtocolError("A-ASSOCIATE-RQ ends inside the header of an item")
        kind, length = struct.unpack_from(">BxH", data, at)
        at += 4 + length
        if at > len(data):
            raise ProtocolError(f"item {kind:#04x} is longer than what holds it")
        yield kind, data[at - length : at]
