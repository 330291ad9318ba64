"""Frames of native and encapsulated pixel data: the ones that were put in, or an error."""

from __future__ import annotations

import itertools
import mmap
import struct
import zlib
from unittest.mock import Mock

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harmony.dicom import scan
from harmony.dicom.elements import Malformed
from harmony.dicom.pixels import NoPixelData, NoSuchFrame, NotInFrames, PixelIndex
from tests.support.pixel_sets import (
    ALLOCATED,
    BIG_ENDIAN,
    COLUMNS,
    EXPLICIT,
    FRAMES,
    HIGH_BIT,
    IMPLICIT,
    JPEG,
    JPEG_2000,
    PIXEL_DATA,
    REPRESENTATION,
    RLE,
    ROWS,
    SAMPLES,
    STORED,
    UNDEFINED,
    Table,
    about,
    element,
    encapsulated,
    item,
    native,
    sequence_end,
)

DEFLATED = "1.2.840.10008.1.2.1.99"
ENCAPSULATED_UNCOMPRESSED = "1.2.840.10008.1.2.1.98"
VIDEO = "1.2.840.10008.1.2.4.102"
JPEG_XL = "1.2.840.10008.1.2.4.110"
PRIVATE = "1.2.826.0.1.3680043.2.1143.9"
FLOAT, DOUBLE = 0x7FE00008, 0x7FE00009


def all_frames(data: bytes | mmap.mmap, syntax: str = EXPLICIT) -> list[bytes]:
    index = PixelIndex.of(data, syntax)
    return list(index.frames(data, range(1, index.number_of_frames + 1)))


def deflated(data: bytes) -> bytes:
    deflater = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return deflater.compress(data) + deflater.flush()


def jpeg(payload: bytes) -> bytes:
    return b"\xff\xd8\xff\xe0" + payload + b"\xff\xd9"


def test_the_index_tells_what_the_pixel_data_are():
    numbers = {
        SAMPLES: 3,
        0x00280006: 1,
        ROWS: 2,
        COLUMNS: 3,
        ALLOCATED: 16,
        STORED: 12,
        HIGH_BIT: 11,
        REPRESENTATION: 1,
    }
    data = about(BIG_ENDIAN, frames=2, photometric="RGB", numbers=numbers)
    index = PixelIndex.of(data + element(PIXEL_DATA, "OW", bytes(72), BIG_ENDIAN), BIG_ENDIAN)
    assert (index.rows, index.columns, index.samples_per_pixel) == (2, 3, 3)
    assert (index.bits_allocated, index.bits_stored, index.high_bit) == (16, 12, 11)
    assert (index.pixel_representation, index.planar_configuration) == (1, 1)
    assert (index.photometric_interpretation, index.number_of_frames) == ("RGB", 2)
    assert (index.tag, index.is_encapsulated) == (PIXEL_DATA, False)
    assert (index.transfer_syntax, index.frame_syntax) == (BIG_ENDIAN, EXPLICIT)
    assert index.media_type == "application/octet-stream"


def test_what_is_not_said_follows_from_the_rest():
    numbers = {ROWS: 1, COLUMNS: 2, ALLOCATED: 8}
    data = about(photometric="", numbers=numbers) + element(PIXEL_DATA, "OB", b"ab")
    index = PixelIndex.of(data, EXPLICIT)
    assert (index.number_of_frames, index.samples_per_pixel) == (1, 1)
    assert (index.bits_stored, index.high_bit, index.pixel_representation) == (8, 7, 0)
    assert index.photometric_interpretation == ""


@pytest.mark.parametrize("syntax", [IMPLICIT, EXPLICIT, BIG_ENDIAN])
def test_native_frames_lie_behind_each_other(syntax):
    data = native(b"abcdefghi", syntax, rows=1, columns=3, frames=3)
    assert all_frames(data, syntax) == [b"abc", b"def", b"ghi"]


def test_frames_come_in_the_order_asked_for_and_as_often():
    data = native(b"abcd", rows=1, columns=1, frames=4)
    index = PixelIndex.of(data, EXPLICIT)
    assert list(index.frames(data, [3, 1, 3])) == [b"c", b"a", b"c"]
    assert index.frame(data, 2) == b"b"


def test_words_of_a_big_endian_sender_are_turned_around():
    data = native(b"\1\2\3\4\5\6\7\x08", BIG_ENDIAN, rows=1, columns=2, bits=16, frames=2, vr="OW")
    assert all_frames(data, BIG_ENDIAN) == [b"\2\1\4\3", b"\6\5\x08\7"]


