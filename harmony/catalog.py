"""What services there are: three tables from a service's name in the file to its code.

A new service is one module and one line here. Its options' names, defaults and choices are in
its schema too; a test holds the two to each other.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Final, Generic, TypeVar

import msgspec

from harmony.backends import archive, dicom, echo, files
from harmony.backends import dicomweb as dicomweb_backend
from harmony.backends import http as http_backend
from harmony.config.model import Peer
from harmony.dimse.arrivals import Arrivals
from harmony.dimse.engines import Engines
from harmony.dimse.receiving import receivers
from harmony.endpoints import dicom as dicom_endpoint
from harmony.endpoints import dicomweb, http
from harmony.endpoints.retrieving import Destination
from harmony.envelope import Operation
from harmony.interfaces import Backend, Endpoint, Middleware, Observer
from harmony.web.router import Router

Built = TypeVar("Built")
Around = TypeVar("Around")
OptionsType = TypeVar("OptionsType")


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointPlace:
    """What an endpoint is given besides its options.

    Attributes:
        routers: of its pipeline's networks, by their names.
        hosts: addresses that its pipeline's networks bind to.
        folder: that relative paths start from.
        operations: what its pipeline can serve.
        peers: all that there are, by name.
        destinations: backends that its C-MOVE may send to, by name.
        arrivals: retrieves that wait for objects at an endpoint, by the endpoint's name.
        engines: what callers' associations may run on.
        titles: of its pipeline's backends: AE title, or name where there is none, and name.
        state_dir: for what must lie on a disk; None for the system's temporary folder.
    """

    pipeline: str
    routers: Mapping[str, Router]
    observer: Observer
    hosts: Sequence[str]
    folder: Path
    operations: frozenset[Operation]
    peers: Mapping[str, Peer]
    destinations: Mapping[str, Destination]
    arrivals: Mapping[str, Arrivals]
    engines: Engines
    titles: Mapping[str, str]
    state_dir: Path | None


@dataclass(frozen=True, slots=True, kw_only=True)
class BackendPlace:
    """What a backend is given besides its options.

    Attributes:
        engines: what associations may run on.
        folder: that relative paths start from.
        arrivals: retrieves that wait for objects at an endpoint, by the endpoint's name.
    """

    engines: Engines
    folder: Path
    arrivals: Mapping[str, Arrivals]


@dataclass(frozen=True, slots=True)
class MiddlewarePlace:
    """What a middleware is given besides its options: nothing yet."""


class Entry(Generic[Built, Around]):
    """One service: the dataclass of its options, and how to make one from its table."""

    def __init__(
        self, options: type[OptionsType], make: Callable[[str, OptionsType, Around], Built]
    ) -> None:
        self.options: Final[type] = options

        def build(name: str, table: Mapping[str, object], around: Around) -> Built:
            return make(name, msgspec.convert(table, options, strict=True), around)

        self._build = build

    def build(self, name: str, table: Mapping[str, object], around: Around) -> Built:
        """Make the service called `name` from its ``options`` table, which is valid.

        Raises:
            msgspec.ValidationError: the table does not fit, so the schema is wrong.
        """
        return self._build(name, table, around)


def _http_endpoint(name: str, options: http.Options, place: EndpointPlace) -> Endpoint:
    return http.HttpEndpoint(
        name,
        options,
        pipeline=place.pipeline,
        routers=place.routers,
        observer=place.observer,
        operations=place.operations,
    )


def _dicom_endpoint(name: str, options: dicom_endpoint.Options, place: EndpointPlace) -> Endpoint:
    return dicom_endpoint.DicomEndpoint(
        name,
        options,
        pipeline=place.pipeline,
        hosts=place.hosts,
        folder=place.folder,
        operations=place.operations,
        peers=place.peers,
        destinations=place.destinations,
        arrivals=place.arrivals[name],
        observer=place.observer,
        accept_link=place.engines.accept_link(options.engine),
    )


def _dicomweb_endpoint(name: str, options: dicomweb.Options, place: EndpointPlace) -> Endpoint:
    return dicomweb.DicomwebEndpoint(
        name,
        options,
        pipeline=place.pipeline,
        routers=place.routers,
        observer=place.observer,
        titles=place.titles,
        cache_folder=place.state_dir,
    )


def _dicom_backend(name: str, options: dicom.Options, place: BackendPlace) -> Backend:
    named = options.receiver if isinstance(options.receiver, str) else None
    return dicom.DicomBackend(
        name,
        options,
        place.engines.open_link(options.engine),
        folder=place.folder,
        arrivals=place.arrivals[named] if named is not None else None,
        serve_receiver=receivers(place.engines.accept_link(options.engine), place.folder),
    )


def _archive_backend(name: str, options: archive.Options, place: BackendPlace) -> Backend:
    return archive.ArchiveBackend(name, options, place.folder / options.folder)


def _files_backend(name: str, options: files.Options, place: BackendPlace) -> Backend:
    return files.FilesBackend(name, options, place.folder)


def _http_backend(name: str, options: http_backend.Options, place: BackendPlace) -> Backend:
    return http_backend.HttpBackend(name, options, place.folder)


def _dicomweb_backend(name: str, options: dicomweb_backend.Options, place: BackendPlace) -> Backend:
    return dicomweb_backend.DicomwebBackend(name, options, place.folder)


def _echo_backend(name: str, options: echo.Options, place: BackendPlace) -> Backend:
    return echo.EchoBackend(name)


ENDPOINTS: Final[Mapping[str, Entry[Endpoint, EndpointPlace]]] = MappingProxyType(
    {
        "dicom": Entry(dicom_endpoint.Options, _dicom_endpoint),
        "dicomweb": Entry(dicomweb.Options, _dicomweb_endpoint),
        "http": Entry(http.Options, _http_endpoint),
    }
)

BACKENDS: Final[Mapping[str, Entry[Backend, BackendPlace]]] = MappingProxyType(
    {
        "archive": Entry(archive.Options, _archive_backend),
        "dicom": Entry(dicom.Options, _dicom_backend),
        "dicomweb": Entry(dicomweb_backend.Options, _dicomweb_backend),
        "echo": Entry(echo.Options, _echo_backend),
        "files": Entry(files.Options, _files_backend),
        "http": Entry(http_backend.Options, _http_backend),
    }
)

MIDDLEWARE: Final[Mapping[str, Entry[Middleware, MiddlewarePlace]]] = MappingProxyType({})
