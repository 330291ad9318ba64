"""The bytes of one file, within limits."""

from __future__ import annotations

import stat
from pathlib import Path

MAX_FILE_BYTES = 1024 * 1024


class UnreadableFile(Exception):
    """The file cannot be read, or nobody should; `reason` says why."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def read_bytes(path: Path) -> bytes:
    """All of a regular file.

    Raises:
        UnreadableFile: it is not there, not allowed, too large, or no file at all.
    """
    try:
        # A pipe or device could block for ever.
        if not stat.S_ISREG(path.stat().st_mode):
            raise UnreadableFile("not a regular file")
        with path.open("rb") as file:
            data = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise UnreadableFile((error.strerror or type(error).__name__).lower()) from None
    except ValueError:
        raise UnreadableFile("not a file name") from None
    if len(data) > MAX_FILE_BYTES:
        raise UnreadableFile(f"larger than {MAX_FILE_BYTES} bytes")
    return data
