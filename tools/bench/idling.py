"""What associations cost that are held and do nothing, on both sides: processor time."""

from __future__ import annotations

import time

from harmony.dimse.engines import Engine
from tools.bench.deployments import discarding_scp
from tools.bench.goals import Measure, Score
from tools.bench.holding import STOCK, holder
from tools.bench.processes import Process
from tools.bench.servers import fast_scp
from tools.bench.setting import Setting

_SETTLE_SECONDS = 1.0
_SECONDS, _QUICK_SECONDS = 10.0, 2.0
_FEW, _MANY = 200, 1000
_MOST_OF_FEW, _MOST_OF_MANY = 1.0, 5.0


def print_tables(setting: Setting) -> None:
    """Both engines with 200 associations, Harmony's own with 1000, and pynetdicom by itself."""
    print("\nIdle: processor time of associations that are held, in % of one core, and memory")
    _print_pair(setting, Engine.TRIO, _FEW, _MOST_OF_FEW)
    _print_pair(setting, Engine.TRIO, _MANY, _MOST_OF_MANY)
    _print_pair(setting, Engine.PYNETDICOM, _FEW, None)
    root = setting.disk / "idle-stock"
    with fast_scp(root) as scp, holder(root, scp, _FEW, STOCK) as pid:
        _print_line(setting, "pynetdicom as installed, SCU", _FEW, pid, None)


def _print_pair(setting: Setting, engine: Engine, count: int, most: float | None) -> None:
    """An endpoint and a caller, each a process."""
    root = setting.disk / f"idle-{engine}-{count}"
    with discarding_scp(root, engine) as scp, holder(root, scp, count, engine) as pid:
        _print_line(setting, f"{engine}, SCU", count, pid, most)
        _print_line(setting, f"{engine}, SCP", count, scp.pid, most)


def _print_line(setting: Setting, who: str, count: int, pid: int, most: float | None) -> None:
    process = Process(pid)
    time.sleep(_SETTLE_SECONDS)
    before, started = process.cpu_seconds(), time.perf_counter()
    time.sleep(_QUICK_SECONDS if setting.quick else _SECONDS)
    share = (process.cpu_seconds() - before) / (time.perf_counter() - started) * 100
    memory = process.memory() / (1 << 20)
    threads = process.threads()
    print(
        f"  {count:>5} held, {who:<30}{share:>7.1f} %{memory:>8.0f} MiB{threads:>6} threads",
        flush=True,
    )
    if most is not None:
        setting.score(
            Score(row=f"{count} held, {who}", measure=Measure.PERCENT, goal=most, reached=share)
        )
