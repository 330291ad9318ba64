"""Compressed pixel data as samples. Blocks; meant for a thread.

No colours are converted: samples are in the space that they were compressed in, unless the
compression itself has one of its own (JPEG 2000's RCT and ICT come out as RGB). Where chroma was
subsampled, it is as dense as the rest. PS3.5 8.2, PS3.3 C.7.6.3.1.2.
"""

from __future__ import annotations

import functools
import io

import numpy as np
from numpy.typing import NDArray
from pydicom import dcmread
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset
from pydicom.pixels.decoders.base import get_decoder
from pydicom.pixels.utils import decompress, pixel_array
from pydicom.uid import UID

from harmony.dicom.part10 import file_head
from harmony.dicom.pixels import PixelIndex
from harmony.dicom.uids import DEFLATED
from harmony.errors import RequestError, UpstreamError

MAX_FRAME_BYTES = 512 * 1024 * 1024
MAX_INSTANCE_BYTES = 1024 * 1024 * 1024

_FLOAT, _DOUBLE = 0x7FE00008, 0x7FE00009
# pydicom reads files; of the head only the syntax counts.
_HEAD = functools.partial(file_head, sop_class_uid="1.2", sop_instance_uid="1.2")


def is_decodable(transfer_syntax: str) -> bool:
    """Whether there is a decoder for it, or what is deflated in it can be inflated."""
    if transfer_syntax in DEFLATED:
        return True
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

    What the pixel data need to be read is changed with them: Photometric Interpretation where
    chroma was subsampled, Planar Configuration. The instance stays the same: a sample that was
    lost in compression does not come back, and it says so as before. PS3.3 C.7.6.1.1.5.

    Raises:
        RequestError: 406, it is larger than is decoded here.
        UpstreamError: it is damaged.
    """
    try:
        head = file_head(
            sop_class_uid="1.2", sop_instance_uid="1.2", transfer_syntax=transfer_syntax
        )
        found = dcmread(io.BytesIO(head + data))
        if transfer_syntax not in DEFLATED:
            index = PixelIndex.of(data, transfer_syntax)
            check_size(index)
            if index.number_of_frames * _frame_bytes(index) > MAX_INSTANCE_BYTES:
                raise too_large()
            decompress(found, as_rgb=False, generate_instance_uid=False)
        out = DicomBytesIO()
        out.is_little_endian, out.is_implicit_VR = True, False
        write_dataset(out, found)
    except (RequestError, UpstreamError, MemoryError):
        raise
    except Exception as exc:  # decoders raise whatever comes to their mind
        raise undecodable() from exc
    return out.getvalue()


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