def test_a_frame_may_begin_within_a_word_that_was_turned_around():
    data = native(b"badcfe", BIG_ENDIAN, rows=1, columns=3, frames=2, vr="OW")
    assert all_frames(data, BIG_ENDIAN) == [b"abc", b"def"]


@pytest.mark.parametrize(("tag", "vr", "bits"), [(FLOAT, "OF", 32), (DOUBLE, "OD", 64)])
@pytest.mark.parametrize("syntax", [EXPLICIT, BIG_ENDIAN])
def test_float_pixels_are_frames_too(tag, vr, bits, syntax):
    code = "f" if bits == 32 else "d"
    order = ">" if syntax == BIG_ENDIAN else "<"
    value = struct.pack(order + 2 * code, 1.5, -2.25)
    numbers = {ROWS: 1, COLUMNS: 1, ALLOCATED: bits}
    data = about(syntax, frames=2, numbers=numbers) + element(tag, vr, value, syntax)
    assert PixelIndex.of(data, syntax).tag == tag
    assert all_frames(data, syntax) == [struct.pack("<" + code, n) for n in (1.5, -2.25)]


def packed(pixels: list[int]) -> bytes:
    """One bit a pixel, the first in the lowest. PS3.5 8.1.1."""
    number = sum(pixel << at for at, pixel in enumerate(pixels))
    return number.to_bytes(-(-len(pixels) // 8), "little")


def turned(data: bytes) -> bytes:
    data += bytes(len(data) % 2)
    return b"".join(data[at : at + 2][::-1] for at in range(0, len(data), 2))


@given(st.data(), st.integers(1, 5), st.integers(1, 9), st.integers(1, 4))
def test_frames_of_single_bits_begin_within_a_byte(draw, rows, columns, frames):
    size = rows * columns
    pixels = draw.draw(st.lists(st.integers(0, 1), min_size=size * frames, max_size=size * frames))
    wanted = [packed(pixels[at : at + size]) for at in range(0, size * frames, size)]
    value = packed(pixels)
    data = native(value, rows=rows, columns=columns, bits=1, frames=frames)
    assert all_frames(data) == wanted
    data = native(
        turned(value), BIG_ENDIAN, rows=rows, columns=columns, bits=1, frames=frames, vr="OW"
    )
    assert all_frames(data, BIG_ENDIAN) == wanted


def test_a_large_frame_is_read_in_pieces():
    value = bytes(range(256)) * 4 * 1024
    data = native(turned(value), BIG_ENDIAN, rows=1024, columns=1024, vr="OW")
    place = PixelIndex.of(data, BIG_ENDIAN).place(1)
    chunks = list(place.chunks(data))
    assert [len(chunk) for chunk in chunks] == [256 * 1024] * 4
    assert b"".join(chunks) == value
    assert place.size == len(value)


def test_pixels_that_share_chrominance_take_two_samples():
    data = native(b"yybryybr", rows=1, columns=2, samples=3, frames=2, photometric="YBR_FULL_422")
    assert all_frames(data) == [b"yybr", b"yybr"]


def test_pixels_that_only_say_so_take_three():
    data = native(bytes(12), rows=1, columns=2, samples=3, frames=2, photometric="YBR_FULL_422")
    assert all_frames(data) == [bytes(6)] * 2


def test_pixel_data_in_an_item_are_not_those_of_the_instance():
    icon = item(native(b"ab", rows=1, columns=2))
    data = element(0x00880200, "SQ", icon) + native(b"cdef", rows=2, columns=2)
    assert all_frames(data) == [b"cdef"]
    with pytest.raises(NoPixelData):
        PixelIndex.of(element(0x00880200, "SQ", icon), EXPLICIT)


def test_deflated_data_sets_are_inflated_once_for_several_frames(monkeypatch):
    data = deflated(native(b"abcd", rows=1, columns=2, frames=2))
    index = PixelIndex.of(data, DEFLATED)
    assert index.frame_syntax == EXPLICIT
    assert index.place(2).read(data) == b"cd"
    inflate = Mock(wraps=scan.inflated)
    monkeypatch.setattr(scan, "inflated", inflate)
    assert list(index.frames(data, [1, 2])) == [b"ab", b"cd"]
    inflate.assert_called_once()


def test_an_index_outlives_the_view_that_it_was_made_of(tmp_path):
    file = tmp_path / "data"
    file.write_bytes(encapsulated([[jpeg(b"aa")], [jpeg(b"bb")]]))
    with file.open("rb") as opened:
        with mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ) as view:
            index = PixelIndex.of(view, JPEG)
        with mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ) as view:
            frame = index.frame(view, 2)
    assert frame == jpeg(b"bb")
    with pytest.raises(Malformed, match="shorter"):
        index.frame(b"", 2)


