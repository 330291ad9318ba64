"""Running the programs that tests talk to; none outlives its block."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

_END_SECONDS = 10.0
_POLL_SECONDS = 0.02
_PORTS = range(20_000, 32_768)
_ATTEMPTS = 100


def run(*command: str | Path, check: bool = True, stdin: str | None = None) -> str:
    """Run a short command and return what it printed.

    Raises:
        RuntimeError: it failed, or took more than a minute; with what it said.
    """
    words = [str(word) for word in command]
    try:
        done = subprocess.run(
            words, input=stdin, capture_output=True, text=True, timeout=60, check=False
        )
    except subprocess.TimeoutExpired:
        raise RuntimeError(f"{' '.join(words)}: no end after a minute") from None
    if check and done.returncode:
        raise RuntimeError(f"{' '.join(words)}: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout


def succeeds(*command: str | Path) -> bool:
    """Whether a short command can be run, and ends with 0."""
    try:
        run(*command)
    except (RuntimeError, FileNotFoundError, PermissionError):
        return False
    return True


def free_port() -> int:
    """A TCP port that nobody has at the moment, for programs that cannot take port 0.

    It is below those that Linux takes for connections, which would be faster now and then.
    """
    chance = random.SystemRandom()
    for _ in range(_ATTEMPTS):
        port = chance.choice(_PORTS)
        with socket.socket() as sock, contextlib.suppress(OSError):
            sock.bind(("", port))
            return port
    raise RuntimeError(f"no port is free among {_ATTEMPTS} of {_PORTS}")


class Program:
    """A running program in a process group of its own, with its output in a file.

    Args:
        log: appended to.
        nodelay: whether DCMTK sends at once; without it every DIMSE message waits 40 ms for
            an acknowledgement (Nagle's algorithm), as it does in many hospitals.
    """

    def __init__(self, command: Sequence[str | Path], log: Path, *, nodelay: bool = True) -> None:
        self.log = log
        environment = {key: value for key, value in os.environ.items() if key != "TCP_NODELAY"}
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                [str(word) for word in command],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=environment | ({"TCP_NODELAY": "1"} if nodelay else {}),
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether it has not ended."""
        return self._process.poll() is None

    def send_signal(self, number: signal.Signals) -> None:
        """Signal the program and all it started."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, number)

    def is_stopped(self) -> bool:
        """Whether SIGSTOP has reached all of its threads. proc(5), stat."""
        threads = Path("/proc", str(self.pid), "task").glob("*/stat")
        return all(stat.read_text().rpartition(")")[2].split()[0] == "T" for stat in threads)

    def stop(self) -> None:
        """Ask it to end, and kill it if it does not within ten seconds."""
        self.send_signal(signal.SIGCONT)
        self.send_signal(signal.SIGTERM)
        try:
            self._process.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()

    def kill(self) -> None:
        """End it now."""
        self.send_signal(signal.SIGKILL)
        self._process.wait(_END_SECONDS)

    def wait_until(self, ready: Callable[[], bool], *, seconds: float = 20.0) -> None:
        """Block until `ready`.

        Raises:
            RuntimeError: it ended, or was not ready in time; with the end of its log.
        """
        deadline = time.monotonic() + seconds
        while not ready():
            if not self.running or time.monotonic() > deadline:
                state = "not ready" if self.running else "ended"
                raise RuntimeError(f"{state}; its log: {self.log.read_text()[-2000:]}")
            time.sleep(_POLL_SECONDS)


def accepts(host: str, port: int) -> bool:
    """Whether something accepts TCP connections there."""
    try:
        with socket.create_connection((host, port), timeout=1):
            return True
    except OSError:
        return False


@contextlib.contextmanager
def program(command: Sequence[str | Path], log: Path) -> Iterator[Program]:
    """Run a program until the block ends."""
    started = Program(command, log)
    try:
        yield started
    finally:
        started.kill()
