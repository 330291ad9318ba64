"""Makes a picture of one frame. Blocks; meant for a thread.

Only the frame that is wanted is decoded, and limits are checked before anything is allocated.
"""

from __future__ import annotations

import io
import mmap

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydicom.dataset import Dataset
from pydicom.filereader import read_dataset
from pydicom.pixels.processing import apply_color_lut, apply_modality_lut, apply_voi_lut
from pydicom.tag import BaseTag

from harmony.dicom.elements import Malformed
from harmony.dicom.pixels import PixelIndex
from harmony.dicom.scan import opened
from harmony.errors import RequestError, UpstreamError
from harmony.rendering.decoding import check_size, decoded, is_decodable, undecodable
from harmony.rendering.wanted import Region, Wanted, Window

_PIXELS = frozenset((0x7FE00008, 0x7FE00009, 0x7FE00010))
_FORMATS = {"image/jpeg": "JPEG", "image/png": "PNG"}

Grey = NDArray[np.float64]
Bytes = NDArray[np.uint8]


def picture(
    data: bytes | mmap.mmap, transfer_syntax: str, wanted: Wanted, media_type: str
) -> bytes:
    """One frame as a picture.

    Args:
        data: the data set, without file meta information.
        transfer_syntax: its own.
        media_type: image/jpeg or image/png.

    Raises:
        RequestError: there are no pixels, no such frame, or no decoder for them.
        UpstreamError: they are damaged, or larger than may be.
        Malformed: the data set is damaged.
    """
    index = PixelIndex.of(data, transfer_syntax)
    check_size(index)
    frame = index.frame(data, wanted.frame)
    dataset = _described(data, transfer_syntax, index, wanted.frame)
    try:
        shown = _eight_bits(_decoded(dataset, index, frame), dataset, wanted)
        image = _fitted(Image.fromarray(shown), wanted)
        out = io.BytesIO()
        image.save(out, _FORMATS[media_type], quality=wanted.quality)
    except (RequestError, UpstreamError, MemoryError):
        raise
    except Exception as exc:  # decoders raise whatever comes to their mind
        raise undecodable() from exc
    return out.getvalue()


def _described(
    data: bytes | mmap.mmap, transfer_syntax: str, index: PixelIndex, number: int
) -> Dataset:
    """The attributes before the pixel data, with those of the frame on top. PS3.3 C.7.6.16."""
    plain, syntax = opened(data, transfer_syntax)
    start = index.place(1).spans[0][0]

    def at_pixels(tag: BaseTag, vr: str | None, length: int) -> bool:
        return int(tag) in _PIXELS

    try:
        found = read_dataset(
            io.BytesIO(plain[:start]),
            is_implicit_VR=not syntax.explicit,
            is_little_endian=syntax.order == "<",
            stop_when=at_pixels,
        )
        groups = [
            *found.get("SharedFunctionalGroupsSequence", [])[:1],
            *found.get("PerFrameFunctionalGroupsSequence", [])[number - 1 : number],
        ]
        for group in groups:
            for name in ("PixelValueTransformationSequence", "FrameVOILUTSequence"):
                for item in group.get(name, [])[:1]:
                    found.update(item)
    except Exception as exc:
        raise Malformed("its attributes cannot be read") from exc
    return found


def _decoded(dataset: Dataset, index: PixelIndex, frame: bytes) -> NDArray[np.generic]:
    """The samples of the frame: grey, indices, or red, green and blue."""
    if index.is_encapsulated and not is_decodable(index.frame_syntax):
        raise RequestError(
            "there is no decoder for the transfer syntax of these pixels",
            code="not-rendered",
            http_status=501,
            hint="ask for the frames as they are stored",
        )
    return decoded(index, frame, raw=False)


