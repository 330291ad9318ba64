"""The line and the count of one exchange."""

import dataclasses

import pytest

from harmony.envelope import Operation
from harmony.interfaces import ExchangeSummary, Probe
from harmony.telemetry import log
from harmony.telemetry.exchanges import Reporter
from harmony.telemetry.metrics import Metrics


class Lines:
    """A logger that keeps what it is told."""

    def __init__(self):
        self.told = []

    def __getattr__(self, level):
        return lambda event, **keys: self.told.append((level, event, keys))

    def of(self, event):
        return [(level, keys) for level, told, keys in self.told if told == event]


@pytest.fixture
def lines():
    return Lines()


@pytest.fixture
def reporter(lines):
    return Reporter(lines, Metrics())


PLAIN = ExchangeSummary(
    request_id="r1",
    pipeline="demo",
    endpoint="http",
    operation=Operation.FIND,
    outcome="ok",
    seconds=0.0123,
    backend="pacs",
    http_status=200,
)


def summary(**changes):
    return dataclasses.replace(PLAIN, **changes)


def test_one_line_an_exchange_with_keys_that_pass(reporter, lines):
    reporter.finished(summary(dimse_status=0xA702, items=3, bytes_out=99))
    ((level, keys),) = lines.of("exchange.finished")
    assert level == "info"
    assert keys["request_id"] == "r1"
    assert keys["ms"] == 12.3
    assert keys["dimse_status"] == "0xA702"
    assert (keys["items"], keys["bytes"]) == (3, 99)
    assert set(keys) <= set(log.KEYS)


@pytest.mark.parametrize(
    ("outcome", "level"),
    [
        ("ok", "info"),
        ("refused", "info"),
        ("client_gone", "info"),
        ("cancelled", "info"),
        ("failed", "warning"),
        ("broken", "warning"),
    ],
)
def test_a_failure_that_is_not_the_caller_s_is_a_warning(reporter, lines, outcome, level):
    reporter.finished(summary(outcome=outcome))
    assert lines.of("exchange.finished")[0][0] == level


@pytest.mark.parametrize(
    ("changes", "event"),
    [
        ({}, "peer.up"),
        ({"outcome": "failed", "http_status": 502, "dimse_status": 0xC000}, "peer.up"),
        ({"outcome": "failed", "code": "connection-failed"}, "peer.down"),
        ({"outcome": "failed", "code": "answer-timeout"}, "peer.down"),
        ({"outcome": "broken", "code": "peer-stalled"}, "peer.down"),
        # It answers, if only to refuse.
        ({"outcome": "failed", "code": "association-rejected"}, None),
        ({"outcome": "failed", "code": "association-aborted"}, None),
        ({"outcome": "failed", "code": "operation-not-supported"}, None),
        ({"outcome": "failed", "code": "backend-busy"}, None),
        ({"outcome": "refused", "http_status": 400}, None),
        ({"outcome": "cancelled", "http_status": None}, None),
        ({"outcome": "failed", "code": "connection-failed", "backend": None}, None),
        ({"backend": "pacs + archive"}, None),  # of one of them it says nothing
    ],
)
def test_what_an_exchange_says_of_the_peer(reporter, lines, changes, event):
    reporter.finished(summary(**changes))
    told = [name for _, name, _ in lines.told if name.startswith("peer.")]
    assert told == ([event] if event else [])


def test_a_peer_is_told_of_when_it_changes(reporter, lines):
    for ok in (True, True, False, False, True):
        reporter.probed("pacs", Probe(ok, "C-ECHO", 0.001))
    assert [event for _, event, _ in lines.told] == ["peer.up", "peer.down", "peer.up"]


def test_a_dimse_caller_s_status_is_told_in_place_of_an_http_one(reporter, lines):
    reporter.finished(summary(http_status=None, answered=0xA700, caller="ct1", bytes_in=7))
    ((_, keys),) = lines.of("exchange.finished")
    assert (keys["status"], keys["caller"], keys["bytes"]) == ("0xA700", "ct1", 7)
