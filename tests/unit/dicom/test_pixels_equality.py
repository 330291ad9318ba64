"""Frames equal pydicom's, byte for byte: in its wheel, and in what `studies` makes."""

from __future__ import annotations

import warnings
from collections.abc import Iterator

import numpy as np
import pydicom
from pydicom.encaps import generate_frames
from pydicom.pixels.decoders.base import get_decoder
from pydicom.pixels.utils import pack_bits

from harmony.dicom.elements import Malformed
from harmony.dicom.pixels import NoPixelData, PixelIndex
from tests.support import specimens
from tests.support.pixel_sets import BIG_ENDIAN

# What is wrong with them: a value longer than the file, and a Number of Frames "1A".
REFUSED = frozenset(("MR_truncated.dcm", "badVR.dcm"))
# Written with words of 32 bits under VR OW, which are of 16: PS3.5 6.2. DCMTK reads as we do.
WIDE_WORDS = frozenset(("rtdose_expb.dcm", "rtdose_expb_1frame.dcm"))


def theirs(dataset: pydicom.FileDataset) -> Iterator[bytes]:
    syntax = dataset.file_meta.TransferSyntaxUID
    frames = int(dataset.get("NumberOfFrames") or 1)
    if syntax.is_encapsulated:
        yield from generate_frames(dataset.PixelData, number_of_frames=frames)
        return
    decoder = get_decoder(syntax)
    if dataset.BitsAllocated == 1:
        for array, _ in decoder.iter_array(dataset, raw=True):
            yield pack_bits(array, pad=False)
    elif syntax == BIG_ENDIAN:
        dataset.PlanarConfiguration = 0  # lest the samples are sorted
        for array, _ in decoder.iter_array(dataset, raw=True):
            yield array.astype(array.dtype.newbyteorder("<")).tobytes()
    else:
        for buffer, _ in decoder.iter_buffer(dataset, raw=True):
            yield bytes(buffer)


def compared(specimen: specimens.Specimen) -> int:
    """Compare all frames; how many there were."""
    data, syntax = specimen.instance.data, specimen.instance.transfer_syntax
    index = PixelIndex.of(data, syntax)
    ours = list(index.frames(data, range(1, index.number_of_frames + 1)))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of what pydicom thinks of its own files
        dataset = pydicom.dcmread(specimen.file)
        if specimen.file.name in WIDE_WORDS:
            words = np.frombuffer(dataset.PixelData, ">u2").astype("<u2").tobytes()
            assert b"".join(ours) == words
        else:
            assert ours == list(theirs(dataset)), specimen.file.name
    assert index.rows == dataset.Rows
    assert index.photometric_interpretation == dataset.PhotometricInterpretation
    return len(ours)


def test_frames_of_the_wheel_equal_pydicoms():
    frames, without, refused = 0, 0, set()
    for specimen in specimens.from_the_wheel():
        try:
            frames += compared(specimen)
        except NoPixelData:
            without += 1
        except Malformed:
            refused.add(specimen.file.name)
    assert refused == REFUSED
    assert frames > 150
    assert without > 5


def test_frames_of_made_studies_equal_pydicoms(tmp_path):
    frames = 0
    for specimen in specimens.made(tmp_path):
        try:
            frames += compared(specimen)
        except NoPixelData:
            continue
    assert frames >= 4 * 5 * 3
