"""HTTP in: Harmony's JSON API beside DCMTK processes and plain pynetdicom, all before Orthanc."""

from __future__ import annotations

import contextlib
import functools
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from tests.support.pacs import Pacs, ProcessPacs
from tests.support.processes import Program, accepts, free_port
from tools.bench.contenders import Contender, Dcmtk, Harmony, Pynetdicom
from tools.bench.series import Series, archive
from tools.bench.timing import Case, Entry, Unit, print_case, print_head, timed

_CONFIG = """\
[admin]
enabled = false
[networks.default]
http = {{ port = {http} }}
[pipelines.bench]
endpoints = ["api"]
backends = ["pacs"]
[endpoints.api]
service = "http"
options = {{ path_prefix = "/dicom" }}
[backends.pacs]
service = "dicom"
options = {{ aet = "{aet}", host = "{host}", port = {port}, local_aet = "BENCH" }}
"""


def print_tables(disk: Path, finds: Sequence[Series], bulk: Series, rounds: int) -> None:
    """With Orthanc and DCMTK sending at once, and as they are installed."""
    for nodelay in (True, False):
        root = disk / f"ask-{nodelay}"
        root.mkdir()
        print_table(root, finds, bulk, rounds, nodelay=nodelay)


def print_table(
    root: Path, finds: Sequence[Series], bulk: Series, rounds: int, *, nodelay: bool
) -> None:
    """Start a PACS with this content and Harmony before it, and time all cases."""
    how = "sending at once (TCP_NODELAY=1)" if nodelay else "as installed"
    with ProcessPacs(root / "pacs", nodelay=nodelay) as pacs, harmony(root, pacs) as ours:
        for series in (*finds, bulk):
            pacs.rest("POST", "/instances", archive(series), seconds=120)
        contenders = (ours, Dcmtk(pacs, nodelay=nodelay), Pynetdicom(pacs))
        names = [contender.name for contender in contenders]
        print_head(f"HTTP in, Orthanc and DCMTK {how}; up to {rounds} rounds", names)
        for case in cases(contenders, finds, bulk):
            print_case(case, rounds)


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


@contextlib.contextmanager
def harmony(root: Path, pacs: Pacs) -> Iterator[Harmony]:
    """A `harmony serve` process in front of the PACS, and a client of it."""
    http = free_port()
    config = root / "config.toml"
    config.write_text(_CONFIG.format(http=http, aet=pacs.ae_title, host=pacs.host, port=pacs.port))
    command = (sys.executable, "-m", "harmony", "serve", config)
    program = Program(command, root / "harmony.log", nodelay=False)
    try:
        program.wait_until(lambda: accepts("127.0.0.1", http))
        with contextlib.closing(Harmony("127.0.0.1", http, "/dicom")) as client:
            yield client
    finally:
        program.stop()
