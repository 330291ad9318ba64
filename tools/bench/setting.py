"""What every part of the benchmark is given."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from harmony.dimse.engines import DEFAULT_ENGINE, Engine
from tools.bench.goals import Score
from tools.bench.series import Shelf
from tools.bench.timing import Case, print_case

_MODES: Final = ((True, "sending at once (TCP_NODELAY=1)"), (False, "as installed"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """How a run is done, and what it has come to so far.

    Attributes:
        disk: an empty folder.
        memory: an empty folder that costs no disk, if there is room for one.
        rounds: of each case.
        sends: rounds of cases that send many objects.
        shelf: what the PACS hold.
        quick: whether there is less bulk.
        engine: that Harmony runs on.
        scores: of the rows that have a goal, in order.
    """

    disk: Path
    memory: Path
    rounds: int
    sends: int
    shelf: Shelf
    quick: bool = False
    engine: Engine = DEFAULT_ENGINE
    scores: list[Score] = field(default_factory=list)

    def print_case(self, case: Case, rounds: int) -> None:
        """Time one case, add its line to the table, and its goals to the scores."""
        self.scores.extend(print_case(case, rounds))

    def score(self, *scores: Score) -> None:
        """Keep what was reached."""
        self.scores.extend(scores)


def modes() -> Iterable[tuple[bool, str]]:
    """Whether DCMTK and Orthanc send at once, and how a table says so."""
    return _MODES
