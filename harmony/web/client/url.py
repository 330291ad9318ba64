"""Where an origin is, as the configuration writes it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Self
from urllib.parse import urlsplit

_PORTS = {"http": 80, "https": 443}
_MAX_PORT = 65535
_HOST = re.compile(r"[A-Za-z0-9._-]{1,253}|[0-9a-fA-F:.]{2,45}")
# RFC 3986 3.3, without what could be read in two ways.
_PATH = re.compile(r"(?:/(?:[A-Za-z0-9._~!$&'()*+,;=:@-]|%[0-9A-Fa-f]{2})+)*")


@dataclass(frozen=True, slots=True, kw_only=True)
class BaseUrl:
    """An origin, and the path on it that all requests begin with.

    Attributes:
        path: without a slash at its end; empty for the origin's root.
    """

    scheme: str
    host: str
    port: int
    path: str = ""

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read ``http://host:port/path`` or the same with ``https``.

        Raises:
            ValueError: it is none; the text says what to write, and nothing of what was written.
        """
        try:
            parts = urlsplit(text)
            port = parts.port
        except ValueError:
            raise _wrong("its host or port cannot be read") from None
        if parts.scheme not in _PORTS:
            raise _wrong("it must begin with http:// or https://")
        if "@" in parts.netloc:
            raise _wrong("leave user and password out: there are options of their own for them")
        if parts.query or parts.fragment or text.endswith(("?", "#")):
            raise _wrong("it ends before `?` and `#`")
        host = parts.hostname or ""
        if not _HOST.fullmatch(host):
            raise _wrong("its host is no name or address; write a name of other letters as xn--...")
        if port == 0:
            raise _wrong(f"its port is from 1 to {_MAX_PORT}")
        path = parts.path.rstrip("/")
        if not _PATH.fullmatch(path) or any(part in (".", "..") for part in path.split("/")):
            raise _wrong("its path has an empty or a dot segment, or is not percent-encoded")
        return cls(scheme=parts.scheme, host=host, port=port or _PORTS[parts.scheme], path=path)

    def __str__(self) -> str:
        return f"{self.scheme}://{self.authority}{self.path}"

    @property
    def authority(self) -> str:
        """Host and port, as the Host header has them. RFC 9110 7.2."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _PORTS[self.scheme] else f"{host}:{self.port}"

    @property
    def is_secure(self) -> bool:
        """Whether it is spoken to by TLS."""
        return self.scheme == "https"


def _wrong(why: str) -> ValueError:
    return ValueError(f"`url` is not a base URL such as https://pacs.example/dicom-web: {why}")
