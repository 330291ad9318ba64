"""DIMSE command sets, written and read by hand. PS3.7 6.3 and annex E.

A command set is Implicit VR Little Endian whatever the association negotiated, and begins
with its group length.
"""

from __future__ import annotations

import enum
import struct
from collections.abc import Mapping
from typing import TypeAlias

from tests.support.bad_pacs.pdu import ProtocolError

NO_DATA_SET = 0x0101
DATA_SET = 0x0001  # anything but 0101


class Field(enum.IntEnum):
    """Command Field (0000,0100). PS3.7 E.1-1."""

    C_STORE_RQ = 0x0001
    C_STORE_RSP = 0x8001
    C_GET_RQ = 0x0010
    C_GET_RSP = 0x8010
    C_FIND_RQ = 0x0020
    C_FIND_RSP = 0x8020
    C_MOVE_RQ = 0x0021
    C_MOVE_RSP = 0x8021
    C_ECHO_RQ = 0x0030
    C_ECHO_RSP = 0x8030
    C_CANCEL_RQ = 0x0FFF


class Tag(enum.IntEnum):
    """Elements of group 0000. PS3.7 E.1-1."""

    GROUP_LENGTH = 0x0000
    AFFECTED_SOP_CLASS = 0x0002
    COMMAND_FIELD = 0x0100
    MESSAGE_ID = 0x0110
    RESPONDED_TO = 0x0120
    MOVE_DESTINATION = 0x0600
    PRIORITY = 0x0700
    DATA_SET_TYPE = 0x0800
    STATUS = 0x0900
    OFFENDING_ELEMENT = 0x0901
    ERROR_COMMENT = 0x0902
    AFFECTED_SOP_INSTANCE = 0x1000
    REMAINING = 0x1020
    COMPLETED = 0x1021
    FAILED = 0x1022
    WARNING = 0x1023


_UIDS = frozenset({Tag.AFFECTED_SOP_CLASS, Tag.AFFECTED_SOP_INSTANCE})

Value: TypeAlias = int | str | tuple[int, ...]


def encode(elements: Mapping[int, Value]) -> bytes:
    """Write a command set: integers as US, tuples as AT, text padded as its tag wants it."""
    body = b"".join(_element(tag, elements[tag]) for tag in sorted(elements))
    return struct.pack("<HHII", 0, Tag.GROUP_LENGTH, 4, len(body)) + body


def decode(data: bytes) -> Mapping[int, bytes]:
    """Read a command set; the values stay bytes."""
    found: dict[int, bytes] = {}
    at = 0
    while at < len(data):
        if at + 8 > len(data):
            raise ProtocolError("command set ends inside the header of an element")
        group, tag, length = struct.unpack_from("<HHI", data, at)
        at += 8 + length
        if group != 0 or at > len(data):
            raise ProtocolError(f"command set holds a bad element ({group:04x},{tag:04x})")
        found[tag] = data[at - length : at]
    declared = found.pop(Tag.GROUP_LENGTH, b"")
    if len(declared) != 4 or int.from_bytes(declared, "little") != len(data) - 12:
        raise ProtocolError("command set begins without its true group length")
    return found


def number(elements: Mapping[int, bytes], tag: Tag) -> int:
    """A US that must be there."""
    value = elements.get(tag, b"")
    if len(value) != 2:
        raise ProtocolError(f"command set lacks (0000,{tag:04x})")
    return int.from_bytes(value, "little")


def text(elements: Mapping[int, bytes], tag: Tag) -> str:
    """A text without its padding; empty if absent."""
    return elements.get(tag, b"").decode("ascii", "replace").strip("\0 ")


def _element(tag: int, value: Value) -> bytes:
    if isinstance(value, int):
        data = struct.pack("<H", value)
    elif isinstance(value, str):
        data = value.encode("ascii")
        data += (b"\0" if tag in _UIDS else b" ") * (len(data) % 2)
    else:
        data = b"".join(struct.pack("<HH", part >> 16, part & 0xFFFF) for part in value)
    return struct.pack("<HHI", 0, tag, len(data)) + data
