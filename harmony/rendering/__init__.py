"""Frames as pictures that need no DICOM to be looked at. PS3.18 8.7.4, PS3.3 C.11.

* `wanted`: what a client asks for, checked.
* `pictures` makes the picture, `decoding` makes samples of compressed pixel data. Both need the
  libraries of the extra ``render``, so they are imported by who is asked for such, after
  `available` has said that they are there.
* `unpacking`: an instance whose data is decoded when it is read.
"""

from __future__ import annotations

import importlib.util

_LIBRARIES = ("numpy", "PIL")


def decodes(transfer_syntax: str) -> bool:
    """Whether pixel data in this syntax can be decoded here."""
    if not available():
        return False
    from harmony.rendering.decoding import is_decodable  # takes 40 MB for ever

    return is_decodable(transfer_syntax)


def available() -> bool:
    """Whether the libraries of the extra ``render`` are installed."""
    return all(importlib.util.find_spec(name) is not None for name in _LIBRARIES)
