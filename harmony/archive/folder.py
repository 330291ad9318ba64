"""One archive folder: locked, recovered, open, and what may be done with it then."""

from __future__ import annotations

import contextlib
import fcntl
import os
import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from harmony.archive.arrivals import (
    COERCED,
    DUPLICATE,
    OUT_OF_RESOURCES,
    SUCCESS,
    Arrival,
    Entry,
    Refused,
)
from harmony.archive.disk import Disk, RealDisk
from harmony.archive.index import Decision, Index, OnConflict, Unusable, Verdict
from harmony.archive.objects import FAN_OUT, Objects

INDEX: Final = "index.db"
LOCK: Final = "lock"

# A caller whose bytes were not taken must learn of it. 0111 is a failure; where the first object
# shall stay and senders shall go on, B000 warns that what is archived differs from what was sent.
# PS3.4 B.2.3, PS3.7 annex C.
STATUSES: Final = {
    Verdict.ADDED: SUCCESS,
    Verdict.SAME: SUCCESS,
    Verdict.REPLACED: SUCCESS,
    Verdict.KEPT: COERCED,
    Verdict.REFUSED: DUPLICATE,
}


class CommitFailed(Exception):
    """Nobody knows whether the index took something in. Only opening it anew can tell."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recovery:
    """What was found when the folder was opened.

    Attributes:
        unfinished: files of which nobody was told that they are stored; deleted.
        missing: files that the index names and that are not there.
        unclaimed: files that the index does not name; left alone.
    """

    unfinished: int
    missing: tuple[str, ...]
    unclaimed: tuple[str, ...]


class Folder:
    """An archive that this process alone may change. Blocks; see each method about threads."""

    def __init__(
        self, objects: Objects, index: Index, recovery: Recovery, held: contextlib.ExitStack
    ) -> None:
        self.objects = objects
        self.index = index
        self.recovery = recovery
        self.broken: str | None = None
        self._held = held

    @classmethod
    def open(cls, path: Path, disk: Disk | None = None) -> Folder:
        """Open the archive at `path`, making it if there is none, and clear up after a crash.

        Raises:
            Unusable: another process has it, or it cannot be served as it is.
        """
        with contextlib.ExitStack() as stack:
            stack.enter_context(locked(path))
            disk = disk or RealDisk()
            objects = Objects(path, disk)
            try:
                objects.prepare()
                if not (path / INDEX).exists() and objects.any_file():
                    raise Unusable(
                        f"{path} holds objects but no {INDEX}: make it with "
                        f"`harmony archive rebuild --archive {path}`"
                    )
                index = Index(path / INDEX)
                stack.callback(index.close)
                disk.sync_folder(path)  # it may be new, and is to stay
                return cls(objects, index, _recover(objects, index), stack.pop_all())
            except OSError as exc:
                raise Unusable(f"{path} cannot hold an archive: {exc.strerror}") from exc
            except sqlite3.Error as exc:
                raise Unusable(f"the index of {path} cannot be read: {exc}") from exc

    def close(self) -> None:
        """Close the index and let others have the folder. No thread may use it any more."""
        self._held.close()

    def arrival(
        self,
        *,
        sop_class_uid: str,
        sop_instance_uid: str,
        transfer_syntax: str,
        max_bytes: int,
        reserve_bytes: int,
    ) -> Arrival:
        """A new object; any thread may write it. Nothing is done yet.

        Raises:
            Refused: this archive takes nothing any more.
        """
        if self.broken is not None:
            raise self._closed(self.broken)
        return Arrival(
            self.objects,
            sop_class_uid=sop_class_uid,
            sop_instance_uid=sop_instance_uid,
            transfer_syntax=transfer_syntax,
            max_bytes=max_bytes,
            reserve_bytes=reserve_bytes,
        )

    def commit(self, entries: Sequence[Entry], on_conflict: OnConflict) -> list[Decision]:
        """Make finished arrivals part of the archive; one thread at a time.

        What is not taken leaves no file. Once this returns, what is taken outlasts a power cut.

        Raises:
            Refused: there is no room for any of them, or this archive takes nothing any more.
            CommitFailed: the index failed. The files stay for the recovery to judge.
            SyncFailed: nobody knows whether their names are durable. They stay as well.
        """
        if self.broken is not None:  # since they began to arrive
            self.discard(entries)
            raise self._closed(self.broken)
        self.objects.sync_names(entry.file for entry in entries)
        try:
            decisions = self.index.add(entries, on_conflict, self.objects.is_whole)
        except sqlite3.Error as exc:
            if exc.sqlite_errorcode == sqlite3.SQLITE_FULL:
                self.discard(entries)
                raise Refused(OUT_OF_RESOURCES, "the disk is full") from exc
            raise CommitFailed from exc
        except OSError as exc:  # of a file that is archived already
            raise CommitFailed from exc
        # From here on all is done; what cannot be cleared up now the next recovery finds.
        for entry, decision in zip(entries, decisions, strict=True):
            with contextlib.suppress(OSError):
                if decision.is_taken:
                    self.objects.settle(entry.file)
                else:
                    self.objects.discard(entry.file)
        dropped = [decision.dropped for decision in decisions if decision.dropped is not None]
        if dropped:
            with contextlib.suppress(OSError, sqlite3.Error):
                _delete(self.objects, self.index, dropped)
        return decisions

    def _closed(self, why: str) -> Refused:
        return Refused(OUT_OF_RESOURCES, f"the archive takes nothing: {why}")

    def discard(self, entries: Sequence[Entry]) -> None:
        """Leave nothing of finished arrivals that are not committed."""
        for entry in entries:
            with contextlib.suppress(OSError):
                self.objects.discard(entry.file)


def _recover(objects: Objects, index: Index) -> Recovery:
    """Finish or undo what a crash left half done, and hold files and index to each other."""
    unfinished = 0
    for file in objects.unsettled():
        if index.has_file(file):
            objects.settle(file)
        else:
            objects.discard(file)
            unfinished += 1
    _delete(objects, index, index.dropped())
    missing: list[str] = []
    unclaimed: list[str] = []
    for fan_out in FAN_OUT:
        expected = index.files(fan_out)
        there = objects.found(fan_out)
        missing += sorted(expected - there)
        unclaimed += sorted(there - expected)
    return Recovery(unfinished=unfinished, missing=tuple(missing), unclaimed=tuple(unclaimed))


def _delete(objects: Objects, index: Index, files: Sequence[str]) -> None:
    """Delete files that instances were taken out of."""
    if files:
        for file in files:
            objects.discard(file)
        index.forget(files)


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Keep other processes from changing the archive at `path`; makes the folder if need be.

    The lock goes with the process, however it ends.

    Raises:
        Unusable: another has it.
    """
    try:
        is_new = not path.exists()
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        if is_new:
            RealDisk().sync_folder(path.parent)
        descriptor = os.open(path / LOCK, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as exc:
        raise Unusable(f"{path} cannot hold an archive: {exc.strerror}") from exc
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Unusable(
                f"{path} is in use by another process: stop it, or give each its own folder"
            ) from None
        yield
    finally:
        os.close(descriptor)
