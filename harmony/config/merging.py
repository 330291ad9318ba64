"""All files as one: a union of their definitions, each of which knows where it stands."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from types import MappingProxyType

from harmony.config.findings import KeyPath, Related
from harmony.config.schemas import ROLES, Annotated, Schemas, mapping, notes
from harmony.config.sources import Source

# Tables of named things -> the word for one of them.
KINDS: Mapping[str, str] = MappingProxyType(
    {"networks": "network", **ROLES, "pipelines": "pipeline"}
)

# Lists of a pipeline; each holds names of the table that it is called after.
REFERENCES = ("networks", *ROLES)

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
    """A name in a list of a pipeline."""

    pipeline: Definition
    kind: str
    name: str
    index: int

    @property
    def path(self) -> KeyPath:
        return (*self.pipeline.path, self.kind, self.index)


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """A text whose form a rule of L2 judges, whatever else is wrong around it."""

    source: Source
    path: KeyPath
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Merged:
    """The whole configuration before it is found valid.

    Attributes:
        definitions: by kind and name; of a name defined twice, the first.
        clashes: each further definition of a name, with the first.
        judged: by code of the rule.
        admin: ``[admin]``; None if it broke its schema.
    """

    main: Source
    schemas: Schemas
    definitions: Mapping[str, Mapping[str, Definition]]
    clashes: Sequence[tuple[Definition, Definition]]
    judged: Mapping[str, Sequence[Judged]]
    admin: Mapping[str, object] | None

    def all(self, *kinds: str) -> Iterator[Definition]:
        for kind in kinds:
            yield from self.definitions[kind].values()

    def intact(self, *kinds: str) -> Iterator[Definition]:
        return (definition for definition in self.all(*kinds) if definition.intact)

    def references(self) -> Iterator[Reference]:
        """Every name in every intact pipeline."""
        for pipeline in self.intact("pipelines"):
            for kind in REFERENCES:
                for index, name in enumerate(names(pipeline.table, kind)):
                    yield Reference(pipeline=pipeline, kind=kind, name=name, index=index)

    def is_defined(self, kind: str, name: str) -> bool:
        return name in self.definitions[kind] or (kind, name) == ("networks", DEFAULT_NETWORK)


def names(pipeline: Mapping[str, object], kind: str) -> list[str]:
    """A list of a pipeline; empty if it is not written."""
    written = pipeline.get(kind)
    return [name for name in written if isinstance(name, str)] if isinstance(written, list) else []


def object_of(path: KeyPath) -> KeyPath:
    """The table that stands or falls as a whole: a named one, or one such as ``[admin]``."""
    return path[:2] if path and path[0] in KINDS else path[:1]


def merge(
    sources: Sequence[tuple[Source, str]],
    broken: AbstractSet[tuple[str, KeyPath]],
    schemas: Schemas,
) -> Merged:
    """Join the files; `sources` are each with the name of its schema, the main one first.

    `broken` has the file and `object_of` of everything that breaks its schema.
    """
    definitions: dict[str, dict[str, Definition]] = {kind: {} for kind in KINDS}
    clashes = []
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
    main = sources[0][0]
    return Merged(
        main=main,
        schemas=schemas,
        definitions=definitions,
        clashes=clashes,
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
