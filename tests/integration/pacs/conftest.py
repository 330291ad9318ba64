"""Two real PACS with very different habits, empty, behind one face."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.dcmqrscp import Destination, dcmqrscp
from tests.support.dcmtk import Called
from tests.support.gateway import Gateway, gateway
from tests.support.pacs import Pacs
from tests.support.storescp import StoreScp

DOWN = "DOWN"  # a destination that both know, and where nobody listens
NOBODY_LISTENS = 1

# How dcmqrscp is made to take and give just this, and storescu to send it.
_ACCEPT = {"explicit": "--prefer-uncompr", "implicit": "--implicit", "rle": "--prefer-rle"}
_PROPOSE = {"explicit": "--propose-uncompr", "implicit": "--propose-implicit"}
_PROPOSE["rle"] = "--propose-rle"


@dataclass(frozen=True, slots=True, kw_only=True)
class Archive:
    """A PACS that holds nothing but what a test loads, not by way of Harmony.

    Attributes:
        gateway: opens a Harmony in front of it.
    """

    ae_title: str
    host: str
    port: int
    load: Callable[[Iterable[Path]], None]
    gateway: Callable[..., AbstractAsyncContextManager[Gateway]]

    @property
    def is_orthanc(self) -> bool:
        return self.ae_title == "ORTHANC"

    @property
    def called(self) -> Called:
        """Itself, for DCMTK's programs."""
        return Called(host=self.host, port=self.port, aet=self.ae_title)


@pytest.fixture
def dcmtk(storescp: StoreScp) -> None:
    """DCMTK's programs are here, or the test is skipped where others are."""


@pytest.fixture
def syntax() -> str:
    """The transfer syntax of what will be loaded; tests parametrize it."""
    return "explicit"


@pytest.fixture(params=["orthanc", "dcmqrscp"])
def archive(
    request: pytest.FixtureRequest,
    pacs_empty: Pacs,
    storescp: StoreScp,
    syntax: str,
    tmp_path: Path,
) -> Iterator[Archive]:
    """Orthanc, then dcmqrscp; both know `storescp` as a destination, and `DOWN`."""
    if request.param == "orthanc":
        pacs_empty.add_modality(storescp.ae_title, pacs_empty.caller_host, storescp.port)
        pacs_empty.add_modality(DOWN, pacs_empty.caller_host, NOBODY_LISTENS)
        yield _orthanc(pacs_empty)
        return
    destinations = (
        Destination(ae_title=storescp.ae_title, port=storescp.port),
        Destination(ae_title=DOWN, port=NOBODY_LISTENS),
    )
    with dcmqrscp(
        tmp_path / "dcmqrscp", destinations=destinations, accept=_ACCEPT[syntax]
    ) as running:
        yield Archive(
            ae_title=running.ae_title,
            host=running.host,
            port=running.port,
            load=functools.partial(running.load, propose=_PROPOSE[syntax]),
            gateway=functools.partial(gateway, port=running.port, aet=running.ae_title),
        )


@pytest.fixture
def orthanc(pacs_empty: Pacs) -> Archive:
    """Orthanc alone, for what dcmqrscp cannot do."""
    return _orthanc(pacs_empty)


def _orthanc(pacs: Pacs) -> Archive:
    return Archive(
        ae_title=pacs.ae_title,
        host=pacs.host,
        port=pacs.port,
        load=pacs.load,
        gateway=functools.partial(gateway, host=pacs.host, port=pacs.port, aet=pacs.ae_title),
    )
