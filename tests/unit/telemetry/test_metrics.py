"""Metrics: names, labels, figures."""

import dataclasses
import platform
from dataclasses import dataclass

from prometheus_client.parser import text_string_to_metric_families

import harmony
from harmony.envelope import Operation
from harmony.interfaces import ExchangeSummary
from harmony.telemetry.metrics import Metrics


@dataclass
class Usage:
    busy: int
    idle: int
    waiting: int


@dataclass
class Pool:
    now: Usage

    def usage(self):
        return self.now


PLAIN = ExchangeSummary(
    request_id="r1",
    pipeline="demo",
    endpoint="http",
    operation=Operation.FIND,
    outcome="ok",
    seconds=0.02,
    peer="CALLING_AE",
)


def summary(**changes):
    return dataclasses.replace(PLAIN, **changes)


def samples(metrics, name):
    """What a metric says, by its labels' values in the order of the labels' names."""
    return {
        tuple(value for _, value in sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(metrics.render().decode())
        for sample in family.samples
        if sample.name == name
    }


def test_an_exchange_is_counted_by_pipeline_operation_and_outcome():
    metrics = Metrics()
    metrics.finished(summary(bytes_out=10))
    metrics.finished(summary(bytes_out=5, bytes_in=7))
    metrics.finished(summary(outcome="failed"))
    assert samples(metrics, "harmony_exchanges_total") == {
        ("find", "ok", "demo"): 2,
        ("find", "failed", "demo"): 1,
    }
    assert samples(metrics, "harmony_bytes_total") == {("out",): 15, ("in",): 7}
    assert samples(metrics, "harmony_exchange_seconds_count") == {("find", "demo"): 3}


def test_time_falls_into_its_bucket():
    metrics = Metrics()
    metrics.finished(summary(seconds=0.02))
    found = samples(metrics, "harmony_exchange_seconds_bucket")
    assert found["0.01", "find", "demo"] == 0
    assert found["0.025", "find", "demo"] == 1


def test_associations_are_read_when_asked():
    metrics = Metrics()
    pool = Pool(Usage(1, 2, 3))
    metrics.watch({"pacs": pool})
    pool.now = Usage(4, 0, 7)
    assert samples(metrics, "harmony_associations") == {("pacs", "busy"): 4, ("pacs", "idle"): 0}
    assert samples(metrics, "harmony_queue_depth") == {("pacs",): 7}


def test_a_peer_is_up_or_down():
    metrics = Metrics()
    metrics.peer("near", True)
    metrics.peer("far", False)
    assert samples(metrics, "harmony_peer_up") == {("near",): 1, ("far",): 0}


def test_the_version_is_told():
    python = platform.python_version()
    assert samples(Metrics(), "harmony_build_info") == {(python, harmony.__version__): 1}


def test_a_caller_s_name_is_no_label():
    metrics = Metrics()
    metrics.finished(summary())
    assert b"CALLING_AE" not in metrics.render()


def test_two_daemons_share_nothing():
    one, other = Metrics(), Metrics()
    one.peer("pacs", True)
    assert samples(other, "harmony_peer_up") == {}
