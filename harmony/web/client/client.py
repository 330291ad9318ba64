"""Asking one origin. The only module that knows httpcore2, the core of httpx2.

What httpx2 lays on top is for browsing: redirects, cookies, proxies of the environment, URLs in
another spelling, and a log of them. A proxy and a DICOMweb client want none of it.
"""

from __future__ import annotations

import contextlib
import os
import socket
import ssl
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Iterator

import h11
import httpcore2
import trio

from harmony.config.urls import BaseUrl
from harmony.envelope import Headers, header
from harmony.errors import HarmonyError, RequestError
from harmony.tls.faults import late_tls_fault, outbound_tls_fault
from harmony.web.client.peer import Peer
from harmony.web.client.settings import ClientLimits, ClientTimeouts, Credentials

_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
_WITH_CONTENT = frozenset({"POST", "PUT", "PATCH"})  # a length even of nothing. RFC 9110 8.6
_SWITCHING_PROTOCOLS = 101
_FAULTS = (
    httpcore2.TimeoutException,
    httpcore2.NetworkError,
    httpcore2.ProtocolError,
    h11.LocalProtocolError,  # of a body that is not as long as it was said to be
)
_PLAIN = "write http:// in `url` if that is what it speaks, else check its port"
# Of this connection, so that nobody else sets them. RFC 9110 7.6.1.
_OWN = frozenset(
    {"connection", "content-length", "expect", "host", "keep-alive", "te", "trailer"}
    | {"transfer-encoding", "upgrade"}
)


class Answer:
    """A final answer: its head, and its body as it comes. Read once, by one task.

    Attributes:
        status: as the origin says.
        headers: as sent, those of the connection too; names in lower case.
    """

    def __init__(self, response: httpcore2.Response, peer: Peer, read_seconds: float) -> None:
        self.status = response.status
        self.headers: Headers = tuple(
            (name.decode("latin-1").lower(), value.decode("latin-1"))
            for name, value in response.headers
        )
        self._body = _body_of(response)
        self._peer = peer
        self._read_seconds = read_seconds

    def get(self, name: str) -> str | None:
        """The first value of this header; `name` in lower case."""
        return header(self.headers, name)

    def __aiter__(self) -> Answer:
        return self

    async def __anext__(self) -> bytes:
        """The next bytes of the body.

        Raises:
            UpstreamError: it stopped before its end.
        """
        with trio.move_on_after(self._read_seconds):
            try:
                return await anext(self._body)
            except httpcore2.ReadTimeout:
                pass
            except _FAULTS as exc:
                raise self._peer.broken() from _told(exc)
        raise self._peer.silent(self._read_seconds)

    async def whole(self, at_most: int) -> bytes:
        """All of the body.

        Raises:
            UpstreamError: it is larger than `at_most` bytes, or stopped before its end.
        """
        body = bytearray()
        async for piece in self:
            body += piece
            if len(body) > at_most:
                raise self._peer.failure(
                    f"the answer of {self._peer} is larger than {at_most} bytes",
                    code="answer-too-large",
                )
        return bytes(body)

    async def close(self) -> None:
        """Read no further. Nobody but `HttpClient.ask` needs to."""
        await self._body.aclose()


async def _body_of(response: httpcore2.Response) -> AsyncGenerator[bytes, None]:
    stream = response.aiter_stream()
    assert isinstance(stream, AsyncGenerator)
    async with contextlib.aclosing(stream):
        async for piece in stream:
            if piece:
                yield piece


