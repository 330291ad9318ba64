"""DIMSE statuses, rejections and aborts: every row of the tables, and what is in none."""

from __future__ import annotations

import pytest

from harmony.dicom.status import (
    RETRY_SECONDS,
    TABLES,
    StatusKind,
    aborted,
    failure,
    hex_status,
    kind,
    meaning,
    rejection,
    store_http_status,
)
from harmony.envelope import Operation
from harmony.errors import Retry

ECHO, FIND, GET, MOVE, STORE = (
    Operation.ECHO,
    Operation.FIND,
    Operation.GET,
    Operation.MOVE,
    Operation.STORE,
)
ALL = (ECHO, FIND, GET, MOVE, STORE)
QUERIES = (FIND, GET, MOVE)
RETRIEVES = (GET, MOVE)


@pytest.mark.parametrize(
    ("statuses", "expected"),
    [
        ((0x0000,), StatusKind.SUCCESS),
        ((0xFF00, 0xFF01), StatusKind.PENDING),
        ((0xFE00,), StatusKind.CANCEL),
        ((0x0001, 0x0107, 0x0116, 0xB000, 0xB006, 0xB007, 0xB123, 0xBFFF), StatusKind.WARNING),
        ((0x0110, 0x0124, 0x0213, 0xA700, 0xA702, 0xA900, 0xC000, 0xCFFF), StatusKind.FAILURE),
        ((0x0002, 0x1234, 0x9999, 0xAFFF, 0xD000, 0xFF02, 0xFFFF), StatusKind.FAILURE),
    ],
)
def test_a_status_has_the_class_that_the_standard_gives_it(statuses, expected):
    assert {kind(status) for status in statuses} == {expected}


# One entry a row: statuses, operations it is about, HTTP status before the first byte.
ROWS = [
    ((0x0105, 0x0106, 0x0107, 0x0114, 0x0115, 0x0120, 0x0121), QUERIES, 400),
    ((0x0105, 0x0106, 0x0107, 0x0114, 0x0115, 0x0120, 0x0121), (ECHO, STORE), 502),
    ((0x0110,), ALL, 502),
    ((0x0111,), (STORE,), 409),
    ((0x0112,), ALL, 404),
    ((0x0117, 0x0118, 0x0119), (STORE,), 409),
    ((0x0122,), (ECHO, *QUERIES), 501),
    ((0x0122,), (STORE,), 409),
    ((0x0124,), ALL, 502),
    ((0x0210, 0x0211, 0x0212), ALL, 502),
    ((0x0213,), ALL, 503),
    ((0xA700, 0xA7FF), (*QUERIES, STORE), 503),
    ((0xA710,), (FIND,), 502),
    ((0xA70F, 0xA711), (FIND,), 503),
    ((0xA701,), RETRIEVES, 503),
    ((0xA702,), RETRIEVES, 502),
    ((0xA801,), RETRIEVES, 502),
    ((0xA900, 0xA9FF), QUERIES, 400),
    ((0xA900, 0xA9FF), (STORE,), 409),
    ((0xB000,), RETRIEVES, 502),
    ((0xC000, 0xC123, 0xCFFF), QUERIES, 502),
    ((0xC000, 0xC123, 0xCFFF), (STORE,), 409),
    ((0xFE00,), QUERIES, 502),
    ((0x0000,), RETRIEVES, 502),  # said success, counted nothing but failures
]


@pytest.mark.parametrize(
    ("operation", "status", "http"),
    [
        pytest.param(operation, status, http, id=f"{operation}-{status:04X}")
        for statuses, operations, http in ROWS
        for status in statuses
        for operation in operations
    ],
)
def test_a_failure_has_the_http_status_of_its_row(operation, status, http):
    error = failure(operation, status, peer="PACS")
    assert error.http_status == http
    assert error.dimse_status == status
    assert error.peer == "PACS"
    assert error.code != "unknown-status"
    assert hex_status(status) in error.detail
    assert error.retry_after == (RETRY_SECONDS if http == 503 else None)


def test_harmony_not_being_allowed_is_never_told_as_the_client_not_being_allowed():
    for operation in ALL:
        for status in range(0x10000):
            assert meaning(operation, status).http not in (401, 403)


@pytest.mark.parametrize("status", [0x0001, 0x0999, 0x1234, 0x9000, 0xA123, 0xD000, 0xFFFF])
@pytest.mark.parametrize("operation", ALL)
def test_a_status_that_no_table_knows_is_a_failure_of_the_pacs(operation, status):
    error = failure(operation, status, peer="PACS")
    assert (error.http_status, error.code) == (502, "unknown-status")


def test_an_operation_without_a_table_of_its_own_has_the_common_one():
    assert Operation.HTTP not in TABLES
    assert meaning(Operation.HTTP, 0x0213).http == 503


def test_every_row_is_reachable():
    for operation, table in TABLES.items():
        hit = {id(meaning(operation, status)) for status in range(0x10000)}
        # A row of the common table may be replaced by one of the operation's own.
        own = [row for row in table if row not in TABLES[ECHO]]
        assert all(id(row) in hit for row in own)


def test_a_comment_of_the_peer_is_escaped_and_cut():
    error = failure(FIND, 0xC000, peer="PACS", comment="bad\r\nSet-Cookie: a\x1b[2J" + "x" * 99)
    assert error.comment is not None
    assert "\\x0d\\x0aSet-Cookie" in error.comment
    assert error.comment.isprintable()
    assert "x" * 65 not in error.comment


