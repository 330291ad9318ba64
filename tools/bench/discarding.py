"""A DICOM endpoint of Harmony's before a backend that discards objects and never ends a query.

    python -m tools.bench.discarding PORT ENGINE [COUNTER]

COUNTER is a file in which it counts what was stored, as eight bytes.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import cast

import trio

from harmony.dimse.engines import Engine
from harmony.envelope import Instance, Item, Operation, Outcome, RequestEnvelope, Stored
from tests.support import engines
from tests.support.dicom_endpoint import Running, dicom_endpoint
from tests.support.fake_backend import FakeBackend
from tools.bench.fast_scp import Counter

# Room for all who are held at a time.
OPTIONS = {
    "max_associations": 1000,
    "max_associations_per_aet": 1000,
    "max_connections": 2000,
    "max_connections_per_address": 2000,
    "max_pending": 1000,
    "timeouts": {"idle_seconds": 600.0},
}


class Discarding:
    """What the backend does.

    Attributes:
        busy: queries that it was asked, none of which ends.
    """

    def __init__(self, stored: Counter | None = None) -> None:
        self._stored = stored or Counter(None)
        self.busy = 0

    async def __call__(
        self, request: RequestEnvelope, send: trio.MemorySendChannel[Item | Outcome]
    ) -> None:
        if request.operation is Operation.STORE:
            async for instance in cast("AsyncIterator[Instance]", request.body):
                async for _ in instance.data:
                    pass
                self._stored.add()
                await send.send(
                    Stored(
                        sop_class_uid=instance.sop_class_uid,
                        sop_instance_uid=instance.sop_instance_uid,
                        status=0,
                    )
                )
            await send.send(Outcome())
        elif request.operation is Operation.ECHO:
            await send.send(Outcome())
        else:
            self.busy += 1
            await trio.sleep_forever()


@contextlib.asynccontextmanager
async def discarding_endpoint(
    backend: Discarding, engine: Engine, port: int = 0
) -> AsyncIterator[Running]:
    """Serve in this process, until the block is left."""
    with engines.tested(engine):
        async with dicom_endpoint(
            FakeBackend(backend), options={**OPTIONS, "port": port}
        ) as running:
            yield running


async def serve(port: int, engine: Engine, counter: Path | None) -> None:
    """Serve until cancelled."""
    async with discarding_endpoint(Discarding(Counter(counter)), engine, port):
        await trio.sleep_forever()


def main(arguments: list[str]) -> None:
    """Serve until the process is ended."""
    port, engine, *counter = arguments
    trio.run(serve, int(port), Engine(engine), Path(counter[0]) if counter else None)


if __name__ == "__main__":
    main(sys.argv[1:])
