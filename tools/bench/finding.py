"""C-FIND in: one caller asks Harmony's archive, dcmqrscp and Orthanc for the same images."""

from __future__ import annotations

import contextlib
import functools
import shutil
from collections.abc import Sequence

from tools.bench.deployments import harmony_archive
from tools.bench.raw_find import find, images_of
from tools.bench.sending import storescu
from tools.bench.series import Series
from tools.bench.servers import Server, dcmqrscp, orthanc
from tools.bench.setting import Setting, modes
from tools.bench.timing import Case, Entry, print_head, timed

NAMES = ("harmony archive", "dcmqrscp", "orthanc")
_NOTE = "\nC-FIND in: a new association for each; the caller counts rows and decodes none."


_FINDS = (1, 100, 1000)


def print_tables(setting: Setting) -> None:
    """With DCMTK and Orthanc sending at once, and shortly as they are installed."""
    print(_NOTE)
    series = [setting.shelf.rows(count) for count in _FINDS]
    for nodelay, how in modes():
        if nodelay:
            _print_table(setting, how, series, setting.rounds, nodelay=nodelay)
        else:
            _print_table(setting, how, series[:2], min(setting.rounds, 5), nodelay=nodelay)


def _print_table(
    setting: Setting, how: str, series: Sequence[Series], rounds: int, *, nodelay: bool
) -> None:
    """All three hold the same."""
    root = setting.disk / "find"
    with contextlib.ExitStack() as running:
        running.callback(shutil.rmtree, root, ignore_errors=True)
        servers = (
            running.enter_context(harmony_archive(root / "harmony", setting.engine)),
            running.enter_context(dcmqrscp(root / "dcmqrscp", nodelay=nodelay)),
            running.enter_context(orthanc(root / "orthanc", nodelay=nodelay)),
        )
        for server in servers:
            for each in series:  # one after another: dcmqrscp loses some of several at once
                storescu(server, [each.objects], nodelay=True)
        print_head(f"C-FIND in, DCMTK and Orthanc {how}; up to {rounds} rounds", NAMES)
        for each in series:
            setting.print_case(_case(each, servers), rounds)


def _case(series: Series, servers: Sequence[Server]) -> Case:
    identifier = images_of(series)
    return Case(
        title=f"{series.instances} {'row' if series.instances == 1 else 'rows'}",
        entries=[
            Entry(
                name=name,
                run=functools.partial(timed, functools.partial(find, server, identifier)),
                due=series.instances,
            )
            for name, server in zip(NAMES, servers, strict=True)
        ],
    )
