"""Command sets: our codec against pynetdicom's, and against damage."""

from __future__ import annotations

import contextlib
from io import BytesIO

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.dataset import Dataset
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

commands = st.builds(
    Command,
    field=st.sampled_from(list(CommandField)).map(int),
    affected_sop_class_uid=UIDS,
    affected_sop_instance_uid=UIDS,
    message_id=US,
    responds_to=US,
    move_destination=AE,
    priority=US,
    data_set_type=st.integers(0, 0xFFFF),
    status=US,
    error_comment=st.none() | st.from_regex(r"[a-z]{1,64}", fullmatch=True),
    error_id=US,
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
    assert read.CommandGroupLength == len(encode(command)) - 12


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


def test_a_number_that_does_not_fit_is_not_written() -> None:
    with pytest.raises(ValueError, match="message_id"):
        encode(Command(field=0x0030, message_id=70000))
