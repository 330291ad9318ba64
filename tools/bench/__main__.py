"""Time small requests and bulk: Harmony beside DCMTK processes and plain pynetdicom.

    python -m tools.bench [--rounds N] [--quick]

Needs Orthanc and DCMTK. There are two tables: with Orthanc and DCMTK sending at once
(TCP_NODELAY=1), and as they are installed, with Nagle's algorithm on. Every round asks each
contender once, in shuffled order, after one round to warm up. A cell is the median, and in
brackets how many times as long as Harmony it took. A slow contender gets fewer rounds. Rounds
in which others got less than there is are counted as "short".
"""

from __future__ import annotations

import argparse
import contextlib
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.support.pacs import Pacs, ProcessPacs
from tests.support.processes import Program, accepts, free_port
from tools.bench.contenders import Contender, Dcmtk, Harmony, Pynetdicom
from tools.bench.series import Series, archive, make_series

_ROWS = (1, 100, 1000)
_BULK = (100, 512)  # instances, and rows and columns of each
_QUICK_BULK = (20, 512)
_CELL_SECONDS = 4.0  # after so long a contender gets no more rounds of a case
_WIDTH = 26
_CONFIG = """\
[admin]
enabled = false
[networks.default]
http = {{ port = {http} }}
[pipelines.bench]
endpoints = ["api"]
backends = ["pacs"]
[endpoints.api]
service = "http"
options = {{ path_prefix = "/dicom" }}
[backends.pacs]
service = "dicom"
options = {{ aet = "{aet}", host = "{host}", port = {port}, local_aet = "BENCH" }}
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One line of the table.

    Attributes:
        ask: asks one contender; returns what it got.
        due: what it should have got; for bulk, bytes.
        bulk: shown as MB/s, not as milliseconds.
    """

    title: str
    ask: Callable[[Contender], int]
    due: int
    bulk: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """What one contender did in one case.

    Attributes:
        short: rounds in which less came than there was; their times do not count.
    """

    seconds: Sequence[float]
    short: int

    @property
    def median(self) -> float:
        """Of the complete rounds; not a number without any."""
        return statistics.median(self.seconds) if self.seconds else float("nan")


def main(arguments: list[str] | None = None) -> int:
    """Print both tables; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m tools.bench",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--rounds", type=int, default=15, metavar="N")
    parser.add_argument("--quick", action="store_true", help="three rounds, less bulk")
    options = parser.parse_args(arguments)
    rounds = 3 if options.quick else max(options.rounds, 1)
    with tempfile.TemporaryDirectory(prefix="harmony-bench-") as name:
        folder = Path(name)
        finds = [make_series(folder, rows, 16) for rows in _ROWS]
        bulk = make_series(folder, *(_QUICK_BULK if options.quick else _BULK))
        for nodelay in (True, False):
            root = folder / f"nodelay-{nodelay}"
            root.mkdir()
            print_table(root, cases(finds, bulk), (*finds, bulk), rounds, nodelay=nodelay)
    return 0


def cases(finds: Sequence[Series], bulk: Series) -> list[Case]:
    """The lines of a table."""
    return [
        Case(title="C-ECHO", ask=lambda contender: contender.echo(), due=1),
        *(
            Case(
                title=f"C-FIND, {series.instances} {'row' if series.instances == 1 else 'rows'}",
                ask=lambda contender, series=series: contender.find(series),  # type: ignore[misc]
                due=series.instances,
            )
            for series in finds
        ),
        Case(
            title=f"C-GET, {bulk.pixel_bytes / 1e6:.0f} MB",
            ask=lambda contender: contender.get(bulk),
            due=bulk.pixel_bytes,
            bulk=True,
        ),
    ]


def print_table(
    root: Path, lines: Sequence[Case], content: Sequence[Series], rounds: int, *, nodelay: bool
) -> None:
    """Start a PACS with this content and Harmony before it, and time all cases."""
    how = "sending at once (TCP_NODELAY=1)" if nodelay else "as installed"
    with ProcessPacs(root / "pacs", nodelay=nodelay) as pacs, harmony(root, pacs) as ours:
        for series in content:
            pacs.rest("POST", "/instances", archive(series), seconds=120)
        contenders = (ours, Dcmtk(pacs, nodelay=nodelay), Pynetdicom(pacs))
        print(f"\nOrthanc and DCMTK {how}; median of up to {rounds} rounds")
        print(" " * 20 + "".join(contender.name.rjust(_WIDTH) for contender in contenders))
        for case in lines:
            cells = time_case(case, contenders, rounds)
            texts = [_text(case, cell, cells[0]).rjust(_WIDTH) for cell in cells]
            print(case.title.ljust(20) + "".join(texts), flush=True)


def time_case(case: Case, contenders: Sequence[Contender], rounds: int) -> list[Cell]:
    """Let all contenders do one case; one cell for each, in their order.

    Raises:
        SystemExit: the first contender, ours, got less than there is.
    """
    seconds: dict[str, list[float]] = {contender.name: [] for contender in contenders}
    short = dict.fromkeys(seconds, 0)
    spent = dict.fromkeys(seconds, 0.0)
    for turn in range(rounds + 1):
        for contender in random.sample(contenders, len(contenders)):
            name = contender.name
            if turn and spent[name] > _CELL_SECONDS:
                continue
            started = time.perf_counter()
            got = case.ask(contender)
            took = time.perf_counter() - started
            spent[name] += took
            if got < case.due:
                if contender is contenders[0]:
                    raise SystemExit(f"{case.title}: {name} got {got} of {case.due}")
                short[name] += 1
            # The first round warms up; it counts where a second would take too long.
            elif turn or took > _CELL_SECONDS:
                seconds[name].append(took)
    return [Cell(seconds=seconds[name], short=short[name]) for name in seconds]


def _text(case: Case, cell: Cell, ours: Cell) -> str:
    value = (
        f"{case.due / cell.median / 1e6:.0f} MB/s" if case.bulk else f"{cell.median * 1e3:.1f} ms"
    )
    ratio = "" if cell is ours else f" ({cell.median / ours.median:.1f}x)"
    lost = f" [{cell.short} short]" if cell.short else ""
    return value + ratio + lost


@contextlib.contextmanager
def harmony(root: Path, pacs: Pacs) -> Iterator[Harmony]:
    """A `harmony serve` process in front of the PACS, and a client of it."""
    http = free_port()
    config = root / "config.toml"
    config.write_text(_CONFIG.format(http=http, aet=pacs.ae_title, host=pacs.host, port=pacs.port))
    command = (sys.executable, "-m", "harmony", "serve", config)
    program = Program(command, root / "harmony.log", nodelay=False)
    try:
        program.wait_until(lambda: accepts("127.0.0.1", http))
        with contextlib.closing(Harmony("127.0.0.1", http, "/dicom")) as client:
            yield client
    finally:
        program.stop()


if __name__ == "__main__":
    sys.exit(main())
