"""A value comes out of its place whole, little endian and in pieces that are not too large."""

from __future__ import annotations

import zlib

import pytest

from harmony.dicom import located as module
from harmony.dicom.elements import Malformed
from harmony.dicom.located import Located, located, word_of


@pytest.mark.parametrize(
    ("vr", "order", "word"),
    [
        ("OB", ">", 1),
        ("UN", ">", 1),
        ("LO", ">", 1),
        ("OW", ">", 2),
        ("US", ">", 2),
        ("AT", ">", 2),
        ("OF", ">", 4),
        ("UL", ">", 4),
        ("OD", ">", 8),
        ("OV", ">", 8),
        ("OV", "<", 1),
        ("OW", "<", 1),
    ],
)
def test_words_of_a_big_endian_sender_are_as_wide_as_the_vr_says(vr, order, word):
    assert word_of(vr, order) == word
    data = bytes(range(16))
    read = located(vr, 0, 16, order, is_deflated=False).read(data)
    assert read == b"".join(data[at : at + word][::-1] for at in range(0, 16, word))


def test_a_value_that_is_no_whole_number_of_words_is_refused():
    with pytest.raises(Malformed, match="does not fit its VR OF"):
        located("OF", 0, 6, ">", is_deflated=False)


def test_spans_are_joined_and_no_piece_is_too_large(monkeypatch):
    monkeypatch.setattr(module, "CHUNK_BYTES", 4)
    place = Located(spans=((1, 6), (8, 8), (8, 12)), bits=72)
    data = b".abcde..fghi."
    assert list(place.chunks(data)) == [b"abcd", b"e", b"fghi"]
    assert place.read(data) == b"abcdefghi"
    assert place.size == 9


def test_bits_beyond_the_end_are_zero():
    place = Located(spans=((0, 2),), first_bit=3, bits=6)
    assert place.read(b"\xff\xff") == b"\x3f"
    assert place.size == 1


def test_an_empty_value_has_nothing_to_read():
    assert located("OW", 4, 4, ">", is_deflated=False).read(b"abcd") == b""


def test_offsets_of_a_deflated_data_set_count_what_it_holds():
    deflater = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    data = deflater.compress(b"abcdef") + deflater.flush()
    place = located("OB", 2, 4, "<", is_deflated=True)
    assert place.read(data) == b"cd"
    assert b"".join(place.chunks_of(b"abcdef")) == b"cd"


def test_another_data_set_that_is_shorter_is_noticed():
    with pytest.raises(Malformed, match="shorter"):
        located("OB", 2, 8, "<", is_deflated=False).read(b"abcdef")
