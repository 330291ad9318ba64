"""The head of a DICOM file, written and read in pieces. PS3.10 7.1."""

from __future__ import annotations

import struct
import warnings
from io import BytesIO
from pathlib import Path

import pydicom
import pydicom.data
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harmony.dicom.part10 import (
    IMPLEMENTATION_CLASS_UID,
    IMPLEMENTATION_VERSION_NAME,
    MAX_META_BYTES,
    FileMeta,
    Part10Reader,
    file_head,
)
from harmony.dicom.uids import is_uid
from harmony.errors import RequestError

FOLDER = Path(pydicom.data.__file__).parent / "test_files"
FILES = [
    "CT_small.dcm",
    "MR_small.dcm",
    "MR_small_bigendian.dcm",
    "MR_small_expb.dcm",
    "MR_small_implicit.dcm",
    "ExplVR_BigEnd.dcm",
    "JPEG2000.dcm",
    "SC_rgb_rle.dcm",
    "image_dfl.dcm",
    "no_meta_group_length.dcm",
    "liver_1frame.dcm",
    "reportsi.dcm",
    "rtplan.dcm",
    "test-SR.dcm",
]
NO_FILES = {
    "no_meta.dcm": "no DICM",
    "ExplVR_BigEndNoMeta.dcm": "no DICM",
    "ExplVR_LitEndNoMeta.dcm": "no DICM",
    "nested_priv_SQ.dcm": "Media Storage SOP Class UID (0002,0002)",
}
CT, EXPLICIT = "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.1.2.1"
META = FileMeta(sop_class_uid=CT, sop_instance_uid="1.2.3.4", transfer_syntax=EXPLICIT)
DATA = bytes.fromhex("08001600 5549 0200 312e 10002000 4c4f 0000".replace(" ", ""))


def read(data: bytes, *cuts: int) -> tuple[FileMeta | None, bytes]:
    reader = Part10Reader()
    found = b""
    for begin, end in zip([0, *cuts], [*cuts, len(data)], strict=True):
        pieces = reader.feed(data[begin:end])
        assert all(pieces), "a piece is never empty"
        found += b"".join(pieces)
    return reader.meta, found


def attempt(data: bytes, *cuts: int) -> tuple[FileMeta | None, bytes] | str:
    try:
        return read(data, *cuts)
    except RequestError as exc:
        return str(exc)


def refusal(data: bytes) -> RequestError:
    """The error, which must be the same whole and byte by byte."""
    with pytest.raises(RequestError) as whole:
        read(data)
    with pytest.raises(RequestError) as pieces:
        read(data, *range(1, len(data)))
    assert str(whole.value) == str(pieces.value)
    assert whole.value.http_status == 400
    assert whole.value.code == "unreadable-instance"
    return whole.value


def short(element: int, vr: bytes, value: bytes) -> bytes:
    return struct.pack("<HH2sH", 0x0002, element, vr, len(value)) + value


def long(element: int, vr: bytes, value: bytes) -> bytes:
    return struct.pack("<HH2sHL", 0x0002, element, vr, 0, len(value)) + value


UIDS = {
    0x0002: short(0x0002, b"UI", CT.encode() + b"\0"),
    0x0003: short(0x0003, b"UI", b"1.2.3.4\0"),
    0x0010: short(0x0010, b"UI", EXPLICIT.encode() + b"\0"),
}


def file(*elements: bytes, data: bytes = DATA) -> bytes:
    return bytes(128) + b"DICM" + b"".join(elements) + data


# Reading


@pytest.mark.parametrize("name", FILES)
def test_files_are_read_in_pieces_of_any_size(name):
    data = (FOLDER / name).read_bytes()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        meta = pydicom.dcmread(BytesIO(data), stop_before_pixels=True).file_meta
    expected = FileMeta(
        sop_class_uid=meta.MediaStorageSOPClassUID,
        sop_instance_uid=meta.MediaStorageSOPInstanceUID,
        transfer_syntax=meta.TransferSyntaxUID,
    )
    found, data_set = read(data)
    assert found == expected
    assert data.endswith(data_set)
    assert len(data) - len(data_set) < 1000
    assert data_set[:2] != b"\x02\x00"
    # What lies behind the first kilobyte is only passed on, whatever its pieces.
    start = data[:1000]
    for size in (*range(1, 150), 333, 500, 999):
        assert read(start, *range(size, len(start), size)) == (
            expected,
            data_set[: -len(data) + 1000],
        )


@pytest.mark.parametrize(("name", "told"), NO_FILES.items())
def test_files_without_a_usable_head_are_refused(name, told):
    assert told in refusal((FOLDER / name).read_bytes()[:1000]).detail


def test_the_data_set_begins_exactly_behind_the_head_wherever_it_is_cut():
    data = file(*UIDS.values())
    for cut in range(len(data) + 1):
        assert read(data, cut) == (META, DATA)


def test_the_data_set_is_passed_on_as_it_comes():
    reader = Part10Reader()
    assert reader.feed(file(*UIDS.values())) == [DATA]
    piece = b"x" * 100
    assert reader.feed(piece)[0] is piece
    assert reader.feed(b"") == []


def test_a_head_that_is_cut_short_has_no_meta():
    data = file(*UIDS.values(), data=b"")
    for end in range(len(data) + 1):
        assert read(data[:end]) == (None, b"")


@pytest.mark.parametrize("length", [0, 1, 26, 10_000, 0xFFFFFFFF])
def test_a_wrong_group_length_is_not_believed(length):
    group_length = short(0x0000, b"UL", struct.pack("<L", length))
    assert read(file(group_length, *UIDS.values())) == (META, DATA)


