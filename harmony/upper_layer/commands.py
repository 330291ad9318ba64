"""Command sets of DIMSE messages, from and to bytes.

A command set is group 0000 in Implicit VR Little Endian, whatever the presentation context
says (PS3.7 6.3.1). `decode` is tolerant of what it does not know and strict about what it
uses; `encode` writes just the elements that are set.
"""

from __future__ import annotations

import dataclasses
import enum
import operator
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
    N_EVENT_REPORT_RQ = 0x0100
    N_GET_RQ = 0x0110
    N_SET_RQ = 0x0120
    N_ACTION_RQ = 0x0130
    N_CREATE_RQ = 0x0140
    N_DELETE_RQ = 0x0150
    C_CANCEL_RQ = 0x0FFF
    C_STORE_RSP = 0x8001
    C_GET_RSP = 0x8010
    C_FIND_RSP = 0x8020
    C_MOVE_RSP = 0x8021
    C_ECHO_RSP = 0x8030
    N_EVENT_REPORT_RSP = 0x8100
    N_GET_RSP = 0x8110
    N_SET_RSP = 0x8120
    N_ACTION_RSP = 0x8130
    N_CREATE_RSP = 0x8140
    N_DELETE_RSP = 0x8150


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """One command set; None, or no tag, stands for an element that is absent.

    Which message has which elements: PS3.7 9.3 for the C-services, 10.3 for the N-services.
    An N-GET, N-SET, N-ACTION or N-DELETE request tells what it is about by the requested SOP
    class and instance; every other message, its response included, by the affected ones.

    Attributes:
        field: kept as a plain number when it is none of `CommandField`.
        event_type_id: of an N-EVENT-REPORT, in both directions.
        action_type_id: of an N-ACTION, in both directions.
        attributes: tags that an N-GET asks for; none asks for all (PS3.7 10.1.2).
    """

    field: int
    affected_sop_class_uid: str | None = None
    requested_sop_class_uid: str | None = None
    affected_sop_instance_uid: str | None = None
    requested_sop_instance_uid: str | None = None
    message_id: int | None = None
    responds_to: int | None = None
    move_destination: str | None = None
    priority: int | None = None
    data_set_type: int = NO_DATA_SET
    status: int | None = None
    offending_elements: tuple[int, ...] = ()
    error_comment: str | None = dataclasses.field(default=None, repr=False)  # free text of a peer
    error_id: int | None = None
    event_type_id: int | None = None
    attributes: tuple[int, ...] = ()
    action_type_id: int | None = None
    remaining: int | None = None
    completed: int | None = None
    failed: int | None = None
    warning: int | None = None
    move_originator_ae_title: str | None = None
    move_originator_message_id: int | None = None

    @property
    def has_data_set(self) -> bool:
        return self.data_set_type != NO_DATA_SET


# How a value is written. PS3.5 6.2; AE and LO are alike here.
_UI, _US, _TEXT, _AT = "UI", "US", "TEXT", "AT"
# PS3.7 table E.1-1, in the order in which they are written
_ELEMENTS: dict[int, tuple[str, str]] = {
    0x0002: ("affected_sop_class_uid", _UI),
    0x0003: ("requested_sop_class_uid", _UI),
    0x0100: ("field", _US),
    0x0110: ("message_id", _US),
    0x0120: ("responds_to", _US),
    0x0600: ("move_destination", _TEXT),
    0x0700: ("priority", _US),
    0x0800: ("data_set_type", _US),
    0x0900: ("status", _US),
    0x0901: ("offending_elements", _AT),
    0x0902: ("error_comment", _TEXT),
    0x0903: ("error_id", _US),
    0x1000: ("affected_sop_instance_uid", _UI),
    0x1001: ("requested_sop_instance_uid", _UI),
    0x1002: ("event_type_id", _US),
    0x1005: ("attributes", _AT),
    0x1008: ("action_type_id", _US),
    0x1020: ("remaining", _US),
    0x1021: ("completed", _US),
    0x1022: ("failed", _US),
    0x1023: ("warning", _US),
    0x1030: ("move_originator_ae_title", _TEXT),
    0x1031: ("move_originator_message_id", _US),
}
_HEADER = struct.Struct("<HHL")
_TAG = struct.Struct("<HH")
_GROUP_LENGTH = _HEADER.pack(0x0000, 0x0000, 4)
_WRITTEN = tuple(  # with the header of those that have a fixed length
    (element, name, vr, _HEADER.pack(0x0000, element, 2))
    for element, (name, vr) in _ELEMENTS.items()
)
_values = operator.attrgetter(*(name for name, _ in _ELEMENTS.values()))


def encode(command: Command) -> bytes:
    """Write a command set, its group length first.

    Raises:
        ValueError: a text is not ASCII, or a number does not fit.
    """
    body = b""
    for entry, value in zip(_WRITTEN, _values(command), strict=True):
        if value is None or value == ():
            continue
        element, name, vr, header = entry
        try:
            if vr is _US:
                body += header + value.to_bytes(2, "little")
                continue
            written = _tags(value) if vr is _AT else value.encode("ascii")
        except OverflowError as exc:
            raise ValueError(f"{name} does not fit: {value}") from exc
        if len(written) % 2:
            written += b"\0" if vr is _UI else b" "
        body += _HEADER.pack(0x0000, element, len(written)) + written
    return _GROUP_LENGTH + len(body).to_bytes(4, "little") + body


def decode(data: bytes) -> Command:
    """Read a command set. Unknown elements are passed over, in a response those of any group.

    Raises:
        CommandError: the bytes are cut short, of another group, or lack the command field.
    """
    size = len(data)
    if size > MAX_COMMAND_BYTES:
        raise CommandError(f"command set of {size} bytes, at most {MAX_COMMAND_BYTES}")
    found: dict[str, int | str | tuple[int, ...]] = {}
    offset = 0
    while offset < size:
        start = offset + 8
        if start > size:
            raise CommandError("command set ends inside an element header")
        group, element, length = _HEADER.unpack_from(data, offset)
        offset = start + length
        # Orthanc puts its Failed SOP Instance UID List (0008,0058) behind the status.
        if group != 0x0000 and "status" not in found:
            raise CommandError(f"element of group {group:04X} in a command set")
        if offset > size:
            raise CommandError(f"element ({group:04X},{element:04X}) is cut short")
        if length and group == 0x0000 and element in _ELEMENTS:
            name, vr = _ELEMENTS[element]
            if vr is _US:
                if length == 1:
                    raise CommandError(f"element (0000,{element:04X}) is no number")
                found[name] = data[start] | data[start + 1] << 8  # VM is 1; some peers repeat it
            elif vr is _AT:
                found[name] = _read_tags(data[start:offset])
            else:
                # The default repertoire; what peers put in comments is shown escaped later.
                found[name] = data[start:offset].decode("latin-1").strip(" \0")
    if "field" not in found:
        raise CommandError("command set without a command field (0000,0100)")
    return Command(**found)  # type: ignore[arg-type]  # names and types come from _ELEMENTS


def _tags(tags: tuple[int, ...]) -> bytes:
    return b"".join(
        (tag >> 16).to_bytes(2, "little") + (tag & 0xFFFF).to_bytes(2, "little") for tag in tags
    )


def _read_tags(data: bytes) -> tuple[int, ...]:
    whole = data[: len(data) // 4 * 4]
    return tuple(group << 16 | element for group, element in _TAG.iter_unpack(whole))
