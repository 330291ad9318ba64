"""Orthanc in a container, of docker or podman."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

from tests.support.pacs.base import Pacs
from tests.support.pacs.config import Modality, orthanc_config
from tests.support.processes import free_port, run, succeeds

IMAGE_VARIABLE = "HARMONY_TEST_PACS_IMAGE"


def engine_tool() -> str | None:
    """The command of a container engine that answers; None without one."""
    return next((tool for tool in ("docker", "podman") if succeeds(tool, "info")), None)


class EnginePacs(Pacs):
    """Orthanc in a container, published on loopback.

    The image is named by HARMONY_TEST_PACS_IMAGE, and holds Orthanc with its DICOMweb plugin
    where Debian puts them; ``tests/pacs/make-image.sh`` makes one.

    Args:
        root: folder for its configuration.
    """

    def __init__(self, root: Path) -> None:
        tool = engine_tool()
        if tool is None:
            raise RuntimeError("no container engine answers; see tests/pacs/start-engine.sh")
        self._tool = tool
        super().__init__(port=free_port(), http_port=free_port(), caller_host=self._gateway())
        self._name = f"harmony-pacs-{os.getpid()}-{time.time_ns() % 10**6}"
        root.mkdir(parents=True, exist_ok=True)
        config = orthanc_config(
            "/data",
            http_port=8042,
            dicom_port=4242,
            modalities=(Modality(ae_title="HARMONY", host=self.caller_host, port=11112),),
            remote=True,
        )
        (root / "orthanc.json").write_text(json.dumps(config, indent=1))
        try:
            run(
                *(self._tool, "run", "--detach", "--name", self._name),
                *("--publish", f"127.0.0.1:{self.port}:4242"),
                *("--publish", f"127.0.0.1:{self.http_port}:8042"),
                *("--env", "TCP_NODELAY=1", "--tmpfs", "/data"),
                *("--volume", f"{root.resolve()}/orthanc.json:/cfg/orthanc.json:ro"),
                *(os.environ[IMAGE_VARIABLE], "Orthanc", "/cfg/orthanc.json"),
            )
            self.wait_until_ready()
        except BaseException:
            self.close()
            raise

    def check_running(self) -> None:
        state = run(self._tool, "inspect", "--format", "{{.State.Running}}", self._name)
        if state.strip() != "true":
            log = run(self._tool, "logs", self._name, check=False)
            raise RuntimeError(f"the container ended; its log: {log[-2000:]}")

    def close(self) -> None:
        run(self._tool, "rm", "--force", "--volumes", self._name, check=False)

    def _gateway(self) -> str:
        network = "bridge" if self._tool == "docker" else "podman"
        (found,) = json.loads(run(self._tool, "network", "inspect", network))
        if self._tool == "docker":
            return str(found["IPAM"]["Config"][0]["Gateway"])
        return str(found["subnets"][0]["gateway"])
