"""Every example is valid, as it stands, and can be assembled; those in texts, too."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import trio

from harmony.assembly import assemble
from harmony.config import load
from harmony.config.findings import Severity
from harmony.dimse.engines import Engines
from harmony.interfaces import ExchangeSummary

ROOT = Path(__file__).parents[2]
EXAMPLES = sorted((ROOT / "examples").glob("*/config.toml"))
SNIPPETS = [
    (f"{text.name} {number}", snippet)
    for text in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))
    for number, snippet in enumerate(
        re.findall(r"^```toml\n(.*?)^```", text.read_text(), re.M | re.S)
    )
]


class Nobody:
    def finished(self, summary: ExchangeSummary) -> None: ...


def test_there_are_examples():
    assert len(EXAMPLES) >= 6


@pytest.mark.parametrize("file", EXAMPLES, ids=lambda file: file.parent.name)
async def test_an_example_is_valid_and_can_be_assembled(file):
    loaded = load(file)
    assert loaded.findings == ()
    assert loaded.configuration is not None
    engines = Engines(threads=trio.CapacityLimiter(1))
    assembled = assemble(loaded.configuration, observer=Nobody(), engines=engines)
    assert assembled.pipelines


@pytest.mark.parametrize(
    "snippet", [each for _, each in SNIPPETS], ids=[name for name, _ in SNIPPETS]
)
def test_a_snippet_has_no_error(snippet, tmp_path):
    file = tmp_path / "config.toml"
    file.write_text(snippet)
    loaded = load(file)
    errors = [each for each in loaded.findings if each.severity is Severity.ERROR]
    # A part of a file may lack what the rest has.
    assert [each for each in errors if "[pipelines." in snippet] == []
