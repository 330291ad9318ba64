"""``harmony archive``: import files into an archive, verify it, rebuild its index."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Self, TextIO

from harmony.cli.exits import Exit

if TYPE_CHECKING:  # --help must not wait for SQLite and pydicom
    from harmony.archive.arrivals import Entry
    from harmony.archive.folder import Folder
    from harmony.archive.index import OnConflict
    from harmony.archive.upkeep import Report

_CONFLICTS = ("keep", "replace", "refuse")
_BATCH = 64  # objects in one commit
_CHUNK = 1024 * 1024
_TELL_SECONDS = 0.2
_DIRECTORY = "1.2.840.10008.1.3.10"  # Media Storage Directory Storage: a DICOMDIR, no instance


def add_to(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the verb with its three actions."""
    verb = verbs.add_parser(
        "archive", help="import into, verify or rebuild an archive", allow_abbrev=False
    )
    actions = verb.add_subparsers(title="actions", metavar="ACTION", required=True)

    brings = actions.add_parser(
        "import", help="store all DICOM files below a folder", allow_abbrev=False
    )
    brings.add_argument("source", type=Path, metavar="FOLDER", help="where the files are")
    _add_archive(brings)
    brings.add_argument(
        "--on-conflict",
        choices=_CONFLICTS,
        default="refuse",
        help="what to do with other bytes under a SOP Instance UID that is there",
    )
    brings.set_defaults(verb=_import)

    verify = actions.add_parser(
        "verify", help="read every file and hold it to the index", allow_abbrev=False
    )
    _add_archive(verify)
    verify.set_defaults(verb=_verify)

    rebuild = actions.add_parser(
        "rebuild", help="make the index anew from the files", allow_abbrev=False
    )
    _add_archive(rebuild)
    rebuild.set_defaults(verb=_rebuild)


def _add_archive(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--archive",
        type=Path,
        required=True,
        metavar="DIR",
        help="folder of the archive, which no other process may be using",
    )


def _import(arguments: argparse.Namespace) -> int:
    from harmony.archive.folder import CommitFailed, Folder
    from harmony.archive.index import Unusable
    from harmony.archive.objects import DiskFailed

    source: Path = arguments.source
    if not source.is_dir():
        return _refuse(f"{source} is no folder")
    try:
        folder = Folder.open(arguments.archive)
    except Unusable as exc:
        return _refuse(str(exc))
    try:
        with _Importer(folder, arguments.on_conflict, arguments.archive) as importer:
            return importer.run(source)
    except (DiskFailed, CommitFailed):
        return _refuse(f"the disk of {arguments.archive} failed; what is stored, `verify` tells")
    finally:
        folder.close()


def _verify(arguments: argparse.Namespace) -> int:
    from harmony.archive import upkeep
    from harmony.archive.folder import INDEX, Folder
    from harmony.archive.index import Unusable

    path: Path = arguments.archive
    if not (path / INDEX).is_file():
        return _refuse(f"{path} is no archive: it has no {INDEX}")
    try:
        folder = Folder.open(path)
    except Unusable as exc:
        return _refuse(str(exc))
    try:
        return _report(upkeep.verify(folder, Progress(sys.stderr)), "as the index says")
    finally:
        folder.close()


def _rebuild(arguments: argparse.Namespace) -> int:
    from harmony.archive import upkeep
    from harmony.archive.index import Unusable

    path: Path = arguments.archive
    if not (path / "objects").is_dir():
        return _refuse(f"{path} is no archive: it has no folder `objects`")
    try:
        return _report(upkeep.rebuild(path, Progress(sys.stderr)), "in the new index")
    except Unusable as exc:
        return _refuse(str(exc))


def _refuse(why: str) -> int:
    print(f"harmony: {why}", file=sys.stderr)
    return Exit.FINDINGS


def _report(report: Report, what: str) -> int:
    for fault in report.faults:
        print(f"{fault.file}: {fault.what}")
    print(f"{report.good} files {what}, {len(report.faults)} at fault")
    return Exit.FINDINGS if report.faults else Exit.OK


