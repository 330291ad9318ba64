"""Command sets: our codec against pynetdicom's, and against damage."""

from __future__ import annotations

import contextlib
from io import BytesIO
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.dataset import Dataset
from pydicom.multival import MultiValue
from pynetdicom.dsutils import decode as reference_decode
from pynetdicom.dsutils import encode as reference_encode

from harmony.upper_layer.commands import (
    DATA_SET_PRESENT,
    Command,
    CommandError,
    CommandField,
    decode,
    encode,
)

US = st.none() | st.integers(0, 0xFFFF)
UIDS = st.none() | st.from_regex(r"[1-2]\.[1-9][0-9]{0,20}", fullmatch=True)
AE = st.none() | st.from_regex(r"[A-Z]{1,16}", fullmatch=True)
GROUP_LENGTH_BYTES = 12  # pynetdicom adds it elsewhere
TAGS = st.lists(st.integers(0, 0xFFFFFFFF), max_size=4).map(tuple)

commands = st.builds(
    Command,
    field=st.sampled_from(list(CommandField)).map(int),
    affected_sop_class_uid=UIDS,
    requested_sop_class_uid=UIDS,
    affected_sop_instance_uid=UIDS,
    requested_sop_instance_uid=UIDS,
    message_id=US,
    responds_to=US,
    move_destination=AE,
    priority=US,
    data_set_type=st.integers(0, 0xFFFF),
    status=US,
    offending_elements=TAGS,
    error_comment=st.none() | st.from_regex(r"[a-z]{1,64}", fullmatch=True),
    error_id=US,
    event_type_id=US,
    attributes=TAGS,
    action_type_id=US,
    remaining=US,
    completed=US,
    failed=US,
    warning=US,
    move_originator_ae_title=AE,
    move_originator_message_id=US,
)


@given(commands)
def test_what_is_written_reads_back(command: Command) -> None:
    assert decode(encode(command)) == command


@given(commands)
def test_pynetdicom_reads_the_same_from_our_bytes(command: Command) -> None:
    read = reference_decode(BytesIO(encode(command)), True, True)
    assert read.CommandField == command.field
    assert read.get("MessageID") == command.message_id
    assert read.get("Status") == command.status
    assert read.get("AffectedSOPInstanceUID") == command.affected_sop_instance_uid
    assert read.get("MoveDestination") == command.move_destination
    assert read.get("NumberOfCompletedSuboperations") == command.completed
    assert read.get("RequestedSOPInstanceUID") == command.requested_sop_instance_uid
    assert read.get("EventTypeID") == command.event_type_id
    assert read.get("ActionTypeID") == command.action_type_id
    assert _tags(read.get("AttributeIdentifierList")) == command.attributes
    assert _tags(read.get("OffendingElement")) == command.offending_elements
    assert read.CommandGroupLength == len(encode(command)) - GROUP_LENGTH_BYTES


def _tags(value: Any) -> tuple[int, ...]:
    """An AT element as pydicom gives it: nothing, one tag, or several."""
    if value is None:
        return ()
    return tuple(map(int, value)) if isinstance(value, MultiValue) else (int(value),)


INSTANCE = {
    "RequestedSOPClassUID": "1.2.840.10008.5.1.1.1",
    "RequestedSOPInstanceUID": "1.2.3",
}
AFFECTED = {"AffectedSOPClassUID": "1.2.840.10008.5.1.1.1", "AffectedSOPInstanceUID": "1.2.3"}
ABOUT = {"requested_sop_class_uid": "1.2.840.10008.5.1.1.1", "requested_sop_instance_uid": "1.2.3"}
DONE = {"affected_sop_class_uid": "1.2.840.10008.5.1.1.1", "affected_sop_instance_uid": "1.2.3"}


