"""L2: whether what an endpoint accepts can get anywhere, and whether it comes back."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from harmony.config.addresses import Address, literal_host
from harmony.config.findings import Finding, KeyPath
from harmony.config.listeners import Listener, listeners_of, reaches
from harmony.config.merging import Definition, Merged, names
from harmony.config.schemas import mapping
from harmony.config.urls import url_of

_DICOM = frozenset(("find", "get", "store"))
# What each service can do. The code of a service is not imported here; a test compares the two.
BACKENDS: Mapping[str, frozenset[str]] = MappingProxyType(
    {
        "archive": _DICOM | {"echo"},
        "dicom": _DICOM | {"echo", "move"},
        "dicomweb": _DICOM | {"echo"},
        "echo": frozenset(("echo", "http")),
        "files": frozenset(("http",)),
        "http": frozenset(("http",)),
    }
)
# Of these an endpoint needs one; `http` makes something of whatever there is.
ENDPOINTS: Mapping[str, frozenset[str]] = MappingProxyType(
    {"dicom": _DICOM | {"echo"}, "dicomweb": _DICOM}
)


def leads_nowhere(merged: Merged) -> Iterator[Finding]:
    """E208: an endpoint of which no backend behind it can serve anything."""
    for pipeline in merged.intact("pipelines"):
        backends = [
            merged.definitions["backends"].get(name) for name in names(pipeline.table, "backends")
        ]
        if not backends or any(each is None or not each.intact for each in backends):
            continue
        served = {
            operation
            for each in backends
            if each is not None
            for operation in BACKENDS.get(str(each.table.get("service")), ())
        }
        for index, name in enumerate(names(pipeline.table, "endpoints")):
            endpoint = merged.definitions["endpoints"].get(name)
            service = str(endpoint.table.get("service")) if endpoint else ""
            needed = ENDPOINTS.get(service)
            if endpoint is None or not endpoint.intact or needed is None or needed & served:
                continue
            path: KeyPath = (*pipeline.path, "endpoints", index)
            yield pipeline.source.finding(
                "HRM-E208",
                path,
                hint="name a backend that can, or put an `http` endpoint before these",
                related=(endpoint.related(f"endpoint `{name}`"),),
                pipeline=pipeline.name,
                operation=", ".join(sorted(needed)),
                endpoint=name,
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Entrance:
    """Where a pipeline is entered; `prefix` is empty for DICOM."""

    pipeline: str
    listener: Listener
    prefix: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Target:
    """Where a backend calls; `path` is None for DICOM."""

    address: Address
    port: int
    path: str | None


def goes_round(merged: Merged) -> Iterator[Finding]:
    """E252: a pipeline sends to another one, and that one back, over however many."""
    edges: dict[str, dict[str, Definition]] = {}
    pipelines = list(merged.intact("pipelines"))
    entrances: dict[int, list[_Entrance]] = {}
    for pipeline in pipelines:
        for listener, prefix in listeners_of(merged, pipeline):
            entrance = _Entrance(pipeline=pipeline.name, listener=listener, prefix=prefix)
            entrances.setdefault(listener.port, []).append(entrance)
    for pipeline in pipelines:
        for name in names(pipeline.table, "backends"):
            backend = merged.definitions["backends"].get(name)
            target = _target(backend) if backend is not None and backend.intact else None
            if backend is None or target is None:
                continue
            for entrance in entrances.get(target.port, ()):
                if entrance.pipeline != pipeline.name and _arrives(target, entrance):
                    edges.setdefault(pipeline.name, {}).setdefault(entrance.pipeline, backend)
    told: set[frozenset[str]] = set()
    for start in edges:
        ring = _ring(start, edges)
        if ring and frozenset(ring) not in told:
            told.add(frozenset(ring))
            backend = edges[ring[-1]][ring[0]]
            yield backend.source.finding(
                "HRM-E252",
                backend.path,
                at=backend.source.key_span(backend.path),
                hint="let one of them send to somebody else",
                ring=" -> ".join((*ring, ring[0])),
            )


def _target(backend: Definition) -> _Target | None:
    """Where a backend calls; None if it is not an address of some machine's."""
    options = mapping(backend.table.get("options"))
    url, host, port = url_of(options), options.get("host"), options.get("port")
    if url is not None:
        host, port = url.host, url.port
    address = literal_host(host) if isinstance(host, str) else None
    if address is None or not isinstance(port, int) or port == 0:
        return None
    return _Target(address=address, port=port, path=url.path if url else None)


def _arrives(target: _Target, entrance: _Entrance) -> bool:
    prefix, path = entrance.prefix, target.path
    if path is None:
        inside = not prefix
    else:
        inside = bool(prefix) and f"{path}/".startswith(f"{prefix.rstrip('/')}/")
    return inside and reaches(target.address, entrance.listener)


def _ring(start: str, edges: Mapping[str, Mapping[str, Definition]]) -> list[str]:
    """The shortest way from a pipeline back to itself; empty if there is none."""
    ways = [[start]]
    seen = {start}
    while ways:
        way = ways.pop(0)
        for following in edges.get(way[-1], {}):
            if following == start:
                return way
            if following not in seen:
                seen.add(following)
                ways.append([*way, following])
    return []


RULES = (leads_nowhere, goes_round)
