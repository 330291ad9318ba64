"""The configuration file of a demo, and the ports in it."""

from __future__ import annotations

import contextlib
import json
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import Final

HOST: Final = "127.0.0.1"
PACS_AET: Final = "DEMO_PACS"
WORKSTATION_AET: Final = "DEMO_SCP"
PATH_PREFIX: Final = "/dicom"
WEB_PREFIX: Final = "/dicom-web"
ARCHIVE_FOLDER: Final = "archive"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ports:
    """TCP ports on loopback.

    Attributes:
        workstation: where a C-MOVE sends to; nothing listens there until somebody tries one.
    """

    http: int = 8080
    admin: int = 9090
    pacs: int = 11112
    workstation: int = 11113


def choose_ports(usual: Ports | None = None) -> Ports:
    """The usual ports, and a free one for each that is taken.

    Raises:
        OSError: no port is to be had at all.
    """
    wanted = usual or Ports()
    with contextlib.ExitStack() as held:  # all at once, so that they differ

        def take(port: int) -> int:
            try:
                return _listen(held, port)
            except OSError:
                return _listen(held, 0)

        return Ports(
            http=take(wanted.http),
            admin=take(wanted.admin),
            pacs=take(wanted.pacs),
            workstation=take(wanted.workstation),
        )


def _listen(held: contextlib.ExitStack, port: int) -> int:
    """Hold a port as a server would; its number."""
    with contextlib.ExitStack() as trial:
        listener = trial.enter_context(socket.socket())
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((HOST, port))
        listener.listen()
        held.push(trial.pop_all())
    number: int = listener.getsockname()[1]
    return number


def configuration_text(ports: Ports, viewer: Path | None = None) -> str:
    """The file, with comments.

    Args:
        viewer: folder of OHIF's build, which is given out beside the rest then.
    """
    text = _TEXT
    if viewer is not None:
        text += _VIEWER.replace("@viewer@", json.dumps(str(viewer)))
    return text.format(
        ports=ports,
        host=HOST,
        pacs=PACS_AET,
        workstation=WORKSTATION_AET,
        prefix=PATH_PREFIX,
        web_prefix=WEB_PREFIX,
        archive=ARCHIVE_FOLDER,
    )


_TEXT: Final = """\
# What `harmony demo` runs: a sample PACS, and HTTP in front of it: a JSON API and DICOMweb. All is
# this one process, but what passes between them is real DICOM on port {ports.pacs}.
#
#     curl ---HTTP---> web ---DICOM---> sample_pacs ---> files in {archive}/
#              DCMTK and others ---DICOM---^

[pipelines.web]
description = "HTTP requests become DICOM operations at the sample PACS"
endpoints = ["api", "dicomweb"]
backends = ["pacs"]

[pipelines.sample_pacs]
description = "A PACS: echo, find, get, move and store"
endpoints = ["pacs"]
backends = ["sample_pacs"]


# The HTTP side.

[networks.default]
bind_addr = "{host}"  # this machine only
http = {{ port = {ports.http} }}

[endpoints.api]
service = "http"
options = {{ path_prefix = "{prefix}" }}

[endpoints.dicomweb]  # for viewers and other web clients
service = "dicomweb"
options = {{ path_prefix = "{web_prefix}" }}

[backends.pacs]  # your own PACS would be written like this
service = "dicom"
[backends.pacs.options]
aet = "{pacs}"
host = "{host}"
port = {ports.pacs}  # as in [endpoints.pacs]
local_aet = "HARMONY"


# The sample PACS.

[endpoints.pacs]
service = "dicom"
[endpoints.pacs.options]
local_aet = "{pacs}"  # callers must call it so
bind_addr = "{host}"  # without `peers`, callers from this machine alone are admitted
port = {ports.pacs}
move_destinations = ["workstation"]

[backends.sample_pacs]
service = "archive"
[backends.sample_pacs.options]
folder = "{archive}"  # relative to this file
reserve_free_bytes = 67108864  # on a small disk, too, there is room to try things

# Where a C-MOVE to {workstation} goes. Nobody is there until, say, movescu listens for it.
[backends.workstation]
service = "dicom"
[backends.workstation.options]
aet = "{workstation}"
host = "{host}"
port = {ports.workstation}
local_aet = "{pacs}"


[admin]  # /healthz, /readyz, /metrics
bind_addr = "{host}"
port = {ports.admin}

[log]
level = "warning"  # "info" writes a line for each request
"""

_VIEWER: Final = """

# The viewer's own files; what it asks for is DICOMweb.

[pipelines.viewer]
description = "OHIF, at http://{host}:{ports.http}/"
endpoints = ["viewer"]
backends = ["ohif"]

[endpoints.viewer]
service = "http"
options = {{ path_prefix = "/" }}

[backends.ohif]
service = "files"
[backends.ohif.options]
folder = @viewer@
fallback = true
overrides = {{ "app-config.js" = "app-config.js" }}
"""
