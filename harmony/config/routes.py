"""L2: which paths are served where."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from harmony.config.findings import Finding, KeyPath
from harmony.config.merging import DEFAULT_NETWORK, Definition, Merged, names

DEFAULT_PREFIX = "/"
_SEGMENTS = re.compile(r"(?:/[^/\s?#%\\\x00-\x1f\x7f]+)+")


def prefix_taken_twice(merged: Merged) -> Iterator[Finding]:
    """E242: two endpoints of one network under one path prefix."""
    seen: dict[tuple[str, str], Definition] = {}
    for network, endpoint in _mounts(merged):
        prefix = _prefix_of(endpoint)
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


def not_a_path_prefix(merged: Merged) -> Iterator[Finding]:
    """E244: a prefix that no request path can begin with, or that reads two ways."""
    for prefix in merged.judged.get("HRM-E244", ()):
        segments = prefix.text.split("/")
        plain = _SEGMENTS.fullmatch(prefix.text) and not {".", ".."} & set(segments)
        if prefix.text != "/" and not plain:
            kept = [part for part in segments if _SEGMENTS.fullmatch(f"/{part}")]
            better = "/" + "/".join(part for part in kept if part not in (".", ".."))
            yield prefix.source.finding(
                "HRM-E244",
                prefix.path,
                at=prefix.source.value_span(prefix.path),
                hint=f"for example `{better}`",
                value=prefix.text,
            )


def _mounts(merged: Merged) -> Iterator[tuple[str, Definition]]:
    """Each network with each HTTP endpoint that a pipeline puts on it."""
    seen: set[tuple[str, str]] = set()
    for pipeline in merged.intact("pipelines"):
        for name in names(pipeline.table, "endpoints"):
            endpoint = merged.definitions["endpoints"].get(name)
            if endpoint is None or not endpoint.intact or endpoint.table.get("service") != "http":
                continue
            for network in names(pipeline.table, "networks") or [DEFAULT_NETWORK]:
                if (network, name) not in seen:
                    seen.add((network, name))
                    yield network, endpoint


def _prefix_of(endpoint: Definition) -> str:
    options = endpoint.table.get("options")
    given = options.get("path_prefix") if isinstance(options, Mapping) else None
    return given if isinstance(given, str) else DEFAULT_PREFIX


RULES = (prefix_taken_twice, not_a_path_prefix)
