"""The backend itself: which request goes to which service."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import trio

from harmony.backends.calling_http import HttpOrigin, client_of, head
from harmony.backends.dicomweb.retrieving import Retriever
from harmony.backends.dicomweb.searching import Searcher
from harmony.backends.dicomweb.storing import Storer
from harmony.backends.probing import probed
from harmony.envelope import (
    Instance,
    Item,
    Items,
    Operation,
    Outcome,
    RequestEnvelope,
    ResponseEnvelope,
)
from harmony.errors import RequestError
from harmony.interfaces import Exchange, Probe

_OPERATIONS = frozenset({Operation.ECHO, Operation.FIND, Operation.GET, Operation.STORE})
_BUFFERED_MATCHES = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Options(HttpOrigin):
    """``[backends.NAME.options]`` of ``service = "dicomweb"``; meanings in the schema."""

    max_results: int = 10000
    max_object_bytes: int = 4294967296


class DicomwebBackend:
    """One DICOMweb server. Implements `harmony.interfaces.Backend`.

    Args:
        folder: of the configuration; relative paths in it start there.

    Raises:
        TlsSetupError, SecretError: a file or a variable cannot be used.
    """

    def __init__(self, name: str, options: Options, folder: Path) -> None:
        self.name = name
        self._client = client_of(name, options, folder)
        self._searcher = Searcher(self._client, options.max_results)
        self._retriever = Retriever(self._client, self._searcher, options.max_object_bytes)
        self._storer = Storer(self._client)

    def accepts(self, operation: Operation) -> bool:
        return operation in _OPERATIONS

    def lifespan(self) -> AbstractAsyncContextManager[None]:
        return self._client.run()

    async def probe(self) -> Probe:
        async def ask() -> str:
            await self._searcher.check()
            return f"{self._client.peer} answers a search"

        return await probed(ask)

    async def head(self) -> int:
        """The status of the answer to a HEAD, which asks for no patient.

        Raises:
            UpstreamError, Unavailable
        """
        return await head(self._client)

    async def handle(self, request: RequestEnvelope, scope: Exchange) -> ResponseEnvelope:
        """Answer ECHO at once, the others by a producer in ``scope.nursery``.

        Raises:
            RequestError, UpstreamError, Unavailable: here for ECHO, else through the nursery.
        """
        if request.operation is Operation.ECHO:
            started = time.monotonic()
            await self._searcher.check()
            outcome = Outcome(seconds=time.monotonic() - started)
            return ResponseEnvelope(
                items=Items.of(outcome=outcome),
                backend=self.name,
                notes={"url": str(self._client.peer)},
            )
        buffered = _BUFFERED_MATCHES if request.operation is Operation.FIND else 0
        send, receive = trio.open_memory_channel[Item | Outcome](buffered)
        scope.nursery.start_soon(self._produce, request, send)
        return ResponseEnvelope(items=Items(receive), backend=self.name)

    async def _produce(
        self, request: RequestEnvelope, send: trio.MemorySendChannel[Item | Outcome]
    ) -> None:
        with send:
            await send.send(await self._run(request, send))

    async def _run(
        self, request: RequestEnvelope, send: trio.MemorySendChannel[Item | Outcome]
    ) -> Outcome:
        if request.operation is Operation.STORE:
            await self._storer.store(cast("AsyncIterator[Instance]", request.body), send.send)
            return Outcome()
        query = request.query
        assert query is not None, f"{request.operation} without a query"
        match request.operation:
            case Operation.FIND:
                return await self._searcher.find(query, send.send)
            case Operation.GET:
                return await self._retriever.retrieve(query, send.send)
        raise RequestError(f"backend {self.name} cannot {request.operation}", http_status=501)
