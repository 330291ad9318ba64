"""The order in which a daemon starts and ends, with parts that only note what happens."""

import contextlib
import errno
import io
import json
import os
import signal
from pathlib import Path

import pytest
import trio

from harmony.assembly import AssembledPipeline, Assembly
from harmony.config.model import Admin, Configuration, HttpListener, Network, Proxy
from harmony.daemon.running import Daemon
from harmony.errors import UpstreamError
from harmony.interfaces import Listening, PathClaim, PortClaim, Probe
from harmony.pipeline import Pipeline, Route
from harmony.telemetry import log
from harmony.telemetry.exchanges import Reporter
from harmony.telemetry.metrics import Metrics
from harmony.tls.contexts import TlsSetupError
from harmony.web.router import Router
from tests.support.eventually import eventually


class World:
    """Everything around one daemon. `events` is what happened, in order."""

    def __init__(self, *, probe=None, unbindable=(), busy=False, **proxy):
        self.events = []
        self.log = io.StringIO()
        self.hosts = {}
        self.unbindable = dict(unbindable)
        self.busy = busy
        self.armed: list[float] = []
        self.send_ready, self.ready = trio.open_memory_channel(1)
        self.configuration = Configuration(
            file=Path("config.toml"),
            proxy=Proxy(**proxy),
            admin=Admin(),
            networks={"default": Network(name="default", http=HttpListener(port=8080))},
            endpoints={},
            middleware={},
            backends={},
            pipelines={},
        )
        self.backend = FakeBackend(self, probe)
        self.endpoint = FakeEndpoint(self)
        metrics = Metrics()
        pipeline = Pipeline("demo", [Route(self.backend)])
        self.daemon = Daemon(
            self.configuration,
            Assembly(
                backends={"pacs": self.backend},
                asked=frozenset({"pacs"}),
                pipelines=(AssembledPipeline(pipeline=pipeline, endpoints=(self.endpoint,)),),
                routers={"default": Router()},
            ),
            metrics=metrics,
            reporter=Reporter(log.get_logger("harmony.test"), metrics),
            on_ready=self.become_ready,
            make_host=self.make_host,
            arm_hard_stop=self.armed.append,
        )

    def become_ready(self, readiness):
        self.events.append("ready")
        self.send_ready.send_nowait(readiness)

    def make_host(self, app, /, *, limits, host, kind):
        assert isinstance(app, Router)
        self.hosts[kind] = FakeHost(self, kind, Listening(kind, host, limits.port + 1))
        return self.hosts[kind]

    async def run(self, conversation):
        """Run the daemon, and the conversation once it is ready; how it ended."""
        ended = None

        async def talk():
            await conversation(await self.ready.receive())

        with log.configured("debug", "json", self.log), trio.fail_after(10):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(talk)
                ended = await self.daemon.run()
                nursery.cancel_scope.cancel()
        return ended

    def lines(self, event):
        told = [json.loads(line) for line in self.log.getvalue().splitlines()]
        return [line for line in told if line["event"] == event]


class FakeHost:
    def __init__(self, world, kind, listening):
        self.world = world
        self.kind = kind
        self.listening = listening
        self.scope = trio.CancelScope()
        self.grace = None

    async def serve(self, *, task_status=trio.TASK_STATUS_IGNORED):
        await trio.lowlevel.checkpoint()
        if self.kind in self.world.unbindable:
            raise self.world.unbindable[self.kind]
        self.world.events.append(f"{self.kind} bound")
        try:
            with self.scope:
                task_status.started((self.listening,))
                await trio.sleep_forever()
            if self.world.busy:
                await trio.sleep_forever()
        finally:
            self.world.events.append(f"{self.kind} closed")

    def drain(self, grace_seconds):
        self.world.events.append(f"{self.kind} drains")
        self.grace = grace_seconds
        self.scope.cancel()


class Usage:
    busy, idle, waiting = 3, 0, 0


class FakeBackend:
    name = "pacs"
    hangs = False
    failure: Exception | None = None

    def __init__(self, world, probe):
        self.world = world
        self._probe = probe

    def accepts(self, operation):
        return True

    @contextlib.asynccontextmanager
    async def lifespan(self):
        if self.failure is not None:
            raise self.failure
        self.world.events.append("backend up")
        try:
            if self.hangs:
                await trio.sleep_forever()
            yield
        finally:
            self.world.events.append("backend down")

    async def handle(self, request, scope):
        raise AssertionError("no request is made here")

    def usage(self):
        return Usage()

    async def probe(self):
        if self._probe is None:
            await trio.sleep_forever()
        if isinstance(self._probe, Exception):
            raise self._probe
        return self._probe


