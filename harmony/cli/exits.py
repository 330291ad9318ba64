"""What the process says by how it ends."""

from __future__ import annotations

import enum


class Exit(enum.IntEnum):
    """Exit codes of every verb."""

    OK = 0
    FINDINGS = 1
    USAGE = 2
    BUG = 3
    LIVE = 4  # the configuration is valid, a live check failed
    BAD_CONFIGURATION = 78  # EX_CONFIG: a supervisor need not try again
    INTERRUPTED = 130
    BROKEN_PIPE = 141  # as a program that SIGPIPE ended
