"""Which worker of pytest-xdist runs what."""

from __future__ import annotations

from xdist.scheduler import LoadScopeScheduling

# Real peers have addresses that can be given once, and a system under load wants the machine.
ONE_AFTER_THE_OTHER = (
    "tests/integration/pacs/",
    "tests/system/",
    "tests/unit/support/test_peers.py",
)


class Scheduling(LoadScopeScheduling):  # type: ignore[misc]
    """Each test by itself to whoever is free, but all that need the machine to one worker."""

    def _split_scope(self, nodeid: str) -> str:
        return "the machine" if nodeid.startswith(ONE_AFTER_THE_OTHER) else nodeid
