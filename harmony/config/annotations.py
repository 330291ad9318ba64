"""Findings as annotations of a GitHub workflow."""

from __future__ import annotations

from harmony.config.findings import FILE_START, Finding, Loaded, Severity

_COMMANDS = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.NOTE: "notice"}
_ORDER = tuple(_COMMANDS)


def render_github(loaded: Loaded, *, verbose: bool = False) -> str:
    """A workflow command a finding; errors first, because few of them are displayed."""
    wanted = [f for f in loaded.findings if verbose or f.severity is not Severity.NOTE]
    wanted.sort(key=lambda finding: _ORDER.index(finding.severity))  # and as they were
    return "".join(f"{_command(finding)}\n" for finding in wanted)


def _command(finding: Finding) -> str:
    properties = {"file": finding.file}
    if finding.span != FILE_START:
        start, end = finding.span.start, finding.span.end
        properties |= {"line": f"{start.line}", "col": f"{start.column}"}
        properties |= {"endLine": f"{end.line}", "endColumn": f"{end.column}"}
    properties["title"] = finding.code
    shown = ",".join(f"{name}={_property(value)}" for name, value in properties.items())
    message = f"{finding.message}; {finding.hint}" if finding.hint else finding.message
    return f"::{_COMMANDS[finding.severity]} {shown}::{_data(message)}"


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
