"""A valid configuration becomes live objects. Nothing is opened and nothing runs yet.

Only what a pipeline uses is made. `Assembly` says what there is to run; `daemon` runs it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from harmony import catalog
from harmony.config import model
from harmony.dimse.pool import OpenLink
from harmony.interfaces import Backend, Endpoint, Middleware, Observer
from harmony.pipeline import Pipeline
from harmony.web.router import Router


@dataclass(frozen=True, slots=True, kw_only=True)
class AssembledPipeline:
    """A pipeline with the endpoints that lead to it."""

    pipeline: Pipeline
    endpoints: tuple[Endpoint, ...]

    @property
    def name(self) -> str:
        return self.pipeline.name


@dataclass(frozen=True, slots=True, kw_only=True)
class Assembly:
    """All there is to run.

    Attributes:
        backends: by name; pipelines share them.
        routers: by network; the networks whose HTTP listener somebody needs.
    """

    backends: Mapping[str, Backend]
    pipelines: tuple[AssembledPipeline, ...]
    routers: Mapping[str, Router]


def assemble(
    configuration: model.Configuration, *, observer: Observer, open_link: OpenLink
) -> Assembly:
    """Make everything that the configuration's pipelines use."""
    used = configuration.pipelines.values()
    backends = {
        name: _backend(configuration.backends[name], open_link)
        for name in dict.fromkeys(name for pipeline in used for name in pipeline.backends)
    }
    middleware = {
        name: _middleware(configuration.middleware[name])
        for name in dict.fromkeys(name for pipeline in used for name in pipeline.middleware)
    }
    routers = {name: Router() for name in configuration.networks}
    pipelines = tuple(
        AssembledPipeline(
            pipeline=Pipeline(
                pipeline.name,
                [backends[name] for name in pipeline.backends],
                [middleware[name] for name in pipeline.middleware],
            ),
            endpoints=tuple(
                _endpoint(
                    configuration.endpoints[name],
                    catalog.EndpointPlace(
                        pipeline=pipeline.name,
                        routers={network: routers[network] for network in pipeline.networks},
                        observer=observer,
                    ),
                )
                for name in pipeline.endpoints
            ),
        )
        for pipeline in used
    )
    return Assembly(backends=backends, pipelines=pipelines, routers=_claimed(routers, pipelines))


def _endpoint(service: model.Service, place: catalog.EndpointPlace) -> Endpoint:
    return catalog.ENDPOINTS[service.service].build(service.name, service.options, place)


def _backend(service: model.Service, open_link: OpenLink) -> Backend:
    place = catalog.BackendPlace(open_link=open_link)
    return catalog.BACKENDS[service.service].build(service.name, service.options, place)


def _middleware(service: model.Service) -> Middleware:
    place = catalog.MiddlewarePlace()
    return catalog.MIDDLEWARE[service.service].build(service.name, service.options, place)


def _claimed(
    routers: Mapping[str, Router], pipelines: Iterable[AssembledPipeline]
) -> Mapping[str, Router]:
    """The routers below which an endpoint wants a path; the others need no listener."""
    claims = {
        claim.network
        for pipeline in pipelines
        for endpoint in pipeline.endpoints
        for claim in endpoint.claims()
    }
    return {network: router for network, router in routers.items() if network in claims}
