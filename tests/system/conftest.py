"""``python -m harmony serve`` as a process of its own."""

from __future__ import annotations

import contextlib
import functools
import json
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from pathlib import Path

import httpx2
import pytest
import trio

from tests.support.dcmtk import Called

START_SECONDS = 20.0
END_SECONDS = 10.0


@dataclass(slots=True, kw_only=True)
class Served:
    """A Harmony that is ready, or has ended instead.

    Attributes:
        start_lines: what it printed until it was ready.
        log: where standard error goes.
    """

    process: trio.Process
    log: Path
    start_lines: list[str] = field(default_factory=list)

    @property
    def url(self) -> str:
        return self._url("http ")

    @property
    def admin_url(self) -> str:
        return self._url("admin ")

    def called(self, endpoint: str, aet: str) -> Called:
        """A ``dicom`` endpoint, for DCMTK's programs."""
        start = f"dicom     {endpoint}: "
        line = next(line for line in self.start_lines if line.startswith(start))
        host, _, port = line.removeprefix(start).rpartition(":")
        return Called(host=host, port=int(port), aet=aet)

    def client(self) -> httpx2.AsyncClient:
        return httpx2.AsyncClient(base_url=self.url, trust_env=False, timeout=30)

    async def admin(self, path: str) -> httpx2.Response:
        async with httpx2.AsyncClient(base_url=self.admin_url, trust_env=False) as client:
            return await client.get(path)

    def send(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    async def ended(self) -> int:
        """Wait for its end; the exit code.

        Raises:
            trio.TooSlowError: it goes on.
        """
        with trio.fail_after(END_SECONDS):
            return await self.process.wait()

    def events(self, event: str) -> list[dict[str, object]]:
        """Lines of its log so far with this event."""
        lines = [line for line in self.log.read_text().splitlines() if line.startswith("{")]
        return [told for told in map(json.loads, lines) if told["event"] == event]

    def _url(self, start: str) -> str:
        line = next(line for line in self.start_lines if line.startswith(start))
        return line[line.index("http://") :]


Serve = Callable[..., AbstractAsyncContextManager[Served]]


@pytest.fixture
def serve(tmp_path: Path) -> Serve:
    """``async with serve(file) as served``: the process, until the block ends."""
    return functools.partial(serving, log=tmp_path / "log.txt")


@contextlib.asynccontextmanager
async def serving(
    file: Path,
    *arguments: str,
    log: Path,
    environment: Mapping[str, str] | None = None,
) -> AsyncIterator[Served]:
    command: Sequence[str] = [sys.executable, "-m", "harmony", "serve", str(file), *arguments]
    with log.open("wb") as errors:
        process = await trio.lowlevel.open_process(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=errors,
            env=environment,
        )
    served = Served(process=process, log=log)
    try:
        with trio.fail_after(START_SECONDS):
            served.start_lines = await _start_lines(process)
        yield served
    finally:
        with trio.CancelScope(shield=True, deadline=trio.current_time() + END_SECONDS):
            if process.returncode is None:
                process.kill()
            await process.wait()
            if process.stdout is not None:
                await process.stdout.aclose()


async def _start_lines(process: trio.Process) -> list[str]:
    """What it prints, up to the line of the admin listener, which is the last, or its end."""
    assert process.stdout is not None
    printed = b""
    async for chunk in process.stdout:
        printed += chunk
        lines = printed.decode().splitlines(keepends=True)
        if lines and lines[-1].startswith("admin") and lines[-1].endswith("\n"):
            break
    return printed.decode().splitlines()
