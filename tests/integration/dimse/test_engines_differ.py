"""The same callers before both engines: what each is told, and where the engines may differ.

`DIFFERENCES` is all that may differ, and docs/engines.md tells users of each.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
import trio

from harmony.dimse.engines import Engine
from tests.support import engines
from tests.support.bad_caller import Aborted, Accepted, Rejected, Released, messages, table
from tests.support.bad_caller import answers as told
from tests.support.bad_caller.answers import Answer
from tests.support.bad_caller.conversation import Case, hold
from tests.support.bad_caller.request import ECHO_ID
from tests.support.bad_caller.serving import OPTIONS, serve_dicom
from tests.support.bad_caller.table import associated
from tools.fuzz import live

SECONDS = 100
SEED = 20261125
GENERATED = 100
AT_ONCE = 20
PAGE = Path(__file__).parents[3] / "docs" / "engines.md"
PENDING = (0xFF00, 0xFF01)
SUCCESS, CANCELLED = 0x0000, 0xFE00
# Every conversation goes on until the endpoint ends it, so that no answer is cut off by chance.
TIMES = dataclasses.replace(
    OPTIONS.timeouts, associate_seconds=1, idle_seconds=1, pdu_seconds=1, object_idle_seconds=1
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What a caller hears of an engine.

    Attributes:
        association: A-ASSOCIATE-AC or -RJ; None without either.
        responses: command field and status of each final response; matches are told or not as
            the end of the association allows, and a C-CANCEL may come too late. PS3.7 9.3.2.3.
        ending: the first A-RELEASE-RP or A-ABORT; None if the connection is closed without one.
    """

    association: Accepted | Rejected | None
    responses: Sequence[tuple[int, int]]
    ending: Released | Aborted | None


def heard(answers: Sequence[Answer]) -> Told:
    association: Accepted | Rejected | None = None
    ending: Released | Aborted | None = None
    for answer in answers:
        match answer:
            case Accepted():
                association = dataclasses.replace(answer, max_length=0)  # compared elsewhere
            case Rejected():
                association = answer
            case Released() | Aborted():
                ending = ending or answer
    responses = [
        (message.field, SUCCESS if message.status == CANCELLED else message.status)
        for message in told.messages(answers)
        if message.status is not None and message.status not in PENDING
    ]
    return Told(association=association, responses=responses, ending=ending)


@dataclass(frozen=True, slots=True)
class Difference:
    """One way in which the engines may differ.

    Attributes:
        title: as in docs/engines.md.
        fits: whether what the trio engine and the other one told differs in this way.
        timely: it depends on which of two things comes first, so it may be missing in a run.
    """

    title: str
    fits: Callable[[Told, Told], bool]
    timely: bool = False


PROVIDER, USER = 2, 0


def _reasons(ours: Told, other: Told) -> bool:
    return ours.ending in [Aborted(PROVIDER, reason) for reason in (1, 2, 6)] and (
        other.ending in (Aborted(PROVIDER, 0), Aborted(USER, 0))
    )


def _silent_violations(ours: Told, other: Told) -> bool:
    return ours.ending == Aborted(PROVIDER, 6) and other.ending is None


def _stalled(ours: Told, other: Told) -> bool:
    return ours.ending == Aborted(USER, 0) and other.ending is None


def _titles(ours: Told, other: Told) -> bool:
    return ours.association == Rejected(1, 1, 7) and other == Told(
        association=None, responses=[], ending=Aborted(USER, 0)
    )


def _early(ours: Told, other: Told) -> bool:
    return (
        isinstance(ours.association, Accepted)
        and other.association is None
        and other.responses == []
        and other.ending in (None, Aborted(PROVIDER, 0))
    )


def _after_release(ours: Told, other: Told) -> bool:
    return Released() in (ours.ending, other.ending) and ours.association == other.association


def _after_rejection(ours: Told, other: Told) -> bool:
    return isinstance(ours.association, Rejected) and other.ending == Aborted(PROVIDER, 2)


def _under_way(ours: Told, other: Told) -> bool:
    few, many = sorted((list(ours.responses), list(other.responses)), key=len)
    return many[: len(few)] == few and few != many


DIFFERENCES = [
    Difference("the reason of an A-ABORT", _reasons),
    Difference("a P-DATA-TF that breaks the rules", _silent_violations),
    Difference("an object that stops coming", _stalled),
    Difference("AE titles that are none", _titles),
    Difference("a PDU right behind the request", _early),
    Difference("a PDU right behind the release", _after_release, timely=True),
    Difference("a PDU behind a rejection", _after_rejection, timely=True),
    Difference("answers under way when a caller breaks the rules", _under_way, timely=True),
]


