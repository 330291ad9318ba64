"""A `dicom` endpoint in this process before any backend, and Harmony's own SCU to call it.

async with dicom_endpoint(FakeBackend(gives(match("1.2.3")))) as running:
    async with running.call(contexts.for_queries()) as association:
        await association.echo()
"""

from __future__ import annotations

import contextlib
import functools
import ssl
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import trio

from harmony.config.model import Peer
from harmony.dimse.arrivals import Arrivals
from harmony.dimse.association import Association
from harmony.dimse.link import Proposal
from harmony.dimse.target import Target, Timeouts
from harmony.endpoints.dicom import DicomEndpoint, Options
from harmony.endpoints.retrieving import Destination
from harmony.envelope import Operation, root_cause
from harmony.interfaces import Backend
from harmony.pipeline import Pipeline, Route
from harmony.tls.contexts import ServerTls
from tests.support import engines
from tests.support.dcmtk import Called
from tests.support.gateway import Summaries

AET = "HARMONY"
CALLING = "CALLER"


@dataclass(slots=True, kw_only=True)
class Running:
    """What a test talks to.

    Attributes:
        observed: is told of every request.
        nursery: in which the endpoint runs; cancelling it is a hard stop.
    """

    host: str
    port: int
    endpoint: DicomEndpoint
    arrivals: Arrivals
    nursery: trio.Nursery
    observed: Summaries = field(default_factory=Summaries)

    @property
    def called(self) -> Called:
        """For DCMTK's programs."""
        return Called(host=self.host, port=self.port, aet=AET, calling=CALLING)

    @contextlib.asynccontextmanager
    async def call(
        self,
        proposals: Sequence[Proposal],
        *,
        calling: str = CALLING,
        called: str = AET,
        tls: ssl.SSLContext | None = None,
        timeouts: Timeouts | None = None,
    ) -> AsyncIterator[Association]:
        """An association with the endpoint; released at the end of the block if it is in order.

        Raises:
            UpstreamError: there is none.
        """
        target = Target(
            aet=called,
            host=self.host,
            port=self.port,
            local_aet=calling,
            tls=tls,
            timeouts=timeouts or Timeouts(),
        )
        engine = functools.partial(engines.open_link(engines.calling()), target, proposals)
        try:
            async with trio.open_nursery() as nursery:
                association = Association(await nursery.start(engine), target)
                yield association
                await association.close()
                nursery.cancel_scope.cancel()
        except BaseExceptionGroup as group:
            raise root_cause(group) from None


@contextlib.asynccontextmanager
async def dicom_endpoint(
    backend: Backend,
    *,
    options: Mapping[str, object] | None = None,
    peers: Mapping[str, Peer] | None = None,
    destinations: Mapping[str, Destination] | None = None,
    tls: ServerTls | None = None,
    folder: Path | None = None,
) -> AsyncIterator[Running]:
    """Serve until the block is left; then nothing of it is left.

    Args:
        backend: the one of the pipeline.
        options: of the endpoint, but for `local_aet`, `port` and `bind_addr`.
        peers: all of them are the endpoint's.
        destinations: of C-MOVE, by name; callers without a peer may use all of them.
        tls: for the endpoint.
        folder: of TLS files, and for objects while they arrive.
    """
    pipeline = Pipeline("test", [Route(backend)])
    given: dict[str, object] = {
        "local_aet": AET,
        "port": 0,
        "bind_addr": "127.0.0.1",
        "peers": tuple(peers or ()),
        "move_destinations": tuple(destinations or ()),
        **(options or {}),
    }
    if tls is not None:
        given["tls"] = msgspec.to_builtins(tls)
    read = msgspec.convert(given, Options, strict=True)
    observed = Summaries()
    arrivals = Arrivals(AET)
    endpoint = DicomEndpoint(
        "pacs",
        read,
        pipeline="test",
        hosts=(),
        folder=folder or Path(),
        operations=frozenset(each for each in Operation if pipeline.accepts(each)),
        peers=peers or {},
        destinations=destinations or {},
        arrivals=arrivals,
        observer=observed,
        accept_link=engines.accept_link(),
    )
    async with backend.lifespan(), trio.open_nursery() as nursery:
        (listening,) = await nursery.start(functools.partial(endpoint.serve, pipeline.exchange))
        yield Running(
            host=listening.host,
            port=listening.port,
            endpoint=endpoint,
            arrivals=arrivals,
            nursery=nursery,
            observed=observed,
        )
        nursery.cancel_scope.cancel()


def destination(backend: Backend, aet: str = "DEST") -> Destination:
    """Where a C-MOVE may send to."""
    return Destination(aet=aet, exchange=Pipeline(f"to {aet}", [Route(backend)]).exchange)
