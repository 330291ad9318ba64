"""Check the schema files: against the meta-schema, and against the rules of this project.

Run as ``python -m tools.check_schemas``; prints what is wrong and exits 1 if anything is.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from jsonschema import Draft202012Validator

FOLDER = Path(__file__).resolve().parent.parent / "schema"

BASE = "https://harmony-proxy.invalid/schema/"
DIALECT = "https://json-schema.org/draft/2020-12/schema"

# Those that have a message of their own, and those that say nothing against a value.
KEYWORDS = (
    {"$schema", "$id", "$defs", "$ref", "title", "description", "default", "x-harmony"}
    | {"type", "enum", "const", "pattern", "minimum", "maximum", "minLength", "maxLength"}
    | {"items", "minItems", "maxItems", "uniqueItems", "properties", "additionalProperties"}
    | {"required", "allOf", "if", "then", "not"}
)
NOTES = {"code", "form", "hint", "key", "message", "names", "rule", "secret", "wildcards"}


def problems(folder: Path = FOLDER) -> Iterator[str]:
    """What is wrong with the schema files below `folder`, one line each."""
    for file in sorted(folder.rglob("*.json")):
        name = file.relative_to(folder).as_posix()
        document = json.loads(file.read_text(encoding="utf-8"))
        for error in Draft202012Validator(Draft202012Validator.META_SCHEMA).iter_errors(document):
            yield f"{name}: {error.json_path}: {error.message}"
        for problem in _file_problems(name, document):
            yield f"{name}: {problem}"


def _file_problems(name: str, document: Mapping[str, object]) -> Iterator[str]:
    if document.get("$schema") != DIALECT:
        yield f"$schema is not {DIALECT}"
    if document.get("$id") != BASE + name:
        yield f"$id is not {BASE}{name}"
    if "/" in name and not isinstance(document.get("properties"), dict):
        yield "a service lists its options under `properties`"
    yield from _schema_problems(document, "$", described=True, name=name)


def _schema_problems(
    schema: Mapping[str, object], at: str, *, described: bool, name: str
) -> Iterator[str]:
    if unknown := set(schema) - KEYWORDS:
        yield f"{at}: keywords without a message: {', '.join(sorted(unknown))}"
    notes = schema.get("x-harmony", {})
    if not isinstance(notes, dict) or set(notes) - NOTES:
        yield f"{at}: `x-harmony` takes only {', '.join(sorted(NOTES))}"
        notes = {}
    if described and not schema.get("description"):
        yield f"{at}: no `description`"
    if "properties" in schema and schema.get("additionalProperties") is not False:
        yield f"{at}: `additionalProperties` is not false"
    if "pattern" in schema and not {"form", "rule"} & set(notes):
        yield f"{at}: a pattern without `form` or `rule`, so people would see a regular expression"
    if ("minimum" in schema) != ("maximum" in schema):
        yield f"{at}: `minimum` and `maximum` come together"
    if "not" in schema and (schema["not"] != {} or "code" not in notes):
        yield f'{at}: `not` is `{{}}`, with a `code` under "x-harmony"'
    reference = schema.get("$ref")
    local = "#/$defs/" if name == "common.json" else "common.json#/$defs/"
    prefix = "../" + local if "/" in name else local
    if reference is not None and not str(reference).startswith(prefix):
        yield f"{at}: `$ref` leads outside common.json"
    for key in ("properties", "$defs"):
        inner = schema.get(key, {})
        if isinstance(inner, dict):
            for each, value in inner.items():
                yield from _schema_problems(value, f"{at}.{each}", described=True, name=name)
    for key in ("items", "additionalProperties"):
        value = schema.get(key)
        if isinstance(value, dict):
            yield from _schema_problems(value, f"{at}.{key}", described=False, name=name)


def main() -> int:
    """Print all problems; 1 if there are any."""
    found = list(problems())
    for problem in found:
        print(problem)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
