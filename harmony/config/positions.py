"""Where every key and value of a TOML document stands.

A scanner of its own, because no TOML library for Python tells. It runs after the parser has
accepted the text, so it may take the text for valid: it steps over values without reading
them, and needs no error handling.
"""

from __future__ import annotations

import bisect
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import tomli

from harmony.config.findings import KeyPath, Position, Span

_KEY = re.compile(r"""[ \t]*("(?:\\.|[^"\\\n])*"|'[^'\n]*'|[A-Za-z0-9_-]+)[ \t]*(\.?)""")
_BLANK = re.compile(r"(?:[ \t\r\n]+|\#[^\n]*)*", re.VERBOSE)
_COMMENT = re.compile(r"#[^\n]*")
_SCALAR = re.compile(
    r'''
      """(?:\\.|[^\\])*?"{3,5}           # a closing delimiter may follow two quotes of the text
    | \'\'\'.*?\'{3,5}
    | "(?:\\.|[^"\\\n])*"
    | '[^'\n]*'
    | [^\s,\]}\#](?:[^,\]}\#\n]*[^\s,\]}\#])?   # numbers, booleans, dates (may hold a space)
    ''',
    re.DOTALL | re.VERBOSE,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where one entry stands.

    A table that a header opens has its name in that header for both; an array's item has no
    key, so both are the item.
    """

    key: Span
    value: Span


@dataclass(frozen=True, slots=True, kw_only=True)
class Comment:
    """A comment, from its ``#`` on; `alone` if there is nothing else on its line."""

    line: int
    column: int
    text: str
    alone: bool


@dataclass(frozen=True, slots=True)
class Scanned:
    """What stands where in a document.

    Attributes:
        places: of every key, table and array item, by path.
        comments: in order.
    """

    places: Mapping[KeyPath, Place]
    comments: Sequence[Comment]


def scan(text: str) -> Scanned:
    """Find the keys, values and comments of a valid TOML document."""
    scanner = _Scanner(text)
    scanner.scan()
    comments = [scanner.comment(at) for at in sorted(scanner.comments)]
    return Scanned(places=scanner.places, comments=comments)


class _Scanner:
    def __init__(self, text: str) -> None:
        self._text = text
        self._line_starts = [0, *(match.end() for match in re.finditer("\n", text))]
        self.places: dict[KeyPath, Place] = {}
        self.comments: set[int] = set()  # where they begin

    def comment(self, at: int) -> Comment:
        """The comment that begins there."""
        start = self._position(at)
        end = self._text.find("\n", at)
        return Comment(
            line=start.line,
            column=start.column,
            text=self._text[at : end if end >= 0 else len(self._text)].rstrip(),
            alone=not self._text[self._line_starts[start.line - 1] : at].strip(),
        )

    def scan(self) -> None:
        """Read all of it."""
        table: KeyPath = ()
        counts: dict[KeyPath, int] = {}  # elements so far of each array of tables
        at = self._skip_blank(0)
        while at < len(self._text):
            if self._text[at] == "[":
                table, at = self._header(at, counts)
            else:
                at = self._pair(table, at)
            at = self._skip_blank(at)

    def _header(self, at: int, counts: dict[KeyPath, int]) -> tuple[KeyPath, int]:
        """Read ``[a.b]`` or ``[[a.b]]``; answer the table it opens and where it ends."""
        brackets = 2 if self._text.startswith("[[", at) else 1
        keys, at = self._keys(at + brackets)
        path: KeyPath = ()
        for depth, (key, span) in enumerate(keys, start=1):
            path += (key,)
            self.places.setdefault(path, Place(key=span, value=span))
            if depth == len(keys) and brackets == 2:
                counts[path] = counts.get(path, 0) + 1
            if path in counts:
                path += (counts[path] - 1,)
        span = keys[-1][1]
        self.places[path] = Place(key=span, value=span)
        return path, at + brackets

    def _pair(self, table: KeyPath, at: int) -> int:
        keys, at = self._keys(at)
        path = table
        for key, span in keys:
            path += (key,)
            self.places.setdefault(path, Place(key=span, value=span))
        start = self._skip_blank(at + len("="))
        end = self._value(path, start)
        self.places[path] = Place(key=keys[-1][1], value=self._span(start, end))
        return end

    def _keys(self, at: int) -> tuple[list[tuple[str, Span]], int]:
        keys: list[tuple[str, Span]] = []
        more = True
        while more:
            match = _KEY.match(self._text, at)
            assert match is not None
            written = match[1]
            key = next(iter(tomli.loads(f"{written}=0"))) if written[0] in "\"'" else written
            keys.append((key, self._span(*match.span(1))))
            more, at = bool(match[2]), match.end()
        return keys, at

    def _value(self, path: KeyPath, at: int) -> int:
        """Step over a value, noting what is inside it; answer where it ends."""
        opening = self._text[at]
        if opening not in "[{":
            match = _SCALAR.match(self._text, at)
            assert match is not None
            return match.end()
        index = 0
        at = self._skip_blank(at + 1)
        while self._text[at] not in "]}":
            if opening == "{":
                at = self._pair(path, at)
            else:
                start, at = at, self._value((*path, index), at)
                span = self._span(start, at)
                self.places[*path, index] = Place(key=span, value=span)
                index += 1
            at = self._skip_blank(at)
            if self._text[at] == ",":
                at = self._skip_blank(at + 1)
        return at + 1

    def _skip_blank(self, at: int) -> int:
        match = _BLANK.match(self._text, at)
        assert match is not None
        for found in _COMMENT.finditer(match[0]):
            self.comments.add(match.start() + found.start())
        return match.end()

    def _span(self, start: int, end: int) -> Span:
        return Span(start=self._position(start), end=self._position(end))

    def _position(self, at: int) -> Position:
        line = bisect.bisect_right(self._line_starts, at)
        return Position(line, at - self._line_starts[line - 1] + 1)
