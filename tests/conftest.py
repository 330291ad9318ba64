"""Fixtures for every test: the leak watch, and real peers where they are installed.

A peer that is missing is skipped on a developer's machine and fails where CI=true, so that no
run of CI passes by skipping.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

import pytest
from hypothesis import HealthCheck, settings
from xdist.remote import Producer

from tests.support.dcmqrscp import DcmQrScp, dcmqrscp
from tests.support.leak_watch import assert_nothing_left, snapshot
from tests.support.pacs import NamespacePacs, Pacs, available, chosen, start
from tests.support.scheduling import Scheduling
from tests.support.storescp import StoreScp, storescp

_WATCHED = tuple(Path(__file__).parent / folder for folder in ("integration", "system"))
# A busy machine is no failure: no test of ours asserts how long something takes.
settings.register_profile("harmony", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("harmony")

_REAL_PACS = frozenset({"pacs", "pacs_empty"})


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Whoever asks for a PACS is marked so; nobody can forget it."""
    for item in items:
        if _REAL_PACS.intersection(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.pacs)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> Scheduling:
    """Several workers share the tests; one of them has all that need the machine for themselves."""
    return Scheduling(config, log)


@pytest.fixture
def leak_watch() -> Iterator[None]:
    """Fail the test if it leaves a thread, a descriptor or a process behind."""
    before = snapshot()
    yield
    assert_nothing_left(before)


@pytest.fixture(autouse=True)
def _leak_watch_where_sockets_are(request: pytest.FixtureRequest) -> None:
    # First to be set up among a test's own fixtures, so the last to look, after their ends.
    if any(request.path.is_relative_to(folder) for folder in _WATCHED):
        request.getfixturevalue("leak_watch")


@pytest.fixture(scope="session")
def pacs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pacs]:
    """A real PACS, one for the whole run; it may hold what other tests put in."""
    kind = chosen()
    if kind is None:
        _missing("no PACS")
    with start(kind, tmp_path_factory.mktemp("pacs")) as running:
        yield running


@pytest.fixture
def pacs_empty(pacs: Pacs) -> Pacs:
    """The same, emptied."""
    pacs.reset()
    return pacs


@pytest.fixture
def faulty_pacs(tmp_path: Path) -> Iterator[NamespacePacs]:
    """A PACS of this test's own that can be killed, frozen and cut off."""
    if "netns" not in available():
        _missing("network namespaces, Orthanc, iproute2 and nftables are needed, as root")
    with NamespacePacs(tmp_path / "pacs", index=8) as running:
        yield running


@pytest.fixture(name="dcmqrscp")
def _dcmqrscp(tmp_path: Path) -> Iterator[DcmQrScp]:
    """DCMTK's PACS, empty."""
    _need("dcmqrscp")
    with dcmqrscp(tmp_path / "dcmqrscp") as running:
        yield running


@pytest.fixture(name="storescp")
def _storescp(tmp_path: Path) -> Iterator[StoreScp]:
    """DCMTK's storage provider; what it receives lands in a folder."""
    _need("storescp")
    with storescp(tmp_path / "storescp") as running:
        yield running


def _need(command: str) -> None:
    if shutil.which(command) is None:
        _missing(f"no {command}")


def _missing(what: str) -> NoReturn:
    reason = f"{what}: run tools/install_peers.sh"
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)
