"""The ``http`` endpoint: a path prefix on a network's HTTP listener.

In front of a backend that can do DIMSE it speaks the JSON API of `json_api`, in front of others
it passes requests through, as `pass_through` does.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import trio

from harmony.endpoints.accounts import Accounts
from harmony.endpoints.json_api import JsonApi
from harmony.endpoints.pass_through import PassThrough
from harmony.envelope import Operation
from harmony.interfaces import Listening, Observer, OpenExchange, PathClaim
from harmony.web.exchange import Handler
from harmony.web.router import Router, mounted


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """``[endpoints.NAME.options]`` of ``service = "http"``; meanings in the schema."""

    path_prefix: str = "/"
    max_json_bytes: int = 1048576
    max_store_bytes: int = 8589934592
    max_parts: int = 10000
    deadline_seconds: float = 120.0
    empty_find: Literal[200, 204] = 200


class HttpEndpoint:
    """One mount on the routers of its pipeline's networks.

    Implements `harmony.interfaces.Endpoint`. The listeners belong to the networks; requests
    run in the tasks of their connections.

    Args:
        operations: what the backends of its pipeline can serve.
    """

    def __init__(
        self,
        name: str,
        options: Options,
        *,
        pipeline: str,
        routers: Mapping[str, Router],
        observer: Observer,
        operations: Collection[Operation] = frozenset(Operation),
    ) -> None:
        self.name = name
        self._options = options
        self._pipeline = pipeline
        self._routers = routers
        self._observer = observer
        # An echo alone is no reason for an API.
        self._passes_through = set(operations) <= {Operation.HTTP, Operation.ECHO}

    def claims(self) -> Collection[PathClaim]:
        return [PathClaim(network, self._options.path_prefix) for network in self._routers]

    async def serve(
        self,
        exchange: OpenExchange,
        *,
        task_status: trio.TaskStatus[Sequence[Listening]] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """Answer requests below the prefix until cancelled."""
        prefix = self._options.path_prefix
        with mounted(self._routers.values(), prefix, self._handler(exchange)):
            task_status.started(())
            await trio.sleep_forever()

    def _handler(self, exchange: OpenExchange) -> Handler:
        options = self._options
        accounts = Accounts(endpoint=self.name, pipeline=self._pipeline, observer=self._observer)
        if self._passes_through:
            return PassThrough(
                accounts=accounts,
                exchange=exchange,
                max_body_bytes=options.max_store_bytes,
                deadline_seconds=options.deadline_seconds,
            ).handle
        return JsonApi(
            accounts=accounts,
            exchange=exchange,
            max_json_bytes=options.max_json_bytes,
            max_store_bytes=options.max_store_bytes,
            max_parts=options.max_parts,
            deadline_seconds=options.deadline_seconds,
            empty_find=options.empty_find,
        ).handle

    async def drain(self, grace_seconds: float) -> None:
        """Nothing to do: the listeners of the networks drain, and the requests with them."""
