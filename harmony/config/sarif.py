"""Findings as SARIF 2.1.0, which code hosts and editors read."""

from __future__ import annotations

import hashlib
import json
from urllib.parse import quote

import harmony
from harmony.config.findings import FILE_START, Finding, Loaded, Related, Severity, Span
from harmony.config.rules import RULES
from harmony.config.wording import pointer

_SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"
_LEVELS = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.NOTE: "note"}


def render_sarif(loaded: Loaded, *, verbose: bool = False) -> str:
    """One run; its rules are those that have a result."""
    wanted = [f for f in loaded.findings if verbose or f.severity is not Severity.NOTE]
    codes = sorted({finding.code for finding in wanted})
    document = {
        "$schema": _SCHEMA,
        "version": "2.1.0",
        "runs": [
            {
                "tool": {
                    "driver": {
                        "name": "harmony",
                        "version": harmony.__version__,
                        "rules": [_rule(code) for code in codes],
                    }
                },
                "columnKind": "unicodeCodePoints",
                "results": [_result(finding, codes.index(finding.code)) for finding in wanted],
            }
        ],
    }
    return json.dumps(document, indent=2) + "\n"


def _rule(code: str) -> dict[str, object]:
    rule = RULES[code]
    return {
        "id": code,
        "shortDescription": {"text": rule.title},
        "fullDescription": {"text": rule.explanation},
        "defaultConfiguration": {"level": _LEVELS[rule.severity]},
    }


def _result(finding: Finding, rule: int) -> dict[str, object]:
    text = f"{finding.message}; {finding.hint}" if finding.hint else finding.message
    # Not of the line: a finding stays the same when others move it.
    identity = "\0".join((finding.code, finding.file, pointer(finding.path)))
    result: dict[str, object] = {
        "ruleId": finding.code,
        "ruleIndex": rule,
        "level": _LEVELS[finding.severity],
        "message": {"text": text},
        "locations": [{"physicalLocation": _location(finding.file, finding.span)}],
        "partialFingerprints": {"harmony/v1": hashlib.sha256(identity.encode()).hexdigest()},
    }
    if finding.related:
        result["relatedLocations"] = [_related(related) for related in finding.related]
    return result


def _related(related: Related) -> dict[str, object]:
    return {
        "physicalLocation": _location(related.file, related.span),
        "message": {"text": related.message},
    }


def _location(file: str, span: Span) -> dict[str, object]:
    location: dict[str, object] = {"artifactLocation": {"uri": quote(file)}}
    if span != FILE_START:
        location["region"] = {
            "startLine": span.start.line,
            "startColumn": span.start.column,
            "endLine": span.end.line,
            "endColumn": span.end.column,
        }
    return location
