"""A thousand associations that are held and do nothing: nobody wakes up for them.

What that costs in processor time is a row of ``python -m tools.bench idle``. Here turns are
counted, which a busy machine does not change: something that polls takes them by the thousand.
"""

from __future__ import annotations

import trio

from harmony.dimse.engines import Engine
from tests.support.eventually import eventually
from tools.bench.deployments import discarding_scp
from tools.bench.holding import hold
from tools.bench.processes import Process

SECONDS = 100
HELD = 1000
WATCHED_SECONDS = 3
FEW = 100  # turns of all together while they are watched, and of none for long


class Turns(trio.abc.Instrument):
    """Counts what the scheduler lets run."""

    def __init__(self):
        self.count = 0

    def before_task_step(self, task):
        self.count += 1


async def test_associations_that_are_held_take_no_turns_on_either_side(tmp_path):
    turns = Turns()
    with discarding_scp(tmp_path / "scp", Engine.TRIO) as scp:
        process = Process(scp.pid)
        with trio.fail_after(SECONDS):
            async with trio.open_nursery() as nursery:
                await nursery.start(hold, scp, HELD, Engine.TRIO)
                await eventually(lambda: process.connections(scp.port) == HELD)
                await trio.testing.wait_all_tasks_blocked(0.1)
                waits = process.waits()
                trio.lowlevel.add_instrument(turns)
                await trio.sleep(WATCHED_SECONDS)
                trio.lowlevel.remove_instrument(turns)
                assert turns.count < FEW
                assert process.waits() - waits < FEW
                assert process.connections(scp.port) == HELD
                assert process.threads() < 10
                nursery.cancel_scope.cancel()
            await eventually(lambda: not process.connections(scp.port))
