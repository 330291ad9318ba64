"""Generated configurations: silence about what is right, and the line of what is not."""

from __future__ import annotations

from pathlib import Path

import pytest

from harmony.config.findings import Loaded, Severity
from harmony.config.loading import load_files
from harmony.config.report import render_json, render_text
from tests.support.generated_configurations import Generated, spoilt, valid, with_defect

CASES = 2000
BATCH = 100
FIRST = range(0, CASES, BATCH)


def loaded(folder: Path, text: bytes) -> Loaded:
    file = folder / "config.toml"
    file.write_bytes(text)
    return load_files(file)


def shown(generated: Generated, seed: int, found: Loaded) -> str:
    """For whoever reads that a test failed."""
    said = render_text(found, verbose=True)
    return f"seed {seed}, {generated.defect or 'valid'}:\n{generated.text}\n{said}"


@pytest.mark.parametrize("first", FIRST)
def test_what_is_right_is_found_right(first: int, tmp_path: Path) -> None:
    for seed in range(first, first + BATCH):
        generated = valid(seed)
        found = loaded(tmp_path, generated.text.encode())
        assert not found.findings, shown(generated, seed, found)
        assert found.configuration is not None


@pytest.mark.parametrize("first", FIRST)
def test_a_defect_is_found_where_it_is(first: int, tmp_path: Path) -> None:
    for seed in range(first, first + BATCH):
        generated = with_defect(seed)
        found = loaded(tmp_path, generated.text.encode())
        errors = [each for each in found.findings if each.severity is Severity.ERROR]
        lines = {each.span.start.line for each in errors}
        lines |= {other.span.start.line for each in errors for other in each.related}
        assert lines & generated.lines, shown(generated, seed, found)
        assert found.configuration is None


@pytest.mark.parametrize("first", range(0, CASES // 2, BATCH))
def test_spoilt_bytes_end_in_findings_or_are_valid(first: int, tmp_path: Path) -> None:
    for seed in range(first, first + BATCH):
        found = loaded(tmp_path, spoilt(seed))
        assert found.findings or found.configuration is not None, seed
        render_text(found, verbose=True)
        render_json(found)
