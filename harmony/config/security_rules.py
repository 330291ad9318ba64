"""L2: secrets, and who can reach what."""

from __future__ import annotations

import os
from collections.abc import Iterator

from harmony.config.addresses import literal_host, parse_address
from harmony.config.findings import Finding, KeyPath
from harmony.config.merging import DEFAULT_NETWORK, Definition, Merged, names
from harmony.config.routes import DEFAULT_PREFIXES
from harmony.config.schemas import mapping
from harmony.config.urls import BaseUrl, NotAUrl, url_of

_SECRETS = ("bearer", "password")


def secret_in_plain_text(merged: Merged) -> Iterator[Finding]:
    """W301: a secret that everybody reads who reads the file."""
    for backend in merged.intact("backends"):
        for key in _SECRETS:
            path = (*backend.path, "options", key)
            if isinstance(mapping(backend.table.get("options")).get(key), str):
                yield backend.source.finding(
                    "HRM-W301",
                    path,
                    hint=f'write `{key} = {{ env = "NAME" }}` or `{key} = {{ file = "PATH" }}`',
                    key=key,
                )


def variable_not_set(merged: Merged) -> Iterator[Finding]:
    """E302: an environment variable that is not there."""
    for given in merged.judged.get("HRM-E302", ()):
        if given.text not in os.environ:
            hint = "set it, or leave this check out with `--no-environment`"
            yield given.finding("HRM-E302", hint, name=given.text)


def not_a_url(merged: Merged) -> Iterator[Finding]:
    """E247: where an HTTP origin cannot be."""
    for given in merged.judged.get("HRM-E247", ()):
        try:
            BaseUrl.parse(given.text)
        except NotAUrl as exc:
            yield given.finding("HRM-E247", exc.hint, key=given.path[-1], reason=exc.reason)


def credentials_in_the_clear(merged: Merged) -> Iterator[Finding]:
    """W305: a secret on its way to another machine, for everybody on it to read."""
    for backend in merged.intact("backends"):
        options = mapping(backend.table.get("options"))
        url = url_of(options)
        if url is None or url.is_secure or not {"bearer", "username"} & set(options):
            continue
        host = literal_host(url.host)
        if host is not None and host.is_loopback:
            continue
        path = (*backend.path, "options", "url")
        yield backend.source.finding(
            "HRM-W305",
            path,
            hint="write `https://`, and `tls = { ca_file = .. }` for an authority of your own",
            name=backend.name,
        )


def dicom_without_tls(merged: Merged) -> Iterator[Finding]:
    """N306: patient data that cross a network as they are."""
    for backend in merged.intact("backends"):
        options = mapping(backend.table.get("options"))
        host = options.get("host")
        encrypted = options.get("use_tls") is True or "tls" in options
        if backend.table.get("service") != "dicom" or encrypted or not isinstance(host, str):
            continue
        address = literal_host(host)
        if address is not None and address.is_loopback:
            continue
        path = (*backend.path, "options", "host")
        yield backend.source.finding(
            "HRM-N306",
            path,
            hint="`tls` turns it on, if the peer can",
            name=backend.name,
            host=host,
        )


def open_to_everybody(merged: Merged) -> Iterator[Finding]:
    """W304: HTTP that other machines reach, and nobody asks who they are."""
    told: set[str] = set()
    for pipeline in merged.intact("pipelines"):
        for network in names(pipeline.table, "networks") or [DEFAULT_NETWORK]:
            place = merged.definitions["networks"].get(network)
            if place is None or not place.intact:
                continue
            address = parse_address(str(place.table.get("bind_addr", "127.0.0.1")))
            if address is None or address.is_loopback:
                continue
            for name in names(pipeline.table, "endpoints"):
                endpoint = merged.definitions["endpoints"].get(name)
                if endpoint is not None and _is_open(endpoint) and name not in told:
                    told.add(name)
                    yield _about_network(place, endpoint)


def _about_network(place: Definition, endpoint: Definition) -> Finding:
    path: KeyPath = (*place.path, "bind_addr")
    return place.source.finding(
        "HRM-W304",
        path,
        hint="bind to this machine and put a proxy with a log-in before it; or, behind a firewall "
        "that lets in the right ones, write `# harmony: ignore W304` and why",
        related=(endpoint.related(f"endpoint `{endpoint.name}`"),),
        name=endpoint.name,
    )


def _is_open(endpoint: Definition) -> bool:
    return endpoint.intact and endpoint.table.get("service") in DEFAULT_PREFIXES


OF_THE_ENVIRONMENT = (variable_not_set,)
RULES = (
    secret_in_plain_text,
    not_a_url,
    credentials_in_the_clear,
    dicom_without_tls,
    open_to_everybody,
)
