"""Compressed pixel data as samples: pydicom's own decoding of whole files is the oracle."""

from __future__ import annotations

import io
import warnings
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom import Dataset, dcmread
from pydicom.pixels.utils import pixel_array
from pydicom.uid import ExplicitVRLittleEndian

from harmony.dicom.elements import Malformed
from harmony.dicom.part10 import file_head
from harmony.dicom.pixels import PixelIndex
from harmony.dicom.uids import DEFLATED, EXPLICIT_LITTLE_ENDIAN
from harmony.errors import RequestError, UpstreamError
from harmony.rendering import decodes, decoding
from harmony.rendering.decoding import decompressed, is_decodable, samples_of
from tests.support.bad_pacs.instances import instance_from_file
from tests.support.specimens import from_the_wheel, made

NATIVE = {"1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2"}
WHEEL = Path(pydicom.__file__).parent / "data" / "test_files"
# Their pixels are damaged, or not what their attributes say: pydicom raises or guesses.
ODD = {
    *("JPEG-lossy.dcm", "JPGExtended.dcm", "SC_jpeg_no_color_transform.dcm"),
    *("JPEG2000-embedded-sequence-delimiter.dcm", "emri_small_jpeg_2k_lossless_too_short.dcm"),
    "SC_rgb_jpeg.dcm",  # in implicit VR
}


def read(file: Path) -> Dataset:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the samples have all kinds of faults
        return dcmread(file)


def compressed() -> list[Path]:
    found = []
    for one in from_the_wheel():
        syntax = one.instance.transfer_syntax
        if syntax not in NATIVE | DEFLATED and is_decodable(syntax):
            dataset = read(one.file)
            if "PixelData" in dataset and one.file.name not in ODD:
                found.append(one.file)
    return found


FILES = compressed()


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
@pytest.mark.filterwarnings("ignore")
def test_frames_and_instances_have_the_samples_that_pydicom_has(file: Path) -> None:
    instance = instance_from_file(file)
    source = read(file)
    expected = pixel_array(source, raw=True)
    index = PixelIndex.of(instance.data, instance.transfer_syntax)
    frames = expected if index.number_of_frames > 1 else expected[np.newaxis]
    kind = f"<{'i' if index.pixel_representation else 'u'}{index.bits_allocated // 8}"
    for number, frame in enumerate(frames, 1):
        got = samples_of(index, index.frame(instance.data, number))
        assert np.array_equal(np.frombuffer(got, kind).reshape(frame.shape), frame)

    data = decompressed(instance.data, instance.transfer_syntax)
    head = file_head(
        sop_class_uid=str(source.SOPClassUID) if "SOPClassUID" in source else "1.2",
        sop_instance_uid="1.2",
        transfer_syntax=EXPLICIT_LITTLE_ENDIAN,
    )
    found = dcmread(io.BytesIO(head + data))
    assert found.file_meta.TransferSyntaxUID == ExplicitVRLittleEndian
    assert np.array_equal(pixel_array(found), pixel_array(source))
    about_pixels = {"PixelData", "PhotometricInterpretation", "PlanarConfiguration"}
    about_pixels |= {"ExtendedOffsetTable", "ExtendedOffsetTableLengths"}
    for element in source:
        if element.keyword not in about_pixels:
            assert found[element.tag] == element
    assert found.get("LossyImageCompression") == source.get("LossyImageCompression")


def test_there_are_samples_of_many_syntaxes() -> None:
    assert len({instance_from_file(file).transfer_syntax for file in FILES}) >= 7


def test_what_is_deflated_is_inflated(tmp_path: Path) -> None:
    (one, *_) = [one for one in made(tmp_path) if one.is_deflated]
    found = decompressed(one.instance.data, one.instance.transfer_syntax)
    head = file_head(
        sop_class_uid="1.2", sop_instance_uid="1.2", transfer_syntax=EXPLICIT_LITTLE_ENDIAN
    )
    again, source = dcmread(io.BytesIO(head + found)), dcmread(one.file)
    assert list(again) == list(source)


@pytest.mark.parametrize(
    ("syntax", "expected"),
    [
        ("1.2.840.10008.1.2.5", True),
        ("1.2.840.10008.1.2.4.90", True),
        ("1.2.840.10008.1.2.1.99", True),
        ("1.2.840.10008.1.2.1", False),
        ("1.2.840.10008.1.2.4.102", False),
        ("1.2.3", False),
    ],
)
def test_what_can_be_decoded(syntax: str, expected: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    assert decodes(syntax) is expected
    monkeypatch.setattr("harmony.rendering.available", lambda: False)
    assert not decodes(syntax)


def test_damaged_pixels_are_a_failure_of_whoever_sent_them() -> None:
    instance = instance_from_file(WHEEL / "JPEG2000.dcm")
    index = PixelIndex.of(instance.data, instance.transfer_syntax)
    frame = index.frame(instance.data, 1)
    for damaged in (frame[:100], b"\0" * 100, b""):
        with pytest.raises(UpstreamError) as caught:
            samples_of(index, damaged)
        assert caught.value.code == "undecodable-pixels"
    with pytest.raises(Malformed):
        decompressed(instance.data[:-2000], instance.transfer_syntax)


@pytest.mark.filterwarnings("ignore")
def test_a_data_set_in_implicit_vr_with_compressed_pixels_is_damaged() -> None:
    instance = instance_from_file(WHEEL / "SC_rgb_jpeg.dcm")
    with pytest.raises(Malformed, match="implicit VR"):
        decompressed(instance.data, instance.transfer_syntax)


def test_what_is_too_large_is_not_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    instance = instance_from_file(WHEEL / "JPEG2000.dcm")
    index = PixelIndex.of(instance.data, instance.transfer_syntax)
    monkeypatch.setattr(decoding, "MAX_INSTANCE_BYTES", 1000)
    with pytest.raises(RequestError) as caught:
        decompressed(instance.data, instance.transfer_syntax)
    assert caught.value.http_status == 406
    monkeypatch.setattr(decoding, "MAX_FRAME_BYTES", 1000)
    with pytest.raises(UpstreamError, match="more than 1000 bytes"):
        samples_of(index, index.frame(instance.data, 1))