def test_a_comment_of_the_peer_is_no_part_of_what_may_be_logged():
    error = failure(FIND, 0xC000, peer="PACS", comment="DOE^JOHN")
    assert "DOE" not in error.detail
    assert "DOE" not in str(error)
    assert "DOE" not in repr(error)


def test_an_unknown_destination_is_named_with_what_to_add():
    error = failure(MOVE, 0xA801, peer="PACS", destination="VIEWER", local_aet="HARMONY")
    assert "VIEWER" in (error.hint or "")
    assert "host and port" in (error.hint or "")


@pytest.mark.parametrize("status", [0x0122, 0x0124])
def test_not_being_allowed_names_our_title(status):
    assert "HARMONY_SCU" in (failure(GET, status, peer="PACS", local_aet="HARMONY_SCU").hint or "")


def test_braces_in_a_title_are_only_characters():
    error = failure(MOVE, 0xA801, peer="PACS", destination="{local_aet}", local_aet="X")
    assert "{local_aet}" in (error.hint or "")


def test_what_was_done_before_the_failure_is_told():
    assert "after 3 instances" in failure(GET, 0xA702, peer="PACS", completed=3).detail


@pytest.mark.parametrize(("status", "text"), [(0x0000, "0x0000"), (0xA702, "0xA702")])
def test_a_status_is_written_with_four_digits(status, text):
    assert hex_status(status) == text


# PS3.8 table 9-21: result, source, reason; HTTP status; whether trying again can help.
REJECTIONS = [
    ((1, 1, 1), 502, Retry.NEVER),
    ((2, 1, 1), 503, Retry.LATER),
    ((1, 1, 2), 502, Retry.NEVER),
    ((2, 1, 2), 502, Retry.NEVER),
    ((1, 2, 2), 502, Retry.NEVER),
    ((1, 1, 3), 502, Retry.NEVER),
    ((1, 1, 7), 502, Retry.NEVER),
    ((1, 2, 1), 502, Retry.NEVER),
    ((2, 2, 1), 503, Retry.LATER),
    ((1, 1, 4), 502, Retry.NEVER),
    ((2, 1, 10), 503, Retry.LATER),
    ((1, 3, 0), 502, Retry.NEVER),
    ((2, 3, 7), 503, Retry.LATER),
    ((2, 3, 1), 503, Retry.LATER),
    ((2, 3, 2), 503, Retry.LATER),
    ((1, 3, 1), 503, Retry.LATER),
    ((1, 3, 2), 503, Retry.LATER),
    ((0, 1, 1), 502, Retry.NEVER),
    ((9, 9, 9), 502, Retry.NEVER),
]


@pytest.mark.parametrize(("sent", "http", "retry"), REJECTIONS)
def test_a_rejection_has_the_http_status_of_its_row(sent, http, retry):
    error = rejection(*sent, peer="PACS", called="ORTHANC", calling="HARMONY")
    assert (error.http_status, error.retry) == (http, retry)
    assert error.code == "association-rejected"
    assert error.retry_after == (RETRY_SECONDS if http == 503 else None)
    assert "/".join(map(str, sent)) in error.detail


@pytest.mark.parametrize(
    ("reason", "title", "key"), [(3, "HARMONY", "`local_aet`"), (7, "ORTHANC", "`aet`")]
)
def test_a_title_that_is_not_recognised_is_named_with_the_key_to_change(reason, title, key):
    error = rejection(1, 1, reason, peer="PACS", called="ORTHANC", calling="HARMONY")
    assert title in error.detail
    assert title in (error.hint or "")
    assert key in (error.hint or "")


def test_an_abort_instead_of_an_answer_hints_at_the_log_of_the_pacs():
    error = aborted(0, 0, peer="PACS", answered=False)
    assert (error.http_status, error.retry) == (502, Retry.LATER)
    assert "instead of answering (by the service user)" in error.detail
    assert "log" in (error.hint or "")


def test_an_abort_within_an_answer_says_so():
    error = aborted(2, 6, peer="PACS", answered=True)
    assert "in the middle of its answer" in error.detail
    assert "the service provider: invalid PDU parameter value" in error.detail
    assert error.hint is None


@pytest.mark.parametrize(("source", "reason"), [(0, 6), (2, 0), (2, 3), (2, 255)])
def test_an_abort_without_a_reason_that_means_something_names_none(source, reason):
    assert ": " not in aborted(source, reason, peer="PACS", answered=True).detail


@pytest.mark.parametrize(
    ("statuses", "http"),
    [
        ((0x0000,), 200),
        ((0x0000, 0x0000), 200),
        ((0xB000,), 202),
        ((0xB006, 0xB007), 202),
        ((0x0000, 0xB000), 202),
        ((0x0000, 0xC000), 202),
        ((0x0000, 0xA700), 202),
        ((0xB000, 0xA700), 202),
        ((0xC000,), 409),
        ((0xA900, 0x0111, 0x0122), 409),
        ((0xA700, 0xC000), 409),
        ((0xA700,), 503),
        ((0xA700, 0xA7FF, 0x0213), 503),
        ((0x4242,), 409),
    ],
)
def test_a_store_as_a_whole_is_as_good_as_its_instances(statuses, http):
    assert store_http_status(statuses) == http


def test_a_store_of_nothing_is_no_success():
    with pytest.raises(ValueError, match="nothing was stored"):
        store_http_status([])
