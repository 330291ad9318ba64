import errno
import os
import shutil
from collections.abc import Mapping
from pathlib import Path

import pytest

from harmony.config.report import render_json, render_text
from harmony.config.rulebook.examples import CERTIFICATE, ENCRYPTED_KEY, KEY, OTHER_KEY
from tests.support.configuration import ROUTER, WHOLE, codes, load_text, marked, only

BROKEN = "-----BEGIN CERTIFICATE-----\nTm8gY2VydGlmaWNhdGU=\n-----END CERTIFICATE-----\n"
OLD_ENCRYPTED = (
    "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,00\n\n"
    "MAAA\n-----END RSA PRIVATE KEY-----\n"
)
PAIR = "cert_file = 'c', key_file = 'k'"


def load(tmp_path, tls, files: Mapping[str, str]):
    text = WHOLE + f"tls = {{ {tls} }}\n"
    return text, load_text(tmp_path, text, files)


@pytest.mark.parametrize(
    ("tls", "files"),
    [
        ("", {}),
        ("ca_file = 'a'", {"a": CERTIFICATE}),
        ("ca_file = 'a'", {"a": "A comment\n" + CERTIFICATE * 3 + "and another\n"}),
        ("ca_file = 'a'", {"a": CERTIFICATE.replace("\n", "\r\n")}),
        (PAIR, {"c": CERTIFICATE + CERTIFICATE, "k": KEY}),
        # One file with both, named twice.
        ("cert_file = 'c', key_file = 'c'", {"c": KEY + CERTIFICATE}),
    ],
)
def test_files_that_serve(tmp_path, tls, files):
    assert codes(load(tmp_path, tls, files)[1]) == []


@pytest.mark.parametrize(
    ("tls", "files", "code", "at"),
    [
        ("ca_file = 'a'", {}, "HRM-E261", "'a'"),
        ("ca_file = 'a'", {"a/b": ""}, "HRM-E261", "'a'"),
        ("ca_file = ''", {}, "HRM-E261", "''"),
        ('ca_file = "a\\u0000"', {}, "HRM-E261", '"a\\u0000"'),
        (PAIR, {"c": CERTIFICATE}, "HRM-E261", "'k'"),
        ("ca_file = 'a'", {"a": ""}, "HRM-E267", "'a'"),
        ("ca_file = 'a'", {"a": BROKEN}, "HRM-E267", "'a'"),
        ("ca_file = 'a'", {"a": CERTIFICATE + BROKEN}, "HRM-E267", "'a'"),
        ("ca_file = 'a'", {"a": KEY}, "HRM-E267", "'a'"),
        (PAIR, {"c": KEY, "k": KEY}, "HRM-E267", "'c'"),
        (PAIR, {"c": CERTIFICATE, "k": CERTIFICATE}, "HRM-E267", "'k'"),
        (PAIR, {"c": CERTIFICATE, "k": KEY.replace("MC4C", "!!!!")}, "HRM-E267", "'k'"),
        (PAIR, {"c": CERTIFICATE, "k": KEY.replace("MC4C", "AAAA")}, "HRM-E267", "'k'"),
        (PAIR, {"c": CERTIFICATE, "k": OTHER_KEY}, "HRM-E262", "'k'"),
        (PAIR, {"c": CERTIFICATE, "k": ENCRYPTED_KEY}, "HRM-E266", "'k'"),
        (PAIR, {"c": CERTIFICATE, "k": OLD_ENCRYPTED}, "HRM-E266", "'k'"),
    ],
)
def test_one_fault_of_a_file_is_one_finding_that_shows_nothing_of_it(
    tmp_path, tls, files, code, at
):
    text, loaded = load(tmp_path, tls, files)
    assert codes(loaded) == [code]
    assert marked(text, loaded.findings[0]) == at
    for shown in (render_text(loaded), render_json(loaded), repr(loaded)):
        assert not any(line in shown for pem in (KEY, OTHER_KEY) for line in pem.split("\n")[1:2])


def test_a_key_of_another_kind_is_no_pair_either(tmp_path):
    trustme = pytest.importorskip("trustme")
    issued = trustme.CA().issue_cert("harmony.example")  # elliptic curve, where ours is Ed25519
    key = issued.private_key_pem.bytes().decode()
    assert codes(load(tmp_path, PAIR, {"c": CERTIFICATE, "k": key})[1]) == ["HRM-E262"]
    chain = issued.cert_chain_pems[0].bytes().decode()
    assert codes(load(tmp_path, PAIR, {"c": chain, "k": KEY})[1]) == ["HRM-E262"]
    assert codes(load(tmp_path, PAIR, {"c": chain, "k": key})[1]) == []


def test_paths_start_at_the_folder_of_the_main_file(tmp_path, monkeypatch):
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    further = {"tls/a": CERTIFICATE, "pipelines/p.toml": WHOLE + "tls = { ca_file = 'tls/a' }\n"}
    assert codes(load_text(tmp_path, "", further)) == []
    shutil.move(tmp_path / "tls", tmp_path / "elsewhere")
    assert codes(load_text(tmp_path, "", {"pipelines/p.toml": further["pipelines/p.toml"]})) == [
        "HRM-E261"
    ]


def test_a_file_that_may_not_be_read(tmp_path, monkeypatch):
    (tmp_path / "a").write_text(CERTIFICATE)
    really = Path.open

    def refusing(path, *how, **more):
        if path == tmp_path / "a":  # a mode would not stop root
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        return really(path, *how, **more)

    monkeypatch.setattr(Path, "open", refusing)
    loaded = load_text(tmp_path, WHOLE + "tls = { ca_file = 'a' }\n")
    assert "permission denied" in only(loaded, "HRM-E261").message


def test_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "a")
    loaded = load(tmp_path, "ca_file = 'a'", {})[1]
    assert only(loaded, "HRM-E261").message == "`ca_file`: no readable file `a`: not a regular file"


@pytest.mark.parametrize("where", ["endpoint", "receiver"])
def test_the_files_of_listeners_are_read_too(tmp_path, where):
    tls = "tls = { cert_file = 'c', key_file = 'k', client_certificate = 'none' }"
    text = ROUTER + f"{tls}\n"
    if where == "receiver":
        text = WHOLE + f"receiver = {{ local_aet = 'A', {tls} }}\n"
    assert codes(load_text(tmp_path, text)) == ["HRM-E261", "HRM-E261"]
    assert codes(load_text(tmp_path, text, {"c": CERTIFICATE, "k": OTHER_KEY})) == ["HRM-E262"]
    assert codes(load_text(tmp_path, text, {"k": KEY})) == []


@pytest.mark.parametrize(("verify", "expected"), [("false", ["HRM-W268"]), ("true", [])])
def test_an_unverified_peer_is_a_warning(tmp_path, verify, expected):
    text, loaded = load(tmp_path, f"verify = {verify}", {})
    assert codes(loaded) == expected
    assert [marked(text, found) for found in loaded.findings] == [verify] * len(expected)
