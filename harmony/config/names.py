"""L2: names, and what they lead to."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from types import MappingProxyType

from harmony.config.findings import Finding
from harmony.config.merging import DEFAULT_NETWORK, KINDS, NAMED_BY, Merged, Reference, names
from harmony.config.wording import either, near

_NAME = re.compile(r"[a-z0-9_-]+")
_ARTICLES = {"endpoint": "an endpoint"}

# The key that names a definition -> what it is to be, and what to write there.
_USES: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "move_destinations": ("a move destination", "name `dicom` backends"),
        "receiver": ("a receiver", "name a `dicom` endpoint, or write a table with `local_aet`"),
    }
)


def unknown_name(merged: Merged) -> Iterator[Finding]:
    """E201: something is named that no file defines, as this or anything else."""
    for reference in merged.references():
        if not any(merged.is_defined(kind, reference.name) for kind in NAMED_BY):
            defined = list(merged.definitions[reference.kind])
            hint = f"define `[{reference.kind}.{reference.name}]`"
            if guess := near(reference.name, defined):
                hint = f"did you mean `{guess}`?"
            elif defined:
                hint += f", or name one of {either(defined)}"
            kind = KINDS[reference.kind]
            yield reference.finding("HRM-E201", hint, kind=kind, name=reference.name)


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
        for kind in NAMED_BY:
            if merged.is_defined(kind, reference.name):
                listed = reference.owner.kind == "pipelines" and kind != "peers"
                yield reference.finding(
                    "HRM-E203",
                    f"name it in `{kind}`"
                    if listed
                    else f"`{reference.key}` takes what `[{reference.kind}]` defines",
                    name=reference.name,
                    found=_one(kind),
                    expected=_one(reference.kind),
                )
                break


def never_used(merged: Merged) -> Iterator[Finding]:
    """W204: nothing names it. Silent while what may name it is not intact."""
    for kind, owners in NAMED_BY.items():
        if not all(owner.intact for owner in merged.all(*owners)):
            continue
        used = {
            reference.name
            for reference in merged.references(*owners)
            # A condition asks who calls; it admits nobody.
            if reference.kind == kind and (reference.key, kind) != ("peer", "peers")
        }
        if kind == "networks" and any(
            "networks" not in pipeline.table for pipeline in merged.all("pipelines")
        ):
            used.add(DEFAULT_NETWORK)
        # A misspelt reference is said already; what it may mean is not unused.
        defined = merged.definitions[kind]
        used |= {near(name, defined) for name in used if not merged.is_defined(kind, name)}
        for definition in defined.values():
            if definition.name not in used:
                owner = "an endpoint" if kind == "peers" else "a pipeline"
                yield definition.source.finding(
                    "HRM-W204",
                    definition.path,
                    at=definition.source.key_span(definition.path),
                    hint=f"name it in {owner}'s `{kind}`, or remove it",
                    kind=KINDS[kind],
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
    for reference in merged.references("pipelines"):
        if reference.kind == "endpoints":
            first = claimed.setdefault(reference.name, reference)
            if first is not reference:
                yield reference.finding(
                    "HRM-E206",
                    "define another endpoint for one of them",
                    name=reference.name,
                    a=first.owner.name,
                    b=reference.owner.name,
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


def not_for_this_use(merged: Merged) -> Iterator[Finding]:
    """E225: a move destination that cannot be sent to, or a receiver that cannot receive."""
    pipelines_known = all(pipeline.intact for pipeline in merged.all("pipelines"))
    accepting = {reference.name for reference in merged.references("pipelines")}
    for reference in merged.references("endpoints", "peers", "backends"):
        definition = merged.definitions[reference.kind].get(reference.name)
        if reference.key not in _USES or definition is None or not definition.intact:
            continue
        use, better = _USES[reference.key]
        kind = KINDS[reference.kind]
        if (service := definition.table.get("service")) != "dicom":
            reason, hint = f"its service is `{service}`, not `dicom`", better
        elif reference.key == "receiver" and pipelines_known and reference.name not in accepting:
            reason = "no pipeline has it, so it does not listen"
            hint = "name it in a pipeline's `endpoints`, too"
        else:
            continue
        yield reference.finding(
            "HRM-E225", hint, kind=kind, name=reference.name, use=use, reason=reason
        )


def _one(kind: str) -> str:
    word = KINDS[kind]
    return _ARTICLES.get(word, "middleware" if word == "middleware" else f"a {word}")


RULES = (
    unknown_name,
    defined_twice,
    wrong_kind,
    never_used,
    without_ends,
    in_two_pipelines,
    not_a_name,
    not_for_this_use,
)
