"""The JSON API: echo, find, get, move and store as HTTP requests.

A handler reads the request, opens an exchange, and writes what the pipeline answers. Until the
first byte of a body is out, a failure is a problem document with a truthful status. After it,
the body is broken off: without a closing bracket or boundary, and without a clean end of the
transfer.
"""

from __future__ import annotations

from dataclasses import dataclass

import trio

from harmony.dicom import strict_json
from harmony.dicom.incoming import DICOM, MULTIPART, Incoming, parser_for
from harmony.dicom.multipart import MultipartWriter, bare_type
from harmony.dicom.query import parse_query
from harmony.dicom.status import store_http_status
from harmony.endpoints.accounts import Account, Accounts, start
from harmony.endpoints.answers import (
    first_instance,
    move_answer,
    store_answer,
    write_instances,
    write_progress,
)
from harmony.endpoints.matches import Search, answer_search, array, lines
from harmony.envelope import (
    Body,
    Completion,
    Items,
    Operation,
    Origin,
    Query,
    RequestEnvelope,
    Stored,
)
from harmony.errors import RequestError, UpstreamError
from harmony.interfaces import OpenExchange
from harmony.web.exchange import Reply, Request, until_gone
from harmony.web.negotiation import choose
from harmony.web.problems import MethodNotAllowed

JSON, DICOM_JSON, NDJSON = "application/json", "application/dicom+json", "application/x-ndjson"

_METHODS: dict[str, tuple[Operation, tuple[str, ...]]] = {
    "/echo": (Operation.ECHO, ("GET", "POST")),
    "/find": (Operation.FIND, ("POST",)),
    "/get": (Operation.GET, ("POST",)),
    "/move": (Operation.MOVE, ("POST",)),
    "/store": (Operation.STORE, ("POST",)),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class JsonApi:
    """Handles the requests below one prefix. Shared by all of them."""

    accounts: Accounts
    exchange: OpenExchange
    max_json_bytes: int
    max_store_bytes: int
    max_parts: int
    deadline_seconds: float
    empty_find: int

    async def handle(self, request: Request, reply: Reply) -> None:
        """Serve one request; raises what the adapter turns into an answer or a break."""
        route = _METHODS.get(request.path.rstrip("/"))
        if route is None:
            raise RequestError(
                "there is nothing here",
                code="not-found",
                http_status=404,
                hint=f"what there is: {', '.join(_METHODS)}, below the endpoint's path prefix",
            )
        operation, methods = route
        if request.method not in methods:
            raise MethodNotAllowed(methods)
        with self.accounts.account(operation, request, reply) as account:
            await self._serve(operation, request, reply, account)

    async def _serve(
        self, operation: Operation, request: Request, reply: Reply, account: Account
    ) -> None:
        match operation:
            case Operation.STORE:
                await until_gone(request, lambda: self._store(request, reply, account))
            case Operation.ECHO:
                choose(request.headers.get("accept"), (JSON,))
                envelope = self._envelope(request, operation)
                await until_gone(request, lambda: self._echo(envelope, reply, account))
            case _:
                query = await self._query(operation, request)
                envelope = self._envelope(request, operation, query=query)
                work = {
                    Operation.FIND: self._find,
                    Operation.GET: self._get,
                    Operation.MOVE: self._move,
                }[operation]
                await until_gone(request, lambda: work(request, envelope, reply, account))

    # One operation each

    async def _echo(self, envelope: RequestEnvelope, reply: Reply, account: Account) -> None:
        async with self.exchange(envelope) as response:
            account.backend = response.backend
            await _exhaust(response.items)
            milliseconds = round((response.items.outcome.seconds or 0.0) * 1000, 3)
            # Its notes say whom the backend reached.
            told = {"success": True, **response.notes, "milliseconds": milliseconds}
            body = strict_json.dumps(told)
        await account.whole(reply, 200, JSON, body)

    async def _find(
        self, request: Request, envelope: RequestEnvelope, reply: Reply, account: Account
    ) -> None:
        kind = choose(request.headers.get("accept"), (JSON, DICOM_JSON, NDJSON))
        form = lines(kind) if kind == NDJSON else array(kind)
        search = Search(envelope=envelope, form=form, empty=self.empty_find)
        await answer_search(search, self.exchange, request, reply, account)

    async def _get(
        self, request: Request, envelope: RequestEnvelope, reply: Reply, account: Account
    ) -> None:
        choose(request.headers.get("accept"), (MULTIPART,))
        writer = MultipartWriter()
        async with self.exchange(envelope) as response:
            account.backend = response.backend
            first = await first_instance(response.items)
            await start(reply, 200, writer.content_type(DICOM), ())
            account.items = await write_instances(
                first, response.items, writer, account.counted(reply)
            )
        await reply.finish()

    async def _move(
        self, request: Request, envelope: RequestEnvelope, reply: Reply, account: Account
    ) -> None:
        kind = choose(request.headers.get("accept"), (JSON, NDJSON))
        async with self.exchange(envelope) as response:
            account.backend = response.backend
            if kind == NDJSON:
                await start(reply, 200, NDJSON, ())
                await reply.flush()
                await write_progress(response.items, account.counted(reply))
                await reply.finish()
                return
            await _exhaust(response.items)
            outcome = response.items.outcome
        partial = outcome.completion is Completion.PARTIAL
        await account.whole(reply, 206 if partial else 200, JSON, move_answer(outcome))

    async def _store(self, request: Request, reply: Reply, account: Account) -> None:
        choose(request.headers.get("accept"), (JSON,))
        parser = parser_for(request.headers.get("content-type"), max_parts=self.max_parts)
        upload = Incoming(request.stream(self.max_store_bytes), parser)
        envelope = self._envelope(request, Operation.STORE, body=upload)
        results: list[Stored] = []
        try:
            async with self.exchange(envelope) as response:
                account.backend = response.backend
                async for item in response.items:
                    assert isinstance(item, Stored)
                    results.append(item)
                    account.items += 1
        except (RequestError, UpstreamError) as exc:
            if results:
                exc.detail += f", after {len(results)} instances were sent to the PACS"
            raise
        if not results:
            raise RequestError(
                "the body holds no instance", code="empty-body", hint="send at least one file"
            )
        await account.whole(
            reply, store_http_status([each.status for each in results]), JSON, store_answer(results)
        )

    # Requests

    async def _query(self, operation: Operation, request: Request) -> Query:
        kind = bare_type(request.headers.get("content-type"))
        if kind not in (JSON, DICOM_JSON):
            raise RequestError(
                "the request body is not declared as JSON",
                code="unsupported-media-type",
                http_status=415,
                hint=f"send it with Content-Type: {JSON}",
            )
        document = strict_json.loads(
            await request.body(self.max_json_bytes), max_bytes=self.max_json_bytes
        )
        return parse_query(operation, document)

    def _envelope(
        self,
        request: Request,
        operation: Operation,
        *,
        query: Query | None = None,
        body: Body = b"",
    ) -> RequestEnvelope:
        deadline = float("inf")
        if operation is not Operation.STORE:  # whose time is the client's: the upload's limits
            deadline = trio.current_time() + self.deadline_seconds
        return RequestEnvelope(
            id=request.id,
            operation=operation,
            origin=Origin(
                pipeline=self.accounts.pipeline,
                endpoint=self.accounts.endpoint,
                caller=f"{request.method} {request.path}",
            ),
            query=query,
            body=body,
            deadline=deadline,
        )


async def _exhaust(items: Items) -> None:
    """Pass over items until the outcome is there."""
    async for _ in items:
        pass
