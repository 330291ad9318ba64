"""L2: what is listened on, and which paths are served there."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from harmony.config.building import build_admin, build_network
from harmony.config.findings import FILE_START, Finding, KeyPath, Related, Span
from harmony.config.merging import DEFAULT_NETWORK, Definition, Merged, names
from harmony.config.sources import Source

Address: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address

DEFAULT_PREFIX = "/"
_SEGMENTS = re.compile(r"(?:/[^/\s?#%\\\x00-\x1f\x7f]+)+")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Listener:
    title: str
    address: Address
    port: int
    source: Source
    path: KeyPath  # of its table
    keys: tuple[KeyPath, ...]  # below `path`; the first that is written is the one to change

    @property
    def place(self) -> tuple[KeyPath, Span]:
        """The key to change, if it is written; else the listener's table or the file's start."""
        for key in self.keys:
            path = (*self.path, *key)
            if self.source.is_written(path):
                return path, self.source.value_span(path)
        return self.path, self.source.key_span(self.path)


def taken_twice(merged: Merged) -> Iterator[Finding]:
    """E241: two listeners on one port of one address."""
    seen: list[_Listener] = []
    for listener in _listeners(merged):
        clash = next((other for other in seen if _overlap(other, listener)), None)
        seen.append(listener)
        if clash is None:
            continue
        # Point at what is written; a default has no place.
        first, second = clash, listener
        if second.place[1] == FILE_START:
            first, second = listener, clash
        path, at = second.place
        other = first.place[1]
        related = (
            ()
            if other == FILE_START
            else (Related(message=f"{first.title}", file=first.source.file, span=other),)
        )
        yield second.source.finding(
            "HRM-E241",
            path,
            at=at,
            hint="give one of them another port",
            related=related,
            a=first.title,
            b=second.title,
            where=_shown(second),
        )


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


def not_an_address(merged: Merged) -> Iterator[Finding]:
    """E246: a name, or an address with something around it."""
    for text in merged.judged.get("HRM-E246", ()):
        if _address(text.text) is None:
            local = text.text.strip().lower() == "localhost"
            hint = "for example `127.0.0.1`, or `0.0.0.0` for every IPv4 address"
            yield text.source.finding(
                "HRM-E246",
                text.path,
                at=text.source.value_span(text.path),
                hint="write `127.0.0.1`" if local else hint,
                value=text.text,
            )


def _listeners(merged: Merged) -> Iterator[_Listener]:
    """What would listen: the networks that pipelines use, then admin."""
    used: dict[str, None] = {}
    for pipeline in merged.intact("pipelines"):
        used.update(dict.fromkeys(names(pipeline.table, "networks") or [DEFAULT_NETWORK]))
    for name in used:
        definition = merged.definitions["networks"].get(name)
        if definition is None and name != DEFAULT_NETWORK:
            continue
        if definition is not None and not definition.intact:
            continue
        network = build_network(name, definition.table if definition else {})
        address = _address(network.bind_addr)
        if address is not None:
            yield _Listener(
                title=f"network `{name}`",
                address=address,
                port=network.http.port,
                source=definition.source if definition else merged.main,
                path=("networks", name),
                keys=(("http", "port"), ("bind_addr",)),
            )
    if merged.admin is not None:
        admin = build_admin(merged.admin)
        address = _address(admin.bind_addr)
        if admin.enabled and address is not None:
            yield _Listener(
                title="`admin`",
                address=address,
                port=admin.port,
                source=merged.main,
                path=("admin",),
                keys=(("port",), ("bind_addr",)),
            )


def _address(text: str) -> Address | None:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped:
        return address.ipv4_mapped
    return address


def _overlap(a: _Listener, b: _Listener) -> bool:
    if a.port != b.port or a.port == 0:  # port 0 takes a free one
        return False
    if a.address == b.address:
        return True
    for one, other in ((a.address, b.address), (b.address, a.address)):
        # `::` may take IPv4 connections too, `0.0.0.0` never takes IPv6 ones.
        if one.is_unspecified and (one.version == 6 or other.version == 4):
            return True
    return False


def _shown(listener: _Listener) -> str:
    host = f"[{listener.address}]" if listener.address.version == 6 else f"{listener.address}"
    return f"{host}:{listener.port}"


RULES = (taken_twice, prefix_taken_twice, not_a_path_prefix, not_an_address)
