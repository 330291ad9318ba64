"""L2: names, and what pipelines say with them."""

from __future__ import annotations

import re
from collections.abc import Iterator

from harmony.config.findings import Finding
from harmony.config.merging import KINDS, REFERENCES, Merged, Reference, names
from harmony.config.schemas import ROLES
from harmony.config.wording import either, near

_NAME = re.compile(r"[a-z0-9_-]+")
_ARTICLES = {"endpoint": "an endpoint"}


def planned_service(merged: Merged) -> Iterator[Finding]:
    """E124: a pipeline uses a service that may only be defined so far."""
    for reference in merged.references():
        definition = merged.definitions[reference.kind].get(reference.name)
        if definition is None or not definition.intact or reference.kind not in ROLES:
            continue
        service = definition.table.get("service")
        if merged.schemas.is_planned(reference.kind, service):
            role = ROLES[reference.kind]
            yield _at(
                reference,
                "HRM-E124",
                f"this version has no `{service}` {role} yet; take `{reference.name}` out",
                service=service,
                role=role,
            )


def unknown_name(merged: Merged) -> Iterator[Finding]:
    """E201: a pipeline names what no file defines, as this or anything else."""
    for reference in merged.references():
        if not any(merged.is_defined(kind, reference.name) for kind in REFERENCES):
            kind = KINDS[reference.kind]
            defined = list(merged.definitions[reference.kind])
            hint = f"define `[{reference.kind}.{reference.name}]`"
            if guess := near(reference.name, defined):
                hint = f"did you mean `{guess}`?"
            elif defined:
                hint += f", or name one of {either(defined)}"
            yield _at(reference, "HRM-E201", hint, kind=kind, name=reference.name)


def defined_twice(merged: Merged) -> Iterator[Finding]:
    """E202: two files define the same name."""
    for definition, first in merged.clashes:
        related = first.related("the first definition")
        yield definition.source.finding(
            "HRM-E202",
            definition.path,
            at=definition.source.key_span(definition.path),
            hint="remove or rename one of the two",
            related=(related,),
            kind=KINDS[definition.kind],
            name=definition.name,
            where=f"{first.source.file}:{related.span.start.line}",
        )


def wrong_kind(merged: Merged) -> Iterator[Finding]:
    """E203: a pipeline lists a backend among its endpoints, or the like."""
    for reference in merged.references():
        if merged.is_defined(reference.kind, reference.name):
            continue
        for kind in REFERENCES:
            if merged.is_defined(kind, reference.name):
                yield _at(
                    reference,
                    "HRM-E203",
                    f"name it in `{kind}`",
                    name=reference.name,
                    found=_one(kind),
                    expected=_one(reference.kind),
                )
                break


def never_used(merged: Merged) -> Iterator[Finding]:
    """W204: no pipeline names it. Silent while a pipeline is not intact: it may be the one."""
    if not all(pipeline.intact for pipeline in merged.all("pipelines")):
        return
    used = {(reference.kind, reference.name) for reference in merged.references()}
    if any("networks" not in pipeline.table for pipeline in merged.all("pipelines")):
        used.add(("networks", "default"))
    # A misspelt reference is said already; what it may mean is not unused.
    for kind, name in list(used):
        if not merged.is_defined(kind, name):
            used.add((kind, near(name, merged.definitions[kind])))
    for definition in merged.all(*REFERENCES):
        if definition.path not in used:
            yield definition.source.finding(
                "HRM-W204",
                definition.path,
                at=definition.source.key_span(definition.path),
                hint=f"name it in a pipeline's `{definition.kind}`, or remove it",
                kind=KINDS[definition.kind],
                name=definition.name,
            )


def without_ends(merged: Merged) -> Iterator[Finding]:
    """E205: a pipeline needs something to accept and something to call."""
    for pipeline in merged.intact("pipelines"):
        for kind in ("endpoints", "backends"):
            if not names(pipeline.table, kind):
                written = kind in pipeline.table
                path = (*pipeline.path, kind) if written else pipeline.path
                source = pipeline.source
                yield source.finding(
                    "HRM-E205",
                    path,
                    at=source.value_span(path) if written else source.key_span(path),
                    hint=f'write `{kind} = ["NAME"]`',
                    name=pipeline.name,
                    what=kind,
                )


def in_two_pipelines(merged: Merged) -> Iterator[Finding]:
    """E206: what an endpoint accepts can go one way only."""
    claimed: dict[str, Reference] = {}
    for reference in merged.references():
        if reference.kind == "endpoints":
            first = claimed.setdefault(reference.name, reference)
            if first is not reference:
                yield _at(
                    reference,
                    "HRM-E206",
                    "define another endpoint for one of them",
                    name=reference.name,
                    a=first.pipeline.name,
                    b=reference.pipeline.name,
                )


def not_a_name(merged: Merged) -> Iterator[Finding]:
    """E207: names are plain enough for logs, metrics and shells."""
    for definition in merged.all(*KINDS):
        if not _NAME.fullmatch(definition.name):
            plain = re.sub(r"[^a-z0-9_-]+", "-", definition.name.lower()).strip("-")
            yield definition.source.finding(
                "HRM-E207",
                definition.path,
                at=definition.source.key_span(definition.path),
                hint=f"for example `{plain}`" if plain else "",
                name=definition.name,
            )


def _at(reference: Reference, code: str, hint: str, **fields: object) -> Finding:
    source = reference.pipeline.source
    span = source.value_span(reference.path)
    return source.finding(
        code, reference.path, at=span, hint=hint, message="", related=(), **fields
    )


def _one(kind: str) -> str:
    word = KINDS[kind]
    return _ARTICLES.get(word, "middleware" if word == "middleware" else f"a {word}")


RULES = (
    planned_service,
    unknown_name,
    defined_twice,
    wrong_kind,
    never_used,
    without_ends,
    in_two_pipelines,
    not_a_name,
)
