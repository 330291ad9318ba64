"""Compressed pixel data as samples. Blocks; meant for a thread.

No colours are converted: samples are in the space that they were compressed in, unless the
compression itself has one of its own (JPEG 2000's RCT and ICT come out as RGB). Where chroma was
subsampled, it is as dense as the rest. PS3.5 8.2, PS3.3 C.7.6.3.1.2.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.pixels.decoders.base import get_decoder
from pydicom.pixels.utils import pixel_array
from pydicom.uid import UID

from harmony.dicom.elements import LONG_VRS, SYNTAXES, Element, Malformed, Syntax
from harmony.dicom.pixel_media import is_native
from harmony.dicom.pixels import PixelIndex
from harmony.dicom.scan import Scan, opened
from harmony.dicom.transcode import encode
from harmony.dicom.uids import DEFLATED, EXPLICIT_LITTLE_ENDIAN
from harmony.errors import RequestError, UpstreamError

MAX_FRAME_BYTES = 512 * 1024 * 1024
MAX_INSTANCE_BYTES = 1024 * 1024 * 1024

_FLOAT, _DOUBLE, _PIXEL_DATA = 0x7FE00008, 0x7FE00009, 0x7FE00010
_OFFSETS = frozenset((0x7FE00001, 0x7FE00002, 0x7FE00003))  # PS3.3 C.7.6.3
_PHOTOMETRIC, _PLANAR = 0x00280004, 0x00280006
# What samples are in once they are decoded. PS3.3 C.7.6.3.1.2.
_SPACES = {"YBR_FULL_422": "YBR_FULL", "YBR_RCT": "RGB", "YBR_ICT": "RGB"}


def is_decodable(transfer_syntax: str) -> bool:
    """Whether what is compressed or deflated in it can be had as samples."""
    if is_native(transfer_syntax):
        return transfer_syntax in DEFLATED
    try:
        return bool(get_decoder(transfer_syntax).is_available)
    except NotImplementedError:
        return False


def check_size(index: PixelIndex) -> None:
    """See that a frame is not larger than may be.

    Raises:
        UpstreamError
    """
    if _frame_bytes(index) > MAX_FRAME_BYTES:
        raise UpstreamError(
            f"a frame of an instance has more than {MAX_FRAME_BYTES} bytes",
            code="frame-too-large",
        )


def decoded(index: PixelIndex, frame: bytes, *, raw: bool) -> NDArray[np.generic]:
    """The samples of one frame, as an array of rows and columns, and of samples if there are more.

    Args:
        raw: False to convert colours to red, green and blue.

    Raises:
        Exception: of whatever kind a decoder raises.
    """
    one = Dataset()
    one.file_meta = FileMetaDataset()
    one.file_meta.TransferSyntaxUID = UID(index.frame_syntax)
    one.Rows, one.Columns = index.rows, index.columns
    one.SamplesPerPixel = index.samples_per_pixel
    usual = "MONOCHROME2" if index.samples_per_pixel == 1 else "RGB"
    one.PhotometricInterpretation = index.photometric_interpretation or usual
    one.BitsAllocated, one.BitsStored = index.bits_allocated, index.bits_stored
    one.HighBit, one.PixelRepresentation = index.high_bit, index.pixel_representation
    if index.samples_per_pixel > 1:
        one.PlanarConfiguration = index.planar_configuration
    padded = frame + bytes(len(frame) % 2)
    if index.tag == _FLOAT:
        one.FloatPixelData = padded
    elif index.tag == _DOUBLE:
        one.DoubleFloatPixelData = padded
    elif index.is_encapsulated:
        one.PixelData = encapsulate([frame])
        one["PixelData"].is_undefined_length = True
    else:
        one.PixelData = padded
    return pixel_array(one, raw=raw)


def samples_of(index: PixelIndex, frame: bytes) -> bytes:
    """One frame as samples: little endian, in as many bytes as Bits Allocated says, by pixel.

    Raises:
        UpstreamError: it is damaged, or larger than may be.
    """
    check_size(index)
    try:
        array = decoded(index, frame, raw=True)
        kind = "i" if index.pixel_representation else "u"
        return array.astype(f"<{kind}{index.bits_allocated // 8}").tobytes()
    except MemoryError:
        raise
    except Exception as exc:  # decoders raise whatever comes to their mind
        raise undecodable() from exc


def decompressed(data: bytes, transfer_syntax: str) -> bytes:
    """A data set with its pixel data decoded, in explicit VR little endian.

    With the pixel data go their offset tables, and what is needed to read them is changed:
    Photometric Interpretation where chroma was subsampled or the compression had a space of its
    own, Planar Configuration. All else stays byte for byte. The instance is the same: a sample
    that was lost in compression does not come back, and it says so as before. PS3.3 C.7.6.1.1.5.

    Raises:
        RequestError: 406, it is larger than is decoded here.
        UpstreamError: its pixels are damaged.
        Malformed: it is no data set.
    """
    plain, syntax = opened(data, transfer_syntax)
    if not syntax.explicit:
        raise Malformed("it is in implicit VR, which its transfer syntax excludes")
    if transfer_syntax in DEFLATED:
        return bytes(plain)
    index = PixelIndex.of(data, transfer_syntax)
    check_size(index)
    if index.number_of_frames * _frame_bytes(index) > MAX_INSTANCE_BYTES:
        raise too_large()
    written: list[bytes] = []
    for tag, start, stop in _elements(plain, syntax):
        if tag == _PIXEL_DATA:
            frames = index.frames(data, range(1, index.number_of_frames + 1))
            written.append(_pixel_data(index, [samples_of(index, frame) for frame in frames]))
        elif tag == _PHOTOMETRIC:
            space = _SPACES.get(index.photometric_interpretation, index.photometric_interpretation)
            written.append(_element(tag, "CS", space.encode() + b" " * (len(space) % 2)))
        elif tag == _PLANAR:
            written.append(_element(tag, "US", b"\0\0"))
        elif tag not in _OFFSETS:
            written.append(plain[start:stop])
    return b"".join(written)


def _elements(data: bytes | mmap.mmap, syntax: Syntax) -> Iterator[tuple[int, int, int]]:
    """Tag, start and stop of each element of the top level, its head included."""
    scan = Scan(data, syntax)
    begun: tuple[int, int] | None = None
    for found in scan.elements(scan.top):
        start = found.start - (12 if found.vr in LONG_VRS else 8)
        if begun is not None:
            yield *begun, start
        begun = found.tag, start
    if begun is not None:
        yield *begun, len(data)


def _pixel_data(index: PixelIndex, frames: list[bytes]) -> bytes:
    value = b"".join(frames)
    vr = "OW" if index.bits_allocated > 8 else "OB"
    return _element(_PIXEL_DATA, vr, value + bytes(len(value) % 2))


def _element(tag: int, vr: str, value: bytes) -> bytes:
    return encode([Element(tag, vr, value)], SYNTAXES[EXPLICIT_LITTLE_ENDIAN])


def too_large() -> RequestError:
    """The error for an instance that is larger than is decoded here."""
    return RequestError(
        f"an instance of more than {MAX_INSTANCE_BYTES} bytes is not decoded here",
        code="not-acceptable",
        http_status=406,
        hint="ask with transfer-syntax=* for it as it is stored",
    )


def undecodable() -> UpstreamError:
    """The error for pixels that no decoder can read."""
    return UpstreamError("the pixels of an instance cannot be decoded", code="undecodable-pixels")


def _frame_bytes(index: PixelIndex) -> int:
    return index.rows * index.columns * index.samples_per_pixel * max(index.bits_allocated, 8) // 8
