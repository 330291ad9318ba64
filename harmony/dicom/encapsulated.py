"""Which fragments of encapsulated pixel data make which frame. PS3.5 A.4."""

from __future__ import annotations

import struct
from array import array
from bisect import bisect_left
from dataclasses import dataclass

from harmony.dicom.elements import Data, Malformed
from harmony.dicom.pixel_media import ENCAPSULATED_UNCOMPRESSED, RLE
from harmony.dicom.scan import Found, Scan

# A frame of these is one fragment. PS3.5 A.4.2, A.4.11.
_ONE_FRAGMENT_EACH = frozenset((RLE, ENCAPSULATED_UNCOMPRESSED))

# JPEG and JPEG-LS: SOI and what begins the next marker, EOI. ITU-T T.81 B.1.1.
# JPEG 2000: SOC and SIZ, EOC. ITU-T T.800 A.4.
_STARTS = (b"\xff\xd8\xff", b"\xff\x4f\xff\x51")
_START_BYTES = 4
_END = b"\xff\xd9"
_END_BYTES = 10  # with the padding behind it: a byte by PS3.5 A.4, and more from some encoders


@dataclass(frozen=True, slots=True, kw_only=True)
class ExtendedTable:
    """Values of (7FE0,0001) and (7FE0,0002). PS3.3 C.7.6.3.1.8."""

    offsets: bytes
    lengths: bytes


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Fragments:
    """Where fragments lie, without the basic offset table, and which are the first of a frame.

    Attributes:
        firsts: index of each frame's first fragment, and one past the last of all.
    """

    starts: array[int]
    stops: array[int]
    firsts: array[int]

    def of_frame(self, at: int) -> tuple[tuple[int, int], ...]:
        """Start and stop of each fragment of a frame, which is counted from 0."""
        own = slice(self.firsts[at], self.firsts[at + 1])
        return tuple(zip(self.starts[own], self.stops[own], strict=True))


def whole_stream(scan: Scan, pixels: Found) -> tuple[tuple[int, int], ...]:
    """Start and stop of each fragment but the basic offset table.

    Raises:
        Malformed: the fragments are damaged.
    """
    _, starts, stops = _passed(scan, pixels)
    return tuple(zip(starts, stops, strict=True))


def fragments_of(
    scan: Scan,
    data: Data,
    pixels: Found,
    *,
    transfer_syntax: str,
    number_of_frames: int,
    extended: ExtendedTable | None,
) -> Fragments:
    """Tell the frames apart, by a table if there is one.

    Without a table they are told apart if one fragment is one frame or all are, or if the
    compressed data of each frame show where they begin and end.

    Raises:
        Malformed: a table or the fragments are damaged, or it cannot be told for sure.
    """
    table, starts, stops = _passed(scan, pixels)
    if number_of_frames > len(starts):
        raise Malformed("its pixel data have fewer fragments than frames")
    one_each = number_of_frames == len(starts)
    if transfer_syntax in _ONE_FRAGMENT_EACH and not one_each:
        raise Malformed("its pixel data have more fragments than frames")
    if extended is not None:
        if not one_each:
            raise Malformed("its extended offset table is for one fragment a frame")
        stops = _by_extended_table(extended, starts, stops)
        firsts = array("Q", range(number_of_frames))
    elif table[0] < table[1]:
        firsts = _by_basic_table(data[table[0] : table[1]], starts, number_of_frames)
    elif one_each:
        firsts = array("Q", range(number_of_frames))
    elif number_of_frames == 1:
        firsts = array("Q", [0])
    else:
        firsts = _by_markers(data, starts, stops, number_of_frames)
    firsts.append(len(starts))
    return Fragments(starts=starts, stops=stops, firsts=firsts)


def _passed(scan: Scan, pixels: Found) -> tuple[tuple[int, int], array[int], array[int]]:
    """Where the basic offset table is, and starts and stops of the fragments."""
    passing = scan.fragments(pixels)
    table = next(passing, None)
    if table is None:
        raise Malformed("its pixel data have no offset table, not even an empty one")
    starts, stops = array("Q"), array("Q")
    for start, stop in passing:
        starts.append(start)
        stops.append(stop)
    if not starts:
        raise Malformed("its pixel data have no fragments")
    return table, starts, stops


def _by_extended_table(table: ExtendedTable, starts: array[int], stops: array[int]) -> array[int]:
    """Where frames end, of which each has one fragment; without padding."""
    size = 8 * len(starts)
    if len(table.offsets) != size or len(table.lengths) != size:
        raise Malformed("its extended offset table is not one of its frames")
    first = starts[0]
    ends = array("Q")
    offsets = struct.iter_unpack("<Q", table.offsets)
    lengths = struct.iter_unpack("<Q", table.lengths)
    for start, stop, (offset,), (length,) in zip(starts, stops, offsets, lengths, strict=True):
        if offset != start - first:
            raise Malformed("its extended offset table leads elsewhere than to a fragment")
        if stop - start - length not in (0, 1):
            raise Malformed("its extended offset table gives a length that is none of a fragment")
        ends.append(start + length)
    return ends


def _by_basic_table(raw: bytes, starts: array[int], number_of_frames: int) -> array[int]:
    """The first fragment of each frame."""
    if len(raw) != 4 * number_of_frames:
        raise Malformed("its basic offset table is not one of its frames")
    firsts = array("Q")
    for (offset,) in struct.iter_unpack("<L", raw):
        start = starts[0] + offset
        index = bisect_left(starts, start)
        if index == len(starts) or starts[index] != start:
            raise Malformed("its basic offset table leads elsewhere than to a fragment")
        if firsts and index <= firsts[-1]:
            raise Malformed("its basic offset table is not in order")
        firsts.append(index)
    if firsts[0]:
        raise Malformed("its basic offset table leaves out a fragment")
    return firsts


def _by_markers(
    data: Data, starts: array[int], stops: array[int], number_of_frames: int
) -> array[int]:
    """The fragments that begin as a frame does, and before which one has ended."""
    firsts = array("Q")
    ended, tail = True, b""
    for index, (start, stop) in enumerate(zip(starts, stops, strict=True)):
        if ended and _begins(data[start : min(start + _START_BYTES, stop)]):
            firsts.append(index)
        tail = (tail + data[max(stop - _END_BYTES, start) : stop])[-_END_BYTES:]
        ended = tail.rstrip(b"\0").endswith(_END)
    if not ended or len(firsts) != number_of_frames or firsts[0]:
        raise Malformed("its frames cannot be told apart")
    return firsts


def _begins(head: bytes) -> bool:
    """Whether a fragment begins as a frame does; a short one may hold the first marker alone."""
    return len(head) > 1 and any(head.startswith(start[: len(head)]) for start in _STARTS)
