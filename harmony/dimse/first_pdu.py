"""The first PDU of a caller, read by trio: whoever says nothing, or little, costs no thread."""

from __future__ import annotations

import contextlib
import socket
import ssl

import trio

from harmony.upper_layer.pdus import (
    Abort,
    AbortReason,
    AbortSource,
    PduError,
    PduType,
    decode,
    encode,
)
from harmony.upper_layer.reading import HEADER_BYTES, MAX_ASSOCIATE_BYTES

_SEE_OFF_SECONDS, _SEE_OFF_BYTES = 1.0, 256 * 1024
_KNOWN_TYPES = frozenset(PduType)
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
    """The A-ASSOCIATE-RQ of a non-blocking socket, whole, and known to be one.

    Waits without limit, so callers bound it.

    Raises:
        BadStart: it begins with something else, or with a PDU that is too long or malformed.
        OSError: the connection broke.
    """
    head = await _read(sock, HEADER_BYTES)
    length = int.from_bytes(head[2:], "big")
    judge_head(head, length)
    body = await _read(sock, length)
    try:
        decode(PduType.ASSOCIATE_RQ, memoryview(body))
    except PduError as exc:
        raise BadStart("malformed-request", exc.reason) from exc
    return head + body


def judge_head(head: bytes, length: int) -> None:
    """Whether a request of a length that we take begins so. PS3.8 table 9-10, state 2.

    Raises:
        BadStart
    """
    if head.startswith(_TLS_HANDSHAKE):
        raise BadStart("tls-on-plain-port")
    if head.startswith(_HTTP_METHODS):
        raise BadStart("http-on-dicom-port")
    if head[0] == PduType.ABORT:
        raise BadStart("aborted-by-caller")
    if head[0] not in _KNOWN_TYPES:
        raise BadStart("not-dicom", AbortReason.UNRECOGNISED_PDU)
    if head[0] != PduType.ASSOCIATE_RQ:
        raise BadStart("unexpected-pdu", AbortReason.UNEXPECTED_PDU)
    if length > MAX_ASSOCIATE_BYTES:
        raise BadStart("request-too-long", AbortReason.INVALID_PARAMETER)


def abort_pdu(reason: int) -> bytes:
    """An A-ABORT by the service provider. PS3.8 9.3.8."""
    return encode(Abort(source=AbortSource.PROVIDER, reason=reason))


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
