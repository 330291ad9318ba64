"""multipart/related in pieces: bytes in, events out, and the other way round. RFC 2046 5.1.

The reader takes what is legal, a preamble, an epilogue, blanks behind a boundary, and bounds
it: parts, header bytes, header lines. A body without its closing boundary is an error: what
was cut short must not look whole.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

from harmony.errors import RequestError

MAX_BOUNDARY = 70
MAX_HEADERS = 64
Headers: TypeAlias = tuple[tuple[str, str], ...]

_BOUNDARY = re.compile(r"[0-9A-Za-z'()+_,\-./:=? ]{0,69}[0-9A-Za-z'()+_,\-./:=?]", re.ASCII)
_PARAMETER = re.compile(r';\s*([!#$%&\'*+.^_`|~0-9A-Za-z-]+)\s*=\s*("(?:[^"\\]|\\.)*"|[^\s;"]*)')
_HEADER = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):([^\x00-\x08\x0a-\x1f\x7f]*)")
_FOLD = re.compile(rb"\r\n[ \t]+")  # a header may go on in the next line, RFC 5322 2.2.3


@dataclass(frozen=True, slots=True)
class PartBegin:
    """Headers of a part, names in lower case."""

    headers: Headers


@dataclass(frozen=True, slots=True)
class PartData:
    """Some bytes of the current part; never empty."""

    data: bytes


@dataclass(frozen=True, slots=True)
class PartEnd:
    """The current part is whole."""


@dataclass(frozen=True, slots=True)
class End:
    """The closing boundary has come."""


Event: TypeAlias = PartBegin | PartData | PartEnd | End


def bare_type(content_type: str | None) -> str:
    """The media type without its parameters, in lower case; empty if there is none."""
    return (content_type or "").partition(";")[0].strip().lower()


def parameter_of(content_type: str, name: str) -> str | None:
    """A parameter of a media type, quoted or not; `name` in lower case. None if there is none."""
    for match in _PARAMETER.finditer(content_type):
        if match[1].lower() == name:
            value = match[2]
            return re.sub(r"\\(.)", r"\1", value[1:-1]) if value.startswith('"') else value
    return None


def boundary_of(content_type: str) -> bytes:
    """The boundary parameter of a multipart Content-Type, quoted or not.

    Raises:
        RequestError: there is none, or it is none that RFC 2046 5.1.1 allows.
    """
    value = parameter_of(content_type, "boundary")
    if value is not None and _BOUNDARY.fullmatch(value):
        return value.encode("ascii")
    raise _bad("its Content-Type names no proper boundary")


class MultipartReader:
    """Finds parts in the pieces of a body.

    Args:
        boundary: from `boundary_of`.
        max_parts: more are refused with 413.
        max_header_bytes: of one part.
    """

    def __init__(self, boundary: bytes, *, max_parts: int, max_header_bytes: int = 8192) -> None:
        self._delimiter = b"\r\n--" + boundary
        self._buffer = bytearray(b"\r\n")  # the first boundary may stand at the very start
        self._max_parts = max_parts
        self._max_header_bytes = max_header_bytes
        self._parts = 0
        self._state = self._preamble
        self._ended = False

    def feed(self, data: bytes) -> list[Event]:
        """Take more of the body.

        Raises:
            RequestError: it is malformed or beyond a limit.
        """
        if self._ended:
            return []  # the epilogue
        self._buffer += data
        events: list[Event] = []
        while self._state(events):
            pass
        return events

    def close(self) -> None:
        """The body is over.

        Raises:
            RequestError: it ended before its closing boundary.
        """
        if not self._ended:
            raise _bad("it ends before its closing boundary")

    # States: each takes what it can from the buffer, and says whether the next may try.

    def _preamble(self, events: list[Event]) -> bool:
        return self._skip_to_delimiter()

    def _skip_to_delimiter(self) -> bool:
        at = self._buffer.find(self._delimiter)
        if at < 0:
            del self._buffer[: max(0, len(self._buffer) - len(self._delimiter) + 1)]
            return False
        del self._buffer[: at + len(self._delimiter)]
        self._state = self._boundary_line
        return True

    def _boundary_line(self, events: list[Event]) -> bool:
        if len(self._buffer) < 2:
            return False
        if self._buffer.startswith(b"--"):
            self._buffer.clear()
            self._ended = True
            events.append(End())
            return False
        end = self._buffer.find(b"\r\n", 0, MAX_BOUNDARY)
        if end < 0:
            if len(self._buffer) >= MAX_BOUNDARY:
                raise _bad("too much follows a boundary on its line")
            return False
        if self._buffer[:end].strip(b" \t"):
            raise _bad("something follows a boundary on its line")
        del self._buffer[:end]  # its CRLF opens the header block
        self._state = self._headers
        return True

    def _headers(self, events: list[Event]) -> bool:
        most = self._max_header_bytes + len(b"\r\n\r\n")
        end = self._buffer.find(b"\r\n\r\n", 0, most)
        if end < 0:
            if len(self._buffer) >= most:
                raise _bad(f"a part has more than {self._max_header_bytes} bytes of headers")
            return False
        self._parts += 1
        if self._parts > self._max_parts:
            raise RequestError(
                f"the multipart body has more than {self._max_parts} parts",
                code="too-many-parts",
                http_status=413,
                hint="send it in several requests",
            )
        events.append(PartBegin(_parse_headers(bytes(self._buffer[2:end]))))
        del self._buffer[: end + 2]  # the last CRLF may open the next boundary
        self._state = self._body_start
        return True

    def _body_start(self, events: list[Event]) -> bool:
        if len(self._buffer) < len(self._delimiter):
            return False
        if not self._buffer.startswith(self._delimiter):
            del self._buffer[:2]
        self._state = self._body
        return True

    def _body(self, events: list[Event]) -> bool:
        at = self._buffer.find(self._delimiter)
        if at >= 0:
            if at:
                events.append(PartData(bytes(self._buffer[:at])))
            events.append(PartEnd())
            del self._buffer[: at + len(self._delimiter)]
            self._state = self._boundary_line
            return True
        keep = len(self._delimiter) - 1
        if len(self._buffer) > keep:
            events.append(PartData(bytes(self._buffer[:-keep])))
            del self._buffer[:-keep]
        return False


def _parse_headers(block: bytes) -> Headers:
    lines = _FOLD.sub(b" ", block).split(b"\r\n") if block else []
    if len(lines) > MAX_HEADERS:
        raise _bad(f"a part has more than {MAX_HEADERS} headers")
    headers: list[tuple[str, str]] = []
    for line in lines:
        match = _HEADER.fullmatch(line)
        if match is None:
            raise _bad("a line of a part's headers is not `name: value`")
        name = match[1].decode("ascii").lower()
        value = match[2].strip(b" \t").decode("latin-1")
        if name == "content-type" and value.lower().startswith("multipart/"):
            raise _bad("a part is a multipart body itself")
        headers.append((name, value))
    return tuple(headers)


class MultipartWriter:
    """Frames parts. The boundary is random, so that no pixel can be taken for it."""

    def __init__(self, boundary: str | None = None) -> None:
        self._boundary = boundary or f"harmony-{secrets.token_hex(16)}"
        self._begun = False

    def content_type(self, part_type: str) -> str:
        """The value of the whole body's Content-Type."""
        return f'multipart/related; type="{part_type}"; boundary={self._boundary}'

    def begin(self, headers: Sequence[tuple[str, str]]) -> bytes:
        """What stands before a part's bytes.

        Raises:
            ValueError: a header holds a line break, so it would be more than one.
        """
        if any(char in text for header in headers for text in header for char in "\r\n\0"):
            raise ValueError("a header of a part holds a line break")
        lead = "\r\n" if self._begun else ""
        self._begun = True
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers)
        return f"{lead}--{self._boundary}\r\n{lines}\r\n".encode("latin-1")

    def end(self) -> bytes:
        """What stands behind the last part's bytes."""
        lead = "\r\n" if self._begun else ""
        return f"{lead}--{self._boundary}--\r\n".encode("latin-1")


def _bad(why: str) -> RequestError:
    return RequestError(f"the multipart body cannot be read: {why}", code="bad-multipart")
