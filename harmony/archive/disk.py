"""What the archive does to a file system, one method a step, so that a test can fail any."""

from __future__ import annotations

import os
from pathlib import Path
from typing import BinaryIO, Protocol


class Disk(Protocol):
    """Steps on files and folders. Each may raise OSError."""

    def create(self, path: Path) -> BinaryIO: ...
    def write(self, file: BinaryIO, data: bytes) -> None: ...
    def sync(self, file: BinaryIO) -> None: ...
    def link(self, source: Path, target: Path) -> None: ...
    def sync_folder(self, folder: Path) -> None: ...
    def unlink(self, path: Path) -> None: ...
    def free_bytes(self, folder: Path) -> int: ...


class RealDisk:
    """The file system of this machine."""

    def create(self, path: Path) -> BinaryIO:
        """A new file that only this user can read; it can be read back, too."""
        return open(path, "x+b", opener=_private)

    def write(self, file: BinaryIO, data: bytes) -> None:
        file.write(data)

    def sync(self, file: BinaryIO) -> None:
        """Bytes and length outlast a power cut afterwards; the name may not."""
        file.flush()
        os.fdatasync(file.fileno())

    def link(self, source: Path, target: Path) -> None:
        os.link(source, target, follow_symlinks=False)

    def sync_folder(self, folder: Path) -> None:
        """The names in it outlast a power cut afterwards."""
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def unlink(self, path: Path) -> None:
        path.unlink(missing_ok=True)

    def free_bytes(self, folder: Path) -> int:
        """What this user may still write there."""
        found = os.statvfs(folder)
        return found.f_bavail * found.f_frsize


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, mode=0o600)
