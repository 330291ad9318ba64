"""What the rooms above promise each other. Protocols only; nothing here does anything."""

from __future__ import annotations

from collections.abc import Collection
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Literal, Protocol, TypeAlias, runtime_checkable

import trio

from harmony.envelope import Operation, RequestEnvelope, ResponseEnvelope


@dataclass(frozen=True, slots=True)
class PathClaim:
    """A path prefix on the HTTP listener of a network."""

    network: str
    prefix: str


Claim: TypeAlias = PathClaim


@dataclass(frozen=True, slots=True)
class Listening:
    """A listener's real address, port 0 resolved."""

    kind: Literal["http", "dicom", "admin"]
    host: str
    port: int


@dataclass(frozen=True, slots=True)
class Probe:
    """What a backend said to a C-ECHO or an HTTP HEAD."""

    ok: bool
    detail: str
    seconds: float


class AssociationUsage(Protocol):
    """A backend's associations, and the requests waiting for one, at one moment."""

    @property
    def busy(self) -> int: ...

    @property
    def idle(self) -> int: ...

    @property
    def waiting(self) -> int: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class ExchangeSummary:
    """What is told of one exchange once it is over. Holds no patient data.

    Attributes:
        backend: name of the backend that answered or failed; None if none was reached.
        peer: the DIMSE peer as configured, if it is the one at fault.
        outcome: ``ok``; ``refused``, the caller was at fault; ``failed``, somebody else was;
            ``broken``, an answer that had begun was broken off; ``client_gone``; ``cancelled``.
        code: stable word for the failure, from `harmony.errors`; None if there was none.
        http_status: what an HTTP caller was told, or would have been.
        dimse_status: the status that the DIMSE peer gave last.
        seconds: from the request's arrival to the end of its work.
        items: matches, instances or reports handed to the caller.
        bytes_out: encoded size of those items.
    """

    request_id: str
    pipeline: str
    endpoint: str
    operation: Operation
    outcome: str
    seconds: float
    backend: str | None = None
    peer: str | None = None
    code: str | None = None
    http_status: int | None = None
    dimse_status: int | None = None
    items: int = 0
    bytes_out: int = 0


class Observer(Protocol):
    """Hears of every exchange, once, when it is over. Must neither wait nor raise."""

    def finished(self, summary: ExchangeSummary) -> None: ...


@runtime_checkable
class Gauged(Protocol):
    """A backend whose associations can be counted; asked whenever metrics are read."""

    def usage(self) -> AssociationUsage: ...


class Exchange(Protocol):
    """The scope of one request. Tasks started in `nursery` end with it."""

    @property
    def nursery(self) -> trio.Nursery: ...


class Handler(Protocol):
    async def __call__(self, request: RequestEnvelope, scope: Exchange) -> ResponseEnvelope: ...


class OpenExchange(Protocol):
    """``async with exchange(request) as response``: leaving the block ends all its work.

    Failures come out as `harmony.errors`, never as an exception group.
    """

    def __call__(
        self, request: RequestEnvelope
    ) -> AbstractAsyncContextManager[ResponseEnvelope]: ...


class Backend(Protocol):
    """Calls out. One object per ``[backends.NAME]``, shared by the pipelines that name it."""

    @property
    def name(self) -> str: ...

    def accepts(self, operation: Operation) -> bool: ...

    def lifespan(self) -> AbstractAsyncContextManager[None]:
        """Resources that outlive a request, such as held associations."""
        ...

    async def handle(self, request: RequestEnvelope, scope: Exchange) -> ResponseEnvelope:
        """Answer, starting a producer in ``scope.nursery`` where the answer is a stream.

        Raises:
            RequestError, UpstreamError, Unavailable: before or while items are produced.
        """
        ...

    async def probe(self) -> Probe: ...


class Middleware(Protocol):
    async def handle(
        self, request: RequestEnvelope, scope: Exchange, call_next: Handler
    ) -> ResponseEnvelope: ...


class Endpoint(Protocol):
    """Accepts. `serve` runs until cancelled and reports its listener once it is bound."""

    def claims(self) -> Collection[Claim]: ...

    async def serve(
        self,
        exchange: OpenExchange,
        *,
        task_status: trio.TaskStatus[Listening | None] = trio.TASK_STATUS_IGNORED,
    ) -> None: ...
