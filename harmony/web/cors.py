"""Cross-origin requests: which pages of other origins a browser lets read our answers.

By the Fetch standard's CORS protocol. Only origins that the configuration names are answered
so; who asks from another gets its answer without the headers, and the browser keeps it from the
page.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from harmony.errors import RequestError
from harmony.web.asgi import AsgiApp, HttpScope, RawHeaders, Receive, Send, Sent
from harmony.web.exchange import Reply, Request, answer

ANY = "*"
_METHODS = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"
_ALLOWED = "Accept, Authorization, Content-Type, X-Request-Id"
_EXPOSED = "X-Request-Id, Content-Location, Warning"
_MAX_AGE_SECONDS = 600


class Cors:
    """An ASGI application around another one.

    Args:
        origins: as browsers write them, ``https://viewer.example``, or `ANY`.
    """

    def __init__(self, app: AsgiApp, origins: Collection[str]) -> None:
        self._app = app
        self._origins = frozenset(origins)

    async def __call__(self, scope: HttpScope, receive: Receive, send: Send) -> None:
        origin = _header(scope["headers"], b"origin")
        if origin is None:
            await self._app(scope, receive, _varying(send))
            return
        asked = _header(scope["headers"], b"access-control-request-method")
        allowed = self._allowed(origin)
        if scope["method"] == "OPTIONS" and asked is not None:
            request = Request(scope, receive)
            handler = _allow if allowed else _refuse
            await answer(handler, request, Reply(scope, _with(send, allowed), request=request))
            return
        await self._app(scope, receive, _with(send, allowed))

    def _allowed(self, origin: str) -> str | None:
        """What to allow to a page of this origin; None for nothing."""
        if ANY in self._origins:
            return ANY
        return origin if origin in self._origins else None


async def _allow(request: Request, reply: Reply) -> None:
    """The answer to a browser that asks whether it may ask."""
    await reply.start(
        204,
        (
            ("access-control-allow-methods", _METHODS),
            ("access-control-allow-headers", _ALLOWED),
            ("access-control-max-age", str(_MAX_AGE_SECONDS)),
        ),
    )
    await reply.finish()


async def _refuse(request: Request, reply: Reply) -> None:
    raise RequestError(
        "pages of this origin may not ask here",
        code="origin-not-allowed",
        http_status=403,
        hint="add it to `cors.origins` of the network",
    )


def _with(send: Send, allowed: str | None) -> Send:
    """Give an answer the headers that let a page read it, in place of those that it has."""
    own: list[tuple[bytes, bytes]] = [(b"vary", b"Origin")]
    if allowed is not None:
        own.append((b"access-control-allow-origin", allowed.encode("latin-1")))
        own.append((b"access-control-expose-headers", _EXPOSED.encode()))

    async def sending(message: Sent) -> None:
        if message["type"] == "http.response.start":
            kept = [
                (name, value)
                for name, value in message["headers"]
                if name not in (b"access-control-allow-origin", b"access-control-expose-headers")
            ]
            message = {**message, "headers": [*kept, *own]}
        await send(message)

    return sending


def _varying(send: Send) -> Send:
    """Tell caches that the answer depends on who asks, to those too who say nothing of it."""

    async def sending(message: Sent) -> None:
        if message["type"] == "http.response.start":
            message = {**message, "headers": [*message["headers"], (b"vary", b"Origin")]}
        await send(message)

    return sending


def _header(headers: RawHeaders | Sequence[tuple[bytes, bytes]], name: bytes) -> str | None:
    return next((value.decode("latin-1") for each, value in headers if each == name), None)
