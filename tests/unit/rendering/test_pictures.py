"""Pictures of frames: pydicom's own pixel functions are the oracle."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

import numpy as np
import pydicom
import pytest
from PIL import Image
from pydicom import Dataset, dcmread
from pydicom.pixels.processing import apply_color_lut, apply_modality_lut, apply_voi_lut
from pydicom.pixels.utils import pixel_array

from harmony.dicom.elements import Malformed
from harmony.dicom.pixels import NoPixelData, NoSuchFrame
from harmony.errors import RequestError, UpstreamError
from harmony.rendering import available, decoding
from harmony.rendering.pictures import picture
from harmony.rendering.wanted import Region, Wanted, Window
from tests.support.bad_pacs.instances import instance_from_dataset, instance_from_file
from tests.support.studies import Kind, Plan, make_instances

WHEEL = Path(pydicom.__file__).parent / "data" / "test_files"
GREY = [
    "CT_small.dcm",
    "MR_small.dcm",
    "MR_small_RLE.dcm",
    "MR_small_bigendian.dcm",
    "MR_small_jpeg_ls_lossless.dcm",
    "J2K_pixelrep_mismatch.dcm",
    "JPEG2000.dcm",
    "liver_1frame.dcm",
]
COLOURS = [
    "SC_rgb_small_odd.dcm",
    "SC_rgb_jpeg_dcmtk.dcm",
    "SC_rgb_rle.dcm",
    "examples_ybr_color.dcm",
]


def of(name: str) -> tuple[bytes, str, Dataset]:
    found = instance_from_file(WHEEL / name)
    return found.data, found.transfer_syntax, dcmread(WHEEL / name)


def png(data: bytes, syntax: str, wanted: Wanted = Wanted()) -> np.ndarray:  # noqa: B008
    return np.asarray(Image.open(BytesIO(picture(data, syntax, wanted, "image/png"))))


def expected(dataset: Dataset, frame: int = 0) -> np.ndarray:
    """What pydicom makes of a grey frame, spread over 0 to 255."""
    samples = pixel_array(dataset, index=frame)
    values = apply_modality_lut(samples, dataset)
    if "WindowCenter" in dataset:
        shown = apply_voi_lut(values, dataset).astype(float)
        # It answers in the range of the values that there could be.
        least, most = _range(dataset)
    else:
        shown = values.astype(float)
        least, most = shown.min(), shown.max()
    return (shown - least) / (most - least) * 255


def _range(dataset: Dataset) -> tuple[float, float]:
    bits, signed = dataset.BitsStored, dataset.PixelRepresentation
    least, most = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if signed else (0, 2**bits - 1)
    slope, intercept = dataset.get("RescaleSlope", 1), dataset.get("RescaleIntercept", 0)
    return least * slope + intercept, most * slope + intercept


@pytest.mark.parametrize("name", GREY)
def test_grey_frames_are_shown_as_pydicom_shows_them(name):
    data, syntax, dataset = of(name)
    found = png(data, syntax)
    assert found.shape == (dataset.Rows, dataset.Columns)
    assert np.abs(found - expected(dataset)).max() <= 1


@pytest.mark.parametrize("name", COLOURS)
def test_colours_are_those_of_pydicom(name):
    data, syntax, dataset = of(name)
    source = pixel_array(dataset, index=0)
    assert (png(data, syntax) == source).all()


def test_a_palette_is_looked_up():
    data, syntax, dataset = of("examples_palette.dcm")
    source = apply_color_lut(pixel_array(dataset, index=0), dataset)
    assert (png(data, syntax) == source >> 8 * (source.dtype.itemsize - 1)).all()


@pytest.mark.parametrize("number", [1, 5, 10])
def test_each_frame_of_many_can_be_had(number):
    ((_, dataset),) = make_instances(Plan(kinds=(Kind.US,), size=32, frames=10))
    made = instance_from_dataset(dataset)
    found = png(made.data, made.transfer_syntax, Wanted(frame=number))
    other = png(made.data, made.transfer_syntax, Wanted(frame=number % 10 + 1))
    assert found.shape[:2] == (dataset.Rows, dataset.Columns)
    assert (found != other).any()


def grey(**attributes: object) -> tuple[bytes, str]:
    """Four values, 0, 100, 200 and 300, in a row."""
    dataset = Dataset()
    dataset.file_meta = pydicom.dataset.FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
    dataset.SOPClassUID, dataset.SOPInstanceUID = "1.2.840.10008.5.1.4.1.1.2", "1.2.3"
    dataset.Rows, dataset.Columns, dataset.SamplesPerPixel = 1, 4, 1
    dataset.PhotometricInterpretation = "MONOCHROME2"
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 16, 16, 15
    dataset.PixelRepresentation = 0
    for name, value in attributes.items():
        setattr(dataset, name, value)
    dataset.PixelData = np.array([0, 100, 200, 300], "<u2").tobytes()
    made = instance_from_dataset(dataset)  # type: ignore[arg-type]
    return made.data, made.transfer_syntax


@pytest.mark.parametrize(
    ("attributes", "window", "row"),
    [
        ({}, None, [0, 85, 170, 255]),
        ({"PhotometricInterpretation": ""}, None, [0, 85, 170, 255]),
        ({"PhotometricInterpretation": "MONOCHROME1"}, None, [255, 170, 85, 0]),
        ({"PixelPaddingValue": 300}, None, [0, 128, 255, 0]),
        ({}, Window(150, 100), [0, 0, 255, 255]),
        ({}, Window(150.5, 301), [0, 85, 170, 255]),
        ({}, Window(150, 300, "linear-exact"), [0, 85, 170, 255]),
        ({}, Window(150, 1), [0, 0, 255, 255]),
        ({}, Window(100, 100, "sigmoid"), [5, 128, 250, 255]),
        ({"WindowCenter": 150.5, "WindowWidth": 301}, None, [0, 85, 170, 255]),
        ({"WindowCenter": [150.5, 1], "WindowWidth": [301, 2]}, None, [0, 85, 170, 255]),
        ({"WindowCenter": 1, "WindowWidth": 2}, Window(150.5, 301), [0, 85, 170, 255]),
        ({"WindowCenter": 1, "WindowWidth": 0}, None, [0, 85, 170, 255]),
        (
            {
                "RescaleSlope": 2,
                "RescaleIntercept": -100,
                "WindowCenter": 200.5,
                "WindowWidth": 601,
            },
            None,
            [0, 85, 170, 255],
        ),
    ],
)
def test_grey_values_go_through_the_window(attributes, window, row):
    data, syntax = grey(**attributes)
    assert png(data, syntax, Wanted(window=window))[0].tolist() == row


def test_values_that_are_all_the_same_are_black():
    data, syntax = grey()
    flat = data[: -len(np.zeros(4, "<u2").tobytes())] + np.full(4, 7, "<u2").tobytes()
    assert png(flat, syntax)[0].tolist() == [0, 0, 0, 0]


def test_a_picture_fits_into_its_viewport_in_its_shape():
    data, syntax, _ = of("CT_small.dcm")  # 128 x 128
    assert png(data, syntax, Wanted(viewport=(64, 32))).shape == (32, 32)
    assert png(data, syntax, Wanted(viewport=(300, 256))).shape == (256, 256)


def test_a_region_is_cut_out_and_mirrored():
    data, syntax = grey()
    assert png(data, syntax, Wanted(region=Region(1, 0, 2, 1)))[0].tolist() == [85, 170]
    assert png(data, syntax, Wanted(region=Region(1, 0, -3, 1)))[0].tolist() == [255, 170, 85]
    assert png(data, syntax, Wanted(region=Region(2, 0, 99, 99)))[0].tolist() == [170, 255]
    with pytest.raises(RequestError, match="outside"):
        png(data, syntax, Wanted(region=Region(4, 0, 1, 1)))


def test_a_jpeg_is_one_and_its_quality_counts():
    data, syntax, _ = of("CT_small.dcm")
    good, bad = (
        picture(data, syntax, Wanted(quality=quality), "image/jpeg") for quality in (95, 5)
    )
    assert Image.open(BytesIO(good)).format == "JPEG"
    assert len(bad) < len(good) / 2


def test_what_is_no_picture():
    data, syntax, _ = of("test-SR.dcm")
    with pytest.raises(NoPixelData):
        png(data, syntax)
    data, syntax, _ = of("CT_small.dcm")
    with pytest.raises(NoSuchFrame):
        png(data, syntax, Wanted(frame=2))
    with pytest.raises((Malformed, NoPixelData)):
        png(data[:-1000], syntax)


def test_damaged_pixels_are_the_fault_of_the_pacs_and_nothing_of_them_is_quoted():
    data, syntax, _ = of("JPEG2000.dcm")
    head = data.index(b"\xff\x4f\xff\x51")  # of the JPEG 2000 stream
    with pytest.raises(UpstreamError) as caught:
        png(data[: head + 4] + bytes(40) + data[head + 44 :], syntax)
    assert caught.value.code == "undecodable-pixels"


def test_a_frame_that_is_too_large_is_not_even_read(monkeypatch):
    monkeypatch.setattr(decoding, "MAX_FRAME_BYTES", 1000)
    data, syntax, _ = of("CT_small.dcm")
    with pytest.raises(UpstreamError) as caught:
        png(data, syntax)
    assert caught.value.code == "frame-too-large"


def test_a_syntax_without_a_decoder_is_501(monkeypatch):
    data, syntax, _ = of("JPEG2000.dcm")

    class Nothing:
        is_available = False

    monkeypatch.setattr(decoding, "get_decoder", lambda uid: Nothing)
    with pytest.raises(RequestError) as caught:
        png(data, syntax)
    assert caught.value.http_status == 501


def test_the_libraries_are_there():
    assert available()
