"""Tasks and threads as log lines: who they are and where they wait. Never what they hold."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from types import FrameType
from typing import Final

import trio

from harmony.telemetry.failures import own_place
from harmony.telemetry.log import Logger

MAX_LINES: Final = 500


def dump(log: Logger) -> None:
    """Tell every task and thread of the process, at most `MAX_LINES` of each."""
    root = trio.lowlevel.current_root_task()
    tasks = list(_below(root)) if root is not None else []
    for depth, task in tasks[:MAX_LINES]:
        frames = [frame for frame, _ in task.iter_await_frames()]
        log.info("dump.task", name=task.name, depth=depth, where=_innermost(reversed(frames)))
    threads = threading.enumerate()
    frames_now = sys._current_frames()
    for thread in threads[:MAX_LINES]:
        frame = frames_now.get(thread.ident or 0)
        log.info("dump.thread", name=thread.name, where=_innermost(_outwards(frame)))
    log.info("dump.finished", count=len(tasks) + len(threads))


def _below(root: trio.lowlevel.Task) -> Iterator[tuple[int, trio.lowlevel.Task]]:
    waiting = [(0, root)]
    while waiting:
        depth, task = waiting.pop()
        yield depth, task
        for nursery in task.child_nurseries:
            waiting.extend((depth + 1, child) for child in nursery.child_tasks)


def _outwards(frame: FrameType | None) -> Iterator[FrameType]:
    while frame is not None:
        yield frame
        frame = frame.f_back


def _innermost(frames: Iterator[FrameType]) -> str | None:
    """The first of these frames that is ours."""
    for frame in frames:
        if (place := own_place(frame.f_code.co_filename, frame.f_lineno)) is not None:
            return place
    return None
