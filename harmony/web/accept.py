"""What a client takes, with the parameters that DICOMweb gives it. RFC 9110 12.5.1, PS3.18 8.7.

A range says ``application/dicom+json``, or ``multipart/related; type="application/dicom";
transfer-syntax=*``. Quotes may be left out, as many clients do.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from harmony.errors import RequestError

MAX_BYTES = 8192
AS_STORED = "*"
MULTIPART = "multipart/related"

_NAME = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_TYPE = re.compile(rf"({_NAME})/({_NAME})")
# A value without quotes may hold a slash or a colon all the same.
_PARAMETER = re.compile(rf'\s*;\s*({_NAME})\s*=\s*("(?:[^"\\]|\\.)*"|[^\s;,"]+)\s*|\s*;\s*')
_QUALITY = re.compile(r"(?:0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?)", re.ASCII)


@dataclass(frozen=True, slots=True)
class Offer:
    """A representation that could be given.

    Attributes:
        media_type: of the body, or of the parts of a multipart body.
        multipart: whether there are parts.
    """

    media_type: str
    multipart: bool = False

    def __str__(self) -> str:
        return f'{MULTIPART}; type="{self.media_type}"' if self.multipart else self.media_type


@dataclass(frozen=True, slots=True)
class Choice:
    """The offer that a client likes best.

    Attributes:
        syntaxes: transfer syntaxes that it named for it, the best first; `AS_STORED` is one that
            is named with ``*``. Empty if it named none.
    """

    offer: Offer
    syntaxes: tuple[str, ...] = ()

    @property
    def as_stored(self) -> bool:
        """Whether it takes whatever transfer syntax there is."""
        return AS_STORED in self.syntaxes


@dataclass(frozen=True, slots=True)
class _Range:
    """One range of media types; `media_type` of the parts if `multipart`."""

    media_type: str
    multipart: bool
    syntax: str | None
    quality: float

    def rank(self, offer: Offer) -> int:
        """How specific it is about an offer; -1 if it does not fit."""
        if self.media_type == "*/*" and not self.multipart:
            return 0
        if self.multipart != offer.multipart:
            return -1
        main = offer.media_type.partition("/")[0]
        levels = {"*/*": 1, f"{main}/*": 2, offer.media_type: 3}
        return levels.get(self.media_type, -1)


class Accept:
    """What a client takes.

    Args:
        header: all values of its ``Accept`` headers, joined by commas; None without one.
        parameter: the value of the query parameter ``accept``, which goes before. PS3.18 8.3.3.1.

    Raises:
        RequestError: 400 for what cannot be read.
    """

    def __init__(self, header: str | None, parameter: str | None = None) -> None:
        text = parameter if parameter else header
        self._ranges = _parse(text) if text and text.strip() else [_Range("*/*", False, None, 1.0)]

    def choose(self, offers: Sequence[Offer]) -> Choice:
        """The offer that it likes best; the first one wins a tie.

        Raises:
            RequestError: 406, naming what could be had.
        """
        best: Offer | None = None
        best_quality = 0.0
        for offer in offers:
            quality = self._quality(offer)
            if quality > best_quality:
                best, best_quality = offer, quality
        if best is None:
            raise not_acceptable(offers)
        return Choice(best, self._syntaxes(best))

    def _quality(self, offer: Offer) -> float:
        """By the most specific range that fits; of several such, the best."""
        found = [(each.rank(offer), each.quality) for each in self._ranges]
        rank, quality = max(found)
        return quality if rank >= 0 else 0.0

    def _syntaxes(self, offer: Offer) -> tuple[str, ...]:
        named = [
            (each.quality, each.syntax)
            for each in self._ranges
            if each.syntax is not None and each.quality > 0 and each.rank(offer) >= 0
        ]
        return tuple(dict.fromkeys(syntax for _, syntax in sorted(named, key=lambda it: -it[0])))


def not_acceptable(offers: Sequence[Offer]) -> RequestError:
    """The error for a client that takes nothing of this."""
    return RequestError(
        "none of the media types in Accept can be had here",
        code="not-acceptable",
        http_status=406,
        hint=f"ask for {' or '.join(dict.fromkeys(map(str, offers)))}",
    )


def _parse(text: str) -> list[_Range]:
    if len(text) > MAX_BYTES:
        raise _bad(f"it is longer than {MAX_BYTES} characters")
    ranges: list[_Range] = []
    at = 0
    while at < len(text):
        if text[at] in " \t,":
            at += 1
            continue
        at = _range(text, at, ranges)
    if not ranges:
        raise _bad("it names nothing")
    return ranges


def _range(text: str, at: int, ranges: list[_Range]) -> int:
    """Read one range from here; returns where it ends."""
    match = _TYPE.match(text, at)
    if match is None:
        raise _bad("it names what is no media type")
    kind = match[0].lower()
    parameters: dict[str, str] = {}
    at = match.end()
    while (parameter := _PARAMETER.match(text, at)) and parameter.end() > at:
        if parameter[1] is not None:
            parameters.setdefault(parameter[1].lower(), _unquoted(parameter[2]))
        at = parameter.end()
    while at < len(text) and text[at] in " \t":
        at += 1
    if at < len(text) and text[at] != ",":
        raise _bad("something follows a media type that is no parameter")
    quality = parameters.get("q", "1")
    if not _QUALITY.fullmatch(quality):
        raise _bad("a `q` is no number from 0 to 1")
    multipart = kind == MULTIPART
    ranges.append(
        _Range(
            media_type=parameters.get("type", "*/*").lower() if multipart else kind,
            multipart=multipart,
            syntax=parameters.get("transfer-syntax"),
            quality=float(quality),
        )
    )
    return at


def _unquoted(value: str) -> str:
    return re.sub(r"\\(.)", r"\1", value[1:-1]) if value.startswith('"') else value


def _bad(why: str) -> RequestError:
    return RequestError(
        f"Accept cannot be read: {why}",
        code="bad-accept",
        hint='write as in application/dicom+json, multipart/related; type="application/dicom"',
    )
