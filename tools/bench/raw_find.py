"""C-FIND over a bare socket: the same small cost before every SCP, and no process to start.

Rows are counted, not decoded. Connect, associate, ask, read to the last response, release.
"""

from __future__ import annotations

import io
import socket
import struct
from typing import Protocol

from tests.support.bad_caller import messages
from tests.support.bad_caller.request import FIND, IMPLICIT, Request
from tests.support.bad_pacs.pdu import (
    PduType,
    ProposedContext,
    release_request,
)
from tools.bench.series import Series
from tools.bench.servers import Server

_SECONDS = 60
_CONTEXT_ID = 1
_BUFFER = 1 << 18
_STATUS = struct.pack("<HHI", 0x0000, 0x0900, 2)  # tag and length of the element
_PENDING = (0xFF00, 0xFF01)
_SUCCESS = 0x0000


class _Stream(Protocol):
    """Where PDUs come from."""

    def read(self, size: int, /) -> bytes: ...


def find(server: Server, identifier: bytes) -> int:
    """Ask on a new association; returns the number of matches.

    Raises:
        RuntimeError: it was refused, or ended with another status than success.
    """
    request = Request(
        called=server.ae_title,
        calling="BENCH",
        contexts=(
            ProposedContext(id=_CONTEXT_ID, abstract_syntax=FIND, transfer_syntaxes=(IMPLICIT,)),
        ),
        roles=(),
        max_length=131072,
    )
    with socket.create_connection((server.host, server.port), timeout=_SECONDS) as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with io.BufferedReader(socket.SocketIO(sock, "r"), _BUFFER) as stream:
            sock.sendall(request.encode())
            _expect(stream, PduType.ASSOCIATE_AC)
            sock.sendall(messages.message(_CONTEXT_ID, messages.find(), identifier))
            rows = _count(stream)
            sock.sendall(release_request())
            _expect(stream, PduType.RELEASE_RP)
    return rows


def images_of(series: Series) -> bytes:
    """The identifier of an IMAGE level query of a series, in Implicit VR Little Endian."""
    elements = {
        (0x0008, 0x0016): "",
        (0x0008, 0x0018): "",
        (0x0008, 0x0052): "IMAGE",
        (0x0020, 0x000D): series.study_uid,
        (0x0020, 0x000E): series.series_uid,
        (0x0020, 0x0013): "",
    }
    buffer = io.BytesIO()
    for (group, number), text in elements.items():
        padding = "\0" if group == 0x0020 else " "  # UIDs end with NUL
        value = (text + padding * (len(text) % 2)).encode()
        buffer.write(struct.pack("<HHI", group, number, len(value)) + value)
    return buffer.getvalue()


def _count(stream: _Stream) -> int:
    """Count pending responses up to the final one."""
    rows = 0
    while True:
        for status in _statuses(_expect(stream, PduType.P_DATA)):
            if status in _PENDING:
                rows += 1
            elif status == _SUCCESS:
                return rows
            else:
                raise RuntimeError(f"C-FIND ended with status {status:04X}")


def _statuses(body: bytes) -> list[int]:
    """Statuses of the commands in a P-DATA-TF; every peer here sends each in one piece."""
    found = []
    at = 0
    while at < len(body):
        length, _, control = struct.unpack_from(">IBB", body, at)
        if control & 1:
            place = body.index(_STATUS, at, at + 4 + length) + len(_STATUS)
            found.append(int.from_bytes(body[place : place + 2], "little"))
        at += 4 + length
    return found


def _expect(stream: _Stream, kind: PduType) -> bytes:
    """The body of the next PDU."""
    header = stream.read(6)
    if len(header) < 6 or header[0] != kind:
        raise RuntimeError(f"expected a PDU of type {kind:02X}, got {header.hex() or 'the end'}")
    return stream.read(int.from_bytes(header[2:], "big"))
