"""Time Harmony beside DCMTK, Orthanc and plain pynetdicom, in both of its roles.

    python -m tools.bench [PART ...] [--rounds N] [--quick] [--engine NAME]

Parts, all by default:

{parts}

Needs Orthanc and DCMTK. Where these matter a part has two tables: with Orthanc and DCMTK sending
at once (TCP_NODELAY=1), and as they are installed, with Nagle's algorithm on. Every round asks
each contender once, in shuffled order, after one round to warm up. A cell is the median, and in
brackets how many times as long as Harmony it took for as much. A slow contender gets fewer
rounds, and so do all where objects are sent. Rounds in which others got less than there is, or
failed, are counted as "short". What is sent lies in memory; archives lie where temporary files
do, so set TMPDIR to measure another disk.

At the end there is a table of the rows that have a goal. Where peers matter, a goal is about
peers as they are installed, unless the row says otherwise.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import textwrap
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from harmony.dimse.engines import DEFAULT_ENGINE, Engine
from tools.bench import (
    asking,
    calling,
    ending,
    finding,
    forwarding,
    idling,
    losing,
    over_dicomweb,
    over_http,
    receiving,
    relaying,
    storing,
    validating,
)
from tools.bench.goals import print_scores
from tools.bench.objects import memory_folder
from tools.bench.series import Shelf
from tools.bench.setting import Setting


@dataclass(frozen=True, slots=True)
class Part:
    """Some tables."""

    print_tables: Callable[[Setting], None]
    about: str


PARTS = {
    "http": Part(over_http.print_tables, "HTTP to C-FIND: Harmony, Orthanc REST, findscu"),
    "dicomweb": Part(over_dicomweb.print_tables, "DICOMweb: Harmony, and Orthanc's plugin"),
    "call": Part(calling.print_tables, "C-ECHO, C-FIND, C-GET, C-STORE out, without HTTP"),
    "lost": Part(losing.print_tables, "C-FIND at 32 at once: how fast, and how many are lost"),
    "receive": Part(receiving.print_tables, "C-STORE in, discarded: Harmony, pynetdicom, Orthanc"),
    "forward": Part(forwarding.print_tables, "C-STORE through, its CPU and memory; 2 GB at once"),
    "idle": Part(idling.print_tables, "CPU of associations that are held"),
    "end": Part(ending.print_tables, "10,000 connects and drops; a stop while 100 are busy"),
    "ask": Part(asking.print_tables, "C-ECHO, C-FIND, C-GET at Orthanc by Harmony's JSON API"),
    "store": Part(storing.print_tables, "C-STORE in: Harmony's archive, storescp, Orthanc"),
    "relay": Part(relaying.print_tables, "C-STORE through: Harmony, nobody, pynetdicom"),
    "validate": Part(validating.print_tables, "the command line: --help, and validate"),
    "find": Part(finding.print_tables, "C-FIND in: Harmony's archive, dcmqrscp, Orthanc"),
}


def main(arguments: list[str] | None = None) -> int:
    """Print the tables; returns the exit code."""
    options = _parse(arguments)
    rounds = 3 if options.quick else max(options.rounds, 1)
    with (
        tempfile.TemporaryDirectory(prefix="harmony-bench-") as on_disk,
        tempfile.TemporaryDirectory(prefix="harmony-bench-", dir=memory_folder()) as in_memory,
    ):
        setting = Setting(
            disk=Path(on_disk),
            memory=Path(in_memory),
            rounds=rounds,
            sends=max(rounds // 3, min(rounds, 3)),
            shelf=Shelf(Path(on_disk)),
            quick=options.quick,
            engine=options.engine,
        )
        for name in options.parts or PARTS:
            PARTS[name].print_tables(setting)
    if setting.scores:
        print_scores(setting.scores)
    return 0


def _parse(arguments: list[str] | None) -> argparse.Namespace:
    parts = "\n".join(f"{name:<9}{part.about}" for name, part in PARTS.items())
    assert __doc__ is not None
    parser = argparse.ArgumentParser(
        prog="python -m tools.bench",
        description=__doc__.format(parts=textwrap.indent(parts, "    ")),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("parts", nargs="*", metavar="PART", help=", ".join(PARTS))
    parser.add_argument("--rounds", type=int, default=9, metavar="N")
    parser.add_argument("--quick", action="store_true", help="three rounds, less bulk")
    parser.add_argument("--engine", type=Engine, choices=Engine, default=DEFAULT_ENGINE)
    options = parser.parse_args(arguments)
    if unknown := sorted(set(options.parts) - set(PARTS)):
        parser.error(f"no such part: {', '.join(unknown)}; there are {', '.join(PARTS)}")
    return options


if __name__ == "__main__":
    sys.exit(main())
