"""The schema files: which services there are, and what their options may be.

`bundle` joins the files into the one schema that a configuration file is held to, so that what
``harmony schema`` prints and what Harmony checks cannot differ.
"""

from __future__ import annotations

import copy
import functools
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import harmony
from harmony.config.findings import KeyPath

# The table of the file -> the folder of the schemas, which is the word for one of them.
ROLES: Mapping[str, str] = MappingProxyType(
    {"endpoints": "endpoint", "middleware": "middleware", "backends": "backend"}
)

MAIN = "main.json"
PIPELINES = "pipelines.json"
COMMON = "common.json"

Schema = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Annotated:
    """A value of a file and the schema that it stands under."""

    path: KeyPath
    value: object
    schema: Schema


class Schemas:
    """All schema files, by their path below the schema folder."""

    def __init__(self, documents: Mapping[str, Schema]) -> None:
        self.documents = documents
        self._bundles: dict[str, Schema] = {}

    def services(self, role: str) -> list[str]:
        """The services that have a schema in `role`, a table's name such as ``backends``."""
        folder = ROLES[role] + "/"
        names = (name for name in self.documents if name.startswith(folder))
        return sorted(name.removeprefix(folder).removesuffix(".json") for name in names)

    def fragment(self, role: str, service: object) -> Schema | None:
        """The schema of a service's options; None if there is no such service in the role."""
        return self.documents.get(f"{ROLES[role]}/{service}.json")

    def bundle(self, name: str) -> Schema:
        """One self-contained schema: the file `name` with all that it leads to. Not to be changed.

        The other files keep their ``$id`` and lie in ``$defs``, where references find them
        (JSON Schema 2020-12, 9.3.1); nothing needs to be fetched.
        """
        if name not in self._bundles:
            self._bundles[name] = self._bundle(name)
        return self._bundles[name]

    def _bundle(self, name: str) -> Schema:
        root = copy.deepcopy(dict(self.documents[name]))
        used = [COMMON]
        if name in (MAIN, PIPELINES):
            for role in ROLES:
                tables = mapping(mapping(root["properties"])[role])
                assert isinstance(tables, dict)
                tables["additionalProperties"] = self._definition(role)
            used += sorted(name for name in self.documents if "/" in name)
        root["$defs"] = {other: copy.deepcopy(self.documents[other]) for other in used}
        return root

    def resolve(self, schema: Schema) -> Schema:
        """The schema with what its ``$ref`` names put in; keys beside it win."""
        reference = schema.get("$ref")
        if not isinstance(reference, str):
            return schema
        name = reference.rpartition("/")[2]
        target = mapping(mapping(self.documents[COMMON]["$defs"])[name])
        return {**self.resolve(target), **schema}

    def annotate(self, schema: Schema, value: object, path: KeyPath) -> Iterator[Annotated]:
        """Every value in `value`, itself first, with the schema it stands under."""
        schema = self.resolve(schema)
        yield Annotated(path, value, schema)
        if isinstance(value, dict):
            known = mapping(schema.get("properties"))
            others = mapping(schema.get("additionalProperties"))
            for key, inner in value.items():
                yield from self.annotate(mapping(known.get(key, others)), inner, (*path, key))
                if len(path) == 1 and path[0] in ROLES:
                    yield from self._annotate_options(str(path[0]), str(key), inner)
        elif isinstance(value, list):
            items = mapping(schema.get("items"))
            for index, inner in enumerate(value):
                yield from self.annotate(items, inner, (*path, index))

    def _annotate_options(self, role: str, name: str, definition: object) -> Iterator[Annotated]:
        table = mapping(definition)
        fragment = self.fragment(role, table.get("service"))
        if fragment is not None and "options" in table:
            yield from self.annotate(fragment, table["options"], (role, name, "options"))

    def _definition(self, role: str) -> Schema:
        """One ``[<role>.NAME]``: its service chooses what its options are held to."""
        services = self.services(role)
        definition: dict[str, object] = {
            "$ref": f"{COMMON}#/$defs/definition",
            "properties": {"service": {"enum": services}},
        }
        if services:
            definition["allOf"] = [self._choice(role, service) for service in services]
        return definition

    def _choice(self, role: str, service: str) -> Schema:
        then: dict[str, object] = {
            "properties": {"options": {"$ref": f"{ROLES[role]}/{service}.json"}}
        }
        if (self.fragment(role, service) or {}).get("required"):
            then["required"] = ["options"]
        chosen = {"properties": {"service": {"const": service}}, "required": ["service"]}
        return {"if": chosen, "then": then}


def mapping(value: object) -> Mapping[str, object]:
    """The value if it is a table, else an empty one."""
    return value if isinstance(value, dict) else {}


def notes(schema: Schema) -> Mapping[str, object]:
    """What a schema says under ``x-harmony``."""
    return mapping(schema.get("x-harmony"))


def schema_folder() -> Path:
    """Where the schema files are: in the installed package, or at the top of a checkout."""
    package = Path(harmony.__file__).parent
    installed = package / "schema"
    return installed if installed.is_dir() else package.parent / "schema"


def read_schemas(folder: Path) -> Schemas:
    """Read every schema file below `folder`."""
    return Schemas(
        MappingProxyType(
            {
                file.relative_to(folder).as_posix(): json.loads(file.read_text(encoding="utf-8"))
                for file in sorted(folder.rglob("*.json"))
            }
        )
    )


@functools.cache
def builtin_schemas() -> Schemas:
    """The schemas of this version."""
    return read_schemas(schema_folder())
