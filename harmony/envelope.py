"""The neutral message: what is asked and what comes back, in neither protocol's words.

* `Operation`, `Query`: what is asked. Keys are tags and text, as DICOM encodes them.
* `Match`, `Instance`, `Progress`: what comes back, still encoded. Nothing here decodes.
* `Outcome`: how it ended. A failure is not an outcome but an exception of `harmony.errors`.
* `Items`: a stream of the former that ends with the latter, or does not end.
* `RequestEnvelope`, `ResponseEnvelope`: the two envelopes that endpoints, middleware and
  backends hand to each other.
"""

from __future__ import annotations

import enum
from collections.abc import AsyncIterable, AsyncIterator, Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TypeAlias

import trio

from harmony.errors import HarmonyError

Headers: TypeAlias = tuple[tuple[str, str], ...]


def header(headers: Headers, name: str) -> str | None:
    """The first value of a header; `name` as it is written in `headers`."""
    return next((value for each, value in headers if each == name), None)


def _no_notes() -> Mapping[str, object]:
    return MappingProxyType({})


class Operation(enum.StrEnum):
    """What is asked, wire-free."""

    ECHO = "echo"
    FIND = "find"
    GET = "get"
    MOVE = "move"
    STORE = "store"
    HTTP = "http"


class Level(enum.StrEnum):
    """Query/Retrieve Level (0008,0052), from the top of the hierarchy down. PS3.4 C.3."""

    PATIENT = "PATIENT"
    STUDY = "STUDY"
    SERIES = "SERIES"
    IMAGE = "IMAGE"


class Root(enum.StrEnum):
    """Query/Retrieve information model. PS3.4 C.6."""

    PATIENT = "patient"
    STUDY = "study"


