"""What `harmony validate` takes and prints."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from harmony.cli.main import main

OPEN = """
[networks.default]
bind_addr = "0.0.0.0"
[pipelines.p]
endpoints = ["e"]
backends = ["b"]
[endpoints.e]
service = "http"
[backends.b]
service = "http"
[backends.b.options]
url = "https://x"
bearer = { env = "HARMONY_NO_SUCH" }
tls = { ca_file = "none.pem" }
"""


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "config.toml").write_text(OPEN)
    return "config.toml"


@pytest.mark.parametrize(
    ("flags", "code"),
    [
        ((), 1),
        (("--no-files",), 1),
        (("--no-files", "--no-environment"), 0),
        (("--no-files", "--no-environment", "--deny-warnings"), 1),
        (("--no-files", "--no-environment", "--deny-warnings", "--ignore", "W304"), 0),
        (("--no-files", "--no-environment", "--deny-warnings", "--ignore", "w305"), 1),
        (("--ignore", "E302"), 2),
        (("--ignore", "W999"), 2),
        (("--format", "xml"), 2),
    ],
)
def test_flags_and_exit_codes(file: str, flags: tuple[str, ...], code: int) -> None:
    assert main(["validate", file, *flags]) == code


def test_each_format_has_every_finding(file: str, capsys: pytest.CaptureFixture[str]) -> None:
    shown = {}
    for name in ("text", "json", "github", "sarif"):
        assert main(["validate", file, "--format", name]) == 1
        shown[name] = capsys.readouterr().out
    found = json.loads(shown["json"])["findings"]
    codes = sorted(each["code"] for each in found)
    assert codes == ["HRM-E261", "HRM-E302", "HRM-W304"]
    assert all(code in shown["text"] for code in codes)
    assert sorted(line.partition("title=")[2][:8] for line in shown["github"].splitlines()) == codes
    results = json.loads(shown["sarif"])["runs"][0]["results"]
    assert sorted(each["ruleId"] for each in results) == codes


def test_what_cannot_be_ignored_is_said(file: str, capsys: pytest.CaptureFixture[str]) -> None:
    main(["validate", file, "--ignore", "E302"])
    assert "HRM-E302 is an error and cannot be ignored" in capsys.readouterr().err
    main(["validate", file, "--ignore", "W999"])
    assert "there is no rule 'W999'" in capsys.readouterr().err
