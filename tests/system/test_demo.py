"""``harmony demo`` from outside: every line that it prints is pasted into a shell."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
from io import BytesIO
from pathlib import Path

import pytest
import trio
from pydicom import dcmread

import harmony
from tests.support.eventually import eventually
from tests.support.files import split

COMMANDS = ("echoscu", "findscu", "getscu", "movescu", "storescu", "curl")
SECONDS = 30
STUDIES, SLICES = 8, 12  # in the archive at first, and in the study that is fetched


@pytest.fixture(autouse=True)
def _tools():
    missing = [name for name in COMMANDS if shutil.which(name) is None]
    if missing:
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(f"no {missing}")


class Place:
    """An empty working folder, and a folder for temporary files of its own."""

    def __init__(self, root):
        self.work, self.temporary, self.log = root / "work", root / "tmp", root / "log.txt"
        self.work.mkdir()
        self.temporary.mkdir()
        source = str(Path(harmony.__file__).parents[1])
        self.environment = dict(os.environ, TMPDIR=str(self.temporary), PYTHONPATH=source)

    @property
    def is_clean(self):
        return not [*self.work.iterdir(), *self.temporary.iterdir()]

    async def paste(self, line, *, code=0):
        """Run a line as a shell does; what it printed on both streams."""
        with trio.fail_after(SECONDS):
            done = await trio.run_process(
                ["bash", "-c", line],
                cwd=self.work,
                env=self.environment,
                capture_stdout=True,
                capture_stderr=True,
                check=False,
            )
        assert done.returncode == code, (line, done.stdout, done.stderr)
        return done.stdout, done.stderr


@pytest.fixture
def place(tmp_path):
    return Place(tmp_path)


@contextlib.asynccontextmanager
async def running(place, *command):
    """The process, and what it printed until it had printed `Files` or ended."""
    with place.log.open("wb") as errors:
        process = await trio.lowlevel.open_process(
            command,
            cwd=place.work,
            env=place.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=errors,
        )
    try:
        yield process
    finally:
        with trio.CancelScope(shield=True, deadline=trio.current_time() + SECONDS):
            if process.returncode is None:
                process.kill()
            await process.wait()
            await process.stdout.aclose()


async def printed(process, last):
    """Its lines, up to one that begins with `last`."""
    text = b""
    with trio.fail_after(SECONDS):
        async for chunk in process.stdout:
            text += chunk
            if re.search(rb"^%b.*\n" % last.encode(), text, re.MULTILINE):
                break
    return text.decode().splitlines()


async def ended(process, number=signal.SIGTERM):
    """Its exit code after a signal."""
    process.send_signal(number)
    with trio.fail_after(SECONDS):
        return await process.wait()


DEMO = (sys.executable, "-m", "harmony", "demo")


def commands(lines):
    """What to paste, by program, or for curl by operation."""
    found = {}
    for line in lines:
        words = shlex.split(line) if line.startswith("  ") else []
        if words:
            name = words[1].rsplit("/", 1)[1] if words[0] == "curl" else words[0]
            found[name] = line.strip()
    return found


def with_keys(findscu, *keys):
    return findscu.replace("findscu ", "findscu " + "".join(f"-k {key} " for key in keys), 1)


def folder_of(lines):
    return Path(lines[-1].removeprefix("Files").strip())


async def test_every_line_works_when_it_is_pasted_and_again(place):
    async with running(place, *DEMO) as process:
        lines = await printed(process, "Files")
        assert len(lines) <= 20
        for _ in range(2):
            await try_all(place, commands(lines), folder_of(lines))
        assert await ended(process) == 0
    assert place.is_clean
    assert place.log.read_text() == ""


async def try_all(place, lines, folder):
    received = folder / "received"

    def take_files():
        files = [dcmread(file) for file in sorted(received.iterdir())]
        for file in received.iterdir():
            file.unlink()
        return files

    await place.paste(lines.pop("echoscu"))

    told = b"".join(await place.paste(with_keys(lines["findscu"], "PatientID")))
    assert told.count(b"DEMO-") >= STUDIES
    assert b"[CT\\SR" in told
    await place.paste(lines.pop("findscu"))

    for fetch in ("getscu", "movescu"):
        await place.paste(lines.pop(fetch))
        slices = take_files()
        assert len(slices) == SLICES
        assert {str(each.PatientName) for each in slices} == {"Demó^Három"}

    await place.paste(lines.pop("storescu"))

    out, _ = await place.paste(lines.pop("echo"))
    assert json.loads(out)["success"] is True

    out, _ = await place.paste(lines.pop("find"))
    names = {row["00100010"]["Value"][0].get("Ideographic") for row in json.loads(out)}
    assert names >= {"試験^五", "演示^七"}

    await place.paste(lines.pop("get"))
    (answer,) = received.iterdir()
    body = answer.read_bytes()
    answer.unlink()
    parts = split(body, body[2 : body.index(b"\r\n")])
    assert len({dcmread(BytesIO(file)).SOPInstanceUID for _, file in parts}) == SLICES

    out, _ = await place.paste(lines.pop("store"))
    assert b'"0x0000"' in out

    out, _ = await place.paste(lines.pop("studies?PatientName=demo*&limit=10"))
    assert 0 < len(json.loads(out)) <= 10
    out, _ = await place.paste(lines.pop("metadata"))
    assert len(json.loads(out)) == SLICES

    assert lines == {}


async def test_both_ways_to_send_end_in_the_archive(place):
    async with running(place, *DEMO) as process:
        lines = commands(await printed(process, "Files"))
        for name in ("storescu", "store"):
            await place.paste(lines[name])
        find = with_keys(lines["findscu"], "PatientID=DEMO-21", "StudyDescription")
        told = b"".join(await place.paste(find))
        assert b"[Sent by C-STORE" in told
        assert b"[Sent by HTTP" in told
        assert await ended(process, signal.SIGINT) == 0
    assert place.is_clean


async def test_ports_that_are_taken_are_replaced_and_told(place):
    with contextlib.ExitStack() as held:
        for port in (8080, 9090, 11112, 11113):
            taken = held.enter_context(socket.socket())
            taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            with contextlib.suppress(OSError):  # somebody else has it: as well
                taken.bind(("127.0.0.1", port))
                taken.listen()
        async with running(place, *DEMO) as process:
            lines = await printed(process, "Files")
            assert not re.search(r"\b(8080|9090|11112|11113)\b", "\n".join(lines))
            found = commands(lines)
            await place.paste(found["movescu"])
            out, _ = await place.paste(found["echo"])
            assert json.loads(out)["success"] is True
            assert await ended(process) == 0


async def test_what_is_written_validates_serves_and_stays(place):
    folder = place.work / "a demo"
    async with running(place, *DEMO, "--write", "a demo") as process:
        lines = await printed(process, "never")
        assert await process.wait() == 0
    assert len(lines) <= 20
    validate, serve = (line.strip() for line in lines[1:3])
    out, _ = await place.paste(validate)
    assert out == b"0 errors, 0 warnings in 1 file.\n"
    async with running(place, *shlex.split(serve)) as process:
        await printed(process, "admin")
        found = commands(lines[4:])
        for name in ("echoscu", "getscu", "storescu"):
            await place.paste(found[name])
        assert await ended(process) == 0
    assert len(list((folder / "received").iterdir())) == SLICES
    assert [each.name for each in place.work.iterdir()] == ["a demo"]
    assert list(place.temporary.iterdir()) == []


async def test_a_folder_that_exists_is_not_touched(place):
    (place.work / "here").mkdir()
    async with running(place, *DEMO, "--write", "here") as process:
        assert await printed(process, "never") == []
        assert await process.wait() == 2
    assert "here exists already" in place.log.read_text()
    assert list((place.work / "here").iterdir()) == []


async def test_a_signal_while_it_prepares_leaves_nothing(place):
    async with running(place, *DEMO) as process:
        await eventually(lambda: any(place.temporary.iterdir()), seconds=SECONDS)
        assert await ended(process) in (0, 128 + signal.SIGTERM)
    assert place.is_clean
