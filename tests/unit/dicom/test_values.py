"""Encoded values as text."""

from __future__ import annotations

import pytest

from harmony.dicom.charsets import UNDECLARED, decoder_for
from harmony.dicom.values import texts_of

PATIENT_NAME, ROWS, PRIVATE, INSTANCE_UID = 0x00100010, 0x00280010, 0x00091001, 0x00080018


@pytest.mark.parametrize(
    ("tag", "vr", "raw", "order", "expected"),
    [
        (0x00080060, "CS", b"CT", "<", ("CT",)),
        (0x00080061, "CS", b" CT\\MR \\ ", "<", ("CT", "MR", "")),
        (INSTANCE_UID, "UI", b"1.2.3\0", "<", ("1.2.3",)),
        (0x00200013, "IS", b" 7 ", "<", ("7",)),
        (0x00204000, "LT", b" a\\b ", "<", (" a\\b",)),
        (0x00080060, "CS", b"", "<", ()),
        (0x00080060, "CS", b"  ", "<", ()),
        (ROWS, "US", b"\x00\x02", "<", ("512",)),
        (ROWS, "US", b"\x02\x00", ">", ("512",)),
        (ROWS, "US", b"\x01\x00\x02\x00", "<", ("1", "2")),
        (ROWS, "US", b"", "<", ()),
        (ROWS, "US", b"\x01\x00\x02", "<", None),
        (0x00280106, "US or SS", b"\xff\xff", "<", ("65535",)),
        (0x00280106, "SS", b"\xff\xff", "<", ("-1",)),
        (0x00180088, "FD", bytes(8), "<", None),
        (0x7FE00010, "OW", b"CT", "<", None),
        (0x00209165, "AT", bytes(4), "<", None),
        # UN hides what the dictionary knows, and is little endian whatever is around it.
        (0x00080060, "UN", b"CT", "<", ("CT",)),
        (ROWS, "UN", b"\x00\x02", ">", ("512",)),
        (PRIVATE, "UN", b"CT", "<", None),
    ],
)
def test_a_value_as_text(tag, vr, raw, order, expected):
    assert texts_of(tag, vr, raw, order=order, decoder=UNDECLARED) == expected


def test_text_is_decoded_by_its_character_set_and_codes_are_not():
    decoder = decoder_for(b"ISO_IR 144")
    raw = "Юлия".encode("iso8859_5")
    assert texts_of(PATIENT_NAME, "PN", raw, order="<", decoder=decoder) == ("Юлия",)
    assert texts_of(0x00080060, "CS", b"\xb1", order="<", decoder=decoder) == ("±",)


def test_a_backslash_within_a_two_byte_character_separates_nothing():
    raw = b"\x1b$B\x3b\x5c\x1b(B"
    decoder = decoder_for(b"\\ISO 2022 IR 87")
    values = texts_of(PATIENT_NAME, "PN", raw, order="<", decoder=decoder)
    assert values == (raw.decode("iso2022_jp"),)
