"""What a client wants a picture to be. PS3.18 8.3.5 and 9.1.2."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from harmony.errors import RequestError

MAX_VIEWPORT = 8192
DEFAULT_QUALITY = 90
THUMBNAIL = 128

_FUNCTIONS = ("linear", "linear-exact", "sigmoid")


@dataclass(frozen=True, slots=True)
class Window:
    """What of the grey values is shown. PS3.3 C.11.2.1.2 and C.11.2.1.3.

    Attributes:
        function: linear, linear-exact or sigmoid.
    """

    center: float
    width: float
    function: str = "linear"


@dataclass(frozen=True, slots=True)
class Region:
    """A part of the frame, in its pixels; mirrored where `width` or `height` is negative."""

    left: float
    top: float
    width: float
    height: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """A picture.

    Attributes:
        frame: its number, from 1.
        viewport: width and height that it must fit into, in pixels; None for those of the frame.
        region: None for the whole frame.
        window: None for what the data set says.
        quality: of a JPEG, 1 to 100.
    """

    frame: int = 1
    viewport: tuple[int, int] | None = None
    region: Region | None = None
    window: Window | None = None
    quality: int = DEFAULT_QUALITY


def parse(parameters: Iterable[tuple[str, str]], *, frame: int, thumbnail: bool) -> Wanted:
    """What the parameters of a URL say, in the words of WADO-RS or of WADO-URI.

    Args:
        parameters: names and values, decoded; those that say nothing of a picture are passed over.
        frame: number from 1.
        thumbnail: it is to be small where nothing else is said.

    Raises:
        RequestError: 400, saying what to write instead.
    """
    found = dict(parameters)
    viewport, region = _viewport(found)
    if viewport is None and thumbnail:
        viewport = (THUMBNAIL, THUMBNAIL)
    return Wanted(
        frame=frame,
        viewport=viewport,
        region=region,
        window=_window(found),
        quality=_quality(found),
    )


def _quality(found: dict[str, str]) -> int:
    text = found.get("quality", found.get("imageQuality"))
    if text is None:
        return DEFAULT_QUALITY
    quality = _number("quality", text)
    if quality != int(quality) or not 1 <= quality <= 100:
        raise _bad("`quality` is no whole number from 1 to 100", "write quality=90")
    return int(quality)


def _window(found: dict[str, str]) -> Window | None:
    text = found.get("window")
    if text is None:
        if "windowCenter" not in found and "windowWidth" not in found:
            return None
        text = f"{found.get('windowCenter', '')},{found.get('windowWidth', '')},linear"
    parts = text.split(",")
    if len(parts) not in (2, 3):
        raise _bad("`window` is no center, width and function", "write window=40,400,linear")
    center, width = (_number("window", part) for part in parts[:2])
    function = parts[2].lower() if len(parts) == 3 else "linear"
    if function not in _FUNCTIONS:
        raise _bad("`window` names no function", f"write {', '.join(_FUNCTIONS)}")
    if not width >= (1 if function == "linear" else 0) or (function != "linear" and not width):
        raise _bad("the width of `window` is too small", "write 1 or more")
    return Window(center, width, function)


def _viewport(found: dict[str, str]) -> tuple[tuple[int, int] | None, Region | None]:
    text = found.get("viewport")
    if text is None:
        if "rows" not in found and "columns" not in found:
            return None, None
        text = f"{found.get('columns', MAX_VIEWPORT)},{found.get('rows', MAX_VIEWPORT)}"
    parts = text.split(",")
    if len(parts) not in (2, 6):
        raise _bad("`viewport` has neither two nor six numbers", "write viewport=512,512")
    width, height = (_number("viewport", part) for part in parts[:2])
    if not all(1 <= size <= MAX_VIEWPORT and size == int(size) for size in (width, height)):
        raise _bad(
            f"the size of `viewport` is not from 1 to {MAX_VIEWPORT}", "write viewport=512,512"
        )
    region = None
    if len(parts) == 6:
        left, top, across, down = (_number("viewport", part) for part in parts[2:])
        if left < 0 or top < 0 or not across or not down:
            raise _bad("the region of `viewport` is none", "write its left, top, width and height")
        region = Region(left, top, across, down)
    return (int(width), int(height)), region


def _number(name: str, text: str) -> float:
    try:
        number = float(text) if text.isascii() and "_" not in text else math.nan
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise _bad(f"`{name}` holds what is no number", "write digits")
    return number


def _bad(why: str, instead: str) -> RequestError:
    return RequestError(why, code="bad-value", hint=instead)