@dataclass(frozen=True, slots=True)
class Key:
    """One attribute of an identifier: its tag, and its values as DICOM text.

    No value means universal matching, so the attribute is only asked for. PS3.4 C.2.2.2.3.
    """

    tag: int
    values: tuple[str, ...] = field(default=(), repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Encoded:
    """A data set as it came, in `transfer_syntax`."""

    data: bytes = field(repr=False)
    transfer_syntax: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """An identifier and what to do with its answers; for FIND, GET and MOVE.

    Attributes:
        keys: in ascending tag order, without the level.
        encoded: the identifier of a DIMSE caller, which is passed on as it is: it may hold more
            than `keys` can say, such as sequences and private attributes. None if `keys` is all.
        without_bulk: the caller of a GET needs no pixel data. What a backend can leave out is
            not transferred, PS3.4 Z; what it cannot comes as ever.
        limit: at most so many answers are wanted; None for all.
        offset: so many answers are passed over first.
        destination: AE title that MOVE sends to; None otherwise.
    """

    level: Level
    root: Root
    keys: tuple[Key, ...]
    limit: int | None = None
    offset: int = 0
    destination: str | None = None
    encoded: Encoded | None = None
    without_bulk: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Match:
    """One C-FIND answer.

    Attributes:
        identifier: the encoded data set, in `transfer_syntax`.
        all_keys_supported: False if the peer ignored an optional key (FF01). PS3.4 C.4.1.1.4.
    """

    identifier: bytes = field(repr=False)
    transfer_syntax: str
    all_keys_supported: bool = True


@dataclass(frozen=True, slots=True)
class Originator:
    """Which C-MOVE an instance was sent for. PS3.7 9.1.1.1.10 and 9.1.1.1.11.

    Attributes:
        aet: AE title of the one that asked for the move.
        message_id: of its C-MOVE-RQ.
    """

    aet: str
    message_id: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Instance:
    """One SOP instance on its way.

    Attributes:
        data: chunks of the encoded data set without preamble and file meta, in
            `transfer_syntax`. Read by one reader, before the next instance is asked for.
        repeatable: whether each ``aiter(data)`` begins anew, so that several readers, at one
            time or after each other, get all of it; else it can be read once.
        size: bytes in `data` when known beforehand.
        originator: the C-MOVE that it is sent for, if it is.
        without_bulk: pixel data and other bulk were left out, as the query allowed.
    """

    sop_class_uid: str
    sop_instance_uid: str
    transfer_syntax: str
    data: AsyncIterable[bytes] = field(repr=False)
    repeatable: bool = False
    size: int | None = None
    originator: Originator | None = None
    without_bulk: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class SubOperations:
    """Counters of a retrieve. PS3.4 C.4.2.1.6 to C.4.2.1.9; None where the peer told nothing."""

    remaining: int | None = None
    completed: int | None = None
    failed: int | None = None
    warning: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far a MOVE has come, or what the source of a GET counts.

    In a GET ``remaining`` is what matters: how many instances are still to come after those
    that were given before. A source that cannot count gives none.
    """

    counters: SubOperations


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """What became of one instance of a STORE.

    Attributes:
        status: the DIMSE status: 0000, a warning (Bxxx) or a failure. PS3.4 B.2.3. Of several
            backends the worst.
        by_backend: name and status of each backend, where there are several.
    """

    sop_class_uid: str
    sop_instance_uid: str
    status: int
    by_backend: tuple[tuple[str, int], ...] = ()


class Completion(enum.Enum):
    """How an operation that did not fail came to its end."""

    COMPLETE = "complete"
    LIMITED = "limited"  # there are more answers than were asked for
    PARTIAL = "partial"  # some sub-operations failed, the others are done


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """The end of an operation that did not fail as a whole.

    Attributes:
        status: the peer's last DIMSE status, for logs and for answers that quote it.
        counters: of a retrieve.
        missing: SOP instance UIDs that the peer names as failed, (0008,0058).
        seconds: how long the peer took, for ECHO.
        failed_sources: backends whose answer is missing or not whole, of a FIND or GET that
            several answer.
    """

    completion: Completion = Completion.COMPLETE
    status: int = 0x0000
    counters: SubOperations | None = None
    missing: tuple[str, ...] = ()
    seconds: float | None = None
    failed_sources: tuple[str, ...] = ()


Item: TypeAlias = Match | Instance | Progress | Stored | bytes


class StreamBroken(Exception):
    """A stream of items stopped without an outcome. Whoever sees it must not end cleanly."""


def root_cause(*raised: BaseException) -> BaseException:
    """The one exception that explains the others; groups are taken apart.

    A producer's failure breaks its stream, and the reader then fails too: the producer's is
    the cause. Anything that is not ours is a bug and goes first, so that it is seen.
    """
    leaves = _leaves(raised)
    for exc in leaves:
        if not isinstance(exc, HarmonyError | StreamBroken | trio.Cancelled):
            return exc
    for exc in leaves:
        if isinstance(exc, HarmonyError):
            return exc
    return leaves[0]


def _leaves(raised: Iterable[BaseException]) -> list[BaseException]:
    found: list[BaseException] = []
    for exc in raised:
        found += _leaves(exc.exceptions) if isinstance(exc, BaseExceptionGroup) else [exc]
    return found


class ByteStream:
    """Chunks of bytes from another task; read once, by one reader.

    The writer sends chunks and, last of all, None. A channel that closes without it raises
    `StreamBroken`: bytes that stop early are not a shorter object.
    """

    def __init__(self, channel: trio.MemoryReceiveChannel[bytes | None]) -> None:
        self._channel = channel

    def __aiter__(self) -> ByteStream:
        return self

    async def __anext__(self) -> bytes:
        try:
            chunk = await self._channel.receive()
        except trio.EndOfChannel:
            raise StreamBroken("the stream of bytes stopped early") from None
        if chunk is None:
            self._channel.close()
            raise StopAsyncIteration
        return chunk

    def close(self) -> None:
        """Read no further; the writer gets `trio.BrokenResourceError`."""
        self._channel.close()


class WholeBytes:
    """Bytes that are there already, in the shape of a stream that can be read again."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def __aiter__(self) -> AsyncIterator[bytes]:
        return _Once(self._data)


class _Once:
    def __init__(self, data: bytes) -> None:
        self._data: bytes | None = data or None

    def __aiter__(self) -> _Once:
        return self

    async def __anext__(self) -> bytes:
        data, self._data = self._data, None
        if data is None:
            raise StopAsyncIteration
        return data


class Items:
    """A stream of items that ends with an `Outcome`, or does not end.

    The producer sends items and, last of all, one `Outcome`. A channel that closes without
    one raises `StreamBroken`, so that an interrupted answer cannot look complete.
    """

    def __init__(self, channel: trio.MemoryReceiveChannel[Item | Outcome]) -> None:
        self._channel = channel
        self._pending: Item | None = None
        self._outcome: Outcome | None = None

    @classmethod
    def of(cls, *items: Item, outcome: Outcome) -> Items:
        """A stream of what is known already."""
        send, receive = trio.open_memory_channel[Item | Outcome](len(items) + 1)
        with send:
            for item in items:
                send.send_nowait(item)
            send.send_nowait(outcome)
        return cls(receive)

    @property
    def outcome(self) -> Outcome:
        """How the operation ended; RuntimeError while the stream has not."""
        if self._outcome is None:
            raise RuntimeError("the stream has not ended")
        return self._outcome

    @property
    def has_ended(self) -> bool:
        """Whether the outcome is there."""
        return self._outcome is not None

    async def wait(self) -> bool:
        """Wait until the first item or the end is there. True if there is an item."""
        if self._pending is None and self._outcome is None:
            self._take(await self._receive())
        return self._pending is not None

    async def batch(self, at_most: int, *, linger: float = 0.0) -> list[Item]:
        """Wait for one item, then take what else is there already; empty at the end.

        Args:
            at_most: so many items.
            linger: seconds to wait for more once there is one.
        """
        if not await self.wait():
            return []
        taken: list[Item] = []
        with trio.move_on_after(linger):
            while self._pending is not None:
                taken.append(self._pending)
                self._pending = None
                if len(taken) == at_most:
                    break
                try:
                    self._take(await self._next(wait=bool(linger)))
                except (trio.EndOfChannel, trio.WouldBlock):
                    break  # a stream that ended without an outcome raises on the next call
        return taken

    def __aiter__(self) -> Items:
        return self

    async def __anext__(self) -> Item:
        for item in await self.batch(1):
            return item
        raise StopAsyncIteration

    async def _next(self, *, wait: bool) -> Item | Outcome:
        try:
            return self._channel.receive_nowait()
        except trio.WouldBlock:
            if not wait:
                raise
            return await self._channel.receive()

    async def _receive(self) -> Item | Outcome:
        try:
            return await self._channel.receive()
        except trio.EndOfChannel:
            raise StreamBroken("the stream of items stopped without an outcome") from None

    def _take(self, item: Item | Outcome) -> None:
        if isinstance(item, Outcome):
            self._outcome = item
            self._channel.close()
        else:
            self._pending = item


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Where a request came from.

    Attributes:
        caller: calling AE title, or of HTTP the method and what it is used on. Never a URL, which
            may name a patient.
        called: called AE title; None for HTTP.
        peer: name of the DIMSE caller in ``[peers]``.
    """

    pipeline: str
    endpoint: str
    caller: str
    called: str | None = None
    peer: str | None = None


Body: TypeAlias = bytes | AsyncIterator[Instance] | AsyncIterator[bytes]


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpRequest:
    """What an HTTP request asks for; its headers and body are the envelope's.

    Attributes:
        path: what comes below the endpoint's mount, as the client encoded it; begins with ``/``.
        query: the raw query string, without ``?``.
        version: of HTTP, that the client speaks.
        client: its address, if that is known.
    """

    method: str
    path: str = field(repr=False)
    query: str = field(default="", repr=False)
    version: str = "1.1"
    client: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestEnvelope:
    """One request.

    Attributes:
        id: request id; in every log line and answer.
        query: for FIND, GET and MOVE.
        http: for HTTP.
        backend: the one backend that is asked for by name; None leaves it to the pipeline.
        headers: HTTP only; names in lower case.
        body: empty, whole, a stream of instances (STORE) or of bytes (HTTP).
        deadline: on trio's clock; one budget for all hops.
        more_may_follow: whether requests like it may come soon, so that it is worth while to
            hold open what was opened for it.
        notes: middleware's remarks; replaced, never mutated.
    """

    id: str
    operation: Operation
    origin: Origin
    query: Query | None = None
    http: HttpRequest | None = None
    backend: str | None = None
    headers: Headers = ()
    body: Body = field(default=b"", repr=False)
    deadline: float = float("inf")
    more_may_follow: bool = True
    notes: Mapping[str, object] = field(default_factory=_no_notes)


@dataclass(frozen=True, slots=True, kw_only=True)
class ResponseEnvelope:
    """One answer: its items, and with their end its outcome.

    Attributes:
        backend: name of the backend that answers.
        status: HTTP only.
        headers: HTTP only; names in lower case.
    """

    items: Items
    backend: str
    status: int | None = None
    headers: Headers = ()
    notes: Mapping[str, object] = field(default_factory=_no_notes)
