"""Every example is valid, as it stands, and can be assembled; those in texts are valid, too."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import trio

from harmony.assembly import assemble
from harmony.cli.main import main
from harmony.config import load
from harmony.config.findings import Severity
from harmony.dimse.engines import Engines
from harmony.interfaces import ExchangeSummary

ROOT = Path(__file__).parents[2]
EXAMPLES = sorted((ROOT / "examples").glob("*/config.toml"))
TEXTS = (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))
BLOCK = re.compile(r"^```toml\n(.*?)^```", re.MULTILINE | re.DOTALL)
SNIPPETS = {
    f"{text.name} {number}": snippet
    for text in TEXTS
    for number, snippet in enumerate(BLOCK.findall(text.read_text(encoding="utf-8")))
}
# What a snippet of one backend alone leaves out.
AROUND = """
[pipelines.all]
endpoints = ["all"]
backends = ["pacs"]
[endpoints.all]
service = "http"
"""


class Nobody:
    def finished(self, summary: ExchangeSummary) -> None: ...


def test_there_are_examples():
    assert len(EXAMPLES) >= 6
    assert len(SNIPPETS) >= 3


@pytest.mark.parametrize("file", EXAMPLES, ids=lambda file: file.parent.name)
async def test_an_example_is_valid_and_can_be_assembled(file):
    loaded = load(file)
    assert [each for each in loaded.findings if each.severity is not Severity.NOTE] == []
    assert loaded.configuration is not None
    engines = Engines(threads=trio.CapacityLimiter(1))
    assembled = assemble(loaded.configuration, observer=Nobody(), engines=engines)
    assert assembled.pipelines


@pytest.mark.parametrize("snippet", SNIPPETS.values(), ids=SNIPPETS)
def test_a_snippet_is_valid(snippet, tmp_path, monkeypatch):
    monkeypatch.setenv("DICOMWEB_TOKEN", "secret")
    file = tmp_path / "config.toml"
    file.write_text(snippet if "[pipelines." in snippet else snippet + AROUND)
    errors = [each for each in load(file).findings if each.severity is Severity.ERROR]
    assert errors == []


def test_the_output_that_the_ci_example_shows_is_real(tmp_path, monkeypatch, capsys):
    folder = ROOT / "examples" / "ci"
    (shown,) = re.findall(r"^```\n(.*?)^```", (folder / "README.md").read_text(), re.M | re.S)
    monkeypatch.chdir(tmp_path)
    text = (folder / "config.toml").read_text()
    Path("config.toml").write_text(text.replace("bind_addr", "bind_adr"))
    workflow = (folder / ".github" / "workflows" / "harmony.yml").read_text()
    (words,) = re.findall(r"run: harmony (.*)", workflow)
    assert main(words.split()) == 1
    assert shown in capsys.readouterr().out
    Path("config.toml").write_text(text)
    assert main(words.split()) == 0
    (entry,) = re.findall(r"entry: harmony (.*)", (folder / ".pre-commit-config.yaml").read_text())
    assert main(entry.split()) == 0
