"""What a test leaves behind: threads, descriptors, child processes.

`leftovers` compares two snapshots; `assert_nothing_left` polls until there are none, because a
thread that was told to end, and a socket that the kernel is closing, need a moment. Tasks of
trio need no watching: a nursery does not close before they are done.

Linux only, as it reads ``/proc/self``.
"""

from __future__ import annotations

import gc
import os
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path

GRACE_SECONDS = 2.0
_POLL_SECONDS = 0.01
_TRIO_THREAD_CACHE = os.path.join("trio", "_core", "_thread_cache.py")


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What the process holds at one moment.

    Attributes:
        threads: name by identity; without the idle workers that trio keeps for ten seconds.
        descriptors: what each open descriptor points to, e.g. ``socket:[4711]``.
        children: process ids of direct children.
    """

    threads: dict[int, str]
    descriptors: dict[int, str]
    children: frozenset[int]


def snapshot() -> Snapshot:
    """Look at this process now."""
    return Snapshot(_threads(), _descriptors(), _children())


def leftovers(before: Snapshot, now: Snapshot) -> list[str]:
    """Name what is there now and was not before."""
    names = [
        f"thread {name!r}"
        for identity, name in now.threads.items()
        if before.threads.get(identity) != name
    ]
    names += [
        f"descriptor {number} ({target})"
        for number, target in now.descriptors.items()
        if before.descriptors.get(number) != target
    ]
    names += [f"child process {pid}" for pid in sorted(now.children - before.children)]
    return names


def assert_nothing_left(before: Snapshot, *, grace_seconds: float = GRACE_SECONDS) -> None:
    """Wait until everything newer than `before` is gone.

    Raises:
        AssertionError: something is still there after `grace_seconds`; it says what.
    """
    deadline = time.monotonic() + grace_seconds
    collected = False
    while left := leftovers(before, snapshot()):
        if not collected:
            # An unclosed socket in a reference cycle: collecting it raises ResourceWarning,
            # which is an error here, so the leak is still told, and told where it came from.
            gc.collect()
            collected = True
        elif time.monotonic() > deadline:
            raise AssertionError("the test left behind: " + ", ".join(left))
        time.sleep(_POLL_SECONDS)


def _threads() -> dict[int, str]:
    frames = sys._current_frames()
    found = {}
    for thread in threading.enumerate():
        if thread.ident is None:
            continue
        frame = frames.get(thread.ident)
        # A worker at rest waits for its next job in _work itself; at work it is deeper down.
        if (
            frame is not None
            and frame.f_code.co_name == "_work"
            and frame.f_code.co_filename.endswith(_TRIO_THREAD_CACHE)
        ):
            continue
        found[thread.ident] = thread.name
    return found


def _descriptors() -> dict[int, str]:
    found = {}
    for number in os.listdir("/proc/self/fd"):
        try:
            target = os.readlink(f"/proc/self/fd/{number}")
        except FileNotFoundError:
            continue  # the listing's own descriptor
        if not target.startswith("/dev/"):
            found[int(number)] = target
    return found


def _children() -> frozenset[int]:
    found: set[int] = set()
    for listing in Path("/proc/self/task").glob("*/children"):
        try:
            found.update(map(int, listing.read_text().split()))
        except (FileNotFoundError, ProcessLookupError):
            continue  # the thread ended meanwhile
    return frozenset(found)
