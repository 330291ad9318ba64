"""L0: one file read, within limits, and the places of what is in it."""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import tomli

from harmony.config.findings import (
    FILE_START,
    Excerpt,
    Finding,
    KeyPath,
    Position,
    Related,
    Span,
)
from harmony.config.positions import Comment, Place, Scanned, scan
from harmony.config.reading import UnreadableFile, read_bytes
from harmony.config.rules import RULES
from harmony.config.wording import printable

MAX_DEPTH = 64
MAX_EXCERPT = 160

_INT64 = 2**63
_TOO_DEEP = f"tables and arrays are nested more than {MAX_DEPTH} deep"
_TOO_WIDE = "an integer does not fit in 64 bits"
_SECRET_NAME = re.compile(r"pas+(w|phrase)|passwd|pwd|secret|token|credential|api.?key", re.I)


class Source:
    """A file's text and document; it makes the findings that point into the file.

    Text and document stay out of its repr: they may hold secrets.
    """

    def __init__(self, *, file: str, text: str, document: Mapping[str, object]) -> None:
        self.file = file
        self.document = document
        self._text = text
        self._secrets: set[KeyPath] = set()

    def __repr__(self) -> str:
        return f"<Source {self.file!r}>"

    def hide(self, path: KeyPath) -> None:
        """Never show the value at `path`, nor what is inside it."""
        self._secrets.add(path)

    def is_secret(self, path: KeyPath) -> bool:
        """Whether a schema marks the value as secret, or its name sounds like one."""
        if any(path[:end] in self._secrets for end in range(1, len(path) + 1)):
            return True
        return _SECRET_NAME.search(_last_key(path)) is not None

    def is_written(self, path: KeyPath) -> bool:
        """Whether the file itself says something at `path`."""
        return path in self._places

    def key_span(self, path: KeyPath) -> Span:
        """Where the key stands, or the nearest table around it that is written out."""
        place = self._nearest(path)
        return place.key if place else FILE_START

    def value_span(self, path: KeyPath) -> Span:
        place = self._nearest(path)
        return place.value if place else FILE_START

    def finding(
        self,
        code: str,
        path: KeyPath,
        *,
        at: Span | None = None,
        hint: str = "",
        related: tuple[Related, ...] = (),
        message: str = "",
        **fields: object,
    ) -> Finding:
        """A broken rule at a place of this file; `fields` fill the rule's template.

        Args:
            at: what to look at; None for the value at `path`.

        The excerpt comes later, with `excerpt`, once all secrets are known.
        """
        rule = RULES[code]
        return Finding(
            code=code,
            severity=rule.severity,
            layer=rule.layer,
            message=printable(message) if message else rule.message(**fields),
            hint=printable(hint),
            path=path,
            file=self.file,
            span=self.value_span(path) if at is None else at,
            related=related,
        )

    def excerpt(self, span: Span) -> Excerpt | None:
        """The first line of `span`, with secrets masked; None where there is nothing to see."""
        if span == FILE_START:
            return None
        lines = self._lines
        line = lines[span.start.line - 1] if span.start.line <= len(lines) else ""
        if masked := self._masked(span.start.line, line):
            return Excerpt(text=printable(masked), offset=0, length=0)
        start = span.start.column - 1
        end = span.end.column - 1 if span.end.line == span.start.line else len(line)
        first = max(0, start - MAX_EXCERPT // 2) if len(line) > MAX_EXCERPT else 0
        last = first + MAX_EXCERPT
        before = ("…" if first else "") + _shown(line[first:start])
        marked = _shown(line[start : min(end, last)])
        after = _shown(line[min(end, last) : last]) + ("…" if len(line) > last else "")
        return Excerpt(text=before + marked + after, offset=len(before), length=max(1, len(marked)))

    def _nearest(self, path: KeyPath) -> Place | None:
        for end in range(len(path), 0, -1):
            if place := self._places.get(path[:end]):
                return place
        return None

    def _masked(self, number: int, line: str) -> str:
        """What to show instead of a line that a secret value touches; empty if none does."""
        for name, span in self._secret_spans:
            if span.start.line <= number <= span.end.line:
                return f"{name} = ***"
        if not self.document and _SECRET_NAME.search(line):
            # Not valid TOML, so go by the look of the line.
            key, equals, _ = line.partition("=")
            return f"{key.strip()} = ***" if equals else "***"
        return ""

    @functools.cached_property
    def _secret_spans(self) -> list[tuple[str, Span]]:
        return [
            (_last_key(path), place.value)
            for path, place in self._places.items()
            if self.is_secret(path) and not _is_header(path, place)
        ]

    @functools.cached_property
    def _lines(self) -> list[str]:
        return self._text.split("\n")

    def comments_with(self, words: str) -> Sequence[Comment]:
        """The comments of a file that is TOML in which these words stand."""
        if words not in self._text:
            return ()
        return [comment for comment in self._scanned.comments if words in comment.text]

    @property
    def _places(self) -> Mapping[KeyPath, Place]:
        return self._scanned.places

    @functools.cached_property
    def _scanned(self) -> Scanned:
        # Only findings ask for places, so a valid file is not scanned.
        return scan(self._text) if self.document else Scanned({}, ())


def _last_key(path: KeyPath) -> str:
    return next((key for key in reversed(path) if isinstance(key, str)), "")


def _is_header(path: KeyPath, place: Place) -> bool:
    return place.key == place.value and isinstance(path[-1], str)


def read_source(path: Path, file: str) -> tuple[Source, Finding | None]:
    """Read one file, shown as `file`. With a finding, the source's document is empty."""
    text = ""
    try:
        text = _decode(read_bytes(path))
        document = _parse(text)
    except UnreadableFile as unreadable:
        source = Source(file=file, text="", document={})
        fault = source.finding("HRM-E001", (), at=FILE_START, file=file, reason=unreadable.reason)
        return source, fault
    except _BrokenFile as broken:
        source = Source(file=file, text=text, document={})
        finding = source.finding(
            broken.code, (), at=broken.at, file=file, reason=broken.reason, n=broken.byte
        )
        return source, finding
    return Source(file=file, text=text, document=document), None


class _BrokenFile(Exception):
    def __init__(
        self, code: str, *, reason: str = "", byte: int = 0, at: Span = FILE_START
    ) -> None:
        super().__init__(code)
        self.code = code
        self.reason = reason
        self.byte = byte
        self.at = at


def _decode(data: bytes) -> str:
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise _BrokenFile("HRM-E003", byte=error.start + 1) from None
    return text.removeprefix("\ufeff").replace("\r\n", "\n")


def _parse(text: str) -> Mapping[str, object]:
    try:
        document = tomli.loads(text)
    except tomli.TOMLDecodeError as error:
        start = Position(error.lineno, error.colno)
        at = Span(start=start, end=Position(start.line, start.column + 1))
        raise _BrokenFile("HRM-E002", at=at, reason=_lower_first(error.msg)) from None
    except RecursionError:
        raise _BrokenFile("HRM-E002", reason=_TOO_DEEP) from None
    except ValueError:  # int() refuses more than 4300 digits
        raise _BrokenFile("HRM-E002", reason=_TOO_WIDE) from None
    if reason := _extreme(document):
        raise _BrokenFile("HRM-E002", reason=reason)
    return document


def _extreme(document: object) -> str:
    """Why the document is beyond what later steps may meet; empty if it is not."""
    level = [document]
    for _ in range(MAX_DEPTH + 1):
        if any(type(value) is int and not -_INT64 <= value < _INT64 for value in level):
            return _TOO_WIDE
        level = [inner for value in level for inner in _children(value)]
        if not level:
            return ""
    return _TOO_DEEP


def _children(value: object) -> list[object]:
    if isinstance(value, dict):
        return list(value.values())
    return value if isinstance(value, list) else []


def _lower_first(text: str) -> str:
    return text[:1].lower() + text[1:]


def _shown(text: str) -> str:
    return printable(text.replace("\t", " "))  # one character wide, so that the caret fits
