"""Harmony as it is measured: `harmony serve` with an archive, as a relay, and with an HTTP API.

Each runs as a process of its own until its block ends.
"""

from __future__ import annotations

import contextlib
import functools
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from harmony.dimse.engines import Engine
from tests.support.processes import free_port
from tools.bench.fast_scp import counted
from tools.bench.servers import Server, files_in, running

_HEAD = """\
[admin]
enabled = false
[proxy]
state_dir = "{root}/state"
"""
_FRONT = """\
[pipelines.bench]
endpoints = ["front"]
backends = ["behind"]
[endpoints.front]
service = "dicom"
[endpoints.front.options]
engine = "{engine}"
local_aet = "HARMONY"
bind_addr = "127.0.0.1"
port = {port}
"""
_ARCHIVE = """\
[backends.behind]
service = "archive"
options = {{ folder = "{root}/archive" }}
"""
_NEXT = """\
[backends.behind]
service = "dicom"
[backends.behind.options]
engine = "{engine}"
aet = "{to.ae_title}"
host = "{to.host}"
port = {to.port}
local_aet = "HARMONY"
"""
_NETWORK = """\
[networks.default]
http = {{ port = {port} }}
"""
_DICOMWEB = """\
[pipelines.bench]
endpoints = ["front", "keeping"]
backends = ["behind"]
[endpoints.front]
service = "dicomweb"
options = {{ path_prefix = "/dicom-web", cache_bytes = 0 }}
[endpoints.keeping]
service = "dicomweb"
options = {{ path_prefix = "/keeping" }}
"""
_MANY = """\
max_associations = 16
keep_associations = 8
"""
_API = """\
[pipelines.{name}]
endpoints = ["{name}"]
backends = ["{name}"]
[endpoints.{name}]
service = "http"
options = {{ path_prefix = "/{name}" }}
[backends.{name}]
service = "dicom"
[backends.{name}.options]
engine = "{engine}"
aet = "{to.ae_title}"
host = "{to.host}"
port = {to.port}
local_aet = "BENCH"
max_associations = {associations}
keep_associations = {associations}
"""


@contextlib.contextmanager
def harmony_archive(root: Path, engine: Engine) -> Iterator[Server]:
    """An archive behind a DICOM endpoint."""
    port = free_port()
    config = _HEAD + _FRONT + _ARCHIVE
    with _harmony(root, config.format(root=root, engine=engine, port=port), port) as pid:
        held = functools.partial(files_in, root / "archive" / "objects")
        yield Server(ae_title="HARMONY", port=port, held=held, pid=pid)


@contextlib.contextmanager
def harmony_relay(root: Path, to: Server, engine: Engine) -> Iterator[Server]:
    """All objects are passed on."""
    port = free_port()
    config = _HEAD + _FRONT + _NEXT
    with _harmony(root, config.format(root=root, engine=engine, port=port, to=to), port) as pid:
        yield Server(ae_title="HARMONY", port=port, held=to.held, pid=pid)


@contextlib.contextmanager
def harmony_http(
    root: Path, to: Mapping[str, Server], engine: Engine, *, associations: int = 2
) -> Iterator[int]:
    """The JSON API before each of some SCPs, under its name as prefix; the port.

    Args:
        associations: most to each of them, and all of them may be held.
    """
    port = free_port()
    config = (_HEAD + _NETWORK).format(root=root, port=port) + "".join(
        _API.format(name=name, to=server, engine=engine, associations=associations)
        for name, server in to.items()
    )
    with _harmony(root, config, port):
        yield port


@contextlib.contextmanager
def harmony_dicomweb(root: Path, to: Server, engine: Engine) -> Iterator[int]:
    """DICOMweb before an SCP; the port.

    Below ``/dicom-web`` nothing is kept, below ``/keeping`` what was retrieved is, for a while.
    """
    port = free_port()
    config = _HEAD + _NETWORK + _DICOMWEB + _NEXT + _MANY
    with _harmony(root, config.format(root=root, engine=engine, port=port, to=to), port):
        yield port


@contextlib.contextmanager
def discarding_scp(root: Path, engine: Engine) -> Iterator[Server]:
    """A DICOM endpoint before a backend that discards what it gets."""
    port = free_port()
    counter = root / "stored"
    script = (sys.executable, "-m", "tools.bench.discarding", str(port), engine, str(counter))
    with running(root, script, port) as pid:
        held = functools.partial(counted, counter)
        yield Server(ae_title="HARMONY", port=port, held=held, pid=pid)


@contextlib.contextmanager
def _harmony(root: Path, config: str, port: int) -> Iterator[int]:
    root.mkdir(parents=True)
    file = root / "config.toml"
    file.write_text(config)
    with running(root, (sys.executable, "-m", "harmony", "serve", str(file)), port) as pid:
        yield pid
