"""`harmony echo`, `doctor` and `init`, with PACS of many habits on real sockets."""

from __future__ import annotations

import functools
from pathlib import Path

import pytest
import trio

from harmony.cli.main import main
from harmony.config import load
from harmony.dimse import contexts
from harmony.envelope import Operation, Root
from tests.support.bad_pacs import Accept, Close, Final, Reject, Script, bad_pacs
from tests.support.processes import free_port

SECONDS = 30
ECHO = "1.2.840.10008.1.1"
FIND, GET, MOVE = (
    contexts.MODELS[operation][Root.STUDY]
    for operation in (Operation.FIND, Operation.GET, Operation.MOVE)
)


async def harmony(*arguments: str) -> int:
    with trio.fail_after(SECONDS):
        return await trio.to_thread.run_sync(main, list(arguments))


def accepting(*uids: str) -> Script:
    return Script(associate=(Accept(only=frozenset((ECHO, *uids))),))


async def test_echo(capsys: pytest.CaptureFixture[str]) -> None:
    with bad_pacs(Script()) as peer:
        named = f"PACS@127.0.0.1:{peer.port}"
        assert await harmony("echo", named, "--local-aet", "US") == 0
        assert capsys.readouterr().out.startswith(f"{named} answers US's C-ECHO in ")
        assert [each.kind for each in peer.requests] == ["C-ECHO-RQ"]
        assert len(peer.connections) == 1


async def test_an_echo_that_fails(capsys: pytest.CaptureFixture[str]) -> None:
    with bad_pacs(Script(echo=(Final(0x0110),))) as peer:
        assert await harmony("echo", f"PACS@127.0.0.1:{peer.port}") == 4
    printed = capsys.readouterr()
    assert printed.out == ""
    assert "0x0110" in printed.err


@pytest.mark.parametrize(
    ("script", "passed", "failed"),
    [
        (Script(associate=(Reject(1, 1, 3),)), ["resolve", "connect"], "associate"),
        (Script(associate=(Close(),)), ["resolve", "connect"], "associate"),
        (
            Script(associate=(Accept(only=frozenset((FIND,))),)),
            ["resolve", "connect", "associate"],
            "negotiate",
        ),
        (
            Script(echo=(Close(),)),
            ["resolve", "connect", "associate", "negotiate"],
            "C-ECHO",
        ),
        (
            Script(echo=(Final(0x0110),)),
            ["resolve", "connect", "associate", "negotiate"],
            "C-ECHO",
        ),
    ],
)
async def test_the_stage_that_failed_is_told(
    script: Script, passed: list[str], failed: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with bad_pacs(script) as peer:
        assert await harmony("doctor", f"PACS@127.0.0.1:{peer.port}") == 4
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[1] for line in lines if line.startswith("  ok ")] == passed
    (told,) = [line for line in lines if line.startswith("  failed")]
    assert told.split()[1] == f"{failed}:"
    assert "  AE title  HARMONY" in lines  # which is what most often is missing there
    assert "[backends.pacs]" not in lines


async def test_nobody_there(capsys: pytest.CaptureFixture[str]) -> None:
    assert await harmony("doctor", f"PACS@127.0.0.1:{free_port()}") == 4
    out = capsys.readouterr().out
    assert "  ok      resolve\n  failed  connect: " in out
    assert await harmony("doctor", "PACS@nobody.invalid:104") == 4
    assert "  failed  resolve: " in capsys.readouterr().out


