"""A relay: storescu sends through Harmony to storescp, directly, and through pynetdicom."""

from __future__ import annotations

import contextlib
import functools
import shutil
from dataclasses import dataclass
from pathlib import Path

from tools.bench.deployments import harmony_relay
from tools.bench.objects import Supply, make_template
from tools.bench.pynetdicom_relay import Way
from tools.bench.sending import send
from tools.bench.servers import Server, pynetdicom_relay, received, storescp
from tools.bench.setting import Setting, modes
from tools.bench.timing import Case, Entry, Sample, Unit, print_head

_WAYS: tuple[Way, ...] = ("kept", "nodelay", "each")
NAMES = ("harmony relay", "no relay", *(f"pynetdicom {way}" for way in _WAYS))
_NOTE = (
    "\nRelay: storescu sends on one association; storescp ends each way, in memory, unsynced.\n"
    "pynetdicom keeps one association onwards (stock: Nagle delays each object by some 40 ms),\n"
    "or does so with TCP_NODELAY set, or has one for each object (stock). It gets fewer objects."
)
_FEW = 25


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """What is sent in one case.

    Attributes:
        rows: of an image, and its columns.
        few: how many of them pynetdicom gets.
    """

    title: str
    rows: int
    count: int
    few: int = _FEW


def print_tables(setting: Setting) -> None:
    """With DCMTK sending at once, and shortly as it is installed."""
    print(_NOTE)
    small, large = (100, 40) if setting.quick else (500, 200)
    loads = [
        Load(title=f"{small} x 10 kB", rows=64, count=small),
        Load(title=f"{large} x 0.5 MB", rows=512, count=large),
    ]
    few = Load(title=f"{_FEW} x 10 kB", rows=64, count=_FEW)
    for nodelay, how in modes():
        rounds = setting.sends if nodelay else min(setting.sends, 2)
        print_head(f"Relay, storescu and storescp {how}; up to {rounds} rounds", NAMES)
        for load in loads if nodelay else [few]:
            _print_line(setting, load, rounds, nodelay=nodelay)


def _print_line(setting: Setting, load: Load, rounds: int, *, nodelay: bool) -> None:
    """Everything lies in memory. Each case has fresh relays."""
    root = setting.memory / "relay"
    supply = Supply(folder=setting.memory / "objects", template=make_template(load.rows))
    with contextlib.ExitStack() as running:
        running.callback(shutil.rmtree, root, ignore_errors=True)
        sink = running.enter_context(storescp(root / "storescp", nodelay=nodelay))
        ours = running.enter_context(harmony_relay(root / "harmony", sink, setting.engine))
        ways = [
            (ours, load.count),
            (sink, load.count),
            *(
                (running.enter_context(pynetdicom_relay(root / way, sink, way)), load.few)
                for way in _WAYS
            ),
        ]
        run = functools.partial(
            _send_to_empty, received(root / "storescp"), supply=supply, nodelay=nodelay
        )
        entries = [
            Entry(name=name, run=functools.partial(run, server, count=count), due=count)
            for name, (server, count) in zip(NAMES, ways, strict=True)
        ]
        setting.print_case(Case(title=load.title, unit=Unit.OBJECTS, entries=entries), rounds)


def _send_to_empty(
    folder: Path, server: Server, *, supply: Supply, count: int, nodelay: bool
) -> Sample:
    for file in folder.iterdir():  # all rounds together would fill the memory
        file.unlink()
    return send(server, supply, count, nodelay=nodelay)
