"""Backends without a network, which do what a test says."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import TypeAlias, cast

import trio

from harmony.envelope import (
    Instance,
    Item,
    Items,
    Match,
    Operation,
    Origin,
    Outcome,
    Query,
    RequestEnvelope,
    ResponseEnvelope,
    Stored,
    WholeBytes,
)
from harmony.errors import UpstreamError
from harmony.interfaces import Exchange, Probe

CT = "1.2.840.10008.5.1.4.1.1.2"
MR = "1.2.840.10008.5.1.4.1.1.4"
IMPLICIT = "1.2.840.10008.1.2"

Send: TypeAlias = trio.MemorySendChannel[Item | Outcome]
Produce: TypeAlias = Callable[[RequestEnvelope, Send], Awaitable[None]]


class FakeBackend:
    """Runs `produce` as its producer, for each request."""

    def __init__(self, produce: Produce, *operations: Operation, name: str = "fake") -> None:
        self.name = name
        self._produce = produce
        self._operations = operations or tuple(Operation)
        self.requests: list[RequestEnvelope] = []
        self.ended = trio.Event()

    def accepts(self, operation: Operation) -> bool:
        return operation in self._operations

    @contextlib.asynccontextmanager
    async def lifespan(self) -> AsyncIterator[None]:
        yield

    async def probe(self) -> Probe:
        return Probe(True, "", 0)

    async def handle(self, request: RequestEnvelope, scope: Exchange) -> ResponseEnvelope:
        self.requests.append(request)
        send, receive = trio.open_memory_channel[Item | Outcome](0)
        scope.nursery.start_soon(self._run, request, send)
        return ResponseEnvelope(items=Items(receive), backend=self.name)

    async def _run(self, request: RequestEnvelope, send: Send) -> None:
        try:
            with send:
                await self._produce(request, send)
        finally:
            self.ended.set()


def gives(*items: Item, then: Outcome | Exception | None = Outcome()) -> Produce:  # noqa: B008
    """Send the items and end like this: an outcome, a failure, or without either."""

    async def produce(request: RequestEnvelope, send: Send) -> None:
        for item in items:
            await send.send(item)
        if isinstance(then, Exception):
            raise then
        if then is not None:
            await send.send(then)

    return produce


class Shelf:
    """Stores instances: what it has, and how it answers for each."""

    def __init__(
        self,
        statuses: Mapping[str, int] | None = None,
        *,
        fails_at: int | None = None,
        failure: Exception | None = None,
        read_first: bool = False,
    ) -> None:
        self.has: dict[str, bytes] = {}
        self.seen: list[Instance] = []
        self._statuses = statuses or {}
        self._fails_at = fails_at
        self._failure = failure
        self._read_first = read_first

    async def produce(self, request: RequestEnvelope, send: Send) -> None:
        async for instance in cast("AsyncIterator[Instance]", request.body):
            fails = self._fails_at == len(self.seen)
            self.seen.append(instance)
            if fails and not self._read_first:
                await self._fail()
                return
            data = b"".join([chunk async for chunk in instance.data])
            if fails:
                await self._fail()
                return
            status = self._statuses.get(instance.sop_instance_uid, 0)
            if status == 0:
                self.has[instance.sop_instance_uid] = data
            await send.send(
                Stored(
                    sop_class_uid=instance.sop_class_uid,
                    sop_instance_uid=instance.sop_instance_uid,
                    status=status,
                )
            )
        await send.send(Outcome())

    async def _fail(self) -> None:
        await trio.lowlevel.checkpoint()
        if self._failure is not None:
            raise self._failure


def unreachable(name: str = "fake") -> UpstreamError:
    return UpstreamError("nobody listens", code="connection-failed", backend=name, asked=False)


def died(name: str = "fake") -> UpstreamError:
    return UpstreamError("the association was aborted", backend=name)


def request(
    operation: Operation = Operation.FIND,
    *,
    deadline: float = float("inf"),
    query: Query | None = None,
    body: AsyncIterator[Instance] | None = None,
    called: str | None = None,
    caller: str = "POST /find",
    peer: str | None = None,
) -> RequestEnvelope:
    return RequestEnvelope(
        id="r1",
        operation=operation,
        origin=Origin(pipeline="p", endpoint="e", caller=caller, called=called, peer=peer),
        query=query,
        body=body if body is not None else b"",
        deadline=deadline,
    )


def match(uid: str, tag: int = 0x0020000D) -> Match:
    """A match whose identifier has just this one attribute."""
    value = uid.encode() + b"\0" * (len(uid) % 2)
    head = (tag >> 16).to_bytes(2, "little") + (tag & 0xFFFF).to_bytes(2, "little")
    data = head + len(value).to_bytes(4, "little") + value
    return Match(identifier=data, transfer_syntax=IMPLICIT)


def instance(
    uid: str = "1.2.3", data: bytes = b"data", *, sop_class: str = CT, repeatable: bool = True
) -> Instance:
    return Instance(
        sop_class_uid=sop_class,
        sop_instance_uid=uid,
        transfer_syntax=IMPLICIT,
        data=WholeBytes(data) if repeatable else Once(data),
        repeatable=repeatable,
    )


class Once:
    """Data that only its first reader gets; after `failure` if it is given."""

    def __init__(self, *chunks: bytes, failure: Exception | None = None) -> None:
        self._chunks = list(chunks)
        self._failure = failure

    def __aiter__(self) -> Once:
        return self

    async def __anext__(self) -> bytes:
        await trio.lowlevel.checkpoint()
        if self._chunks:
            return self._chunks.pop(0)
        if self._failure is not None:
            raise self._failure
        raise StopAsyncIteration


async def stream(*instances: Instance) -> AsyncIterator[Instance]:
    """The body of a STORE."""
    for each in instances:
        await trio.lowlevel.checkpoint()
        yield each
