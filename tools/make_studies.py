"""Make DICOM studies to try Harmony with; no patient ever had them.

    python -m tools.make_studies OUT --studies 20 --series 2 --instances 50
    python -m tools.make_studies OUT --studies 6 --kind ct,mr,us,sc,pdf,sr --charset all

The same arguments give the same bytes. OUT gets one folder a study, and manifest.json.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from tests.support.studies import (
    CHARSETS,
    TRANSFER_SYNTAXES,
    UNDECLARED,
    Kind,
    Plan,
    write_studies,
)


def _kinds(text: str) -> tuple[Kind, ...]:
    return tuple(Kind) if text == "all" else tuple(Kind(word) for word in text.split(","))


def _charsets(text: str) -> tuple[str, ...]:
    known = (*CHARSETS, UNDECLARED)
    if text == "all":
        return known
    words = tuple(text.split(","))
    if unknown := [word for word in words if word not in known]:
        raise argparse.ArgumentTypeError(f"{unknown[0]}: write one of {', '.join(known)}")
    return words


def _count(text: str) -> int:
    number = int(text)
    if number < 1:
        raise ValueError
    return number


def main(arguments: list[str] | None = None) -> int:
    """Write the studies; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="make_studies",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("out", type=Path)
    for name, default in (("studies", 1), ("series", 1), ("instances", 1), ("size", 512)):
        parser.add_argument(f"--{name}", type=_count, default=default)
    parser.add_argument("--frames", type=_count, default=10, help="of an ultrasound loop")
    parser.add_argument(
        "--kind",
        type=_kinds,
        default=(Kind.CT,),
        dest="kinds",
        help=f"one a study, in turn: {','.join(Kind)}, or all",
    )
    parser.add_argument(
        "--charset",
        type=_charsets,
        default=("ascii",),
        dest="charsets",
        help=f"one a study, in turn: {','.join((*CHARSETS, UNDECLARED))}, or all",
    )
    parser.add_argument(
        "--ts", choices=TRANSFER_SYNTAXES, default="explicit", dest="transfer_syntax"
    )
    parser.add_argument("--private", action="store_true", help="add private elements")
    parser.add_argument("--seed", default="harmony")
    options = vars(parser.parse_args(arguments))
    made = write_studies(Plan(**{k: v for k, v in options.items() if k != "out"}), options["out"])
    size = sum(one.file.stat().st_size for one in made)
    print(f"{len(made)} instances, {size / 1e6:.1f} MB in {options['out']}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
