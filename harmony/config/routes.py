"""L2: which paths are served where."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from types import MappingProxyType

from harmony.config.findings import Finding, KeyPath
from harmony.config.merging import DEFAULT_NETWORK, Definition, Merged, names
from harmony.config.schemas import mapping

# Services that are mounted below a path, and where unless they say.
DEFAULT_PREFIXES: Mapping[str, str] = MappingProxyType({"dicomweb": "/dicom-web", "http": "/"})
_SEGMENTS = re.compile(r"(?:/[^/\s?#%\\\x00-\x1f\x7f]+)+")


def prefix_taken_twice(merged: Merged) -> Iterator[Finding]:
    """E242: two endpoints of one network under one path prefix."""
    seen: dict[tuple[str, str], Definition] = {}
    for network, endpoint in _mounts(merged):
        prefix = prefix_of(endpoint)
        first = seen.setdefault((network, prefix), endpoint)
        if first.name == endpoint.name:
            continue
        path: KeyPath = (*endpoint.path, "options", "path_prefix")
        written = endpoint.source.is_written(path)
        yield endpoint.source.finding(
            "HRM-E242",
            path if written else endpoint.path,
            at=endpoint.source.value_span(path)
            if written
            else endpoint.source.key_span(endpoint.path),
            hint=f"give one of them another path prefix, or another network than `{network}`",
            related=(first.related(f"endpoint `{first.name}`"),),
            a=f"endpoint `{first.name}`",
            b=f"`{endpoint.name}`",
            prefix=prefix,
        )


def prefix_inside_another(merged: Merged) -> Iterator[Finding]:
    """W243: a prefix inside another one's, but for `/`, which has all of them inside."""
    mounts = [(network, each, prefix_of(each)) for network, each in _mounts(merged)]
    held: dict[tuple[str, str], list[Definition]] = {}
    for network, endpoint, prefix in mounts:
        held.setdefault((network, prefix), []).append(endpoint)
    lengths = sorted({len(prefix) for _, _, prefix in mounts if prefix != "/"})
    for network, endpoint, prefix in mounts:
        path: KeyPath = (*endpoint.path, "options", "path_prefix")
        for around in (prefix[:end] for end in lengths if prefix[end : end + 1] == "/"):
            for other in held.get((network, around), ()):
                if not endpoint.source.is_written(path):
                    continue
                yield endpoint.source.finding(
                    "HRM-W243",
                    path,
                    hint="give it a prefix of its own, so that nobody takes one for the other",
                    related=(other.related(f"endpoint `{other.name}`"),),
                    prefix=prefix,
                    other=around,
                    name=other.name,
                )


def not_a_path_prefix(merged: Merged) -> Iterator[Finding]:
    """E244: a prefix that no request path can begin with, or that reads two ways."""
    for prefix in merged.judged.get("HRM-E244", ()):
        segments = prefix.text.split("/")
        plain = _SEGMENTS.fullmatch(prefix.text) and not {".", ".."} & set(segments)
        if prefix.text != "/" and not plain:
            kept = [part for part in segments if _SEGMENTS.fullmatch(f"/{part}")]
            better = "/" + "/".join(part for part in kept if part not in (".", ".."))
            yield prefix.finding(
                "HRM-E244",
                f"for example `{better}`",
                value=prefix.text,
            )


def _mounts(merged: Merged) -> Iterator[tuple[str, Definition]]:
    """Each network with each HTTP endpoint that a pipeline puts on it."""
    seen: set[tuple[str, str]] = set()
    for pipeline in merged.intact("pipelines"):
        for name in names(pipeline.table, "endpoints"):
            endpoint = merged.definitions["endpoints"].get(name)
            if endpoint is None or not endpoint.intact or not is_mounted(endpoint):
                continue
            for network in names(pipeline.table, "networks") or [DEFAULT_NETWORK]:
                if (network, name) not in seen:
                    seen.add((network, name))
                    yield network, endpoint


def is_mounted(endpoint: Definition) -> bool:
    """Whether it has a path prefix on the HTTP listeners of its networks."""
    return endpoint.table.get("service") in DEFAULT_PREFIXES


def prefix_of(endpoint: Definition) -> str:
    """That prefix."""
    given = mapping(endpoint.table.get("options")).get("path_prefix")
    return given if isinstance(given, str) else DEFAULT_PREFIXES[str(endpoint.table["service"])]


RULES = (prefix_taken_twice, prefix_inside_another, not_a_path_prefix)
