"""The backend as a whole: its receiver's life, and whose name failures carry."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator

import msgspec
import pytest
import trio
import trio.testing

from harmony.backends.dicom import DicomBackend, Options
from harmony.dimse.arrivals import Arrivals
from harmony.dimse.receiver import Receiver
from harmony.envelope import Operation, Origin, RequestEnvelope
from harmony.errors import UpstreamError
from harmony.tls.contexts import ClientTls, ServerTls, TlsSetupError
from harmony.upper_layer.commands import CommandField
from tests.support.scripted_link import CLOSED, Answer, ScriptedEngine, ScriptedLink, Step

BASE = {"aet": "PACS", "host": "pacs.test", "port": 104, "local_aet": "HARMONY"}
ECHO = Answer(field=CommandField.C_ECHO_RSP, status=0)


class Scope:
    def __init__(self, nursery: trio.Nursery) -> None:
        self.nursery = nursery


def options(**given: object) -> Options:
    return msgspec.convert({**BASE, **given}, Options)


def request() -> RequestEnvelope:
    origin = Origin(pipeline="test", endpoint="api", caller="POST /echo")
    return RequestEnvelope(id="1", operation=Operation.ECHO, origin=origin)


class Receivers:
    """Runs receivers that listen nowhere, and remembers them."""

    def __init__(self) -> None:
        self.served: list[tuple[Receiver, Arrivals]] = []
        self.open = 0

    @contextlib.asynccontextmanager
    async def serve(self, receiver: Receiver, arrivals: Arrivals) -> AsyncIterator[int]:
        self.served.append((receiver, arrivals))
        self.open += 1
        try:
            yield 4711
        finally:
            self.open -= 1


def test_options_take_a_receiver_by_name_or_as_a_table() -> None:
    assert options(receiver="incoming").receiver == "incoming"
    tls = {"cert_file": "a.pem", "key_file": "b.pem", "client_certificate": "none"}
    assert options(receiver={"local_aet": "R", "tls": tls}).receiver == Receiver(
        local_aet="R",
        bind_addr="127.0.0.1",
        port=11112,
        tls=ServerTls(cert_file="a.pem", key_file="b.pem", client_certificate="none"),
    )
    assert options(tls={"verify": False}).tls == ClientTls(verify=False)


async def test_a_receiver_of_its_own_lives_as_long_as_the_backend() -> None:
    receivers = Receivers()
    backend = DicomBackend(
        "pacs",
        options(receiver={"local_aet": "RECEIVER", "bind_addr": "192.0.2.7", "port": 0}),
        ScriptedEngine(),
        serve_receiver=receivers.serve,
    )
    async with backend.lifespan():
        ((receiver, arrivals),) = receivers.served
        assert receivers.open == 1
        assert (receiver.local_aet, arrivals.aet) == ("RECEIVER", "RECEIVER")
        assert arrivals.address == ("192.0.2.7", 4711)
    assert receivers.open == 0


async def test_an_endpoint_as_receiver_is_run_by_its_pipeline() -> None:
    receivers = Receivers()
    backend = DicomBackend(
        "pacs",
        options(receiver="incoming"),
        ScriptedEngine(),
        arrivals=Arrivals("ENDPOINT"),
        serve_receiver=receivers.serve,
    )
    async with backend.lifespan():
        assert receivers.served == []


def test_a_tls_file_that_is_missing_is_told_when_the_backend_is_made() -> None:
    with pytest.raises(TlsSetupError, match="ca_file"):
        DicomBackend("pacs", options(tls={"ca_file": "/nowhere/ca.pem"}), ScriptedEngine())


async def test_a_probe_leaves_the_peer_no_association_that_it_would_have_to_keep() -> None:
    link = ScriptedLink([ECHO])
    backend = DicomBackend("pacs", options(), ScriptedEngine(link))
    async with backend.lifespan():
        assert (await backend.probe()).ok
        await trio.testing.wait_all_tasks_blocked()
        assert link.released
        assert backend.usage().idle == 0


@pytest.mark.parametrize(
    "scripts",
    [[[CLOSED]], [[ECHO, CLOSED], [CLOSED]]],
    ids=["at once", "held, and again on a fresh one"],
)
async def test_a_failure_carries_the_name_of_its_backend(scripts: list[list[Step]]) -> None:
    engine = ScriptedEngine(*(ScriptedLink(script) for script in scripts))
    backend = DicomBackend("pacs", options(), engine)
    async with backend.lifespan(), trio.open_nursery() as nursery:
        for _ in range(len(scripts) - 1):
            await backend.handle(request(), Scope(nursery))
        with pytest.raises(UpstreamError) as caught:
            await backend.handle(request(), Scope(nursery))
    assert caught.value.backend == "pacs"
