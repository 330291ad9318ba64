"""A client that leaves, in each phase: the association ends within two seconds, always.

Ways to leave: closing the connection, closing one's own half of it, resetting an HTTP/2 stream.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass, replace

import h2.config
import h2.connection
import h2.events
import pytest
import trio

from harmony.dimse.target import Timeouts
from tests.support import dimse
from tests.support.bad_pacs import (
    Accept,
    BadPacs,
    Final,
    Freeze,
    Part,
    Rows,
    Script,
    SendInstances,
    Silence,
    Stare,
    bad_pacs,
    counting,
    full_backlog,
)
from tests.support.eventually import eventually
from tests.support.gateway import Gateway, gateway
from tests.support.part10 import part10

pytestmark = pytest.mark.usefixtures("engine")

UIDS = {"query_level": "STUDY", "study_instance_uid": "1.2.3"}
PATIENT = {"timeouts": asdict(Timeouts()), "max_associations": 1, "max_waiting": 5}
BIG = dimse.instance(4_000_000, uid="1.2.3.4")
ENDS_WITHIN = 2.0


@dataclass(frozen=True, slots=True)
class Phase:
    """Where a request stands when its client leaves.

    Attributes:
        reached: whether it stands there, by what the PACS has seen.
        first_bytes: whether the client has the head of the answer by then.
    """

    operation: str
    script: Script
    reached: Callable[[BadPacs], bool]
    first_bytes: bool = False


def seen(kind: str) -> Callable[[BadPacs], bool]:
    return lambda peer: any(request.kind == kind for request in peer.requests)


def connected(peer: BadPacs) -> bool:
    return bool(peer.connections)


PHASES: dict[str, Phase] = {
    "association": Phase("echo", Script(associate=(Silence(),)), connected),
    "half an accept": Phase(
        "echo", Script(associate=(Freeze(Part.ACCEPT, "body"), Accept())), connected
    ),
    "echo": Phase("echo", Script(echo=(Silence(),)), seen("C-ECHO-RQ")),
    "find, no answer": Phase("find", Script(find=(Silence(),)), seen("C-FIND-RQ")),
    "find, hung host": Phase("find", Script(find=(Stare(),)), seen("C-FIND-RQ")),
    "find, among rows": Phase(
        "find",
        Script(find=(Rows(dimse.rows(20_000), delay=0.01), Final())),
        seen("C-FIND-RQ"),
        first_bytes=True,
    ),
    "find, half a row": Phase(
        "find",
        Script(find=(Rows(dimse.rows(3)), Freeze(Part.DATA, "body"), Rows(dimse.rows(1)))),
        seen("C-FIND-RQ"),
        first_bytes=True,
    ),
    "get, no answer": Phase("get", Script(get=(Silence(),)), seen("C-GET-RQ")),
    "get, among instances": Phase(
        "get",
        Script(get=(SendInstances([dimse.instance()] * 20_000, delay=0.01), Final())),
        seen("C-GET-RQ"),
        first_bytes=True,
    ),
    "get, in an instance": Phase(
        "get",
        Script(get=(Freeze(Part.DATA, "body"), SendInstances([BIG]))),
        seen("C-GET-RQ"),
    ),
    "move, no answer": Phase("move", Script(move=(Silence(),)), seen("C-MOVE-RQ")),
    "move, under way": Phase("move", Script(move=(counting(3), Silence())), seen("C-MOVE-RQ")),
    "store, no answer": Phase("store", Script(store=(Silence(),)), seen("C-STORE-RQ")),
}


def request_of(operation: str) -> tuple[list[tuple[str, str]], bytes]:
    if operation == "store":
        return [("content-type", "application/dicom")], part10(dimse.instance(100_000))
    if operation == "echo":
        return [], b""
    body = dict(UIDS, destination="DEST") if operation == "move" else UIDS
    return [("content-type", "application/json")], json.dumps(body).encode()


class Http1:
    """A client that can leave in ways that client libraries do not offer."""

    def __init__(self, stream: trio.SocketStream) -> None:
        self._stream = stream

    async def ask(self, operation: str) -> None:
        headers, body = request_of(operation)
        lines = [f"POST /dicom/{operation} HTTP/1.1", "host: test", f"content-length: {len(body)}"]
        lines += [f"{name}: {value}" for name, value in headers]
        await self._stream.send_all("\r\n".join([*lines, "", ""]).encode() + body)

    async def first_bytes(self) -> None:
        assert await self._stream.receive_some(1)

    async def close(self) -> None:
        await self._stream.aclose()

    async def half_close(self) -> None:
        await self._stream.send_eof()


class Http2:
    """The same over HTTP/2 with prior knowledge."""

    def __init__(self, stream: trio.SocketStream) -> None:
        self._stream = stream
        self._h2 = h2.connection.H2Connection(
            h2.config.H2Configuration(client_side=True, header_encoding="utf-8")
        )

    async def ask(self, operation: str) -> None:
        headers, body = request_of(operation)
        self._h2.initiate_connection()
        pseudo = [
            (":method", "POST"),
            (":path", f"/dicom/{operation}"),
            (":scheme", "http"),
            (":authority", "test"),
        ]
        self._h2.send_headers(1, pseudo + headers, end_stream=not body)
        await self._flush()
        while body:
            size = min(self._h2.local_flow_control_window(1), 16384, len(body))
            if size:
                self._h2.send_data(1, body[:size], end_stream=size == len(body))
                body = body[size:]
                await self._flush()
            else:
                self._h2.receive_data(await self._stream.receive_some(65536))
                await self._flush()

    async def first_bytes(self) -> None:
        while True:
            for event in self._h2.receive_data(await self._stream.receive_some(65536)):
                if isinstance(event, h2.events.DataReceived):
                    return
            await self._flush()

    async def reset(self) -> None:
        self._h2.reset_stream(1)
        await self._flush()

    async def close(self) -> None:
        await self._stream.aclose()

    async def _flush(self) -> None:
        await self._stream.send_all(self._h2.data_to_send())


Leave = Callable[[trio.SocketStream], tuple[Http1 | Http2, Callable[[], Awaitable[None]]]]


def by_closing(stream: trio.SocketStream) -> tuple[Http1, Callable[[], Awaitable[None]]]:
    client = Http1(stream)
    return client, client.close


def by_half_closing(stream: trio.SocketStream) -> tuple[Http1, Callable[[], Awaitable[None]]]:
    client = Http1(stream)
    return client, client.half_close


def by_resetting(stream: trio.SocketStream) -> tuple[Http2, Callable[[], Awaitable[None]]]:
    client = Http2(stream)
    return client, client.reset


@pytest.mark.parametrize("phase", PHASES.values(), ids=PHASES.keys())
@pytest.mark.parametrize("leave", [by_closing, by_half_closing, by_resetting])
async def test_a_client_that_leaves_ends_the_association(phase: Phase, leave: Leave) -> None:
    with trio.fail_after(30), bad_pacs(phase.script) as peer:
        async with gateway(port=peer.port, options=PATIENT) as running:
            stream = await trio.open_tcp_stream(running.host, running.port)
            client, go = leave(stream)
            await client.ask(phase.operation)
            await eventually(lambda: phase.reached(peer))
            if phase.first_bytes:
                await client.first_bytes()
            await go()
            await eventually(
                lambda: peer.connections[0].end is not None or running.backend.usage().busy == 0,
                seconds=ENDS_WITHIN,
            )
            await eventually(lambda: running.backend.usage().busy == 0, seconds=ENDS_WITHIN)
            await stream.aclose()
            await assert_works(running, peer)


async def test_a_client_that_leaves_while_connecting_frees_its_place() -> None:
    with trio.fail_after(30), full_backlog() as port:
        async with gateway(port=port, options=PATIENT) as running:
            stream = await trio.open_tcp_stream(running.host, running.port)
            await Http1(stream).ask("echo")
            await eventually(lambda: running.backend.usage().busy == 1)
            await stream.aclose()
            await eventually(lambda: running.backend.usage().busy == 0, seconds=ENDS_WITHIN)


async def test_a_client_that_leaves_the_queue_frees_its_place_in_it() -> None:
    with trio.fail_after(30), bad_pacs(Script(echo=(Silence(),))) as peer:
        async with gateway(port=peer.port, options=PATIENT) as running:
            first = await trio.open_tcp_stream(running.host, running.port)
            await Http1(first).ask("echo")
            await eventually(lambda: running.backend.usage().busy == 1)
            second = await trio.open_tcp_stream(running.host, running.port)
            await Http1(second).ask("echo")
            await eventually(lambda: running.backend.usage().waiting == 1)
            await second.aclose()
            await eventually(lambda: running.backend.usage().waiting == 0, seconds=ENDS_WITHIN)
            await first.aclose()


async def test_the_deadline_of_a_request_is_504_and_ends_the_association() -> None:
    with trio.fail_after(30), bad_pacs(Script(find=(Silence(),))) as peer:
        async with gateway(
            port=peer.port, options=PATIENT, endpoint={"deadline_seconds": 0.3}
        ) as running:
            answer = await running.client.post("/find", json=UIDS)
            assert answer.status_code == 504
            assert answer.json()["type"].endswith("#deadline-exceeded")
            await eventually(lambda: peer.connections[0].end is not None, seconds=ENDS_WITHIN)


async def test_shutdown_ends_every_association() -> None:
    script = Script(find=(Silence(),))
    with trio.fail_after(30), bad_pacs(script) as peer:
        async with gateway(port=peer.port, options={**PATIENT, "max_associations": 4}) as running:
            streams = []
            for _ in range(4):
                stream = await trio.open_tcp_stream(running.host, running.port)
                await Http1(stream).ask("find")
                streams.append(stream)
            await eventually(lambda: len(peer.requests) == 4)
            started = trio.current_time()
        assert trio.current_time() - started < ENDS_WITHIN
        await eventually(lambda: all(c.end for c in peer.connections), seconds=ENDS_WITHIN)
        for stream in streams:
            await stream.aclose()


async def test_a_limit_cancels_at_the_pacs() -> None:
    script = Script(find=(Rows(dimse.rows(5000), delay=0.005), Final()))
    with trio.fail_after(30), bad_pacs(script) as peer:
        async with gateway(port=peer.port, options=PATIENT) as running:
            answer = await running.client.post("/find", json={**UIDS, "limit": 3})
            assert len(answer.json()) == 3
            assert "additional results" in answer.headers["warning"]
            await eventually(lambda: seen("C-CANCEL-RQ")(peer))


async def assert_works(running: Gateway, peer: BadPacs) -> None:
    peer.script = replace(Script(), find=(Rows(dimse.rows(2)), Final()))
    answer = await running.client.post("/find", json=UIDS)
    assert (answer.status_code, len(answer.json())) == (200, 2)
