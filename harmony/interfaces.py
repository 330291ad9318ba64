"""What the rooms above promise each other. Protocols only; nothing here does anything."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Final, Literal, Protocol, TypeAlias, runtime_checkable

import trio

from harmony.envelope import Operation, RequestEnvelope, ResponseEnvelope

# Between the names of backends that answer together; no name can hold it.
TOGETHER: Final = " + "


@dataclass(frozen=True, slots=True)
class PathClaim:
    """A path prefix on the HTTP listener of a network."""

    network: str
    prefix: str


@dataclass(frozen=True, slots=True)
class PortClaim:
    """A TCP port of its own; the address is where it binds to."""

    host: str
    port: int


Claim: TypeAlias = PathClaim | PortClaim


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
        backend: name of the backend that answered or failed, or several with `TOGETHER` between
            them; None if none was reached.
        peer: the DIMSE peer as configured, if it is the one at fault.
        outcome: ``ok``; ``refused``, the caller was at fault; ``failed``, somebody else was;
            ``broken``, an answer that had begun was broken off; ``client_gone``; ``cancelled``.
        code: stable word for the failure, from `harmony.errors`; None if there was none.
        http_status: what an HTTP caller was told, or would have been.
        dimse_status: the status that the DIMSE peer gave last.
        answered: the status that a DIMSE caller was told.
        caller: the DIMSE caller's name in ``[peers]``.
        seconds: from the request's arrival to the end of its work.
        items: matches, instances or reports handed to the caller.
        bytes_out: encoded size of those items.
        bytes_in: encoded size of the instances that a DIMSE caller sent.
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
    answered: int | None = None
    caller: str | None = None
    items: int = 0
    bytes_out: int = 0
    bytes_in: int = 0


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
    """Accepts. `serve` runs until cancelled and reports its own listeners once they are bound."""

    @property
    def name(self) -> str: ...

    def claims(self) -> Collection[Claim]: ...

    async def serve(
        self,
        exchange: OpenExchange,
        *,
        task_status: trio.TaskStatus[Sequence[Listening]] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """Accept until cancelled.

        Raises:
            OSError: before it reports, because an address cannot be bound.
        """
        ...

    async def drain(self, grace_seconds: float) -> None:
        """Accept nothing new on listeners of its own; return when what is under way has ended.

        After `grace_seconds` it is ended. `serve` may still be running then.
        """
        ...
