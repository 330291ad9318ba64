"""The folder of a demo: one that passes, or one that stays.

Only in the main thread: until a block ends, TERM and HUP end it as an interrupt does, by an
exception. While a folder is removed, no signal that asks for an end is heeded.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import FrameType

_SIGNALS = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)


class FolderExists(Exception):
    """There is something already where a new folder was asked for."""


@contextlib.contextmanager
def passing_folder() -> Iterator[Path]:
    """A new folder among the system's temporary ones, removed with all in it at the end."""
    with _new_folder("harmony-demo-", None) as folder:
        yield folder


@contextlib.contextmanager
def lasting_folder(path: Path) -> Iterator[Path]:
    """A folder that becomes `path` if the block does not fail, and is removed if it does.

    Raises:
        FolderExists: `path` exists.
        OSError: it cannot be made.
    """
    if os.path.lexists(path):
        raise FolderExists(f"{path} exists already; name a folder that does not")
    path.parent.mkdir(parents=True, exist_ok=True)
    with _new_folder(".harmony-demo-", path.parent) as folder:
        yield folder
        folder.rename(path)


@contextlib.contextmanager
def _new_folder(prefix: str, parent: Path | None) -> Iterator[Path]:
    """A folder that is removed at the end if it has still its name then."""
    before = {number: signal.getsignal(number) for number in _SIGNALS}
    try:
        for number, handler in before.items():
            if handler == signal.SIG_DFL:  # and not ignored, as under nohup
                signal.signal(number, _leave)
        folder = Path(tempfile.mkdtemp(prefix=prefix, dir=parent))
        try:
            yield folder
        finally:
            for number in before:
                signal.signal(number, signal.SIG_IGN)
            if folder.exists():
                shutil.rmtree(folder)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _leave(number: int, _: FrameType | None) -> None:
    raise SystemExit(128 + number)
