"""A receiver as one writes it with pynetdicom, which discards what it gets.

    python -m tools.bench.pynetdicom_scp PORT COUNTER

COUNTER is a file in which it counts what was stored, as eight bytes.
"""

from __future__ import annotations

import sys
from pathlib import Path

from pynetdicom import AE, AllStoragePresentationContexts, evt
from pynetdicom.sop_class import Verification

from tools.bench.fast_scp import Counter

_HOST = "127.0.0.1"
_MAXIMUM_LENGTH = 131072  # better than its default


def main(arguments: list[str]) -> None:
    """Receive until the process is ended."""
    port, counter = arguments
    stored = Counter(Path(counter))

    def store(event: evt.Event) -> int:
        stored.add()
        return 0

    ae = AE("PYNETDICOM")
    ae.maximum_pdu_size = _MAXIMUM_LENGTH
    ae.supported_contexts = AllStoragePresentationContexts
    ae.add_supported_context(Verification)
    ae.start_server((_HOST, int(port)), evt_handlers=[(evt.EVT_C_STORE, store)])


if __name__ == "__main__":
    main(sys.argv[1:])
