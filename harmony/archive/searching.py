"""A query as one SELECT, and each row as an identifier. PS3.4 C.4.1.

Any attribute of the level and of those above it may be a key, with or without the unique keys
above: that is what relational queries allow (PS3.4 C.4.1.2.2), and it answers hierarchical ones
just as they ask.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from harmony.archive.attributes import ATTRIBUTES, LEVELS, TABLES
from harmony.archive.index import Row
from harmony.archive.matching import Condition, condition
from harmony.dicom.elements import SYNTAXES, Malformed, parse
from harmony.dicom.query import (
    QUERY_RETRIEVE_LEVEL,
    SPECIFIC_CHARACTER_SET,
    UNIQUE,
    encode_identifier,
)
from harmony.dicom.uids import EXPLICIT_LITTLE_ENDIAN
from harmony.envelope import Key, Level, Match, Query, Root
from harmony.errors import RequestError

RETRIEVE_AE_TITLE: Final = 0x00080054
INSTANCE_AVAILABILITY: Final = 0x00080056
MODALITIES_IN_STUDY: Final = 0x00080061
SOP_CLASSES_IN_STUDY: Final = 0x00080062
_MODALITY, _SOP_CLASS_UID = 0x00080060, 0x00080016
# Not keys but about the identifier itself; group lengths are passed over as well.
_ABOUT = frozenset((QUERY_RETRIEVE_LEVEL, SPECIFIC_CHARACTER_SET))


@dataclass(frozen=True, slots=True)
class _Computed:
    """An attribute that is counted or gathered when it is asked for. PS3.4 C.3.4 and C.6.1.1."""

    level: Level
    sql: str


def _gathered(column: str, rows: str) -> str:
    return (
        f"(SELECT group_concat(value, '\\') FROM (SELECT DISTINCT {column} AS value "
        f"FROM {rows} AND {column} <> '' ORDER BY 1))"
    )


_SERIES_OF_STUDY = "series AS s WHERE s.study = study.id"
_INSTANCES_OF_STUDY = "instance AS i JOIN series AS s ON s.id = i.series WHERE s.study = study.id"
_STUDIES_OF_PATIENT = "study AS t WHERE t.patient = patient.id"
_SERIES_OF_PATIENT = "series AS s JOIN study AS t ON t.id = s.study WHERE t.patient = patient.id"
_INSTANCES_OF_PATIENT = (
    "instance AS i JOIN series AS s ON s.id = i.series JOIN study AS t ON t.id = s.study "
    "WHERE t.patient = patient.id"
)
_COMPUTED: Final = {
    MODALITIES_IN_STUDY: _Computed(Level.STUDY, _gathered("s.Modality", _SERIES_OF_STUDY)),
    SOP_CLASSES_IN_STUDY: _Computed(Level.STUDY, _gathered("i.SOPClassUID", _INSTANCES_OF_STUDY)),
    **{
        tag: _Computed(level, f"(SELECT count(*) FROM {rows})")
        for tag, level, rows in (
            (0x00201200, Level.PATIENT, _STUDIES_OF_PATIENT),
            (0x00201202, Level.PATIENT, _SERIES_OF_PATIENT),
            (0x00201204, Level.PATIENT, _INSTANCES_OF_PATIENT),
            (0x00201206, Level.STUDY, _SERIES_OF_STUDY),
            (0x00201208, Level.STUDY, _INSTANCES_OF_STUDY),
            (0x00201209, Level.SERIES, "instance AS i WHERE i.series = series.id"),
        )
    },
}
# Keys on these are met by any series or instance of the study. PS3.4 C.6.2.1.2, note.
_MET_BY_ANY: Final = {
    MODALITIES_IN_STUDY: (_MODALITY, "s", _SERIES_OF_STUDY),
    SOP_CLASSES_IN_STUDY: (_SOP_CLASS_UID, "i", _INSTANCES_OF_STUDY),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """A query made ready.

    Attributes:
        query: its level, root and what it asks for.
        table: of the level.
        source: ``FROM`` and ``WHERE``.
        values: for the marks in `source`.
        columns: tag and SQL of what each row tells.
        constants: tag and text of what every row tells.
        all_keys_supported: PS3.4 C.4.1.1.4.
    """

    query: Query
    table: str
    source: str
    values: tuple[str, ...]
    columns: tuple[tuple[int, str], ...]
    constants: tuple[tuple[int, str], ...]
    all_keys_supported: bool

    def more_than(self, number: int) -> tuple[str, tuple[object, ...]]:
        """SQL that gives a row if there are more matches than `number`."""
        return f"SELECT 1 {self.source} LIMIT 1 OFFSET ?", (*self.values, number)

    def page(self, after: int, limit: int, skip: int) -> tuple[str, tuple[object, ...]]:
        """SQL for the matches behind row id `after`; the id comes first in each row."""
        told = "".join(f", {sql}" for _, sql in self.columns)
        return (
            f"SELECT {self.table}.id{told} {self.source} AND {self.table}.id > ? "
            f"ORDER BY {self.table}.id LIMIT ? OFFSET ?",
            (*self.values, after, limit, skip),
        )

    def match(self, row: Row) -> Match:
        """A row as the identifier of an answer. PS3.4 C.4.1.1.3.2."""
        texts = dict(self.constants)
        for (tag, _), value in zip(self.columns, row[1:], strict=True):
            texts[tag] = "" if value is None else str(value)
        keys = tuple(Key(tag, (text,) if text else ()) for tag, text in sorted(texts.items()))
        answer = Query(level=self.query.level, root=self.query.root, keys=keys)
        return Match(
            identifier=encode_identifier(answer, EXPLICIT_LITTLE_ENDIAN),
            transfer_syntax=EXPLICIT_LITTLE_ENDIAN,
            all_keys_supported=self.all_keys_supported,
        )


def search(query: Query, retrieve_ae_title: str | None) -> Search:
    """Make a FIND ready.

    A key that the index does not have is told without a value, and each answer says that not
    all keys are supported.

    Args:
        query: whose answers hold what it and ``query.encoded`` ask for.
        retrieve_ae_title: by which to retrieve what is found, if there is one.

    Raises:
        RequestError: the query contradicts its information model, or a value is none.
    """
    above = _levels(query)
    where: list[Condition] = []
    columns: list[tuple[int, str]] = []
    constants: list[tuple[int, str]] = []
    supported = True
    for key in _keys(query):
        attribute = ATTRIBUTES.get(key.tag)
        computed = _COMPUTED.get(key.tag)
        if attribute is not None and attribute.level in above:
            table = TABLES[attribute.level]
            columns.append((key.tag, f"{table}.{attribute.column}"))
            where += _present(condition(attribute, key.values, table))
        elif computed is not None and computed.level in above:
            columns.append((key.tag, computed.sql))
            if key.tag in _MET_BY_ANY:
                where += _present(_met_by_any(key))
            elif key.values:
                supported = False
        elif key.tag == INSTANCE_AVAILABILITY:
            constants.append((key.tag, "ONLINE"))
        elif key.tag == RETRIEVE_AE_TITLE:
            constants.append((key.tag, retrieve_ae_title or ""))
        else:
            constants.append((key.tag, ""))
            supported = False
    if retrieve_ae_title and RETRIEVE_AE_TITLE not in dict(constants):
        constants.append((RETRIEVE_AE_TITLE, retrieve_ae_title))  # PS3.4 C.4.1.1.3.2
    source, values = _source(query.level, where)
    return Search(
        query=query,
        table=TABLES[query.level],
        source=source,
        values=values,
        columns=tuple(columns),
        constants=tuple(constants),
        all_keys_supported=supported,
    )


def retrieval(query: Query) -> tuple[str, tuple[str, ...]]:
    """SQL for the row ids of the instances that a retrieve asks for, in order of their numbers.

    Raises:
        RequestError: it gives other keys than the unique ones, or lacks that of its level.
    """
    above = _levels(query)
    where: list[Condition] = []
    unique = {tag: level for level, tag in UNIQUE.items()}
    for key in query.keys:
        if not key.values or key.tag in _ABOUT:
            continue
        level = unique.get(key.tag)
        if level is None or level not in above:
            raise RequestError(
                f"a retrieve at level {query.level} has the key {key.tag:08X}",
                code="bad-query",
                hint="give the unique keys of the level and of those above it",
            )
        exact = Key(key.tag, tuple(value.strip(" \0") for value in key.values))
        if any("*" in value or "?" in value for value in exact.values):
            raise RequestError(
                f"key {key.tag:08X} of a retrieve holds a wildcard",
                code="bad-value",
                hint="a retrieve needs the value itself",
            )
        where += _present(condition(ATTRIBUTES[key.tag], exact.values, TABLES[level]))
    wanted = next((key for key in query.keys if key.tag == UNIQUE[query.level]), None)
    if wanted is None or not any(value.strip(" \0") for value in wanted.values):
        raise RequestError(
            f"a retrieve at level {query.level} lacks its unique key",
            code="missing-uid",
            hint=f"give ({UNIQUE[query.level] >> 16:04X},{UNIQUE[query.level] & 0xFFFF:04X})",
        )
    source, values = _source(Level.IMAGE, where)
    return (
        f"SELECT instance.id {source} ORDER BY study.id, "
        "CAST(series.SeriesNumber AS INTEGER), series.id, "
        "CAST(instance.InstanceNumber AS INTEGER), instance.id",
        values,
    )


def _levels(query: Query) -> tuple[Level, ...]:
    """The level of the query and those above it."""
    if query.root is Root.STUDY and query.level is Level.PATIENT:  # PS3.4 C.6.2
        raise RequestError(
            "the study root model has no PATIENT level",
            code="bad-query",
            hint="ask at level STUDY, or in the patient root model",
        )
    return LEVELS[: LEVELS.index(query.level) + 1]


def _keys(query: Query) -> Sequence[Key]:
    """What the query gives and asks for; the caller's own identifier may hold more."""
    found = {key.tag: key for key in query.keys}
    if query.encoded is not None:
        syntax = SYNTAXES.get(query.encoded.transfer_syntax)
        try:
            elements = parse(query.encoded.data, syntax) if syntax else []
        except Malformed as exc:
            raise RequestError(f"the identifier cannot be read: {exc}", code="bad-query") from None
        for element in elements:
            found.setdefault(element.tag, Key(element.tag))
    return [found[tag] for tag in sorted(found) if tag not in _ABOUT and tag & 0xFFFF]


def _met_by_any(key: Key) -> Condition | None:
    tag, table, rows = _MET_BY_ANY[key.tag]
    met = condition(ATTRIBUTES[tag], key.values, table)
    if met is None:
        return None
    return Condition(f"EXISTS (SELECT 1 FROM {rows} AND {met.sql})", met.values)


def _present(met: Condition | None) -> list[Condition]:
    return [] if met is None else [met]


def _source(level: Level, where: Sequence[Condition]) -> tuple[str, tuple[str, ...]]:
    joins = {
        Level.PATIENT: "patient",
        Level.STUDY: "study JOIN patient ON patient.id = study.patient",
        Level.SERIES: "series JOIN study ON study.id = series.study "
        "JOIN patient ON patient.id = study.patient",
        Level.IMAGE: "instance JOIN series ON series.id = instance.series "
        "JOIN study ON study.id = series.study JOIN patient ON patient.id = study.patient",
    }
    conditions = " AND ".join(each.sql for each in where) or "TRUE"
    values = tuple(value for each in where for value in each.values)
    return f"FROM {joins[level]} WHERE {conditions}", values
