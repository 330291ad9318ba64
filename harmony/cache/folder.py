"""The folder of a cache: private, and gone with the process that made it.

A process that is killed leaves its folder behind. The next one finds that nobody holds its lock,
and removes it.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import secrets
import shutil
import tempfile
from pathlib import Path

_PREFIX = "harmony-cache-"
_LOCK = "lock"


class Folder:
    """A folder that is ours alone. Its methods block.

    Args:
        path: made for this purpose.
        lock: descriptor of the lock in it, which is held.
    """

    def __init__(self, path: Path, lock: int) -> None:
        self._path = path
        self._lock = lock

    @classmethod
    def open(cls, parent: Path | None) -> Folder:
        """Make one, and remove those that were left behind beside it.

        Args:
            parent: where to; None for the system's temporary folder.

        Raises:
            OSError: it cannot be made.
        """
        where = Path(tempfile.gettempdir()) if parent is None else parent
        for abandoned in where.glob(f"{_PREFIX}*"):
            _remove_if_abandoned(abandoned)
        path = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=where))  # of mode 0700
        # It is held before it has its name, so that nobody takes the folder for abandoned.
        making = path / f"{_LOCK}.new"
        lock = os.open(making, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        fcntl.flock(lock, fcntl.LOCK_EX)
        making.rename(path / _LOCK)
        return cls(path, lock)

    def create(self) -> tuple[int, Path]:
        """A new file, open for writing; its name tells nothing of what it will hold.

        Raises:
            OSError: there is no room, or no more descriptors.
        """
        path = self._path / secrets.token_hex(16)
        flags = os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC
        return os.open(path, flags, 0o600), path

    def close(self) -> None:
        """Remove all of it."""
        shutil.rmtree(self._path, ignore_errors=True)
        os.close(self._lock)


def _remove_if_abandoned(path: Path) -> None:
    """Remove a folder whose lock nobody holds. One without a lock is just being made."""
    with contextlib.suppress(OSError):
        lock = os.open(path / _LOCK, os.O_RDWR | os.O_CLOEXEC)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(path, ignore_errors=True)
        finally:
            os.close(lock)
