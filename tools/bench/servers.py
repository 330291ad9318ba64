"""Who is asked and sent to beside Harmony: storescp, dcmqrscp, Orthanc, pynetdicom, a fast SCP.

Each runs as a process of its own until its block ends. `nodelay` is for DCMTK and Orthanc, see
`Program`; the others decide for themselves.
"""

from __future__ import annotations

import contextlib
import functools
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.support.pacs.base import Pacs
from tests.support.pacs.config import Modality, orthanc_config
from tests.support.processes import Program, accepts, free_port
from tools.bench import fast_scp as fast
from tools.bench.pynetdicom_relay import Way

HOST = "127.0.0.1"
# Sends each instance on, and forgets it once it is there.
_FORWARD = "function OnStoredInstance(id, tags, meta)\n  Delete(SendToModality(id, '{to}'))\nend\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """A running SCP.

    Attributes:
        held: how many files or instances it has, or the SCP has that it passes them on to.
        pid: of its process.
    """

    ae_title: str
    port: int
    held: Callable[[], int]
    pid: int
    host: str = HOST


@contextlib.contextmanager
def pynetdicom_relay(root: Path, to: Server, way: Way) -> Iterator[Server]:
    """A relay as one writes it with pynetdicom."""
    port = free_port()
    script = (sys.executable, "-m", "tools.bench.pynetdicom_relay")
    with running(root, (*script, str(port), str(to.port), way), port) as pid:
        yield Server(ae_title="RELAY", port=port, held=to.held, pid=pid)


@contextlib.contextmanager
def pynetdicom_scp(root: Path) -> Iterator[Server]:
    """pynetdicom, discarding what it gets."""
    port = free_port()
    counter = root / "stored"
    script = (sys.executable, "-m", "tools.bench.pynetdicom_scp", str(port), str(counter))
    with running(root, script, port) as pid:
        held = functools.partial(fast.counted, counter)
        yield Server(ae_title="PYNETDICOM", port=port, held=held, pid=pid)


@contextlib.contextmanager
def fast_scp(root: Path) -> Iterator[Server]:
    """See `tools.bench.fast_scp`."""
    port = free_port()
    counter = root / "stored"
    script = (sys.executable, "-m", "tools.bench.fast_scp", str(port), str(counter))
    with running(root, script, port) as pid:
        held = functools.partial(fast.counted, counter)
        yield Server(ae_title=fast.AE_TITLE, port=port, held=held, pid=pid)


@contextlib.contextmanager
def storescp(root: Path, *, nodelay: bool) -> Iterator[Server]:
    """DCMTK's storescp, which writes files as they come."""
    port = free_port()
    folder = received(root)
    folder.mkdir(parents=True)
    command = ("storescp", "--bit-preserving", "--accept-all", "--fork", "--max-pdu", "131072")
    own = ("--aetitle", "STORESCP", "--output-directory", str(folder), str(port))
    with running(root, (*command, *own), port, nodelay=nodelay) as pid:
        held = functools.partial(files_in, folder)
        yield Server(ae_title="STORESCP", port=port, held=held, pid=pid)


@contextlib.contextmanager
def ignoring_storescp(root: Path, *, nodelay: bool) -> Iterator[Server]:
    """DCMTK's storescp, which writes nothing; it counts nothing, either."""
    port = free_port()
    own = ("--ignore", "--accept-all", "--max-pdu", "131072", "--aetitle", "STORESCP", str(port))
    with running(root, ("storescp", *own), port, nodelay=nodelay) as pid:
        yield Server(ae_title="STORESCP", port=port, held=lambda: 0, pid=pid)


def received(root: Path) -> Path:
    """Where a storescp in `root` writes."""
    return root / "received"


@contextlib.contextmanager
def orthanc(root: Path, *, nodelay: bool) -> Iterator[Server]:
    """Orthanc, which syncs the files that it stores, as it does unless told otherwise."""
    with _orthanc(root, {"SyncStorageArea": True}, (), nodelay=nodelay) as (pacs, pid):
        held = functools.partial(_instances, pacs)
        yield Server(ae_title=pacs.ae_title, port=pacs.port, held=held, pid=pid)


