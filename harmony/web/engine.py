"""hypercorn's HTTP/1.1 and HTTP/2, without its I/O. The only module that imports hypercorn.

An `Engine` speaks for one connection: bytes from the client go in, bytes for the client, and
requests, come out through its `Host`. hypercorn's own server is not used, because its writes
cannot be cancelled, one bad connection ends all others, and an answer that stops early over
HTTP/2 leaves the client waiting. What is used of hypercorn is not a public interface: the
integration tests of this room must pass before its version is raised.
"""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable, Iterator
from typing import Any, Protocol, cast

import h2.errors
import h2.events
import h2.exceptions
import trio
from hypercorn.config import Config
from hypercorn.events import Closed, Event, RawData
from hypercorn.protocol.events import Event as StreamEvent
from hypercorn.protocol.events import StreamClosed, Trailers
from hypercorn.protocol.h2 import H2Protocol
from hypercorn.protocol.h11 import H11Protocol
from hypercorn.protocol.http_stream import HTTPStream
from hypercorn.trio.worker_context import WorkerContext
from hypercorn.typing import ASGIReceiveEvent, ConnectionState
from hypercorn.typing import Scope as HypercornScope

from harmony.web.asgi import HttpScope, Received, Sent

_MAX_REQUESTS_PER_CONNECTION = 1_000_000
_MAX_FRAME = 16384 + 9  # with its header; we announce no larger one. RFC 9113 4.1, 4.2
_FLUSH_SECONDS = 1.0


class Shared:
    """What all connections of a host have in common."""

    def __init__(self, *, max_head_bytes: int) -> None:
        config = Config()
        config.accesslog = None
        config.errorlog = None
        config.include_server_header = False
        config.h11_max_incomplete_size = max_head_bytes
        config.h2_max_header_list_size = max_head_bytes
        config.keep_alive_max_requests = _MAX_REQUESTS_PER_CONNECTION
        self.config = config
        self.context = WorkerContext(None)

    async def drain(self) -> None:
        """Let each connection end with the answers that it owes."""
        await self.context.terminated.set()


class Exchange(Protocol):
    """Takes what the client sends for one request."""

    async def put(self, message: Received) -> None: ...


class Host(Protocol):
    """What an engine needs of its connection."""

    async def write(self, data: bytes) -> None: ...

    def close(self) -> None:
        """The engine has nothing more to say; it has told its requests that they are over."""
        ...

    def begin(self, scope: HttpScope, stream: Stream) -> Exchange:
        """A request came in: start its task."""
        ...

    def spawn(self, task: Callable[[], Awaitable[None]]) -> None: ...


class Stream:
    """The answer to one request."""

    def __init__(
        self, engine: Engine, http_stream: HTTPStream, protocol: H11Protocol | _Http2
    ) -> None:
        self._engine = engine
        self._http_stream = http_stream
        self._protocol = protocol

    async def send(self, *messages: Sent) -> None:
        """Send parts of the answer; over HTTP/1 their bytes are written together."""
        if isinstance(self._protocol, _Http2) or len(messages) == 1:
            for message in messages:
                await self._http_stream.app_send(cast("Any", message))
            return
        with self._engine.gathered() as gathered:
            for message in messages:
                await self._http_stream.app_send(cast("Any", message))
        await self._engine.write(gathered)

    async def release(self) -> None:
        """The application has returned; what it left open is closed."""
        await self._http_stream.app_send(None)

    async def reset(self) -> None:
        """HTTP/2 only: end the answer with RST_STREAM, after what can still be sent of it."""
        assert isinstance(self._protocol, _Http2)
        await self._protocol.reset(self._http_stream.stream_id)

    async def stop_upload(self) -> None:
        """HTTP/2 only: the whole answer was given before the whole body was sent."""
        assert isinstance(self._protocol, _Http2)
        await self._protocol.stop_upload(self._http_stream.stream_id)


class Engine:
    """One connection's protocol.

    Args:
        http2: HTTP/2 was agreed on, or its preface was seen.
    """

    def __init__(
        self,
        shared: Shared,
        host: Host,
        *,
        http2: bool,
        tls: bool,
        client: tuple[str, int] | None,
        server: tuple[str, int] | None,
    ) -> None:
        self._host = host
        self._gathered: bytearray | None = None
        protocol = _Http2 if http2 else H11Protocol
        self._protocol: H11Protocol | _Http2 = protocol(
            cast("Any", None),  # the application: requests begin at our host
            shared.config,
            shared.context,
            cast("Any", _Tasks(self, host)),
            ConnectionState({}),
            tls,
            client,
            server,
            self._on_event,
        )

    async def start(self) -> None:
        await self._protocol.initiate()

    async def receive(self, data: bytes) -> None:
        """Bytes from the client. Waits while the request that they belong to is full."""
        await self._protocol.handle(RawData(data))

    async def gone(self) -> None:
        """The connection is closed; tells the requests."""
        await self._protocol.handle(Closed())

    def stream(self, http_stream: HTTPStream) -> Stream:
        return Stream(self, http_stream, self._protocol)

    @contextlib.contextmanager
    def gathered(self) -> Iterator[bytearray]:
        """Collect what is to be written in this block, instead of writing it."""
        self._gathered = bytearray()
        try:
            yield self._gathered
        finally:
            self._gathered = None

    async def write(self, data: bytes | bytearray) -> None:
        if data:
            await self._host.write(bytes(data))

    async def _on_event(self, event: Event) -> None:
        if isinstance(event, RawData):
            if self._gathered is not None:
                self._gathered += event.data
            else:
                await self.write(event.data)
        elif isinstance(event, Closed):
            self._host.close()
            await self.gone()


