"""Which media type to answer with, by the Accept header. RFC 9110 12.5.1."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from harmony.errors import RequestError


@dataclass(frozen=True, slots=True)
class _Range:
    type: str
    quality: float


def choose(accept: str | None, offered: Sequence[str]) -> str:
    """The offered type that the client likes best; the first offered one wins a tie.

    Parameters of a range other than ``q`` are passed over, quoted or not.

    Raises:
        RequestError: 406, naming what could be had.
    """
    if accept is None or not accept.strip():
        return offered[0]
    ranges = [_range(part) for part in _split(accept, ",")]
    best, best_quality = "", 0.0
    for candidate in offered:
        quality = _quality(candidate, ranges)
        if quality > best_quality:
            best, best_quality = candidate, quality
    if not best:
        raise RequestError(
            "none of the media types in Accept can be had here",
            code="not-acceptable",
            http_status=406,
            hint=f"ask for {' or '.join(offered)}",
        )
    return best


def _quality(candidate: str, ranges: list[_Range]) -> float:
    """Quality by the most specific range that fits; 0 if none does."""
    found, specificity = 0.0, -1
    main = candidate.partition("/")[0]
    for wanted in ranges:
        if wanted.type == candidate:
            rank = 2
        elif wanted.type == f"{main}/*":
            rank = 1
        elif wanted.type in ("*/*", "*"):
            rank = 0
        else:
            continue
        if rank > specificity:
            found, specificity = wanted.quality, rank
    return found


def _range(text: str) -> _Range:
    bare, *parameters = _split(text, ";") or [""]
    quality = 1.0
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip().lower() == "q":
            try:
                quality = min(max(float(value.strip()), 0.0), 1.0)
            except ValueError:
                quality = 0.0
    return _Range(bare.strip().lower(), quality)


def _split(text: str, separator: str) -> list[str]:
    """Split outside quoted strings."""
    parts, start, quoted = [], 0, False
    for index, char in enumerate(text):
        if char == '"':
            quoted = not quoted
        elif char == separator and not quoted:
            parts.append(text[start:index])
            start = index + 1
    parts.append(text[start:])
    return [part for part in parts if part.strip()]
