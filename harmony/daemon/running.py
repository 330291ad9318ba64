"""The daemon: everything that runs, started from below and ended from above."""

from __future__ import annotations

import contextlib
import errno
import signal
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Final, Literal, NoReturn, Protocol

import trio

import harmony
from harmony.admin.pages import AdminPages, BoundListener, Readiness, State
from harmony.assembly import AssembledPipeline, Assembly
from harmony.config.model import Configuration, HttpListener
from harmony.daemon.dump import dump
from harmony.daemon.stopping import SIGNALS, Action, Stopper, arm_hard_stop
from harmony.errors import HarmonyError
from harmony.interfaces import Backend, Endpoint, Gauged, Listening, PortClaim, Probe
from harmony.telemetry.exchanges import Reporter
from harmony.telemetry.log import get_logger
from harmony.telemetry.metrics import Metrics
from harmony.tls.contexts import TlsSetupError
from harmony.web.asgi import AsgiApp
from harmony.web.cors import Cors
from harmony.web.host import HttpHost
from harmony.web.router import Router

log = get_logger(__name__)

PROBE_SECONDS: Final = 5.0
CANNOT_LISTEN_CODE: Final = 1  # not 78: the address may be free when a supervisor tries again


class Host(Protocol):
    """A listener with all its connections; `serve` returns once drained."""

    async def serve(
        self, *, task_status: trio.TaskStatus[tuple[Listening, ...]] = trio.TASK_STATUS_IGNORED
    ) -> None: ...

    def drain(self, grace_seconds: float) -> None: ...


class MakeHost(Protocol):
    def __call__(
        self, app: AsgiApp, /, *, limits: HttpListener, host: str, kind: Literal["http", "admin"]
    ) -> Host: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """How a daemon ended.

    Attributes:
        code: for the process to exit with.
        problem: why it could not start, for people; None if it did.
    """

    code: int
    problem: str | None = None