def _eight_bits(samples: NDArray[np.generic], dataset: Dataset, wanted: Wanted) -> Bytes:
    """What is to be seen, 0 to 255."""
    if samples.ndim == 3:
        return _narrowed(samples)
    if dataset.get("PhotometricInterpretation") == "PALETTE COLOR":
        return _narrowed(apply_color_lut(samples, dataset))
    values = apply_modality_lut(samples, dataset)
    window = wanted.window or _window_of(dataset)
    shown: Grey
    if window is not None:
        shown = _windowed(values.astype(np.float64), window)
    elif "VOILUTSequence" in dataset:
        looked_up = apply_voi_lut(values, dataset)
        shown = _stretched(looked_up.astype(np.float64), np.zeros(looked_up.shape, bool))
    else:
        padding = dataset.get("PixelPaddingValue")
        left_out = samples == padding if padding is not None else np.zeros(samples.shape, bool)
        shown = _stretched(values.astype(np.float64), left_out)
    if dataset.get("PhotometricInterpretation") == "MONOCHROME1":
        shown = 1.0 - shown
    return np.rint(shown * 255).astype(np.uint8)


def _narrowed(colours: NDArray[np.generic]) -> Bytes:
    """Colours in eight bits."""
    wide = colours.astype(np.uint64) >> (8 * (colours.dtype.itemsize - 1))
    return wide.astype(np.uint8)


def _window_of(dataset: Dataset) -> Window | None:
    """The first window that the data set has. PS3.3 C.11.2.1.2."""
    center, width = (_first(dataset.get(name)) for name in ("WindowCenter", "WindowWidth"))
    if center is None or width is None or width <= 0:
        return None
    function = str(dataset.get("VOILUTFunction") or "LINEAR").lower().replace("_", "-")
    if function == "linear" and width < 1:
        function = "linear-exact"
    return Window(center, width, function)


def _first(value: object) -> float | None:
    if isinstance(value, int | float):
        return float(value)
    try:
        return float(next(iter(value)))  # type: ignore[call-overload]
    except (TypeError, ValueError, StopIteration):
        return None


def _windowed(values: Grey, window: Window) -> Grey:
    """PS3.3 C.11.2.1.2.1, C.11.2.1.3.2 and C.11.2.1.3.1; 0 to 1."""
    center, width = window.center, window.width
    match window.function:
        case "sigmoid":
            return np.asarray(1 / (1 + np.exp(np.clip(-4 * (values - center) / width, -700, 700))))
        case "linear-exact":
            return np.clip((values - center) / width + 0.5, 0, 1)
    if width == 1:
        return np.where(values <= center - 0.5, 0.0, 1.0)
    return np.clip((values - (center - 0.5)) / (width - 1) + 0.5, 0, 1)


def _stretched(values: Grey, left_out: NDArray[np.bool_]) -> Grey:
    """From the least to the greatest value; what is left out is black."""
    seen = values[~left_out & np.isfinite(values)]
    if not seen.size:
        return np.zeros(values.shape)
    low, high = float(seen.min()), float(seen.max())
    scaled = (values - low) / (high - low) if high > low else np.zeros(values.shape)
    return np.where(left_out, 0.0, np.clip(np.nan_to_num(scaled), 0, 1))


def _fitted(image: Image.Image, wanted: Wanted) -> Image.Image:
    """The region, as large as it fits into the viewport in its shape. PS3.18 8.3.5.1.3."""
    if wanted.region is not None:
        image = _cut(image, wanted.region)
    if wanted.viewport is None:
        return image
    scale = min(wanted.viewport[0] / image.width, wanted.viewport[1] / image.height)
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    return image.resize(size, Image.Resampling.BILINEAR)


def _cut(image: Image.Image, region: Region) -> Image.Image:
    right, bottom = region.left + abs(region.width), region.top + abs(region.height)
    if region.left >= image.width or region.top >= image.height:
        raise RequestError(
            "the region of `viewport` is outside of the frame",
            code="bad-value",
            hint=f"the frame has {image.width} columns and {image.height} rows",
        )
    box = (
        int(region.left),
        int(region.top),
        max(int(region.left) + 1, min(image.width, round(right))),
        max(int(region.top) + 1, min(image.height, round(bottom))),
    )
    image = image.crop(box)
    if region.width < 0:
        image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    if region.height < 0:
        image = image.transpose(Image.Transpose.FLIP_TOP_BOTTOM)
    return image
