"""C-STORE through to a fast SCP, until the last object is there; what it costs; very large ones.

Orthanc is told by a script to send on what it stores, and to forget it then: the way it is used
as a router.
"""

from __future__ import annotations

import contextlib
import functools
import shutil
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import trio

from harmony.dimse import contexts
from harmony.envelope import Instance
from tools.bench.deployments import harmony_relay
from tools.bench.goals import Measure, Score
from tools.bench.objects import Supply, make_template
from tools.bench.own_caller import CT, EXPLICIT, associated
from tools.bench.processes import MIB, Process
from tools.bench.sending import send
from tools.bench.servers import Server, fast_scp, orthanc_relay, pynetdicom_relay
from tools.bench.setting import Setting, modes
from tools.bench.timing import Case, Entry, Sample, Unit, print_head

NAMES = ("harmony relay", "orthanc lua", "pynetdicom kept", "pynetdicom nodelay")
_NOTE = (
    "\nThrough: storescu sends on one association to each relay, and a fast SCP is behind all.\n"
    "Timed until the last object is there. CPU is that of the relay alone."
)
_COUNT, _QUICK_COUNT = 200, 40
_STALLED = 25  # objects for those who take 50 ms for each
_GIB = 1 << 30
_CHUNK = bytes(range(256)) * 1024
# Patient ID, and the head of Pixel Data without its length; explicit VR little endian.
_HEAD: Final = b"\x10\x00\x20\x00LO\x02\x00P1" + b"\xe0\x7f\x10\x00OW\x00\x00"
_MOST_CPU = 1.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Large:
    """An object of this size in a relay that has done no more than echo.

    Attributes:
        most: MiB that the relay may grow by.
    """

    title: str
    size: int
    most: float


_LARGE: Final = (
    Large(title="50 MiB", size=50 * MIB, most=2),
    Large(title="2 GB", size=2_000_000_000, most=32),
)


def print_tables(setting: Setting) -> None:
    """With DCMTK and Orthanc sending at once, and as they are installed; then large objects."""
    print(_NOTE)
    for nodelay, how in modes():
        print_head(f"Through, storescu and Orthanc {how}; up to {setting.sends} rounds", NAMES)
        _print_line(setting, nodelay=nodelay)
    print("\nOne object through, from a caller who sends as fast as he may")
    for large in _LARGE[:1] if setting.quick else _LARGE:
        _print_large(setting, large)


def _print_line(setting: Setting, *, nodelay: bool) -> None:
    root = setting.memory / "forward"
    supply = Supply(folder=setting.memory / "objects", template=make_template(512))
    count = _QUICK_COUNT if setting.quick else _COUNT
    with contextlib.ExitStack() as running:
        running.callback(shutil.rmtree, root, ignore_errors=True)
        sink = running.enter_context(fast_scp(root / "fast"))
        relays = (
            running.enter_context(harmony_relay(root / "harmony", sink, setting.engine)),
            running.enter_context(orthanc_relay(root / "orthanc", sink, nodelay=nodelay)),
            running.enter_context(pynetdicom_relay(root / "kept", sink, "kept")),
            running.enter_context(pynetdicom_relay(root / "nodelay", sink, "nodelay")),
        )
        costs = [Cost(relay, supply, nodelay=nodelay) for relay in relays]
        counts = (count, count if nodelay else _STALLED, _STALLED, _STALLED)
        goals = (None, 2, None, None) if nodelay else (None, 20, 4, 4)
        case = Case(
            title="0.5 MB each",
            row="C-STORE through, 0.5 MB each" + (", TCP_NODELAY=1" if nodelay else ""),
            unit=Unit.OBJECTS,
            entries=[
                Entry(name=name, run=functools.partial(cost.send, due), due=due, goal=goal)
                for name, cost, due, goal in zip(NAMES, costs, counts, goals, strict=True)
            ],
        )
        setting.print_case(case, setting.sends)
        texts = [f"{cost.seconds_a_gib:.1f} s/GiB" for cost in costs]
        print("  CPU".ljust(32) + "".join(text.rjust(25) for text in texts), flush=True)
        if not nodelay:
            setting.score(
                Score(
                    row="C-STORE through, 0.5 MB each, CPU",
                    measure=Measure.SECONDS_A_GIB,
                    goal=_MOST_CPU,
                    reached=costs[0].seconds_a_gib,
                )
            )


class Cost:
    """Sends to a relay, and sums up what that costs it."""

    def __init__(self, relay: Server, supply: Supply, *, nodelay: bool) -> None:
        self._relay = relay
        self._supply = supply
        self._nodelay = nodelay
        self._process = Process(relay.pid)
        self._bytes = 0
        self._seconds = 0.0

    @property
    def seconds_a_gib(self) -> float:
        return self._seconds / self._bytes * _GIB

    def send(self, count: int) -> Sample:
        before = self._process.cpu_seconds()
        sample = send(
            self._relay, self._supply, count, nodelay=self._nodelay, is_timed_to_arrival=True
        )
        self._seconds += self._process.cpu_seconds() - before
        self._bytes += sample.got * self._supply.object_bytes
        return sample


def _print_large(setting: Setting, large: Large) -> None:
    root: Path = setting.disk / f"large-{large.size}"
    with (
        fast_scp(root / "fast") as sink,
        harmony_relay(root / "harmony", sink, setting.engine) as relay,
    ):
        process = Process(relay.pid)
        trio.run(_store, setting, relay, MIB)  # what is made once is there
        process.reset_peak()
        before, cpu, started = process.memory(), process.cpu_seconds(), time.perf_counter()
        trio.run(_store, setting, relay, large.size)
        seconds = time.perf_counter() - started
        grown = (process.peak_memory() - before) / MIB
        cost = (process.cpu_seconds() - cpu) / large.size * _GIB
    print(
        f"  {large.title:<10}{large.size / seconds / 1e6:>8.0f} MB/s{cost:>8.2f} s/GiB of CPU"
        f"{before / MIB:>8.1f} MiB before{grown:>8.2f} MiB more at the most",
        flush=True,
    )
    setting.score(
        Score(
            row=f"memory of the relay for one object of {large.title}",
            measure=Measure.MIB,
            goal=large.most,
            reached=grown,
        )
    )


async def _store(setting: Setting, relay: Server, size: int) -> None:
    async with associated(relay, setting.engine, contexts.for_store([(CT, EXPLICIT)])) as caller:
        told = await caller.store(
            Instance(
                sop_class_uid=CT,
                sop_instance_uid=f"1.2.3.{size}",
                transfer_syntax=EXPLICIT,
                data=_pixels(size),
            )
        )
    if told.status:
        raise RuntimeError(f"the relay answered {told.status:04X}")


async def _pixels(size: int) -> AsyncIterator[bytes]:
    size -= size % 2
    yield _HEAD + size.to_bytes(4, "little")
    for _ in range(size // len(_CHUNK)):
        yield _CHUNK
    yield _CHUNK[: size % len(_CHUNK)]
