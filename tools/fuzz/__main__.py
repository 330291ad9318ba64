"""Throw generated cases at everything that reads what a peer or a client sends.

    python -m tools.fuzz [--cases N] [--seed N] [--surface command,elements,...]

In this process: command sets, fragments, PDUs, connections in each state (`connection`), data
sets, identifiers, heads of files, what is cut out of instances (`pixels`), paths, queries and
Accept of DICOMweb (`request`), multipart bodies, configuration files. Before a real `dicom`
endpoint, on sockets: spoilt PDUs (`pdu`), and spoilt requests on good associations (`live`).
A case that fails is written to tests/corpus, where the tests replay it from then on; with the
printed seed, its surface and its number it can be made again.
"""

from __future__ import annotations

import argparse
import io
import random
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import trio

from harmony.telemetry.log import configured
from tests.support.bad_caller.serving import serve_dicom
from tests.support.leak_watch import assert_nothing_left, snapshot
from tools.fuzz import corpus, inprocess, live, surfaces
from tools.fuzz.inprocess import Finding

# How many cases each surface gets; a connection costs a hundred times a call.
_CASES = {
    "command": 150_000,
    "fragments": 150_000,
    "decode": 200_000,
    "connection": 200_000,
    "elements": 28_000,
    "identifier": 24_000,
    "peek": 8_000,
    "part10": 8_000,
    "pixels": 24_000,
    "request": 20_000,
    "multipart": 50_000,
    "configuration": 100_000,
    "pdu": 2_000,
    "live": 2_000,
}
_SHOWN = 20


def main(arguments: list[str] | None = None) -> int:
    """Run; returns the exit code: 1 if there was a finding."""
    parser = argparse.ArgumentParser(
        prog="fuzz", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--cases", type=int, help="over all surfaces; by default as many as each is worth"
    )
    parser.add_argument("--seed", type=int, help="by default another one each time")
    parser.add_argument("--first", type=int, default=0, help="number of each surface's first case")
    parser.add_argument(
        "--surface", type=_surfaces, default=tuple(_CASES), help=f"of {','.join(_CASES)}"
    )
    parser.add_argument("--corpus", type=Path, default=corpus.FOLDER)
    options = parser.parse_args(arguments)
    seed = random.SystemRandom().randrange(1 << 32) if options.seed is None else options.seed
    print(f"seed {seed}", flush=True)
    found = 0
    before = snapshot()
    for surface in options.surface:
        worth = sum(_CASES[name] for name in options.surface)
        count = -(-(options.cases or worth) * _CASES[surface] // worth)
        began = time.monotonic()
        findings = _run(surface, seed=seed, first=options.first, count=count)
        print(
            f"{surface:12}{count:>8} cases {time.monotonic() - began:>8.1f} s"
            f" {len(findings):>5} findings",
            flush=True,
        )
        _report(findings, options.corpus)
        found += len(findings)
    try:
        assert_nothing_left(before)
    except AssertionError as exc:
        print(exc)
        found += 1
    return 1 if found else 0


def _run(surface: str, *, seed: int, first: int, count: int) -> Sequence[Finding]:
    if surface in surfaces.SURFACES:
        return list(inprocess.run(surface, seed=seed, first=first, count=count))
    told = io.StringIO()
    with configured("warning", "json", told):
        findings = trio.run(_run_live, surface, seed, first, count)
    about = (
        f"about cases {first} to {first + count - 1}: {why}"
        for why in live.log_faults(told.getvalue())
    )
    return [
        *findings,
        *(Finding(surface=surface, index=first, why=why, case=None) for why in about),
    ]


async def _run_live(surface: str, seed: int, first: int, count: int) -> Sequence[Finding]:
    async with serve_dicom() as served:
        cases = live.make_cases(surface, seed=seed, first=first, count=count)
        return await live.run(surface, cases, live.Address(served.host, served.port))


def _report(findings: Sequence[Finding], folder: Path) -> None:
    for finding in findings[:_SHOWN]:
        kept = ""
        if finding.case is not None:
            kept = f" -> {corpus.save(finding.case, finding.why, folder)}"
        print(f"  {finding.surface} {finding.index}: {finding.why}{kept}", flush=True)
    if len(findings) > _SHOWN:
        print(f"  and {len(findings) - _SHOWN} more, not kept")


def _surfaces(text: str) -> tuple[str, ...]:
    names = tuple(text.split(","))
    if unknown := [name for name in names if name not in _CASES]:
        raise argparse.ArgumentTypeError(f"{unknown[0]}: write one of {', '.join(_CASES)}")
    return names


if __name__ == "__main__":
    sys.exit(main())
