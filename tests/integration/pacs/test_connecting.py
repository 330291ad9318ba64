"""`harmony validate --connect` before real PACS."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from tests.integration.pacs.conftest import Archive
from tests.support.processes import free_port

SECONDS = 60
CONFIGURATION = """
[admin]
enabled = false
[networks.default]
http = {{ port = {http} }}
[pipelines.p]
endpoints = ["e"]
backends = ["b"]
[endpoints.e]
service = "dicomweb"
[backends.b]
service = "dicom"
[backends.b.options]
aet = "{aet}"
host = "{host}"
port = {port}
local_aet = "HARMONY"
"""


def told(folder: Path, archive: Archive, *, aet: str) -> tuple[int, list[str]]:
    """Exit code, and codes of the findings."""
    file = folder / "connecting.toml"
    where = {"http": free_port(), "host": archive.host, "port": archive.port}
    file.write_text(CONFIGURATION.format(aet=aet, **where))
    command = [sys.executable, "-m", "harmony", "validate", str(file), "--connect"]
    done = subprocess.run(
        [*command, "--format", "json"], capture_output=True, timeout=SECONDS, check=False
    )
    assert done.stderr == b""
    return done.returncode, [each["code"] for each in json.loads(done.stdout)["findings"]]


def test_a_pacs_that_knows_us(archive: Archive, tmp_path: Path) -> None:
    assert told(tmp_path, archive, aet=archive.ae_title) == (0, [])


def test_another_name_than_the_pacs_has(archive: Archive, tmp_path: Path) -> None:
    assert told(tmp_path, archive, aet="ANOTHER") == (4, ["HRM-E504"])