class Progress:
    """Tells on a terminal how many files are done; elsewhere nothing."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._shown = stream.isatty()
        self._next = 0.0

    def __call__(self, done: int) -> None:
        now = time.monotonic()
        if self._shown and now >= self._next:
            self._next = now + _TELL_SECONDS
            self._stream.write(f"\r{done} files\r")
            self._stream.flush()


class _Importer:
    """Stores files in the order of their names, and counts what becomes of them.

    Leaving its block gives up what is not committed.
    """

    def __init__(self, folder: Folder, on_conflict: OnConflict, archive: Path) -> None:
        self._folder = folder
        self._on_conflict = on_conflict
        self._archive = archive
        self._waiting: list[tuple[Path, Entry]] = []
        self._counts = dict.fromkeys(("stored", "already there", "not DICOM", "refused"), 0)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._folder.discard([entry for _, entry in self._waiting])

    def run(self, source: Path) -> int:
        progress = Progress(sys.stderr)
        own = self._archive.resolve()
        for number, path in enumerate(_files(source, own, self._unread), 1):
            self._take(path)
            if len(self._waiting) == _BATCH:
                self._commit()
            progress(number)
        self._commit()
        print(", ".join(f"{count} {what}" for what, count in self._counts.items()))
        return Exit.FINDINGS if self._counts["refused"] else Exit.OK

    def _take(self, path: Path) -> None:
        from harmony.archive.arrivals import Refused
        from harmony.errors import RequestError

        try:
            entry = self._entry(path)
        except Refused as exc:
            self._refused(path, exc.why)
        except RequestError as exc:
            self._refused(path, exc.detail)
        except OSError as exc:
            self._unread(path, exc)
        else:
            if entry is None:
                self._counts["not DICOM"] += 1
            else:
                self._waiting.append((path, entry))

    def _entry(self, path: Path) -> Entry | None:
        """The file as a finished arrival; None if it is no instance."""
        from harmony.archive.upkeep import read_meta

        with open(path, "rb") as stream:
            if stream.read(132)[128:] != b"DICM":  # PS3.10 7.1
                return None
            stream.seek(0)
            meta, rest = read_meta(stream)
            if meta.sop_class_uid == _DIRECTORY:
                return None
            arrival = self._folder.arrival(
                sop_class_uid=meta.sop_class_uid,
                sop_instance_uid=meta.sop_instance_uid,
                transfer_syntax=meta.transfer_syntax,
                max_bytes=sys.maxsize,
                reserve_bytes=0,
            )
            try:
                arrival.write(rest)
                while chunk := stream.read(_CHUNK):
                    arrival.write([chunk])
                return arrival.finish()
            except BaseException:
                arrival.discard()
                raise

    def _commit(self) -> None:
        from harmony.archive.arrivals import Refused
        from harmony.archive.index import Verdict

        if not self._waiting:
            return
        waiting, self._waiting = self._waiting, []
        try:
            decisions = self._folder.commit([entry for _, entry in waiting], self._on_conflict)
        except Refused as exc:
            for path, _ in waiting:
                self._refused(path, exc.why)
            return
        for (path, _), decision in zip(waiting, decisions, strict=True):
            match decision.verdict:
                case Verdict.ADDED | Verdict.REPLACED:
                    self._counts["stored"] += 1
                case Verdict.SAME:
                    self._counts["already there"] += 1
                case Verdict.KEPT | Verdict.REFUSED:
                    self._refused(path, "another instance with its UID is there")

    def _unread(self, path: Path, exc: OSError) -> None:
        self._refused(path, f"it cannot be read: {exc.strerror}")

    def _refused(self, path: Path, why: str) -> None:
        self._counts["refused"] += 1
        shown = "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in str(path))
        print(f"refused: {shown}: {why}")


def _files(source: Path, archive: Path, unread: Callable[[Path, OSError], None]) -> Iterator[Path]:
    """Regular files below `source`, in order; no link is followed, nor the archive entered.

    Folders that cannot be read are told to `unread`.
    """
    folders = [source]
    while folders:
        folder = folders.pop()
        try:
            with os.scandir(folder) as found:
                entries = sorted(found, key=lambda entry: entry.name)
        except OSError as exc:
            unread(folder, exc)
            continue
        below: list[Path] = []
        for entry in entries:
            path = folder / entry.name
            if entry.is_dir(follow_symlinks=False):
                if path.resolve() != archive:
                    below.append(path)
            elif entry.is_file(follow_symlinks=False):
                yield path
        folders += reversed(below)