@contextlib.contextmanager
def asking_orthanc(
    root: Path, others: Sequence[Server], *, nodelay: bool
) -> Iterator[tuple[Pacs, Server]]:
    """Orthanc as a PACS and as one who asks: itself and others, by AE title in lower case."""
    with _orthanc(root, {}, others, nodelay=nodelay) as (pacs, pid):
        pacs.add_modality(pacs.ae_title, HOST, pacs.port)
        held = functools.partial(_instances, pacs)
        yield pacs, Server(ae_title=pacs.ae_title, port=pacs.port, held=held, pid=pid)


@contextlib.contextmanager
def orthanc_relay(root: Path, to: Server, *, nodelay: bool) -> Iterator[Server]:
    """Orthanc, told by a script in Lua to send on what it gets: it stores, answers, then sends."""
    root.mkdir(parents=True)
    script = root / "forward.lua"
    script.write_text(_FORWARD.format(to=to.ae_title.lower()))
    changes = {"LuaScripts": [str(script)], "Plugins": [], "OverwriteInstances": False}
    with _orthanc(root, changes, (to,), nodelay=nodelay) as (pacs, pid):
        yield Server(ae_title=pacs.ae_title, port=pacs.port, held=to.held, pid=pid)


@contextlib.contextmanager
def _orthanc(
    root: Path, changes: dict[str, object], others: Sequence[Server], *, nodelay: bool
) -> Iterator[tuple[Pacs, int]]:
    root.mkdir(parents=True, exist_ok=True)
    port, http_port = free_port(), free_port()
    known = tuple(Modality(ae_title=to.ae_title, host=to.host, port=to.port) for to in others)
    config = orthanc_config(str(root), http_port=http_port, dicom_port=port, modalities=known)
    file = root / "orthanc.json"
    file.write_text(json.dumps(config | changes))
    pacs = Pacs(port=port, http_port=http_port)
    with running(root, ("Orthanc", str(file)), port, nodelay=nodelay) as pid:
        pacs.wait_until_ready()
        yield pacs, pid


@contextlib.contextmanager
def dcmqrscp(root: Path, *, nodelay: bool) -> Iterator[Server]:
    """DCMTK's dcmqrscp, which keeps its index among its files."""
    port = free_port()
    store = root / "store"
    store.mkdir(parents=True)
    config = root / "dcmqrscp.cfg"
    config.write_text(
        f"NetworkTCPPort = {port}\nMaxPDUSize = 131072\nMaxAssociations = 64\n"
        "HostTable BEGIN\nHostTable END\nVendorTable BEGIN\nVendorTable END\n"
        f"AETable BEGIN\nDCMQRSCP {store} RW (500, 1024mb) ANY\nAETable END\n"
    )
    command = ("dcmqrscp", "--config", str(config))
    with running(root, command, port, nodelay=nodelay) as pid:
        held = functools.partial(files_in, store)
        yield Server(ae_title="DCMQRSCP", port=port, held=held, pid=pid)


@contextlib.contextmanager
def running(
    root: Path, command: Sequence[str], port: int, *, nodelay: bool = False
) -> Iterator[int]:
    """A program that serves a port, until the block ends; its process ID."""
    root.mkdir(parents=True, exist_ok=True)
    program = Program(command, root / "log", nodelay=nodelay)
    try:
        program.wait_until(functools.partial(accepts, HOST, port))
        yield program.pid
    finally:
        program.kill()


def files_in(folder: Path) -> int:
    """How many there are, at any depth."""
    return sum(1 for path in folder.rglob("*") if path.is_file())


def _instances(pacs: Pacs) -> int:
    found = pacs.rest("GET", "/statistics")
    assert isinstance(found, dict)
    return int(found["CountInstances"])
