"""Frames as pictures that need no DICOM to be looked at. PS3.18 8.7.4, PS3.3 C.11.

* `wanted`: what a client asks for, checked.
* `pictures`: makes the picture; it needs the libraries of the extra ``render``, so it is imported
  by who is asked for one, after `available` has said that they are there.
"""

from __future__ import annotations

import importlib.util

_LIBRARIES = ("numpy", "PIL")


def available() -> bool:
    """Whether the libraries of the extra ``render`` are installed."""
    return all(importlib.util.find_spec(name) is not None for name in _LIBRARIES)
