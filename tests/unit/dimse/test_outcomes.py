"""How final responses end retrieves: every contradiction between counters is found."""

from __future__ import annotations

from dataclasses import replace

import pytest

from harmony.dimse.failures import Refused
from harmony.dimse.outcomes import (
    find_outcome,
    get_outcome,
    larger,
    move_outcome,
    outstanding,
    sent,
    still_to_come,
)
from harmony.envelope import Completion, Outcome, SubOperations
from harmony.errors import UpstreamError
from harmony.upper_layer.commands import Command, CommandField
from tests.support.scripted_link import target

COMPLETE, PARTIAL = Completion.COMPLETE, Completion.PARTIAL


def answer(status: int, **counters: int) -> Command:
    return replace(Command(field=CommandField.C_GET_RSP, status=status), **counters)  # type: ignore[arg-type]


def counted(**counters: int) -> SubOperations:
    return SubOperations(**counters)


def get(status: int, received: int, pending: SubOperations | None, **final: int) -> Outcome:
    return get_outcome(
        answer(status, **final), target(), received=received, missing=(), pending=pending
    )


def move(status: int, pending: SubOperations | None, **final: int) -> Outcome:
    return move_outcome(
        answer(status, **final), target(), missing=(), destination="DEST", pending=pending
    )


@pytest.mark.parametrize(
    ("status", "received", "pending", "final", "expected"),
    [
        (0, 2, None, {}, COMPLETE),
        (0, 2, None, {"completed": 2, "failed": 0, "warning": 0}, COMPLETE),
        (0, 2, counted(completed=1, remaining=1), {}, COMPLETE),
        (0, 2, counted(completed=1, remaining=1), {"completed": 1, "warning": 1}, COMPLETE),
        (0, 1, counted(completed=1, failed=2, remaining=0), {}, PARTIAL),
        (0, 1, None, {"completed": 1, "failed": 1}, PARTIAL),
        (0xB000, 1, None, {}, PARTIAL),
        (0, 70_000, counted(completed=65535), {"completed": 65535}, COMPLETE),
    ],
)
def test_a_get_that_adds_up(
    status: int,
    received: int,
    pending: SubOperations | None,
    final: dict[str, int],
    expected: Completion,
) -> None:
    outcome = get(status, received, pending, **final)
    assert outcome.completion is expected
    assert outcome.counters is not None
    assert outcome.counters.completed is not None


@pytest.mark.parametrize(
    ("received", "pending", "final"),
    [
        (1, None, {"completed": 2}),
        (2, None, {"completed": 1}),
        (1, None, {"completed": 1, "remaining": 2}),
        (1, counted(completed=1, remaining=2), {}),
        (1, counted(completed=1, remaining=2), {"completed": 1}),
    ],
)
def test_a_get_that_contradicts_itself_is_a_failure(
    received: int, pending: SubOperations | None, final: dict[str, int]
) -> None:
    with pytest.raises(UpstreamError):
        get(0, received, pending, **final)


@pytest.mark.parametrize("status", [0xA702, 0xC000, 0xFE00, 0x0110])
def test_a_get_that_fails_is_a_failure_whatever_came(status: int) -> None:
    with pytest.raises(Refused):
        get(status, 5, None, completed=5)


def test_a_get_of_which_all_failed_is_a_failure_although_the_status_says_success() -> None:
    with pytest.raises(Refused) as caught:
        get(0, 0, counted(completed=0, failed=3))
    assert caught.value.error.http_status == 502


@pytest.mark.parametrize(
    ("status", "pending", "final", "expected"),
    [
        (0, None, {"completed": 3, "failed": 0, "warning": 0}, COMPLETE),
        (0, counted(completed=1, remaining=2), {"completed": 3}, COMPLETE),
        (0, counted(completed=1, remaining=2), {}, COMPLETE),
        (0, counted(completed=1, failed=2, remaining=0), {}, PARTIAL),
        (0xB000, None, {"completed": 2, "failed": 1}, PARTIAL),
        (0, counted(completed=65535), {"completed": 17}, COMPLETE),
    ],
)
def test_a_move_that_adds_up(
    status: int, pending: SubOperations | None, final: dict[str, int], expected: Completion
) -> None:
    assert move(status, pending, **final).completion is expected


def test_a_move_that_leaves_some_out_is_a_failure() -> None:
    with pytest.raises(UpstreamError):
        move(0, counted(completed=1, remaining=9), completed=1)


def test_a_move_of_which_all_failed_is_a_failure_although_the_status_says_success() -> None:
    with pytest.raises(Refused):
        move(0, counted(completed=0, failed=3))


def test_counters_that_tell_nothing_do_not_replace_those_that_do() -> None:
    known = counted(completed=1)
    assert larger(known, SubOperations()) is known
    assert larger(None, SubOperations()) is None
    assert larger(known, counted(completed=2)) == counted(completed=2)


@pytest.mark.parametrize("status", [0xC000, 0xA700, 0xFE00, 0x0122])
def test_a_find_that_does_not_end_in_success_fails(status: int) -> None:
    with pytest.raises(Refused):
        find_outcome(answer(status), target())


def test_a_find_that_ends_with_a_warning_is_not_the_whole() -> None:
    assert find_outcome(answer(0xB000), target()).completion is Completion.LIMITED


@pytest.mark.parametrize(
    ("final", "pending", "expected"),
    [
        (counted(completed=3, failed=0, warning=0), None, 3),
        (counted(completed=2, failed=1, warning=1), counted(completed=1, remaining=3), 3),
        (counted(completed=0), counted(remaining=4), 0),
        (counted(), counted(completed=1, remaining=2), 3),
        (counted(failed=1), counted(completed=1, remaining=2), 2),
        (counted(), counted(completed=1, remaining=1, failed=1), 2),
        (None, counted(completed=1, remaining=2), 3),
        (counted(), None, None),
        (counted(), counted(), None),
        (None, None, None),
    ],
)
def test_what_a_move_has_sent_is_what_the_peer_counts(
    final: SubOperations | None, pending: SubOperations | None, expected: int | None
) -> None:
    assert sent(final, pending) == expected


@pytest.mark.parametrize(
    ("told", "arrived", "expected"),
    [
        (3, 3, 0),
        (3, 1, 2),
        (3, 4, -1),
        (0, 0, 0),
        (65535, 65535, 0),
        (0, 65536, 0),  # the counters have wrapped
        (17, 65553, 0),
        (18, 65553, 1),
    ],
)
def test_what_is_outstanding_is_counted_as_far_as_16_bits_go(
    told: int, arrived: int, expected: int
) -> None:
    assert outstanding(told, arrived) == expected


@pytest.mark.parametrize(
    ("pending", "given", "remaining"),
    [
        (counted(remaining=3, completed=0), 0, 3),
        (counted(remaining=1, completed=2), 0, 3),  # counted before it was given
        (counted(remaining=2, completed=1), 2, 1),  # given before it was counted
        (counted(remaining=1, completed=1, failed=2), 1, 1),
        (counted(remaining=0, completed=1), 5, 0),
        (counted(completed=2), 1, None),
        (counted(), 1, None),
    ],
)
def test_what_is_still_to_come_of_a_move_goes_by_what_was_given(
    pending: SubOperations, given: int, remaining: int | None
) -> None:
    told = still_to_come(pending, given)
    assert (told.remaining, told.completed) == (remaining, given)
