"""What a check has to say, and where."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

from harmony.config.model import Configuration

if TYPE_CHECKING:
    from harmony.config.sources import Source

KeyPath: TypeAlias = tuple[str | int, ...]


class Severity(enum.StrEnum):
    """How bad a finding is: an error keeps Harmony from starting, a note is for ``--verbose``."""

    ERROR = "error"
    WARNING = "warning"
    NOTE = "note"


class Layer(enum.StrEnum):
    """Which step found it."""

    FILES = "L0"
    SCHEMA = "L1"
    MEANING = "L2"
    LIVE = "L3"


@dataclass(frozen=True, slots=True, order=True)
class Position:
    """A place in a file; lines and columns count characters from 1."""

    line: int
    column: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """From `start` up to, not including, `end`."""

    start: Position
    end: Position


FILE_START = Span(start=Position(1, 1), end=Position(1, 1))


@dataclass(frozen=True, slots=True, kw_only=True)
class Excerpt:
    """One line of a file made safe to show, and what to underline in it.

    Attributes:
        offset: characters before the first underlined one.
        length: underlined characters; 0 underlines nothing.
    """

    text: str
    offset: int
    length: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Related:
    """A second place that a finding is about."""

    message: str
    file: str
    span: Span


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """A rule that a file breaks, at a place. All texts are safe to print.

    Attributes:
        message: what is wrong.
        hint: what to write; empty if nothing better than the message can be said.
        path: keys and indexes from the top of the file to what is wrong.
        span: the key, value or table header to look at; `FILE_START` for a file as a whole.
    """

    code: str
    severity: Severity
    layer: Layer
    message: str
    hint: str
    path: KeyPath
    file: str
    span: Span
    excerpt: Excerpt | None = None
    related: tuple[Related, ...] = ()

    @property
    def sort_key(self) -> tuple[str, Position, str, str]:
        return self.file, self.span.start, self.code, self.message


@dataclass(frozen=True, slots=True, kw_only=True)
class Skipped:
    """Checks that were left out because their result would mislead."""

    layer: Layer
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """What came of reading a configuration.

    Attributes:
        configuration: None if any finding is an error.
        findings: sorted by file, line, column, code.
        files: the files that were opened, the main one first.
        sources: the same as read.
    """

    configuration: Configuration | None
    findings: tuple[Finding, ...]
    files: tuple[str, ...]
    skipped: tuple[Skipped, ...] = ()
    sources: tuple[Source, ...] = field(default=(), repr=False)

    def count(self, severity: Severity) -> int:
        return sum(finding.severity is severity for finding in self.findings)