class Daemon:
    """Runs an assembly until a signal ends it. For one use."""

    def __init__(
        self,
        configuration: Configuration,
        assembly: Assembly,
        *,
        metrics: Metrics,
        reporter: Reporter,
        on_ready: Callable[[Readiness], None],
        make_host: MakeHost = HttpHost,
        arm_hard_stop: Callable[[float], None] = arm_hard_stop,
    ) -> None:
        self._configuration = configuration
        self._assembly = assembly
        self._metrics = metrics
        self._reporter = reporter
        self._on_ready = on_ready
        self._make_host = make_host
        self._arm_hard_stop = arm_hard_stop
        self._stopper = Stopper()
        self._drain_asked = trio.Event()
        self._now = trio.CancelScope()
        self._state: State = "starting"
        self._listeners: list[BoundListener] = []
        self._problem: str | None = None

    @property
    def readiness(self) -> Readiness:
        """Where it stands, and what is bound."""
        return Readiness(self._state, tuple(self._listeners))

    async def run(self) -> Ended:
        """Start, serve, drain. Only in the main thread: signals arrive nowhere else.

        Returns:
            How it ended, with a ``problem`` if a listener could not be had. Nothing is left
            running.
        """
        with trio.open_signal_receiver(*SIGNALS) as signals:
            async with trio.open_nursery() as root:
                root.start_soon(self._heed, signals)
                with self._now:
                    await self._serve()
                root.cancel_scope.cancel()
        if self._problem is not None:
            return Ended(code=CANNOT_LISTEN_CODE, problem=self._problem)
        code = self._stopper.exit_code(cut_short=self._now.cancelled_caught)
        log.info("daemon.stopped", code=code)
        return Ended(code=code)

    # Signals

    async def _heed(self, signals: AsyncIterator[int]) -> None:
        async for number in signals:
            name = signal.Signals(number).name
            match self._stopper.decide(number):
                case Action.DRAIN:
                    seconds = self._configuration.proxy.grace_seconds
                    log.info("daemon.draining", signal=name, seconds=seconds)
                    self._arm_hard_stop(self._configuration.proxy.hard_stop_seconds)
                    self._drain_asked.set()
                    if self._state == "starting":  # there is nothing to finish
                        self._now.cancel()
                case Action.STOP_NOW:
                    log.warning("daemon.stopping_now", signal=name)
                    self._now.cancel()
                case Action.DUMP:
                    dump(log)
                case Action.REFUSE_RELOAD:
                    log.warning(
                        "config.reload_unsupported",
                        signal=name,
                        reason="this version reads its configuration at start only; restart it",
                    )

    # From below

    async def _serve(self) -> None:
        admin = self._configuration.admin
        async with trio.open_nursery() as nursery:
            if admin.enabled:
                await self._listen(
                    nursery,
                    self._make_host(
                        self._admin_router(),
                        limits=HttpListener(port=admin.port),
                        host=admin.bind_addr,
                        kind="admin",
                    ),
                    _Address("admin", "admin", admin.bind_addr, admin.port),
                )
            async with contextlib.AsyncExitStack() as lifespans:
                for backend in self._assembly.backends.values():
                    await self._open(lifespans, backend)
                await self._serve_pipelines()
            nursery.cancel_scope.cancel()  # last, so that it tells of the drain to its end

    async def _open(self, lifespans: contextlib.AsyncExitStack, backend: Backend) -> None:
        """Enter a backend's lifespan; if it cannot be, the daemon cannot start."""
        try:
            await lifespans.enter_async_context(backend.lifespan())
        except HarmonyError as exc:
            reason = exc.detail
        except TlsSetupError as exc:  # of a receiver of its own
            reason = str(exc)
        except OSError as exc:
            reason = exc.strerror or str(exc)
        else:
            return
        await self._give_up(f"backend {backend.name} cannot start: {reason}", backend.name)

    async def _give_up(self, problem: str, name: str) -> NoReturn:
        self._problem = problem
        log.error("listener.failed", listener=name, reason=problem)
        self._now.cancel()
        await trio.sleep_forever()  # until the cancellation, which is now
        raise AssertionError("not reached")

    async def _serve_pipelines(self) -> None:
        async with trio.open_nursery() as nursery:
            for pipeline in self._assembly.pipelines:
                await nursery.start(self._run_pipeline, pipeline)
            await self._serve_networks(probes=nursery)
            nursery.cancel_scope.cancel()

    async def _serve_networks(self, probes: trio.Nursery) -> None:
        """Bind last, so that whoever can connect is served."""
        hosts: list[Host] = []
        async with trio.open_nursery() as nursery:
            for name, router in self._assembly.routers.items():
                network = self._configuration.networks[name]
                app: AsgiApp = router
                if network.cors.origins:
                    app = Cors(router, network.cors.origins)
                host = self._make_host(
                    app, limits=network.http, host=network.bind_addr, kind="http"
                )
                address = _Address(
                    name, f"networks.{name}.http", network.bind_addr, network.http.port
                )
                await self._listen(nursery, host, address)
                hosts.append(host)
            self._become_ready(probes)
            await self._drain_asked.wait()
            self._state = "draining"
            await trio.sleep(self._configuration.proxy.drain_delay_seconds)
            for host in hosts:
                host.drain(self._configuration.proxy.grace_seconds)
            for pipeline in self._assembly.pipelines:
                for endpoint in pipeline.endpoints:
                    nursery.start_soon(endpoint.drain, self._configuration.proxy.grace_seconds)

    async def _listen(self, nursery: trio.Nursery, host: Host, address: _Address) -> None:
        try:
            bound = await nursery.start(host.serve)
        except OSError as exc:
            await self._give_up(address.problem(exc), address.name)
        self._listeners += [BoundListener(address.name, listening) for listening in bound]

    async def _run_pipeline(
        self,
        assembled: AssembledPipeline,
        *,
        task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """Run the endpoints of one pipeline, in a nursery of their own, until cancelled."""
        async with trio.open_nursery() as nursery:
            for endpoint in assembled.endpoints:
                try:
                    bound = await nursery.start(endpoint.serve, assembled.pipeline.exchange)
                except OSError as exc:
                    await self._give_up(_address_of(endpoint).problem(exc), endpoint.name)
                self._listeners += [BoundListener(endpoint.name, each) for each in bound]
            task_status.started()

    def _become_ready(self, probes: trio.Nursery) -> None:
        self._state = "ready"
        self._on_ready(self.readiness)
        for listener in self._listeners:
            at = listener.listening
            log.info(
                "listener.bound",
                listener=listener.name,
                name=at.kind,
                address=f"{at.host}:{at.port}",
            )
        for pipeline in self._assembly.pipelines:
            log.info("pipeline.started", pipeline=pipeline.name)
        log.info("daemon.ready", version=harmony.__version__)
        for backend in self._assembly.backends.values():
            if backend.name in self._assembly.asked:
                probes.start_soon(self._probe, backend)

    def _admin_router(self) -> Router:
        backends = self._assembly.backends.items()
        self._metrics.watch({name: b for name, b in backends if isinstance(b, Gauged)})
        router = Router()
        router.mount("/", AdminPages(lambda: self.readiness, self._metrics).handle)
        return router

    async def _probe(self, backend: Backend) -> None:
        """Ask a backend's peer once. What it says changes nothing but log and metrics."""
        try:
            with trio.move_on_after(PROBE_SECONDS) as scope:
                probe = await backend.probe()
        except Exception:
            # A fault of ours, of which a request will say more; here it costs one line.
            log.exception("peer.probe_failed", backend=backend.name)
            return
        if scope.cancelled_caught:
            probe = Probe(False, f"no answer within {PROBE_SECONDS:g} s", PROBE_SECONDS)
        self._reporter.probed(backend.name, probe)


@dataclass(frozen=True, slots=True)
class _Address:
    """An address to bind, and where in the file it is from."""

    name: str
    table: str
    host: str
    port: int

    def problem(self, exc: OSError) -> str:
        """Why it cannot be bound and what to change, in one line."""
        match exc.errno:
            case errno.EADDRINUSE:
                advice = f"change `port` in [{self.table}], or stop what uses it"
            case errno.EACCES:
                advice = f"change `port` in [{self.table}], or allow the process to bind low ports"
            case _:
                owner = self.table.removesuffix(".http")
                advice = f"change `bind_addr` in [{owner}] to an address of this machine"
        reason = (exc.strerror or "it cannot be bound").lower()
        return f"cannot listen on {self.host}:{self.port}: {reason}; {advice}"


def _address_of(endpoint: Endpoint) -> _Address:
    """The address that an endpoint of its own port binds first."""
    for claim in endpoint.claims():
        if isinstance(claim, PortClaim):
            table = f"endpoints.{endpoint.name}.options"
            return _Address(endpoint.name, table, claim.host, claim.port)
    return _Address(endpoint.name, f"endpoints.{endpoint.name}", "", 0)
