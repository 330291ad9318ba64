"""A stop while a hundred associations are busy: it is over, and nothing of them is left.

How soon is a row of ``python -m tools.bench end``; the leak watch sees to what is left here.
"""

from __future__ import annotations

import contextlib

import trio

from harmony.dimse.engines import Engine
from tests.support.eventually import eventually
from tools.bench.deployments import discarding_scp
from tools.bench.discarding import Discarding, discarding_endpoint
from tools.bench.holding import FIND, Called, hold, holder
from tools.bench.processes import Process
from tools.bench.servers import fast_scp

SECONDS = 60
BUSY = 100


async def test_callers_that_wait_for_answers_are_hung_up(tmp_path):
    backend = Discarding()
    with contextlib.ExitStack() as callers, trio.fail_after(SECONDS):
        async with discarding_endpoint(backend, Engine.TRIO) as running:
            scp = Called(running.host, running.port, "HARMONY")
            holding = holder(tmp_path, scp, BUSY, Engine.TRIO, FIND)
            process = Process(await trio.to_thread.run_sync(callers.enter_context, holding))
            await eventually(lambda: backend.busy == BUSY)
            held = process.descriptors()
        await eventually(lambda: process.descriptors() <= held - BUSY)  # they have noticed


async def test_calls_whose_answers_are_not_taken_are_hung_up(tmp_path):
    busy = []

    async def take(item):
        busy.append(item)
        await trio.sleep_forever()

    with fast_scp(tmp_path) as scp, trio.fail_after(SECONDS):
        process = Process(scp.pid)
        async with trio.open_nursery() as nursery:
            await nursery.start(hold, scp, BUSY, Engine.TRIO, take)
            await eventually(lambda: len(busy) == BUSY)
            assert process.connections(scp.port) == BUSY
            nursery.cancel_scope.cancel()
        await eventually(lambda: not process.connections(scp.port))


async def test_a_process_that_is_killed_with_associations_open_leaves_its_peer_none(tmp_path):
    with discarding_scp(tmp_path / "scp", Engine.TRIO) as scp, trio.fail_after(SECONDS):
        process = Process(scp.pid)
        before = process.descriptors()
        with contextlib.ExitStack() as callers:
            holding = holder(tmp_path, scp, BUSY, Engine.TRIO)
            await trio.to_thread.run_sync(callers.enter_context, holding)
            await eventually(lambda: process.connections(scp.port) == BUSY)
        await eventually(lambda: process.descriptors() <= before)
