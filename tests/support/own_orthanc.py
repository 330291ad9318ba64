"""An Orthanc on loopback for tests that want one to themselves, whatever kind the others run on."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.pacs import available
from tests.support.pacs.process import ProcessPacs


@contextlib.contextmanager
def own_orthanc(root: Path) -> Iterator[ProcessPacs]:
    """Run it until the block ends; without one, skip the test, or fail it where CI=true."""
    if "process" not in available():
        reason = "no Orthanc: run tools/install_peers.sh"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    with contextlib.closing(ProcessPacs(root)) as running:
        yield running
