"""A valid configuration becomes live objects. Nothing is opened and nothing runs yet.

Only what a pipeline uses is made. `Assembly` says what there is to run; `daemon` runs it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from harmony import catalog
from harmony.config import model
from harmony.dimse.arrivals import Arrivals
from harmony.dimse.engines import Engines
from harmony.endpoints.retrieving import Destination
from harmony.envelope import Operation
from harmony.holding import Holding
from harmony.interfaces import Backend, Endpoint, Middleware, Observer, PathClaim
from harmony.pipeline import Pipeline, Route
from harmony.web.router import Router

_HELD_IN_MEMORY = 1024 * 1024


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
        asked: names of those that a pipeline asks. The others are only sent to, by C-MOVE, and
            need not be there before that.
        routers: by network; the networks whose HTTP listener somebody needs.
    """

    backends: Mapping[str, Backend]
    asked: frozenset[str]
    pipelines: tuple[AssembledPipeline, ...]
    routers: Mapping[str, Router]


def assemble(
    configuration: model.Configuration,
    *,
    observer: Observer,
    engines: Engines,
    state_dir: Path | None = None,
) -> Assembly:
    """Make everything that the configuration's pipelines use.

    Args:
        configuration: valid.
        observer: hears of every exchange.
        engines: what associations run on, by the names in the configuration.
        state_dir: for what must lie on a disk; None for the system's temporary folder.

    Raises:
        ValueError: a file that the configuration names cannot be used.
    """
    builder = _Builder(configuration, observer, engines, state_dir)
    pipelines = tuple(builder.pipeline(pipeline) for pipeline in configuration.pipelines.values())
    return Assembly(
        backends=builder.backends,
        asked=frozenset(
            name for each in configuration.pipelines.values() for name in each.backend_names
        ),
        pipelines=pipelines,
        routers=_claimed(builder.routers, pipelines),
    )


class _Builder:
    """Makes each object once, whoever names it."""

    def __init__(
        self,
        configuration: model.Configuration,
        observer: Observer,
        engines: Engines,
        state_dir: Path | None,
    ) -> None:
        self._configuration = configuration
        self._observer = observer
        self._engines = engines
        self._state_dir = state_dir
        self._folder = configuration.file.parent
        self._arrivals = {
            name: Arrivals(str(service.options["local_aet"]))
            for name, service in configuration.endpoints.items()
            if service.service == "dicom"
        }
        self._middleware: dict[str, Middleware] = {}
        self.backends: dict[str, Backend] = {}
        self.routers = {name: Router() for name in configuration.networks}

    def pipeline(self, pipeline: model.Pipeline) -> AssembledPipeline:
        routes = [Route(self._backend(each.name), each.when) for each in pipeline.backends]
        joined = Pipeline(
            pipeline.name,
            routes,
            [self._layer(name) for name in pipeline.middleware],
            strategy=pipeline.strategy,
            require_all=pipeline.require_all,
            holding=Holding(self._state_dir, _HELD_IN_MEMORY),
        )
        return AssembledPipeline(
            pipeline=joined,
            endpoints=tuple(
                self._endpoint(self._configuration.endpoints[name], pipeline, joined)
                for name in pipeline.endpoints
            ),
        )

    def _endpoint(
        self, service: model.Service, pipeline: model.Pipeline, joined: Pipeline
    ) -> Endpoint:
        networks = self._configuration.networks
        place = catalog.EndpointPlace(
            pipeline=pipeline.name,
            routers={network: self.routers[network] for network in pipeline.networks},
            observer=self._observer,
            hosts=tuple(dict.fromkeys(networks[name].bind_addr for name in pipeline.networks)),
            folder=self._folder,
            operations=frozenset(each for each in Operation if joined.accepts(each)),
            peers=self._configuration.peers,
            destinations=self._destinations(service),
            arrivals=self._arrivals,
            engines=self._engines,
            titles=self._titles(pipeline),
            state_dir=self._state_dir,
        )
        return catalog.ENDPOINTS[service.service].build(service.name, service.options, place)

    def _titles(self, pipeline: model.Pipeline) -> Mapping[str, str]:
        """What the backends of a pipeline are called: by AE title, or else by name."""
        found: dict[str, str] = {}
        for name in pipeline.backend_names:
            title = self._configuration.backends[name].options.get("aet", name)
            found.setdefault(str(title), name)
            found.setdefault(name, name)
        return found

    def _destinations(self, service: model.Service) -> Mapping[str, Destination]:
        """Where an endpoint's C-MOVE may send to, for any of its peers."""
        names = _names(service.options.get("move_destinations"))
        for peer in _names(service.options.get("peers")):
            names += self._configuration.peers[peer].move_destinations or ()
        return {name: self._destination(name) for name in dict.fromkeys(names)}

    def _destination(self, name: str) -> Destination:
        alone = Pipeline(f"move to {name}", [Route(self._backend(name))])
        aet = self._configuration.backends[name].options["aet"]
        return Destination(aet=str(aet), exchange=alone.exchange)

    def _backend(self, name: str) -> Backend:
        if name not in self.backends:
            service = self._configuration.backends[name]
            place = catalog.BackendPlace(
                engines=self._engines,
                folder=self._folder,
                arrivals=self._arrivals,
            )
            entry = catalog.BACKENDS[service.service]
            self.backends[name] = entry.build(service.name, service.options, place)
        return self.backends[name]

    def _layer(self, name: str) -> Middleware:
        if name not in self._middleware:
            service = self._configuration.middleware[name]
            entry = catalog.MIDDLEWARE[service.service]
            place = catalog.MiddlewarePlace()
            self._middleware[name] = entry.build(service.name, service.options, place)
        return self._middleware[name]


def _names(value: object) -> tuple[str, ...]:
    return tuple(map(str, value)) if isinstance(value, list | tuple) else ()


def _claimed(
    routers: Mapping[str, Router], pipelines: Iterable[AssembledPipeline]
) -> Mapping[str, Router]:
    """The routers below which an endpoint wants a path; the others need no listener."""
    claims = {
        claim.network
        for pipeline in pipelines
        for endpoint in pipeline.endpoints
        for claim in endpoint.claims()
        if isinstance(claim, PathClaim)
    }
    return {network: router for network, router in routers.items() if network in claims}
