"""How a final response ends an operation: pure decisions on statuses and counters.

Each function gives an `Outcome`, or raises `Refused` for a failure that the peer answered in
order, or `UpstreamError` where the peer contradicts itself and nothing it says can be trusted.
"""

from __future__ import annotations

from harmony.dicom.status import StatusKind, failure, kind
from harmony.dicom.status_codes import SUCCESS
from harmony.dimse.failures import Refused, contradiction
from harmony.dimse.target import Target
from harmony.envelope import Completion, Operation, Outcome, SubOperations
from harmony.errors import HarmonyError
from harmony.upper_layer.commands import Command

MOST_COUNTED = 0xFFFF  # in 16 bits, PS3.7 table E.1-1


def status_of(answer: Command, target: Target) -> int:
    """(0000,0900), which every response carries. PS3.7 annex C."""
    if answer.status is None:
        raise contradiction(target, "an answer without a status")
    return answer.status


def counters_of(answer: Command) -> SubOperations:
    return SubOperations(
        remaining=answer.remaining,
        completed=answer.completed,
        failed=answer.failed,
        warning=answer.warning,
    )


def done(counters: SubOperations) -> int | None:
    """Sub-operations that are over, however they ended; None if the peer counts none."""
    return _sum(counters.completed, counters.failed, counters.warning)


def echo_outcome(answer: Command, target: Target) -> Outcome:
    """PS3.7 9.1.5.1.4: the only status is success."""
    if status_of(answer, target) != SUCCESS:
        raise Refused(_failure(Operation.ECHO, answer, target))
    return Outcome()


def find_outcome(answer: Command, target: Target) -> Outcome:
    """PS3.4 table C.4-1. A peer that cancels by itself has failed."""
    status = status_of(answer, target)
    match kind(status):
        case StatusKind.SUCCESS:
            return Outcome(status=status)
        case StatusKind.WARNING:
            return Outcome(completion=Completion.LIMITED, status=status)
        case _:
            raise Refused(_failure(Operation.FIND, answer, target))


def larger(known: SubOperations | None, told: SubOperations) -> SubOperations | None:
    """The later counters, unless they tell nothing."""
    return known if _total(told) is None else told


def get_outcome(
    answer: Command,
    target: Target,
    *,
    received: int,
    missing: tuple[str, ...],
    pending: SubOperations | None = None,
) -> Outcome:
    """PS3.4 table C.4-3. The peer's counters must agree with what came.

    Args:
        answer: the final response.
        target: who gave it.
        received: instances that came.
        missing: UIDs that the peer names as failed.
        pending: the last counters before; those of the final response may be left out.
    """
    final = counters_of(answer)
    told = _sum(final.completed, final.warning)
    if told is not None and told != received and received <= MOST_COUNTED:
        raise contradiction(target, f"it counts {told} instances sent, {received} came")
    counters = SubOperations(
        remaining=final.remaining,
        completed=received if final.completed is None else final.completed,
        failed=_first(final.failed, pending.failed if pending else None),
        warning=final.warning,
    )
    return _retrieve_outcome(
        Operation.GET, answer, target, counters, pending, completed=received, missing=missing
    )


def move_outcome(
    answer: Command,
    target: Target,
    *,
    missing: tuple[str, ...],
    destination: str | None,
    pending: SubOperations | None = None,
) -> Outcome:
    """PS3.4 table C.4-2. What arrived elsewhere only the peer's counters tell.

    Args:
        answer: the final response.
        target: who gave it.
        missing: UIDs that the peer names as failed.
        destination: AE title that was to receive.
        pending: the last counters before; those of the final response may be left out.
    """
    final = counters_of(answer)
    counters = SubOperations(
        remaining=final.remaining,
        completed=final.completed,
        failed=_first(final.failed, pending.failed if pending else None),
        warning=_first(final.warning, pending.warning if pending else None),
    )
    before = pending or SubOperations()
    return _retrieve_outcome(
        Operation.MOVE,
        answer,
        target,
        counters,
        pending,
        completed=_sum(_first(final.completed, before.completed), counters.warning) or 0,
        missing=missing,
        destination=destination,
    )


def sent(final: SubOperations | None, pending: SubOperations | None) -> int | None:
    """Instances that a C-MOVE has sent, by the peer's own count; None if it counts none.

    Args:
        final: counters of the final response, which may be left out.
        pending: the last ones before it.
    """
    final = final or SubOperations()
    if final.completed is not None:
        return final.completed + (final.warning or 0)
    total = _total(pending) if pending is not None else None
    if total is None:
        return None
    return total - (_first(final.failed, pending.failed if pending else None) or 0)


def outstanding(told: int, arrived: int) -> int:
    """How many of the instances told have not arrived; negative if there are too many.

    The counters have 16 bits and wrap.
    """
    if arrived <= MOST_COUNTED:
        return told - arrived
    return (told - arrived) % (MOST_COUNTED + 1)


def still_to_come(pending: SubOperations, given: int) -> SubOperations:
    """A C-MOVE's counters as those of a source that has given so many instances.

    The instances come on other associations than the counters, so these are a little early or
    late; what is sure is their total.
    """
    total, failed = _total(pending), pending.failed or 0
    if total is None or pending.remaining is None:
        return SubOperations(completed=given)
    return SubOperations(
        remaining=max(total - failed - given, 0), completed=given, failed=failed, warning=0
    )


def _retrieve_outcome(
    operation: Operation,
    answer: Command,
    target: Target,
    counters: SubOperations,
    pending: SubOperations | None,
    *,
    completed: int,
    missing: tuple[str, ...],
    destination: str | None = None,
) -> Outcome:
    status = status_of(answer, target)
    if status == SUCCESS:
        _check_all_done(target, counters, pending)
    if status == SUCCESS and not counters.failed:
        return Outcome(status=status, counters=counters)
    if completed and kind(status) in (StatusKind.WARNING, StatusKind.SUCCESS):
        return Outcome(
            completion=Completion.PARTIAL, status=status, counters=counters, missing=missing
        )
    raise Refused(_failure(operation, answer, target, completed=completed, destination=destination))


def _check_all_done(target: Target, counters: SubOperations, pending: SubOperations | None) -> None:
    """Success means that all sub-operations are over. The counters have 16 bits and may wrap."""
    if counters.remaining:
        raise contradiction(target, f"success with {counters.remaining} sub-operations remaining")
    announced = _total(pending) if pending is not None else None
    if counters.completed is None or announced is None or announced >= MOST_COUNTED:
        return
    if done(counters) != announced:
        raise contradiction(target, f"success after {done(counters)} of {announced} sub-operations")


def _total(counters: SubOperations) -> int | None:
    return _sum(counters.remaining, counters.completed, counters.failed, counters.warning)


def _first(*numbers: int | None) -> int | None:
    return next((number for number in numbers if number is not None), None)


def _failure(
    operation: Operation,
    answer: Command,
    target: Target,
    *,
    completed: int = 0,
    destination: str | None = None,
) -> HarmonyError:
    return failure(
        operation,
        status_of(answer, target),
        peer=str(target),
        comment=answer.error_comment,
        completed=completed,
        destination=destination,
        local_aet=target.local_aet,
    )


def _sum(*numbers: int | None) -> int | None:
    known = [n for n in numbers if n is not None]
    return sum(known) if known else None