@pytest.mark.parametrize(
    ("field", "elements", "expected"),
    [
        (
            CommandField.N_EVENT_REPORT_RQ,
            {**AFFECTED, "EventTypeID": 2},
            {**DONE, "event_type_id": 2},
        ),
        (CommandField.N_EVENT_REPORT_RSP, {"EventTypeID": 2}, {"event_type_id": 2}),
        (
            CommandField.N_GET_RQ,
            {**INSTANCE, "AttributeIdentifierList": [0x00100010, 0x7FE00010]},
            {**ABOUT, "attributes": (0x00100010, 0x7FE00010)},
        ),
        (CommandField.N_GET_RSP, AFFECTED, DONE),
        (CommandField.N_SET_RQ, INSTANCE, ABOUT),
        (CommandField.N_SET_RSP, AFFECTED, DONE),
        (CommandField.N_ACTION_RQ, {**INSTANCE, "ActionTypeID": 1}, {**ABOUT, "action_type_id": 1}),
        (CommandField.N_ACTION_RSP, {**AFFECTED, "ActionTypeID": 1}, {**DONE, "action_type_id": 1}),
        (CommandField.N_CREATE_RQ, AFFECTED, DONE),
        (CommandField.N_CREATE_RSP, AFFECTED, DONE),
        (CommandField.N_DELETE_RQ, INSTANCE, ABOUT),
        (CommandField.N_DELETE_RSP, AFFECTED, DONE),
    ],
    ids=lambda value: value.name if isinstance(value, CommandField) else "",
)
def test_the_n_services_are_written_as_pynetdicom_writes_them(
    field: CommandField, elements: dict[str, object], expected: dict[str, Any]
) -> None:
    is_response = field >= 0x8000
    ds = Dataset()
    ds.CommandField = int(field)
    ds.CommandDataSetType = 0x0101
    setattr(ds, "MessageIDBeingRespondedTo" if is_response else "MessageID", 7)
    if is_response:
        ds.Status = 0x0000
    for keyword, value in elements.items():
        setattr(ds, keyword, value)
    ours = Command(
        field=field,
        message_id=None if is_response else 7,
        responds_to=7 if is_response else None,
        status=0x0000 if is_response else None,
        **expected,
    )
    encoded = reference_encode(ds, True, True)
    assert encoded is not None
    assert encode(ours)[GROUP_LENGTH_BYTES:] == encoded
    assert decode(encoded) == ours


def test_a_response_as_pynetdicom_writes_it_is_read_whole() -> None:
    ds = Dataset()
    ds.AffectedSOPClassUID = "1.2.840.10008.5.1.4.1.2.2.1"
    ds.CommandField = 0x8020
    ds.MessageIDBeingRespondedTo = 7
    ds.CommandDataSetType = 0x0101
    ds.Status = 0xA900
    ds.OffendingElement = [0x00100010, 0x00100020]
    ds.ErrorComment = "odd key"
    encoded = reference_encode(ds, True, True)
    assert encoded is not None
    assert decode(encoded) == Command(
        field=CommandField.C_FIND_RSP,
        affected_sop_class_uid="1.2.840.10008.5.1.4.1.2.2.1",
        responds_to=7,
        status=0xA900,
        offending_elements=(0x00100010, 0x00100020),
        error_comment="odd key",
    )


def test_data_set_type_says_whether_a_data_set_follows() -> None:
    assert not Command(field=0x8020).has_data_set
    assert Command(field=0x8020, data_set_type=DATA_SET_PRESENT).has_data_set
    assert Command(field=0x8020, data_set_type=0x0000).has_data_set


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\0",
        encode(Command(field=0x0030))[:-1],
        b"\x08\0\x05\0\x02\0\0\0AB",
        b"\0\0\x10\x01\x02\0\0\0\x01\0",
        b"\0\0\0\x01\x01\0\0\0\x30",
        b"\0\0\0\x01\xff\xff\xff\xff",
        b"\0" * (16 * 1024 + 1),
    ],
    ids=["empty", "one byte", "cut", "other group", "no field", "short", "long", "huge"],
)
def test_damaged_command_sets_are_refused(data: bytes) -> None:
    with pytest.raises(CommandError):
        decode(data)


@given(st.binary(max_size=300))
def test_any_bytes_give_a_command_or_a_command_error(data: bytes) -> None:
    with contextlib.suppress(CommandError):
        decode(data)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("message_id", 70000),
        ("status", -1),
        ("attributes", (1 << 32,)),
        ("offending_elements", (-1,)),
    ],
)
def test_a_number_that_does_not_fit_is_not_written(name: str, value: Any) -> None:
    with pytest.raises(ValueError, match=name):
        encode(Command(field=0x0030, **{name: value}))


def test_a_text_beyond_ascii_is_not_written() -> None:
    with pytest.raises(ValueError, match="ascii"):
        encode(Command(field=0x0030, move_destination="MÜLLER"))


def test_a_tag_list_that_is_cut_keeps_its_whole_tags() -> None:
    offending = b"\0\0\1\x09\6\0\0\0\x10\0\x20\0\x10\0"
    assert decode(offending + encode(Command(field=0x8020))).offending_elements == (0x00100020,)
