"""Hold associations with an SCP, and do nothing on them, or ask each for a find that does not end.

    python -m tools.bench.holding HOST PORT AE_TITLE COUNT {trio,pynetdicom,stock} [find]

``trio`` and ``pynetdicom`` are Harmony's engines, ``stock`` is pynetdicom as it is installed. It
prints a line when all are there, and holds them until it is ended.
"""

from __future__ import annotations

import contextlib
import functools
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import trio

from harmony.dimse import contexts
from harmony.dimse.association import Association, Emit
from harmony.dimse.engines import Engine
from harmony.envelope import Instance, Match, Progress
from tests.support.processes import Program
from tools.bench.contenders import Scp
from tools.bench.own_caller import open_link, studies_of, target

STOCK, FIND = "stock", "find"
READY = "all are there"
_AT_ONCE = 32
_PATIENCE = 600.0  # seconds without a word, of pynetdicom
_SECONDS_TO_START = 60.0
_PATIENT = "M1000"
_VERIFICATION = "1.2.840.10008.1.1"


@dataclass(frozen=True, slots=True)
class Called:
    """Whom to hold associations with."""

    host: str
    port: int
    ae_title: str


@contextlib.contextmanager
def holder(root: Path, scp: Scp, count: int, who: str, *work: str) -> Iterator[int]:
    """Run this module until the block ends; its process ID, once all associations are there."""
    root.mkdir(parents=True, exist_ok=True)
    script = (sys.executable, "-m", "tools.bench.holding", scp.host, str(scp.port), scp.ae_title)
    log = root / "holding.log"
    program = Program((*script, str(count), who, *work), log, nodelay=False)
    try:
        program.wait_until(lambda: READY in log.read_text(), seconds=_SECONDS_TO_START)
        yield program.pid
    finally:
        program.kill()


async def hold(
    scp: Scp,
    count: int,
    engine: Engine,
    take: Emit | None = None,
    *,
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Hold associations of Harmony's until cancelled.

    Args:
        take: gets the matches of a find on each; None for no find.
        task_status: is told when all are there.
    """
    to = target(scp)
    opening = functools.partial(open_link(engine), to, contexts.for_queries())
    few = trio.CapacityLimiter(_AT_ONCE)
    async with trio.open_nursery() as nursery:

        async def start() -> None:
            async with few:
                association = Association(await nursery.start(opening), to)
                await association.echo()
            if take is not None:
                nursery.start_soon(association.find, studies_of(_PATIENT), take)

        async with trio.open_nursery() as starting:
            for _ in range(count):
                starting.start_soon(start)
        task_status.started()


async def _hold_and_tell(scp: Scp, count: int, engine: Engine, *, finds: bool) -> None:
    async with trio.open_nursery() as nursery:
        await nursery.start(hold, scp, count, engine, _take if finds else None)
        print(READY, flush=True)


async def _take(item: Match | Instance | Progress) -> None:
    await trio.sleep_forever()


def hold_stock(scp: Scp, count: int) -> None:
    """Hold associations of pynetdicom's until the process is ended."""
    from pynetdicom import AE  # only here: whoever imports it pays for it

    ae = AE("BENCH")
    ae.network_timeout = _PATIENCE
    ae.add_requested_context(_VERIFICATION)
    held = [ae.associate(scp.host, scp.port, ae_title=scp.ae_title) for _ in range(count)]
    if not all(association.is_established for association in held):
        sys.exit("not all associations could be had")
    print(READY, flush=True)
    while True:
        time.sleep(_PATIENCE)


def main(arguments: list[str]) -> None:
    """Hold them until the process is ended."""
    host, port, ae_title, count, who, *work = arguments
    scp = Called(host, int(port), ae_title)
    if who == STOCK:
        hold_stock(scp, int(count))
    else:
        trio.run(
            functools.partial(_hold_and_tell, finds=FIND in work), scp, int(count), Engine(who)
        )


if __name__ == "__main__":
    main(sys.argv[1:])
