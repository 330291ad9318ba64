"""`harmony validate --connect`: each live rule, with peers on real sockets."""

from __future__ import annotations

import contextlib
import functools
import json
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
import trio

from harmony.cli.main import main
from harmony.config.findings import Layer
from harmony.config.rules import RULES
from tests.support.bad_pacs import Accept, Close, Final, Reject, Script, Silence, bad_pacs
from tests.support.certificates import Authority
from tests.support.origin import Script as HttpScript
from tests.support.origin import answering, origin, whole
from tests.support.processes import free_port

SECONDS = 30
HEAD = """
[admin]
enabled = false
[networks.default]
http = {{ port = {http} }}
[pipelines.p]
endpoints = ["e"]
backends = ["b"]
[endpoints.e]
service = "{endpoint}"
[backends.b]
service = "{backend}"
[backends.b.options]
"""


def written(folder: Path, options: str, *, http: int = 0, **services: str) -> str:
    text = HEAD.format(http=http or free_port(), **{"endpoint": "http", **services}) + options
    (folder / "config.toml").write_text(text)
    return str(folder / "config.toml")


def dicom(port: int, host: str = "127.0.0.1", more: str = "") -> str:
    return f'aet = "PACS"\nhost = "{host}"\nport = {port}\nlocal_aet = "US"\n{more}'


async def told(file: str, capsys: pytest.CaptureFixture[str], *flags: str) -> tuple[int, list[str]]:
    """Exit code, and codes of the findings."""
    command = ["validate", file, "--connect", "--connect-timeout", "2", "--format", "json", *flags]
    with trio.fail_after(SECONDS):
        code = await trio.to_thread.run_sync(main, command)
    document = json.loads(capsys.readouterr().out)
    for each in document["findings"]:
        assert each["layer"] == "L3"
        assert each["message"]
        assert each["range"]["start"]["line"] > 1
    return code, [each["code"] for each in document["findings"]]


async def test_a_peer_that_answers_is_fine_and_is_asked_nothing_else(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with bad_pacs(Script()) as peer:
        for endpoint in ("http", "dicomweb"):
            file = written(tmp_path, dicom(peer.port), endpoint=endpoint, backend="dicom")
            assert await told(file, capsys) == (0, [])
        assert {each.kind for each in peer.requests} == {"C-ECHO-RQ"}


PEERS = {
    "HRM-E504": Script(associate=(Reject(1, 1, 3),)),
    "HRM-E505": Script(echo=(Final(0x0110),)),
    "HRM-E506": Script(associate=(Accept(only=frozenset(("1.2.840.10008.1.1",))),)),
    "HRM-E502": Script(associate=(Silence(),)),
}


@pytest.mark.parametrize("code", PEERS)
async def test_a_peer_that_does_not_is_told(
    code: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with bad_pacs(PEERS[code]) as peer:
        file = written(tmp_path, dicom(peer.port), endpoint="dicomweb", backend="dicom")
        assert await told(file, capsys) == (4, [code])


async def test_nobody_there_and_a_name_that_nobody_knows(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = written(tmp_path, dicom(1), backend="dicom")
    assert await told(file, capsys) == (4, ["HRM-E502"])
    file = written(tmp_path, dicom(104, "nobody.invalid"), backend="dicom")
    assert await told(file, capsys) == (4, ["HRM-E501"])


async def test_tls_that_does_not_come_about(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with bad_pacs(Script(connect=(Close(),))) as peer:
        options = dicom(peer.port, more="use_tls = true\n")
        file = written(tmp_path, options, backend="dicom")
        assert await told(file, capsys) == (4, ["HRM-E503"])
    authority = Authority(tmp_path)
    assert authority.ca_file.exists()


@pytest.mark.parametrize(
    ("backend", "script", "expected"),
    [
        ("http", answering(whole(b"", 405)), (0, [])),
        ("http", answering(b"nonsense\r\n\r\n"), (4, ["HRM-E507"])),
        ("http", answering(whole(b"", 503)), (4, ["HRM-E507"])),
        ("dicomweb", answering(whole(b"", 404)), (0, [])),
        ("dicomweb", answering(whole(b"", 403)), (4, ["HRM-E507"])),
    ],
)
async def test_http_servers(
    backend: str,
    script: HttpScript,
    expected: tuple[int, list[str]],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    async with origin(script) as server:
        options = f'url = "http://127.0.0.1:{server.port}/x"'
        file = written(tmp_path, options, backend=backend)
        assert await told(file, capsys) == expected
        assert {asked.method for asked in server.asked} == {"HEAD"}


@contextlib.contextmanager
def taken() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


async def test_a_port_that_is_taken(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with taken() as port:
        file = written(tmp_path, "folder = '.'", http=port, backend="files")
        assert await told(file, capsys) == (4, ["HRM-E509"])


async def test_a_receiver_whose_port_is_taken(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with taken() as port, bad_pacs(Script()) as peer:
        receiver = f'receiver = {{ local_aet = "RCV", port = {port} }}\n'
        file = written(tmp_path, dicom(peer.port, more=receiver), backend="dicom")
        assert await told(file, capsys) == (4, ["HRM-E509"])


async def test_nothing_is_made_on_the_disk(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = written(tmp_path, "folder = 'archive'", backend="archive")
    assert await told(file, capsys) == (0, [])
    assert os.listdir(tmp_path) == ["config.toml"]


async def test_a_file_that_is_not_valid_is_not_tried(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with bad_pacs(Script()) as peer:
        file = written(tmp_path, dicom(peer.port, more="x = 1\n"), backend="dicom")
        command = ["validate", file, "--connect"]
        assert await trio.to_thread.run_sync(functools.partial(main, command)) == 1
        assert not peer.connections


def test_each_live_rule_has_a_test() -> None:
    tested = {*PEERS, "HRM-E501", "HRM-E502", "HRM-E503", "HRM-E507", "HRM-E509"}
    assert tested == {code for code, rule in RULES.items() if rule.layer is Layer.LIVE}
