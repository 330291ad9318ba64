"""How values and names of a file appear in texts for people."""

from __future__ import annotations

import difflib
import itertools
from collections.abc import Iterable

from harmony.config.findings import KeyPath

MAX_QUOTED = 64

_MAX_LISTED = 12


def printable(text: str) -> str:
    """`text` with its control and other unprintable characters escaped."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else _escaped(c) for c in text)


def quoted(value: object) -> str:
    """A value from a file as a message may show it: one printable line, at most 64 characters."""
    if isinstance(value, bool):
        return str(value).lower()
    text = printable(str(value))
    return text if len(text) <= MAX_QUOTED else text[: MAX_QUOTED - 1] + "…"


def pointer(path: KeyPath) -> str:
    """A path as a JSON pointer (RFC 6901)."""
    return "".join("/" + str(key).replace("~", "~0").replace("/", "~1") for key in path)


def near(name: str, known: Iterable[str]) -> str:
    """The known name most like `name`; empty if none is."""
    if len(name) > MAX_QUOTED:
        return ""  # comparing takes quadratic time
    plain = name.lower().replace("-", "_")
    matches = difflib.get_close_matches(plain, list(known), n=1)
    return matches[0] if matches else ""


def either(names: Iterable[object]) -> str:
    """The first dozen names as a sentence lists them."""
    listed = [f"`{quoted(name)}`" for name in itertools.islice(names, _MAX_LISTED + 1)]
    if len(listed) > _MAX_LISTED:
        listed[-1] = "..."
    return ", ".join(listed)


def counted(number: int, thing: str) -> str:
    """``1 error``, ``2 errors``."""
    return f"{number} {thing}" if number == 1 else f"{number} {thing}s"


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")
