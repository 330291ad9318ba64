import json
from pathlib import Path

import pytest

import harmony
from harmony.config.annotations import render_github
from harmony.config.loading import load_files
from harmony.config.report import render_json, render_text
from harmony.config.sarif import render_sarif
from tests.support.configuration import BACKEND, WHOLE, load_text

GOLDEN = Path(__file__).parent / "golden"


@pytest.fixture
def ten_mistakes(monkeypatch):
    monkeypatch.chdir(GOLDEN)
    return load_files(Path("config.toml"))


def test_ten_mistakes_are_ten_findings_of_different_rules(ten_mistakes):
    assert len({finding.code for finding in ten_mistakes.findings}) == 10


def test_text_of_ten_mistakes(ten_mistakes):
    assert render_text(ten_mistakes) == (GOLDEN / "findings.txt").read_text(encoding="utf-8")


def test_json_of_ten_mistakes(ten_mistakes):
    assert render_json(ten_mistakes) == (GOLDEN / "findings.json").read_text(encoding="utf-8")


def test_a_valid_file_is_a_line(tmp_path):
    loaded = load_text(tmp_path, WHOLE)
    assert render_text(loaded) == "0 errors, 0 warnings in 1 file.\n"
    document = json.loads(render_json(loaded))
    assert document["valid"] is True
    assert document["findings"] == document["skipped"] == []


def test_a_warning_leaves_the_file_valid(tmp_path):
    loaded = load_text(tmp_path, BACKEND)
    assert render_text(loaded).endswith(
        "0 errors, 1 warning in 1 file. `harmony explain HRM-W204` says more.\n"
    )
    document = json.loads(render_json(loaded))
    assert (document["valid"], document["error_count"], document["warning_count"]) == (True, 0, 1)


def test_notes_are_for_the_curious(tmp_path):
    loaded = load_text(tmp_path, WHOLE, {"pipelines/a.toml": "", "pipelines/b.txt": ""})
    assert "HRM-N006" not in render_text(loaded) + render_json(loaded)
    assert "note[HRM-N006]" in render_text(loaded, verbose=True)
    assert "HRM-N006" in render_json(loaded, verbose=True)


def test_a_clash_names_both_places(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    loaded = load_text(Path(), WHOLE, {"pipelines/a.toml": BACKEND})
    assert "   = config.toml:6:11: the first definition\n" in render_text(loaded)
    (finding,) = json.loads(render_json(loaded))["findings"]
    assert finding["range"]["file"] == "pipelines/a.toml"
    assert finding["related"][0]["range"]["file"] == "config.toml"
    assert finding["related"][0]["range"]["start"] == {"line": 6, "column": 11}


def test_what_was_not_checked_is_said(tmp_path):
    text = render_text(load_text(tmp_path, WHOLE, {"pipelines/a.toml": "x = "}))
    assert "\nnot checked: names (rules 201 to 209, 225): " in text


def test_colours_are_used_when_asked_for(tmp_path):
    loaded = load_text(tmp_path, "x = 1")
    assert "\x1b" not in render_text(loaded)
    assert "\x1b[1;31merror[HRM-E103]:\x1b[0m" in render_text(loaded, colour=True)


def test_control_characters_of_a_file_reach_no_terminal(tmp_path):
    text = '"\\u001b[2J\\n::error::x" = 1\nlog.level = "\\u001b]0;\\u0007\u202e"\n'
    loaded = load_text(tmp_path, text)
    shown = render_text(loaded)
    assert shown.replace("\n", "").isprintable()
    assert len(shown.splitlines()) == 4 + 4 + 2  # two blocks, what was not checked, the counts
    assert render_json(loaded).isascii()


# Other formats


def test_annotations_of_ten_mistakes(ten_mistakes):
    assert render_github(ten_mistakes) == (GOLDEN / "findings.github").read_text(encoding="utf-8")


def test_sarif_of_ten_mistakes(ten_mistakes):
    shown = render_sarif(ten_mistakes).replace(harmony.__version__, "VERSION")
    assert shown == (GOLDEN / "findings.sarif").read_text(encoding="utf-8")


def test_sarif_keeps_its_fingerprints_when_lines_move(tmp_path):
    def prints(text):
        results = json.loads(render_sarif(load_text(tmp_path, text)))["runs"][0]["results"]
        return [each["partialFingerprints"] for each in results]

    assert prints(BACKEND) == prints("\n\n" + BACKEND) != []


def test_annotations_have_errors_first_and_escape_what_ends_a_field(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a,b:c%").mkdir()
    monkeypatch.chdir(tmp_path / "a,b:c%")
    text = BACKEND + '[proxy]\n"x%\\n::error::y" = 1\n'
    lines = render_github(load_text(tmp_path / "a,b:c%", text)).splitlines()
    assert [line.split(" ")[0] for line in lines] == ["::error", "::warning"]
    assert not any(line.startswith("::error::") for line in lines)
    assert "%25" in lines[0]


def test_every_format_hides_secrets(tmp_path):
    text = BACKEND + "[proxy]\npassword = 'hunter2'\n"
    loaded = load_text(tmp_path, text)
    for render in (render_text, render_json, render_github, render_sarif):
        assert "hunter2" not in render(loaded, verbose=True)
