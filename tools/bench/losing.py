"""Many finds at once on held associations: how fast they are, and how many answers are lost.

A find that has fewer matches than the SCP sent, and ends with success all the same, is a loss of
the worst kind; one that does not end with success is counted by itself.
"""

from __future__ import annotations

import functools
import random
import statistics
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import trio
from pydicom.datadict import dictionary_VR
from pydicom.dataset import Dataset
from pynetdicom import AE
from pynetdicom.sop_class import StudyRootQueryRetrieveInformationModelFind

from harmony.dimse import contexts
from harmony.dimse.engines import Engine
from harmony.envelope import Completion, Instance, Match, Progress, Query
from harmony.errors import HarmonyError
from tools.bench.contenders import Scp
from tools.bench.goals import Measure, Score
from tools.bench.own_caller import images_of, pool, studies_of
from tools.bench.sending import storescu
from tools.bench.servers import dcmqrscp, fast_scp
from tools.bench.setting import Setting

_FIND = StudyRootQueryRetrieveInformationModelFind
_CONCURRENT = 32
_FINDS, _QUICK_FINDS = 10_000, 1_000
_ROUNDS = 4
_PATIENCE = 3.0  # seconds for an answer, of pynetdicom
_RATE_GOAL = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """What is asked.

    Attributes:
        matches: that each find has.
    """

    query: Query
    matches: int
    finds: int
    concurrent: int = _CONCURRENT


@dataclass(slots=True)
class Tally:
    """What became of the finds of one round, or of several.

    Attributes:
        missing: that ended with success, and had fewer matches or others than there are.
        failed: that did not end with success.
    """

    whole: int = 0
    missing: int = 0
    failed: int = 0
    seconds: float = 0.0

    @property
    def finds(self) -> int:
        return self.whole + self.missing + self.failed

    @property
    def rate(self) -> float:
        """Finds a second."""
        return self.finds / self.seconds

    def count(self, *, is_success: bool, is_whole: bool) -> None:
        if not is_success:
            self.failed += 1
        elif is_whole:
            self.whole += 1
        else:
            self.missing += 1


async def own_load(scp: Scp, engine: Engine, load: Load) -> Tally:
    """Ask through a pool of Harmony's."""
    tally = Tally()
    turns = iter(range(load.finds))
    started = time.perf_counter()

    async def ask() -> None:
        for _ in turns:
            seen: list[bytes] = []

            async def take(item: Match | Instance | Progress, seen: list[bytes] = seen) -> None:
                assert isinstance(item, Match)
                seen.append(item.identifier)

            try:
                async with associations.borrow("q", contexts.for_queries) as association:
                    outcome = await association.find(load.query, take)
            except HarmonyError:
                tally.failed += 1
                continue
            tally.count(
                is_success=outcome.completion is Completion.COMPLETE,
                is_whole=len(set(seen)) == len(seen) == load.matches,
            )

    associations = pool(scp, engine, load.concurrent)
    async with associations.run():
        async with trio.open_nursery() as nursery:
            for _ in range(load.concurrent):
                nursery.start_soon(ask)
        tally.seconds = time.perf_counter() - started
    return tally


def stock_load(scp: Scp, load: Load) -> Tally:
    """Ask with pynetdicom as it is installed, on an association of each of so many threads."""
    tally = Tally()
    identifier = _dataset(load.query)
    turns = iter(range(load.finds))
    lock = threading.Lock()

    def ask() -> None:
        ae = AE("BENCH")
        ae.dimse_timeout = _PATIENCE
        ae.add_requested_context(_FIND)
        associate = functools.partial(ae.associate, scp.host, scp.port, ae_title=scp.ae_title)
        association = associate()
        while _takes_turn(turns, lock):
            if not association.is_established:
                association = associate()
            matches, status = 0, None
            if association.is_established:
                for answer, match in association.send_c_find(identifier, _FIND):
                    status = answer.get("Status")
                    matches += match is not None
            with lock:
                tally.count(is_success=status == 0, is_whole=matches == load.matches)
        association.release()

    started = time.perf_counter()
    threads = [threading.Thread(target=ask) for _ in range(load.concurrent)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    tally.seconds = time.perf_counter() - started
    return tally


def print_tables(setting: Setting) -> None:
    """At a fast SCP, and at dcmqrscp; both send at once, as late answers are not lost so."""
    finds = _QUICK_FINDS if setting.quick else _FINDS
    print(f"\nLost: {finds} finds of 1 match, {_CONCURRENT} at once on held associations")
    root = setting.disk / "lost"
    series = setting.shelf.rows(1)
    with fast_scp(root / "fast") as fast, dcmqrscp(root / "dcmqrscp", nodelay=True) as qrscp:
        storescu(qrscp, [series.objects], nodelay=True)
        for name, scp, query in (
            ("fast", fast, studies_of("M1")),
            ("dcmqrscp", qrscp, images_of(series)),
        ):
            load = Load(query=query, matches=1, finds=finds // _ROUNDS)
            loads: dict[str, Callable[[], Tally]] = {
                "harmony": functools.partial(trio.run, own_load, scp, setting.engine, load),
                "pynetdicom": functools.partial(stock_load, scp, load),
            }
            _print_lines(setting, name, loads)


def _print_lines(setting: Setting, scp: str, loads: dict[str, Callable[[], Tally]]) -> None:
    rounds: dict[str, list[Tally]] = {who: [] for who in loads}
    for _ in range(_ROUNDS):
        for who in random.sample(list(loads), len(loads)):
            rounds[who].append(loads[who]())
    rates = {who: statistics.median(each.rate for each in rounds[who]) for who in loads}
    for who, tallies in rounds.items():
        missing = sum(each.missing for each in tallies)
        failed = sum(each.failed for each in tallies)
        print(
            f"  {scp:<10}{who:<12}{rates[who]:>8.0f} finds/s{missing:>8} success with matches "
            f"missing{failed:>6} failed",
            flush=True,
        )
    lost = sum(each.missing + each.failed for each in rounds["harmony"])
    finds = sum(each.finds for each in rounds["harmony"])
    if scp == "fast":
        setting.score(
            Score(
                row=f"C-FIND, {_CONCURRENT} at once, finds/s, fast",
                against="pynetdicom",
                goal=_RATE_GOAL,
                reached=rates["harmony"] / rates["pynetdicom"],
            )
        )
    setting.score(
        Score(
            row=f"answers lost in {finds} finds, {scp}",
            measure=Measure.COUNT,
            goal=0,
            reached=lost,
        )
    )


def _takes_turn(turns: Iterator[int], lock: threading.Lock) -> bool:
    with lock:
        return next(turns, None) is not None


def _dataset(query: Query) -> Dataset:
    """The same for pynetdicom."""
    dataset = Dataset()
    dataset.QueryRetrieveLevel = query.level.value
    for key in query.keys:
        dataset.add_new(key.tag, dictionary_VR(key.tag), "\\".join(key.values) or None)
    return dataset
