"""Harmony as a service class user in this process: associations alone, no HTTP before them."""

from __future__ import annotations

import contextlib
import functools
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import trio

from harmony.dimse import contexts
from harmony.dimse.association import Association
from harmony.dimse.engines import Engine, Engines
from harmony.dimse.link import Proposal
from harmony.dimse.pool import AssociationPool, OpenLink, PoolLimits
from harmony.dimse.target import Target, Timeouts
from harmony.envelope import (
    Instance,
    Key,
    Level,
    Match,
    Progress,
    Query,
    Root,
    WholeBytes,
    root_cause,
)
from tools.bench.contenders import Scp
from tools.bench.objects import Object
from tools.bench.series import Series
from tools.bench.timing import Sample

T = TypeVar("T")

CT, EXPLICIT = "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.1.2.1"
_MOST_LINKS = 1024
# SOP class and instance, instance number, rows, columns; and those of a patient's studies.
_OF_AN_IMAGE = (0x00080016, 0x00080018, 0x00200013, 0x00280010, 0x00280011)
_OF_A_STUDY = (
    0x00080020,
    0x00080030,
    0x00080050,
    0x00080061,
    0x00080090,
    0x00081030,
    0x00100010,
    0x00100030,
    0x00100040,
    0x0020000D,
    0x00200010,
    0x00201206,
    0x00201208,
)
_PATIENT_ID, _STUDY, _SERIES = 0x00100020, 0x0020000D, 0x0020000E


def images_of(series: Series) -> Query:
    """All of a series."""
    keys = {_STUDY: (series.study_uid,), _SERIES: (series.series_uid,)}
    return _query(Level.IMAGE, keys | dict.fromkeys(_OF_AN_IMAGE, ()))


def studies_of(patient: str) -> Query:
    """All of a patient."""
    return _query(Level.STUDY, {_PATIENT_ID: (patient,)} | dict.fromkeys(_OF_A_STUDY, ()))


def _query(level: Level, keys: dict[int, tuple[str, ...]]) -> Query:
    ordered = tuple(Key(tag, keys[tag]) for tag in sorted(keys))
    return Query(level=level, root=Root.STUDY, keys=ordered)


def open_link(engine: Engine) -> OpenLink:
    """The engine, with as many threads as a benchmark wants."""
    return Engines(threads=trio.CapacityLimiter(_MOST_LINKS)).open_link(engine)


def target(scp: Scp, timeouts: Timeouts | None = None) -> Target:
    return Target(
        aet=scp.ae_title,
        host=scp.host,
        port=scp.port,
        local_aet="BENCH",
        timeouts=timeouts or Timeouts(),
    )


def pool(scp: Scp, engine: Engine, size: int) -> AssociationPool:
    """Of so many associations, all of which may be held."""
    limits = PoolLimits(
        max_associations=size, keep_associations=size, max_waiting=size, wait_seconds=60
    )
    return AssociationPool("bench", target(scp), limits, open_link(engine))


@contextlib.asynccontextmanager
async def associated(
    scp: Scp, engine: Engine, proposals: Sequence[Proposal]
) -> AsyncIterator[Association]:
    """One association, released at the end of the block."""
    to = target(scp)
    opening = functools.partial(open_link(engine), to, proposals)
    try:
        async with trio.open_nursery() as nursery:
            association = Association(await nursery.start(opening), to)
            yield association
            await association.close()
            nursery.cancel_scope.cancel()
    except BaseExceptionGroup as group:
        raise root_cause(group) from None


@dataclass(frozen=True, slots=True)
class Own:
    """Asks one SCP, on a new association each time."""

    scp: Scp
    engine: Engine

    def held_echoes(self, count: int) -> Sample:
        """So many on one association, but for the first."""

        async def work(association: Association) -> Sample:
            await association.echo()
            started = time.perf_counter()
            for _ in range(count):
                await association.echo()
            return Sample(time.perf_counter() - started, count)

        return self._on_one(contexts.for_queries(), work)

    def find(self, series: Series) -> int:
        """Rows of an IMAGE level query of this series."""
        matches = 0

        async def take(item: Match | Instance | Progress) -> None:
            nonlocal matches
            matches += isinstance(item, Match)

        async def work(association: Association) -> int:
            await association.find(images_of(series), take)
            return matches

        return self._on_one(contexts.for_queries(), work)

    def get(self, series: Series) -> int:
        """Bytes of all its instances."""
        query = _query(Level.SERIES, {_STUDY: (series.study_uid,), _SERIES: (series.series_uid,)})
        size = 0

        async def read(instance: Instance) -> None:
            nonlocal size
            async for chunk in instance.data:
                size += len(chunk)

        async def work(association: Association) -> int:
            async with trio.open_nursery() as nursery:

                async def take(item: Match | Instance | Progress) -> None:
                    if isinstance(item, Instance):
                        nursery.start_soon(read, item)

                await association.get(query, take)
            return size

        return self._on_one(contexts.for_get(), work)

    def store(self, objects: Iterable[Object]) -> int:
        """How many of these files were taken; each is read when it is sent."""

        async def work(association: Association) -> int:
            taken = 0
            for each in objects:
                told = await association.store(
                    Instance(
                        sop_class_uid=CT,
                        sop_instance_uid=each.uid,
                        transfer_syntax=EXPLICIT,
                        data=WholeBytes(each.data_set()),
                    )
                )
                taken += told.status == 0
            return taken

        return self._on_one(contexts.for_store([(CT, EXPLICIT)]), work)

    def _on_one(
        self, proposals: Sequence[Proposal], work: Callable[[Association], Awaitable[T]]
    ) -> T:
        async def main() -> T:
            async with associated(self.scp, self.engine, proposals) as association:
                return await work(association)

        return trio.run(main)
