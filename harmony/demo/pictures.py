"""Gray pictures, drawn by plain Python: ellipses, and a word that says they are not real."""

from __future__ import annotations

import math
import sys
from array import array
from typing import Final, Literal

BACKGROUND_HU: Final = -1024  # air, and what a stored value of 0 means in `chest`

_LETTERS: Final = {  # 5 by 7
    "D": ("####.", "#...#", "#...#", "#...#", "#...#", "#...#", "####."),
    "E": ("#####", "#....", "#....", "####.", "#....", "#....", "#####"),
    "M": ("#...#", "##.##", "#.#.#", "#.#.#", "#...#", "#...#", "#...#"),
    "O": (".###.", "#...#", "#...#", "#...#", "#...#", "#...#", ".###."),
}
_WORD: Final = "DEMO"
_PITCH: Final = 6  # from letter to letter, in dots


class Picture:
    """A square that is drawn on; what is drawn later lies on top.

    Places and radii are parts of half its width: (-1, -1) is the corner at the top left, and
    (1, 1) the one at the bottom right.

    Args:
        size: rows, and columns.
        bits: 8 or 16 a pixel.
        background: value of every pixel at first.
    """

    def __init__(self, size: int, *, bits: Literal[8, 16], background: int = 0) -> None:
        self.size = size
        self.bits = bits
        self._type: Literal["B", "H"] = "B" if bits == 8 else "H"
        self._pixels = array(self._type, [background]) * (size * size)

    def ellipse(self, x: float, y: float, width: float, height: float, value: int) -> None:
        """Fill an ellipse with these radii around a place."""
        half = self.size / 2
        for row in range(self.size):
            above = ((row + 0.5) / half - 1 - y) / height
            if abs(above) < 1:
                reach = width * math.sqrt(1 - above * above)
                self._fill(row, (x - reach + 1) * half, (x + reach + 1) * half, value)

    def sign(self, value: int) -> None:
        """Write the word at the top left."""
        dot = max(1, self.size // 128)
        for place, letter in enumerate(_WORD):
            for line, dots in enumerate(_LETTERS[letter]):
                for column, mark in enumerate(dots):
                    if mark == "#":
                        left = (2 + place * _PITCH + column) * dot
                        for row in range((2 + line) * dot, (3 + line) * dot):
                            self._fill(row, left, left + dot, value)

    def encoded(self) -> bytes:
        """The pixels row by row, little endian."""
        pixels = self._pixels
        if self.bits == 16 and sys.byteorder == "big":
            pixels = array(self._type, pixels)
            pixels.byteswap()
        return pixels.tobytes()

    def _fill(self, row: int, left: float, right: float, value: int) -> None:
        first = min(max(round(left), 0), self.size)
        last = min(max(round(right), first), self.size)
        start = row * self.size
        self._pixels[start + first : start + last] = array(self._type, [value]) * (last - first)


def chest(size: int, height: float) -> Picture:
    """A slice through a chest at `height`, from 0 to 1; the values are HU + 1024."""
    open_lungs = math.sin(math.pi * min(max(height, 0.08), 0.92))
    picture = Picture(size, bits=16)
    for x, y, width, depth, hounsfield in (
        (0.0, 0.05, 0.84, 0.60, -90),  # fat
        (0.0, 0.05, 0.76, 0.52, 45),  # muscle
        (-0.36, 0.00, 0.27 * open_lungs, 0.40 * open_lungs, -860),
        (0.36, 0.00, 0.27 * open_lungs, 0.40 * open_lungs, -860),
        (0.06, 0.10, 0.15, 0.18, 55),  # heart
        (0.10, 0.33, 0.05, 0.05, 190),  # aorta
        (0.0, 0.46, 0.12, 0.10, 300),  # spine
        (0.0, 0.47, 0.05, 0.04, 20),
        (0.36 - 0.2 * height, -0.10, 0.03, 0.03, 80),  # something that moves from slice to slice
    ):
        picture.ellipse(x, y, width, depth, hounsfield - BACKGROUND_HU)
    picture.sign(400 - BACKGROUND_HU)
    return picture


def head(size: int, height: float) -> Picture:
    """A slice through a head at `height`, from 0 to 1, as an MR scanner might weight it."""
    wide = 0.55 + 0.2 * math.sin(math.pi * height)
    picture = Picture(size, bits=16)
    for x, y, width, depth, value in (
        (0.0, 0.0, wide, wide * 1.2, 700),  # scalp
        (0.0, 0.0, wide * 0.94, wide * 1.13, 60),  # skull
        (0.0, 0.0, wide * 0.88, wide * 1.06, 380),  # brain
        (-0.10, -0.05, 0.06, 0.22 * height, 900),  # ventricles
        (0.10, -0.05, 0.06, 0.22 * height, 900),
    ):
        if depth > 0:
            picture.ellipse(x, y, width, depth, value)
    picture.sign(900)
    return picture


def hand(size: int) -> Picture:
    """A radiograph of five fingers, bones white."""
    picture = Picture(size, bits=16, background=100)
    picture.ellipse(0.0, 0.55, 0.42, 0.42, 900)
    picture.ellipse(0.0, 0.60, 0.26, 0.28, 2200)
    for finger, length in enumerate((0.30, 0.48, 0.55, 0.48, 0.36)):
        x = -0.44 + 0.22 * finger
        picture.ellipse(x, 0.2 - length, 0.09, length, 900)
        for joint in range(3):
            center = 0.12 - length * (0.35 + 0.6 * joint)
            picture.ellipse(x, center, 0.045, length * 0.26, 2400)
    picture.sign(3500)
    return picture


def beat(size: int, phase: float) -> Picture:
    """One frame of an ultrasound loop; `phase` goes from 0 to 1 with each beat."""
    squeeze = 0.8 + 0.2 * math.cos(2 * math.pi * phase)
    picture = Picture(size, bits=8)
    picture.ellipse(0.0, 0.1, 0.75, 0.75, 70)
    picture.ellipse(0.0, 0.1, 0.50, 0.60, 150)
    picture.ellipse(0.0, 0.1, 0.36 * squeeze, 0.46 * squeeze, 15)
    picture.sign(230)
    return picture