class HttpClient:
    """Asks one origin, by HTTP/1.1. Shared by all requests of a backend.

    Args:
        backend: name for failures.
        base: where the origin is; each request's target is appended to its path.
        tls: for an origin by https; needed there.
        server_name: what its certificate must be for; None for the host of the URL.
        credentials: shown with each request.
    """

    def __init__(
        self,
        backend: str,
        base: BaseUrl,
        *,
        tls: ssl.SSLContext | None = None,
        server_name: str | None = None,
        credentials: Credentials | None = None,
        timeouts: ClientTimeouts | None = None,
        limits: ClientLimits | None = None,
    ) -> None:
        if base.is_secure != (tls is not None):
            raise ValueError("a TLS context goes with https, and only with it")
        self.peer = Peer(backend, base)
        self._tls = tls
        self._server_name = server_name
        self._authorization = credentials.authorization if credentials else None
        self._timeouts = timeouts or ClientTimeouts()
        self._limits = limits or ClientLimits()
        self._pool: httpcore2.AsyncConnectionPool | None = None
        self._under_way = 0

    @contextlib.asynccontextmanager
    async def run(self) -> AsyncIterator[None]:
        """Be open for requests, and keep connections between them, while the block runs."""
        limits = self._limits
        async with httpcore2.AsyncConnectionPool(
            ssl_context=self._tls,
            max_connections=limits.max_connections,
            max_keepalive_connections=limits.keep_connections,
            keepalive_expiry=limits.keep_seconds,
        ) as pool:
            self._pool = pool
            try:
                yield
            finally:
                self._pool = None

    @contextlib.asynccontextmanager
    async def ask(
        self,
        method: str,
        target: str,
        *,
        headers: Headers = (),
        body: bytes | AsyncIterable[bytes] = b"",
        length: int | None = None,
        host: str | None = None,
    ) -> AsyncIterator[Answer]:
        """Send a request; the block runs once the head of its final answer is there.

        All of the body is sent first, unless the origin closes before. Leaving the block ends
        the answer, and what was not read to its end costs the connection. A request that is
        safe to repeat (RFC 9110 9.2.1) and has no body is sent once more if the connection is
        lost before its answer: a kept one may have died meanwhile.

        Args:
            target: path below the base and query, percent-encoded; sent as it is.
            headers: names in lower case. Those that belong to the connection, and
                Authorization if there are credentials, are not taken from here.
            length: of a body that streams, if known; without, it goes in chunks.
            host: for the Host header; None for the origin's own.

        Raises:
            RequestError: the request cannot be written down.
            UpstreamError, Unavailable: what went wrong, before or inside the block.
        """
        pool = self._pool
        if pool is None:
            raise self.peer.closing()
        with self._place():
            request = self._request(method, target, headers, body, length, host)
            try:
                response = await self._send(pool, request)
            except _Lost as lost:
                if method not in _SAFE or body != b"":
                    raise lost.error from None
                try:
                    response = await self._send(pool, request)
                except _Lost as again:
                    raise again.error from None
            answer = Answer(response, self.peer, self._timeouts.read_seconds)
            try:
                if answer.status == _SWITCHING_PROTOCOLS:  # nobody asked for that
                    raise self.peer.not_http()
                yield answer
            finally:
                with trio.CancelScope(shield=True, deadline=trio.current_time() + 1):
                    await answer.close()
                    await response.aclose()

    @contextlib.contextmanager
    def _place(self) -> Iterator[None]:
        limits = self._limits
        if self._under_way >= limits.max_connections + limits.max_waiting:
            raise self.peer.busy(
                f"{limits.max_waiting} requests wait for backend {self.peer.backend} already"
            )
        self._under_way += 1
        try:
            yield
        finally:
            self._under_way -= 1

    def _request(
        self,
        method: str,
        target: str,
        headers: Headers,
        body: bytes | AsyncIterable[bytes],
        length: int | None,
        host: str | None,
    ) -> httpcore2.Request:
        base = self.peer.base
        taken = [(name, value) for name, value in headers if name not in _OWN]
        if self._authorization is not None:
            taken = [(name, value) for name, value in taken if name != "authorization"]
            taken.append(("authorization", self._authorization))
        if not isinstance(body, bytes) and length is None:
            taken.append(("transfer-encoding", "chunked"))
        elif not isinstance(body, bytes) or body or method in _WITH_CONTENT:
            taken.append(("content-length", str(len(body) if isinstance(body, bytes) else length)))
        timeouts = self._timeouts
        extensions: dict[str, object] = {
            "timeout": {
                "connect": timeouts.connect_seconds,
                "write": timeouts.send_seconds,
                "read": timeouts.answer_seconds,
                "pool": self._limits.wait_seconds,
            },
        }
        if self._server_name is not None:
            extensions["sni_hostname"] = self._server_name
        return httpcore2.Request(
            method,
            httpcore2.URL(
                scheme=base.scheme,
                host=base.host,
                port=base.port,
                target=((base.path + target) or "/").encode("latin-1"),
            ),
            headers=[
                (name.encode("latin-1"), value.encode("latin-1"))
                for name, value in (("host", host or base.authority), *taken)
            ],
            content=body or None,
            extensions=extensions,
        )

    async def _send(
        self, pool: httpcore2.AsyncConnectionPool, request: httpcore2.Request
    ) -> httpcore2.Response:
        """The head of the answer.

        Raises:
            _Lost: there was a connection, and it ended before an answer.
        """
        try:
            return await pool.handle_async_request(request)
        except _FAULTS as exc:
            error = self._failure(exc)
            if error.code == "connection-lost":
                raise _Lost(error) from None
            raise error from _told(exc)

    def _failure(self, exc: Exception) -> HarmonyError:
        peer, timeouts = self.peer, self._timeouts
        match exc:
            case httpcore2.PoolTimeout():
                return peer.busy(
                    f"all {self._limits.max_connections} connections of backend {peer.backend} "
                    f"were busy for {self._limits.wait_seconds:g} s"
                )
            case httpcore2.ConnectTimeout():
                return peer.unreachable_in_time(timeouts.connect_seconds)
            case httpcore2.ConnectError():
                return self._unreachable(exc)
            case httpcore2.ReadTimeout():
                return peer.too_late(timeouts.answer_seconds)
            case httpcore2.WriteTimeout():
                return peer.stalled(timeouts.send_seconds)
            case httpcore2.LocalProtocolError() | h11.LocalProtocolError():
                return RequestError("a header of the request or its length cannot be sent on")
            case httpcore2.RemoteProtocolError() if "without sending" not in str(exc):
                return peer.not_http()
        for cause in _causes(exc):
            if isinstance(cause, ssl.SSLError) and (fault := late_tls_fault(cause)):
                return peer.tls_failed(fault)
        return peer.lost()

    def _unreachable(self, exc: httpcore2.ConnectError) -> HarmonyError:
        peer = self.peer
        causes = list(_causes(exc))
        for cause in causes:
            if isinstance(cause, ssl.SSLError):
                name = self._server_name or peer.base.host
                return peer.tls_failed(outbound_tls_fault(cause, name, plain=_PLAIN))
            if isinstance(cause, socket.gaierror):
                return peer.unreachable(
                    f"there is no address of {peer.base.host}",
                    hint="check `url` of this backend and the name service",
                )
        for cause in causes:
            if isinstance(cause, OSError) and cause.errno:
                return peer.unreachable(os.strerror(cause.errno).lower())
        return peer.unreachable("it closed the connection")


class _Lost(Exception):
    def __init__(self, error: HarmonyError) -> None:
        super().__init__()
        self.error = error


def _causes(exc: BaseException) -> Iterator[BaseException]:
    """What led to it, the innermost last; groups of attempts are opened."""
    cause = exc.__cause__ or exc.__context__
    if cause is None:
        return
    yield cause
    if isinstance(cause, BaseExceptionGroup):
        for each in cause.exceptions:
            yield each
            yield from _causes(each)
    yield from _causes(cause)


def _told(exc: Exception) -> BaseException | None:
    """The exception, if its text can quote nothing that an origin sent."""
    return None if isinstance(exc, httpcore2.ProtocolError | h11.LocalProtocolError) else exc
