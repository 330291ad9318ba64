"""Endpoints that lead nowhere, and requests that come back."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio

from harmony import catalog
from harmony.config.reaching import BACKENDS, ENDPOINTS
from harmony.dimse.engines import Engines
from harmony.envelope import Operation
from tests.support.configuration import codes, load_text

OPTIONS: dict[str, dict[str, object]] = {
    "archive": {"folder": "a"},
    "dicom": {"aet": "A", "host": "h", "port": 1, "local_aet": "B"},
    "dicomweb": {"url": "http://h"},
    "echo": {},
    "files": {"folder": "."},
    "http": {"url": "http://h"},
}


def test_the_table_is_what_the_services_say_of_themselves(tmp_path: Path) -> None:
    place = catalog.BackendPlace(
        engines=Engines(threads=trio.CapacityLimiter(1)), folder=tmp_path, arrivals={}
    )
    assert set(BACKENDS) == set(catalog.BACKENDS) == set(OPTIONS)
    for service, operations in BACKENDS.items():
        backend = catalog.BACKENDS[service].build("b", OPTIONS[service], place)
        assert {each.value for each in Operation if backend.accepts(each)} == operations
    assert set(ENDPOINTS) <= set(catalog.ENDPOINTS)


def pipeline(endpoint: str, *backends: str) -> str:
    needed = "{ local_aet = 'E' }" if endpoint == "dicom" else "{}"
    text = f"[pipelines.p]\nendpoints = ['e']\nbackends = {list(backends)}\n"
    text += f"[endpoints.e]\nservice = '{endpoint}'\noptions = {needed}\n"
    for service in backends:
        options = "\n".join(f"{key} = {value!r}" for key, value in OPTIONS[service].items())
        text += f"[backends.{service}]\nservice = '{service}'\n"
        text += f"[backends.{service}.options]\n{options}\n"
    return text


@pytest.mark.parametrize("endpoint", ["dicom", "dicomweb", "http"])
@pytest.mark.parametrize("backend", OPTIONS)
def test_an_endpoint_wants_a_backend_that_can_serve_it(
    endpoint: str, backend: str, tmp_path: Path
) -> None:
    wrong = endpoint != "http" and backend in ("files", "http")
    wrong = wrong or (endpoint, backend) == ("dicomweb", "echo")
    assert codes(load_text(tmp_path, pipeline(endpoint, backend))) == (
        ["HRM-E208"] if wrong else []
    )


def test_one_backend_that_can_is_enough(tmp_path: Path) -> None:
    assert codes(load_text(tmp_path, pipeline("dicomweb", "files", "archive"))) == []


def step(name: str, port: int, target: str) -> str:
    """A pipeline with an HTTP listener of its own that sends somewhere."""
    return f"""
[networks.n{name}]
http = {{ port = {port} }}
[pipelines.p{name}]
networks = ["n{name}"]
endpoints = ["e{name}"]
backends = ["b{name}"]
[endpoints.e{name}]
service = "http"
options = {{ path_prefix = "/{name}" }}
[backends.b{name}]
service = "http"
options = {{ url = "{target}" }}
"""


@pytest.mark.parametrize(
    ("steps", "round_"),
    [
        ((("a", 81, "http://127.0.0.1:82/b"), ("b", 82, "http://127.0.0.1:81/a")), True),
        ((("a", 81, "http://localhost:82/b/x"), ("b", 82, "http://127.0.0.1:81/a/y")), True),
        ((("a", 81, "http://127.0.0.1:82/x"), ("b", 82, "http://127.0.0.1:81/a")), False),
        ((("a", 81, "http://127.0.0.1:82/bb"), ("b", 82, "http://127.0.0.1:81/a")), False),
        ((("a", 81, "http://127.0.0.1:83/b"), ("b", 82, "http://127.0.0.1:81/a")), False),
        ((("a", 81, "http://10.1.2.3:82/b"), ("b", 82, "http://127.0.0.1:81/a")), False),
        (
            (
                ("a", 81, "http://127.0.0.1:82/b"),
                ("b", 82, "http://127.0.0.1:83/c"),
                ("c", 83, "http://127.0.0.1:81/a"),
            ),
            True,
        ),
    ],
)
def test_a_ring_of_pipelines_is_told_once(
    steps: tuple[tuple[str, int, str], ...], round_: bool, tmp_path: Path
) -> None:
    loaded = load_text(tmp_path, "".join(step(*each) for each in steps))
    found = [code for code in codes(loaded) if code != "HRM-W245"]
    assert found == (["HRM-E252"] if round_ else [])