SEVERAL = [[b"a" * 4, b"b" * 2], [b"c" * 6], [b"d" * 2, b"e" * 2, b"f" * 2]]


def test_a_basic_offset_table_tells_frames_apart():
    assert all_frames(encapsulated(SEVERAL, table=Table.BASIC), JPEG) == [
        b"".join(frame) for frame in SEVERAL
    ]


def test_an_extended_offset_table_tells_lengths_without_padding():
    data = encapsulated([[b"abc"], [b"defg"]], table=Table.EXTENDED)
    assert all_frames(data, PRIVATE) == [b"abc", b"defg"]


@pytest.mark.parametrize("syntax", [JPEG, RLE, PRIVATE, ENCAPSULATED_UNCOMPRESSED])
def test_as_many_fragments_as_frames_are_one_each(syntax):
    frames = [[b"ab"], [b"cd"], [b"ef"]]
    data = about(numbers={ROWS: 1, COLUMNS: 2, ALLOCATED: 8}) + encapsulated(frames)
    assert all_frames(data, syntax) == [b"ab", b"cd", b"ef"]


def test_a_single_frame_has_all_fragments():
    assert all_frames(encapsulated([[b"ab", b"cd", b"ef"]]), PRIVATE) == [b"abcdef"]


@pytest.mark.parametrize(
    ("syntax", "start"), [(JPEG, b"\xff\xd8\xff\xdb"), (JPEG_2000, b"\xff\x4f\xff\x51")]
)
@pytest.mark.parametrize("end", [b"\xff\xd9", b"\0\xff\xd9\0", b"\xff\xd9\0\0\0\0"])
def test_markers_tell_frames_apart(syntax, start, end):
    frames = [[start + b"1", end], [start + b"2", start, b"a", end], [start + end]]
    found = all_frames(encapsulated(frames), syntax)
    assert found == [b"".join(p + bytes(len(p) % 2) for p in frame) for frame in frames]


def test_the_last_byte_of_an_odd_uncompressed_frame_is_left_out():
    data = about(numbers={ROWS: 1, COLUMNS: 3, ALLOCATED: 8}) + encapsulated([[b"abc"], [b"def"]])
    index = PixelIndex.of(data, ENCAPSULATED_UNCOMPRESSED)
    assert list(index.frames(data, [1, 2])) == [b"abc", b"def"]
    assert (index.media_type, index.frame_syntax) == ("application/octet-stream", EXPLICIT)


def test_compressed_frames_come_in_their_own_syntax():
    index = PixelIndex.of(encapsulated([[b"ab"]]), JPEG_2000)
    assert (index.media_type, index.frame_syntax) == ("image/jp2", JPEG_2000)


def test_a_video_has_no_frames_of_its_own():
    index = PixelIndex.of(encapsulated([[b"ab", b"cd"]], number_of_frames=300), VIDEO)
    assert index.number_of_frames == 300
    with pytest.raises(NotInFrames) as caught:
        index.place(7)
    assert caught.value.http_status == 404


@pytest.mark.parametrize(("number", "status"), [(-1, 400), (0, 400), (3, 404), (10**9, 404)])
def test_a_number_that_no_frame_has_is_an_error_of_its_own(number, status):
    data = native(b"ab", rows=1, columns=1, frames=2)
    index = PixelIndex.of(data, EXPLICIT)
    with pytest.raises(NoSuchFrame) as caught:
        index.frames(data, [1, number])
    assert caught.value.http_status == status
    assert caught.value.hint == "ask for frames from 1 to 2"


@pytest.mark.parametrize(
    "data",
    [b"", about(), element(PIXEL_DATA, "OW", b""), element(0xFFFCFFFC, "OB", b"\0\0")],
)
def test_an_instance_without_pixel_data_is_told_from_a_damaged_one(data):
    with pytest.raises(NoPixelData) as caught:
        PixelIndex.of(data, EXPLICIT)
    assert caught.value.http_status == 404


def test_native_frames_beyond_the_end_are_refused_and_those_before_are_given():
    data = native(b"abcd", rows=1, columns=3, frames=2)
    index = PixelIndex.of(data, EXPLICIT)
    assert index.frame(data, 1) == b"abc"
    with pytest.raises(Malformed, match="end before"):
        index.frame(data, 2)


@pytest.mark.parametrize("told", [b"0 ", b"", b"  ", b"1\0", b"+1"])
def test_one_frame_is_meant_where_there_is_no_number(told):
    data = about(numbers={ROWS: 1, COLUMNS: 2, ALLOCATED: 8})
    described = element(FRAMES, "IS", told) + data.replace(about(), b"")
    assert all_frames(described + element(PIXEL_DATA, "OB", b"ab")) == [b"ab"]


