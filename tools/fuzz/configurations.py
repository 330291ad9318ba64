"""Configuration files: right ones, those with one defect, and spoilt bytes."""

from __future__ import annotations

import random
import tempfile
from pathlib import Path

from harmony.config.findings import Loaded
from harmony.config.loading import load_files
from harmony.config.report import render_json, render_text
from tests.support.generated_configurations import spoilt, valid, with_defect
from tools.fuzz.surface import Surface, Wrong

_BITS = 48


def _make(rng: random.Random) -> tuple[str, bytes]:
    """The variant says at which lines a finding must be: ``right`` for at none, or ``any``."""
    seed = rng.getrandbits(_BITS)
    what = rng.choice(("right", "defect", "any"))
    if what == "right":
        return what, valid(seed).text.encode()
    if what == "any":
        return what, spoilt(seed)
    made = with_defect(seed)
    return ",".join(str(line) for line in sorted(made.lines)), made.text.encode()


def _check(variant: str, data: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "config.toml"
        file.write_bytes(data)
        found = load_files(file)
    render_text(found, verbose=True)
    render_json(found)
    valid_file = found.configuration is not None
    if variant == "right":
        if found.findings or not valid_file:
            raise Wrong("there is a finding about a right configuration")
    elif not (found.findings or valid_file):
        raise Wrong("it is not valid, and nothing says why")
    elif variant != "any" and not (_lines(found) & {int(line) for line in variant.split(",")}):
        raise Wrong("no finding is at the defect")


def _lines(found: Loaded) -> set[int]:
    lines = {each.span.start.line for each in found.findings}
    return lines | {other.span.start.line for each in found.findings for other in each.related}


SURFACES = {"configuration": Surface(make=_make, check=_check)}