class FakeEndpoint:
    name = "web"
    crash: Exception | None = None
    unbindable: OSError | None = None

    def __init__(self, world):
        self.world = world

    def claims(self):
        return [PathClaim("default", "/"), PortClaim("127.0.0.1", 11112)]

    async def drain(self, grace_seconds):
        self.world.events.append("endpoint drains")

    async def serve(self, exchange, *, task_status=trio.TASK_STATUS_IGNORED):
        self.world.events.append("mounted")
        try:
            if self.unbindable is not None:
                raise self.unbindable
            task_status.started(())
            if self.crash is not None:
                raise self.crash
            await trio.sleep_forever()
        finally:
            self.world.events.append("unmounted")


def send(number):
    os.kill(os.getpid(), number)


async def terminate(readiness):
    send(signal.SIGTERM)


async def test_it_starts_from_below_and_ends_from_above():
    world = World()
    ended = await world.run(terminate)
    assert (ended.code, ended.problem) == (0, None)
    drained = world.events.index("endpoint drains")
    assert world.events.index("http drains") < drained < world.events.index("unmounted")
    del world.events[drained]
    assert world.events == [
        "admin bound",
        "backend up",
        "mounted",
        "http bound",
        "ready",
        "http drains",
        "http closed",
        "unmounted",
        "backend down",
        "admin closed",
    ]


async def test_an_endpoint_that_cannot_bind_ends_the_start_with_a_hint():
    world = World()
    world.endpoint.unbindable = OSError(errno.EADDRINUSE, os.strerror(errno.EADDRINUSE))
    ended = await world.run(terminate)
    assert ended.code == 1
    assert ended.problem == (
        "cannot listen on 127.0.0.1:11112: address already in use; "
        "change `port` in [endpoints.web.options], or stop what uses it"
    )
    assert world.events[:4] == ["admin bound", "backend up", "mounted", "unmounted"]
    assert sorted(world.events[4:]) == ["admin closed", "backend down"]


@pytest.mark.parametrize(
    ("failure", "reason"),
    [
        (UpstreamError("folder is used by another process"), "folder is used by another process"),
        (PermissionError(errno.EACCES, os.strerror(errno.EACCES)), "Permission denied"),
        (TlsSetupError("cert_file", "cannot be read"), "`cert_file`: cannot be read"),
    ],
)
async def test_a_backend_that_cannot_start_ends_the_start(failure, reason):
    world = World()
    world.backend.failure = failure
    ended = await world.run(terminate)
    assert (ended.code, ended.problem) == (1, f"backend pacs cannot start: {reason}")
    assert world.events == ["admin bound", "admin closed"]


async def test_ready_means_every_listener_with_its_real_port():
    world = World()
    seen = []

    async def look(readiness):
        seen.append(readiness)
        send(signal.SIGTERM)

    await world.run(look)
    assert seen[0].state == "ready"
    assert [(b.name, b.listening.port) for b in seen[0].listeners] == [
        ("admin", 9091),
        ("default", 8081),
    ]
    assert [line["address"] for line in world.lines("listener.bound")] == [
        "127.0.0.1:9091",
        "127.0.0.1:8081",
    ]


async def test_without_an_admin_listener_there_is_none():
    world = World()
    object.__setattr__(world.configuration, "admin", Admin(enabled=False))
    await world.run(terminate)
    assert "admin" not in world.hosts


@pytest.mark.parametrize(
    ("kind", "error", "address", "table"),
    [
        (
            "http",
            errno.EADDRINUSE,
            "127.0.0.1:8080: address already in use",
            "networks.default.http",
        ),
        ("admin", errno.EADDRINUSE, "127.0.0.1:9090: address already in use", "admin"),
        ("http", errno.EACCES, "127.0.0.1:8080: permission denied", "networks.default.http"),
        ("http", errno.EADDRNOTAVAIL, "127.0.0.1:8080: cannot assign", "[networks.default]"),
    ],
)
async def test_a_listener_that_cannot_be_had_ends_it_and_leaves_nothing(
    kind, error, address, table
):
    world = World(unbindable={kind: OSError(error, os.strerror(error))})
    ended = await world.run(terminate)
    assert ended.code == 1
    assert address in ended.problem
    assert table in ended.problem
    assert "\n" not in ended.problem
    assert "ready" not in world.events
    for begun, over in (
        ("backend up", "backend down"),
        ("mounted", "unmounted"),
        ("admin bound", "admin closed"),
    ):
        assert world.events.count(begun) == world.events.count(over)


