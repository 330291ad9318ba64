"""DIMSE requests of a caller, right or wrong, and the P-DATA-TF PDUs that carry them. PS3.7 9.3.

`store`, `find`, `get`, `move`, `echo` and `cancel` give command sets; keyword `change` replaces
elements by tag, and takes out those that are None. `message` frames a command set and a data
set properly, `p_data` frames values just as they are given.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping
from types import MappingProxyType

from tests.support.bad_caller.request import CT, FIND, GET, MOVE, VERIFICATION
from tests.support.bad_pacs import command
from tests.support.bad_pacs.command import DATA_SET, NO_DATA_SET, Field, Tag, Value
from tests.support.bad_pacs.pdu import Pdv, data_pdus

PDU_BYTES = 16382
Change = Mapping[int, Value | None]
_AS_IT_IS: Change = MappingProxyType({})


def echo(*, message_id: int = 1, change: Change = _AS_IT_IS) -> bytes:
    """C-ECHO-RQ. PS3.7 9.3.5.1."""
    elements: dict[int, Value | None] = {
        Tag.AFFECTED_SOP_CLASS: VERIFICATION,
        Tag.COMMAND_FIELD: Field.C_ECHO_RQ,
        Tag.MESSAGE_ID: message_id,
        Tag.DATA_SET_TYPE: NO_DATA_SET,
    }
    return _encoded(elements, change)


def store(
    sop_instance: str = "1.2.3.4", *, message_id: int = 1, change: Change = _AS_IT_IS
) -> bytes:
    """C-STORE-RQ of a CT image. PS3.7 9.3.1.1."""
    elements = _with_data_set(CT, Field.C_STORE_RQ, message_id)
    elements[Tag.AFFECTED_SOP_INSTANCE] = sop_instance
    return _encoded(elements, change)


def find(*, message_id: int = 1, change: Change = _AS_IT_IS) -> bytes:
    """C-FIND-RQ in the study root model. PS3.7 9.3.2.1."""
    return _encoded(_with_data_set(FIND, Field.C_FIND_RQ, message_id), change)


def get(*, message_id: int = 1, change: Change = _AS_IT_IS) -> bytes:
    """C-GET-RQ in the study root model. PS3.7 9.3.3.1."""
    return _encoded(_with_data_set(GET, Field.C_GET_RQ, message_id), change)


def move(destination: str, *, message_id: int = 1, change: Change = _AS_IT_IS) -> bytes:
    """C-MOVE-RQ in the study root model. PS3.7 9.3.4.1."""
    elements = _with_data_set(MOVE, Field.C_MOVE_RQ, message_id)
    elements[Tag.MOVE_DESTINATION] = destination
    return _encoded(elements, change)


def cancel(*, message_id: int = 1, change: Change = _AS_IT_IS) -> bytes:
    """C-CANCEL-RQ of that request. PS3.7 9.3.2.3."""
    elements: dict[int, Value | None] = {
        Tag.COMMAND_FIELD: Field.C_CANCEL_RQ,
        Tag.RESPONDED_TO: message_id,
        Tag.DATA_SET_TYPE: NO_DATA_SET,
    }
    return _encoded(elements, change)


def element(number: int, value: bytes, *, group: int = 0, length: int | None = None) -> bytes:
    """One element of a command set; `length` is what it claims, by default the truth."""
    claimed = len(value) if length is None else length
    return struct.pack("<HHI", group, number, claimed & 0xFFFFFFFF) + value


def command_set(*elements: bytes, length: int | None = None) -> bytes:
    """Elements behind a group length; `length` is what that says, by default the truth."""
    body = b"".join(elements)
    claimed = len(body) if length is None else length
    return element(0, struct.pack("<I", claimed & 0xFFFFFFFF)) + body


def message(
    context_id: int, command_bytes: bytes, data: bytes | None = None, *, max_length: int = PDU_BYTES
) -> bytes:
    """The PDUs of one message, cut and flagged as they should be."""
    parts = list(data_pdus(context_id, command_bytes, is_command=True, max_length=max_length))
    if data is not None:
        parts += data_pdus(context_id, data, is_command=False, max_length=max_length)
    return b"".join(parts)


def p_data(values: Iterable[Pdv], *, length: int | None = None) -> bytes:
    """One P-DATA-TF with these values; `length` is what its header claims."""
    return raw_p_data(b"".join(map(pdv, values)), length=length)


def raw_p_data(body: bytes, *, length: int | None = None) -> bytes:
    """One P-DATA-TF with any body."""
    return struct.pack(">BxI", 4, len(body) if length is None else length) + body


def pdv(value: Pdv, *, length: int | None = None) -> bytes:
    """One presentation data value; `length` is what it claims. PS3.8 9.3.5.1."""
    control = value.is_command | value.is_last << 1
    claimed = len(value.data) + 2 if length is None else length
    return struct.pack(">IBB", claimed & 0xFFFFFFFF, value.context_id, control) + value.data


def _with_data_set(sop_class: str, field: Field, message_id: int) -> dict[int, Value | None]:
    return {
        Tag.AFFECTED_SOP_CLASS: sop_class,
        Tag.COMMAND_FIELD: field,
        Tag.MESSAGE_ID: message_id,
        Tag.PRIORITY: 0,
        Tag.DATA_SET_TYPE: DATA_SET,
    }


def _encoded(elements: dict[int, Value | None], change: Change) -> bytes:
    changed = {**elements, **change}
    return command.encode({tag: value for tag, value in changed.items() if value is not None})