class _Tasks:
    """Stands in for hypercorn's TaskGroup, which neither ends a full queue nor names errors."""

    def __init__(self, engine: Engine, host: Host) -> None:
        self._engine = engine
        self._host = host

    async def spawn_app(
        self,
        app: object,
        config: Config,
        scope: HypercornScope,
        send: Callable[[object], Awaitable[None]],
    ) -> Callable[[ASGIReceiveEvent], Awaitable[None]]:
        http_stream = getattr(send, "__self__", None)
        assert isinstance(http_stream, HTTPStream)
        exchange = self._host.begin(cast("HttpScope", scope), self._engine.stream(http_stream))
        return cast("Callable[[ASGIReceiveEvent], Awaitable[None]]", exchange.put)

    def spawn(self, task: Callable[[], Awaitable[None]]) -> None:
        self._host.spawn(task)


class _Http2(H2Protocol):
    """With an end for every stream."""

    def __init__(self, *args: Any) -> None:  # noqa: ANN401 - hypercorn's own, handed through
        super().__init__(*args)
        self._ending: dict[int, trio.Event] = {}
        self.connection.decoder.max_header_list_size = self.config.h2_max_header_list_size

    async def handle(self, event: Event) -> None:
        await super().handle(event)
        if isinstance(event, RawData) and len(self.connection.incoming_buffer._data) > _MAX_FRAME:
            # h2 would collect all that a frame claims to hold, up to 16 MiB, and refuse it then.
            await self.send(Closed())
        if isinstance(event, Closed):
            for buffer in list(self.stream_buffers.values()):
                await buffer.close()  # wakes whoever waits for the client's window
            for ended in self._ending.values():
                ended.set()

    async def stream_send(self, event: StreamEvent) -> None:
        if isinstance(event, Trailers) and not event.headers:
            return  # the end of the body, which follows, is the end of the stream
        if isinstance(event, StreamClosed):
            await self._end_is_sent(event.stream_id)
        await super().stream_send(event)

    async def _end_is_sent(self, stream_id: int) -> None:
        """Wait for END_STREAM of a whole answer; a draining connection would close before it."""
        buffer = self.stream_buffers.get(stream_id)
        if buffer is not None and buffer.complete and not self.closed:
            self._ending[stream_id] = trio.Event()
            await self._ending[stream_id].wait()
            del self._ending[stream_id]

    async def _send_data(self, stream_id: int) -> None:
        await super()._send_data(stream_id)
        if stream_id in self._ending and stream_id not in self.stream_buffers:
            self._ending[stream_id].set()

    async def reset(self, stream_id: int) -> None:
        buffer = self.stream_buffers.get(stream_id)
        if buffer is not None and buffer.buffer:
            with trio.move_on_after(_FLUSH_SECONDS):
                await buffer.drain()
        await self._reset(stream_id, h2.errors.ErrorCodes.INTERNAL_ERROR)

    async def stop_upload(self, stream_id: int) -> None:
        await self._reset(stream_id, h2.errors.ErrorCodes.NO_ERROR)  # RFC 9113 8.1

    async def _reset(self, stream_id: int, code: h2.errors.ErrorCodes) -> None:
        try:
            self.connection.reset_stream(stream_id, code)
        except h2.exceptions.ProtocolError:
            return  # the client was faster
        await self._flush()
        await self._window_updated(stream_id)  # wakes the sender, which drops what is left

    async def _handle_events(self, events: list[h2.events.Event]) -> None:
        for event in events:
            if isinstance(event, h2.events.DataReceived) and event.stream_id not in self.streams:
                # The answer was given already; the bytes still count against the window.
                self.connection.acknowledge_received_data(
                    event.flow_controlled_length, event.stream_id
                )
            elif isinstance(event, h2.events.RequestReceived) and not _servable(event):
                await self._reset(event.stream_id, h2.errors.ErrorCodes.REFUSED_STREAM)
            else:
                await super()._handle_events([event])
        await self._flush()


def _servable(request: h2.events.RequestReceived) -> bool:
    """Whether this is neither CONNECT, which carries WebSocket, nor beyond what a URL may hold."""
    fields = {name: value for name, value in request.headers if name.startswith(b":")}
    path = fields.get(b":path", b"")
    return (
        fields.get(b":method") != b"CONNECT"
        and bool(path)
        and all(0x21 <= byte <= 0x7E for byte in path)
    )
