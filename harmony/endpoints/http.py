"""The ``http`` endpoint: a path prefix on a network's HTTP listener.

In front of a backend that can do DIMSE it speaks the JSON API of `json_api`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import trio

from harmony.endpoints.accounts import Accounts
from harmony.endpoints.json_api import JsonApi
from harmony.interfaces import Listening, Observer, OpenExchange, PathClaim
from harmony.web.router import Router


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
    """

    def __init__(
        self,
        name: str,
        options: Options,
        *,
        pipeline: str,
        routers: Mapping[str, Router],
        observer: Observer,
    ) -> None:
        self.name = name
        self._options = options
        self._pipeline = pipeline
        self._routers = routers
        self._observer = observer

    def claims(self) -> Collection[PathClaim]:
        return [PathClaim(network, self._options.path_prefix) for network in self._routers]

    async def serve(
        self,
        exchange: OpenExchange,
        *,
        task_status: trio.TaskStatus[Sequence[Listening]] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """Answer requests below the prefix until cancelled."""
        api = JsonApi(
            accounts=Accounts(endpoint=self.name, pipeline=self._pipeline, observer=self._observer),
            exchange=exchange,
            max_json_bytes=self._options.max_json_bytes,
            max_store_bytes=self._options.max_store_bytes,
            max_parts=self._options.max_parts,
            deadline_seconds=self._options.deadline_seconds,
            empty_find=self._options.empty_find,
        )
        mounted: list[Router] = []
        try:
            for router in self._routers.values():
                router.mount(self._options.path_prefix, api.handle)
                mounted.append(router)
            task_status.started(())
            await trio.sleep_forever()
        finally:
            for router in mounted:
                router.unmount(self._options.path_prefix)

    async def drain(self, grace_seconds: float) -> None:
        """Nothing to do: the listeners of the networks drain, and the requests with them."""
