"""Time small requests and bulk, Harmony beside DCMTK processes and plain pynetdicom.

    python -m tools.bench [--rounds N] [--quick]

Needs Orthanc and DCMTK. Each round runs every contender once, in shuffled order; what is
printed is the median, and how many times longer than Harmony the other took. Two peers: Orthanc
as installed, which leaves Nagle's algorithm on, and the same with ``TCP_NODELAY=1``.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.support import pacs, studies
from tools.bench.contenders import Contender, Dcmtk, Harmony, Peer, Pynetdicom, Series

_ROWS = (1, 100, 1000)
_BULK_INSTANCES, _BULK_SIZE = 200, 512
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


@dataclass(frozen=True, slots=True)
class Case:
    """One line of the table.

    Attributes:
        run: asks one contender; returns what it got, which must be `expected` or more.
        unit: ms, or MB/s where more is better.
    """

    title: str
    run: Callable[[Contender], int]
    expected: int
    unit: str = "ms"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, prog="python -m tools.bench")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--quick", action="store_true", help="three rounds, no bulk")
    arguments = parser.parse_args()
    rounds = 3 if arguments.quick else arguments.rounds
    with tempfile.TemporaryDirectory() as folder:
        for nodelay in (True, False):
            root = Path(folder) / ("nodelay" if nodelay else "installed")
            root.mkdir()
            bench(root, rounds, nodelay=nodelay, bulk=not arguments.quick)
    return 0


def bench(root: Path, rounds: int, *, nodelay: bool, bulk: bool) -> None:
    """One table: a PACS, a Harmony before it, and all cases."""
    how = "with TCP_NODELAY=1" if nodelay else "as installed"
    with orthanc(root, nodelay=nodelay) as peer, harmony(root, peer) as ours:
        small = [load(root, count, 16) for count in _ROWS]
        cases = [Case("C-ECHO", lambda contender: contender.echo() or 1, 1)]
        cases += [
            Case(f"C-FIND {series.instances} rows", _find(series), series.instances)
            for series in small
        ]
        if bulk:
            series = load(root, _BULK_INSTANCES, _BULK_SIZE)
            size = _BULK_INSTANCES * _BULK_SIZE * _BULK_SIZE * 2
            cases.append(Case("C-GET", _get(series), size, "MB/s"))
        contenders: list[Contender] = [ours, Dcmtk(peer, nodelay=nodelay), Pynetdicom(peer)]
        print(f"\nOrthanc and DCMTK {how}; median of {rounds} rounds", flush=True)
        print(f"{'':18}" + "".join(f"{c.name:>24}" for c in contenders))
        for case in cases:
            print(f"{case.title:18}" + _line(case, contenders, rounds), flush=True)


def _find(series: Series) -> Callable[[Contender], int]:
    return lambda contender: contender.find(series)


def _get(series: Series) -> Callable[[Contender], int]:
    return lambda contender: contender.get(series)


def _line(case: Case, contenders: list[Contender], rounds: int) -> str:
    seconds: dict[str, list[float]] = {contender.name: [] for contender in contenders}
    for turn in range(rounds + 1):
        for contender in random.sample(contenders, len(contenders)):
            started = time.perf_counter()
            got = case.run(contender)
            took = time.perf_counter() - started
            if got < case.expected:
                raise SystemExit(f"{case.title}: {contender.name} got {got} of {case.expected}")
            if turn:  # the first round warms up
                seconds[contender.name].append(took)
    medians = {name: statistics.median(values) for name, values in seconds.items()}
    ours = medians[contenders[0].name]
    cells = []
    for name, median in medians.items():
        value = case.expected / median / 1e6 if case.unit == "MB/s" else median * 1000
        ratio = "" if name == contenders[0].name else f" ({median / ours:.1f}x)"
        cells.append(f"{value:.1f} {case.unit}{ratio}".rjust(24))
    return "".join(cells)


@contextlib.contextmanager
def orthanc(root: Path, *, nodelay: bool) -> Iterator[Peer]:
    environment = {"TCP_NODELAY": "1"} if nodelay else {}
    with pacs.start("process", root, environment=environment) as running:
        (root / "http").write_text(running.http)
        yield Peer(running.aet, running.host, running.port)


def load(root: Path, instances: int, size: int) -> Series:
    """Put one series of so many CT images into the PACS."""
    http = (root / "http").read_text()
    uids = Series("", "", 0)
    for _, dataset in studies.iter_instances(
        instances=instances, size=size, seed=f"bench-{instances}"
    ):
        path = root / "instance.dcm"
        dataset.save_as(path, enforce_file_format=True)
        request = urllib.request.Request(f"{http}/instances", data=path.read_bytes())
        urllib.request.urlopen(request, timeout=30).close()
        uids = Series(str(dataset.StudyInstanceUID), str(dataset.SeriesInstanceUID), instances)
    return uids


@contextlib.contextmanager
def harmony(root: Path, peer: Peer) -> Iterator[Harmony]:
    """A `harmony serve` process in front of the peer."""
    port = pacs.free_port()
    config = root / "config.toml"
    config.write_text(_CONFIG.format(http=port, aet=peer.aet, host=peer.host, port=peer.port))
    log = (root / "harmony.log").open("wb")
    process = subprocess.Popen(
        [sys.executable, "-m", "harmony", "serve", str(config)], stdout=log, stderr=log
    )
    client = Harmony("127.0.0.1", port, "/dicom")
    try:
        _wait(client, process)
        yield client
    finally:
        client.close()
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(10)
        finally:
            process.kill()
            log.close()


def _wait(client: Harmony, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 20
    while True:
        try:
            return client.echo()
        except OSError:
            if process.poll() is not None or time.monotonic() > deadline:
                raise
            client.close()
            time.sleep(0.05)


if __name__ == "__main__":
    os.environ.pop("TCP_NODELAY", None)
    sys.exit(main())
