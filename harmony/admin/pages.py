"""``/healthz``, ``/readyz`` and ``/metrics``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

import msgspec

from harmony.errors import RequestError
from harmony.interfaces import Listening
from harmony.telemetry import metrics
from harmony.telemetry.metrics import Metrics
from harmony.web.exchange import Reply, Request
from harmony.web.problems import MethodNotAllowed

State: TypeAlias = Literal["starting", "ready", "draining"]
JSON: Final = "application/json"
_METHODS = ("GET", "HEAD")


@dataclass(frozen=True, slots=True)
class BoundListener:
    """A listener that accepts, and whose it is: a network, a pipeline or ``admin``."""

    name: str
    listening: Listening


@dataclass(frozen=True, slots=True)
class Readiness:
    """Where the daemon stands, and what is bound."""

    state: State
    listeners: tuple[BoundListener, ...]


@dataclass(frozen=True, slots=True)
class _Page:
    status: int
    content_type: str
    body: bytes


class AdminPages:
    """Answers on the admin listener. Asks for the state at each request; holds none."""

    def __init__(self, readiness: Callable[[], Readiness], metrics: Metrics) -> None:
        self._readiness = readiness
        self._metrics = metrics
        self._pages: dict[str, Callable[[], _Page]] = {
            "/healthz": self._healthz,
            "/readyz": self._readyz,
            "/metrics": self._render_metrics,
        }

    async def handle(self, request: Request, reply: Reply) -> None:
        """Serve one request.

        Raises:
            RequestError: there is no such page, or the method is none for reading.
        """
        page = self._pages.get(request.path)
        if page is None:
            raise RequestError(
                "there is nothing here",
                code="not-found",
                http_status=404,
                hint=f"what there is: {', '.join(self._pages)}",
            )
        if request.method not in _METHODS:
            raise MethodNotAllowed(_METHODS)
        made = page()
        await reply.start(
            made.status,
            (
                ("content-type", made.content_type),
                ("content-length", str(len(made.body))),
                ("cache-control", "no-store"),
            ),
        )
        if request.method != "HEAD":
            await reply.send(made.body)
        await reply.finish()

    def _healthz(self) -> _Page:
        return _Page(200, JSON, b'{"status":"alive"}')

    def _readyz(self) -> _Page:
        """A dead PACS is no unreadiness: restarting Harmony would not mend it."""
        readiness = self._readiness()
        ready = readiness.state == "ready"
        body = msgspec.json.encode(
            {
                "ready": ready,
                "state": readiness.state,
                "listeners": [
                    {
                        "name": bound.name,
                        "kind": bound.listening.kind,
                        "host": bound.listening.host,
                        "port": bound.listening.port,
                    }
                    for bound in readiness.listeners
                ],
            }
        )
        return _Page(200 if ready else 503, JSON, body)

    def _render_metrics(self) -> _Page:
        return _Page(200, metrics.CONTENT_TYPE, self._metrics.render())
