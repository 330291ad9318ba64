"""``harmony version``."""

from __future__ import annotations

import importlib.metadata
import platform

import harmony

LIBRARIES = (
    "trio",
    "hypercorn",
    "pynetdicom",
    "pydicom",
    "jsonschema",
    "tomli",
    "msgspec",
    "structlog",
    "prometheus-client",
)


def version_text() -> str:
    """Our version, Python's and the libraries', without importing them."""
    lines = [f"harmony {harmony.__version__}", f"python {platform.python_version()}"]
    lines += [f"{name} {_version(name)}" for name in LIBRARIES]
    return "\n".join(lines) + "\n"


def _version(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"
