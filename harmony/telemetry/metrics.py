"""Counters and gauges of one daemon, in the form that Prometheus reads.

Each daemon has a registry of its own, so nothing is shared within a process. Labels are names
from the configuration and words from this code: never what a caller chose, such as an AE title,
for then a caller could make series without end.
"""

from __future__ import annotations

import platform
from collections.abc import Iterator, Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
from prometheus_client.metrics_core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

import harmony
from harmony.interfaces import ExchangeSummary, Gauged

CONTENT_TYPE = CONTENT_TYPE_PLAIN_0_0_4

# From one C-ECHO in a machine room to a study that takes minutes.
_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)


class Metrics:
    """Counts what is over and reads what is going on when asked."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._exchanges = Counter(
            "harmony_exchanges",
            "Exchanges that are over.",
            ("pipeline", "operation", "outcome"),
            registry=self._registry,
        )
        self._seconds = Histogram(
            "harmony_exchange_seconds",
            "From a request's arrival to the end of its work.",
            ("pipeline", "operation"),
            buckets=_SECONDS,
            registry=self._registry,
        )
        self._bytes = Counter(
            "harmony_bytes",
            "Bytes of items handed to callers.",
            ("direction",),
            registry=self._registry,
        )
        self._bytes.labels("out")
        self._peer_up = Gauge(
            "harmony_peer_up",
            "1 if the backend's peer answered when last asked, 0 if it did not.",
            ("backend",),
            registry=self._registry,
        )
        build = Gauge(
            "harmony_build_info",
            "Always 1; the labels tell the version.",
            ("version", "python"),
            registry=self._registry,
        )
        build.labels(harmony.__version__, platform.python_version()).set(1)

    def finished(self, summary: ExchangeSummary) -> None:
        """Count an exchange."""
        operation = summary.operation.value
        self._exchanges.labels(summary.pipeline, operation, summary.outcome).inc()
        self._seconds.labels(summary.pipeline, operation).observe(summary.seconds)
        self._bytes.labels("out").inc(summary.bytes_out)
        self._bytes.labels("in").inc(summary.bytes_in)

    def peer(self, backend: str, up: bool) -> None:
        """Note whether a backend's peer answered."""
        self._peer_up.labels(backend).set(up)

    def watch(self, backends: Mapping[str, Gauged]) -> None:
        """Read these backends' associations whenever the metrics are read. Call it once."""
        self._registry.register(_Associations(backends))

    def render(self) -> bytes:
        """Everything at this moment, as `CONTENT_TYPE`."""
        return generate_latest(self._registry)


class _Associations(Collector):
    """Asks the backends; holds no figures of its own."""

    def __init__(self, backends: Mapping[str, Gauged]) -> None:
        self._backends = backends

    def collect(self) -> Iterator[Metric]:
        associations = GaugeMetricFamily(
            "harmony_associations",
            "Associations that are open to a backend's peer.",
            labels=("backend", "state"),
        )
        waiting = GaugeMetricFamily(
            "harmony_queue_depth",
            "Requests that wait for a free association.",
            labels=("backend",),
        )
        for name, backend in self._backends.items():
            usage = backend.usage()
            associations.add_metric((name, "busy"), usage.busy)
            associations.add_metric((name, "idle"), usage.idle)
            waiting.add_metric((name,), usage.waiting)
        yield associations
        yield waiting
