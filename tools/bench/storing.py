"""C-STORE in: storescu sends to Harmony's archive, to storescp and to Orthanc."""

from __future__ import annotations

import contextlib
import functools
import shutil
from collections.abc import Sequence
from dataclasses import dataclass

from tools.bench.deployments import harmony_archive
from tools.bench.objects import Supply, make_template
from tools.bench.sending import send
from tools.bench.servers import Server, orthanc, storescp
from tools.bench.setting import Setting, modes
from tools.bench.timing import Case, Entry, Unit, print_head

NAMES = ("harmony archive", "storescp", "orthanc")
_NOTE = (
    "\nC-STORE in: before it answers, Harmony syncs file, folder and index; Orthanc the file, and "
    "its index\nlater; storescp syncs nothing and has no index. A disk that ignores syncs hides it."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """What is sent in one case.

    Attributes:
        rows: of an image, and its columns.
        unit: of the result.
    """

    title: str
    rows: int
    count: int
    associations: int = 1
    unit: Unit = Unit.OBJECTS


_STALLED_COUNT = 20


def loads(*, quick: bool) -> list[Load]:
    """The lines of the table."""
    small, large = (40, 1) if quick else (200, 4)
    return [
        Load(title=f"{small} x 0.5 MB, 1 association", rows=512, count=small),
        Load(title=f"{small} x 0.5 MB, 4 associations", rows=512, count=small, associations=4),
        Load(title=f"{large} x 50 MB", rows=5000, count=large, unit=Unit.MEGABYTES),
    ]


def print_tables(setting: Setting) -> None:
    """With DCMTK and Orthanc sending at once, and shortly as they are installed."""
    print(_NOTE)
    few = Load(title=f"{_STALLED_COUNT} x 0.5 MB, 1 association", rows=512, count=_STALLED_COUNT)
    for nodelay, how in modes():
        rounds = setting.sends if nodelay else min(setting.sends, 2)
        print_head(f"C-STORE in, storescu and Orthanc {how}; up to {rounds} rounds", NAMES)
        for load in loads(quick=setting.quick) if nodelay else [few]:
            _print_line(setting, load, rounds, nodelay=nodelay)


def _print_line(setting: Setting, load: Load, rounds: int, *, nodelay: bool) -> None:
    """Receivers write to the disk; what is sent lies in memory. Each case has fresh receivers."""
    root = setting.disk / "store"
    supply = Supply(folder=setting.memory / "objects", template=make_template(load.rows))
    with contextlib.ExitStack() as running:
        running.callback(shutil.rmtree, root, ignore_errors=True)
        servers = (
            running.enter_context(harmony_archive(root / "harmony", setting.engine)),
            running.enter_context(storescp(root / "storescp", nodelay=nodelay)),
            running.enter_context(orthanc(root / "orthanc", nodelay=nodelay)),
        )
        setting.print_case(_case(load, supply, servers, nodelay=nodelay), rounds)


def _case(load: Load, supply: Supply, servers: Sequence[Server], *, nodelay: bool) -> Case:
    return Case(
        title=load.title,
        unit=load.unit,
        weight=supply.object_bytes,
        entries=[
            Entry(
                name=name,
                run=functools.partial(
                    send,
                    server,
                    supply,
                    load.count,
                    associations=load.associations,
                    nodelay=nodelay,
                ),
                due=load.count,
            )
            for name, server in zip(NAMES, servers, strict=True)
        ],
    )
