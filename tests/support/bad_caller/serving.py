"""A `dicom` endpoint on port 0 before a backend that is always content, for bad callers."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import trio

from harmony.dimse.arrivals import Arrivals
from harmony.endpoints.dicom import DicomEndpoint, Options, Timeouts
from harmony.envelope import (
    Instance,
    Match,
    Operation,
    Outcome,
    RequestEnvelope,
    Stored,
    WholeBytes,
)
from harmony.interfaces import ExchangeSummary
from harmony.pipeline import Pipeline, Route
from tests.support import engines
from tests.support.bad_caller.data_sets import PATIENT_ID, STUDY_UID, element, identifier
from tests.support.bad_caller.request import CT, EXPLICIT, Request
from tests.support.fake_backend import FakeBackend, Send

AET = Request().called
# Long for a proper caller of this machine, short for a test that waits for a bad one.
OPTIONS = Options(
    local_aet=AET,
    port=0,
    # More than bad callers use at a time: one who comes next to them must be served.
    max_connections_per_address=100,
    max_associations_per_aet=32,
    max_object_bytes=1 << 20,
    memory_object_bytes=1 << 12,
    deadline_seconds=10,
    timeouts=Timeouts(
        tls_seconds=3,
        associate_seconds=3,
        idle_seconds=5,
        pdu_seconds=3,
        object_idle_seconds=3,
        object_seconds=10,
        store_seconds=1,
        send_seconds=3,
    ),
)
_OPERATIONS = (Operation.ECHO, Operation.FIND, Operation.GET, Operation.STORE)
_MATCH = Match(identifier=identifier([(STUDY_UID, "UI", b"1.2.3")]), transfer_syntax=EXPLICIT)
_IMAGE = element(PATIENT_ID, "LO", b"P1") + element(0x7FE00010, "OW", bytes(10_000))


@dataclass(frozen=True, slots=True)
class Served:
    """The endpoint's address, and its backend, which notes what it is asked.

    Attributes:
        stored: SOP instance UID and data set of what the backend has taken.
    """

    host: str
    port: int
    backend: FakeBackend
    stored: dict[str, bytes]


class _Nobody:
    """An observer that does not listen."""

    def finished(self, summary: ExchangeSummary) -> None: ...


@contextlib.asynccontextmanager
async def serve_dicom(options: Options = OPTIONS) -> AsyncIterator[Served]:
    """Serve until the block is left; then nothing of it is left."""
    stored: dict[str, bytes] = {}
    backend = FakeBackend(functools.partial(_produce, stored), *_OPERATIONS)
    endpoint = DicomEndpoint(
        "pacs",
        dataclasses.replace(options, bind_addr="127.0.0.1"),
        pipeline="test",
        hosts=(),
        folder=Path(),
        operations=frozenset(_OPERATIONS),
        peers={},
        destinations={},
        arrivals=Arrivals(options.local_aet),
        observer=_Nobody(),
        accept_link=engines.accept_link(),
    )
    pipeline = Pipeline("test", [Route(backend)])
    async with trio.open_nursery() as nursery:
        (listening,) = await nursery.start(functools.partial(endpoint.serve, pipeline.exchange))
        yield Served(listening.host, listening.port, backend, stored)
        nursery.cancel_scope.cancel()


async def _produce(stored: dict[str, bytes], request: RequestEnvelope, send: Send) -> None:
    if request.operation is Operation.FIND:
        for _ in range(3):
            await send.send(_MATCH)
    elif request.operation is Operation.GET:
        await send.send(
            Instance(
                sop_class_uid=CT,
                sop_instance_uid="1.2.3.4",
                transfer_syntax=EXPLICIT,
                data=WholeBytes(_IMAGE),
                repeatable=True,
            )
        )
    elif request.operation is Operation.STORE:
        async for instance in cast("AsyncIterator[Instance]", request.body):
            data = b"".join([chunk async for chunk in instance.data])
            stored[instance.sop_instance_uid] = data
            await send.send(
                Stored(
                    sop_class_uid=instance.sop_class_uid,
                    sop_instance_uid=instance.sop_instance_uid,
                    status=0x0000,
                )
            )
    await send.send(Outcome())
