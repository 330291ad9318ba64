"""What is read of a data set, and what is refused."""

import contextlib
import io
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from harmony.archive.heads import MAX_ELEMENTS, MAX_INFLATED_BYTES, MAX_VALUE_BYTES, read_head
from harmony.dicom.elements import MAX_DEPTH, Malformed
from harmony.dicom.uids import (
    EXPLICIT_BIG_ENDIAN,
    EXPLICIT_LITTLE_ENDIAN,
    IMPLICIT_LITTLE_ENDIAN,
)
from tests.support.archive import data_set, encoded
from tests.support.studies import CHARSETS, Plan, make_instances

PATIENT_NAME, PATIENT_ID, STUDY_DESCRIPTION, ROWS = 0x00100010, 0x00100020, 0x00081030, 0x00280010
NATIVE = (EXPLICIT_LITTLE_ENDIAN, IMPLICIT_LITTLE_ENDIAN, EXPLICIT_BIG_ENDIAN)
DEFLATED = "1.2.840.10008.1.2.1.99"
JPEG = "1.2.840.10008.1.2.4.50"
UNDEFINED = b"\xff\xff\xff\xff"


def head(data, transfer_syntax=EXPLICIT_LITTLE_ENDIAN):
    return read_head(io.BytesIO(b"head" + data), 4, len(data), transfer_syntax)


def deflate(data):
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return packer.compress(data) + packer.flush()


@pytest.mark.parametrize("syntax", NATIVE)
def test_native_syntaxes_tell_the_same(syntax):
    found = head(data_set(syntax, Rows=512, ImageType=["ORIGINAL", "PRIMARY"]), syntax)
    assert found[PATIENT_ID] == "P1"
    assert found[ROWS] == "512"
    assert found[0x00080008] == "ORIGINAL\\PRIMARY"


def test_a_compressed_syntax_is_explicit_and_a_deflated_one_is_inflated():
    data = data_set()
    assert head(data, JPEG) == head(data)
    assert head(deflate(data), DEFLATED) == head(data)


@pytest.mark.parametrize("name", CHARSETS)
def test_names_of_every_character_set_become_text(name):
    _, made = next(make_instances(Plan(charsets=(name,), size=16)))
    found = head(encoded(made))
    assert found[PATIENT_NAME] == CHARSETS[name].patient_name
    assert found[STUDY_DESCRIPTION] == CHARSETS[name].description


@pytest.mark.parametrize("undefined", [True, False])
@pytest.mark.parametrize("syntax", NATIVE)
def test_sequences_are_passed_over_whatever_form_they_have(syntax, undefined):
    inner, outer = Dataset(), Dataset()
    inner.PatientID = "another"
    outer.ReferencedImageSequence = Sequence([inner])
    outer["ReferencedImageSequence"].is_undefined_length = undefined
    outer.PatientID = "P9"
    data = encoded(outer, syntax)
    inner.is_undefined_length_sequence_item = undefined
    assert head(data, syntax) == {PATIENT_ID: "P9"}


def test_what_lies_behind_the_last_attribute_is_never_read():
    class Watched(io.BytesIO):
        furthest = 0

        def read(self, size=-1):
            data = super().read(size)
            self.furthest = max(self.furthest, self.tell())
            return data

    data = data_set()
    file = Watched(data + b"\xe0\x7f\x10\x00OW\0\0" + (1 << 24).to_bytes(4, "little") + bytes(99))
    assert read_head(file, 0, len(file.getvalue()), EXPLICIT_LITTLE_ENDIAN)[PATIENT_ID] == "P1"
    assert file.furthest <= len(data) + 12


def test_a_large_value_is_passed_over_and_an_absurd_one_of_ours_is_none():
    dataset = Dataset()
    dataset.add_new(0x00091010, "OB", bytes(3_000_000))
    dataset.PatientID = "P1"
    assert head(encoded(dataset)) == {PATIENT_ID: "P1"}
    name = b"\x10\x00\x10\x00UT\0\0" + (MAX_VALUE_BYTES + 2).to_bytes(4, "little")
    assert head(name + bytes(MAX_VALUE_BYTES + 2)) == {}


NESTED = b"\x08\x00\x40\x11SQ\0\0" + UNDEFINED + b"\xfe\xff\x00\xe0" + UNDEFINED


@pytest.mark.parametrize(
    ("data", "syntax", "why"),
    [
        (b"\x08\x00", EXPLICIT_LITTLE_ENDIAN, "longer than what is left"),
        (b"\x08\x00\x16\x00ui\x00\x00", EXPLICIT_LITTLE_ENDIAN, "no proper VR"),
        (b"\x08\x00\x16\x00UI\xff\x00", EXPLICIT_LITTLE_ENDIAN, "longer than what is left"),
        (b"\x08\x00\x16\x00\xfe\xff\xff\xff", IMPLICIT_LITTLE_ENDIAN, "longer than what is left"),
        (b"\xfe\xff\x00\xe0\0\0\0\0", EXPLICIT_LITTLE_ENDIAN, "an item or a delimiter"),
        (b"\x08\x00\x16\x00UT\0\0" + UNDEFINED, EXPLICIT_LITTLE_ENDIAN, "is no sequence"),
        (NESTED * (MAX_DEPTH + 1), EXPLICIT_LITTLE_ENDIAN, "nested more than"),
        (NESTED, EXPLICIT_LITTLE_ENDIAN, "longer than what is left"),
        (NESTED + NESTED[-8:], EXPLICIT_LITTLE_ENDIAN, "an item or a delimiter"),
        (NESTED[:12] + bytes(8), EXPLICIT_LITTLE_ENDIAN, "something else than items"),
        (bytes(8) * (MAX_ELEMENTS + 1), IMPLICIT_LITTLE_ENDIAN, "more than"),
        (b"no deflate stream", DEFLATED, "not deflated"),
    ],
)
def test_no_data_set(data, syntax, why):
    with pytest.raises(Malformed, match=why):
        head(data, syntax)


def test_a_stream_that_inflates_to_gigabytes_costs_no_more_than_the_limit():
    bomb = deflate(data_set() + b"\x08\x00\x99\x11UT\0\0" + (1 << 30).to_bytes(4, "little"))
    packer = zlib.compressobj(9, wbits=-zlib.MAX_WBITS)
    packed = packer.compress(b"\x09\x00\x10\x10UT\0\0" + (1 << 28).to_bytes(4, "little"))
    for _ in range(16):
        packed += packer.compress(bytes(MAX_INFLATED_BYTES))
    packed += packer.flush()
    for data in (bomb, packed):
        with pytest.raises(Malformed):
            head(data, DEFLATED)


@given(data=st.binary(max_size=400), syntax=st.sampled_from((*NATIVE, DEFLATED)))
def test_arbitrary_bytes_are_read_or_malformed(data, syntax):
    with contextlib.suppress(Malformed):
        head(data, syntax)


@given(data=st.data())
def test_a_damaged_data_set_is_read_or_malformed(data):
    whole = bytearray(data_set(ReferencedImageSequence=Sequence([Dataset()])))
    for _ in range(data.draw(st.integers(1, 4))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(Malformed):
        head(bytes(whole))
