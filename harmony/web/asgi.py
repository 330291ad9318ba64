"""ASGI as far as we use it, with types, and what our host adds to it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from contextlib import AbstractContextManager
from typing import Protocol, Required, TypeAlias, TypedDict

import trio

RawHeaders: TypeAlias = Iterable[tuple[bytes, bytes]]


class Client(Protocol):
    """The other end of one request, under ``scope["harmony"]``."""

    @property
    def body_idle_seconds(self) -> float:
        """How long a request's body may stand still."""
        ...

    def cancel_when_gone(self) -> AbstractContextManager[trio.CancelScope]:
        """A cancel scope that is cancelled once nobody waits for the answer any more."""
        ...

    async def break_off(self) -> None:
        """End the answer so that the client sees that it is not whole."""
        ...


class HttpScope(TypedDict):
    type: str
    http_version: str
    method: str
    scheme: str
    path: str
    raw_path: bytes
    query_string: bytes
    root_path: str
    headers: RawHeaders
    client: tuple[str, int] | None
    extensions: dict[str, dict[str, object]]
    harmony: Client


class Received(TypedDict, total=False):
    """``http.request`` or ``http.disconnect``."""

    type: Required[str]
    body: bytes
    more_body: bool


class Sent(TypedDict, total=False):
    """``http.response.start``, ``http.response.body`` or ``http.response.trailers``."""

    type: Required[str]
    status: int
    headers: RawHeaders
    trailers: bool
    body: bytes
    more_body: bool
    more_trailers: bool


Receive: TypeAlias = Callable[[], Awaitable[Received]]
Send: TypeAlias = Callable[[Sent], Awaitable[None]]
AsgiApp: TypeAlias = Callable[[HttpScope, Receive, Send], Awaitable[None]]
