"""What Harmony has to reach, what it reached in this run, and the table of both."""

from __future__ import annotations

import enum
import math
from collections.abc import Sequence
from dataclasses import dataclass

_ROW_WIDTH = 58
_AGAINST_WIDTH = 26
_NUMBER_WIDTH = 14


class Measure(enum.Enum):
    """What a number counts; a goal is the least that is wanted of `TIMES`, else the most."""

    TIMES = "x"  # as fast as the other
    MILLISECONDS = " ms"
    SECONDS_A_GIB = " s/GiB"  # of processor time
    PERCENT = " %"  # of one core
    MIB = " MiB"
    COUNT = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """One goal, and what was reached; not a number where nothing could be measured.

    Attributes:
        against: who was measured beside it; empty for a goal by itself.
    """

    row: str
    against: str = ""
    measure: Measure = Measure.TIMES
    goal: float
    reached: float

    @property
    def is_met(self) -> bool:
        if self.measure is Measure.TIMES:
            return self.reached >= self.goal
        return self.reached <= self.goal

    def line(self) -> str:
        """As the table shows it."""
        sign = ">=" if self.measure is Measure.TIMES else "<="
        goal = f"{sign} {self.goal:g}{self.measure.value}"
        reached = "-" if math.isnan(self.reached) else f"{self._digits()}{self.measure.value}"
        return (
            self.row.ljust(_ROW_WIDTH)
            + self.against.ljust(_AGAINST_WIDTH)
            + goal.rjust(_NUMBER_WIDTH)
            + reached.rjust(_NUMBER_WIDTH)
            + ("  met" if self.is_met else "  NOT MET")
        )

    def _digits(self) -> str:
        if self.measure is Measure.COUNT:
            return f"{self.reached:.0f}"
        return f"{self.reached:.2f}" if self.reached < 10 else f"{self.reached:.0f}"


def print_scores(scores: Sequence[Score]) -> None:
    """The table of all rows that have a goal."""
    met = sum(score.is_met for score in scores)
    print(f"\nGoals: {met} of {len(scores)} met")
    head = "row".ljust(_ROW_WIDTH) + "against".ljust(_AGAINST_WIDTH)
    print(head + "goal".rjust(_NUMBER_WIDTH) + "reached".rjust(_NUMBER_WIDTH))
    for score in scores:
        print(score.line(), flush=True)
