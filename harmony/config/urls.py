"""Where an HTTP origin is, as a configuration writes it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self
from urllib.parse import urlsplit

_PORTS = {"http": 80, "https": 443}
_MAX_PORT = 65535
_HOST = re.compile(r"[A-Za-z0-9._-]{1,253}|[0-9a-fA-F:.]{2,45}")
# RFC 3986 3.3, without what could be read in two ways.
_PATH = re.compile(r"(?:/(?:[A-Za-z0-9._~!$&'()*+,;=:@-]|%[0-9A-Fa-f]{2})+)*/?")
_EXAMPLE = "for example `https://pacs.example/dicom-web`"


class NotAUrl(ValueError):
    """The text is not the base URL of an origin. Nothing of it is quoted: it may hold a password.

    Attributes:
        reason: why, as in "it begins with ...".
        hint: what to write.
    """

    def __init__(self, reason: str, hint: str) -> None:
        super().__init__(f"this is not a base URL: {reason}; {hint}")
        self.reason = reason
        self.hint = hint


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
            NotAUrl
        """
        try:
            parts = urlsplit(text)
            port = parts.port
        except ValueError:
            raise NotAUrl("its host or port cannot be read", _EXAMPLE) from None
        if parts.scheme not in _PORTS or not parts.netloc:
            raise NotAUrl("it does not begin with `http://` or `https://` and a host", _EXAMPLE)
        if "@" in parts.netloc:
            raise NotAUrl(
                "it holds a user", "write `username` and `password`, or `bearer`, instead"
            )
        if parts.query or parts.fragment or text.endswith(("?", "#")):
            raise NotAUrl("it has something after `?` or `#`", "end it before that")
        host = parts.hostname or ""
        if not _HOST.fullmatch(host):
            hint = "write a name of other letters as `xn--...`"
            raise NotAUrl("its host is no name or address", hint)
        if port == 0:
            raise NotAUrl("its port is 0", f"write one from 1 to {_MAX_PORT}")
        if not _PATH.fullmatch(parts.path) or {".", ".."} & set(parts.path.split("/")):
            reason = "its path has an empty or a dot segment, or is not percent-encoded"
            raise NotAUrl(reason, _EXAMPLE)
        path = parts.path.rstrip("/")
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


def url_of(options: Mapping[str, object]) -> BaseUrl | None:
    """What ``url`` of a backend's options says; None if there is none, or none that can be read."""
    text = options.get("url")
    try:
        return BaseUrl.parse(text) if isinstance(text, str) else None
    except NotAUrl:
        return None
