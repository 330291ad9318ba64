"""Where the frames of an encoded data set lie. PS3.3 C.7.6.3, C.7.6.24, C.7.6.25; PS3.5 8, A.4.

`PixelIndex.of` passes over the data set once, up to its pixel data, and over the heads of their
fragments. A frame is then cut out by its offsets, without a look at the others. Nothing is
decompressed, and nothing is guessed: pixel data that may be taken apart in two ways are refused.
"""

from __future__ import annotations

import abc
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from harmony.dicom.elements import PIXEL_REPRESENTATION, Data, Malformed
from harmony.dicom.encapsulated import ExtendedTable, Fragments, fragments_of, whole_stream
from harmony.dicom.located import Located, word_of
from harmony.dicom.pixel_media import (
    ENCAPSULATED_UNCOMPRESSED,
    OCTET_STREAM,
    VIDEO,
    frame_syntax,
    is_native,
    media_type_of,
)
from harmony.dicom.scan import Found, Scan, opened
from harmony.dicom.uids import DEFLATED, EXPLICIT_LITTLE_ENDIAN
from harmony.errors import RequestError

_SAMPLES, _PHOTOMETRIC, _PLANAR, _FRAMES = 0x00280002, 0x00280004, 0x00280006, 0x00280008
_ROWS, _COLUMNS = 0x00280010, 0x00280011
_ALLOCATED, _STORED, _HIGH_BIT = 0x00280100, 0x00280101, 0x00280102
_OFFSETS, _LENGTHS = 0x7FE00001, 0x7FE00002  # extended offset table
_FLOAT, _DOUBLE, PIXEL_DATA = 0x7FE00008, 0x7FE00009, 0x7FE00010
_PIXELS = frozenset((_FLOAT, _DOUBLE, PIXEL_DATA))
_TABLES = frozenset((_OFFSETS, _LENGTHS))
_ABOUT = frozenset(
    (
        *(_SAMPLES, _PHOTOMETRIC, _PLANAR, _FRAMES, _ROWS, _COLUMNS),
        *(_ALLOCATED, _STORED, _HIGH_BIT, PIXEL_REPRESENTATION),
    )
)
_MAX_ABOUT_BYTES = 64
_UNCOMPRESSED = EXPLICIT_LITTLE_ENDIAN  # PS3.18 table 8.7.3-4 has nothing else
_COUNT = re.compile(rb"\+?([0-9]{1,10})")

# Two pixels beside each other share their chrominance. PS3.3 C.7.6.3.1.2.
_SUBSAMPLED = frozenset(("YBR_FULL_422", "YBR_PARTIAL_422"))


class NoPixelData(RequestError):
    """The instance has no pixel data, so it has no frames either."""

    default_code = "no-pixel-data"
    default_http_status = 404


class NoSuchFrame(RequestError):
    """A frame was asked for that the instance does not have: 404, or 400 if none can have it."""

    default_code = "no-such-frame"
    default_http_status = 404

    def __init__(self, number: int, number_of_frames: int) -> None:
        super().__init__(
            "there is no frame of the number that was asked for",
            http_status=400 if number < 1 else None,
            hint=f"ask for frames from 1 to {number_of_frames}",
        )


class NotInFrames(RequestError):
    """The pixel data are a video: one stream, with no frames that could stand alone."""

    default_code = "video-has-no-frames"
    default_http_status = 404


