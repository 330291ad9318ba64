"""``harmony explain`` and ``harmony schema``: what the rules and the options are."""

from __future__ import annotations

import json
import sys
import textwrap
from typing import TextIO

from harmony.cli.exits import Exit
from harmony.config.editing import for_editors
from harmony.config.findings import Layer
from harmony.config.rules import RULES, File, Rule, find_rule
from harmony.config.schemas import MAIN, ROLES, builtin_schemas
from harmony.config.wording import printable

_WIDTH = 88


def explain(code: str | None, *, every: bool, as_json: bool, out: TextIO) -> Exit:
    """Print one rule, or all of them."""
    if every:
        rules = list(RULES.values())
    else:
        found = find_rule(code) if code else None
        if found is None:
            wrong = f"no rule `{printable(code)}`" if code else "name a CODE, or give --all"
            print(f"harmony explain: {wrong}; `harmony explain --all` lists them", file=sys.stderr)
            return Exit.USAGE
        rules = [found]
    if as_json:
        entries = [_entry(rule) for rule in rules]
        out.write(json.dumps(entries if every else entries[0], indent=2) + "\n")
    else:
        out.write("\n".join(_page(rule) for rule in rules))
    return Exit.OK


def print_schema(
    role: str | None, service: str | None, *, editor: bool = False, out: TextIO
) -> Exit:
    """Print the schema of the main file, or of one service's options.

    Args:
        editor: in the form that TOML editors understand.
    """
    schemas = builtin_schemas()
    name = MAIN
    if role is not None:
        folder = role if role in ROLES.values() else ROLES.get(role, "")
        name = f"{folder}/{service}.json"
        if service is None or name not in schemas.documents:
            there = ", ".join(
                f"{word} {each}" for kind, word in ROLES.items() for each in schemas.services(kind)
            )
            print(f"harmony schema: ROLE and SERVICE are one of: {there}", file=sys.stderr)
            return Exit.USAGE
    schema = for_editors(schemas, name) if editor else schemas.bundle(name)
    out.write(json.dumps(schema, indent=2) + "\n")
    return Exit.OK


def _entry(rule: Rule) -> dict[str, object]:
    return {
        "code": rule.code,
        "severity": rule.severity,
        "layer": rule.layer,
        "title": rule.title,
        "message": rule.template,
        "explanation": rule.explanation,
        "bad": [{"file": file.name, "text": file.text} for file in rule.bad],
        "good": [{"file": file.name, "text": file.text} for file in rule.good],
    }


def _page(rule: Rule) -> str:
    paragraphs = [
        f"{rule.code} ({rule.severity}): {rule.title}",
        textwrap.fill(rule.template, _WIDTH, initial_indent="  ", subsequent_indent="  "),
        textwrap.fill(rule.explanation, _WIDTH),
    ]
    if rule.layer is Layer.LIVE:
        paragraphs.append("No file shows it: `harmony validate --connect` asks.")
    else:
        paragraphs += ["Bad:\n\n" + _example(rule.bad), "Good:\n\n" + _example(rule.good)]
    return "\n\n".join(paragraphs) + "\n"


def _example(files: tuple[File, ...]) -> str:
    if not files:
        return "    (no such file)"
    parts = []
    for file in files:
        saved = "" if file.encoding == "utf-8" else f", saved as {file.encoding}"
        text = f"# {file.name}{saved}\n{file.text}"
        parts.append(textwrap.indent(text.rstrip("\n"), "    "))
    return "\n\n".join(parts)
