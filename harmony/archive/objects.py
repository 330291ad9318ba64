"""Where the files lie, and the steps by which one becomes part of the archive.

A new object is written to ``incoming``, made durable, and given a second name in ``objects``;
that folder is made durable before the index takes the object in. The first name goes last: as
long as it is there, nobody was told that the object is stored unless the index says so. A file
that has only the name in ``objects`` is never deleted on a guess.
"""

from __future__ import annotations

import contextlib
import re
import secrets
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

from harmony.archive.disk import Disk

FAN_OUT = tuple(f"{number:02x}" for number in range(256))
_SUFFIX = ".dcm"
_FILE = re.compile(r"[0-9a-f]{32}")


class DiskFailed(Exception):
    """The disk did not do what it should, for another reason than being full."""


class SyncFailed(DiskFailed):
    """What was written may or may not be durable.

    Trying again would not tell: the kernel forgets what it failed to write.
    """


class Objects:
    """The files of one archive folder."""

    def __init__(self, folder: Path, disk: Disk) -> None:
        self.folder = folder
        self._disk = disk
        self._incoming = folder / "incoming"
        self._objects = folder / "objects"

    def prepare(self) -> None:
        """Make the folders that are not there, durably, and try a second name for a file."""
        for made in (self._incoming, *(self._objects / name for name in FAN_OUT)):
            made.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._disk.sync_folder(self._objects)
        self._disk.sync_folder(self.folder)
        trial = new_id()
        with contextlib.closing(self.create(trial)):
            try:
                self._disk.link(self.incoming(trial), self.path(trial))
            finally:
                self.discard(trial)

    def path(self, file: str) -> Path:
        return self._objects / file[:2] / f"{file}{_SUFFIX}"

    def incoming(self, file: str) -> Path:
        return self._incoming / f"{file}{_SUFFIX}"

    def is_whole(self, file: str, size: int) -> bool:
        """Whether the file is there and as long as it should be; OSError if nobody can say."""
        try:
            return self.path(file).stat().st_size == size
        except FileNotFoundError:
            return False

    def free_bytes(self) -> int:
        return self._disk.free_bytes(self._incoming)

    # The steps, in their order

    def create(self, file: str) -> BinaryIO:
        return self._disk.create(self.incoming(file))

    def write(self, stream: BinaryIO, data: bytes) -> None:
        self._disk.write(stream, data)

    def sync(self, stream: BinaryIO) -> None:
        """Raises `SyncFailed`."""
        try:
            self._disk.sync(stream)
        except OSError as exc:
            raise SyncFailed from exc

    def publish(self, file: str) -> None:
        """Give a durable file its name in ``objects``; `sync_names` makes the name durable, too."""
        self._disk.link(self.incoming(file), self.path(file))

    def sync_names(self, files: Iterable[str]) -> None:
        """Make names in ``objects`` durable. Files of one folder share a sync.

        Raises:
            SyncFailed: nobody knows whether it will keep them.
        """
        try:
            for folder in sorted({self.path(file).parent for file in files}):
                self._disk.sync_folder(folder)
        except OSError as exc:
            raise SyncFailed from exc

    def settle(self, file: str) -> None:
        """Drop the first name of a file that the index has taken in."""
        self._disk.unlink(self.incoming(file))

    def discard(self, file: str) -> None:
        """Drop all names of a file; the one that marks it as not committed goes last."""
        self._disk.unlink(self.path(file))
        self._disk.unlink(self.incoming(file))

    # What is there

    def unsettled(self) -> Iterator[str]:
        """Files that have their first name still."""
        return iter(sorted(_ids(self._incoming)))

    def found(self, fan_out: str) -> set[str]:
        """Files in one folder of ``objects``."""
        return {file for file in _ids(self._objects / fan_out) if file[:2] == fan_out}

    def all_files(self) -> Iterator[str]:
        """Files in ``objects``, the oldest of a folder first."""
        for fan_out in FAN_OUT:
            yield from sorted(self.found(fan_out))

    def any_file(self) -> bool:
        return next(self.all_files(), None) is not None


def new_id() -> str:
    """A name for a file: 128 random bits."""
    return secrets.token_hex(16)


def _ids(folder: Path) -> list[str]:
    names = [entry.name for entry in folder.iterdir()] if folder.is_dir() else []
    stems = (name.removesuffix(_SUFFIX) for name in names if name.endswith(_SUFFIX))
    return [stem for stem in stems if _FILE.fullmatch(stem)]
