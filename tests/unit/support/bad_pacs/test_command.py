from __future__ import annotations

from io import BytesIO

import pytest
from pydicom.uid import UID
from pynetdicom.dimse_messages import C_FIND_RSP
from pynetdicom.dimse_primitives import C_FIND
from pynetdicom.dsutils import decode, encode

from tests.support.bad_pacs import command
from tests.support.bad_pacs.command import Field, Tag
from tests.support.bad_pacs.pdu import ProtocolError

FIND = "1.2.840.10008.5.1.4.1.2.2.1"


def test_command_set_is_read_by_pydicom():
    data = command.encode(
        {
            Tag.STATUS: 0xA900,
            Tag.AFFECTED_SOP_CLASS: FIND,
            Tag.COMMAND_FIELD: Field.C_FIND_RSP,
            Tag.RESPONDED_TO: 7,
            Tag.DATA_SET_TYPE: command.NO_DATA_SET,
            Tag.ERROR_COMMENT: "odd",
            Tag.OFFENDING_ELEMENT: (0x00100020, 0x0020000D),
        }
    )
    read = decode(BytesIO(data), True, True)
    assert read.CommandGroupLength == len(data) - 12
    assert read.Status == 0xA900
    assert read.AffectedSOPClassUID == UID(FIND)
    assert read.ErrorComment == "odd"
    assert list(read.OffendingElement) == [0x00100020, 0x0020000D]
    assert len(data) % 2 == 0


def test_command_set_of_pynetdicom_is_read():
    primitive = C_FIND()
    primitive.MessageIDBeingRespondedTo = 9
    primitive.AffectedSOPClassUID = FIND
    primitive.Status = 0x0000
    message = C_FIND_RSP()
    message.primitive_to_message(primitive)
    read = command.decode(encode(message.command_set, True, True) or b"")
    assert command.number(read, Tag.RESPONDED_TO) == 9
    assert command.number(read, Tag.COMMAND_FIELD) == Field.C_FIND_RSP
    assert command.text(read, Tag.AFFECTED_SOP_CLASS) == FIND
    assert command.text(read, Tag.ERROR_COMMENT) == ""


def test_counters_have_the_tags_pynetdicom_knows():
    data = command.encode({Tag.REMAINING: 1, Tag.COMPLETED: 2, Tag.FAILED: 3, Tag.WARNING: 4})
    read = decode(BytesIO(data), True, True)
    assert {
        keyword: read[keyword].value for keyword in read.dir() if "Suboperations" in keyword
    } == {
        "NumberOfRemainingSuboperations": 1,
        "NumberOfCompletedSuboperations": 2,
        "NumberOfFailedSuboperations": 3,
        "NumberOfWarningSuboperations": 4,
    }


@pytest.mark.parametrize(
    "data",
    [
        b"",
        command.encode({Tag.STATUS: 0})[:-1],
        command.encode({Tag.STATUS: 0})[12:],
        b"\0\0\0\0\4\0\0\0\x63\0\0\0" + command.encode({Tag.STATUS: 0})[12:],
        b"\x08\0" + command.encode({Tag.STATUS: 0})[2:],
    ],
)
def test_broken_command_set_is_told(data):
    with pytest.raises(ProtocolError):
        command.decode(data)


def test_missing_number_is_told():
    with pytest.raises(ProtocolError, match="0000,0110"):
        command.number(command.decode(command.encode({Tag.STATUS: 0})), Tag.MESSAGE_ID)
