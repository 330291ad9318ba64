"""Looking after an archive that nobody uses meanwhile: verify its files, rebuild its index."""

from __future__ import annotations

import contextlib
import hashlib
import os
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from harmony.archive.arrivals import Entry, Refused, check_identity
from harmony.archive.disk import RealDisk
from harmony.archive.folder import INDEX, Folder, locked
from harmony.archive.heads import read_head
from harmony.archive.index import Filed, Index, Unusable
from harmony.archive.objects import FAN_OUT, Objects
from harmony.dicom.elements import Malformed
from harmony.dicom.part10 import FileMeta, Part10Reader
from harmony.errors import RequestError

Progress = Callable[[int], None]

_CHUNK = 1024 * 1024
_BATCH = 200
_NEW = "index.new"
_JOURNALS = ("-wal", "-shm")


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong with a file, by the random name that it has in the archive."""

    file: str
    what: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """How many files are as they should be, and the others."""

    good: int
    faults: tuple[Fault, ...]


def verify(folder: Folder, progress: Progress) -> Report:
    """Read every file and hold it to the index."""
    good = 0
    faults = [Fault(file, "the index does not know it") for file in folder.recovery.unclaimed]
    for fan_out in FAN_OUT:
        for filed in folder.index.filed(fan_out):
            what = _difference(folder.objects.path(filed.file), filed)
            if what is None:
                good += 1
            else:
                faults.append(Fault(filed.file, what))
            progress(good + len(faults))
    return Report(good=good, faults=tuple(faults))


def rebuild(path: Path, progress: Progress) -> Report:
    """Make the index anew from the files; the old one is replaced when the new one is whole.

    Of several files of one instance the latest is taken. No file of an object is deleted.

    Raises:
        Unusable: another process has the archive, or the disk failed.
    """
    try:
        with locked(path):
            return _rebuild(Objects(path, RealDisk()), progress)
    except OSError as exc:
        raise Unusable(f"{path} cannot be rebuilt: {exc.strerror}") from exc
    except sqlite3.Error as exc:
        raise Unusable(f"{path} cannot be rebuilt: {exc}") from exc


def read_meta(stream: BinaryIO) -> tuple[FileMeta, list[bytes]]:
    """The head of a Part 10 file, and what of its data set was read with it.

    Raises:
        RequestError: there is none.
    """
    reader = Part10Reader()
    rest: list[bytes] = []
    while reader.meta is None:
        chunk = stream.read(4096)
        if not chunk:
            raise RequestError("it ends within the file meta information")
        rest = reader.feed(chunk)
    return reader.meta, rest


def _difference(path: Path, filed: Filed) -> str | None:
    try:
        with open(path, "rb") as stream:
            if os.fstat(stream.fileno()).st_size != filed.file_bytes:
                return "it has another length than the index says"
            digest, _ = _digest(stream, filed.head_bytes)
    except FileNotFoundError:
        return "it is missing"
    except OSError as exc:
        return f"it cannot be read: {exc.strerror}"
    return None if digest == filed.sha256 else "its bytes have changed"


def _rebuild(objects: Objects, progress: Progress) -> Report:
    objects.prepare()
    new, final = objects.folder / _NEW, objects.folder / INDEX
    _remove(new)
    faults: list[Fault] = []
    index = Index(new)
    with contextlib.closing(index):
        batch: list[Entry] = []
        files = sorted(objects.all_files(), key=lambda file: objects.path(file).stat().st_mtime_ns)
        for number, file in enumerate(files, 1):
            try:
                batch.append(_entry(objects, file))
            except (Refused, Malformed, RequestError, OSError) as exc:
                faults.append(Fault(file, _reason(exc)))
            if len(batch) == _BATCH:
                faults += _take(index, batch)
                batch = []
            progress(number)
        faults += _take(index, batch)
        good = index.count()
    _remove(final)  # with its journals: SQLite would apply them to the new file
    new.rename(final)
    RealDisk().sync_folder(objects.folder)
    for file in objects.unsettled():
        objects.settle(file)
    return Report(good=good, faults=tuple(faults))


def _take(index: Index, batch: list[Entry]) -> list[Fault]:
    decisions = index.add(batch, "replace", lambda file, size: True)
    index.forget(index.dropped())  # left for people to judge
    faults = []
    for entry, decision in zip(batch, decisions, strict=True):
        if decision.dropped is not None:
            faults.append(Fault(decision.dropped, f"{entry.file} is a later file of its instance"))
        elif not decision.is_taken:
            faults.append(Fault(entry.file, "another file is the same"))
    return faults


def _entry(objects: Objects, file: str) -> Entry:
    with open(objects.path(file), "rb") as stream:
        meta, rest = read_meta(stream)
        head_bytes = stream.tell() - sum(map(len, rest))
        digest, size = _digest(stream, head_bytes)
        values = read_head(stream, head_bytes, size, meta.transfer_syntax)
    check_identity(values, meta.sop_class_uid, meta.sop_instance_uid)
    return Entry(
        file=file,
        sop_class_uid=meta.sop_class_uid,
        sop_instance_uid=meta.sop_instance_uid,
        transfer_syntax=meta.transfer_syntax,
        head_bytes=head_bytes,
        size=size,
        sha256=digest,
        values=values,
    )


def _digest(stream: BinaryIO, start: int) -> tuple[bytes, int]:
    """SHA-256 and length of what follows `start`."""
    stream.seek(start)
    found, size = hashlib.sha256(), 0
    while chunk := stream.read(_CHUNK):
        found.update(chunk)
        size += len(chunk)
    return found.digest(), size


def _reason(exc: Exception) -> str:
    match exc:
        case Refused():
            return exc.why
        case RequestError():
            return exc.detail
        case OSError():
            return f"it cannot be read: {exc.strerror}"
        case _:
            return f"its data set cannot be read: {exc}"


def _remove(database: Path) -> None:
    for name in (*(database.name + suffix for suffix in _JOURNALS), database.name):
        database.with_name(name).unlink(missing_ok=True)
