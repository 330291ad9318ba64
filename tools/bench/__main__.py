"""Time Harmony beside DCMTK, Orthanc and plain pynetdicom, in both of its roles.

    python -m tools.bench [PART ...] [--rounds N] [--quick]

Parts, all by default:

    ask    HTTP in: C-ECHO, C-FIND and C-GET at Orthanc, by way of Harmony's JSON API
    store  C-STORE in: Harmony's archive, storescp, Orthanc
    relay  C-STORE through: Harmony, nobody, pynetdicom
    find   C-FIND in: Harmony's archive, dcmqrscp, Orthanc

Needs Orthanc and DCMTK. A part has two tables: with Orthanc and DCMTK sending at once
(TCP_NODELAY=1), and as they are installed, with Nagle's algorithm on. Every round asks each
contender once, in shuffled order, after one round to warm up. A cell is the median, and in
brackets how many times as long as Harmony it took for as much. A slow contender gets fewer
rounds, and so do all where objects are sent. Rounds in which others got less than there is are
counted as "short". What is sent lies in memory; archives lie where temporary files do, so set
TMPDIR to measure another disk.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from tools.bench import asking, finding, relaying, storing
from tools.bench.objects import memory_folder
from tools.bench.series import make_series

PARTS = ("ask", "store", "relay", "find")
_ROWS = (1, 100, 1000)
_BULK = (100, 512)  # instances, and rows and columns of each
_QUICK_BULK = (20, 512)


def main(arguments: list[str] | None = None) -> int:
    """Print the tables; returns the exit code."""
    options = _parse(arguments)
    parts: list[str] = options.parts or list(PARTS)
    rounds = 3 if options.quick else max(options.rounds, 1)
    sends = max(rounds // 3, min(rounds, 3))
    with (
        tempfile.TemporaryDirectory(prefix="harmony-bench-") as on_disk,
        tempfile.TemporaryDirectory(prefix="harmony-bench-", dir=memory_folder()) as in_memory,
    ):
        disk, memory = Path(on_disk), Path(in_memory)
        finds = [make_series(disk, rows, 16) for rows in _ROWS]
        if "ask" in parts:
            bulk = make_series(disk, *(_QUICK_BULK if options.quick else _BULK))
            asking.print_tables(disk, finds, bulk, rounds)
        if "store" in parts:
            storing.print_tables(disk, memory, sends, quick=options.quick)
        if "relay" in parts:
            relaying.print_tables(memory, sends, quick=options.quick)
        if "find" in parts:
            finding.print_tables(disk, finds, rounds)
    return 0


def _parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tools.bench",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("parts", nargs="*", metavar="PART", help=", ".join(PARTS))
    parser.add_argument("--rounds", type=int, default=15, metavar="N")
    parser.add_argument("--quick", action="store_true", help="three rounds, less bulk")
    options = parser.parse_args(arguments)
    if unknown := sorted(set(options.parts) - set(PARTS)):
        parser.error(f"no such part: {', '.join(unknown)}; there are {', '.join(PARTS)}")
    return options


if __name__ == "__main__":
    sys.exit(main())
