"""From a configuration to objects, without running any."""

import dataclasses
from pathlib import Path

import pytest
import trio

from harmony.assembly import assemble
from harmony.backends.dicom import DicomBackend
from harmony.config.model import (
    Configuration,
    Network,
    Peer,
    Pipeline,
    Reference,
    Service,
)
from harmony.dimse.engines import DEFAULT_ENGINE, Engine, Engines
from harmony.endpoints.http import HttpEndpoint
from harmony.envelope import Operation

PACS = {"aet": "ORTHANC", "host": "localhost", "port": 4242, "local_aet": "HARMONY"}


CONFIGURATION = Configuration(
    file=Path("config.toml"),
    networks={name: Network(name=name) for name in ("default", "inner", "spare")},
    endpoints={
        "web": Service(name="web", service="http", options={"path_prefix": "/dicom"}),
        "other": Service(name="other", service="http", options={"path_prefix": "/other"}),
    },
    middleware={},
    backends={
        "pacs": Service(name="pacs", service="dicom", options=PACS),
        "unused": Service(name="unused", service="dicom", options=PACS),
    },
    pipelines={
        "bridge": Pipeline(name="bridge", endpoints=("web",), backends=(Reference(name="pacs"),))
    },
)


class Nobody:
    def finished(self, summary):
        raise AssertionError("nothing runs here")


async def never(*_, task_status):
    raise AssertionError("nothing is opened here")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Asked(Engines):
    """Notes who is asked for. None of them runs."""

    threads: trio.CapacityLimiter = dataclasses.field(
        default_factory=lambda: trio.CapacityLimiter(1)
    )
    opening: list[Engine] = dataclasses.field(default_factory=list)
    accepting: list[Engine] = dataclasses.field(default_factory=list)

    def open_link(self, engine):
        self.opening.append(engine)
        return never

    def accept_link(self, engine):
        self.accepting.append(engine)
        return never


def assembled(engines=None, **changes):
    configuration = dataclasses.replace(CONFIGURATION, **changes)
    return assemble(configuration, observer=Nobody(), engines=engines or Asked())


def test_a_pipeline_joins_its_endpoints_to_its_backends():
    assembly = assembled()
    (bridge,) = assembly.pipelines
    assert bridge.name == "bridge"
    (endpoint,) = bridge.endpoints
    assert isinstance(endpoint, HttpEndpoint)
    assert [(claim.network, claim.prefix) for claim in endpoint.claims()] == [("default", "/dicom")]
    assert bridge.pipeline.accepts(Operation.FIND)


def test_only_backends_that_a_pipeline_names_are_made():
    backends = assembled().backends
    assert list(backends) == ["pacs"]
    assert isinstance(backends["pacs"], DicomBackend)


def test_pipelines_share_a_backend():
    pipelines = {
        "one": Pipeline(name="one", endpoints=("web",), backends=(Reference(name="pacs"),)),
        "two": Pipeline(name="two", endpoints=("other",), backends=(Reference(name="pacs"),)),
    }
    assembly = assembled(pipelines=pipelines)
    assert [pipeline.name for pipeline in assembly.pipelines] == ["one", "two"]
    assert list(assembly.backends) == ["pacs"]


def test_only_networks_with_a_path_on_them_get_a_router():
    pipelines = {
        "bridge": Pipeline(
            name="bridge",
            networks=("inner", "default"),
            endpoints=("web",),
            backends=(Reference(name="pacs"),),
        )
    }
    assert sorted(assembled(pipelines=pipelines).routers) == ["default", "inner"]
    assert list(assembled().routers) == ["default"]


def test_without_pipelines_there_is_nothing_to_run():
    assembly = assembled(pipelines={})
    assert (dict(assembly.backends), assembly.pipelines, dict(assembly.routers)) == ({}, (), {})


def test_a_dicom_endpoint_binds_where_its_networks_do_and_destinations_are_made_for_it():
    scp = {"local_aet": "HARMONY", "peers": ["ward"], "move_destinations": ["station"]}
    assembly = assembled(
        networks={
            "default": Network(name="default"),
            "ward": Network(name="ward", bind_addr="127.0.0.9"),
        },
        endpoints={"scp": Service(name="scp", service="dicom", options=scp)},
        backends={
            "pacs": Service(name="pacs", service="dicom", options=PACS),
            "station": Service(name="station", service="dicom", options={**PACS, "aet": "WS"}),
            "viewer": Service(name="viewer", service="dicom", options={**PACS, "aet": "VW"}),
            "unused": Service(name="unused", service="dicom", options=PACS),
        },
        peers={"ward": Peer(name="ward", ae_titles=("CT1",), move_destinations=("viewer",))},
        pipelines={
            "router": Pipeline(
                name="router",
                networks=("default", "ward"),
                endpoints=("scp",),
                backends=(Reference(name="pacs"),),
            )
        },
    )
    (endpoint,) = assembly.pipelines[0].endpoints
    assert [(claim.host, claim.port) for claim in endpoint.claims()] == [
        ("127.0.0.1", 11112),
        ("127.0.0.9", 11112),
    ]
    assert sorted(assembly.backends) == ["pacs", "station", "viewer"]
    assert assembly.asked == {"pacs"}
    assert list(assembly.routers) == []


@pytest.mark.parametrize("engine", [None, *Engine])
def test_each_service_runs_on_the_engine_that_it_names(engine):
    named = {} if engine is None else {"engine": engine.value}
    other = Engine.TRIO if engine is Engine.PYNETDICOM else Engine.PYNETDICOM
    engines = Asked()
    assembled(
        engines,
        endpoints={
            "scp": Service(name="scp", service="dicom", options={"local_aet": "H", **named})
        },
        pipelines={
            "router": Pipeline(
                name="router", endpoints=("scp",), backends=(Reference(name="pacs"),)
            )
        },
        backends={
            "pacs": Service(name="pacs", service="dicom", options={**PACS, "engine": other.value})
        },
    )
    assert engines.opening == [other]
    # a receiver of the backend's own would run on the backend's
    assert engines.accepting == [other, engine or DEFAULT_ENGINE]
