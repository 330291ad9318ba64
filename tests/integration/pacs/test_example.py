"""The example, served by the real process before a real PACS, does what README.md says."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from io import BytesIO
from pathlib import Path

import pytest
import trio
from pydicom import dcmread

from harmony.config import load
from tests.support.files import contents, split
from tests.support.studies import Plan, write_studies
from tests.system.conftest import serving

ROOT = Path(__file__).parents[3]
EXAMPLE = ROOT / "examples" / "default"
SECONDS = 60
STUDY_OF_README, PATIENT_OF_README, DESTINATION_OF_README = "1.2.3", "12345", "WORKSTATION"


def curl_commands(text):
    """Every curl command in the sh blocks of a Markdown text, by the operation it calls."""
    blocks = "\n".join(re.findall(r"```sh\n(.*?)```", text, re.DOTALL)).replace("\\\n", " ")
    lines = [line for line in blocks.splitlines() if line.startswith("curl ")]
    return {"".join(re.findall(r"/dicom/([a-z]+)", line)): line for line in lines}


@pytest.fixture
def curl():
    if shutil.which("curl") is None:
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)("no curl")


@pytest.fixture
def copy(pacs, tmp_path):
    """The example's files, with free ports, and with the PACS where it is."""
    folder = tmp_path / "example"
    shutil.copytree(EXAMPLE, folder)
    for file in folder.rglob("*.toml"):
        text = (
            file.read_text().replace("port = 8080", "port = 0").replace("port = 9090", "port = 0")
        )
        text = text.replace('\naet = "ORTHANC"', f'\naet = "{pacs.ae_title}"')
        text = text.replace('\nhost = "localhost"', f'\nhost = "{pacs.host}"')
        file.write_text(text.replace("\nport = 4242", f"\nport = {pacs.port}"))
    return folder / "config.toml"


def test_it_is_found_good():
    loaded = load(EXAMPLE / "config.toml")
    assert loaded.findings == ()
    assert list(loaded.configuration.pipelines) == ["dicom_backend_demo"]
    command = [sys.executable, "-m", "harmony", "validate", str(EXAMPLE / "config.toml")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "HRM-" not in done.stdout + done.stderr


def test_the_copy_differs_from_it_in_addresses_alone(copy, pacs):
    loaded = load(copy)
    # A PACS on another machine is spoken to without TLS: a note of it, and no more.
    assert {finding.code for finding in loaded.findings} <= {"HRM-N306"}
    options = loaded.configuration.backends["dicom_pacs"].options
    assert (options["host"], options["port"]) == (pacs.host, pacs.port)
    assert loaded.configuration.networks["default"].http.port == 0


async def test_the_commands_of_the_readme_do_what_they_say(
    copy, curl, pacs_empty, storescp, tmp_path
):
    commands = curl_commands((ROOT / "README.md").read_text())
    assert sorted(commands) == ["echo", "find", "get", "move", "store"]
    first, second = [dcmread(one.file) for one in make(tmp_path)]
    first.save_as(tmp_path / "first.dcm")
    second.save_as(tmp_path / "image.dcm")  # which the command for store sends
    pacs_empty.load([tmp_path / "first.dcm"])
    pacs_empty.add_modality(DESTINATION_OF_README, pacs_empty.caller_host, storescp.port)

    async def run(operation):
        command = commands[operation].replace("http://localhost:8080", served.url)
        script = ["bash", "-euc", command]
        done = await trio.run_process(script, cwd=tmp_path, capture_stdout=True, stderr=None)
        return done.stdout

    with trio.fail_after(SECONDS):
        async with serving(copy, log=tmp_path / "log.txt") as served:
            echo = json.loads(await run("echo"))
            assert (echo["success"], echo["aet"]) == (True, pacs_empty.ae_title)
            (row,) = json.loads(await run("find"))
            assert row["00100020"]["Value"] == [PATIENT_OF_README]
            stored = json.loads(await run("store"))
            assert [each["status"] for each in stored["instances"]] == ["0x0000"]
            assert await run("get") == b""  # it goes to a file
            moved = json.loads(await run("move"))
            assert (moved["completed"], moved["failed"]) == (2, 0)

    body = (tmp_path / "study.multipart").read_bytes()
    boundary = body[2 : body.index(b"\r\n")]
    wanted = {
        contents((tmp_path / name).read_bytes()).data_set for name in ("first.dcm", "image.dcm")
    }
    assert {contents(data).data_set for _, data in split(body, boundary)} == wanted
    assert {contents(file.read_bytes()).data_set for file in storescp.files()} == wanted


def make(folder):
    """Two instances of the study and the patient that README.md asks for."""
    made = write_studies(Plan(instances=2, size=32), folder / "made")
    for one in made:
        dataset = dcmread(BytesIO(one.file.read_bytes()))
        dataset.StudyInstanceUID, dataset.PatientID = STUDY_OF_README, PATIENT_OF_README
        dataset.save_as(one.file)
    return made
