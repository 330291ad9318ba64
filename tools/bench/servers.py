"""What is asked and sent to: Harmony as archive and as relay, storescp, Orthanc, pynetdicom.

Each runs as a process of its own until its block ends. `nodelay` is for DCMTK and Orthanc, see
`Program`; Harmony and pynetdicom decide for themselves.
"""

from __future__ import annotations

import contextlib
import functools
import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.support.pacs.base import Pacs
from tests.support.pacs.config import orthanc_config
from tests.support.processes import Program, accepts, free_port
from tools.bench.pynetdicom_relay import Way

HOST = "127.0.0.1"
_ARCHIVE = """\
[admin]
enabled = false
[proxy]
state_dir = "{root}/state"
[pipelines.archive]
endpoints = ["front"]
backends = ["archive"]
[endpoints.front]
service = "dicom"
options = {{ local_aet = "HARMONY", bind_addr = "127.0.0.1", port = {port} }}
[backends.archive]
service = "archive"
options = {{ folder = "{root}/archive" }}
"""
_RELAY = """\
[admin]
enabled = false
[proxy]
state_dir = "{root}/state"
[pipelines.relay]
endpoints = ["front"]
backends = ["next"]
[endpoints.front]
service = "dicom"
options = {{ local_aet = "HARMONY", bind_addr = "127.0.0.1", port = {port} }}
[backends.next]
service = "dicom"
options = {{ aet = "STORESCP", host = "127.0.0.1", port = {to}, local_aet = "HARMONY" }}
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """A running SCP.

    Attributes:
        held: how many files or instances it has, or the SCP has that it passes them on to.
    """

    ae_title: str
    port: int
    held: Callable[[], int]
    host: str = HOST


@contextlib.contextmanager
def harmony_archive(root: Path) -> Iterator[Server]:
    """`harmony serve` with an archive behind a DICOM endpoint."""
    port = free_port()
    with _harmony(root, _ARCHIVE.format(root=root, port=port), port):
        held = functools.partial(_files, root / "archive" / "objects")
        yield Server(ae_title="HARMONY", port=port, held=held)


@contextlib.contextmanager
def harmony_relay(root: Path, to: Server) -> Iterator[Server]:
    """`harmony serve` that passes all objects on."""
    port = free_port()
    with _harmony(root, _RELAY.format(root=root, port=port, to=to.port), port):
        yield Server(ae_title="HARMONY", port=port, held=to.held)


@contextlib.contextmanager
def pynetdicom_relay(root: Path, to: Server, way: Way) -> Iterator[Server]:
    """A relay as one writes it with pynetdicom."""
    port = free_port()
    script = (sys.executable, "-m", "tools.bench.pynetdicom_relay")
    with _running(root, (*script, str(port), str(to.port), way), port, nodelay=False):
        yield Server(ae_title="RELAY", port=port, held=to.held)


@contextlib.contextmanager
def storescp(root: Path, *, nodelay: bool) -> Iterator[Server]:
    """DCMTK's storescp, which writes files as they come."""
    port = free_port()
    folder = received(root)
    folder.mkdir(parents=True)
    command = ("storescp", "--bit-preserving", "--accept-all", "--fork", "--max-pdu", "131072")
    own = ("--aetitle", "STORESCP", "--output-directory", str(folder), str(port))
    with _running(root, (*command, *own), port, nodelay=nodelay):
        yield Server(ae_title="STORESCP", port=port, held=functools.partial(_files, folder))


def received(root: Path) -> Path:
    """Where a storescp in `root` writes."""
    return root / "received"


@contextlib.contextmanager
def orthanc(root: Path, *, nodelay: bool) -> Iterator[Server]:
    """Orthanc, which syncs the files that it stores, as it does unless told otherwise."""
    root.mkdir(parents=True)
    port, http_port = free_port(), free_port()
    config = orthanc_config(str(root), http_port=http_port, dicom_port=port)
    file = root / "orthanc.json"
    file.write_text(json.dumps(config | {"SyncStorageArea": True}))
    pacs = Pacs(port=port, http_port=http_port)
    with _running(root, ("Orthanc", str(file)), port, nodelay=nodelay):
        pacs.wait_until_ready()
        yield Server(ae_title="ORTHANC", port=port, held=functools.partial(_instances, pacs))


@contextlib.contextmanager
def dcmqrscp(root: Path, *, nodelay: bool) -> Iterator[Server]:
    """DCMTK's dcmqrscp, which keeps its index among its files."""
    port = free_port()
    store = root / "store"
    store.mkdir(parents=True)
    config = root / "dcmqrscp.cfg"
    config.write_text(
        f"NetworkTCPPort = {port}\nMaxPDUSize = 131072\nMaxAssociations = 32\n"
        "HostTable BEGIN\nHostTable END\nVendorTable BEGIN\nVendorTable END\n"
        f"AETable BEGIN\nDCMQRSCP {store} RW (500, 1024mb) ANY\nAETable END\n"
    )
    with _running(root, ("dcmqrscp", "--config", str(config)), port, nodelay=nodelay):
        yield Server(ae_title="DCMQRSCP", port=port, held=functools.partial(_files, store))


@contextlib.contextmanager
def _harmony(root: Path, config: str, port: int) -> Iterator[None]:
    root.mkdir(parents=True)
    file = root / "config.toml"
    file.write_text(config)
    command = (sys.executable, "-m", "harmony", "serve", str(file))
    with _running(root, command, port, nodelay=False):
        yield


@contextlib.contextmanager
def _running(root: Path, command: tuple[str, ...], port: int, *, nodelay: bool) -> Iterator[None]:
    root.mkdir(parents=True, exist_ok=True)
    program = Program(command, root / "log", nodelay=nodelay)
    try:
        program.wait_until(functools.partial(accepts, HOST, port))
        yield
    finally:
        program.stop()


def _files(folder: Path) -> int:
    return sum(1 for path in folder.rglob("*") if path.is_file())


def _instances(pacs: Pacs) -> int:
    found = pacs.rest("GET", "/statistics")
    assert isinstance(found, dict)
    return int(found["CountInstances"])
