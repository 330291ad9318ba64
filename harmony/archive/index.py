"""The index: SQLite tables of patients, studies, series and instances.

Journal mode WAL: readers see the last commit and wait for nobody. Synchronous FULL: a commit
that returned outlasts a power cut.

A patient is a Patient ID with its issuer, where that is known: of two issuers the same number is
two people. An object without the ID makes its study a patient of its own. A study is its UID
*under a patient*: objects of two patients that share a Study Instance UID are told as two
studies and never mixed. Of patients, studies and series the first value of an attribute that is
not empty stays.
"""

from __future__ import annotations

import contextlib
import enum
import queue
import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias, cast

from harmony.archive.arrivals import Entry
from harmony.archive.attributes import LEVELS, TABLES
from harmony.archive.tables import PARENTS, VERSION, columns_of, create_tables, insert_sql
from harmony.dicom.query import PATIENT_ID, STUDY_INSTANCE_UID, UNIQUE
from harmony.envelope import Level

OnConflict: TypeAlias = Literal["keep", "replace", "refuse"]
Row: TypeAlias = tuple[object, ...]

_ISSUER_OF_PATIENT_ID = 0x00100021
_BUSY_SECONDS = 5.0
_PROGRESS_STEPS = 20_000  # of SQLite's machine between two looks at whether to go on


class Unusable(Exception):
    """The folder cannot be served as an archive. The text says why and what to do."""


