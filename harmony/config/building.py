"""From tables that satisfy their schemas to the dataclasses of `model`, defaults filled in."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import msgspec

from harmony.config.merging import DEFAULT_NETWORK, Definition, Merged
from harmony.config.model import (
    Admin,
    Configuration,
    Log,
    Network,
    Peer,
    Pipeline,
    Proxy,
    Service,
)
from harmony.config.schemas import mapping


def build_configuration(file: Path, merged: Merged) -> Configuration:
    """What the files say, once no finding is an error."""
    main = merged.main.document
    networks = {
        definition.name: build_network(definition.name, definition.table)
        for definition in merged.all("networks")
    }
    networks.setdefault(DEFAULT_NETWORK, Network(name=DEFAULT_NETWORK))
    return Configuration(
        file=file,
        proxy=msgspec.convert(main.get("proxy", {}), Proxy),
        admin=build_admin(mapping(main.get("admin"))),
        log=msgspec.convert(main.get("log", {}), Log),
        networks=networks,
        endpoints=_services(merged, "endpoints"),
        middleware=_services(merged, "middleware"),
        backends=_services(merged, "backends"),
        peers={
            definition.name: msgspec.convert(_named(definition), Peer)
            for definition in merged.all("peers")
        },
        pipelines={
            definition.name: _pipeline(definition) for definition in merged.all("pipelines")
        },
    )


def build_network(name: str, table: Mapping[str, object]) -> Network:
    return msgspec.convert({**table, "name": name}, Network)


def build_admin(table: Mapping[str, object]) -> Admin:
    return msgspec.convert(dict(table), Admin)


def _services(merged: Merged, kind: str) -> Mapping[str, Service]:
    return {
        definition.name: msgspec.convert({"options": {}, **_named(definition)}, Service)
        for definition in merged.all(kind)
    }


def _pipeline(definition: Definition) -> Pipeline:
    table = _named(definition)
    given = definition.table.get("backends")
    if isinstance(given, list):
        table["backends"] = [_reference(entry) for entry in given]
    return msgspec.convert(table, Pipeline)


def _reference(entry: object) -> dict[str, object]:
    if isinstance(entry, str):
        return {"name": entry}
    table = mapping(entry)
    when = {
        attribute: [wanted] if isinstance(wanted, str) else wanted
        for attribute, wanted in mapping(table.get("when")).items()
    }
    return {**table, "when": when}


def _named(definition: Definition) -> dict[str, object]:
    return {**definition.table, "name": definition.name}
