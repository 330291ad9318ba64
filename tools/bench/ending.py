"""What is left behind 10,000 callers who drop their connections, and how soon a stop is over."""

from __future__ import annotations

import contextlib
import socket
import statistics
import struct
import time
from collections.abc import Callable
from pathlib import Path

import trio

from harmony.envelope import Instance, Match, Progress
from harmony.upper_layer.pdus import (
    Abort,
    AbortSource,
    AssociateRequest,
    ProposedContext,
    ReleaseRequest,
    encode,
)
from harmony.upper_layer.user_information import UserInformation
from tests.support.eventually import eventually
from tools.bench.contenders import Scp
from tools.bench.deployments import discarding_scp
from tools.bench.discarding import Discarding, discarding_endpoint
from tools.bench.goals import Measure, Score
from tools.bench.holding import FIND, Called, hold, holder
from tools.bench.processes import MIB, Process
from tools.bench.servers import fast_scp
from tools.bench.setting import Setting

_DROPS, _QUICK_DROPS = 10_000, 1_000
_WARM_UP = 300
_AT_ONCE = 10
_BUSY = 100
_STOPS = 3
_MOST_MILLISECONDS = 100
_PATIENCE = 20.0  # seconds
_RESET = struct.pack("ii", 1, 0)  # close() sends RST
_HEADER = 6
_VERIFICATION, _IMPLICIT = "1.2.840.10008.1.1", "1.2.840.10008.1.2"
_UID = "1.2.826.0.1.3680043.10.999.9"
# What a caller says on an association before it drops the connection.
_LAST_WORDS = (
    b"",
    encode(ReleaseRequest()),
    encode(Abort(source=AbortSource.USER, reason=0)),
    b"\x04\x00\x00",
)


def print_tables(setting: Setting) -> None:
    """Drops at an endpoint in a process of its own; stops in this one."""
    _print_drops(setting)
    print(f"\nA stop while {_BUSY} associations are busy, until nothing of them is left")
    for role, stop in (("SCP", _stop_endpoint), ("SCU", _stop_callers)):
        roots = [setting.disk / f"stop-{role}-{number}" for number in range(_STOPS)]
        seconds = statistics.median(trio.run(stop, setting, root) for root in roots)
        print(f"  {role}{seconds * 1e3:>8.1f} ms", flush=True)
        setting.score(
            Score(
                row=f"stop with {_BUSY} busy, {role}",
                measure=Measure.MILLISECONDS,
                goal=_MOST_MILLISECONDS,
                reached=seconds * 1e3,
            )
        )


def _print_drops(setting: Setting) -> None:
    count = _QUICK_DROPS if setting.quick else _DROPS
    with discarding_scp(setting.disk / "drops", setting.engine) as scp:
        process = Process(scp.pid)
        trio.run(drop, scp, _WARM_UP)
        _settle(lambda: not process.connections(scp.port))
        before, memory = process.descriptors(), process.memory()
        started = time.perf_counter()
        trio.run(drop, scp, count)
        seconds = time.perf_counter() - started
        _settle(lambda: not process.connections(scp.port) and process.descriptors() <= before)
        left = max(process.descriptors() - before, 0) + process.connections(scp.port)
        grown = (process.memory() - memory) / MIB
    print(
        f"\n{count} associations whose callers drop the connection: {count / seconds:.0f} a "
        f"second; left behind: {left} descriptors, {grown:.1f} MiB",
        flush=True,
    )
    setting.score(
        Score(
            row=f"descriptors left behind {count} drops",
            measure=Measure.COUNT,
            goal=0,
            reached=left,
        )
    )


async def drop(scp: Scp, count: int) -> None:
    """So many associations, some at one time; each drops the connection after its last words.

    Raises:
        RuntimeError: one was not accepted.
    """
    request = encode(
        AssociateRequest(
            called_aet=scp.ae_title,
            calling_aet="DROPPER",
            contexts=(
                ProposedContext(
                    id=1, abstract_syntax=_VERIFICATION, transfer_syntaxes=(_IMPLICIT,)
                ),
            ),
            user=UserInformation(maximum_length=16384, implementation_class_uid=_UID),
        )
    )
    numbers = iter(range(count))

    async def some() -> None:
        for number in numbers:
            with trio.socket.socket() as sock:
                await sock.connect((scp.host, scp.port))
                await sock.send(request)
                accepted = await _accepted(sock)
                if not accepted:
                    raise RuntimeError("an association was not accepted")
                words = _LAST_WORDS[number % len(_LAST_WORDS)]
                if words:
                    await sock.send(words)
                if number % 3 == 0:
                    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)

    async with trio.open_nursery() as nursery:
        for _ in range(_AT_ONCE):
            nursery.start_soon(some)


async def _accepted(sock: trio.socket.SocketType) -> bool:
    """Read an A-ASSOCIATE-AC, whole."""
    data = b""
    while len(data) < _HEADER or len(data) < _HEADER + int.from_bytes(data[2:_HEADER], "big"):
        piece = await sock.recv(65536)
        if not piece:
            return False
        data += piece
    return data[0] == 2


async def _stop_endpoint(setting: Setting, root: Path) -> float:
    """Callers of another process wait for answers."""
    backend = Discarding()
    with contextlib.ExitStack() as callers:
        async with discarding_endpoint(backend, setting.engine) as running:
            scp = Called(running.host, running.port, "HARMONY")
            holding = holder(root, scp, _BUSY, setting.engine, FIND)
            await trio.to_thread.run_sync(callers.enter_context, holding)
            await eventually(lambda: backend.busy == _BUSY, seconds=_PATIENCE)
            started = time.perf_counter()
        return time.perf_counter() - started


async def _stop_callers(setting: Setting, root: Path) -> float:
    """Callers in this process have more answers than they take."""
    busy = 0

    async def take(item: Match | Instance | Progress) -> None:
        nonlocal busy
        busy += 1
        await trio.sleep_forever()

    with fast_scp(root) as scp:
        async with trio.open_nursery() as nursery:
            await nursery.start(hold, scp, _BUSY, setting.engine, take)
            await eventually(lambda: busy == _BUSY, seconds=_PATIENCE)
            started = time.perf_counter()
            nursery.cancel_scope.cancel()
        return time.perf_counter() - started


def _settle(condition: Callable[[], bool]) -> None:
    """Wait until it holds, as long as there is patience."""
    deadline = time.monotonic() + _PATIENCE
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.05)
