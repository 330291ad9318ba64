"""Command sets of DIMSE messages, from and to bytes.

A command set is group 0000 in Implicit VR Little Endian, whatever the presentation context
says (PS3.7 6.3.1). `decode` is tolerant of what it does not know and strict about what it
uses; `encode` writes just the elements that are set.
"""

from __future__ import annotations

import dataclasses
import enum
import struct
from dataclasses import dataclass

MAX_COMMAND_BYTES = 16 * 1024
NO_DATA_SET = 0x0101  # (0000,0800), PS3.7 E.1; any other value says that a data set follows
DATA_SET_PRESENT = 0x0001
PRIORITY_MEDIUM = 0x0000


class CommandError(ValueError):
    """These bytes are not a command set that PS3.7 knows."""


class CommandField(enum.IntEnum):
    """(0000,0100), PS3.7 E.1. Responses have the top bit set."""

    C_STORE_RQ = 0x0001
    C_GET_RQ = 0x0010
    C_FIND_RQ = 0x0020
    C_MOVE_RQ = 0x0021
    C_ECHO_RQ = 0x0030
    C_CANCEL_RQ = 0x0FFF
    C_STORE_RSP = 0x8001
    C_GET_RSP = 0x8010
    C_FIND_RSP = 0x8020
    C_MOVE_RSP = 0x8021
    C_ECHO_RSP = 0x8030


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """One command set; None stands for an element that is absent.

    Attributes:
        field: kept as a plain number when it is none of `CommandField`.
    """

    field: int
    affected_sop_class_uid: str | None = None
    affected_sop_instance_uid: str | None = None
    message_id: int | None = None
    responds_to: int | None = None
    move_destination: str | None = None
    priority: int | None = None
    data_set_type: int = NO_DATA_SET
    status: int | None = None
    offending_elements: tuple[int, ...] = ()
    error_comment: str | None = dataclasses.field(default=None, repr=False)  # free text of a peer
    error_id: int | None = None
    remaining: int | None = None
    completed: int | None = None
    failed: int | None = None
    warning: int | None = None
    move_originator_ae_title: str | None = None
    move_originator_message_id: int | None = None

    @property
    def has_data_set(self) -> bool:
        return self.data_set_type != NO_DATA_SET


_UI, _US, _AE, _LO = "UI", "US", "AE", "LO"
# PS3.7 table E.1-1, the elements of the DIMSE-C services
_ELEMENTS: dict[int, tuple[str, str]] = {
    0x0002: ("affected_sop_class_uid", _UI),
    0x0100: ("field", _US),
    0x0110: ("message_id", _US),
    0x0120: ("responds_to", _US),
    0x0600: ("move_destination", _AE),
    0x0700: ("priority", _US),
    0x0800: ("data_set_type", _US),
    0x0900: ("status", _US),
    0x0902: ("error_comment", _LO),
    0x0903: ("error_id", _US),
    0x1000: ("affected_sop_instance_uid", _UI),
    0x1020: ("remaining", _US),
    0x1021: ("completed", _US),
    0x1022: ("failed", _US),
    0x1023: ("warning", _US),
    0x1030: ("move_originator_ae_title", _AE),
    0x1031: ("move_originator_message_id", _US),
}
_OFFENDING_ELEMENT = 0x0901
_HEADER = struct.Struct("<HHL")
_US_VALUE = struct.Struct("<H")
_UL_VALUE = struct.Struct("<L")


def encode(command: Command) -> bytes:
    """Write a command set, its group length first.

    Raises:
        ValueError: a text is not ASCII, or a number does not fit.
    """
    body = bytearray()
    for element, (name, vr) in _ELEMENTS.items():
        value = getattr(command, name)
        if value is None:
            continue
        if vr is _US:
            try:
                encoded = _US_VALUE.pack(value)
            except struct.error as exc:
                raise ValueError(f"{name} does not fit: {value}") from exc
        else:
            encoded = str(value).encode("ascii")
            if len(encoded) % 2:
                encoded += b"\0" if vr is _UI else b" "
        body += _HEADER.pack(0x0000, element, len(encoded)) + encoded
    return _HEADER.pack(0x0000, 0x0000, 4) + _UL_VALUE.pack(len(body)) + bytes(body)


def decode(data: bytes) -> Command:
    """Read a command set. Unknown elements are passed over.

    Raises:
        CommandError: the bytes are cut short, of another group, or lack the command field.
    """
    if len(data) > MAX_COMMAND_BYTES:
        raise CommandError(f"command set of {len(data)} bytes, at most {MAX_COMMAND_BYTES}")
    found: dict[str, int | str | tuple[int, ...]] = {}
    offset = 0
    while offset < len(data):
        if len(data) - offset < _HEADER.size:
            raise CommandError("command set ends inside an element header")
        group, element, length = _HEADER.unpack_from(data, offset)
        offset += _HEADER.size
        if group != 0x0000:
            raise CommandError(f"element of group {group:04X} in a command set")
        if length > len(data) - offset:
            raise CommandError(f"element (0000,{element:04X}) is cut short")
        value = data[offset : offset + length]
        offset += length
        if element == _OFFENDING_ELEMENT:
            found["offending_elements"] = tuple(
                (g << 16) | e for g, e in struct.iter_unpack("<HH", value[: len(value) // 4 * 4])
            )
        elif element in _ELEMENTS and value:
            name, vr = _ELEMENTS[element]
            found[name] = _number(element, value) if vr is _US else _text(value)
    if "field" not in found:
        raise CommandError("command set without a command field (0000,0100)")
    return Command(**found)  # type: ignore[arg-type]  # names and types come from _ELEMENTS


def _number(element: int, value: bytes) -> int:
    if len(value) < _US_VALUE.size:
        raise CommandError(f"element (0000,{element:04X}) is no number")
    number: int = _US_VALUE.unpack_from(value)[0]  # VM is 1; some peers repeat it
    return number


def _text(value: bytes) -> str:
    # The repertoire is the default one; what peers put in comments is shown escaped later.
    return value.decode("latin-1").strip(" \0")
