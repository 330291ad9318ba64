"""HTTP in front of a backend that speaks HTTP: requests go on as they are."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator
from dataclasses import dataclass

import trio

from harmony.dicom.peek import Rejoined
from harmony.endpoints.accounts import Account, Accounts
from harmony.envelope import Headers, HttpRequest, Operation, Origin, RequestEnvelope
from harmony.interfaces import OpenExchange
from harmony.web.exchange import Reply, Request, until_gone

# Of one connection, and not to be passed on. RFC 9110 7.6.1.
HOP_BY_HOP = frozenset(
    (
        *("connection", "keep-alive", "proxy-authenticate", "proxy-authorization"),
        *("proxy-connection", "te", "trailer", "transfer-encoding", "upgrade"),
    )
)


@dataclass(frozen=True, slots=True, kw_only=True)
class PassThrough:
    """Handles the requests below one prefix. Shared by all of them."""

    accounts: Accounts
    exchange: OpenExchange
    max_body_bytes: int
    deadline_seconds: float

    async def handle(self, request: Request, reply: Reply) -> None:
        """Serve one request; raises what the adapter turns into an answer or a break."""
        with self.accounts.account(Operation.HTTP, request, reply) as account:
            await until_gone(request, lambda: self._pass_on(request, reply, account))

    async def _pass_on(self, request: Request, reply: Reply, account: Account) -> None:
        envelope = RequestEnvelope(
            id=request.id,
            operation=Operation.HTTP,
            origin=Origin(
                pipeline=self.accounts.pipeline,
                endpoint=self.accounts.endpoint,
                caller=request.method,  # a path may hold anything
            ),
            http=HttpRequest(
                method=request.method,
                path=request.raw_path,
                query=request.query,
                version=request.version,
                client=request.address[0] if request.address else None,
            ),
            headers=end_to_end(request.headers.fields),
            body=await self._body(request),
            deadline=trio.current_time() + self.deadline_seconds,
        )
        async with self.exchange(envelope) as response:
            account.backend = response.backend
            status = response.status
            assert status is not None, "an answer of HTTP without a status"
            await reply.start(status, end_to_end(response.headers))
            async for item in response.items:
                assert isinstance(item, bytes)
                account.bytes_out += len(item)
                await reply.send(item)
        await reply.finish()

    async def _body(self, request: Request) -> bytes | AsyncIterator[bytes]:
        """Empty bytes only if there is none, which not every request says in its head."""
        stream = request.stream(self.max_body_bytes, as_sent=True)
        try:
            return Rejoined(deque((await anext(stream),)), stream)
        except StopAsyncIteration:
            return b""


def end_to_end(headers: Headers) -> Headers:
    """The headers that are for the other end, not for this connection. RFC 9110 7.6.1."""
    named = {
        token.strip().lower()
        for name, value in headers
        if name == "connection"
        for token in value.split(",")
    }
    return tuple(
        (name, value) for name, value in headers if name not in HOP_BY_HOP and name not in named
    )
