"""Which kind of PACS the tests get."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from tests.support.pacs.base import Pacs
from tests.support.pacs.engine import IMAGE_VARIABLE, EnginePacs, engine_tool
from tests.support.pacs.process import (
    NamespacePacs,
    ProcessPacs,
    namespaces_work,
    worker_index,
)

KIND_VARIABLE = "HARMONY_TEST_PACS"
KINDS = ("external", "engine", "netns", "process")


def available() -> list[str]:
    """The kinds that work here, the preferred one first."""
    orthanc = shutil.which("Orthanc", path=os.environ.get("PATH", "") + ":/usr/sbin") is not None
    works = {
        "external": "HARMONY_TEST_PACS_HOST" in os.environ,
        "engine": IMAGE_VARIABLE in os.environ and engine_tool() is not None,
        "netns": orthanc and namespaces_work(),
        "process": orthanc,
    }
    return [kind for kind in KINDS if works[kind]]


def chosen() -> str | None:
    """The kind that HARMONY_TEST_PACS names, else the best one; None if there is none."""
    kind = os.environ.get(KIND_VARIABLE)
    if kind is None:
        return next(iter(available()), None)
    if kind not in KINDS:
        raise ValueError(f"{KIND_VARIABLE}={kind!r}: write one of {', '.join(KINDS)}")
    return kind


def start(kind: str, root: Path) -> Pacs:
    """Start a PACS of this kind; `Pacs.close` ends it."""
    if kind == "external":
        return external()
    if kind == "engine":
        return EnginePacs(root)
    if kind == "netns":
        return NamespacePacs(root, index=worker_index() % 8)
    return ProcessPacs(root)


def external() -> Pacs:
    """The Orthanc that HARMONY_TEST_PACS_HOST, _PORT, _HTTP and _AET name.

    Tests empty it. HARMONY_TEST_PACS_CALLER is this machine as that one sees it.
    """
    said = os.environ
    pacs = Pacs(
        host=said["HARMONY_TEST_PACS_HOST"],
        port=int(said.get("HARMONY_TEST_PACS_PORT", "4242")),
        http_port=int(said.get("HARMONY_TEST_PACS_HTTP", "8042")),
        ae_title=said.get("HARMONY_TEST_PACS_AET", "ORTHANC"),
        caller_host=said.get("HARMONY_TEST_PACS_CALLER", "127.0.0.1"),
    )
    pacs.wait_until_ready()
    return pacs
