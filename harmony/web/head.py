"""What comes in on an HTTP/1 connection, looked at before any parser acts on it.

Two readers that disagree on where a message ends let one request hide in another (request
smuggling). `HeadGuard` follows the framing of RFC 9112 without its tolerances and hands on
nothing that could be read in two ways. It holds no socket: bytes in, bytes of one message out.
"""

from __future__ import annotations

import enum
import re

from harmony.errors import RequestError

HTTP2_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"  # RFC 9113 3.4
_MAX_CHUNK_LINE = 256
_MAX_LENGTH_DIGITS = 18

_TOKEN = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
_REQUEST_LINE = re.compile(_TOKEN + rb" [\x21-\x7e]+ HTTP/([0-9])\.([0-9])")
_FIELD = re.compile(rb"(" + _TOKEN + rb"):[ \t]*([^\x00-\x08\x0a-\x1f\x7f]*)")
_CHUNK_LINE = re.compile(rb"([0-9A-Fa-f]{1,15})(;[^\x00-\x08\x0a-\x1f\x7f]*)?")
_STRAY = re.compile(rb"(?<!\r)\n|\r(?!\n|\Z)|\x00")
_TLS_HANDSHAKE = 0x16


class Phase(enum.Enum):
    """Where in the conversation the client is."""

    IDLE = "idle"  # between two messages, or before the first
    HEAD = "head"
    BODY = "body"
    HTTP2 = "http2"  # whose frames are not ours to look at


class _Body(enum.Enum):
    NONE = enum.auto()
    LENGTH = enum.auto()
    CHUNK_LINE = enum.auto()
    CHUNK_DATA = enum.auto()
    CHUNK_END = enum.auto()
    TRAILER = enum.auto()


