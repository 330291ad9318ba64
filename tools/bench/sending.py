"""storescu, timed: from its start to its end, with what has then arrived."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from tools.bench.commands import run_all
from tools.bench.objects import Supply
from tools.bench.servers import Server
from tools.bench.timing import Sample

_SETTLE_SECONDS = 15.0
_POLL_SECONDS = 0.001


def send(
    server: Server,
    supply: Supply,
    count: int,
    *,
    associations: int = 1,
    nodelay: bool,
    is_timed_to_arrival: bool = False,
) -> Sample:
    """Send `count` new objects with as many storescu at once as there shall be associations.

    A failure is told, and shows in what has arrived.

    Args:
        is_timed_to_arrival: whether the time goes on until the last has arrived.
    """
    folders = supply.batch(count, shares=associations)
    before = server.held()
    os.sync()  # nobody's fsync shall pay for what others have left behind
    started = time.perf_counter()
    try:
        storescu(server, folders, nodelay=nodelay)
    except RuntimeError as exc:
        print(f"{server.ae_title}: {exc}", file=sys.stderr)
    seconds = time.perf_counter() - started
    arrived = _arrived(server, before, count)
    return Sample(time.perf_counter() - started if is_timed_to_arrival else seconds, arrived)


def storescu(server: Server, folders: Sequence[Path], *, nodelay: bool) -> None:
    """Send what is in each folder, all at once.

    Raises:
        RuntimeError: an object was not taken.
    """
    to = ("--required", "--call", server.ae_title, server.host, str(server.port))
    command = ("storescu", "--scan-directories", "--recurse", *to)
    run_all([(*command, str(folder)) for folder in folders], nodelay=nodelay)


def _arrived(server: Server, before: int, count: int) -> int:
    """How many more there are; a receiver may count the last a little later."""
    deadline = time.monotonic() + _SETTLE_SECONDS
    while (arrived := server.held() - before) < count and time.monotonic() < deadline:
        time.sleep(_POLL_SECONDS)
    return arrived
