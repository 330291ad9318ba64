"""What services there are: three tables from a service's name in the file to its code.

A new service is one module and one line here. Its options' names, defaults and choices are in
its schema too; a test holds the two to each other.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, Generic, TypeVar

import msgspec

from harmony.backends import dicom
from harmony.dimse.pool import OpenLink
from harmony.endpoints import http
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
    """

    pipeline: str
    routers: Mapping[str, Router]
    observer: Observer


@dataclass(frozen=True, slots=True, kw_only=True)
class BackendPlace:
    """What a backend is given besides its options.

    Attributes:
        open_link: the engine that associations run on.
    """

    open_link: OpenLink


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


ENDPOINTS: Final[Mapping[str, Entry[Endpoint, EndpointPlace]]] = MappingProxyType(
    {
        "http": Entry(
            http.Options,
            lambda name, options, place: http.HttpEndpoint(
                name,
                options,
                pipeline=place.pipeline,
                routers=place.routers,
                observer=place.observer,
            ),
        ),
    }
)

BACKENDS: Final[Mapping[str, Entry[Backend, BackendPlace]]] = MappingProxyType(
    {
        "dicom": Entry(
            dicom.Options,
            lambda name, options, place: dicom.DicomBackend(name, options, place.open_link),
        ),
    }
)

MIDDLEWARE: Final[Mapping[str, Entry[Middleware, MiddlewarePlace]]] = MappingProxyType({})