TWO = [[b"ab"], [b"cd", b"ef"]]
OPEN = element(PIXEL_DATA, "OB", b"", length=UNDEFINED)


@pytest.mark.parametrize(
    ("data", "syntax", "why"),
    [
        (native(b"ab", rows=0, columns=1), EXPLICIT, "how large"),
        (native(b"ab", rows=1, columns=2), JPEG, "not encapsulated"),
        (encapsulated([[b"ab"]]), EXPLICIT, "excludes"),
        (deflated(encapsulated([[b"ab"]])), DEFLATED, "excludes"),
        (element(FLOAT, "OF", item(b"") + sequence_end(), length=UNDEFINED), JPEG, "excludes"),
        (element(PIXEL_DATA, "OW", b"abc", BIG_ENDIAN), BIG_ENDIAN, "does not fit"),
        (element(ROWS, "US", b"\1") + element(PIXEL_DATA, "OB", b"ab"), EXPLICIT, "does not fit"),
        (element(FRAMES, "IS", b"1A") + element(PIXEL_DATA, "OB", b"ab"), EXPLICIT, "no number"),
        (element(FRAMES, "IS", b"-1") + element(PIXEL_DATA, "OB", b"ab"), EXPLICIT, "no number"),
        (element(FRAMES, "UT", b"1" * 66) + element(PIXEL_DATA, "OB", b"ab"), EXPLICIT, "too long"),
        (element(PIXEL_DATA, "OB", b"ab", length=4), EXPLICIT, "longer than"),
        (OPEN, JPEG, "no end"),
        (OPEN + sequence_end(), JPEG, "no offset table"),
        (OPEN + item(b"") + sequence_end(), JPEG, "no fragments"),
        (OPEN + item(b"") + item(b"ab"), JPEG, "no end"),
        (OPEN + item(b"") + item(b"ab")[:-1], JPEG, "longer than"),
        (OPEN + item(b"") + b"abcdefgh", JPEG, "something else"),
        (OPEN + item(b"") + item(b"")[:4] + b"\xff" * 4, JPEG, "something else"),
        (OPEN + item(b"") + b"\xfe\xff", JPEG, "within an item"),
        (encapsulated([[b"ab"]], number_of_frames=2), JPEG, "fewer fragments"),
        (encapsulated([[b"ab"]], number_of_frames=10**9), JPEG, "fewer fragments"),
        (encapsulated(TWO), JPEG, "cannot be told"),
        (encapsulated([[jpeg(b"aa")], [jpeg(b"bb")], [b"cc"]], number_of_frames=2), JPEG, "cannot"),
        (encapsulated([[jpeg(b"aa"), jpeg(b"bb"), jpeg(b"cc")]], number_of_frames=2), JPEG, "told"),
        (encapsulated([[b"", jpeg(b"aa")], [jpeg(b"bb")]]), JPEG, "cannot be told"),
        (encapsulated([[b"a\xff\xd9", jpeg(b"aa")], [jpeg(b"bb")]]), JPEG, "cannot be told"),
        (encapsulated(TWO), RLE, "more fragments"),
        (encapsulated(TWO, table=Table.BASIC), RLE, "more fragments"),
        (encapsulated([[b"ab", b"cd"]], table=Table.BASIC), RLE, "more fragments"),
        (encapsulated(TWO), JPEG_XL, "cannot be told"),
        (encapsulated(TWO, basic=[0]), JPEG, "not one of"),
        (encapsulated(TWO, basic=[0, 10, 20]), JPEG, "not one of"),
        (encapsulated(TWO, basic=[0, 11]), JPEG, "elsewhere"),
        (encapsulated(TWO, basic=[0, 18]), JPEG, "elsewhere"),
        (encapsulated(TWO, basic=[0, 30]), JPEG, "elsewhere"),
        (encapsulated(TWO, basic=[0, UNDEFINED]), JPEG, "elsewhere"),
        (encapsulated(TWO, basic=[10, 0]), JPEG, "in order"),
        (encapsulated(TWO, basic=[0, 0]), JPEG, "in order"),
        (encapsulated(TWO, basic=[10, 20]), JPEG, "leaves out"),
        (encapsulated(TWO, table=Table.EXTENDED), JPEG, "one fragment a frame"),
    ],
)
def test_what_is_damaged_is_refused_without_a_quote(data, syntax, why):
    with pytest.raises(Malformed, match=why):
        all_frames(data, syntax)


