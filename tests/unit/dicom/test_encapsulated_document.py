"""Documents without their padding, videos without their fragments; all else is neither."""

from __future__ import annotations

import struct
import zlib

import pytest

from harmony.dicom.elements import Malformed
from harmony.dicom.encapsulated_document import document_in
from tests.support.bad_pacs import instance_from_file
from tests.support.pixel_sets import (
    BIG_ENDIAN,
    EXPLICIT,
    IMPLICIT,
    JPEG,
    PIXEL_DATA,
    UNDEFINED,
    Table,
    element,
    encapsulated,
    item,
    native,
)
from tests.support.studies import Kind, Plan, make_instances

DOCUMENT, MIME_TYPE, LENGTH = 0x00420011, 0x00420012, 0x00420015
MPEG2, MPEG4, HEVC = (f"1.2.840.10008.1.2.4.{number}" for number in (100, 102, 108))


def document(
    stored: bytes,
    syntax: str = EXPLICIT,
    *,
    mime: bytes = b"application/pdf ",
    length: int | None = None,
) -> bytes:
    data = element(DOCUMENT, "OB", stored, syntax) + element(MIME_TYPE, "LO", mime, syntax)
    if length is None:
        return data
    order = ">" if syntax == BIG_ENDIAN else "<"
    return data + element(LENGTH, "UL", struct.pack(order + "L", length), syntax)


def read(data: bytes, syntax: str = EXPLICIT) -> tuple[str, bytes]:
    found = document_in(data, syntax)
    assert found is not None
    return found.media_type, found.place.read(data)


@pytest.mark.parametrize("syntax", [IMPLICIT, EXPLICIT, BIG_ENDIAN])
@pytest.mark.parametrize(
    ("length", "shown"),
    [
        (None, b"%PDF\0\0"),
        (6, b"%PDF\0\0"),
        (5, b"%PDF\0"),
        (0, b"%PDF\0\0"),
        (3, b"%PDF\0\0"),  # none that padding explains
    ],
)
def test_a_document_ends_where_it_says_if_that_can_be(syntax, length, shown):
    assert read(document(b"%PDF\0\0", syntax, length=length), syntax) == ("application/pdf", shown)


def test_a_document_that_is_cut_short_is_damaged():
    with pytest.raises(Malformed, match="shorter than it says"):
        document_in(document(b"%PDF", length=6), EXPLICIT)
    with pytest.raises(Malformed, match="longer than"):
        document_in(document(b"%PDF")[:-1], EXPLICIT)


@pytest.mark.parametrize(
    ("mime", "media_type"),
    [
        (b"application/pdf\0", "application/pdf"),
        (b"text/XML", "text/xml"),
        (b"model/stl ", "model/stl"),
        (b"", "application/octet-stream"),
        (b"PDF ", "application/octet-stream"),
        (b"text/html\r\nSet-Cookie: a=b", "application/octet-stream"),
        (b"text/html; charset=x", "application/octet-stream"),
        (b"a/" + b"b" * 70, "application/octet-stream"),
        (b"application/pd\xff", "application/octet-stream"),
    ],
)
def test_only_a_media_type_passes_for_one(mime, media_type):
    assert read(document(b"ab", mime=mime))[0] == media_type


def test_a_deflated_document_is_inflated():
    deflater = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    data = deflater.compress(document(b"%PDF", length=3)) + deflater.flush()
    assert read(data, "1.2.840.10008.1.2.1.99") == ("application/pdf", b"%PD")


@pytest.mark.parametrize(
    ("syntax", "media_type"), [(MPEG2, "video/mpeg2"), (MPEG4, "video/mp4"), (HEVC, "video/mp4")]
)
def test_a_video_is_all_of_its_fragments(syntax, media_type):
    data = encapsulated([[b"ab", b"cd", b"ef"]], table=Table.BASIC, number_of_frames=250)
    assert read(data, syntax) == (media_type, b"abcdef")


def test_a_damaged_video_is_refused():
    data = element(PIXEL_DATA, "OB", item(b"") + item(b"ab"), length=UNDEFINED)
    with pytest.raises(Malformed, match="no end"):
        document_in(data, MPEG4)


@pytest.mark.parametrize(
    ("data", "syntax"),
    [
        (b"", EXPLICIT),
        (document(b""), EXPLICIT),
        (element(MIME_TYPE, "LO", b"application/pdf "), EXPLICIT),
        (native(b"ab", rows=1, columns=2), EXPLICIT),
        (encapsulated([[b"ab"]]), JPEG),
        (native(b"ab", rows=1, columns=2), MPEG4),
        (element(0x00880200, "SQ", item(document(b"%PDF"))), EXPLICIT),
    ],
)
def test_other_instances_are_neither(data, syntax):
    assert document_in(data, syntax) is None


def test_the_pdf_of_a_made_study_comes_out(tmp_path):
    plan = Plan(kinds=(Kind.PDF,))
    ((_, dataset),) = make_instances(plan)
    file = tmp_path / "pdf.dcm"
    dataset.save_as(file, enforce_file_format=True)
    instance = instance_from_file(file)
    media_type, body = read(instance.data, instance.transfer_syntax)
    assert media_type == "application/pdf"
    assert body.rstrip(b"\0").endswith(b"%%EOF\n")
