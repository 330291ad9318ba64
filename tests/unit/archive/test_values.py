"""Forms of values: told and compared."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harmony.archive.attributes import ATTRIBUTES
from harmony.archive.values import MAX_CHARACTERS, compared, folded, told, utc
from harmony.dicom.charsets import UNDECLARED, decoder_for

BY_COLUMN = {attribute.column: attribute for attribute in ATTRIBUTES.values()}


@pytest.mark.parametrize(
    ("column", "raw", "expected"),
    [
        ("PatientID", b" P1 ", "P1"),
        ("StudyInstanceUID", b"1.2.3\0", "1.2.3"),
        ("StudyDate", b"2024.01.31", "20240131"),
        ("StudyTime", b"10:30:00", "103000"),
        ("SeriesNumber", b"007 ", "7"),
        ("SeriesNumber", b"x", "x"),
        ("ImageType", b"ORIGINAL \\PRIMARY\\", "ORIGINAL\\PRIMARY"),
        ("Rows", b"\x00\x02", "512"),
        ("Rows", b"\x00", ""),
        ("PatientName", b"Doe^Jane^ ", "Doe^Jane^"),
        ("StudyDescription", b"a\x00b\x1fc", "a\ufffdb\ufffdc"),
        ("StudyID", b"   ", ""),
    ],
)
def test_told(column, raw, expected):
    assert told(BY_COLUMN[column], raw, UNDECLARED, "<") == expected


def test_text_is_decoded_by_the_character_set_of_the_object():
    name = "Müller^Jürgen".encode("latin-1")
    assert told(BY_COLUMN["PatientName"], name, decoder_for(b"ISO_IR 100"), "<") == "Müller^Jürgen"


@given(attribute=st.sampled_from(tuple(ATTRIBUTES.values())), raw=st.binary(max_size=3000))
def test_whatever_an_object_holds_becomes_bounded_text_without_control_characters(attribute, raw):
    text = told(attribute, raw, UNDECLARED, "<")
    assert len(text) <= MAX_CHARACTERS
    assert not any(ord(char) < 0x20 for char in text)
    text.encode("utf-8")
    compared(attribute, text).encode("utf-8")


@pytest.mark.parametrize(
    ("column", "text", "expected"),
    [
        ("PatientID", "Abc", "Abc"),
        ("PatientName", "", ""),
        ("PatientName", "Doe^Jane^^", "=doe^jane="),
        ("PatientName", "Yamada^Tarou=山田^太郎", "=yamada^tarou=山田^太郎="),
        ("OperatorsName", "A^B\\C", "=a^b=c="),
        ("ImageType", "ORIGINAL\\PRIMARY", "\\ORIGINAL\\PRIMARY\\"),
        ("AcquisitionDateTime", "20240131103000+0100", "20240131093000"),
    ],
)
def test_compared(column, text, expected):
    assert compared(BY_COLUMN[column], text) == expected


def test_names_that_unicode_writes_in_two_ways_are_the_same():
    assert folded("Mu\u0308ller") == folded("MÜLLER")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("20240131", "20240131"),
        ("202401311030", "202401311030"),
        ("202401310030+0100", "202401302330"),
        ("20240131103015.25-0500", "20240131153015.25"),
        ("2024-0500", "2024-0500"),
        ("202499991030+0100", "202499991030+0100"),
        ("000101010000+0100", "000101010000+0100"),
    ],
)
def test_utc(text, expected):
    assert utc(text) == expected
