"""L2: what is listened on, and who reaches it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from harmony.config.addresses import (
    Address,
    literal_host,
    network_fault,
    overlap,
    parse_address,
    shown_place,
)
from harmony.config.building import build_admin, build_network
from harmony.config.findings import FILE_START, Finding, KeyPath, Related, Span
from harmony.config.merging import DEFAULT_NETWORK, Definition, Merged, names
from harmony.config.model import Network
from harmony.config.routes import is_mounted, prefix_of
from harmony.config.schemas import mapping
from harmony.config.sources import Source

DEFAULT_DICOM_PORT = 11112
DEFAULT_RECEIVER_ADDRESS = "127.0.0.1"
_FIRST_UNPRIVILEGED = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Listener:
    """What would listen, and where it is written."""

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
    seen: list[Listener] = []
    for listener in _listeners(merged):
        clash = next((other for other in seen if _clash(other, listener)), None)
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
            where=shown_place(second.address, second.port),
        )


def privileged_port(merged: Merged) -> Iterator[Finding]:
    """W245: a port that most users may not listen on."""
    for listener in _listeners(merged):
        if not 0 < listener.port < _FIRST_UNPRIVILEGED:
            continue
        path, at = listener.place
        if at != FILE_START:
            yield listener.source.finding(
                "HRM-W245",
                path,
                at=at,
                hint="give the program CAP_NET_BIND_SERVICE, or take a port from "
                f"{_FIRST_UNPRIVILEGED} on",
                title=listener.title,
                port=listener.port,
            )


def not_an_address(merged: Merged) -> Iterator[Finding]:
    """E246: a name, or an address with something around it."""
    for text in merged.judged.get("HRM-E246", ()):
        if parse_address(text.text) is None:
            local = text.text.strip().lower() == "localhost"
            hint = "for example `127.0.0.1`, or `0.0.0.0` for every IPv4 address"
            yield text.finding(
                "HRM-E246",
                "write `127.0.0.1`" if local else hint,
                value=text.text,
            )


def not_an_address_or_network(merged: Merged) -> Iterator[Finding]:
    """E248: where a peer calls from."""
    for text in merged.judged.get("HRM-E248", ()):
        reason, hint = network_fault(text.text)
        if reason:
            yield text.finding(
                "HRM-E248",
                hint,
                value=text.text,
                reason=reason,
            )


def sends_to_itself(merged: Merged) -> Iterator[Finding]:
    """E251: a backend whose host and port are those of an endpoint of its pipeline."""
    for pipeline, endpoint in _accepting(merged):
        listening = list(_of_endpoint(merged, pipeline, endpoint))
        for name in names(pipeline.table, "backends"):
            backend = merged.definitions["backends"].get(name)
            if backend is None or not backend.intact or backend.table.get("service") != "dicom":
                continue
            options = mapping(backend.table.get("options"))
            target = literal_host(str(options.get("host")))
            port = options.get("port")
            if target and any(port == at.port and reaches(target, at) for at in listening):
                path = (*backend.path, "options", "port")
                yield backend.source.finding(
                    "HRM-E251",
                    path,
                    hint="name the PACS's own host and port here, or give the endpoint another "
                    "port",
                    related=(endpoint.related(f"endpoint `{endpoint.name}`"),),
                    backend=name,
                    endpoint=endpoint.name,
                    pipeline=pipeline.name,
                )


def open_to_nobody(merged: Merged) -> Iterator[Finding]:
    """W315: others reach the port of an endpoint that admits only this machine."""
    told: set[str] = set()
    for pipeline, endpoint in _accepting(merged):
        if endpoint.name in told or names(_options(endpoint), "peers"):
            continue
        for listener in _of_endpoint(merged, pipeline, endpoint):
            if not listener.address.is_loopback:
                told.add(endpoint.name)
                path: KeyPath = (*endpoint.path, "options", "bind_addr")
                written = endpoint.source.is_written(path)
                yield endpoint.source.finding(
                    "HRM-W315",
                    path if written else endpoint.path,
                    at=endpoint.source.value_span(path)
                    if written
                    else endpoint.source.key_span(endpoint.path),
                    hint='define who calls in `[peers.NAME]` and write `peers = ["NAME"]`',
                    name=endpoint.name,
                    where=shown_place(listener.address, listener.port),
                )
                break


def _listeners(merged: Merged) -> Iterator[Listener]:
    """What would listen: what pipelines use, then admin."""
    used: dict[str, None] = {}
    calling: dict[str, None] = {}
    for pipeline in merged.intact("pipelines"):
        used.update(dict.fromkeys(_networks_of(pipeline)))
        calling.update(dict.fromkeys(names(pipeline.table, "backends")))
    for name in used:
        if listener := _of_network(merged, name):
            yield listener
    seen: set[tuple[str, Address]] = set()
    for pipeline, endpoint in _accepting(merged):
        for listener in _of_endpoint(merged, pipeline, endpoint):
            if (endpoint.name, listener.address) not in seen:  # else one listener for both
                seen.add((endpoint.name, listener.address))
                yield listener
    for name in calling:
        yield from _receiver_of(merged.definitions["backends"].get(name))
    if merged.admin is not None:
        admin = build_admin(merged.admin)
        address = parse_address(admin.bind_addr)
        if admin.enabled and address is not None:
            yield Listener(
                title="`admin`",
                address=address,
                port=admin.port,
                source=merged.main,
                path=("admin",),
                keys=(("port",), ("bind_addr",)),
            )


def _accepting(merged: Merged) -> Iterator[tuple[Definition, Definition]]:
    """Each pipeline with each `dicom` endpoint of it."""
    for pipeline in merged.intact("pipelines"):
        for name in names(pipeline.table, "endpoints"):
            endpoint = merged.definitions["endpoints"].get(name)
            if endpoint and endpoint.intact and endpoint.table.get("service") == "dicom":
                yield pipeline, endpoint


def _of_endpoint(merged: Merged, pipeline: Definition, endpoint: Definition) -> Iterator[Listener]:
    """Where a `dicom` endpoint listens: where it says, or on each network of its pipeline."""
    options = _options(endpoint)
    written = options.get("bind_addr")
    places = {f"endpoint `{endpoint.name}`": written} if isinstance(written, str) else {}
    if not places:
        for name in _networks_of(pipeline):
            if network := _network(merged, name):
                title = f"endpoint `{endpoint.name}` on network `{name}`"
                places[title] = network.bind_addr
    for title, place in places.items():
        if address := parse_address(place):
            yield Listener(
                title=title,
                address=address,
                port=_port(options),
                source=endpoint.source,
                path=endpoint.path,
                keys=(("options", "port"), ("options", "bind_addr")),
            )


def listeners_of(merged: Merged, pipeline: Definition) -> Iterator[tuple[Listener, str]]:
    """Where a pipeline is entered, each with the path prefix there; an empty one for DICOM."""
    for name in names(pipeline.table, "endpoints"):
        endpoint = merged.definitions["endpoints"].get(name)
        if endpoint is None or not endpoint.intact:
            continue
        if endpoint.table.get("service") == "dicom":
            yield from ((each, "") for each in _of_endpoint(merged, pipeline, endpoint))
        elif is_mounted(endpoint):
            for network in _networks_of(pipeline):
                if listener := _of_network(merged, network):
                    yield listener, prefix_of(endpoint)


def _of_network(merged: Merged, name: str) -> Listener | None:
    network = _network(merged, name)
    address = parse_address(network.bind_addr) if network else None
    if network is None or address is None:
        return None
    definition = merged.definitions["networks"].get(name)
    return Listener(
        title=f"network `{name}`",
        address=address,
        port=network.http.port,
        source=definition.source if definition else merged.main,
        path=("networks", name),
        keys=(("http", "port"), ("bind_addr",)),
    )


def _receiver_of(backend: Definition | None) -> Iterator[Listener]:
    """The listener of a backend that has one of its own."""
    if backend is None or not backend.intact:
        return
    receiver = _options(backend).get("receiver")
    if not isinstance(receiver, dict):
        return
    if address := parse_address(str(receiver.get("bind_addr", DEFAULT_RECEIVER_ADDRESS))):
        yield Listener(
            title=f"receiver of backend `{backend.name}`",
            address=address,
            port=_port(receiver),
            source=backend.source,
            path=(*backend.path, "options", "receiver"),
            keys=(("port",), ("bind_addr",)),
        )


def _network(merged: Merged, name: str) -> Network | None:
    definition = merged.definitions["networks"].get(name)
    if definition is None:
        return build_network(name, {}) if name == DEFAULT_NETWORK else None
    return build_network(name, definition.table) if definition.intact else None


def _networks_of(pipeline: Definition) -> list[str]:
    return names(pipeline.table, "networks") or [DEFAULT_NETWORK]


def _options(definition: Definition) -> Mapping[str, object]:
    return mapping(definition.table.get("options"))


def _port(table: Mapping[str, object]) -> int:
    port = table.get("port")
    return port if isinstance(port, int) else DEFAULT_DICOM_PORT


def _clash(a: Listener, b: Listener) -> bool:
    # Port 0 takes a free one.
    return a.port == b.port and a.port != 0 and overlap(a.address, b.address)


def reaches(target: Address, listener: Listener) -> bool:
    """Whether a call to the address surely arrives at the listener."""
    everywhere = listener.address.is_unspecified and target.is_loopback
    return target == listener.address or (everywhere and overlap(target, listener.address))


RULES = (
    taken_twice,
    privileged_port,
    not_an_address,
    not_an_address_or_network,
    sends_to_itself,
    open_to_nobody,
)
