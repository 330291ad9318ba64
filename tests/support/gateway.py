"""A whole Harmony in this process, before one PACS: real listener, real sockets, port 0.

async with gateway(port=pacs.port) as running:
    answer = await running.client.post("/find", json={...})
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field

import httpx2
import msgspec
import trio

from harmony.backends import dicom
from harmony.config.model import HttpListener
from harmony.dimse.pynetdicom_engine import open_link
from harmony.endpoints import http
from harmony.interfaces import ExchangeSummary
from harmony.pipeline import Pipeline
from harmony.web.host import HttpHost
from harmony.web.router import Router

PREFIX = "/dicom"


class Summaries:
    """An observer that keeps what it was told."""

    def __init__(self) -> None:
        self.all: list[ExchangeSummary] = []

    def finished(self, summary: ExchangeSummary) -> None:
        self.all.append(summary)


@dataclass(slots=True, kw_only=True)
class Gateway:
    """What a test talks to."""

    host: str
    port: int
    client: httpx2.AsyncClient
    backend: dicom.DicomBackend
    web: HttpHost
    observed: Summaries = field(default_factory=Summaries)

    @property
    def url(self) -> str:
        return f"http://{self.host}:{self.port}{PREFIX}"


@contextlib.asynccontextmanager
async def gateway(
    *,
    port: int,
    host: str = "127.0.0.1",
    aet: str = "PACS",
    options: Mapping[str, object] | None = None,
    endpoint: Mapping[str, object] | None = None,
    limits: HttpListener | None = None,
) -> AsyncIterator[Gateway]:
    """Serve until the block is left; then nothing of it is left."""
    given = {"aet": aet, "host": host, "port": port, "local_aet": "HARMONY", **(options or {})}
    backend = dicom.DicomBackend(
        "pacs",
        msgspec.convert(given, dicom.Options),
        functools.partial(open_link, limiter=trio.CapacityLimiter(256)),
    )
    pipeline = Pipeline("test", [backend])
    router = Router()
    observed = Summaries()
    api = http.HttpEndpoint(
        "api",
        msgspec.convert({"path_prefix": PREFIX, **(endpoint or {})}, http.Options),
        pipeline="test",
        routers={"default": router},
        observer=observed,
    )
    web = HttpHost(router, limits=limits or HttpListener(port=0), host="127.0.0.1", kind="http")
    async with backend.lifespan(), trio.open_nursery() as nursery:
        await nursery.start(functools.partial(api.serve, pipeline.exchange))
        listening = (await nursery.start(web.serve))[0]
        base = f"http://127.0.0.1:{listening.port}{PREFIX}"
        async with httpx2.AsyncClient(base_url=base, timeout=60, trust_env=False) as client:
            yield Gateway(
                host="127.0.0.1",
                port=listening.port,
                client=client,
                backend=backend,
                web=web,
                observed=observed,
            )
        nursery.cancel_scope.cancel()
