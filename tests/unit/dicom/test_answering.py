"""What a DIMSE caller is told of each failure."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harmony.dicom.answering import ANSWERS, comment, dimse_status
from harmony.dicom.status import StatusKind, failure, kind, rejection
from harmony.envelope import Operation
from harmony.errors import (
    DeadlineExceeded,
    HarmonyError,
    RequestError,
    Unavailable,
    UpstreamError,
)

ECHO, FIND, GET, MOVE, STORE = (
    Operation.ECHO,
    Operation.FIND,
    Operation.GET,
    Operation.MOVE,
    Operation.STORE,
)
RETRIEVES = (GET, MOVE)
ALL = (ECHO, FIND, GET, MOVE, STORE)

# One entry a row of the table: HTTP statuses, then STORE, FIND, and GET and MOVE.
ROWS = [
    ((400, 422), 0xC000, 0xA900, 0xA900),
    ((401, 403), 0x0124, 0x0124, 0x0124),
    ((404, 410), 0xC000, 0xC000, 0xC000),
    ((406, 415), 0x0122, 0xA900, 0xA702),
    ((409,), 0xC000, 0xC000, 0xC000),
    ((413,), 0xA700, 0xA700, 0xA701),
    ((408, 425, 429, 502, 503, 504, 507), 0xA700, 0xA700, 0xA702),
    ((500, 501, 301, 308, 418), 0xC000, 0xC000, 0xC000),
]


@pytest.mark.parametrize(
    ("http", "store", "find", "retrieve"),
    [(http, *row) for statuses, *row in ROWS for http in statuses],
)
def test_each_row_of_the_table(http, store, find, retrieve):
    for error in (
        HarmonyError("x", http_status=http),
        RequestError("x", http_status=http),
        UpstreamError("x", http_status=http),
        Unavailable("x", http_status=http),
    ):
        assert dimse_status(error, STORE) == store
        assert dimse_status(error, FIND) == find
        assert [dimse_status(error, each) for each in RETRIEVES] == [retrieve, retrieve]
        assert dimse_status(error, ECHO) == 0x0110


def test_the_table_has_no_row_that_is_not_tested():
    tested = {http for statuses, *_ in ROWS for http in statuses}
    assert set().union(*(row.http for row in ANSWERS)) <= tested
    assert [row for row in ANSWERS if not row.http] == [ANSWERS[-1]]


@pytest.mark.parametrize(
    "error",
    [
        DeadlineExceeded("x"),
        Unavailable("x", code="backend-busy"),
        Unavailable("x", code="draining"),
        UpstreamError("x", code="connection-failed"),
        UpstreamError("x", code="connect-timeout", http_status=504),
        UpstreamError("x", code="answer-timeout", http_status=504),
        rejection(1, 1, 3, peer="P", called="A", calling="B"),
        rejection(2, 3, 2, peer="P", called="A", calling="B"),
    ],
    ids=lambda error: error.code,
)
def test_what_lacks_time_room_or_a_connection_may_be_tried_again(error):
    assert [dimse_status(error, each) for each in (STORE, FIND)] == [0xA700, 0xA700]
    assert [dimse_status(error, each) for each in RETRIEVES] == [0xA702, 0xA702]
    assert dimse_status(error, ECHO) == 0x0110


@pytest.mark.parametrize(
    ("operation", "statuses"),
    [
        (ECHO, (0x0110, 0x0122)),
        (STORE, (0x0110, 0x0111, 0x0117, 0x0122, 0x0124)),
        (STORE, (0xA700, 0xA7FF, 0xA900, 0xA9FF, 0xC000, 0xC123, 0xCFFF)),
        (FIND, (0x0110, 0x0122, 0x0124, 0xA700, 0xA900, 0xC000, 0xC001, 0xCFFF)),
        (GET, (0x0110, 0x0122, 0x0124, 0xA701, 0xA702, 0xA900, 0xC000, 0xCFFF)),
        (MOVE, (0x0110, 0x0122, 0x0124, 0xA701, 0xA702, 0xA900, 0xC000, 0xCFFF)),
    ],
)
def test_a_failure_that_means_the_same_to_the_caller_is_passed_on(operation, statuses):
    for status in statuses:
        assert dimse_status(failure(operation, status, peer="P"), operation) == status


@pytest.mark.parametrize(
    ("asked", "status", "answered", "expected"),
    [
        (ECHO, 0x0211, ECHO, 0x0110),
        (STORE, 0x0210, STORE, 0xA700),  # of our own message to the peer
        (STORE, 0x0213, STORE, 0xA700),
        (STORE, 0x1234, STORE, 0xA700),  # in no table
        (STORE, 0x0119, STORE, 0xC000),
        (FIND, 0xA7FF, FIND, 0xA700),
        (FIND, 0xA901, FIND, 0xA900),
        (FIND, 0x0106, FIND, 0xA900),
        (FIND, 0xFE00, FIND, 0xA700),  # cancelled by the peer, not by the caller
        (GET, 0xA700, GET, 0xA702),
        (GET, 0xB000, GET, 0xA702),
        (GET, 0x0000, GET, 0xA702),  # said success, counted nothing but failures
        (GET, 0xFE00, MOVE, 0xA702),
        (GET, 0x0112, MOVE, 0xC000),
        (MOVE, 0xA801, GET, 0xA702),
        (MOVE, 0xA801, MOVE, 0xA702),  # of the destination that we named, not the caller
        (FIND, 0xA700, MOVE, 0xA702),
        (MOVE, 0xA702, STORE, 0xA702),
    ],
)
def test_a_failure_that_would_mean_something_else_goes_by_its_meaning(
    asked, status, answered, expected
):
    assert dimse_status(failure(asked, status, peer="P"), answered) == expected


@given(st.sampled_from(ALL), st.sampled_from(ALL), st.integers(0, 0xFFFF))
def test_whatever_a_peer_says_the_caller_hears_of_a_failure(asked, answered, status):
    assert kind(dimse_status(failure(asked, status, peer="P"), answered)) is StatusKind.FAILURE


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (RequestError("x", code="not-found"), "not-found"),
        (UpstreamError("x", code="connection-failed"), "connection-failed"),
        (
            UpstreamError("x", code="connection-failed", backend="pacs"),
            "connection-failed: backend pacs",
        ),
        (Unavailable("x", code="backend-busy", backend="pacs"), "backend-busy: backend pacs"),
        (DeadlineExceeded("x"), "deadline-exceeded"),
        (UpstreamError("x", backend="Zürich\\1\n"), "upstream-failure: backend Z?rich?1?"),
    ],
)
def test_a_comment_names_the_kind_of_failure_and_the_backend(error, expected):
    assert comment(error) == expected


def test_a_comment_tells_neither_host_nor_what_the_peer_wrote():
    error = failure(STORE, 0xC000, peer="PACS@10.0.0.1:104", comment="bad: DOE^JANE")
    error.backend = "pacs"
    assert comment(error) == "cannot-understand: backend pacs"


@given(st.text(), st.text(min_size=1))
def test_a_comment_is_a_proper_lo(backend, code):
    text = comment(UpstreamError("x", code=code, backend=backend))
    assert len(text) <= 64
    assert text.isascii()
    assert text.isprintable()
    assert "\\" not in text
