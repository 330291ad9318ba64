"""DCMTK's callers as tests use them: how they ended, what they said, what they received.

    harmony = Called(host=host, port=port, aet="HARMONY")
    found = await findscu(harmony, STUDY_ROOT, {"QueryRetrieveLevel": "STUDY"}, folder=folder)
    assert found.status == 0

Their own time-outs bound every wait: a peer that says nothing makes them fail, not hang.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal, TypeAlias

import trio
from pydicom import dcmread
from pydicom.dataset import Dataset

from tests.support.files import Contents, contents

Root: TypeAlias = Literal["--patient", "--study"]
Keys: TypeAlias = Mapping[str, str]
Option: TypeAlias = str | Path

PATIENT_ROOT: Final = "--patient"
STUDY_ROOT: Final = "--study"
SECONDS: Final = 40


@dataclass(frozen=True, slots=True, kw_only=True)
class Called:
    """Whom a program calls, and as whom."""

    host: str
    port: int
    aet: str
    calling: str = "TESTER"


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """How a program ended.

    Attributes:
        output: all that it printed; with `-d`, so each message is there.
        rows: identifiers that it received by C-FIND.
        received: files that it received by C-GET.
    """

    code: int
    output: str
    rows: Sequence[Dataset] = field(default=(), repr=False)
    received: Sequence[Contents] = field(default=(), repr=False)

    @property
    def statuses(self) -> list[int]:
        """Of all DIMSE responses, in order."""
        return [int(each, 16) for each in re.findall(r"DIMSE Status +: 0x(\w{4})", self.output)]

    @property
    def status(self) -> int:
        """Of the last DIMSE response; it fails where there was none."""
        assert self.statuses, self.output
        return self.statuses[-1]

    def stored(self) -> dict[Path, int | None]:
        """What `storescu` was told of each file; None where no answer came."""
        told: dict[Path, int | None] = {}
        for part in self.output.split("I: Sending file: ")[1:]:
            file, _, rest = part.partition("\n")
            found = re.search(r"DIMSE Status +: 0x(\w{4})", rest)
            told[Path(file)] = int(found[1], 16) if found else None
        return told

    @property
    def rejection(self) -> tuple[str, str] | None:
        """Result with source, and reason, in DCMTK's words; None if it was not rejected."""
        found = re.search(r"Result: (.*)\n.*Reason: (.*)", self.output)
        return (found[1], found[2]) if found else None

    @property
    def counters(self) -> tuple[int, int, int]:
        """Completed, failed and warned sub-operations, as the last response counts them."""
        found = [
            re.findall(rf"{word} Suboperations +: (\d+)", self.output)
            for word in ("Completed", "Failed", "Warning")
        ]
        assert all(found), self.output
        completed, failed, warned = (int(each[-1]) for each in found)
        return completed, failed, warned


async def echoscu(called: Called, *options: Option, seconds: int = SECONDS) -> Done:
    """C-ECHO; each of its steps may take so many seconds."""
    return await _run("echoscu", called, options, seconds=seconds)


async def storescu(called: Called, files: Iterable[Path], *options: Option) -> Done:
    """C-STORE of the files on one association, going on after a failure.

    Args:
        options: how to propose their transfer syntaxes, among others.
    """
    return await _run("storescu", called, ("--no-halt", *options), files=files)


async def findscu(called: Called, root: Root, keys: Keys, *options: Option, folder: Path) -> Done:
    """C-FIND; `folder` must be empty, or not be there."""
    output = ("--extract", "--output-directory", _made(folder))
    done = await _run("findscu", called, (root, *_asking(keys), *output, *options))
    rows = [dcmread(file) for file in _files(folder)]
    return Done(code=done.code, output=done.output, rows=rows)


async def getscu(called: Called, root: Root, keys: Keys, *options: Option, folder: Path) -> Done:
    """C-GET; `folder` must be empty, or not be there."""
    output = ("--bit-preserving", "--output-directory", _made(folder))
    done = await _run("getscu", called, (root, *_asking(keys), *output, *options))
    received = [contents(file.read_bytes()) for file in _files(folder)]
    return Done(code=done.code, output=done.output, received=received)


async def movescu(
    called: Called, root: Root, keys: Keys, *options: Option, destination: str
) -> Done:
    """C-MOVE to an AE title that is not its own."""
    return await _run("movescu", called, (root, "--move", destination, *_asking(keys), *options))


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _files(folder: Path) -> list[Path]:
    return sorted(folder.iterdir())


def _asking(keys: Keys) -> list[str]:
    return [word for key, value in keys.items() for word in ("--key", f"{key}={value}")]


async def _run(
    program: str,
    called: Called,
    options: Iterable[Option],
    *,
    files: Iterable[Path] = (),
    seconds: int = SECONDS,
) -> Done:
    patience = [word for name in ("-to", "-ta", "-td") for word in (name, seconds)]
    titles = ("--aetitle", called.calling, "--call", called.aet)
    command = [program, "-d", *patience, *titles, *options, called.host, called.port, *files]
    done = await trio.run_process(
        [str(word) for word in command],
        capture_stdout=True,
        capture_stderr=True,
        check=False,
        env={**os.environ, "TCP_NODELAY": "1"},
    )
    # It prints identifiers in the character set that they come in.
    output = (done.stdout + done.stderr).decode("latin-1")
    return Done(code=done.returncode, output=output)
