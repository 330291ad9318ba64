"""What the admin listener answers."""

import json
from types import SimpleNamespace
from typing import cast

import pytest

from harmony.admin.pages import AdminPages, BoundListener, Readiness
from harmony.errors import RequestError
from harmony.interfaces import Listening
from harmony.telemetry.metrics import Metrics
from harmony.web.exchange import Reply, Request
from harmony.web.problems import MethodNotAllowed

LISTENERS = (
    BoundListener("admin", Listening("admin", "127.0.0.1", 9090)),
    BoundListener("default", Listening("http", "::1", 8080)),
)


class Answer:
    """A reply that keeps what it is given."""

    def __init__(self):
        self.status = None
        self.headers: dict[str, str] = {}
        self.body = b""
        self.finished = False

    async def start(self, status, headers=()):
        self.status, self.headers = status, dict(headers)

    async def send(self, data):
        self.body += data

    async def finish(self):
        self.finished = True


async def ask(path, *, method="GET", readiness=None, pages=None):
    pages = pages or AdminPages(lambda: readiness or Readiness("ready", LISTENERS), Metrics())
    answer = Answer()
    await pages.handle(
        cast(Request, SimpleNamespace(path=path, method=method)), cast(Reply, answer)
    )
    assert answer.finished
    return answer


@pytest.mark.parametrize("state", ["starting", "ready", "draining"])
async def test_healthz_says_alive_in_every_state(state):
    answer = await ask("/healthz", readiness=Readiness(state, ()))
    assert answer.status == 200
    assert json.loads(answer.body) == {"status": "alive"}


@pytest.mark.parametrize(
    ("state", "status"), [("starting", 503), ("ready", 200), ("draining", 503)]
)
async def test_readyz_says_ready_only_between_start_and_drain(state, status):
    answer = await ask("/readyz", readiness=Readiness(state, LISTENERS))
    assert answer.status == status
    told = json.loads(answer.body)
    assert (told["ready"], told["state"]) == (status == 200, state)


async def test_readyz_lists_the_listeners_with_their_real_ports():
    answer = await ask("/readyz")
    assert json.loads(answer.body)["listeners"] == [
        {"name": "admin", "kind": "admin", "host": "127.0.0.1", "port": 9090},
        {"name": "default", "kind": "http", "host": "::1", "port": 8080},
    ]


async def test_readyz_is_asked_anew_each_time():
    states = [Readiness("draining", ()), Readiness("ready", ())]
    pages = AdminPages(states.pop, Metrics())
    assert [(await ask("/readyz", pages=pages)).status for _ in range(2)] == [200, 503]


async def test_metrics_are_text_for_prometheus():
    answer = await ask("/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    assert b"harmony_build_info{" in answer.body


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/metrics"])
async def test_no_page_is_kept_by_a_cache_and_each_tells_its_length(path):
    answer = await ask(path)
    assert answer.headers["cache-control"] == "no-store"
    assert int(answer.headers["content-length"]) == len(answer.body) > 0


async def test_head_gives_the_head_alone():
    answer = await ask("/healthz", method="HEAD")
    assert int(answer.headers["content-length"]) > 0
    assert answer.body == b""


@pytest.mark.parametrize("path", ["/", "/health", "/readyz/x", ""])
async def test_another_path_is_404_and_names_the_pages(path):
    with pytest.raises(RequestError) as info:
        await ask(path)
    assert info.value.http_status == 404
    assert "/metrics" in str(info.value.hint)


@pytest.mark.parametrize("method", ["POST", "DELETE", "OPTIONS"])
async def test_another_method_is_405(method):
    with pytest.raises(MethodNotAllowed) as info:
        await ask("/metrics", method=method)
    assert info.value.allowed == "GET, HEAD"
