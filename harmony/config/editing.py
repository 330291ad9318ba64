"""The schemas as editors want them: one document in JSON Schema draft 7, references within it.

TOML editors (taplo, tombi) do not look into embedded documents with an ``$id`` of their own, and
in draft 7 keys beside a ``$ref`` do not count (JSON Schema core, draft 7, 8.3). Neither rejects
anything with a reference that it cannot follow: it falls silent.
"""

from __future__ import annotations

from collections.abc import Mapping

from harmony.config.schemas import COMMON, Schema, Schemas, mapping

DRAFT = "http://json-schema.org/draft-07/schema#"
_NOT_FOR_EDITORS = frozenset(("$id", "$schema", "x-harmony"))


def for_editors(schemas: Schemas, name: str) -> dict[str, object]:
    """The same as `Schemas.bundle`, for editors.

    Args:
        name: of a schema file.
    """
    bundle = dict(schemas.bundle(name))
    files = mapping(bundle.pop("$defs"))
    common = mapping(mapping(files[COMMON])["$defs"])
    definitions = {key: _rewritten(value) for key, value in common.items()}
    for file, document in files.items():
        if file != COMMON:
            definitions[_key(file)] = _rewritten(document)
    root = mapping(_rewritten(bundle))
    return {"$schema": DRAFT, **root, "definitions": definitions}


def _rewritten(value: object) -> object:
    if isinstance(value, list):
        return [_rewritten(each) for each in value]
    if not isinstance(value, Mapping):
        return value
    rest = {key: _rewritten(inner) for key, inner in value.items() if key not in _NOT_FOR_EDITORS}
    reference = rest.pop("$ref", None)
    if not isinstance(reference, str):
        return rest
    target: Schema = {"$ref": f"#/definitions/{_key(reference)}"}
    if not rest:
        return dict(target)
    others = rest.pop("allOf", [])
    assert isinstance(others, list)
    return {"allOf": [target, *others], **rest}


def _key(reference: str) -> str:
    """The name among the definitions of what a reference or a file's name means."""
    file, _, pointer = reference.partition("#/$defs/")
    return pointer or file.removeprefix("../").removesuffix(".json").replace("/", ".")
