"""Running DCMTK's commands so that their time can be taken."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence

_SECONDS = 120


def run_all(commands: Sequence[Sequence[str]], *, nodelay: bool) -> None:
    """Run commands at the same time, and wait for all.

    `Popen.wait` with a time limit looks only every so often, in the end every 50 ms, which would
    count for those who are quick. The end of a pipe is seen at once.

    Args:
        commands: program and arguments of each.
        nodelay: whether DCMTK sends at once (TCP_NODELAY=1).

    Raises:
        RuntimeError: one failed; with what it said.
        subprocess.TimeoutExpired: one did not end.
    """
    environment = {key: value for key, value in os.environ.items() if key != "TCP_NODELAY"}
    programs = [
        subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            env=environment | ({"TCP_NODELAY": "1"} if nodelay else {}),
        )
        for command in commands
    ]
    try:
        told = [program.communicate(timeout=_SECONDS)[0] for program in programs]
    finally:
        for program in programs:
            program.kill()  # does nothing to one that has ended
            program.communicate()
    for program, command, text in zip(programs, commands, told, strict=True):
        if program.returncode:
            raise RuntimeError(f"{command[0]} ended with {program.returncode}: {text[-500:]}")
