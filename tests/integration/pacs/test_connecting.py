"""What `validate --connect`, `echo`, `doctor` and `init` say of real PACS."""

from __future__ import annotations

import dataclasses
import functools
import json
import subprocess
import sys
from pathlib import Path

import trio

from tests.integration.pacs.conftest import Archive
from tests.support.deployment import backend, pipeline, table
from tests.support.processes import free_port
from tests.support.studies import Plan, write_studies
from tests.system.conftest import serving

SECONDS = 60


def harmony(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "harmony", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False)


def told(folder: Path, archive: Archive, *, aet: str) -> tuple[int, list[str]]:
    """Exit code, and codes of the findings."""
    file = folder / "connecting.toml"
    file.write_text(
        f"[admin]\nenabled = false\n[networks.default.http]\nport = {free_port()}\n"
        + pipeline("p", ["e"], ["b"])
        + table("endpoints.e", "dicomweb")
        + backend("b", dataclasses.replace(archive.called, aet=aet))
    )
    done = harmony("validate", str(file), "--connect", "--format", "json")
    assert done.stderr == ""
    return done.returncode, [each["code"] for each in json.loads(done.stdout)["findings"]]


def test_a_pacs_that_knows_us(archive: Archive, tmp_path: Path) -> None:
    assert told(tmp_path, archive, aet=archive.ae_title) == (0, [])


def test_another_name_than_the_pacs_has(archive: Archive, tmp_path: Path) -> None:
    assert told(tmp_path, archive, aet="ANOTHER") == (4, ["HRM-E504"])


def test_doctor_and_echo(archive: Archive) -> None:
    named = f"{archive.ae_title}@{archive.host}:{archive.port}"
    assert harmony("echo", named).returncode == 0
    done = harmony("doctor", named)
    assert (done.returncode, done.stderr) == (0, "")
    for operation in ("C-FIND", "C-GET", "C-MOVE"):
        assert f"  ok      {operation}: patient, study\n" in done.stdout


async def test_what_init_writes_is_served(archive: Archive, tmp_path: Path) -> None:
    (made,) = await trio.to_thread.run_sync(
        functools.partial(write_studies, Plan(instances=1, size=32), tmp_path / "made")
    )
    await trio.to_thread.run_sync(archive.load, [made.file])
    file = tmp_path / "config.toml"
    named = f"{archive.ae_title}@{archive.host}:{archive.port}"
    arguments = ("init", "--pacs", named, "-o", str(file))
    done = await trio.to_thread.run_sync(functools.partial(harmony, *arguments))
    assert (done.returncode, done.stderr) == (0, "")
    text = file.read_text().replace("port = 8080", "port = 0")
    file.write_text(f"[admin]\nport = 0\n\n{text}")
    with trio.fail_after(SECONDS):
        async with serving(file, log=tmp_path / "log.txt") as served:
            command = ["curl", "-sSf", f"{served.url}/dicom-web/studies"]
            rows = await trio.run_process(command, capture_stdout=True)
    (row,) = json.loads(rows.stdout)
    assert row["0020000D"]["Value"] == [made.study_uid]
