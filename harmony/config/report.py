"""Findings as text for people and as JSON for programs."""

from __future__ import annotations

import json
from collections.abc import Iterator
from types import MappingProxyType

from harmony.config.findings import Finding, Loaded, Position, Severity, Span
from harmony.config.wording import counted, pointer, printable

FORMAT_VERSION = "1.0"  # a new field raises the second number

_COLOURS = MappingProxyType(
    {Severity.ERROR: "\x1b[1;31m", Severity.WARNING: "\x1b[1;33m", Severity.NOTE: "\x1b[1;36m"}
)
_BOLD = "\x1b[1m"
_RESET = "\x1b[0m"


def render_text(loaded: Loaded, *, verbose: bool = False, colour: bool = False) -> str:
    """One block a finding, what was skipped, and a line with the counts.

    Args:
        loaded: what to print.
        verbose: notes too.
        colour: use the terminal's colours.
    """
    findings = _wanted(loaded, verbose)
    lines = [line for finding in findings for line in _block(finding, colour)]
    lines += [f"not checked: {printable(skipped.reason)}" for skipped in loaded.skipped]
    errors, warnings = loaded.count(Severity.ERROR), loaded.count(Severity.WARNING)
    summary = (
        f"{counted(errors, 'error')}, {counted(warnings, 'warning')} "
        f"in {counted(len(loaded.files), 'file')}."
    )
    if findings:
        summary += f" `harmony explain {findings[0].code}` says more."
    return "\n".join([*lines, summary]) + "\n"


def render_json(loaded: Loaded, *, verbose: bool = False) -> str:
    """The same as one JSON document, in ASCII."""
    document = {
        "format_version": FORMAT_VERSION,
        "valid": loaded.configuration is not None,
        "error_count": loaded.count(Severity.ERROR),
        "warning_count": loaded.count(Severity.WARNING),
        "files": list(loaded.files),
        "skipped": [
            {"layer": skipped.layer, "reason": skipped.reason} for skipped in loaded.skipped
        ],
        "findings": [_entry(finding) for finding in _wanted(loaded, verbose)],
    }
    return json.dumps(document, indent=2) + "\n"


def _wanted(loaded: Loaded, verbose: bool) -> list[Finding]:
    return [f for f in loaded.findings if verbose or f.severity is not Severity.NOTE]


def _block(finding: Finding, colour: bool) -> Iterator[str]:
    start = finding.span.start
    place = f"{printable(finding.file)}:{start.line}:{start.column}:"
    kind = f"{finding.severity}[{finding.code}]:"
    if colour:
        place = f"{_BOLD}{place}{_RESET}"
        kind = f"{_COLOURS[finding.severity]}{kind}{_RESET}"
    yield f"{place} {kind} {finding.message}"
    margin = " " * (len(str(start.line)) + 2)
    hint = finding.hint
    if excerpt := finding.excerpt:
        yield f" {start.line} | {excerpt.text}"
        if excerpt.length:
            mark = "^" * excerpt.length
            if colour:
                mark = f"{_COLOURS[finding.severity]}{mark}{_RESET}"
            yield f"{margin}| {' ' * excerpt.offset}{mark} {hint}".rstrip()
            hint = ""
    if hint:
        yield f"{margin}= {hint}"
    for related in finding.related:
        at = related.span.start
        yield f"{margin}= {printable(related.file)}:{at.line}:{at.column}: {related.message}"
    if finding.path:
        yield f"{margin}= at {printable(pointer(finding.path))}"


def _entry(finding: Finding) -> dict[str, object]:
    return {
        "code": finding.code,
        "severity": finding.severity,
        "layer": finding.layer,
        "message": finding.message,
        "hint": finding.hint,
        "pointer": pointer(finding.path),
        "range": _range(finding.file, finding.span),
        "related": [
            {"message": related.message, "range": _range(related.file, related.span)}
            for related in finding.related
        ],
    }


def _range(file: str, span: Span) -> dict[str, object]:
    return {"file": file, "start": _point(span.start), "end": _point(span.end)}


def _point(position: Position) -> dict[str, int]:
    return {"line": position.line, "column": position.column}
