"""A whole Harmony in this process, run from the text of a configuration file as the daemon does.

    async with deployed(folder, text) as running:
        host, port = running.at["scp"]

Ports may be 0. The admin listener is off; `text` must not have an ``[admin]``.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import httpx2
import trio

from harmony.admin.pages import Readiness
from harmony.assembly import assemble
from harmony.daemon.running import Daemon, Ended
from harmony.interfaces import ExchangeSummary
from harmony.telemetry.exchanges import Reporter
from harmony.telemetry.log import get_logger
from harmony.telemetry.metrics import Metrics
from tests.support import engines
from tests.support.configuration import load_text
from tests.support.dcmtk import Called

_ADMIN = "\n[admin]\nenabled = false\n"

Value: TypeAlias = str | int | float | bool | Path | Sequence["Value"] | Mapping[str, "Value"]


def table(name: str, service: str, **options: Value) -> str:
    """The definition of a service, as ``table("endpoints.scp", "dicom", port=0)``.

    A ``dicom`` service gets the engine under test.
    """
    if service == "dicom":
        options = {"engine": engines.under_test(), **options}
    return f'[{name}]\nservice = "{service}"\noptions = {_toml(options)}\n'


def pipeline(name: str, endpoints: Sequence[str], backends: Sequence[str]) -> str:
    """The definition of a pipeline."""
    return f"[pipelines.{name}]\nendpoints = {_toml(endpoints)}\nbackends = {_toml(backends)}\n"


def backend(name: str, called: Called, *, local_aet: str = "HARMONY", **options: Value) -> str:
    """The definition of a ``dicom`` backend that calls somebody."""
    return table(
        f"backends.{name}",
        "dicom",
        aet=called.aet,
        host=called.host,
        port=called.port,
        local_aet=local_aet,
        **options,
    )


def _toml(value: Value) -> str:
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{key} = {_toml(each)}" for key, each in value.items()) + " }"
    if isinstance(value, str | Path):
        return json.dumps(str(value))
    if isinstance(value, Sequence):
        return "[" + ", ".join(map(_toml, value)) + "]"
    return json.dumps(value)


class Summaries:
    """An observer that keeps what it was told."""

    def __init__(self) -> None:
        self.all: list[ExchangeSummary] = []

    def finished(self, summary: ExchangeSummary) -> None:
        self.all.append(summary)


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployment:
    """What a test talks to.

    Attributes:
        at: host and port that a listener is bound to, by the name of its endpoint or network.
    """

    at: Mapping[str, tuple[str, int]]
    observed: Summaries

    def called(self, endpoint: str, aet: str, *, calling: str = "TESTER") -> Called:
        """A ``dicom`` endpoint, for DCMTK's programs."""
        host, port = self.at[endpoint]
        return Called(host=host, port=port, aet=aet, calling=calling)

    def client(self, network: str = "default", prefix: str = "/") -> httpx2.AsyncClient:
        host, port = self.at[network]
        base = f"http://{host}:{port}{prefix}"
        return httpx2.AsyncClient(base_url=base, timeout=60, trust_env=False)


@contextlib.asynccontextmanager
async def deployed(folder: Path, text: str) -> AsyncIterator[Deployment]:
    """Serve until the block is left; then nothing of it is left.

    Args:
        folder: for its files.
        text: of a configuration without errors.

    Raises:
        RuntimeError: it could not start.
    """
    loaded = load_text(folder, text + _ADMIN)
    assert loaded.configuration is not None, loaded.findings
    observed = Summaries()
    metrics = Metrics()
    send_ready, ready = trio.open_memory_channel[Readiness | Ended](1)
    daemon = Daemon(
        loaded.configuration,
        assemble(
            loaded.configuration,
            observer=observed,
            engines=engines.engines(),
            state_dir=folder,
        ),
        metrics=metrics,
        reporter=Reporter(get_logger("harmony.test"), metrics),
        on_ready=send_ready.send_nowait,
        arm_hard_stop=lambda seconds: None,
    )

    async def run() -> None:
        ended = await daemon.run()
        with contextlib.suppress(trio.WouldBlock):
            send_ready.send_nowait(ended)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(run)
        started = await ready.receive()
        if isinstance(started, Ended):
            raise RuntimeError(started.problem)
        bound = {each.name: each.listening for each in started.listeners}
        yield Deployment(
            at={name: (each.host, each.port) for name, each in bound.items()}, observed=observed
        )
        nursery.cancel_scope.cancel()
