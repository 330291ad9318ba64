"""The ``http`` backend: a reverse proxy's far side. What the origin answers is the answer.

Requests go on as they came and answers come back as they are: bodies stream both ways, and only
what belongs to one connection is left out. RFC 9110 7.6.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import trio

from harmony.backends.calling_http import HttpOrigin, client_of, head
from harmony.backends.probing import probed
from harmony.envelope import (
    Headers,
    HttpRequest,
    Item,
    Items,
    Operation,
    Outcome,
    RequestEnvelope,
    ResponseEnvelope,
    header,
)
from harmony.interfaces import Exchange, Probe

# Who came in is ours to tell, not the client's.
_FORWARDED = frozenset(
    {"forwarded", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto"}
    | {"x-forwarded-port", "x-forwarded-prefix", "x-real-ip"}
)
_REQUEST_ID = "x-request-id"  # one for both sides


@dataclass(frozen=True, slots=True, kw_only=True)
class Options(HttpOrigin):
    """``[backends.NAME.options]`` of ``service = "http"``; meanings in the schema."""

    preserve_host: bool = False


class HttpBackend:
    """One origin. Implements `harmony.interfaces.Backend`.

    Args:
        folder: of the configuration; relative paths in it start there.

    Raises:
        TlsSetupError, SecretError: a file or a variable cannot be used.
    """

    def __init__(self, name: str, options: Options, folder: Path) -> None:
        self.name = name
        self._options = options
        self._client = client_of(name, options, folder)

    def accepts(self, operation: Operation) -> bool:
        return operation is Operation.HTTP

    def lifespan(self) -> AbstractAsyncContextManager[None]:
        return self._client.run()

    async def probe(self) -> Probe:
        async def ask() -> str:
            return f"{self._client.peer} answers HEAD with {await self.head()}"

        return await probed(ask)

    async def head(self) -> int:
        """The status of the answer to a HEAD.

        Raises:
            UpstreamError, Unavailable
        """
        return await head(self._client)

    async def handle(self, request: RequestEnvelope, scope: Exchange) -> ResponseEnvelope:
        """Send the request on; the answer's body is given on by a task in ``scope.nursery``.

        Raises:
            RequestError, UpstreamError, Unavailable: here, or once the body streams through
                the nursery.
        """
        asked = request.http
        assert asked is not None, "no HTTP request"
        send, receive = trio.open_memory_channel[Item | Outcome](0)
        status, headers = await scope.nursery.start(self._produce, request, asked, send)
        return ResponseEnvelope(
            items=Items(receive), backend=self.name, status=status, headers=headers
        )

    async def _produce(
        self,
        request: RequestEnvelope,
        asked: HttpRequest,
        send: trio.MemorySendChannel[Item | Outcome],
        *,
        task_status: trio.TaskStatus[tuple[int, Headers]],
    ) -> None:
        given = header(request.headers, "content-length")
        with send:
            async with self._client.ask(
                asked.method,
                asked.path + (f"?{asked.query}" if asked.query else ""),
                headers=_headers(request, asked),
                body=cast("bytes | AsyncIterator[bytes]", request.body),
                length=None if given is None else int(given),
                host=self._host(request.headers),
            ) as answer:
                kept = tuple(each for each in answer.headers if each[0] != _REQUEST_ID)
                task_status.started((answer.status, kept))
                async for piece in answer:
                    await send.send(piece)
            await send.send(Outcome())

    def _host(self, headers: Headers) -> str | None:
        return header(headers, "host") if self._options.preserve_host else None


def _headers(request: RequestEnvelope, asked: HttpRequest) -> Headers:
    """The client's, but with what we know of the way here. RFC 9110 7.6.3."""
    kept = [
        (name, value)
        for name, value in request.headers
        if name not in _FORWARDED and name not in (_REQUEST_ID, "via")
    ]
    vias = [value for name, value in request.headers if name == "via"]
    kept.append(("via", ", ".join((*vias, f"{asked.version} harmony"))))
    if asked.client is not None:
        kept.append(("x-forwarded-for", asked.client))
    host = header(request.headers, "host")
    if host is not None:
        kept.append(("x-forwarded-host", host))
    return (*kept, ("x-forwarded-proto", "http"), (_REQUEST_ID, request.id))
