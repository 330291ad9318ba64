"""An A-ASSOCIATE-RQ with every field free to choose. PS3.8 9.3.2 and annex D, PS3.7 annex D.

Texts are latin-1, so that a `str` can stand for any bytes.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass

from tests.support.bad_pacs.pdu import (
    APPLICATION_CONTEXT,
    IMPLEMENTATION_CLASS,
    PduType,
    ProposedContext,
    Role,
    pdu,
)

VERIFICATION = "1.2.840.10008.1.1"
CT = "1.2.840.10008.5.1.4.1.1.2"
FIND = "1.2.840.10008.5.1.4.1.2.2.1"  # study root
MOVE = "1.2.840.10008.5.1.4.1.2.2.2"
GET = "1.2.840.10008.5.1.4.1.2.2.3"
IMPLICIT = "1.2.840.10008.1.2"
EXPLICIT = "1.2.840.10008.1.2.1"

# What a caller of all five services proposes; the ids are used by name below.
ECHO_ID, STORE_ID, FIND_ID, MOVE_ID, GET_ID = 1, 3, 5, 7, 9
ALL_SERVICES = tuple(
    ProposedContext(id=number, abstract_syntax=uid, transfer_syntaxes=(EXPLICIT,))
    for number, uid in (
        (ECHO_ID, VERIFICATION),
        (STORE_ID, CT),
        (FIND_ID, FIND),
        (MOVE_ID, MOVE),
        (GET_ID, GET),
    )
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What an A-ASSOCIATE-RQ says. As it stands it is proper, and asks for all five services.

    Attributes:
        max_length, implementation_class, implementation_version: None leaves the item out.
        items: further items of the user information, encoded; see `item`.
        tail: bytes behind the last item, counted in the PDU's length.
    """

    version: int = 1
    called: str = "HARMONY"
    calling: str = "BAD_CALLER"
    application_context: str | None = APPLICATION_CONTEXT
    contexts: Sequence[ProposedContext] = ALL_SERVICES
    roles: Sequence[Role] = (Role(sop_class=CT, scu=True, scp=True),)
    max_length: int | None = 16382
    implementation_class: str | None = IMPLEMENTATION_CLASS
    implementation_version: str | None = "BAD_CALLER"
    items: bytes = b""
    tail: bytes = b""

    def encode(self) -> bytes:
        """The PDU, with a true length."""
        return pdu(PduType.ASSOCIATE_RQ, self.fixed() + self.variable() + self.tail)

    def fixed(self) -> bytes:
        """The 68 bytes before the first item."""
        return struct.pack(">Hxx16s16s32x", self.version, _title(self.called), _title(self.calling))

    def variable(self) -> bytes:
        """Application context, presentation contexts, user information."""
        found = b""
        if self.application_context is not None:
            found += item(0x10, self.application_context.encode("latin-1"))
        found += b"".join(map(context_item, self.contexts))
        return found + item(0x50, self.user_information())

    def user_information(self) -> bytes:
        """What is inside the user information item."""
        found = b""
        if self.max_length is not None:
            found += item(0x51, struct.pack(">I", self.max_length))
        if self.implementation_class is not None:
            found += item(0x52, self.implementation_class.encode("latin-1"))
        found += b"".join(map(role_item, self.roles))
        if self.implementation_version is not None:
            found += item(0x55, self.implementation_version.encode("latin-1"))
        return found + self.items


def item(kind: int, value: bytes, *, length: int | None = None) -> bytes:
    """An item or sub-item; `length` is what it claims, by default the truth."""
    return struct.pack(">BxH", kind, (len(value) if length is None else length) & 0xFFFF) + value


def context_item(context: ProposedContext) -> bytes:
    """A presentation context. PS3.8 9.3.2.2."""
    return item(
        0x20,
        struct.pack(">Bxxx", context.id)
        + item(0x30, context.abstract_syntax.encode("latin-1"))
        + b"".join(item(0x40, ts.encode("latin-1")) for ts in context.transfer_syntaxes),
    )


def role_item(role: Role) -> bytes:
    """An SCP/SCU role selection. PS3.7 D.3.3.4.1."""
    uid = role.sop_class.encode("latin-1")
    return item(0x54, struct.pack(">H", len(uid)) + uid + bytes([role.scu, role.scp]))


def _title(text: str) -> bytes:
    return text.encode("latin-1")[:16].ljust(16)
