"""Write docs/reference from the schemas and the table of rules.

    python -m tools.make_reference

`options.md` has every option with its type, default and meaning, `rules.md` every finding; the
schemas are for editors. A test fails when they are not what this writes.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from harmony.config.editing import for_editors
from harmony.config.findings import Layer
from harmony.config.rules import RULES
from harmony.config.schemas import MAIN, PIPELINES, ROLES, Schema, Schemas, builtin_schemas, mapping

FOLDER = Path(__file__).parents[1] / "docs" / "reference"
_MADE = "<!-- Written by `python -m tools.make_reference`; change the schemas or the rules. -->"
_LAYERS = {
    Layer.FILES: "The files themselves",
    Layer.SCHEMA: "Keys and values",
    Layer.MEANING: "What one thing says about another",
    Layer.LIVE: "What peers say: `--connect` alone",
}
_MAX_ENUM = 6


def main() -> int:
    """Write the pages; returns the exit code."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name, text in pages().items():
        (FOLDER / name).write_text(text, encoding="utf-8")
        print(FOLDER.name, name)
    return 0


def pages() -> Mapping[str, str]:
    """File name -> what should be in it."""
    schemas = builtin_schemas()
    return {
        "options.md": "\n".join(_options()),
        "rules.md": "\n".join(_rules()),
        "config.schema.json": _json(for_editors(schemas, MAIN)),
        "pipelines.schema.json": _json(for_editors(schemas, PIPELINES)),
    }


def _json(schema: Schema) -> str:
    return json.dumps(schema, indent=1) + "\n"


def _options() -> Iterator[str]:
    schemas = builtin_schemas()
    yield from ("# Options", "", _MADE, "")
    yield "Times are in seconds, sizes in bytes. An option without a default may be left out unless"
    yield from ("it is required.", "")
    sections = mapping(schemas.documents[MAIN]["properties"])
    for table, schema in sections.items():
        if table in ("pipelines", *ROLES, "peers"):
            continue
        resolved = schemas.resolve(mapping(schema))
        inner = resolved.get("additionalProperties")
        name = table if not isinstance(inner, Mapping) else f"{table}.NAME"
        held = mapping(inner) if isinstance(inner, Mapping) else resolved
        yield from _section(f"[{name}]", schemas.resolve(held), schemas, said=resolved)
    common = mapping(schemas.documents["common.json"]["$defs"])
    for table, definition in (("pipelines", "pipeline"), ("peers", "peer")):
        schema = schemas.resolve(mapping(common[definition]))
        yield from _section(f"[{table}.NAME]", schema, schemas, said=schema)
    for role, folder in ROLES.items():
        for service in schemas.services(role):
            fragment = schemas.documents[f"{folder}/{service}.json"]
            title = f'[{role}.NAME.options] of service = "{service}"'
            yield from _section(title, fragment, schemas, said=fragment)


def _section(title: str, schema: Schema, schemas: Schemas, *, said: Schema) -> Iterator[str]:
    yield from (f"## `{title}`", "")
    if said.get("description"):
        yield from (str(said["description"]), "")
    rows = list(_rows(schema, schemas, ""))
    if rows:
        yield from ("| Option | Type | Default | Meaning |", "|---|---|---|---|", *rows, "")
    else:
        yield from ("There are none.", "")


def _rows(schema: Schema, schemas: Schemas, above: str) -> Iterator[str]:
    required = schema.get("required")
    needed = required if isinstance(required, list) else []
    for key, each in mapping(schema.get("properties")).items():
        resolved = schemas.resolve(mapping(each))
        default = _shown(resolved["default"]) if "default" in resolved else ""
        cells = (
            f"`{above}{key}`",
            _type(resolved),
            "required" if key in needed else default,
            str(resolved.get("description", "")).replace("|", "\\|"),
        )
        yield f"| {' | '.join(cells)} |"
        yield from _rows(resolved, schemas, f"{above}{key}.")


def _type(schema: Schema) -> str:
    choices = schema.get("enum")
    if isinstance(choices, list) and len(choices) <= _MAX_ENUM:
        return ", ".join(_shown(choice) for choice in choices)
    kind = schema.get("type", "")
    words = " or ".join(kind) if isinstance(kind, list) else str(kind)
    low, high = schema.get("minimum"), schema.get("maximum")
    if low is not None and high is not None:
        return f"{words}, {low} to {high}"
    return words


def _shown(value: object) -> str:
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if value in ({}, [], ""):
        return ""
    return f'`"{value}"`' if isinstance(value, str) else f"`{value}`"


def _rules() -> Iterator[str]:
    yield from ("# Findings of `harmony validate`", "", _MADE, "")
    yield "E is an error, W a warning, N a note, which `--verbose` shows."
    yield from ("`harmony explain CODE` has examples.", "")
    for layer, title in _LAYERS.items():
        yield from (f"## {title}", "", "| Code | Finding | Why |", "|---|---|---|")
        for rule in sorted(RULES.values(), key=lambda rule: rule.code[5:]):
            if rule.layer is layer:
                cells = (f"`{rule.code}`", rule.template, rule.explanation)
                yield f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"
        yield ""


if __name__ == "__main__":
    sys.exit(main())
