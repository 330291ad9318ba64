"""What every kind of PACS offers."""

from __future__ import annotations

import json
import time
import urllib.request
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Self

READY_SECONDS = 30.0


class Pacs:
    """A running Orthanc.

    Attributes:
        host, port, ae_title: its DIMSE side.
        http_port: its REST side, at the same host.
        caller_host: this machine as the PACS sees it, for C-MOVE to a listener here.
    """

    def __init__(
        self,
        *,
        host: str = "127.0.0.1",
        port: int = 4242,
        http_port: int = 8042,
        ae_title: str = "ORTHANC",
        caller_host: str = "127.0.0.1",
    ) -> None:
        self.host = host
        self.port = port
        self.http_port = http_port
        self.ae_title = ae_title
        self.caller_host = caller_host

    @property
    def http(self) -> str:
        """The root of its REST API."""
        return f"http://{self.host}:{self.http_port}"

    def rest(
        self, method: str, path: str, body: bytes | None = None, *, seconds: float = 30.0
    ) -> object:
        """Call its REST API, and decode the JSON that comes back."""
        request = urllib.request.Request(self.http + path, method=method, data=body)
        with urllib.request.urlopen(request, timeout=seconds) as answer:
            decoded: object = json.loads(answer.read() or b"null")
            return decoded

    def file(self, instance: str) -> bytes:
        """The DICOM file of an instance, by the identifier that its REST API gives it."""
        address = f"{self.http}/instances/{instance}/file"
        with urllib.request.urlopen(address, timeout=30) as answer:
            read: bytes = answer.read()
            return read

    def load(self, files: Iterable[Path]) -> None:
        """Store DICOM files."""
        for file in files:
            self.rest("POST", "/instances", file.read_bytes())

    def reset(self) -> None:
        """Forget every study; quicker than a restart."""
        patients = self.rest("GET", "/patients")
        assert isinstance(patients, list)
        for patient in patients:
            self.rest("DELETE", f"/patients/{patient}")

    def add_modality(self, ae_title: str, host: str, port: int) -> None:
        """Tell it where C-MOVE to `ae_title` goes; until it is restarted."""
        body = json.dumps({"AET": ae_title, "Host": host, "Port": port}).encode()
        self.rest("PUT", f"/modalities/{ae_title.lower()}", body)

    def wait_until_ready(self) -> None:
        """Block until it answers.

        Raises:
            RuntimeError: it ended, or did not answer in time.
        """
        deadline = time.monotonic() + READY_SECONDS
        while True:
            try:
                self.rest("GET", "/system", seconds=1)
                return
            except (OSError, ValueError):
                self.check_running()
            if time.monotonic() > deadline:
                raise RuntimeError(f"no PACS at {self.http} after {READY_SECONDS} s")
            time.sleep(0.02)

    def check_running(self) -> None:
        """Raise RuntimeError with its log if it has ended; nothing is known of a foreign one."""

    def close(self) -> None:
        """End it, with all that was made for it; a foreign one is left alone."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
