"""One table of the benchmark: cases as lines, contenders as columns, rounds in shuffled order.

Every round asks each contender once, after one round to warm up. A cell is the median, and in
brackets how many times as long as Harmony it took for as much. A slow contender gets fewer
rounds. Rounds in which a contender got less than there is, or failed, are counted as "short".
"""

from __future__ import annotations

import enum
import random
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tools.bench.goals import Measure, Score

CELL_SECONDS = 4.0  # after so long a contender gets no more rounds of a case
_TITLE_WIDTH = 32
_WIDTH = 25


class Unit(enum.Enum):
    """What a cell shows."""

    MILLISECONDS = enum.auto()
    MILLISECONDS_EACH = enum.auto()
    MEGABYTES = enum.auto()  # a second
    OBJECTS = enum.auto()  # a second
    REQUESTS = enum.auto()  # a second


@dataclass(frozen=True, slots=True)
class Sample:
    """One round of one contender: how long it took, and how much came of it."""

    seconds: float
    got: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One contender in one case.

    Attributes:
        run: does it once. It times itself, so that preparing and counting cost nothing.
        due: what it should get.
        goal: how many times as long as we it should take for as much, at least.
    """

    name: str
    run: Callable[[], Sample]
    due: int
    goal: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One line of a table; ours is the first entry.

    Attributes:
        weight: bytes of one of what is due, where megabytes are shown.
        row: its name among the goals, if not the title.
        most: milliseconds that each of what is due may take us.
    """

    title: str
    entries: Sequence[Entry]
    unit: Unit = Unit.MILLISECONDS
    weight: int = 1
    row: str = ""
    most: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """What one contender did in one case.

    Attributes:
        seconds: of the complete rounds.
        short: rounds in which less came than there was; their times do not count.
        due: what a complete round gets.
    """

    seconds: Sequence[float]
    short: int
    due: int

    @property
    def median(self) -> float:
        """Of the complete rounds; not a number without any."""
        return statistics.median(self.seconds) if self.seconds else float("nan")

    def times(self, other: Cell) -> float:
        """How many times as long as `other` this took for as much."""
        return (self.median / self.due) / (other.median / other.due)


def timed(work: Callable[[], int]) -> Sample:
    """Do something that returns what it got, all of it timed."""
    started = time.perf_counter()
    got = work()
    return Sample(time.perf_counter() - started, got)


def time_case(case: Case, rounds: int) -> list[Cell]:
    """Let all contenders do one case; one cell for each, in their order.

    Raises:
        SystemExit: the first contender, ours, got less than there is.
    """
    ours = case.entries[0]
    seconds: dict[str, list[float]] = {entry.name: [] for entry in case.entries}
    short = dict.fromkeys(seconds, 0)
    spent = dict.fromkeys(seconds, 0.0)
    for turn in range(rounds + 1):
        for entry in random.sample(case.entries, len(case.entries)):
            name = entry.name
            if turn and spent[name] > CELL_SECONDS:
                continue
            sample = _run(case, entry)
            spent[name] += sample.seconds
            if sample.got < entry.due:
                if entry is ours:
                    raise SystemExit(f"{case.title}: {name} got {sample.got} of {entry.due}")
                short[name] += 1
            # The first round warms up; it counts where a second would take too long.
            elif turn or sample.seconds > CELL_SECONDS:
                seconds[name].append(sample.seconds)
    return [
        Cell(seconds=seconds[entry.name], short=short[entry.name], due=entry.due)
        for entry in case.entries
    ]


def _run(case: Case, entry: Entry) -> Sample:
    started = time.perf_counter()
    try:
        return entry.run()
    except (OSError, RuntimeError, ValueError) as exc:
        print(f"{case.title}: {entry.name}: {exc}", file=sys.stderr)
        return Sample(time.perf_counter() - started, -1)


def print_head(title: str, names: Sequence[str]) -> None:
    """Begin a table."""
    print(f"\n{title}")
    print(" " * _TITLE_WIDTH + "".join(name.rjust(_WIDTH) for name in names), flush=True)


def print_case(case: Case, rounds: int) -> list[Score]:
    """Time one case and add its line to the table; what became of its goals."""
    cells = time_case(case, rounds)
    texts = [text(case, cell, cells[0]).rjust(_WIDTH) for cell in cells]
    print(case.title.ljust(_TITLE_WIDTH) + "".join(texts), flush=True)
    return scores_of(case, cells)


def scores_of(case: Case, cells: Sequence[Cell]) -> list[Score]:
    """What a case that was timed says about its goals."""
    row, ours = case.row or case.title, cells[0]
    scores = [
        Score(row=row, against=entry.name, goal=entry.goal, reached=cell.times(ours))
        for entry, cell in zip(case.entries, cells, strict=True)
        if entry.goal is not None
    ]
    if case.most is not None:
        each = ours.median / ours.due * 1e3
        scores.append(Score(row=row, measure=Measure.MILLISECONDS, goal=case.most, reached=each))
    return scores


def text(case: Case, cell: Cell, ours: Cell) -> str:
    """What a cell shows."""
    match case.unit:
        case Unit.MILLISECONDS:
            value = f"{cell.median * 1e3:.1f} ms"
        case Unit.MILLISECONDS_EACH:
            value = f"{cell.median / cell.due * 1e3:.3f} ms"
        case Unit.MEGABYTES:
            value = f"{cell.due * case.weight / cell.median / 1e6:.0f} MB/s"
        case Unit.OBJECTS:
            value = f"{cell.due / cell.median:.0f} objects/s"
        case Unit.REQUESTS:
            value = f"{cell.due / cell.median:.0f} requests/s"
    ratio = "" if cell is ours else f" ({cell.times(ours):.1f}x)"
    lost = f" [{cell.short} short]" if cell.short else ""
    return value + ratio + lost
