"""The value at a path, as the metadata name it; and no other."""

from __future__ import annotations

import json
import struct
import zlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harmony.dicom.bulk import NoSuchValue, bulk_value, parse_path, path_text
from harmony.dicom.dicomjson import metadata_to_json
from harmony.dicom.elements import MAX_DEPTH, Malformed
from harmony.errors import RequestError
from tests.support import specimens
from tests.support.bad_caller.data_sets import sequence
from tests.support.pixel_sets import (
    BIG_ENDIAN,
    EXPLICIT,
    IMPLICIT,
    JPEG,
    PIXEL_DATA,
    ROWS,
    UNDEFINED,
    element,
    encapsulated,
    item,
    native,
    sequence_end,
)

DEFLATED = "1.2.840.10008.1.2.1.99"
WAVEFORMS, WAVEFORM, ICON = 0x54000100, 0x54001010, 0x00880200
SYNTAX_UIDS = (IMPLICIT, EXPLICIT, BIG_ENDIAN)


def read(data: bytes, path: tuple[int, ...], syntax: str = EXPLICIT) -> bytes:
    return bulk_value(data, syntax, path).place.read(data)


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ((PIXEL_DATA,), "7FE00010"),
        ((WAVEFORMS, 0, WAVEFORM), "54000100/0/54001010"),
        ((ICON, 12, WAVEFORMS, 3, 0x00091001), "00880200/12/54000100/3/00091001"),
    ],
)
def test_a_path_is_tags_and_indices(path, text):
    assert path_text(path) == text
    assert parse_path(text) == path


TAGS = st.integers(0, 0xFFFFFFFF)


@given(st.lists(st.tuples(TAGS, st.integers(0, 10**9 - 1)), max_size=MAX_DEPTH), TAGS)
def test_what_is_written_is_read_again(around, tag):
    path = (*(part for pair in around for part in pair), tag)
    assert parse_path(path_text(path)) == path


@pytest.mark.parametrize(
    "text",
    [
        "",
        "7FE00010/",
        "/7FE00010",
        "7fe00010",
        "7FE0010",
        "7FE000100",
        "0x7FE010",
        "PixelData",
        "54000100/0",
        "54000100/00/54001010",
        "54000100/01/54001010",
        "54000100/-1/54001010",
        "54000100/+1/54001010",
        "54000100/\u0661/54001010",
        "54000100/1000000000/54001010",
        "54000100/54001010",
        "54000100//54001010",
        "54000100/0/54001010\n",
        "../7FE00010",
        "7FE00010%00",
        "/".join(["00880200", "0"] * (MAX_DEPTH + 1) + ["7FE00010"]),
        "/" * 100_000,
    ],
)
def test_what_is_no_path_is_refused(text):
    with pytest.raises(RequestError) as caught:
        parse_path(text)
    assert (caught.value.http_status, caught.value.code) == (400, "bad-bulk-path")


@pytest.mark.parametrize("syntax", SYNTAX_UIDS)
def test_values_come_out_little_endian(syntax):
    order = ">" if syntax == BIG_ENDIAN else "<"
    data = native(struct.pack(order + "2H", 1, 2), syntax, rows=1, columns=2, bits=16, vr="OW")
    assert read(data, (PIXEL_DATA,), syntax) == struct.pack("<2H", 1, 2)
    assert read(data, (ROWS,), syntax) == b"\1\0"


@pytest.mark.parametrize("syntax", SYNTAX_UIDS)
@pytest.mark.parametrize("delimited", [False, True])
def test_a_path_leads_through_items(syntax, delimited):
    items = [element(WAVEFORM, "OB", value, syntax) for value in (b"ab", b"cd")]
    deep = sequence(WAVEFORMS, [b"", sequence(WAVEFORMS, items, syntax)], syntax)
    data = sequence(ICON, [deep], syntax, delimited=delimited) + element(
        WAVEFORM, "OB", b"", syntax
    )
    path = (ICON, 0, WAVEFORMS, 1, WAVEFORMS, 1, WAVEFORM)
    assert read(data, path, syntax) == b"cd"


