"""What passes for a UID. PS3.5 9.1."""

from __future__ import annotations

import re

MAX_UID_LENGTH = 64
_UID = re.compile(r"[0-9]+(\.[0-9]+)+", re.ASCII)


def is_uid(text: str) -> bool:
    """Digits and dots, at most 64 characters.

    The standard forbids leading zeros; archives hold such UIDs all the same, and who has one
    must be able to ask for it.
    """
    return len(text) <= MAX_UID_LENGTH and _UID.fullmatch(text) is not None
