"""The first PDU of a caller, read by trio: whoever says nothing, or little, costs no thread."""

from __future__ import annotations

import contextlib
import socket
import ssl

import trio

from harmony.upper_layer.reading import MAX_ASSOCIATE_BYTES

_SEE_OFF_SECONDS, _SEE_OFF_BYTES = 1.0, 256 * 1024
_HEADER_BYTES = 6  # type, reserved, length; PS3.8 9.3.1
_ASSOCIATE_RQ = 0x01
_ABORT = 0x07
_PROVIDER = 2  # source of an A-ABORT
_KNOWN_TYPES = range(0x01, 0x08)
_UNRECOGNISED, _UNEXPECTED, _INVALID_PARAMETER = 1, 2, 6
_TLS_HANDSHAKE = b"\x16\x03"  # record type and major version, RFC 8446 5.1
_HTTP_METHODS = (b"GET ", b"POST", b"HEAD", b"PUT ", b"OPTI", b"CONN", b"DELE", b"PRI ")


class BadStart(Exception):
    """A connection that does not begin with a proper A-ASSOCIATE-RQ.

    Attributes:
        code: stable word for why.
        abort_reason: for an A-ABORT by the service provider (PS3.8 9.3.8); None to say nothing.
    """

    def __init__(self, code: str, abort_reason: int | None = None) -> None:
        super().__init__(code)
        self.code = code
        self.abort_reason = abort_reason


async def read_associate_request(sock: socket.socket) -> bytes:
    """The A-ASSOCIATE-RQ of a non-blocking socket, whole and undecoded.

    Waits without limit, so callers bound it.

    Raises:
        BadStart: it begins with something else, or with a PDU that is too long.
        OSError: the connection broke.
    """
    head = await _read(sock, _HEADER_BYTES)
    length = int.from_bytes(head[2:], "big")
    judge_head(head, length)
    return head + await _read(sock, length)


def judge_head(head: bytes, length: int) -> None:
    """Whether a request of a length that we take begins so. PS3.8 table 9-10, state 2.

    Raises:
        BadStart
    """
    if head.startswith(_TLS_HANDSHAKE):
        raise BadStart("tls-on-plain-port")
    if head.startswith(_HTTP_METHODS):
        raise BadStart("http-on-dicom-port")
    if head[0] == _ABORT:
        raise BadStart("aborted-by-caller")
    if head[0] not in _KNOWN_TYPES:
        raise BadStart("not-dicom", _UNRECOGNISED)
    if head[0] != _ASSOCIATE_RQ:
        raise BadStart("unexpected-pdu", _UNEXPECTED)
    if length > MAX_ASSOCIATE_BYTES:
        raise BadStart("request-too-long", _INVALID_PARAMETER)


def abort_pdu(reason: int) -> bytes:
    """An A-ABORT by the service provider. PS3.8 9.3.8."""
    return bytes((_ABORT, 0, 0, 0, 0, 4, 0, 0, _PROVIDER, reason))


async def send_abort(sock: socket.socket, reason: int) -> None:
    """Send an A-ABORT, and drop for a moment what still comes.

    A connection that is closed with something unread is reset, and a reset may overtake what
    was sent.
    """
    with contextlib.suppress(OSError), trio.move_on_after(_SEE_OFF_SECONDS):
        sock.send(abort_pdu(reason))
        socket.socket.shutdown(sock, socket.SHUT_WR)  # of an SSLSocket, too
        left = _SEE_OFF_BYTES
        while left > 0 and (piece := await _receive(sock, left)):
            left -= len(piece)


async def _read(sock: socket.socket, size: int) -> bytes:
    data = bytearray()
    while len(data) < size:
        piece = await _receive(sock, size - len(data))
        if not piece:
            raise BadStart("closed-by-caller")
        data += piece
    return bytes(data)


async def _receive(sock: socket.socket, most: int) -> bytes:
    """Some bytes; none at the end of the connection."""
    while True:
        try:
            return sock.recv(most)
        except (BlockingIOError, ssl.SSLWantReadError):
            await trio.lowlevel.wait_readable(sock)
        except ssl.SSLWantWriteError:
            await trio.lowlevel.wait_writable(sock)
