"""Data sets with pixel data, native and encapsulated, written element by element. PS3.5 8, A.4."""

from __future__ import annotations

import enum
import struct
from collections.abc import Iterable, Mapping, Sequence
from itertools import accumulate
from typing import Final

IMPLICIT: Final = "1.2.840.10008.1.2"
EXPLICIT: Final = "1.2.840.10008.1.2.1"
BIG_ENDIAN: Final = "1.2.840.10008.1.2.2"
JPEG: Final = "1.2.840.10008.1.2.4.50"
JPEG_2000: Final = "1.2.840.10008.1.2.4.90"
RLE: Final = "1.2.840.10008.1.2.5"
UNDEFINED: Final = 0xFFFFFFFF

SAMPLES, PHOTOMETRIC, FRAMES = 0x00280002, 0x00280004, 0x00280008
ROWS, COLUMNS, ALLOCATED = 0x00280010, 0x00280011, 0x00280100
STORED, HIGH_BIT, REPRESENTATION = 0x00280101, 0x00280102, 0x00280103
OFFSETS, LENGTHS, PIXEL_DATA = 0x7FE00001, 0x7FE00002, 0x7FE00010

_LONG_VRS = frozenset(
    ("OB", "OD", "OF", "OL", "OV", "OW", "SQ", "SV", "UC", "UN", "UR", "UT", "UV")
)


class Table(enum.Enum):
    """What tells where frames begin."""

    NONE = "none"
    BASIC = "basic"
    EXTENDED = "extended"


def element(
    tag: int, vr: str, value: bytes, syntax: str = EXPLICIT, *, length: int | None = None
) -> bytes:
    """One element; `length` is what it claims. Nothing is padded."""
    order = ">" if syntax == BIG_ENDIAN else "<"
    told = len(value) if length is None else length
    head = struct.pack(order + "HH", tag >> 16, tag & 0xFFFF)
    if syntax == IMPLICIT:
        return head + struct.pack("<L", told) + value
    return (
        head + vr.encode() + struct.pack(order + ("xxL" if vr in _LONG_VRS else "H"), told) + value
    )


def item(value: bytes, syntax: str = EXPLICIT) -> bytes:
    """An item or a fragment."""
    order = ">" if syntax == BIG_ENDIAN else "<"
    return struct.pack(order + "HHL", 0xFFFE, 0xE000, len(value)) + value


def sequence_end(syntax: str = EXPLICIT) -> bytes:
    return struct.pack((">" if syntax == BIG_ENDIAN else "<") + "HHL", 0xFFFE, 0xE0DD, 0)


def about(
    syntax: str = EXPLICIT,
    *,
    frames: int | None = None,
    photometric: str = "MONOCHROME2",
    numbers: Mapping[int, int] | None = None,
) -> bytes:
    """The elements that describe pixel data; `numbers` are those of VR US."""
    order = ">" if syntax == BIG_ENDIAN else "<"
    found = {
        tag: ("US", struct.pack(order + "H", number)) for tag, number in (numbers or {}).items()
    }
    text = photometric.encode()
    found[PHOTOMETRIC] = ("CS", text + b" " * (len(text) % 2))
    if frames is not None:
        text = str(frames).encode()
        found[FRAMES] = ("IS", text + b" " * (len(text) % 2))
    return b"".join(element(tag, vr, value, syntax) for tag, (vr, value) in sorted(found.items()))


def native(
    value: bytes,
    syntax: str = EXPLICIT,
    *,
    rows: int,
    columns: int,
    bits: int = 8,
    samples: int = 1,
    frames: int | None = None,
    vr: str = "OB",
    photometric: str = "MONOCHROME2",
) -> bytes:
    """A data set of such pixel data; its value is padded to even length."""
    numbers = {SAMPLES: samples, ROWS: rows, COLUMNS: columns, ALLOCATED: bits}
    described = about(syntax, frames=frames, photometric=photometric, numbers=numbers)
    return described + element(PIXEL_DATA, vr, value + bytes(len(value) % 2), syntax)


def encapsulated(
    frames: Sequence[Sequence[bytes]],
    *,
    table: Table = Table.NONE,
    number_of_frames: int | None = None,
    basic: Iterable[int] | None = None,
    offsets: Iterable[int] | None = None,
    lengths: Iterable[int] | None = None,
) -> bytes:
    """A data set of such frames, each a number of fragments; odd ones are padded.

    What is given besides stands in it in place of what is true.
    """
    sizes = [sum(8 + len(part) + len(part) % 2 for part in frame) for frame in frames]
    true = [0, *accumulate(sizes)][: len(frames)]
    told = len(frames) if number_of_frames is None else number_of_frames
    found = about(frames=told)
    if table is Table.EXTENDED:
        real = [sum(map(len, frame)) for frame in frames]
        found += element(OFFSETS, "OV", _packed("Q", true if offsets is None else offsets))
        found += element(LENGTHS, "OV", _packed("Q", real if lengths is None else lengths))
    written = basic if basic is not None else true if table is Table.BASIC else ()
    parts = [item(_packed("L", written))]
    parts += [item(part + bytes(len(part) % 2)) for frame in frames for part in frame]
    value = b"".join(parts) + sequence_end()
    return found + element(PIXEL_DATA, "OB", value, length=UNDEFINED)


def _packed(code: str, numbers: Iterable[int]) -> bytes:
    return b"".join(struct.pack("<" + code, number) for number in numbers)