@pytest.mark.parametrize(
    ("uids", "told", "code"),
    [
        ((FIND, GET, MOVE), ["C-FIND: study", "C-GET: study", "C-MOVE: study"], 0),
        ((FIND, GET), ["C-FIND: study", "C-GET: study", "C-MOVE: not accepted"], 0),
        ((FIND, MOVE), ["C-FIND: study", "C-GET: not accepted", "C-MOVE: study"], 0),
        ((FIND,), ["C-FIND: study", "C-GET: not accepted", "C-MOVE: not accepted"], 4),
        ((), ["C-FIND: not accepted", "C-GET: not accepted", "C-MOVE: not accepted"], 4),
    ],
)
async def test_what_is_accepted_is_told(
    uids: tuple[str, ...], told: list[str], code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    with bad_pacs(accepting(*uids)) as peer:
        assert await harmony("doctor", f"PACS@127.0.0.1:{peer.port}") == code
        assert {each.kind for each in peer.requests} == {"C-ECHO-RQ"}
    out = capsys.readouterr().out
    lines = [line[10:] for line in out.splitlines() if line[2:4] in ("ok", "- ")]
    assert lines[-3:] == told
    assert ("[backends.pacs.options.receiver]" in out) == (MOVE in uids and GET not in uids)
    assert ("neither C-GET nor C-MOVE" in out) == bool(code)


@pytest.mark.parametrize("uids", [(FIND, GET), (FIND, MOVE)])
async def test_init_writes_what_is_valid_and_connects(
    uids: tuple[str, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "new.toml"
    with bad_pacs(accepting(*uids)) as peer:
        named = f"PACS@127.0.0.1:{peer.port}"
        assert await harmony("init", "--pacs", named, "-o", str(file)) == 0
        loaded = load(file)
        assert [each.code for each in loaded.findings] == []
        assert loaded.configuration is not None
        options = loaded.configuration.backends["pacs"].options
        assert ("receiver" in options) == (MOVE in uids)
        text = file.read_text()
        for usual in ("8080", "11112"):
            text = text.replace(f"port = {usual}", f"port = {free_port()}")
        file.write_text(f"[admin]\nenabled = false\n\n{text}")
        capsys.readouterr()
        assert await harmony("validate", str(file), "--connect") == 0, capsys.readouterr().out
        assert await harmony("doctor", "pacs", "-c", str(file)) == 0
        assert await harmony("echo", "pacs", "-c", str(file)) == 0
        before = file.read_bytes()
        assert await harmony("init", "--pacs", named, "-o", str(file)) == 2
        assert file.read_bytes() == before


async def test_a_receiver_that_is_configured_is_the_entry(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "new.toml"
    with bad_pacs(accepting(FIND, MOVE)) as peer:
        named = f"PACS@127.0.0.1:{peer.port}"
        assert await harmony("init", "--pacs", named, "-o", str(file)) == 0
        text = file.read_text().replace('local_aet = "HARMONY"\nbind', 'local_aet = "OURS"\nbind')
        file.write_text(text.replace("port = 11112", "port = 11999"))
        capsys.readouterr()
        assert await harmony("doctor", "pacs", "-c", str(file)) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line for line in lines if "AE title" in line] == [
        "  AE title  HARMONY",
        "  AE title  OURS",
    ]
    assert "  port      11999" in lines
    assert not any("11112" in line for line in lines if line.startswith("  port"))


@pytest.mark.parametrize("uids", [(GET,), (FIND,)])
async def test_init_writes_nothing_that_cannot_work(uids: tuple[str, ...], tmp_path: Path) -> None:
    file = tmp_path / "new.toml"
    with bad_pacs(accepting(*uids)) as peer:
        named = f"PACS@127.0.0.1:{peer.port}"
        assert await harmony("init", "--pacs", named, "-o", str(file)) == 4
    assert not file.exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("echo", "PACS"), "AET@HOST:PORT"),
        (("doctor", "PACS@host:0"), "1 to 65535"),
        (("doctor", "PACS@host:104", "--local-aet", "A\\B"), "AE title"),
        (("init", "--pacs", "@host:104"), "AE title"),
        (("echo", "web", "-c", "{file}"), "is no PACS"),
        (("echo", "nobody", "-c", "{file}"), "has a backend nobody"),
        (("echo", "web", "-c", "{file}", "--local-aet", "US"), "--local-aet"),
        (("echo", "web", "-c", "nowhere.toml"), "harmony validate"),
    ],
)
async def test_wrong_use(
    arguments: tuple[str, ...], words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "config.toml"
    file.write_text(
        '[pipelines.p]\nendpoints = ["e"]\nbackends = ["web"]\n'
        '[endpoints.e]\nservice = "http"\n[backends.web]\nservice = "echo"\n'
    )
    given = [each.format(file=file) for each in arguments]
    assert await trio.to_thread.run_sync(functools.partial(main, given)) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith(f"harmony {arguments[0]}: ")
    assert words in printed.err
