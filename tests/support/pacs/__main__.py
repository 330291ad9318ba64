"""A PACS from a shell: ``python -m tests.support.pacs config`` or ``... run DIR``.

``config`` prints an orthanc.json for tests/pacs/docker-compose.yml; ``run`` starts a PACS and
prints its addresses, until Ctrl-C.
"""

from __future__ import annotations

import json
import signal
import sys
from pathlib import Path

from tests.support.pacs import Modality, chosen, orthanc_config, start


def main(arguments: list[str]) -> int:
    """Do what the module's docstring says; returns the exit code."""
    match arguments:
        case ["config"]:
            harmony = Modality(ae_title="HARMONY", host="harmony", port=11112)
            config = orthanc_config(
                "/data", http_port=8042, dicom_port=4242, modalities=(harmony,), remote=True
            )
            print(json.dumps(config, indent=1))
        case ["run", folder]:
            kind = chosen()
            if kind is None:
                print("no PACS here: run tools/install_peers.sh", file=sys.stderr)
                return 1
            with start(kind, Path(folder)) as pacs:
                print(f"{pacs.ae_title}@{pacs.host}:{pacs.port}, {pacs.http}", flush=True)
                signal.sigwait({signal.SIGINT, signal.SIGTERM})
        case _:
            print(__doc__, file=sys.stderr)
            return 2
    return 0


if __name__ == "__main__":
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
    sys.exit(main(sys.argv[1:]))
