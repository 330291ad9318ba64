"""Secrets, and who reaches what."""

from __future__ import annotations

from pathlib import Path

import pytest

from harmony.config.report import render_json, render_text
from tests.support.configuration import codes, load_text, only

HEAD = """
[pipelines.p]
endpoints = ["e"]
backends = ["b"]
[endpoints.e]
service = "http"
[backends.b]
service = "http"
[backends.b.options]
"""


def origin(options: str) -> str:
    return HEAD + options


@pytest.mark.parametrize(
    "url",
    [
        "http://pacs",
        "https://pacs.example:8443/dicom-web/",
        "http://[::1]:8042/%41",
        "http://10.1.2.3",
    ],
)
def test_a_base_url_is_taken(url: str, tmp_path: Path) -> None:
    assert codes(load_text(tmp_path, origin(f"url = '{url}'"))) == []


@pytest.mark.parametrize(
    "url",
    [
        *("", "pacs", "pacs:80", "ftp://pacs", "http://", "http:///x", "http://[::1", "http://p:x"),
        *("http://u:hunter2@pacs", "http://pacs:0", "http://pacs:99999", "http://p acs"),
        *("http://pacs?x", "http://pacs#x", "http://pacs/?", "http://pacs//x", "http://pacs/../x"),
        *("http://pacs/a b", "http://pacs/%zz", "http://bücher.example"),
    ],
)
def test_what_is_no_base_url_is_told_and_never_quoted(url: str, tmp_path: Path) -> None:
    loaded = load_text(tmp_path, origin(f"url = '{url}'"))
    assert codes(loaded) in (["HRM-E247"], ["HRM-E107", "HRM-E247"], ["HRM-E107"])
    assert "hunter2" not in "".join(f"{f.message} {f.hint}" for f in loaded.findings)


SECRETS = (
    "bearer = 'hunter2'",
    "username = 'hunter2'\npassword = 'hunter2'",
    "bearer = { env = 'HARMONY_NO_SUCH' }",
    "bearer = { file = 'none' }",
    "bearer = 7",
    "bearer = { env = 'A', file = 'b' }",
    "bearer = { evn = 'hunter2' }",
    "bearer = ['hunter2']",
    "bearer = 'hunter2'\nusername = 'hunter2'\npassword = 'hunter2'",
    "username = 'hunter2'",
)


@pytest.mark.parametrize("options", SECRETS)
def test_a_secret_is_shown_in_no_format(options: str, tmp_path: Path) -> None:
    loaded = load_text(tmp_path, origin(f"url = 'https://pacs'\n{options}"))
    assert codes(loaded)
    shown = render_text(loaded, verbose=True) + render_json(loaded, verbose=True)
    assert "hunter2" not in shown


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ("bearer = { env = 'HARMONY_NO_SUCH' }", ["HRM-E302"]),
        ("bearer = { file = 'none' }", ["HRM-E261"]),
        ("bearer = { env = 'PATH', file = 'none' }", ["HRM-E122", "HRM-E261"]),
        ("bearer = {}", ["HRM-E102"]),
        ("bearer = { evn = 'x' }", ["HRM-E102", "HRM-E103"]),
        ("username = { env = 'PATH' }", ["HRM-E121"]),
        ("bearer = 'a'\nusername = 'b'\npassword = 'c'", ["HRM-E122"]),
    ],
)
def test_what_is_wrong_about_a_secret(options: str, expected: list[str], tmp_path: Path) -> None:
    loaded = load_text(tmp_path, origin(f"url = 'https://pacs'\n{options}"))
    assert [code for code in codes(loaded) if code != "HRM-W301"] == expected


@pytest.mark.parametrize(
    ("url", "warned"),
    [
        ("http://pacs.example", True),
        ("http://10.1.2.3:8080/x", True),
        ("https://pacs.example", False),
        ("http://127.0.0.1:8080", False),
        ("http://localhost", False),
        ("http://[::1]", False),
    ],
)
def test_credentials_want_tls(url: str, warned: bool, tmp_path: Path) -> None:
    text = origin(f"url = '{url}'\nbearer = {{ env = 'PATH' }}")
    assert codes(load_text(tmp_path, text)) == (["HRM-W305"] if warned else [])
    assert codes(load_text(tmp_path, origin(f"url = '{url}'"))) == []


def test_tls_for_a_url_without_it_has_no_effect(tmp_path: Path) -> None:
    loaded = load_text(tmp_path, origin("url = 'http://pacs'\ntls = { verify = true }"))
    assert codes(loaded) == ["HRM-E120"]
    assert "https://" in only(loaded, "HRM-E120").hint


@pytest.mark.parametrize(
    ("network", "warned"),
    [
        ("bind_addr = '0.0.0.0'", True),
        ("bind_addr = '::'", True),
        ("bind_addr = '10.1.2.3'", True),
        ("bind_addr = '127.0.0.1'", False),
        ("bind_addr = '::1'", False),
        ("", False),
    ],
)
@pytest.mark.parametrize("service", ["http", "dicomweb"])
def test_http_that_others_reach_wants_a_log_in(
    network: str, warned: bool, service: str, tmp_path: Path
) -> None:
    back = "[backends.b]\nservice = 'archive'\noptions = { folder = 'a' }\n"
    text = HEAD.partition("[backends.b]")[0].replace('"http"', f'"{service}"') + back
    loaded = load_text(tmp_path, f"[networks.default]\n{network}\n{text}")
    assert codes(loaded) == (["HRM-W304"] if warned else [])