class Verdict(enum.Enum):
    """What became of an entry."""

    ADDED = "added"
    SAME = "same"  # its bytes are archived already
    KEPT = "kept"  # others are archived under its UID, and stay
    REPLACED = "replaced"  # others were
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Decision:
    """A verdict; `dropped` is the file that its entry replaces."""

    verdict: Verdict
    dropped: str | None = None

    @property
    def is_taken(self) -> bool:
        return self.verdict in (Verdict.ADDED, Verdict.REPLACED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Filed:
    """Where an instance lies."""

    file: str
    sop_class_uid: str
    sop_instance_uid: str
    transfer_syntax: str
    head_bytes: int
    size: int
    sha256: bytes

    @property
    def file_bytes(self) -> int:
        return self.head_bytes + self.size


_FILED = "file, SOPClassUID, SOPInstanceUID, transfer_syntax, head_bytes, size, sha256"


class Index:
    """One index file. `add` and the other changes are for one thread at a time."""

    def __init__(self, path: Path) -> None:
        """Open it, or make it.

        Raises:
            Unusable: it is damaged, or not of this version.
        """
        self._path = path
        self._readers: queue.SimpleQueue[sqlite3.Connection] = queue.SimpleQueue()
        try:
            self._writer = _connect(path)
        except sqlite3.Error as exc:
            raise _damaged(path, exc) from exc
        try:
            self._set_up()
        except sqlite3.Error as exc:
            self._writer.close()
            raise _damaged(path, exc) from exc
        except BaseException:
            self._writer.close()
            raise

    def close(self) -> None:
        """Close all connections; the last one writes the journal into the file."""
        while not self._readers.empty():
            self._readers.get().close()
        self._writer.close()

    def _set_up(self) -> None:
        db = self._writer
        mode, *_ = _row(db.execute("PRAGMA journal_mode = WAL"))
        db.execute("PRAGMA synchronous = FULL")
        synchronous, *_ = _row(db.execute("PRAGMA synchronous"))
        if (mode, synchronous) != ("wal", 2):
            raise Unusable(
                f"{self._path} takes no write-ahead log: put the archive on a local disk"
            )
        db.execute("PRAGMA foreign_keys = ON")
        version, *_ = _row(db.execute("PRAGMA user_version"))
        if version == 0 and not _row(db.execute("SELECT count(*) FROM sqlite_schema"))[0]:
            create_tables(db)
        elif version != VERSION:
            raise Unusable(
                f"{self._path} has version {version}, this program reads {VERSION}: make it anew "
                f"with `harmony archive rebuild`"
            )
        checked, *_ = _row(db.execute("PRAGMA quick_check(1)"))
        if checked != "ok":
            raise _damaged(self._path, None)

    # Reading

    @contextlib.contextmanager
    def reading(self, go_on: Callable[[], object] | None = None) -> Iterator[sqlite3.Connection]:
        """A connection that can only read, for one thread.

        Args:
            go_on: called now and then while SQLite works; what it raises ends the statement as
                `sqlite3.OperationalError`.
        """
        try:
            db = self._readers.get_nowait()
        except queue.Empty:
            db = _connect(self._path)
            db.execute("PRAGMA query_only = ON")
        try:
            if go_on is not None:
                db.set_progress_handler(lambda: _stops(go_on), _PROGRESS_STEPS)
            yield db
        finally:
            db.set_progress_handler(None, 0)
            self._readers.put(db)

    def has_file(self, file: str) -> bool:
        found = self._writer.execute("SELECT 1 FROM instance WHERE file = ?", (file,))
        return found.fetchone() is not None

    def files(self, fan_out: str) -> set[str]:
        """Files whose names begin so."""
        rows = self._writer.execute("SELECT file FROM instance WHERE file GLOB ?", (f"{fan_out}*",))
        return {cast(str, file) for (file,) in rows}

    def filed(self, fan_out: str) -> list[Filed]:
        """Instances whose files' names begin so."""
        rows = self._writer.execute(
            f"SELECT {_FILED} FROM instance WHERE file GLOB ? ORDER BY file",
            (f"{fan_out}*",),
        )
        return [as_filed(row) for row in rows]

    def count(self) -> int:
        """How many instances there are."""
        with self.reading() as db:
            return cast(int, _row(db.execute("SELECT count(*) FROM instance"))[0])

    # Changing

    def add(
        self,
        entries: Sequence[Entry],
        on_conflict: OnConflict,
        is_whole: Callable[[str, int], bool],
    ) -> list[Decision]:
        """Take entries in, in one transaction; durable when this returns.

        Args:
            entries: what is durable on the disk.
            on_conflict: what to do with other bytes under a UID that is there.
            is_whole: whether a file is there and has this length. One that is lost is replaced
                whatever `on_conflict` says.

        Raises:
            sqlite3.Error: nothing was taken in.
        """
        with self._transaction():
            return [self._add(entry, on_conflict, is_whole) for entry in entries]

    def _add(
        self, entry: Entry, on_conflict: OnConflict, is_whole: Callable[[str, int], bool]
    ) -> Decision:
        found = self._writer.execute(
            f"SELECT {_FILED} FROM instance WHERE SOPInstanceUID = ?",
            (entry.sop_instance_uid,),
        ).fetchone()
        if found is None:
            self._insert(entry)
            return Decision(Verdict.ADDED)
        held = as_filed(found)
        if is_whole(held.file, held.file_bytes):
            same = (held.sha256, held.transfer_syntax) == (entry.sha256, entry.transfer_syntax)
            if same:
                return Decision(Verdict.SAME)
            if on_conflict != "replace":
                kept = on_conflict == "keep"
                return Decision(Verdict.KEPT if kept else Verdict.REFUSED)
        self._remove(held.file)
        self._insert(entry)
        return Decision(Verdict.REPLACED, dropped=held.file)

    def _insert(self, entry: Entry) -> None:
        parent: int | None = None
        for level in LEVELS[:-1]:
            parent = self._upsert(level, parent, entry)
        values = columns_of(Level.IMAGE, entry.values) | {
            "series": parent,
            "file": entry.file,
            "transfer_syntax": entry.transfer_syntax,
            "head_bytes": entry.head_bytes,
            "size": entry.size,
            "sha256": entry.sha256,
            "stored_at": int(time.time()),
        }
        self._writer.execute(insert_sql("instance", values), tuple(values.values()))

    def _upsert(self, level: Level, parent: int | None, entry: Entry) -> int:
        table = TABLES[level]
        columns = columns_of(level, entry.values)
        key = self._patient_key(entry) if level is Level.PATIENT else entry.values[UNIQUE[level]]
        values: dict[str, object] = {**columns, "key": key}
        if parent is not None:
            values[PARENTS[level]] = parent
        filled = ", ".join(
            f"{name} = iif({table}.{name} = '', excluded.{name}, {table}.{name})"
            for name in columns
        )
        unique = "key" if parent is None else f"{PARENTS[level]}, key"
        sql = (
            f"{insert_sql(table, values)} ON CONFLICT ({unique}) DO UPDATE SET {filled} "
            "RETURNING id"
        )
        return cast(int, _row(self._writer.execute(sql, tuple(values.values())))[0])

    def _patient_key(self, entry: Entry) -> str:
        """The key of the patient that this is of, which may be there already. PS3.3 C.7.1.1."""
        patient = entry.values.get(PATIENT_ID)
        if not patient:
            return f"study {entry.values[STUDY_INSTANCE_UID]}"
        issuer = entry.values.get(_ISSUER_OF_PATIENT_ID, "")
        # An issuer that one of the two does not tell is no difference.
        found = self._writer.execute(
            "SELECT key FROM patient WHERE PatientID = ? AND (IssuerOfPatientID IN (?, '') "
            "OR ? = '') ORDER BY IssuerOfPatientID <> ?, id LIMIT 1",
            (patient, issuer, issuer, issuer),
        ).fetchone()
        return cast(str, found[0]) if found else f"id {patient}\\{issuer}"

    def _remove(self, file: str) -> None:
        """Take an instance out, and what is empty then; remember to delete the file."""
        db = self._writer
        db.execute("INSERT OR IGNORE INTO dropped (file) VALUES (?)", (file,))
        gone = db.execute("DELETE FROM instance WHERE file = ? RETURNING series", (file,))
        for level, above in zip(reversed(LEVELS[1:]), reversed(LEVELS[:-1]), strict=True):
            child, table = TABLES[level], TABLES[above]
            found = gone.fetchone()
            if found is None:  # what is above it is not empty either
                return
            gone = db.execute(
                f"DELETE FROM {table} WHERE id = ? AND NOT EXISTS "
                f"(SELECT 1 FROM {child} WHERE {child}.{table} = {table}.id) "
                f"RETURNING {PARENTS.get(above, 'id')}",
                found,
            )
        gone.fetchall()

    def dropped(self) -> list[str]:
        """Files that instances were taken out of and that may still be there."""
        return [cast(str, file) for (file,) in self._writer.execute("SELECT file FROM dropped")]

    def forget(self, files: Sequence[str]) -> None:
        """The files of `dropped` that are deleted."""
        with self._transaction():
            self._writer.executemany(
                "DELETE FROM dropped WHERE file = ?", [(file,) for file in files]
            )

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[None]:
        self._writer.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._writer.execute("COMMIT")
        except BaseException:
            with contextlib.suppress(sqlite3.Error):  # a failed COMMIT may have rolled back
                self._writer.execute("ROLLBACK")
            raise


def as_filed(row: Row) -> Filed:
    """From the columns `filed_columns` names."""
    file, sop_class, instance, syntax, head_bytes, size, sha256 = row
    return Filed(
        file=cast(str, file),
        sop_class_uid=cast(str, sop_class),
        sop_instance_uid=cast(str, instance),
        transfer_syntax=cast(str, syntax),
        head_bytes=cast(int, head_bytes),
        size=cast(int, size),
        sha256=cast(bytes, sha256),
    )


def filed_columns() -> str:
    return _FILED


def _connect(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(
        path, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False
    )


def _row(cursor: sqlite3.Cursor) -> Row:
    return cast(Row, cursor.fetchone())


def _stops(go_on: Callable[[], object]) -> bool:
    try:
        go_on()
    except BaseException:  # the caller of SQLite asks again, outside of it
        return True
    return False


def _damaged(path: Path, exc: sqlite3.Error | None) -> Unusable:
    why = f" ({exc})" if exc is not None else ""
    return Unusable(
        f"{path} cannot be used{why}: make it anew with `harmony archive rebuild`; the objects "
        f"themselves are not concerned"
    )