def test_a_path_leads_through_what_un_hides():
    hidden = element(ICON, "UN", item(element(WAVEFORM, "OW", b"ab", IMPLICIT)), BIG_ENDIAN)
    hidden = element(ROWS, "US", b"\0\1", BIG_ENDIAN) + hidden
    with pytest.raises(NoSuchValue):
        read(hidden, (ICON, 1, WAVEFORM), BIG_ENDIAN)
    assert read(hidden, (ICON, 0, WAVEFORM), BIG_ENDIAN) == b"ab"


def test_fragments_are_joined_without_the_table():
    data = encapsulated([[b"ab", b"cd"], [b"ef"]], basic=[0, 20])
    value = bulk_value(data, JPEG, (PIXEL_DATA,))
    assert value.place.read(data) == b"abcdef"
    assert (value.is_encapsulated, value.media_type, value.vr) == (True, "image/jpeg", "OB")


def test_what_is_not_encapsulated_is_an_octet_stream():
    icon = element(ICON, "SQ", item(native(b"ab", rows=1, columns=2)))
    value = bulk_value(icon + encapsulated([[b"cd"]]), JPEG, (ICON, 0, PIXEL_DATA))
    assert (value.is_encapsulated, value.media_type) == (False, "application/octet-stream")


def test_deflated_values_are_inflated():
    deflater = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    data = deflater.compress(native(b"ab", rows=1, columns=2)) + deflater.flush()
    assert read(data, (PIXEL_DATA,), DEFLATED) == b"ab"


@pytest.mark.parametrize(
    "path",
    [
        (WAVEFORM,),
        (ICON,),
        (ICON, 0, WAVEFORM),
        (ICON, 1, ROWS),
        (ICON, 10**9, ROWS),
        (ROWS, 0, ROWS),
        (PIXEL_DATA, 0, ROWS),
        (0x00091001,),
    ],
)
def test_an_absent_path_is_told_from_damage(path):
    hidden = element(0x00091001, "UN", sequence_end(), length=UNDEFINED)
    data = hidden + element(ROWS, "US", b"\1\0") + sequence(ICON, [element(ROWS, "US", b"\1\0")])
    with pytest.raises(NoSuchValue) as caught:
        bulk_value(data + encapsulated([[b"ab"]]), JPEG, path)
    assert caught.value.http_status == 404


@pytest.mark.parametrize("end", range(1, 40))
def test_a_cut_data_set_gives_the_value_or_an_error(end):
    data = sequence(ICON, [element(WAVEFORM, "OB", b"ab")]) + element(PIXEL_DATA, "OB", b"cd")
    for path, wanted in (((ICON, 0, WAVEFORM), b"ab"), ((PIXEL_DATA,), b"cd")):
        try:
            assert read(data[:end], path) == wanted
        except (Malformed, NoSuchValue):
            continue


def test_every_bulk_data_uri_of_the_wheel_leads_to_its_value():
    found = 0
    for specimen in specimens.from_the_wheel():
        data, syntax = specimen.instance.data, specimen.instance.transfer_syntax
        try:
            shown = json.loads(metadata_to_json(data, syntax, path_text))
        except Malformed:
            continue
        for key, vr in _bulk(shown):
            value = bulk_value(data, syntax, parse_path(key))
            assert sum(map(len, value.place.chunks(data))) == value.place.size > 0
            assert value.vr == vr or value.vr == "UN"
            found += 1
    assert found > 80


def _bulk(shown: dict[str, dict[str, Any]]) -> list[tuple[str, str]]:
    uris = []
    for each in shown.values():
        if "BulkDataURI" in each:
            uris.append((each["BulkDataURI"], each["vr"]))
        elif each["vr"] == "SQ":
            for one in each.get("Value", []):
                uris += _bulk(one)
    return uris
