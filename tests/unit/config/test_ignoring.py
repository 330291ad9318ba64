"""Warnings that a comment takes away, with a reason."""

from __future__ import annotations

from pathlib import Path

import pytest

from harmony.config import load
from tests.support.configuration import WHOLE, codes, load_text, only

OPEN = '[networks.default]\nbind_addr = "0.0.0.0"'
IGNORE = "# harmony: ignore W304 behind the firewall"


@pytest.mark.parametrize(
    "network",
    [
        f"{OPEN}  {IGNORE}",
        OPEN.replace("bind", f"{IGNORE}\nbind"),
        f"{OPEN}  # harmony: ignore HRM-W304 why",
        f"{OPEN}  #harmony:ignore w304 why",
        f"{OPEN}  # harmony: ignore 304 why",
    ],
)
def test_a_warning_is_ignored_on_its_line_and_from_the_line_above(
    network: str, tmp_path: Path
) -> None:
    assert codes(load_text(tmp_path, f"{network}\n{WHOLE}")) == []


@pytest.mark.parametrize(
    ("network", "expected"),
    [
        (f"{IGNORE}\n{OPEN}", ["HRM-W011", "HRM-W304"]),
        (f"{OPEN}\n{IGNORE}", ["HRM-W304", "HRM-W011"]),
        (OPEN.replace("bind", f"{IGNORE}\n\nbind"), ["HRM-W011", "HRM-W304"]),
        (f"{OPEN}  # harmony: ignore W304", ["HRM-E013"]),
        (f"{OPEN}  # harmony: ignore W999 why", ["HRM-W304", "HRM-W011"]),
        (f"{OPEN}  # harmony: ignore", ["HRM-W304", "HRM-E013"]),
        (f"{OPEN}  # harmony: ignored W304 why", ["HRM-W304"]),
        (f"{OPEN}  # Harmony: ignore W304 why", ["HRM-W304"]),
        (f"[proxy]\nid = 'x {IGNORE}'\n{OPEN}", ["HRM-W304"]),
        (
            f"[networks.default]\nbind_addr = 'x'  {IGNORE.replace('W304', 'E246')}",
            ["HRM-E246", "HRM-E012"],
        ),
    ],
)
def test_a_comment_that_does_not_is_told(network: str, expected: list[str], tmp_path: Path) -> None:
    assert codes(load_text(tmp_path, f"{network}\n{WHOLE}")) == expected


def test_the_finding_about_a_comment_is_at_the_comment(tmp_path: Path) -> None:
    text = f"[proxy]\nid = 'x'  {IGNORE}\n{WHOLE}"
    found = only(load_text(tmp_path, text), "HRM-W011")
    assert (found.span.start.line, found.span.start.column) == (2, 11)
    assert found.excerpt is not None
    assert found.excerpt.text == f"id = 'x'  {IGNORE}"


def test_codes_are_ignored_everywhere_but_errors_are_not(tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    file.write_text(f"{OPEN}\n{WHOLE}")
    assert codes(load(file, ignored=["HRM-W304"])) == []
    file.write_text(f"x = 1\n{WHOLE}")
    assert codes(load(file, ignored=["HRM-E103"])) == ["HRM-E103"]


def test_files_and_environment_are_left_out_on_demand_and_that_is_said(tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    file.write_text(
        WHOLE.replace('"pacs"]', '"pacs", "web"]')
        + "[backends.web]\nservice = 'dicomweb'\n[backends.web.options]\nurl = 'https://x'\n"
        + "tls = { ca_file = 'none.pem' }\nbearer = { env = 'HARMONY_NO_SUCH' }\n"
    )
    assert sorted(codes(load(file))) == ["HRM-E261", "HRM-E302"]
    loaded = load(file, files=False, environment=False)
    assert codes(loaded) == []
    assert [skipped.reason.partition(" (")[2] for skipped in loaded.skipped] == [
        "`--no-files`)",
        "`--no-environment`)",
    ]
