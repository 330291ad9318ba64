"""What a UID is. PS3.5 9.1."""

from __future__ import annotations

import re

MAX_UID_LENGTH = 64
_UID = re.compile(r"(0|[1-9][0-9]*)(\.(0|[1-9][0-9]*))+", re.ASCII)


def is_uid(text: str) -> bool:
    """Digits and dots, no component with a leading zero, at most 64 characters."""
    return len(text) <= MAX_UID_LENGTH and _UID.fullmatch(text) is not None
