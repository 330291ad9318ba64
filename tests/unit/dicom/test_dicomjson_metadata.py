"""Whole instances as DICOM JSON: bulk is left out, and what is damaged is refused."""

from __future__ import annotations

import json
import mmap
import struct
import zlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harmony.dicom import dicomjson, scan
from harmony.dicom.dicomjson import MAX_INLINE_BYTES, Path, metadata_to_json
from harmony.dicom.elements import LONG_VRS, Malformed

IMPLICIT, EXPLICIT, BIG = "1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2"
DEFLATED, JPEG = "1.2.840.10008.1.2.1.99", "1.2.840.10008.1.2.4.50"
ROWS, PIXEL_DATA, ICON, DOCUMENT = 0x00280010, 0x7FE00010, 0x00880200, 0x00420011
UNDEFINED = 0xFFFFFFFF
OPEN_ITEM = struct.pack("<HHL", 0xFFFE, 0xE000, UNDEFINED)
SEQUENCE_END = struct.pack("<HHL", 0xFFFE, 0xE0DD, 0)


def element(tag: int, vr: str, value: bytes, *, order: str = "<", open_end: bool = False) -> bytes:
    head = struct.pack(order + "HH2s", tag >> 16, tag & 0xFFFF, vr.encode())
    length = UNDEFINED if open_end else len(value)
    return head + struct.pack(order + ("xxL" if vr in LONG_VRS else "H"), length) + value


def item(data: bytes) -> bytes:
    return struct.pack("<HHL", 0xFFFE, 0xE000, len(data)) + data


def uri(path: Path) -> str:
    return "/".join(["bulk", *(f"{part:X}" for part in path)])


def shown(data: bytes | mmap.mmap, syntax: str = EXPLICIT) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = json.loads(metadata_to_json(data, syntax, uri))
    return found


FRAGMENTS = item(b"") + item(b"\xff\xd8\xff\xd9") + SEQUENCE_END


def test_pixel_data_is_bulk_however_small():
    found = shown(element(ROWS, "US", b"\1\0") + element(PIXEL_DATA, "OW", b"ab"))
    assert found == {
        "00280010": {"vr": "US", "Value": [1]},
        "7FE00010": {"vr": "OW", "BulkDataURI": "bulk/7FE00010"},
    }


def test_fragments_are_passed_over_to_what_comes_behind():
    padding = element(0xFFFCFFFC, "OB", b"\0\0")
    found = shown(element(PIXEL_DATA, "OB", FRAGMENTS, open_end=True) + padding, JPEG)
    assert found["7FE00010"] == {"vr": "OB", "BulkDataURI": "bulk/7FE00010"}
    assert found["FFFCFFFC"] == {"vr": "OB", "InlineBinary": "AAA="}


def test_a_path_leads_through_items():
    icon = item(b"") + item(element(PIXEL_DATA, "OB", b"ab"))
    found = shown(element(ICON, "SQ", icon))
    assert found["00880200"] == {
        "vr": "SQ",
        "Value": [{}, {"7FE00010": {"vr": "OB", "BulkDataURI": "bulk/880200/1/7FE00010"}}],
    }


@pytest.mark.parametrize(
    ("tag", "vr", "replaced"),
    [
        (DOCUMENT, "OB", True),
        (0x00091001, "UN", True),
        (0x30060050, "DS", True),
        (0x0040A160, "UT", True),
        (0x00080018, "UI", False),
        (0x00081030, "LO", False),
    ],
)
def test_a_long_value_is_bulk_if_its_vr_may_be_replaced(tag, vr, replaced):
    at_most = shown(element(tag, vr, b"1" * MAX_INLINE_BYTES))[f"{tag:08X}"]
    assert "BulkDataURI" not in at_most
    longer = shown(element(tag, vr, b"1" * (MAX_INLINE_BYTES + 2)))[f"{tag:08X}"]
    assert ("BulkDataURI" in longer) is replaced


def test_a_sequence_is_never_bulk():
    items = item(element(0x00081030, "LO", b"a" * 1000)) * 10
    [code] = shown(element(ICON, "SQ", items)).values()
    assert len(code["Value"]) == 10


