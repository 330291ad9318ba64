"""An `http` endpoint that passes through, on a real listener, in front of one backend."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import AsyncIterator

import httpx2
import msgspec
import trio

from harmony.config.model import HttpListener
from harmony.endpoints import http
from harmony.envelope import Operation
from harmony.interfaces import Backend
from harmony.pipeline import Pipeline, Route
from harmony.web.host import HttpHost
from harmony.web.router import Router
from tests.support.gateway import Summaries

SECONDS = 20


@contextlib.asynccontextmanager
async def fronted(
    backend: Backend, **options: object
) -> AsyncIterator[tuple[httpx2.AsyncClient, Summaries]]:
    """Run both while the block runs; what the client asks is below the endpoint's prefix."""
    router, observed = Router(), Summaries()
    pipeline = Pipeline("p", [Route(backend)])
    endpoint = http.HttpEndpoint(
        "front",
        msgspec.convert({"path_prefix": "/front", **options}, http.Options),
        pipeline="p",
        routers={"default": router},
        observer=observed,
        operations={Operation.HTTP},
    )
    host = HttpHost(router, limits=HttpListener(port=0), host="127.0.0.1", kind="http")
    with trio.fail_after(SECONDS):
        async with backend.lifespan(), trio.open_nursery() as nursery:
            await nursery.start(functools.partial(endpoint.serve, pipeline.exchange))
            (listening,) = await nursery.start(host.serve)
            base = f"http://127.0.0.1:{listening.port}/front"
            async with httpx2.AsyncClient(base_url=base, timeout=10, trust_env=False) as client:
                yield client, observed
            nursery.cancel_scope.cancel()