def test_elements_with_a_long_length_are_passed_over():
    version, private = long(0x0001, b"OB", b"\0\1"), long(0x0102, b"OB", b"\x08\0" * 500)
    for vr in (b"OV", b"SV", b"UV", b"UN", b"UT", b"OW"):
        odd = long(0x0103, vr, b"8 bytes.")
        assert read(file(version, *UIDS.values(), private, odd)) == (META, DATA)


def test_the_preamble_may_hold_anything():
    data = b"II*\0" * 32 + file(*UIDS.values())[128:]
    assert read(data) == (META, DATA)


@pytest.mark.parametrize(
    "value", [b"1.2.3.4\0", b"1.2.3.4 ", b"1.2.3.4", b"1.2.3.4\0\0\0"], ids=repr
)
def test_uids_are_read_without_their_padding(value):
    elements = {**UIDS, 0x0003: short(0x0003, b"UI", value)}
    assert read(file(*elements.values())) == (META, DATA)


@pytest.mark.parametrize(
    ("element", "name"),
    [
        (0x0002, "Media Storage SOP Class UID (0002,0002)"),
        (0x0003, "Media Storage SOP Instance UID (0002,0003)"),
        (0x0010, "Transfer Syntax UID (0002,0010)"),
    ],
)
@pytest.mark.parametrize("value", [None, b"", b"1.2.x\xff", b"1.2\r\nX-A: 1"])
def test_a_uid_that_is_missing_or_none_is_named(element, name, value):
    elements = {k: v for k, v in UIDS.items() if k != element}
    if value is not None:
        elements[element] = short(element, b"UI", value)
    assert name in refusal(file(*elements.values())).detail


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (bytes(132) + DATA, "no DICM"),
        (bytes(128) + b"dicm" + DATA, "no DICM"),
        (b"DICM" + bytes(200), "no DICM"),
        (b"--boundary\r\n" * 20, "no DICM"),
        (file(data=DATA), "(0002,0002)"),
        (file(b"\x02\0\x10\0\x14\0\0\0" + EXPLICIT.encode() + b"\0"), "Explicit VR Little Endian"),
        (file(*UIDS.values(), short(0x0016, b"\xff\xff", b"")), "Explicit VR Little Endian"),
    ],
)
def test_what_is_no_file_is_refused_with_why(data, told):
    error = refusal(data)
    assert told in error.detail
    assert "PS3.10" in (error.hint or "")


@pytest.mark.parametrize("length", [MAX_META_BYTES, 0x7FFFFFFF, 0xFFFFFFFF])
def test_an_element_too_long_is_refused_before_it_comes(length):
    head = struct.pack("<HH2sHL", 0x0002, 0x0102, b"OB", 0, length)
    assert str(MAX_META_BYTES) in refusal(file(head)).detail


def test_meta_information_too_long_is_refused_in_any_pieces():
    data = file(*[long(0x0102, b"OB", bytes(30_000))] * 3)
    for size in (len(data), 50_000, 4096, 1000):
        reader = Part10Reader()
        with pytest.raises(RequestError, match=str(MAX_META_BYTES)):
            for at in range(0, len(data), size):
                reader.feed(data[at : at + size])


def test_meta_information_of_the_greatest_length_is_read():
    filling = MAX_META_BYTES - sum(map(len, UIDS.values())) - 12
    elements = (*UIDS.values(), long(0x0102, b"OB", bytes(filling)))
    assert read(file(*elements)) == (META, DATA)
    with pytest.raises(RequestError):
        read(file(*elements[:-1], long(0x0102, b"OB", bytes(filling + 2))))


@given(st.binary(max_size=64), st.integers(0, 64))
def test_any_bytes_behind_the_prefix_are_a_head_or_refused_alike(tail, cut):
    data = file(*UIDS.values(), data=tail)
    cut = min(len(data), 132 + cut)
    assert attempt(data, cut) == attempt(data)


# Writing

uids = st.lists(st.integers(0, 10**9), min_size=2, max_size=5).map(
    lambda numbers: ".".join(map(str, numbers))
)


@given(uids, uids, st.binary(min_size=1, max_size=20))
def test_a_head_that_is_written_is_read_back(sop_class_uid, sop_instance_uid, rest):
    head = file_head(
        sop_class_uid=sop_class_uid, sop_instance_uid=sop_instance_uid, transfer_syntax=EXPLICIT
    )
    data_set = b"\x08\x00" + rest
    meta, found = read(head + data_set)
    assert meta == FileMeta(
        sop_class_uid=sop_class_uid, sop_instance_uid=sop_instance_uid, transfer_syntax=EXPLICIT
    )
    assert found == data_set


@pytest.mark.parametrize("uid", ["1.2.3", "1.2.34"])
def test_pydicom_reads_the_head_that_is_written(uid):
    head = file_head(sop_class_uid=CT, sop_instance_uid=uid, transfer_syntax=EXPLICIT)
    ds = pydicom.dcmread(BytesIO(head + b"\x10\0\x20\0LO\x04\0P123"))
    assert ds.PatientID == "P123"
    assert ds.preamble == bytes(128)
    meta = ds.file_meta
    assert meta.FileMetaInformationVersion == b"\0\1"
    assert meta.MediaStorageSOPClassUID == CT
    assert meta.MediaStorageSOPInstanceUID == uid
    assert meta.TransferSyntaxUID == EXPLICIT
    assert meta.ImplementationClassUID == IMPLEMENTATION_CLASS_UID
    assert meta.ImplementationVersionName == IMPLEMENTATION_VERSION_NAME
    # The length counts what follows its own element, PS3.10 7.1.
    assert meta.FileMetaInformationGroupLength == len(head) - 132 - 12


def test_our_own_names_are_proper():
    assert is_uid(IMPLEMENTATION_CLASS_UID)
    assert len(IMPLEMENTATION_VERSION_NAME) <= 16
