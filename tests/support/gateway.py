"""A whole Harmony in this process, before a PACS or several: real listener, real sockets, port 0.

async with gateway(port=pacs.port) as running:
    answer = await running.client.post("/find", json={...})
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import httpx2
import msgspec
import trio

from harmony.backends import dicom
from harmony.config.model import HttpListener
from harmony.dimse.receiving import receivers
from harmony.endpoints import http
from harmony.endpoints.dicomweb import DicomwebEndpoint, Options
from harmony.interfaces import ExchangeSummary
from harmony.pipeline import Pipeline, Route
from harmony.web.host import HttpHost
from harmony.web.router import Router
from tests.support import engines

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

    @property
    def dicomweb(self) -> str:
        """Root of its DICOMweb services."""
        return f"http://{self.host}:{self.port}/dicom-web"


@contextlib.asynccontextmanager
async def gateway(
    *,
    port: int,
    host: str = "127.0.0.1",
    aet: str = "PACS",
    options: Mapping[str, object] | None = None,
    endpoint: Mapping[str, object] | None = None,
    dicomweb: Mapping[str, object] | None = None,
    limits: HttpListener | None = None,
    others: Mapping[str, int] | None = None,
    when: Mapping[str, Mapping[str, tuple[str, ...]]] | None = None,
    strategy: str = "failover",
    require_all: bool = False,
) -> AsyncIterator[Gateway]:
    """Serve until the block is left; then nothing of it is left.

    Args:
        port: where the first backend, ``pacs``, listens; `host` and `aet` too.
        host: of all backends.
        aet: of all backends.
        options: further ones, of all backends.
        endpoint: options of the endpoint.
        dicomweb: options of a ``dicomweb`` endpoint, which there is beside the other one.
        limits: of the listener.
        others: name -> port of more backends.
        when: name -> which requests a backend is for.
        strategy: of the pipeline.
        require_all: of the pipeline.
    """
    backends = {
        name: dicom.DicomBackend(
            name,
            msgspec.convert(
                {"aet": aet, "host": host, "port": each, "local_aet": "HARMONY", **(options or {})},
                dicom.Options,
            ),
            engines.open_link(),
            serve_receiver=receivers(engines.accept_link(), Path()),
        )
        for name, each in {"pacs": port, **(others or {})}.items()
    }
    pipeline = Pipeline(
        "test",
        [Route(backend, (when or {}).get(name, {})) for name, backend in backends.items()],
        strategy=strategy,
        require_all=require_all,
    )
    router = Router()
    observed = Summaries()
    api = http.HttpEndpoint(
        "api",
        msgspec.convert({"path_prefix": PREFIX, **(endpoint or {})}, http.Options),
        pipeline="test",
        routers={"default": router},
        observer=observed,
    )
    services = DicomwebEndpoint(
        "web",
        msgspec.convert(dict(dicomweb or {}), Options),
        pipeline="test",
        routers={"default": router},
        observer=observed,
        titles={aet: "pacs", **{name: name for name in backends}},
        cache_folder=None,
    )
    web = HttpHost(router, limits=limits or HttpListener(port=0), host="127.0.0.1", kind="http")
    async with contextlib.AsyncExitStack() as stack:
        for backend in backends.values():
            await stack.enter_async_context(backend.lifespan())
        nursery = await stack.enter_async_context(trio.open_nursery())
        for each in (api, services):
            await nursery.start(functools.partial(each.serve, pipeline.exchange))
        listening = (await nursery.start(web.serve))[0]
        base = f"http://127.0.0.1:{listening.port}{PREFIX}"
        async with httpx2.AsyncClient(base_url=base, timeout=60, trust_env=False) as client:
            yield Gateway(
                host="127.0.0.1",
                port=listening.port,
                client=client,
                backend=backends["pacs"],
                web=web,
                observed=observed,
            )
        nursery.cancel_scope.cancel()
