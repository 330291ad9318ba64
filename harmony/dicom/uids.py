"""What passes for a UID. PS3.5 9.1."""

from __future__ import annotations

import re

# The transfer syntaxes of PS3.5 annex A whose data sets are read or written here.
IMPLICIT_LITTLE_ENDIAN = "1.2.840.10008.1.2"
EXPLICIT_LITTLE_ENDIAN = "1.2.840.10008.1.2.1"
EXPLICIT_BIG_ENDIAN = "1.2.840.10008.1.2.2"
DEFLATED = frozenset(  # whose data set is one compressed stream
    (
        "1.2.840.10008.1.2.1.99",  # Deflated Explicit VR Little Endian, PS3.5 A.5
        "1.2.840.10008.1.2.4.95",  # JPIP Referenced Deflate
        "1.2.840.10008.1.2.4.205",  # JPIP HTJ2K Referenced Deflate
    )
)

MAX_UID_LENGTH = 64
_UID = re.compile(r"[0-9]+(\.[0-9]+)+", re.ASCII)


def is_uid(text: str) -> bool:
    """Digits and dots, at most 64 characters.

    The standard forbids leading zeros; archives hold such UIDs all the same, and who has one
    must be able to ask for it.
    """
    return len(text) <= MAX_UID_LENGTH and _UID.fullmatch(text) is not None
