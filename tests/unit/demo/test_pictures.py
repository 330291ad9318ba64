"""What is drawn is where it should be, and nothing is drawn outside."""

import pytest

from harmony.demo import pictures
from harmony.demo.pictures import Picture


def rows(picture):
    data, width = picture.encoded(), picture.size * picture.bits // 8
    return [data[start : start + width] for start in range(0, len(data), width)]


def test_an_ellipse_fills_its_middle_and_not_the_corners():
    picture = Picture(8, bits=8, background=1)
    picture.ellipse(0, 0, 1, 0.5, 9)
    assert rows(picture) == [
        bytes([1] * 8),
        bytes([1] * 8),
        bytes([1, 9, 9, 9, 9, 9, 9, 1]),
        bytes([9] * 8),
        bytes([9] * 8),
        bytes([1, 9, 9, 9, 9, 9, 9, 1]),
        bytes([1] * 8),
        bytes([1] * 8),
    ]


@pytest.mark.parametrize(
    ("x", "y", "width", "height"), [(-3, 0, 1, 1), (0, 5, 1, 1), (1, -1, 0.5, 0.5), (0, 0, 9, 9)]
)
def test_what_reaches_beyond_the_edge_is_cut_off(x, y, width, height):
    picture = Picture(8, bits=16)
    picture.ellipse(x, y, width, height, 5)
    assert len(picture.encoded()) == 8 * 8 * 2


def test_sixteen_bits_are_little_endian():
    assert Picture(1, bits=16, background=0x0102).encoded() == b"\x02\x01"


def test_later_shapes_lie_on_top():
    picture = Picture(2, bits=8)
    picture.ellipse(0, 0, 2, 2, 1)
    picture.ellipse(0, 0, 2, 2, 7)
    assert picture.encoded() == bytes([7] * 4)


@pytest.mark.parametrize(
    "picture",
    [
        pictures.chest(64, 0.5),
        pictures.head(64, 0.0),
        pictures.head(64, 0.5),
        pictures.hand(64),
        pictures.beat(64, 0.5),
    ],
)
def test_every_picture_says_that_it_is_a_demo(picture):
    signed = Picture(64, bits=8)
    signed.sign(1)
    pixels = picture.encoded()
    step = picture.bits // 8
    values = [
        int.from_bytes(pixels[at : at + step], "little") for at in range(0, len(pixels), step)
    ]
    marked = {value for value, mark in zip(values, signed.encoded(), strict=True) if mark}
    assert marked == {max(values)}


def test_slices_differ_with_their_height():
    drawn = {pictures.chest(64, number / 20).encoded() for number in range(20)}
    assert len(drawn) == 20
