"""Harmony's own service class user on the trio engine, with what it was given in plain values.

async with calling(Called(host=host, port=port, aet="PACS")) as user:
    await user.echo()
    completion, identifiers = await user.find(dimse.query())
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable, Iterable, Sequence

import trio

from harmony.backends.storing import Storer
from harmony.dimse import contexts
from harmony.dimse.engines import Engine
from harmony.dimse.link import Proposal
from harmony.dimse.pool import AssociationPool, PoolLimits
from harmony.dimse.target import Target
from harmony.envelope import (
    Completion,
    Instance,
    Item,
    Match,
    Outcome,
    Query,
    Stored,
    WholeBytes,
)
from harmony.errors import HarmonyError
from tests.support import bad_pacs, dimse, engines
from tests.support.dcmtk import Called


@contextlib.asynccontextmanager
async def calling(called: Called) -> AsyncIterator[OwnUser]:
    """Of a real peer, with the patience of the configuration's defaults."""
    target = Target(aet=called.aet, host=called.host, port=called.port, local_aet=called.calling)
    pool = AssociationPool("peer", target, PoolLimits(), engines.open_link(Engine.TRIO))
    async with pool.run():
        yield OwnUser(pool)


@contextlib.asynccontextmanager
async def calling_impatiently(port: int) -> AsyncIterator[OwnUser]:
    """Of a bad PACS, with time-outs that a test can wait for."""
    pool = dimse.pool(port, engines.open_link(Engine.TRIO))
    async with pool.run():
        yield OwnUser(pool)


class OwnUser:
    """All five services, on associations of a pool.

    Args:
        pool: running.
    """

    def __init__(self, pool: AssociationPool) -> None:
        self._pool = pool
        self._storer = Storer(pool)

    async def echo(self) -> None:
        async with self._pool.borrow("q", contexts.for_queries) as association:
            await association.echo()

    async def find(self, query: Query) -> tuple[Completion, list[bytes]]:
        """How it ended, and the encoded identifiers."""
        found: list[bytes] = []

        async def take(item: Item) -> None:
            assert isinstance(item, Match)
            found.append(item.identifier)

        async with self._pool.borrow("q", contexts.for_queries) as association:
            outcome = await association.find(query, take)
        return outcome.completion, found

    async def get(
        self, query: Query, proposals: Callable[[], Sequence[Proposal]] = contexts.for_get
    ) -> tuple[Completion, list[bad_pacs.Instance]]:
        """How it ended, and the objects, each read by a task of its own."""
        got: list[bad_pacs.Instance] = []

        async def read(instance: Instance) -> None:
            got.append(
                bad_pacs.Instance(
                    sop_class=instance.sop_class_uid,
                    sop_instance=instance.sop_instance_uid,
                    transfer_syntax=instance.transfer_syntax,
                    data=b"".join([chunk async for chunk in instance.data]),
                )
            )

        ended: Outcome | HarmonyError
        async with trio.open_nursery() as nursery:

            async def take(item: Item) -> None:
                if isinstance(item, Instance):
                    nursery.start_soon(read, item)

            try:
                async with self._pool.borrow("get", proposals) as association:
                    ended = await association.get(query, take)
            except HarmonyError as exc:  # to be raised in no group
                ended = exc
        if isinstance(ended, HarmonyError):
            raise ended
        return ended.completion, got

    async def move(self, query: Query) -> Completion:
        """How it ended."""

        async def take(item: Item) -> None:
            """Progress is not kept."""

        async with self._pool.borrow("q", contexts.for_queries) as association:
            outcome = await association.move(query, take)
        return outcome.completion

    async def store(self, instances: Iterable[bad_pacs.Instance]) -> list[int]:
        """The status of each."""
        statuses: list[int] = []

        async def body() -> AsyncIterator[Instance]:
            for one in instances:
                yield Instance(
                    sop_class_uid=one.sop_class,
                    sop_instance_uid=one.sop_instance,
                    transfer_syntax=one.transfer_syntax,
                    data=WholeBytes(one.data),
                    repeatable=True,
                )

        async def report(stored: Stored) -> None:
            statuses.append(stored.status)

        await self._storer.store(body(), report)
        return statuses
