"""HTTP in: Harmony's JSON API beside DCMTK processes and plain pynetdicom, all before Orthanc."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Sequence

from tools.bench.contenders import Contender, Dcmtk, Harmony, Pynetdicom
from tools.bench.deployments import harmony_http
from tools.bench.series import Series, archive
from tools.bench.servers import asking_orthanc
from tools.bench.setting import Setting, modes
from tools.bench.timing import Case, Entry, Unit, print_head, timed

_FINDS = (1, 100, 1000)
_BULK = (100, 512)  # instances, and rows and columns of each
_QUICK_BULK = (20, 512)


def print_tables(setting: Setting) -> None:
    """With Orthanc and DCMTK sending at once, and as they are installed."""
    finds = [setting.shelf.rows(count) for count in _FINDS]
    bulk = setting.shelf.series(*(_QUICK_BULK if setting.quick else _BULK))
    for nodelay, how in modes():
        root = setting.disk / f"ask-{nodelay}"
        with (
            asking_orthanc(root / "pacs", (), nodelay=nodelay) as (pacs, scp),
            harmony_http(root / "harmony", {"pacs": scp}, setting.engine) as port,
            contextlib.closing(Harmony(scp.host, port, "/pacs")) as ours,
        ):
            for series in (*finds, bulk):
                pacs.rest("POST", "/instances", archive(series.folder), seconds=120)
            contenders = (ours, Dcmtk(scp, nodelay=nodelay), Pynetdicom(scp))
            names = [contender.name for contender in contenders]
            print_head(f"HTTP in, Orthanc and DCMTK {how}; up to {setting.rounds} rounds", names)
            for case in cases(contenders, finds, bulk):
                setting.print_case(case, setting.rounds)


def cases(contenders: Sequence[Contender], finds: Sequence[Series], bulk: Series) -> list[Case]:
    """The lines of a table."""

    def entries(ask: Callable[[Contender], int], due: int) -> list[Entry]:
        return [
            Entry(
                name=contender.name,
                run=functools.partial(timed, functools.partial(ask, contender)),
                due=due,
            )
            for contender in contenders
        ]

    def find(series: Series) -> Case:
        return Case(
            title=f"C-FIND, {series.instances} {'row' if series.instances == 1 else 'rows'}",
            entries=entries(lambda contender: contender.find(series), series.instances),
        )

    return [
        Case(title="C-ECHO", entries=entries(lambda contender: contender.echo(), 1)),
        *map(find, finds),
        Case(
            title=f"C-GET, {bulk.pixel_bytes / 1e6:.0f} MB",
            entries=entries(lambda contender: contender.get(bulk), bulk.pixel_bytes),
            unit=Unit.MEGABYTES,
        ),
    ]
