"""`harmony validate --connect`: each live rule, with peers on real sockets."""

from __future__ import annotations

import contextlib
import functools
import json
import os
import socket
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
import trio

from harmony.cli.main import main
from harmony.config.findings import Layer
from harmony.config.rules import RULES
from tests.support.bad_pacs import Accept, Close, Final, Reject, Script, Silence, bad_pacs
from tests.support.certificates import Authority
from tests.support.deployment import Value, pipeline, table
from tests.support.origin import Script as HttpScript
from tests.support.origin import answering, origin, whole
from tests.support.processes import free_port

SECONDS = 30


def written(
    folder: Path,
    backend: str,
    options: Mapping[str, Value],
    *,
    http: int = 0,
    endpoint: str = "http",
) -> str:
    text = (
        f"[admin]\nenabled = false\n[networks.default.http]\nport = {http or free_port()}\n"
        + pipeline("p", ["e"], ["b"])
        + table("endpoints.e", endpoint)
        + table("backends.b", backend, **options)
    )
    (folder / "config.toml").write_text(text)
    return str(folder / "config.toml")


def dicom(
    folder: Path, port: int, host: str = "127.0.0.1", *, endpoint: str = "http", **more: Value
) -> str:
    called: dict[str, Value] = {"aet": "PACS", "host": host, "port": port, "local_aet": "US"}
    return written(folder, "dicom", {**called, **more}, endpoint=endpoint)


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
            file = dicom(tmp_path, peer.port, endpoint=endpoint)
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
        file = dicom(tmp_path, peer.port, endpoint="dicomweb")
        assert await told(file, capsys) == (4, [code])


async def test_nobody_there_and_a_name_that_nobody_knows(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = dicom(tmp_path, 1)
    assert await told(file, capsys) == (4, ["HRM-E502"])
    file = dicom(tmp_path, 104, "nobody.invalid")
    assert await told(file, capsys) == (4, ["HRM-E501"])


async def test_tls_that_does_not_come_about(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with bad_pacs(Script(connect=(Close(),))) as peer:
        file = dicom(tmp_path, peer.port, use_tls=True)
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
        file = written(tmp_path, backend, {"url": f"http://127.0.0.1:{server.port}/x"})
        assert await told(file, capsys) == expected
        assert {asked.method for asked in server.asked} == {"HEAD"}


@contextlib.contextmanager
def taken() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


async def test_a_port_that_is_taken(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with taken() as port:
        file = written(tmp_path, "files", {"folder": "."}, http=port)
        assert await told(file, capsys) == (4, ["HRM-E509"])


async def test_a_receiver_whose_port_is_taken(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with taken() as port, bad_pacs(Script()) as peer:
        file = dicom(tmp_path, peer.port, receiver={"local_aet": "RCV", "port": port})
        assert await told(file, capsys) == (4, ["HRM-E509"])


async def test_nothing_is_made_on_the_disk(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = written(tmp_path, "archive", {"folder": "archive"})
    assert await told(file, capsys) == (0, [])
    assert os.listdir(tmp_path) == ["config.toml"]


async def test_a_file_that_is_not_valid_is_not_tried(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with bad_pacs(Script()) as peer:
        file = dicom(tmp_path, peer.port, x=1)
        command = ["validate", file, "--connect"]
        assert await trio.to_thread.run_sync(functools.partial(main, command)) == 1
        assert not peer.connections


def test_each_live_rule_has_a_test() -> None:
    tested = {*PEERS, "HRM-E501", "HRM-E502", "HRM-E503", "HRM-E507", "HRM-E509"}
    assert tested == {code for code, rule in RULES.items() if rule.layer is Layer.LIVE}
