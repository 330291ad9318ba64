"""What is told about an exchange of HTTP once it is over, and answers whose bytes are counted."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass

import trio

from harmony.envelope import Headers, Operation
from harmony.errors import HarmonyError, RequestError
from harmony.interfaces import ExchangeSummary, Observer
from harmony.web.exchange import ClientGone, Reply, Request

Send = Callable[[bytes], Awaitable[None]]


@dataclass(slots=True)
class Account:
    """One exchange, as far as it has come.

    Attributes:
        backend: that answers; None before one does.
        items: matches, instances or reports handed to the caller.
        bytes_out: of the answer's body.
    """

    operation: Operation
    backend: str | None = None
    items: int = 0
    bytes_out: int = 0

    def counted(self, reply: Reply) -> Send:
        """Send parts of a body, and count them."""

        async def send(data: bytes) -> None:
            self.bytes_out += len(data)
            await reply.send(data)

        return send

    async def whole(
        self,
        reply: Reply,
        status: int,
        kind: str | None,
        body: bytes,
        headers: Headers = (),
    ) -> None:
        """Send an answer that is all there, with its length."""
        length: Headers = (("content-length", str(len(body))),) if status != 204 else ()
        await start(reply, status, kind, (*headers, *length))
        if body:
            self.bytes_out += len(body)
            await reply.send(body)
        await reply.finish()


async def start(
    reply: Reply, status: int, kind: str | None, headers: Headers = (), *, trailers: bool = False
) -> None:
    """Begin an answer of this media type.

    Args:
        trailers: a Warning may follow the body, if the client reads that.
    """
    content: Headers = (("content-type", kind),) if kind else ()
    announced: Headers = (("trailer", "warning"),) if trailers and reply.can_send_trailers else ()
    await reply.start(status, (*content, *headers, *announced))


@dataclass(frozen=True, slots=True, kw_only=True)
class Accounts:
    """Tells an observer of the exchanges of one endpoint."""

    endpoint: str
    pipeline: str
    observer: Observer

    @contextlib.contextmanager
    def account(self, operation: Operation, request: Request, reply: Reply) -> Iterator[Account]:
        """Keep account of what the block does, and tell of it once, however it ends."""
        started = time.monotonic()
        account = Account(operation)
        failure: BaseException | None = None
        try:
            yield account
        except BaseException as exc:
            failure = exc
            raise
        finally:
            self._tell(account, request, reply, failure, time.monotonic() - started)

    def _tell(
        self,
        account: Account,
        request: Request,
        reply: Reply,
        failure: BaseException | None,
        seconds: float,
    ) -> None:
        self.observer.finished(
            ExchangeSummary(
                request_id=request.id,
                pipeline=self.pipeline,
                endpoint=self.endpoint,
                operation=account.operation,
                backend=getattr(failure, "backend", None) or account.backend,
                peer=getattr(failure, "peer", None),
                outcome=_outcome_word(failure, reply),
                code=getattr(failure, "code", None),
                http_status=reply.status or getattr(failure, "http_status", None),
                dimse_status=getattr(failure, "dimse_status", None),
                seconds=seconds,
                items=account.items,
                bytes_out=account.bytes_out,
            )
        )


def _outcome_word(failure: BaseException | None, reply: Reply) -> str:
    if failure is None or reply.finished:  # a client may close as soon as it has the last byte
        return "ok"
    match failure:
        case RequestError():
            return "refused" if not reply.started else "broken"
        case HarmonyError():
            return "failed" if not reply.started else "broken"
        case ClientGone():
            return "client_gone"
        case trio.Cancelled():
            return "cancelled"
        case _:
            return "broken" if reply.started else "failed"
