"""How an origin is treated: patience, limits, and who we say we are."""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass, field

_TOKEN = re.compile(r"[A-Za-z0-9._~+/-]+=*")  # RFC 6750 2.1
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")  # RFC 7617 2


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientTimeouts:
    """Seconds that each step may take; every wait for an origin is bounded by one of them.

    Attributes:
        connect_seconds: name lookup and TCP connect, all addresses of the host together; and
            once more for the TLS handshake.
        send_seconds: each piece of a request.
        answer_seconds: from the last byte of a request to the head of its answer.
        read_seconds: between two pieces of an answer's body.
    """

    connect_seconds: float = 5.0
    send_seconds: float = 20.0
    answer_seconds: float = 60.0
    read_seconds: float = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientLimits:
    """How many connections, and how long to wait for one.

    Attributes:
        max_connections: open at a time, kept ones included.
        max_waiting: requests that may wait for a free one.
        wait_seconds: how long each of them waits.
        keep_connections: kept open between requests, at most.
        keep_seconds: how long each is kept.
    """

    max_connections: int = 16
    max_waiting: int = 64
    wait_seconds: float = 5.0
    keep_connections: int = 8
    keep_seconds: float = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """What we show to the origin: a bearer token, or a user's name and password.

    Raises:
        ValueError: both or half of one are given, or a value cannot be sent; no value is quoted.
    """

    bearer: str | None = field(default=None, repr=False)
    username: str | None = field(default=None, repr=False)
    password: str | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        if (self.username is None) != (self.password is None):
            raise ValueError("`username` and `password` go together")
        if self.bearer is not None and self.username is not None:
            raise ValueError("`bearer` excludes `username` and `password`")
        if self.bearer is not None and not _TOKEN.fullmatch(self.bearer):
            raise ValueError("`bearer` is no token: letters, digits and -._~+/ with = at its end")
        if self.username is not None and ":" in self.username:
            raise ValueError("`username` may hold no colon")  # RFC 7617 2
        if any(_CONTROL.search(text) for text in (self.username or "", self.password or "")):
            raise ValueError("`username` and `password` may hold no control character")

    @property
    def authorization(self) -> str | None:
        """The value of the Authorization header. RFC 6750 2.1, RFC 7617 2."""
        if self.bearer is not None:
            return f"Bearer {self.bearer}"
        if self.username is not None:
            pair = base64.b64encode(f"{self.username}:{self.password}".encode())
            return f"Basic {pair.decode()}"
        return None