class HeadGuard:
    """Divides what a client sends into messages and refuses what is ambiguous.

    Feed it what was received; take from it what may be handed on. It never hands on bytes of
    two messages at once, so the next one can wait until the first is answered.

    Args:
        http2: HTTP/2 was agreed on already; all bytes are handed on.
        preface_allowed: the client may begin HTTP/2 without being asked.
    """

    def __init__(
        self, *, max_head_bytes: int, http2: bool = False, preface_allowed: bool = False
    ) -> None:
        self._max_head_bytes = max_head_bytes
        self._preface_allowed = preface_allowed
        self._buffer = bytearray()
        self._checked = 0
        self._http2 = http2
        self._body = _Body.NONE
        self._remaining = 0
        self._trailer_bytes = 0

    @property
    def phase(self) -> Phase:
        if self._http2:
            return Phase.HTTP2
        if self._body is not _Body.NONE:
            return Phase.BODY
        return Phase.HEAD if self._buffer else Phase.IDLE

    @property
    def buffered(self) -> int:
        """Bytes that were fed and not taken yet."""
        return len(self._buffer)

    def feed(self, data: bytes) -> None:
        self._buffer += data

    def take(self) -> bytes | None:
        """The next bytes of the current message; None if more must be fed first.

        Raises:
            RequestError: the message is refused. Nothing after it can be trusted.
        """
        if self._body is _Body.NONE and not self._http2:
            return self._take_head()
        if not self._buffer:
            return None
        match self._body:
            case _Body.NONE:
                return self._pass(len(self._buffer))
            case _Body.LENGTH:
                return self._take_counted()
            case _:
                return self._take_chunked()

    def _pass(self, size: int) -> bytes:
        data = bytes(self._buffer[:size])
        del self._buffer[:size]
        return data

    # Head: RFC 9112 2.2, 3, 5

    def _take_head(self) -> bytes | None:
        buffer = self._buffer
        if self._preface_allowed and HTTP2_PREFACE.startswith(buffer[: len(HTTP2_PREFACE)]):
            if len(buffer) < len(HTTP2_PREFACE):
                return None
            self._http2 = True
            return self._pass(len(buffer))
        while buffer.startswith(b"\r\n"):  # an empty line before a request is forgiven
            del buffer[:2]
        end = buffer.find(b"\r\n\r\n", max(self._checked - 3, 0))
        if max(end, 0) > self._max_head_bytes or (end < 0 and len(buffer) > self._max_head_bytes):
            raise RequestError(
                f"the head of the request is longer than {self._max_head_bytes} bytes",
                code="head-too-large",
                http_status=431,
                hint="send fewer or shorter headers, or raise `max_head_bytes` of the listener",
            )
        self._look_for_strays(len(buffer) if end < 0 else end)
        if end < 0:
            return None
        head = self._pass(end + 4)
        self._checked = 0
        self._preface_allowed = False
        return self._checked_head(head)

    def _look_for_strays(self, end: int) -> None:
        buffer = self._buffer
        if buffer and buffer[0] == _TLS_HANDSHAKE:
            raise _malformed("this port speaks HTTP without TLS", hint="use http:// in the URL")
        if _STRAY.search(buffer, max(self._checked - 1, 0), end):
            raise _malformed("the head has a line that does not end in CRLF, or a NUL")
        self._checked = end

    def _checked_head(self, head: bytes) -> bytes:
        request_line, *lines = head[:-4].split(b"\r\n")
        version = _REQUEST_LINE.fullmatch(request_line)
        if version is None:
            raise _malformed("the request line is not METHOD SP TARGET SP VERSION")
        if version.groups() not in ((b"1", b"0"), (b"1", b"1")):
            raise RequestError(
                "this version of HTTP is not spoken here",
                code="http-version",
                http_status=505,
                hint="use HTTP/1.1, or HTTP/2 from the first byte",
            )
        fields = [_field(line) for line in lines]
        self._check_framing(fields, http_1_0=version[2] == b"0")
        kept = [
            line
            for line, (name, _) in zip(lines, fields, strict=True)
            # The choice to go on in HTTP/1.1 is the server's. RFC 9110 7.8
            if name not in (b"upgrade", b"http2-settings")
        ]
        return b"\r\n".join([request_line, *kept, b"", b""])

    def _check_framing(self, fields: list[tuple[bytes, bytes]], *, http_1_0: bool) -> None:
        hosts = _values(fields, b"host")
        if len(hosts) > 1 or (not hosts and not http_1_0):
            raise _malformed("there must be exactly one Host header")
        if any(value.lower() == b"websocket" for value in _list(fields, b"upgrade")):
            raise _malformed("WebSocket is not spoken here")
        codings = _list(fields, b"transfer-encoding")
        lengths = set(_list(fields, b"content-length"))
        if codings and (lengths or http_1_0):
            # RFC 9112 6.1: whoever sends both may be trying to smuggle.
            raise _malformed("Transfer-Encoding goes neither with Content-Length nor HTTP/1.0")
        if codings:
            if [coding.lower() for coding in codings] != [b"chunked"]:
                raise RequestError(
                    "no transfer coding other than chunked is understood",
                    code="transfer-coding",
                    http_status=501,
                )
            self._body = _Body.CHUNK_LINE
        elif lengths:
            length = lengths.pop()
            if lengths or not length.isdigit() or len(length) > _MAX_LENGTH_DIGITS:
                raise _malformed("Content-Length must be one decimal number")
            self._remaining = int(length)
            self._body = _Body.LENGTH if self._remaining else _Body.NONE

    # Body: RFC 9112 6.2, 7.1

    def _take_counted(self) -> bytes:
        data = self._pass(min(len(self._buffer), self._remaining))
        self._remaining -= len(data)
        if not self._remaining:
            self._body = _Body.NONE
        return data

    def _take_chunked(self) -> bytes | None:
        """All that is there of this body; a line is handed on once it is whole."""
        taken = 0
        while self._body is not _Body.NONE and taken < len(self._buffer):
            step = self._chunk_data(taken) if self._in_data else self._chunk_line(taken)
            if not step:
                break
            taken += step
        return self._pass(taken) if taken else None

    @property
    def _in_data(self) -> bool:
        return self._body is _Body.CHUNK_DATA

    def _chunk_data(self, start: int) -> int:
        step = min(self._remaining, len(self._buffer) - start)
        self._remaining -= step
        if not self._remaining:
            self._body = _Body.CHUNK_END
        return step

    def _chunk_line(self, start: int) -> int:
        """Length of the line that begins at `start`, with its end; 0 if it is not whole yet."""
        in_trailer = self._body is _Body.TRAILER
        limit = self._max_head_bytes - self._trailer_bytes if in_trailer else _MAX_CHUNK_LINE
        end = self._buffer.find(b"\r\n", start, start + limit)
        if end < 0:
            if len(self._buffer) - start >= limit:
                raise _malformed("a line in the chunked body is too long")
            if _STRAY.search(self._buffer, start):
                raise _malformed("the chunked body has a line that does not end in CRLF")
            return 0
        self._end_of_line(bytes(self._buffer[start:end]))
        return end + 2 - start

    def _end_of_line(self, line: bytes) -> None:
        match self._body:
            case _Body.CHUNK_END:
                if line:
                    raise _malformed("a chunk is longer than its size says")
                self._body = _Body.CHUNK_LINE
            case _Body.TRAILER:
                self._trailer_bytes += len(line) + 2
                if line:
                    _field(line)
                else:
                    self._trailer_bytes = 0
                    self._body = _Body.NONE
            case _:
                size = _CHUNK_LINE.fullmatch(line)
                if size is None:
                    raise _malformed("a chunk does not begin with its size in hexadecimal")
                self._remaining = int(size[1], 16)
                self._body = _Body.CHUNK_DATA if self._remaining else _Body.TRAILER


def _field(line: bytes) -> tuple[bytes, bytes]:
    if line[:1] in (b" ", b"\t"):
        raise _malformed("a header is folded over two lines")  # RFC 9112 5.2
    field = _FIELD.fullmatch(line)
    if field is None:
        raise _malformed("a header is not NAME: VALUE, or holds a control character")
    return field[1].lower(), field[2].rstrip(b" \t")


def _values(fields: list[tuple[bytes, bytes]], name: bytes) -> list[bytes]:
    return [value for field, value in fields if field == name]


def _list(fields: list[tuple[bytes, bytes]], name: bytes) -> list[bytes]:
    """Members of a header that is a comma-separated list, empty ones too. RFC 9110 5.6.1."""
    values = _values(fields, name)
    return [member.strip(b" \t") for value in values for member in value.split(b",")]


def _malformed(detail: str, *, hint: str | None = None) -> RequestError:
    return RequestError(detail, code="malformed-request", hint=hint)