def test_what_un_hides_is_a_sequence_or_bulk():
    hidden = item(struct.pack("<HHL", 0x0028, 0x0010, 2) + b"\1\0") * 1000
    [sequence] = shown(element(ICON, "UN", hidden)).values()
    assert len(sequence["Value"]) == 1000
    assert shown(element(ICON, "UN", hidden + b"!"))["00880200"] == {
        "vr": "UN",
        "BulkDataURI": "bulk/880200",
    }


def test_big_endian_instances_are_read():
    data = element(ROWS, "US", b"\2\0", order=">") + element(PIXEL_DATA, "OW", b"ab", order=">")
    assert shown(data, BIG)["00280010"]["Value"] == [512]


def deflated(data: bytes) -> bytes:
    deflater = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return deflater.compress(data) + deflater.flush()


@pytest.mark.parametrize("pad", [b"", b"\0"])
def test_deflated_instances_are_inflated(pad):
    assert shown(deflated(element(ROWS, "US", b"\1\0")) + pad, DEFLATED) == {
        "00280010": {"vr": "US", "Value": [1]}
    }


def test_inflating_has_a_limit(monkeypatch):
    monkeypatch.setattr(scan, "MAX_INFLATED_BYTES", 100)
    exact = element(DOCUMENT, "OB", bytes(88))
    assert "00420011" in shown(deflated(exact), DEFLATED)
    with pytest.raises(Malformed, match="more than 100 bytes"):
        shown(deflated(element(DOCUMENT, "OB", bytes(2000))), DEFLATED)


@pytest.mark.parametrize("syntax", [EXPLICIT, JPEG])
def test_implicit_vr_in_a_file_that_says_explicit_is_read(syntax):
    data = struct.pack("<HHL", 0x0028, 0x0010, 2) + b"\1\0"
    assert shown(data, syntax)["00280010"] == {"vr": "US", "Value": [1]}


def test_a_mapped_file_is_read(tmp_path):
    file = tmp_path / "data"
    file.write_bytes(
        element(ICON, "SQ", item(element(ROWS, "US", b"\1\0")))
        + element(PIXEL_DATA, "OB", FRAGMENTS, open_end=True)
    )
    with file.open("rb") as opened, mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ) as data:
        assert metadata_to_json(data, JPEG, uri) == metadata_to_json(data[:], JPEG, uri)


@pytest.mark.parametrize(
    ("data", "syntax", "why"),
    [
        (element(ROWS, "US", b"\1"), EXPLICIT, "does not fit"),
        (element(PIXEL_DATA, "OB", item(b"ab"), open_end=True), JPEG, "has no end"),
        (element(PIXEL_DATA, "OB", item(b"ab") + b"\xfe\xff", open_end=True), JPEG, "ends within"),
        (element(PIXEL_DATA, "OB", item(b"ab")[:-1], open_end=True), JPEG, "has no end"),
        (element(PIXEL_DATA, "OB", b"ab" * 8, open_end=True), JPEG, "something else"),
        (element(PIXEL_DATA, "OB", OPEN_ITEM, open_end=True), JPEG, "something else"),
        (b"\xff\xff", DEFLATED, "cannot be inflated"),
        (deflated(bytes(100))[:-2], DEFLATED, "no end"),
    ],
)
def test_what_is_damaged_is_refused_without_a_quote(data, syntax, why):
    with pytest.raises(Malformed, match=why):
        metadata_to_json(data, syntax, uri)


def test_elements_and_fragments_have_a_limit(monkeypatch):
    monkeypatch.setattr(dicomjson, "MAX_INSTANCE_ELEMENTS", 4)
    shown(element(PIXEL_DATA, "OB", FRAGMENTS, open_end=True), JPEG)
    with pytest.raises(Malformed, match="more than 4 elements"):
        shown(element(PIXEL_DATA, "OB", item(b"") + FRAGMENTS, open_end=True), JPEG)


@given(
    st.binary(max_size=60) | st.binary(max_size=60).map(deflated),
    st.sampled_from([b"", element(PIXEL_DATA, "OB", item(b""), open_end=True)]),
    st.sampled_from([IMPLICIT, EXPLICIT, BIG, DEFLATED, JPEG]),
)
def test_any_bytes_are_shown_or_refused(data, start, syntax):
    try:
        assert metadata_to_json(start + data, syntax, uri).decode()
    except Malformed:
        return
