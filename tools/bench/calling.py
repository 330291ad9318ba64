"""Out, without HTTP: Harmony and pynetdicom in this process, and DCMTK's tools."""

from __future__ import annotations

import functools

from tools.bench.contenders import Dcmtk, Pynetdicom
from tools.bench.objects import Supply, make_template
from tools.bench.own_caller import Own
from tools.bench.sending import storescu
from tools.bench.servers import (
    Server,
    asking_orthanc,
    dcmqrscp,
    fast_scp,
    ignoring_storescp,
    pynetdicom_scp,
)
from tools.bench.setting import Setting, modes
from tools.bench.timing import Case, Entry, Sample, Unit, print_head, timed

NAMES = ("harmony", "pynetdicom", "dcmtk process")
_NOTE = (
    "\nOut: C-ECHO on an association that is held; all else on a new one, whose time counts, and\n"
    "DCMTK's with a process for each. findscu and getscu write files, and nobody reads them."
)
_ECHOES, _FEW_ECHOES, _ROWS = 50, 10, 1000
_BULK, _QUICK_BULK = 100, 20
_STALLED = 20  # objects for storescu, where each takes 50 ms
_MOST_ECHO = 0.2  # milliseconds


def print_tables(setting: Setting) -> None:
    """With DCMTK and Orthanc sending at once, and as they are installed."""
    print(_NOTE)
    for nodelay, how in modes():
        root = setting.disk / f"call-{nodelay}"
        print_head(f"Out, Orthanc and DCMTK {how}; up to {setting.rounds} rounds", NAMES)
        with (
            asking_orthanc(root / "orthanc", (), nodelay=nodelay) as (_, pacs),
            dcmqrscp(root / "dcmqrscp", nodelay=nodelay) as qrscp,
            ignoring_storescp(root / "storescp", nodelay=nodelay) as sink,
            fast_scp(root / "fast") as fast,
            pynetdicom_scp(root / "pynetdicom") as stock,
        ):
            for name, scp in {
                "orthanc": pacs,
                "dcmqrscp": qrscp,
                "storescp": sink,
                "pynetdicom": stock,
                "fast": fast,
            }.items():
                setting.print_case(_echo(setting, name, scp, nodelay=nodelay), setting.rounds)
            setting.print_case(_find(setting, qrscp, nodelay=nodelay), setting.rounds)
            setting.print_case(_get(setting, qrscp, nodelay=nodelay), setting.sends)
            setting.print_case(_store(setting, sink, nodelay=nodelay), setting.sends)


def _echo(setting: Setting, name: str, scp: Server, *, nodelay: bool) -> Case:
    asks = (Own(scp, setting.engine).held_echoes, Pynetdicom(scp).held_echoes)
    title = f"C-ECHO, held, {name}"
    # pynetdicom answers as late as its threads look, every millisecond or so.
    has_goal = not nodelay and name != "pynetdicom"
    return Case(
        title=title,
        unit=Unit.MILLISECONDS_EACH,
        most=_MOST_ECHO if has_goal else None,
        entries=[
            Entry(name=who, run=functools.partial(ask, count), due=count)
            for who, ask, count in zip(NAMES, asks, (_ECHOES, _FEW_ECHOES), strict=False)
        ],
    )


def _find(setting: Setting, scp: Server, *, nodelay: bool) -> Case:
    series = setting.shelf.rows(_ROWS)
    storescu(scp, [series.objects], nodelay=True)
    asks = (
        Own(scp, setting.engine).find,
        Pynetdicom(scp).find,
        Dcmtk(scp, nodelay=nodelay).find,
    )
    title = f"C-FIND, {_ROWS} rows, dcmqrscp"
    return Case(
        title=title,
        entries=[
            Entry(
                name=name,
                run=functools.partial(timed, functools.partial(ask, series)),
                due=_ROWS,
                goal=goal,
            )
            for name, ask, goal in zip(NAMES, asks, _goals(nodelay, 8, 8), strict=True)
        ],
    )


def _get(setting: Setting, scp: Server, *, nodelay: bool) -> Case:
    count = _QUICK_BULK if setting.quick else _BULK
    series = setting.shelf.series(count, 512)
    storescu(scp, [series.objects], nodelay=True)
    asks = (Own(scp, setting.engine).get, Pynetdicom(scp).get, Dcmtk(scp, nodelay=nodelay).get)
    return Case(
        title=f"C-GET, {count} x 0.5 MB, dcmqrscp",
        unit=Unit.MEGABYTES,
        entries=[
            Entry(
                name=name,
                run=functools.partial(timed, functools.partial(ask, series)),
                due=series.pixel_bytes,
                goal=goal,
            )
            for name, ask, goal in zip(NAMES, asks, _goals(nodelay, 4, 40), strict=True)
        ],
    )


def _store(setting: Setting, scp: Server, *, nodelay: bool) -> Case:
    supply = Supply(folder=setting.memory / "objects", template=make_template(512))
    count = _QUICK_BULK if setting.quick else _BULK
    few = count if nodelay else _STALLED

    def ours() -> Sample:
        objects = supply.objects(count)
        return timed(functools.partial(Own(scp, setting.engine).store, objects))

    def stock() -> Sample:
        files = [each.file for each in supply.objects(few)]
        return timed(functools.partial(Pynetdicom(scp).store, files))

    def theirs() -> Sample:
        folders = supply.batch(few)

        def send() -> int:  # raises if one is not taken
            storescu(scp, folders, nodelay=nodelay)
            return few

        return timed(send)

    return Case(
        title="C-STORE, 0.5 MB each, storescp",
        row="C-STORE, 0.5 MB each, storescp" + (", TCP_NODELAY=1" if nodelay else ""),
        unit=Unit.OBJECTS,
        entries=[
            Entry(name=NAMES[0], run=ours, due=count),
            Entry(name=NAMES[1], run=stock, due=few),
            Entry(name=NAMES[2], run=theirs, due=few, goal=1 if nodelay else 100),
        ],
    )


def _goals(nodelay: bool, stock: float, dcmtk: float) -> tuple[float | None, ...]:
    return (None, None, None) if nodelay else (None, stock, dcmtk)
