"""The ``echo`` backend: says what it was asked. For trying a set-up, with no peer needed."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import cast

import msgspec

from harmony.envelope import (
    HttpRequest,
    Items,
    Operation,
    Outcome,
    RequestEnvelope,
    ResponseEnvelope,
)
from harmony.interfaces import Exchange, Probe

_OPERATIONS = frozenset({Operation.ECHO, Operation.HTTP})
# What says nothing of who asks, nor for what.
_SHOWN = frozenset(
    {"accept", "content-length", "content-type", "host", "transfer-encoding", "user-agent"}
)
_encode = msgspec.json.Encoder().encode


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """``[backends.NAME.options]`` of ``service = "echo"``: there are none."""


class EchoBackend:
    """Answers by itself. Implements `harmony.interfaces.Backend`."""

    def __init__(self, name: str) -> None:
        self.name = name

    def accepts(self, operation: Operation) -> bool:
        return operation in _OPERATIONS

    @contextlib.asynccontextmanager
    async def lifespan(self) -> AsyncIterator[None]:
        yield

    async def probe(self) -> Probe:
        return Probe(True, f"{self.name} answers by itself", 0.0)

    async def handle(self, request: RequestEnvelope, scope: Exchange) -> ResponseEnvelope:
        """Success to an ECHO; to an HTTP request a JSON object that describes it.

        A body is read to its end and counted; nothing of it is kept.
        """
        if request.http is None:
            outcome = Outcome(seconds=0.0)
            return ResponseEnvelope(items=Items.of(outcome=outcome), backend=self.name)
        size = 0
        if not isinstance(request.body, bytes):
            async for piece in cast("AsyncIterator[bytes]", request.body):
                size += len(piece)
        said = _encode(_description(request, request.http, size)) + b"\n"
        only_head = request.http.method == "HEAD"
        return ResponseEnvelope(
            items=Items.of(*(() if only_head else (said,)), outcome=Outcome()),
            backend=self.name,
            status=200,
            headers=(
                ("content-type", "application/json"),
                ("content-length", str(len(said))),
                ("cache-control", "no-store"),
            ),
        )


def _description(request: RequestEnvelope, asked: HttpRequest, size: int) -> dict[str, object]:
    return {
        "method": asked.method,
        "path": asked.path,
        "query": asked.query,
        "headers": {name: value for name, value in request.headers if name in _SHOWN},
        "body_bytes": size,
        "request_id": request.id,
        "pipeline": request.origin.pipeline,
    }
