"""The tables of the index: one for each level, and the files that are to be deleted."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from typing import Final

from harmony.archive.attributes import TABLES, of_level
from harmony.archive.values import compared
from harmony.envelope import Level

VERSION: Final = 1  # user_version of the file
PARENTS: Final[Mapping[Level, str]] = {
    Level.STUDY: "patient",
    Level.SERIES: "study",
    Level.IMAGE: "series",
}
_APPLICATION_ID = 0x48524D59  # "HRMY"
_INDEXED = (
    ("study", "StudyInstanceUID"),
    ("study", "AccessionNumber"),
    ("study", "StudyDate"),
    ("study", "patient"),
    ("series", "SeriesInstanceUID"),
    ("series", "study"),
    ("instance", "series"),
    ("patient", "PatientID"),
)


def columns_of(level: Level, values: Mapping[int, str]) -> dict[str, object]:
    """What stands in the columns of a table that hold attributes.

    Args:
        level: of the table.
        values: of an object, by tag.
    """
    found: dict[str, object] = {}
    for attribute in of_level(level):
        text = values.get(attribute.tag, "")
        found[attribute.column] = text
        if attribute.compared != attribute.column:
            found[attribute.compared] = compared(attribute, text)
    return found


def insert_sql(table: str, values: Mapping[str, object]) -> str:
    """A statement with a mark for each of these columns."""
    marks = ", ".join("?" * len(values))
    return f"INSERT INTO {table} ({', '.join(values)}) VALUES ({marks})"


def create_tables(db: sqlite3.Connection) -> None:
    """Make everything in an empty file, or nothing."""
    db.execute("BEGIN IMMEDIATE")
    for level, table in TABLES.items():
        own = [f"{column} TEXT NOT NULL DEFAULT ''" for column in columns_of(level, {})]
        columns = ["id INTEGER PRIMARY KEY"]
        if parent := PARENTS.get(level):
            columns.append(f"{parent} INTEGER NOT NULL REFERENCES {parent} (id)")
        if level is Level.IMAGE:
            own += [
                "file TEXT NOT NULL UNIQUE",
                "transfer_syntax TEXT NOT NULL",
                "head_bytes INTEGER NOT NULL",
                "size INTEGER NOT NULL",
                "sha256 BLOB NOT NULL",
                "stored_at INTEGER NOT NULL",
                "UNIQUE (SOPInstanceUID)",
            ]
        else:
            own += ["key TEXT NOT NULL", f"UNIQUE ({f'{parent}, ' if parent else ''}key)"]
        db.execute(f"CREATE TABLE {table} ({', '.join(columns + own)})")
    db.execute("CREATE TABLE dropped (file TEXT PRIMARY KEY)")
    for table, column in _INDEXED:
        db.execute(f"CREATE INDEX {table}_{column} ON {table} ({column})")
    db.execute(f"PRAGMA application_id = {_APPLICATION_ID}")
    db.execute(f"PRAGMA user_version = {VERSION}")
    db.execute("COMMIT")