class Layout(abc.ABC):
    """Where each frame lies."""

    __slots__ = ()

    @abc.abstractmethod
    def frame(self, at: int) -> Located:
        """A frame, counted from 0, of those that there should be."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PixelIndex:
    """What the pixel data of one data set are, and where their frames lie in it.

    Holds offsets alone: it may be kept, and used on another view of the same data set.

    The attributes are as the data set has them. A number that it lacks is 0, a text is empty;
    but one frame and one sample are meant where it does not say, and all bits are in use.

    Attributes:
        tag: Pixel Data, Float Pixel Data or Double Float Pixel Data.
        is_encapsulated: frames are as an encoder wrote them; otherwise they are samples, which
            come out little endian.
    """

    transfer_syntax: str
    tag: int
    is_encapsulated: bool
    number_of_frames: int
    rows: int
    columns: int
    samples_per_pixel: int
    photometric_interpretation: str
    planar_configuration: int
    bits_allocated: int
    bits_stored: int
    high_bit: int
    pixel_representation: int
    layout: Layout = field(repr=False)

    @classmethod
    def of(cls, data: Data, transfer_syntax: str) -> PixelIndex:
        """Find the pixel data of a data set, which comes without file meta information.

        Raises:
            NoPixelData: there are none, or they are empty.
            Malformed: the data set is damaged, or its frames cannot be told apart; nothing of
                it is quoted.
        """
        plain, syntax = opened(data, transfer_syntax)
        scan = Scan(plain, syntax)
        about, pixels = _passed(scan, plain)
        is_encapsulated = pixels.stop is None
        if is_encapsulated and (pixels.tag != PIXEL_DATA or is_native(transfer_syntax)):
            raise Malformed("its pixel data are encapsulated, which its transfer syntax excludes")
        if not is_encapsulated and pixels.tag == PIXEL_DATA and not is_native(transfer_syntax):
            raise Malformed("its pixel data are not encapsulated, as its transfer syntax wants")
        allocated = about.number(_ALLOCATED)
        stored = about.number(_STORED, allocated)
        shape = _Shape(
            frames=about.number_of_frames(),
            rows=about.number(_ROWS),
            columns=about.number(_COLUMNS),
            samples=about.number(_SAMPLES, 1),
            photometric=about.text(_PHOTOMETRIC),
            allocated=allocated,
        )
        layout: Layout
        if pixels.stop is not None:
            layout = _native(shape, pixels, pixels.stop, is_deflated=transfer_syntax in DEFLATED)
        elif transfer_syntax in VIDEO:
            whole_stream(scan, pixels)  # damage is told now
            layout = _Video()
        else:
            fragments = fragments_of(
                scan,
                plain,
                pixels,
                transfer_syntax=transfer_syntax,
                number_of_frames=shape.frames,
                extended=about.extended_table(),
            )
            exact = shape.bits() if transfer_syntax == ENCAPSULATED_UNCOMPRESSED else None
            layout = _Encapsulated(fragments=fragments, exact_bits=exact)
        return cls(
            transfer_syntax=transfer_syntax,
            tag=pixels.tag,
            is_encapsulated=is_encapsulated,
            number_of_frames=shape.frames,
            rows=shape.rows,
            columns=shape.columns,
            samples_per_pixel=shape.samples,
            photometric_interpretation=shape.photometric,
            planar_configuration=about.number(_PLANAR),
            bits_allocated=allocated,
            bits_stored=stored,
            high_bit=about.number(_HIGH_BIT, max(stored - 1, 0)),
            pixel_representation=about.number(PIXEL_REPRESENTATION),
            layout=layout,
        )

    @property
    def media_type(self) -> str:
        """Of its frames as they are."""
        return media_type_of(self.transfer_syntax) if self.is_encapsulated else OCTET_STREAM

    @property
    def frame_syntax(self) -> str:
        """The transfer syntax that its frames are in when they come out."""
        return frame_syntax(self.transfer_syntax) if self.is_encapsulated else _UNCOMPRESSED

    def place(self, number: int) -> Located:
        """Where a frame lies, to read it piece by piece. The first has number 1.

        Raises:
            NoSuchFrame: there are not so many, or there is no such number.
            NotInFrames: it is a video.
            Malformed: the pixel data end before the frame does.
        """
        if not 1 <= number <= self.number_of_frames:
            raise NoSuchFrame(number, self.number_of_frames)
        return self.layout.frame(number - 1)

    def frame(self, data: Data, number: int) -> bytes:
        """One frame, out of the data set that the index was made of.

        Raises:
            RequestError, Malformed: as `place` does.
        """
        return next(self.frames(data, (number,)))

    def frames(self, data: Data, numbers: Iterable[int]) -> Iterator[bytes]:
        """Several frames, in the order asked for; a deflated data set is inflated once.

        All numbers are looked at before the first frame is read.

        Raises:
            RequestError, Malformed: as `place` does.
        """
        places = [self.place(number) for number in numbers]
        plain, _ = opened(data, self.transfer_syntax)
        return (b"".join(place.chunks_of(plain)) for place in places)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Shape:
    """How large the pixel data should be."""

    frames: int
    rows: int
    columns: int
    samples: int
    photometric: str
    allocated: int

    def bits(self, *, subsampled: bool = False) -> int:
        """Of a frame; at least one.

        Raises:
            Malformed: the data set does not tell.
        """
        samples = 2 if subsampled else self.samples
        bits = self.rows * self.columns * samples * self.allocated
        if not bits:
            raise Malformed("it does not tell how large its frames are")
        return bits


def _native(shape: _Shape, pixels: Found, stop: int, *, is_deflated: bool) -> _Native:
    """PS3.5 8.1.1, 8.2."""
    length = stop - pixels.start
    word = word_of(pixels.vr, pixels.syntax.order)
    if length % word:
        raise Malformed(f"the length of its pixel data does not fit their VR {pixels.vr}")
    bits = shape.bits()
    # Some say they are subsampled and are not, which their size betrays.
    is_full = length - -(-shape.frames * bits // 8) in (0, 1)
    if shape.samples == 3 and shape.photometric in _SUBSAMPLED and not is_full:
        bits = shape.bits(subsampled=True)
    return _Native(
        start=pixels.start, stop=stop, frame_bits=bits, word=word, is_deflated=is_deflated
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Native(Layout):
    """Frames one behind the other, even within a byte. PS3.5 8.1.1."""

    start: int
    stop: int
    frame_bits: int
    word: int
    is_deflated: bool

    def frame(self, at: int) -> Located:
        first = at * self.frame_bits
        if first + self.frame_bits > 8 * (self.stop - self.start):
            raise Malformed("its pixel data end before the frame does")
        span = (self.start, self.stop)
        if self.word == 1 and not first % 8 and not self.frame_bits % 8:
            begin = self.start + first // 8
            span, first = (begin, begin + self.frame_bits // 8), 0
        return Located(
            spans=(span,),
            bits=self.frame_bits,
            first_bit=first,
            word=self.word,
            is_deflated=self.is_deflated,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Encapsulated(Layout):
    """Frames of fragments.

    Attributes:
        exact_bits: of each frame, if what is encapsulated is not compressed. PS3.5 A.4.11.
    """

    fragments: Fragments
    exact_bits: int | None

    def frame(self, at: int) -> Located:
        spans = self.fragments.of_frame(at)
        size = sum(stop - start for start, stop in spans)
        if not size:
            raise Malformed("a frame of its pixel data is empty")
        if self.exact_bits is None:
            return Located(spans=spans, bits=8 * size)
        exact = -(-self.exact_bits // 8)
        if size - exact not in (0, 1):
            raise Malformed("a frame of its pixel data has another size than it should")
        ((start, _),) = spans  # one fragment is one frame there
        return Located(spans=((start, start + exact),), bits=self.exact_bits)


class _Video(Layout):
    """One stream. PS3.5 8.2.5 to 8.2.8."""

    __slots__ = ()

    def frame(self, at: int) -> Located:
        raise NotInFrames(
            "the instance is a video, which has no frames that stand alone",
            hint="ask for the whole video, as /rendered or as bulk data",
        )


class _About:
    """What a data set says of its pixel data."""

    def __init__(self) -> None:
        self._values: dict[int, tuple[bytes, str]] = {}

    def take(self, found: Found, raw: bytes) -> None:
        # A value whose sender did not know the VR is little endian. PS3.5 6.2.2.
        self._values[found.tag] = raw, "<" if found.vr == "UN" else found.syntax.order

    def number(self, tag: int, default: int = 0) -> int:
        """The first value of an attribute of VR US."""
        raw, order = self._values.get(tag, (b"", "<"))
        if not raw:
            return default
        if len(raw) % 2:
            raise Malformed("the length of an element does not fit its VR US")
        return int.from_bytes(raw[:2], "little" if order == "<" else "big")

    def text(self, tag: int) -> str:
        raw, _ = self._values.get(tag, (b"", "<"))
        return raw.decode("latin-1").strip(" \0")

    def number_of_frames(self) -> int:
        """It may be missing where there is one; 0 of them makes no sense. PS3.3 C.7.6.6."""
        raw, _ = self._values.get(_FRAMES, (b"", "<"))
        text = raw.strip(b" \0")
        if not text:
            return 1
        count = _COUNT.fullmatch(text)
        if count is None:
            raise Malformed("its Number of Frames is no number")
        return max(1, int(count[1]))

    def extended_table(self) -> ExtendedTable | None:
        offsets, _ = self._values.get(_OFFSETS, (b"", "<"))
        if not offsets:
            return None
        lengths, _ = self._values.get(_LENGTHS, (b"", "<"))
        return ExtendedTable(offsets=offsets, lengths=lengths)


def _passed(scan: Scan, plain: Data) -> tuple[_About, Found]:
    """Pass over the data set up to its pixel data."""
    about = _About()
    for found in scan.elements(scan.top):
        if found.tag in _PIXELS:
            if found.start == found.stop:
                break
            return about, found
        if found.tag > PIXEL_DATA:
            break
        if found.stop is not None and (found.tag in _ABOUT or found.tag in _TABLES):
            if found.tag in _ABOUT and found.stop - found.start > _MAX_ABOUT_BYTES:
                raise Malformed("what describes its pixel data is too long")
            about.take(found, plain[found.start : found.stop])
    raise NoPixelData("the instance has no pixel data")
