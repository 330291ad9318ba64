"""All files as one: a union of their definitions, each of which knows where it stands."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from harmony.config.findings import Finding, KeyPath, Related
from harmony.config.schemas import ROLES, Annotated, Schemas, mapping, notes
from harmony.config.sources import Source

# Tables of named things -> the word for one of them.
KINDS: Mapping[str, str] = MappingProxyType(
    {"networks": "network", **ROLES, "peers": "peer", "pipelines": "pipeline"}
)

# Of those, the ones that something names -> the tables that do.
NAMED_BY: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "networks": ("pipelines",),
        "endpoints": ("pipelines", "backends"),
        "middleware": ("pipelines",),
        "backends": ("pipelines", "endpoints", "peers"),
        "peers": ("endpoints", "pipelines"),
    }
)

DEFAULT_NETWORK = "default"


@dataclass(frozen=True, slots=True, kw_only=True)
class Definition:
    """One named table, such as ``[backends.pacs]``.

    Attributes:
        kind: the table it is in, such as ``backends``.
        intact: False if it broke its schema, so that nothing more can be said of it.
    """

    kind: str
    name: str
    source: Source
    table: Mapping[str, object]
    intact: bool

    @property
    def path(self) -> KeyPath:
        return self.kind, self.name

    def related(self, message: str) -> Related:
        """This definition as the second place of a finding."""
        span = self.source.key_span(self.path)
        return Related(message=message, file=self.source.file, span=span)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """A name, written where one definition leads to another.

    Attributes:
        owner: the definition that it is written in.
        key: what it is written under, such as ``backends`` or ``receiver``.
        kind: the table that has the name.
        path: of the name itself.
    """

    owner: Definition
    key: str
    kind: str
    name: str
    path: KeyPath

    def finding(self, code: str, hint: str, **fields: object) -> Finding:
        """A broken rule at this name; `fields` fill the rule's template."""
        return _finding(self.owner.source, code, self.path, hint, fields)


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """A text whose form a rule of L2 judges, whatever else is wrong around it."""

    source: Source
    path: KeyPath
    text: str

    def finding(self, code: str, hint: str, **fields: object) -> Finding:
        """A broken rule at this text; `fields` fill the rule's template."""
        return _finding(self.source, code, self.path, hint, fields)


def _finding(
    source: Source, code: str, path: KeyPath, hint: str, fields: Mapping[str, object]
) -> Finding:
    return source.finding(code, path, at=None, hint=hint, related=(), message="", **fields)


@dataclass(frozen=True, slots=True, kw_only=True)
class Merged:
    """The whole configuration before it is found valid.

    Attributes:
        folder: of the main file; paths in the files are relative to it.
        definitions: by kind and name; of a name defined twice, the first.
        clashes: each further definition of a name, with the first.
        named: every name that leads somewhere, whatever its definition is worth.
        judged: by code of the rule.
        admin: ``[admin]``; None if it broke its schema.
    """

    main: Source
    folder: Path
    definitions: Mapping[str, Mapping[str, Definition]]
    clashes: Sequence[tuple[Definition, Definition]]
    named: Sequence[Reference]
    judged: Mapping[str, Sequence[Judged]]
    admin: Mapping[str, object] | None

    def all(self, *kinds: str) -> Iterator[Definition]:
        for kind in kinds:
            yield from self.definitions[kind].values()

    def intact(self, *kinds: str) -> Iterator[Definition]:
        return (definition for definition in self.all(*kinds) if definition.intact)

    def references(self, *owners: str) -> Iterator[Reference]:
        """Every name in every intact definition of the tables `owners`; of any without them."""
        for reference in self.named:
            if reference.owner.intact and (not owners or reference.owner.kind in owners):
                yield reference

    def is_defined(self, kind: str, name: str) -> bool:
        return name in self.definitions[kind] or (kind, name) == ("networks", DEFAULT_NETWORK)


def names(table: Mapping[str, object], key: str) -> list[str]:
    """The names in a list of a table; empty if it is not written."""
    return [name for name, _ in _names_in(table.get(key), ())]


def object_of(path: KeyPath) -> KeyPath:
    """The table that stands or falls as a whole: a named one, or one such as ``[admin]``."""
    return path[:2] if path and path[0] in KINDS else path[:1]


def merge(
    sources: Sequence[tuple[Source, str]],
    broken: AbstractSet[tuple[str, KeyPath]],
    schemas: Schemas,
    folder: Path,
) -> Merged:
    """Join the files.

    Args:
        sources: each with the name of its schema, the main one first.
        broken: the file and `object_of` of everything that breaks its schema.
        schemas: say which values a rule judges, and which are names.
        folder: where the main file is.
    """
    definitions: dict[str, dict[str, Definition]] = {kind: {} for kind in KINDS}
    clashes = []
    named: list[Reference] = []
    judged: dict[str, list[Judged]] = {}
    for source, schema in sources:
        for definition in _definitions(source, broken):
            first = definitions[definition.kind].setdefault(definition.name, definition)
            if first is not definition:
                clashes.append((definition, first))
        for entry in schemas.annotate(schemas.bundle(schema), source.document, ()):
            if (rule := _judge(entry)) and isinstance(entry.value, str):
                value = Judged(source=source, path=entry.path, text=entry.value)
                judged.setdefault(rule, []).append(value)
            if kind := notes(entry.schema).get("names"):
                owner = definitions[str(entry.path[0])][str(entry.path[1])]
                if owner.source is source:  # else a second definition, which is told as such
                    named += _references(owner, str(kind), entry)
    main = sources[0][0]
    return Merged(
        main=main,
        folder=folder,
        definitions=definitions,
        clashes=clashes,
        named=named,
        judged=judged,
        admin=None if (main.file, ("admin",)) in broken else mapping(main.document.get("admin")),
    )


def _definitions(source: Source, broken: AbstractSet[tuple[str, KeyPath]]) -> Iterator[Definition]:
    for kind in KINDS:
        for name, table in mapping(source.document.get(kind)).items():
            yield Definition(
                kind=kind,
                name=name,
                source=source,
                table=mapping(table),
                intact=(source.file, (kind, name)) not in broken,
            )


def _judge(entry: Annotated) -> str:
    """Code of the rule that judges the value; empty if there is none."""
    rule = notes(entry.schema).get("rule")
    return rule if isinstance(rule, str) else ""


def _references(owner: Definition, kind: str, entry: Annotated) -> Iterator[Reference]:
    patterns = notes(entry.schema).get("wildcards") is True
    for name, path in _names_in(entry.value, entry.path):
        if not (patterns and ("*" in name or "?" in name)):
            yield Reference(owner=owner, key=str(entry.path[-1]), kind=kind, name=name, path=path)


def _names_in(value: object, path: KeyPath) -> Iterator[tuple[str, KeyPath]]:
    """A name, or those of a list whose items are names or tables with a ``name``."""
    if isinstance(value, str):
        yield value, path
    elif isinstance(value, list):
        for index, item in enumerate(value):
            at: KeyPath = (*path, index)
            name = item
            if isinstance(item, dict):
                at, name = (*at, "name"), item.get("name")
            if isinstance(name, str):
                yield name, at
