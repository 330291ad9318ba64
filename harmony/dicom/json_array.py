"""A JSON array of objects in pieces: bytes in, one object's text at a time out.

Only the structure outside of the objects is checked here; each object is for its reader to
parse. An array without its closing bracket is an error: what was cut short must not look whole.
"""

from __future__ import annotations

import re

_BLANK = b" \t\r\n"
# A whole string, or one bracket. What lies between says nothing of where an object ends.
_STRUCTURE = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+("?)|[\[{]|[\]}]', re.DOTALL)


class NotAnArray(ValueError):
    """The bytes are no array of objects, or one beyond a limit. Nothing is quoted."""


class ArraySplitter:
    """Finds the objects of an array.

    Args:
        max_object_bytes: a larger object is refused.
    """

    def __init__(self, *, max_object_bytes: int) -> None:
        self._limit = max_object_bytes
        self._buffer = bytearray()
        self._at = 0  # up to here the object at the front of the buffer is known
        self._depth = 0  # within that object
        self._begun = False
        self._ended = False
        self._comma_due = False  # an object has ended, so that a comma must come before another
        self._after_comma = False  # so that an object must come

    def feed(self, data: bytes) -> list[bytes]:
        """Take more of the body; gives the objects that are whole now.

        Raises:
            NotAnArray
        """
        self._buffer += data
        found: list[bytes] = []
        while (whole := self._object()) is not None:
            found.append(whole)
        return found

    def close(self) -> None:
        """The body is over.

        Raises:
            NotAnArray: it ended early, or held nothing.
        """
        if not self._ended:
            raise NotAnArray("it ends before its closing bracket")

    def _object(self) -> bytes | None:
        if not self._depth and not self._find_object():
            return None
        while (match := _STRUCTURE.search(self._buffer, self._at)) is not None:
            char = self._buffer[match.start()]
            if char == 0x22 and not match[1]:  # a string that has not ended yet
                self._at = match.start()
                break
            self._at = match.end()
            if char in b"[{":
                self._depth += 1
            elif char in b"]}":
                self._depth -= 1
                if not self._depth:
                    return self._cut()
        else:
            self._at = len(self._buffer)
        if len(self._buffer) > self._limit:
            raise NotAnArray(f"an object has more than {self._limit} bytes")
        return None

    def _cut(self) -> bytes:
        if self._at > self._limit:
            raise NotAnArray(f"an object has more than {self._limit} bytes")
        whole = bytes(self._buffer[: self._at])
        del self._buffer[: self._at]
        self._at = 0
        self._comma_due = True
        return whole

    def _find_object(self) -> bool:
        """Bring the next object to the front of the buffer; False if it is not there yet."""
        buffer = self._buffer
        while buffer:
            blank = len(buffer) - len(buffer.lstrip(_BLANK))
            del buffer[:blank]
            if not buffer:
                return False
            char = buffer[0]
            if self._ended:
                raise NotAnArray("something follows its closing bracket")
            if not self._begun:
                if char != 0x5B:
                    raise NotAnArray("it does not begin with a bracket")
                self._begun = True
            elif char == 0x5D and (self._comma_due or not self._after_comma):
                self._ended = True
            elif char == 0x2C and self._comma_due:
                self._comma_due = False
                self._after_comma = True
            elif char == 0x7B and not self._comma_due:
                self._after_comma = False
                return True
            else:
                raise NotAnArray("its elements are not objects with commas between")
            del buffer[:1]
        return False
