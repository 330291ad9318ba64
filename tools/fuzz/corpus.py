"""Cases that once failed, kept as files and replayed by the tests.

A file is JSON. Bytes in it are deflated and in base64, so that a bomb stays small.
"""

from __future__ import annotations

import base64
import hashlib
import json
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import TypeAlias

from tests.support.bad_caller.conversation import Case, Expect, Hear, Say, Step
from tools.fuzz.surfaces import Input

FOLDER = Path(__file__).parents[2] / "tests" / "corpus"

Kept: TypeAlias = Input | Case
_Record: TypeAlias = dict[str, object]


def save(case: Kept, why: str, folder: Path = FOLDER) -> Path:
    """Write a case down; the same case goes to the same file."""
    record = _of_input(case) if isinstance(case, Input) else _of_case(case)
    digest = hashlib.sha256(json.dumps(record, sort_keys=True).encode()).hexdigest()
    kind = case.surface if isinstance(case, Input) else "live"
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"{kind}-{digest[:12]}.json"
    file.write_text(json.dumps({"why": why, **record}, indent=1) + "\n")
    return file


def load(file: Path) -> Kept:
    """Read what `save` wrote."""
    record = json.loads(file.read_text())
    if "surface" in record:
        return Input(record["surface"], record["variant"], _unpacked(record["data"]))
    return Case(
        name=record["name"],
        steps=tuple(_step(step) for step in record["steps"]),
        expect=Expect(record["expect"]),
        ending=record["ending"],
    )


def inputs(folder: Path = FOLDER) -> Iterator[tuple[Path, Input]]:
    """What is kept for the surfaces of this process."""
    for file in sorted(folder.glob("*.json")):
        case = load(file)
        if isinstance(case, Input):
            yield file, case


def cases(folder: Path = FOLDER) -> Iterator[tuple[Path, Case]]:
    """The conversations that are kept."""
    for file in sorted(folder.glob("*.json")):
        case = load(file)
        if isinstance(case, Case):
            yield file, case


def _of_input(case: Input) -> _Record:
    return {"surface": case.surface, "variant": case.variant, "data": _packed(case.data)}


def _of_case(case: Case) -> _Record:
    return {
        "name": case.name,
        "expect": case.expect.value,
        "ending": case.ending,
        "steps": [
            {"say": _packed(step.data)} if isinstance(step, Say) else {"hear": step.seconds}
            for step in case.steps
        ],
    }


def _step(record: dict[str, str | float]) -> Step:
    if "say" in record:
        return Say(_unpacked(str(record["say"])))
    return Hear(float(record["hear"]))


def _packed(data: bytes) -> str:
    return base64.b64encode(zlib.compress(data, 9)).decode()


def _unpacked(text: str) -> bytes:
    return zlib.decompress(base64.b64decode(text))
