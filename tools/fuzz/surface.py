"""What a surface is: something in this process that reads a peer's bytes."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass


class Wrong(Exception):
    """A surface did what it must not, without raising."""


@dataclass(frozen=True, slots=True)
class Surface:
    """One reader of bytes.

    Attributes:
        make: spoils an input for it; gives variant and bytes.
        check: has it read variant and bytes. It returns when all is well: the bytes were read,
            or refused with the reader's own exception. Anything else that comes out of it is a
            finding.
    """

    make: Callable[[random.Random], tuple[str, bytes]]
    check: Callable[[str, bytes], None]


def is_plain(text: str) -> None:
    """What is told of an error goes to logs: nothing a peer wrote may be in it unescaped."""
    if not (text.isascii() and text.isprintable()):
        raise Wrong(f"the error's text is not plain: {text!a}")


def chunks(data: bytes, size: int) -> Iterator[bytes]:
    return (data[at : at + size] for at in range(0, len(data), size))
