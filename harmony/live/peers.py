"""A PACS as it is written on the command line: ``AET@HOST:PORT``."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Self

# AE: 1 to 16 characters of the default repertoire without backslash, not spaces alone. PS3.5 6.2.
_AET = re.compile(r"(?=.*[^ ])[ -\[\]-~]{1,16}")
_HOST = re.compile(r"\[[0-9A-Fa-f:.%a-z]+\]|[^\s/@\[\]?#:\x00-\x1f\x7f\"\\]+")
MAX_PORT = 65535


def checked_aet(text: str) -> str:
    """The AE title.

    Raises:
        ValueError: it cannot be one.
    """
    if not _AET.fullmatch(text):
        raise ValueError("an AE title is 1 to 16 characters of ASCII, without backslash")
    return text


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """Whom to call."""

    aet: str
    host: str
    port: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """From ``AET@HOST:PORT``; an IPv6 address stands in brackets.

        Raises:
            ValueError: it is none.
        """
        aet, at, address = text.rpartition("@")
        host, colon, port = address.rpartition(":")
        if not (at and colon) or not _HOST.fullmatch(host):
            raise ValueError("a PACS is written as AET@HOST:PORT, such as ORTHANC@10.0.0.5:4242")
        if not (port.isascii() and port.isdigit() and len(port) <= 5 and 0 < int(port) <= MAX_PORT):
            raise ValueError(f"a port is a number from 1 to {MAX_PORT}")
        return cls(aet=checked_aet(aet), host=host.strip("[]"), port=int(port))