def explain(ours: Told, other: Told) -> list[Difference] | None:
    """The differences that two tales show; None if one of them is not on the list."""
    found = [each for each in DIFFERENCES if each.fits(ours, other)]
    if ours == other:
        return []
    if any(each.fits in (_titles, _early, _after_release) for each in found):
        return found
    explained = (
        ours.association == other.association
        and (ours.responses == other.responses or _under_way(ours, other))
        and (ours.ending == other.ending or any(each.fits is not _under_way for each in found))
    )
    return found if explained else None


async def tell(engine: Engine, cases: Sequence[Case]) -> list[Told]:
    """Hold all conversations before an endpoint that runs on this engine."""
    found: list[Told | None] = [None] * len(cases)
    limiter = trio.CapacityLimiter(AT_ONCE)

    async def one(index: int, host: str, port: int) -> None:
        answers, wrong = await trio.to_thread.run_sync(
            hold, cases[index], host, port, limiter=limiter
        )
        assert wrong is None, f"{cases[index].name}: {wrong}"
        found[index] = heard(answers)

    options = dataclasses.replace(OPTIONS, timeouts=TIMES)
    with trio.fail_after(SECONDS), engines.tested(engine):
        async with serve_dicom(options) as running, trio.open_nursery() as nursery:
            for index in range(len(cases)):
                nursery.start_soon(one, index, running.host, running.port)
    return [each for each in found if each is not None]


async def compare(cases: Sequence[Case]) -> tuple[list[str], set[str]]:
    """What of these conversations no difference explains, and the differences that were seen."""
    heard_out = [
        dataclasses.replace(case, ending="listen")
        for case in cases
        if case.ending in ("half_close", "listen")
    ]
    ours = await tell(Engine.TRIO, heard_out)
    others = await tell(Engine.PYNETDICOM, heard_out)
    unexplained, seen = [], set()
    for case, our, other in zip(heard_out, ours, others, strict=True):
        differences = explain(our, other)
        if differences is None:
            unexplained.append(f"{case.name}:\n  trio       {our}\n  pynetdicom {other}")
        else:
            seen |= {difference.title for difference in differences}
    return unexplained, seen


async def test_the_engines_differ_only_in_what_is_listed_and_in_all_of_it():
    unexplained, seen = await compare([*table.named(), *table.each_pdu_in_each_state()])
    assert unexplained == []
    assert {each.title for each in DIFFERENCES if not each.timely} <= seen


@pytest.mark.parametrize("surface", live.SURFACES)
async def test_generated_callers_find_no_other_difference(surface):
    made = live.make_cases(surface, seed=SEED, first=0, count=GENERATED)
    unexplained, _ = await compare([case for _, case in made])
    assert unexplained == []


def test_each_difference_is_told_to_users():
    page = PAGE.read_text(encoding="utf-8").lower()
    assert [each.title for each in DIFFERENCES if each.title.lower() not in page] == []


# The oracle itself


def aborted(source, reason, **others):
    return Told(
        **{"association": Accepted(), "responses": [], "ending": Aborted(source, reason), **others}
    )


@pytest.mark.parametrize(
    ("ours", "other"),
    [
        (aborted(0, 0), aborted(2, 0)),
        (aborted(2, 2), aborted(2, 1)),
        (aborted(2, 0), aborted(2, 6)),
        (aborted(2, 2, responses=[(0x8020, 0)]), aborted(2, 0, responses=[(0x8020, 0xA700)])),
        (aborted(2, 2, association=None), aborted(2, 0)),
        (aborted(2, 2), aborted(2, 0, association=Accepted({1: 0}))),
        (aborted(2, 1), aborted(2, 1, ending=None)),
    ],
)
def test_what_is_not_listed_is_found(ours, other):
    assert explain(ours, other) is None


async def test_an_answer_that_only_one_engine_gives_is_found():
    case = associated("an echo", messages.message(ECHO_ID, messages.echo()))
    (whole,) = await tell(Engine.TRIO, [dataclasses.replace(case, ending="listen")])
    assert whole.responses == [(0x8030, 0)]
    assert explain(dataclasses.replace(whole, responses=[(0x8030, 0x0211)]), whole) is None