@pytest.mark.parametrize(
    ("offsets", "lengths", "why"),
    [
        ([0, 11], [2, 4], "elsewhere"),
        ([0, 2**63], [2, 4], "elsewhere"),
        ([10, 0], [2, 4], "elsewhere"),
        ([0], [2, 4], "not one of"),
        ([0, 10], [2], "not one of"),
        ([0, 10], [], "not one of"),
        ([0, 10], [2, 5], "length"),
        ([0, 10], [2, 2], "length"),
        ([0, 10], [2, 2**64 - 1], "length"),
    ],
)
def test_a_damaged_extended_offset_table_is_refused(offsets, lengths, why):
    frames = [[b"ab"], [b"cdef"]]
    data = encapsulated(frames, table=Table.EXTENDED, offsets=offsets, lengths=lengths)
    with pytest.raises(Malformed, match=why):
        PixelIndex.of(data, JPEG)


def test_an_empty_frame_is_refused_and_the_others_are_given():
    data = encapsulated([[b"ab"], [b""]])
    index = PixelIndex.of(data, JPEG)
    assert index.frame(data, 1) == b"ab"
    with pytest.raises(Malformed, match="empty"):
        index.frame(data, 2)


def test_an_uncompressed_frame_of_another_size_is_refused():
    data = about(numbers={ROWS: 1, COLUMNS: 2, ALLOCATED: 8}) + encapsulated([[b"abcd"]])
    with pytest.raises(Malformed, match="another size"):
        all_frames(data, ENCAPSULATED_UNCOMPRESSED)


def test_fragments_have_a_limit(monkeypatch):
    data = encapsulated([[b"ab"]] * 10)
    monkeypatch.setattr(scan, "MAX_PASSED", 15)
    PixelIndex.of(data, JPEG)
    monkeypatch.setattr(scan, "MAX_PASSED", 14)
    with pytest.raises(Malformed, match="more than 14 elements"):
        PixelIndex.of(data, JPEG)


# Compressed data holds no marker but its own. ITU-T T.81 B.1.1.5
PAYLOAD = st.binary(max_size=12).map(lambda data: data.replace(b"\xff", b"\xfe"))


@st.composite
def compressed(draw: st.DrawFn) -> tuple[list[list[bytes]], Table]:
    """Frames in fragments of even length, and how they are told apart."""
    table = draw(st.sampled_from(Table))
    frames = []
    for payload in draw(st.lists(PAYLOAD, min_size=1, max_size=4)):
        data = jpeg(payload)
        data += bytes(len(data) % 2)
        cuts = draw(st.sets(st.integers(1, len(data) // 2 - 1), max_size=3))
        edges = [0, *sorted(2 * cut for cut in cuts), len(data)]
        frames.append([data[a:b] for a, b in itertools.pairwise(edges)])
    if table is Table.EXTENDED:
        frames = [[b"".join(frame)] for frame in frames]
    return frames, table


@given(compressed())
def test_frames_come_out_as_they_went_in(made):
    frames, table = made
    data = encapsulated(frames, table=table)
    assert all_frames(data, JPEG) == [b"".join(frame) for frame in frames]


def test_a_cut_anywhere_gives_an_error_and_never_other_frames():
    encoded = [(encapsulated(TWO, table=Table.BASIC), JPEG)]
    encoded += [(encapsulated([[jpeg(b"aa")], [jpeg(b"bb")]], table=Table.EXTENDED), JPEG)]
    encoded += [(encapsulated([[jpeg(b"aa"), b"b"], [jpeg(b"cc")]]), JPEG)]
    encoded += [
        (native(b"abcdef", syntax, rows=1, columns=1, bits=16, frames=3, vr="OW"), syntax)
        for syntax in (IMPLICIT, EXPLICIT, BIG_ENDIAN)
    ]
    for data, syntax in encoded:
        for end in range(len(data)):
            with pytest.raises((Malformed, NoPixelData)):
                all_frames(data[:end], syntax)


@given(
    st.binary(max_size=80),
    st.sampled_from([b"", about(frames=2), OPEN + item(b"")]),
    st.sampled_from([IMPLICIT, EXPLICIT, BIG_ENDIAN, DEFLATED, JPEG, RLE, VIDEO]),
)
def test_any_bytes_are_read_or_refused(data, start, syntax):
    try:
        index = PixelIndex.of(start + data, syntax)
        for number in range(1, min(index.number_of_frames, 3) + 1):
            assert len(index.frame(start + data, number)) == index.place(number).size
    except (Malformed, NoPixelData, NotInFrames):
        return
