"""Warnings that a comment in the file ignores, and why.

``# harmony: ignore W304 behind the hospital's firewall`` on the line of the finding, or on the
line above it. The reason is compulsory: who reads the file later must know it.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from harmony.config.findings import Finding, Position, Severity, Span
from harmony.config.positions import Comment
from harmony.config.rules import find_rule
from harmony.config.sources import Source

_COMMENT = re.compile(r"#\s*harmony:\s*ignore\b\s*(\S*)\s*(.*)", re.DOTALL)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Ignore:
    """One such comment; `code` is empty if it names no rule."""

    source: Source
    comment: Comment
    written: str
    code: str
    reason: str

    @property
    def span(self) -> Span:
        line, column = self.comment.line, self.comment.column
        stop = column + len(self.comment.text)
        return Span(start=Position(line, column), end=Position(line, stop))

    def covers(self, finding: Finding) -> bool:
        line = self.comment.line + self.comment.alone
        return (finding.file, finding.code) == (self.source.file, self.code) and (
            finding.span.start.line in (self.comment.line, line)
        )


def without_ignored(
    findings: Sequence[Finding], sources: Sequence[Source], codes: Collection[str] = ()
) -> list[Finding]:
    """The findings that are left, and what is wrong with the comments.

    Args:
        codes: rules that are ignored everywhere; those of errors are not.
    """
    ignores = [ignore for source in sources for ignore in _ignores(source)]
    used: set[int] = set()
    kept: list[Finding] = []
    for finding in findings:
        covering = [index for index, ignore in enumerate(ignores) if ignore.covers(finding)]
        used.update(covering)
        if finding.severity is Severity.ERROR or not (covering or finding.code in codes):
            kept.append(finding)
    for index, ignore in enumerate(ignores):
        kept += _wrong(ignore, used=index in used)
    return kept


def _ignores(source: Source) -> Iterator[_Ignore]:
    for comment in source.comments_with("harmony:"):
        match = _COMMENT.fullmatch(comment.text)
        if match is None:
            continue
        rule = find_rule(match[1]) if match[1] else None
        yield _Ignore(
            source=source,
            comment=comment,
            written=match[1],
            code=rule.code if rule else "",
            reason=match[2].strip(),
        )


def _wrong(ignore: _Ignore, *, used: bool) -> Iterator[Finding]:
    shown = ignore.code or ignore.written
    if ignore.code.startswith("HRM-E"):
        code, hint = "HRM-E012", "put right what it reports"
    elif not ignore.reason:
        code, hint = "HRM-E013", "write why behind the code"
    elif not used:
        code, hint = "HRM-W011", "remove the comment, or move it to the line of the finding"
    else:
        return
    yield ignore.source.finding(code, (), at=ignore.span, hint=hint, ignored=shown)
