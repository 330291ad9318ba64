"""The ``dicomweb`` endpoint: a path prefix on a network's HTTP listener."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import trio

from harmony.cache import CacheLimits, Retrieves
from harmony.endpoints.accounts import Accounts
from harmony.endpoints.dicomweb.asking import Asking
from harmony.endpoints.dicomweb.dispatch import Dispatch
from harmony.interfaces import Listening, Observer, OpenExchange, PathClaim
from harmony.web.router import Router, mounted

_DECODED_AT_ONCE = 2  # each is in memory, twice


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """``[endpoints.NAME.options]`` of ``service = "dicomweb"``; meanings in the schema."""

    path_prefix: str = "/dicom-web"
    max_store_bytes: int = 8589934592
    max_parts: int = 10000
    deadline_seconds: float = 120.0
    empty_search: Literal[200, 204] = 200
    cache_bytes: int = 1073741824
    cache_seconds: float = 60.0
    ahead_bytes: int = 67108864
    memory_bytes: int = 67108864
    max_retrieves: int = 4


class DicomwebEndpoint:
    """One mount on the routers of its pipeline's networks.

    Implements `harmony.interfaces.Endpoint`. The listeners belong to the networks; requests run
    in the tasks of their connections, and retrieves that they share in one of `serve`.

    Args:
        titles: what clients may call a backend of the pipeline by, and its name.
        cache_folder: for instances that are kept; None for the system's temporary folder.
    """

    def __init__(
        self,
        name: str,
        options: Options,
        *,
        pipeline: str,
        routers: Mapping[str, Router],
        observer: Observer,
        titles: Mapping[str, str],
        cache_folder: Path | None,
    ) -> None:
        self.name = name
        self._options = options
        self._pipeline = pipeline
        self._routers = routers
        self._observer = observer
        self._titles = titles
        self._cache_folder = cache_folder

    def claims(self) -> Collection[PathClaim]:
        return [PathClaim(network, self._options.path_prefix) for network in self._routers]

    async def serve(
        self,
        exchange: OpenExchange,
        *,
        task_status: trio.TaskStatus[Sequence[Listening]] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """Answer requests below the prefix until cancelled.

        Raises:
            OSError: there is no folder for instances to be had.
        """
        options = self._options
        limits = CacheLimits(
            keep_bytes=options.cache_bytes,
            keep_seconds=options.cache_seconds,
            ahead_bytes=options.ahead_bytes,
            retrieves=options.max_retrieves,
            memory_bytes=options.memory_bytes,
        )
        retrieves = Retrieves(exchange, limits, self._cache_folder)
        dispatch = Dispatch(
            accounts=Accounts(endpoint=self.name, pipeline=self._pipeline, observer=self._observer),
            asking=Asking(
                pipeline=self._pipeline,
                endpoint=self.name,
                exchange=exchange,
                retrieves=retrieves,
                titles=self._titles,
                deadline_seconds=options.deadline_seconds,
                decoding=trio.CapacityLimiter(_DECODED_AT_ONCE),
            ),
            max_store_bytes=options.max_store_bytes,
            max_parts=options.max_parts,
            empty=options.empty_search,
        )
        async with retrieves.run():
            with mounted(self._routers.values(), options.path_prefix, dispatch.handle):
                task_status.started(())
                await trio.sleep_forever()

    async def drain(self, grace_seconds: float) -> None:
        """Nothing to do: the listeners of the networks drain, and the requests with them."""
