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
        pipelines={
            definition.name: msgspec.convert(_named(definition), Pipeline)
            for definition in merged.all("pipelines")
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


def _named(definition: Definition) -> dict[str, object]:
    return {**definition.table, "name": definition.name}
