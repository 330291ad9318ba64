"""A daemon with real listeners, in this process; its endpoint does what the test says."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
from pathlib import Path

import httpx2
import pytest
import trio

from harmony.assembly import AssembledPipeline, Assembly
from harmony.config.model import Admin, Configuration, HttpListener, Network, Proxy
from harmony.daemon.running import Daemon
from harmony.interfaces import PathClaim
from harmony.pipeline import Pipeline
from harmony.telemetry.exchanges import Reporter
from harmony.telemetry.log import get_logger
from harmony.telemetry.metrics import Metrics
from harmony.web.router import Router


class Endpoint:
    """Answers ``/slow`` when it is let, and anything else at once."""

    name = "web"

    def __init__(self, router):
        self.router = router
        self.asked = trio.Event()
        self.answer = trio.Event()

    def claims(self):
        return [PathClaim("default", "/")]

    async def serve(self, exchange, *, task_status=trio.TASK_STATUS_IGNORED):
        self.router.mount("/", self.handle)
        task_status.started(())
        await trio.sleep_forever()

    async def drain(self, grace_seconds):
        pass

    async def handle(self, request, reply):
        if request.path == "/slow":
            self.asked.set()
            await self.answer.wait()
        await reply.start(200, (("content-length", "2"),))
        await reply.send(b"ok")
        await reply.finish()


class Running:
    def __init__(self, *, http_port=0, **proxy):
        router = Router()
        self.endpoint = Endpoint(router)
        self.ended = None
        self._send_ready, self._ready = trio.open_memory_channel(1)
        metrics = Metrics()
        self.daemon = Daemon(
            Configuration(
                file=Path("config.toml"),
                proxy=Proxy(**proxy),
                admin=Admin(port=0),
                networks={"default": Network(name="default", http=HttpListener(port=http_port))},
                endpoints={},
                middleware={},
                backends={},
                pipelines={},
            ),
            Assembly(
                backends={},
                asked=frozenset(),
                pipelines=(
                    AssembledPipeline(pipeline=Pipeline("demo", []), endpoints=(self.endpoint,)),
                ),
                routers={"default": router},
            ),
            metrics=metrics,
            reporter=Reporter(get_logger("harmony.test"), metrics),
            on_ready=self._send_ready.send_nowait,
            arm_hard_stop=lambda seconds: None,
        )

    async def run(self):
        self.ended = await self.daemon.run()

    async def ready(self):
        readiness = await self._ready.receive()
        self.urls = {
            bound.name: f"http://{bound.listening.host}:{bound.listening.port}"
            for bound in readiness.listeners
        }


@contextlib.asynccontextmanager
async def running(**options):
    """A daemon that must have ended by itself when the block is left."""
    this = Running(**options)
    with trio.fail_after(10):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(this.run)
            await this.ready()
            yield this


def client():
    return httpx2.AsyncClient(trust_env=False, timeout=10)


def terminate():
    os.kill(os.getpid(), signal.SIGTERM)


async def test_both_listeners_answer_and_nothing_is_left():
    async with running() as this, client() as http:
        assert (await http.get(this.urls["default"])).text == "ok"
        assert (await http.get(this.urls["admin"] + "/healthz")).status_code == 200
        terminate()
    assert this.ended.code == 0


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [("GET", "/nothing", 404, "not-found"), ("POST", "/metrics", 405, "method-not-allowed")],
)
async def test_the_admin_listener_refuses_in_problem_documents(method, path, status, code):
    async with running() as this, client() as http:
        answer = await http.request(method, this.urls["admin"] + path)
        terminate()
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["type"].endswith(code)


async def test_a_request_in_progress_is_finished_while_no_other_is_accepted():
    async with running() as this, client() as http, trio.open_nursery() as nursery:
        answers = []

        async def ask():
            answers.append(await http.get(this.urls["default"] + "/slow"))

        nursery.start_soon(ask)
        await this.endpoint.asked.wait()
        terminate()
        while (await http.get(this.urls["admin"] + "/readyz")).status_code == 200:
            pass
        async with client() as late:
            with pytest.raises(httpx2.TransportError):
                await late.get(this.urls["default"])
        this.endpoint.answer.set()
    assert answers[0].text == "ok"
    assert this.ended.code == 0


async def test_an_idle_connection_holds_up_no_end():
    async with running(grace_seconds=60) as this, client() as http:
        await http.get(this.urls["default"])  # and is kept alive
        terminate()
    assert this.ended.code == 0


async def test_what_outlasts_the_grace_is_cut():
    options = {"grace_seconds": 0.1}
    async with running(**options) as this, client() as http, trio.open_nursery() as nursery:

        async def ask():
            with pytest.raises(httpx2.TransportError):
                await http.get(this.urls["default"] + "/slow")

        nursery.start_soon(ask)
        await this.endpoint.asked.wait()
        terminate()
    assert this.ended.code == 0


async def test_a_taken_port_is_a_problem_and_nothing_is_left():
    with socket.socket() as taken, trio.fail_after(10):
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        this = Running(http_port=port)
        await this.run()
    assert this.ended.code == 1
    assert f"cannot listen on 127.0.0.1:{port}" in this.ended.problem
    assert "[networks.default.http]" in this.ended.problem