async def test_while_it_drains_it_is_not_ready_but_still_accepts(autojump_clock):
    world = World(drain_delay_seconds=5, grace_seconds=7)
    states = []

    async def watch(readiness):
        send(signal.SIGTERM)
        await trio.sleep(4)
        states.append((world.daemon.readiness.state, "http drains" in world.events))

    ended = await world.run(watch)
    assert states == [("draining", False)]
    assert world.hosts["http"].grace == 7
    assert ended.code == 0


async def test_the_drain_has_an_end_that_needs_nobody_s_help():
    world = World(hard_stop_seconds=12)
    await world.run(terminate)
    assert world.armed == [12]


@pytest.mark.parametrize(
    ("first", "second", "code"),
    [
        (signal.SIGINT, signal.SIGINT, 130),
        (signal.SIGTERM, signal.SIGTERM, 143),
        (signal.SIGTERM, signal.SIGINT, 130),
    ],
)
async def test_the_second_signal_stops_it_at_once(first, second, code):
    world = World(busy=True, grace_seconds=600)

    async def insist(readiness):
        send(first)
        await eventually(lambda: "http drains" in world.events)
        send(second)

    ended = await world.run(insist)
    assert ended.code == code
    assert {"http closed", "unmounted", "backend down", "admin closed"} <= set(world.events)


async def test_a_signal_before_it_is_ready_ends_it_with_nothing_to_drain():
    world = World()
    world.backend.hangs = True

    async def impatient():
        await eventually(lambda: "backend up" in world.events)
        send(signal.SIGTERM)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(impatient)
        ended = await world.run(terminate)
    assert ended.code == 0
    assert world.events[:2] == ["admin bound", "backend up"]
    assert sorted(world.events[2:]) == ["admin closed", "backend down"]


async def test_hup_changes_nothing_and_says_so():
    world = World()

    async def talk(readiness):
        send(signal.SIGHUP)
        await eventually(lambda: world.lines("config.reload_unsupported"))
        assert world.daemon.readiness.state == "ready"
        send(signal.SIGTERM)

    assert (await world.run(talk)).code == 0


async def test_usr2_dumps_and_goes_on():
    world = World()

    async def talk(readiness):
        send(signal.SIGUSR2)
        await eventually(lambda: world.lines("dump.finished"))
        send(signal.SIGTERM)

    assert (await world.run(talk)).code == 0
    assert world.lines("dump.task")


@pytest.mark.parametrize(
    ("probe", "event", "reason"),
    [
        (Probe(True, "PACS answers", 0.01), "peer.up", "PACS answers"),
        (Probe(False, "connection refused", 0.01), "peer.down", "connection refused"),
        (None, "peer.down", "no answer within 5 s"),
    ],
)
async def test_what_a_backend_s_peer_says_at_the_start_is_told(
    probe, event, reason, autojump_clock
):
    world = World(probe=probe)

    async def wait(readiness):
        await trio.sleep(8)
        send(signal.SIGTERM)

    ended = await world.run(wait)
    assert ended.code == 0
    (line,) = world.lines(event)
    assert (line["backend"], line["reason"]) == ("pacs", reason)


async def test_a_peer_that_does_not_answer_holds_up_neither_start_nor_end():
    world = World(probe=None)
    assert (await world.run(terminate)).code == 0
    assert world.lines("daemon.ready")


async def test_a_backend_that_is_only_sent_to_is_not_asked_at_the_start():
    world = World(probe=RuntimeError("asked"))
    object.__setattr__(world.daemon._assembly, "asked", frozenset())
    await world.run(terminate)
    assert not world.lines("peer.probe_failed")


async def test_a_fault_in_a_probe_costs_a_line_and_not_the_daemon():
    world = World(probe=ZeroDivisionError())

    async def talk(readiness):
        await eventually(lambda: world.lines("peer.probe_failed"))
        send(signal.SIGTERM)

    assert (await world.run(talk)).code == 0
    assert world.lines("peer.probe_failed")[0]["error"] == "ZeroDivisionError"


async def test_a_fault_in_a_pipeline_comes_out_and_ends_everything():
    world = World()
    world.endpoint.crash = ZeroDivisionError()
    with pytest.RaisesGroup(ZeroDivisionError, flatten_subgroups=True):
        await world.run(terminate)
    assert world.events[-2:] == ["backend down", "admin closed"]


async def test_metrics_read_the_backends_that_can_be_counted():
    world = World()
    metrics = world.daemon._metrics
    await world.run(terminate)
    assert b'harmony_associations{backend="pacs",state="busy"} 3.0' in metrics.render()
