"""The first bytes of a caller: the request, or why it is none."""

from __future__ import annotations

import contextlib
import socket
import ssl
import struct
from typing import cast

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from harmony.dimse.first_pdu import BadStart, judge_head, read_associate_request, send_abort
from harmony.upper_layer.reading import MAX_ASSOCIATE_BYTES
from tests.support.bad_caller import Request

REQUEST = Request().encode()


def head(kind, length):
    return struct.pack(">BxI", kind, length)


@contextlib.contextmanager
def connected():
    """Ours, not blocking, and the caller's."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.setblocking(False)
        yield ours, theirs


@pytest.mark.parametrize("split", range(0, len(REQUEST) + 1, 7))
async def test_the_request_comes_whole_however_it_is_split(split):
    with trio.fail_after(5), connected() as (ours, theirs):
        async with trio.open_nursery() as nursery:
            read = []

            async def reading():
                read.append(await read_associate_request(ours))

            nursery.start_soon(reading)
            for part in (REQUEST[:split], REQUEST[split:]):
                theirs.sendall(part)
                await trio.testing.wait_all_tasks_blocked(0.001)
        assert read == [REQUEST]


async def test_bytes_behind_the_request_are_left_where_they_are():
    with trio.fail_after(5), connected() as (ours, theirs):
        theirs.sendall(REQUEST + b"more")
        assert await read_associate_request(ours) == REQUEST
        assert ours.recv(100) == b"more"


BAD = {
    "a TLS hello": (b"\x16\x03\x01\x02\x00\x01", "tls-on-plain-port", None),
    "GET": (b"GET / HTTP/1.1\r\n", "http-on-dicom-port", None),
    "HTTP/2": (b"PRI * HTTP/2.0\r\n", "http-on-dicom-port", None),
    "POST": (b"POST /x HTTP/1.1\r\n", "http-on-dicom-port", None),
    "zeros": (bytes(6), "not-dicom", 1),
    "an SSH greeting": (b"SSH-2.0-OpenSSH", "not-dicom", 1),
    "an unknown PDU": (head(0x08, 4), "not-dicom", 1),
    "A-ASSOCIATE-AC": (head(0x02, 100), "unexpected-pdu", 2),
    "A-ASSOCIATE-RJ": (head(0x03, 4), "unexpected-pdu", 2),
    "P-DATA-TF": (head(0x04, 100), "unexpected-pdu", 2),
    "A-RELEASE-RQ": (head(0x05, 4), "unexpected-pdu", 2),
    "A-RELEASE-RP": (head(0x06, 4), "unexpected-pdu", 2),
    "A-ABORT": (head(0x07, 4), "aborted-by-caller", None),
    "4 GiB": (head(0x01, 0xFFFFFFFF), "request-too-long", 6),
    "one byte too long": (head(0x01, MAX_ASSOCIATE_BYTES + 1), "request-too-long", 6),
}


@pytest.mark.parametrize(("data", "code", "reason"), BAD.values(), ids=BAD.keys())
async def test_anything_else_is_told_apart_by_its_first_six_bytes(data, code, reason):
    with trio.fail_after(5), connected() as (ours, theirs):
        theirs.sendall(data)
        with pytest.raises(BadStart) as caught:
            await read_associate_request(ours)
    assert (caught.value.code, caught.value.abort_reason) == (code, reason)


MALFORMED = {
    "empty": (b"", 6),
    "cut before its items": (REQUEST[6:60], 6),
    "an item that overruns it": (REQUEST[6:-1], 6),
    "an answered context": (REQUEST[6:] + b"\x21\x00\x00\x04\x01\x00\x00\x00", 5),
}


@pytest.mark.parametrize(("body", "reason"), MALFORMED.values(), ids=MALFORMED.keys())
async def test_a_request_that_cannot_be_read_is_told_by_its_fault(body, reason):
    with trio.fail_after(5), connected() as (ours, theirs):
        theirs.sendall(head(0x01, len(body)) + body)
        with pytest.raises(BadStart) as caught:
            await read_associate_request(ours)
    assert (caught.value.code, caught.value.abort_reason) == ("malformed-request", reason)


@pytest.mark.parametrize("sent", [b"", b"\x01\x00\x00", REQUEST[:6], REQUEST[:-1]])
async def test_a_caller_that_closes_early_has_said_nothing(sent):
    with trio.fail_after(5), connected() as (ours, theirs):
        theirs.sendall(sent)
        theirs.close()
        with pytest.raises(BadStart) as caught:
            await read_associate_request(ours)
    assert (caught.value.code, caught.value.abort_reason) == ("closed-by-caller", None)


async def test_waiting_for_the_rest_can_be_cancelled():
    with connected() as (ours, theirs):
        theirs.sendall(REQUEST[:-1])
        with trio.move_on_after(0.01) as scope:
            await read_associate_request(ours)
    assert scope.cancelled_caught


async def test_over_tls_the_records_do_not_matter():
    class Records:
        """One byte a call, with the waits of TLS in between."""

        def __init__(self, sock):
            self._sock = sock
            self._left = list(REQUEST)
            self._waits = False

        def fileno(self):
            return self._sock.fileno()

        def recv(self, size):
            self._waits = not self._waits
            if self._waits:
                raise ssl.SSLWantWriteError if len(self._left) % 2 else ssl.SSLWantReadError
            return bytes([self._left.pop(0)])

    with trio.fail_after(5), connected() as (ours, theirs):
        theirs.sendall(b"readable")
        assert await read_associate_request(cast(socket.socket, Records(ours))) == REQUEST


@given(st.binary(min_size=6, max_size=6))
def test_every_first_six_bytes_are_judged(data):
    length = int.from_bytes(data[2:], "big")
    bad: BadStart | None = None
    try:
        judge_head(data, length)
    except BadStart as exc:
        bad = exc
    if bad is None:
        assert data[0] == 0x01
        assert length <= MAX_ASSOCIATE_BYTES
    else:
        assert bad.code
        assert bad.abort_reason in (None, 1, 2, 6)


async def test_an_abort_is_not_overtaken_by_the_end_of_the_connection():
    """Over TCP a close with something unread is a reset, which may drop what was sent."""
    with trio.fail_after(5), socket.create_server(("127.0.0.1", 0)) as listener:
        with socket.create_connection(listener.getsockname()) as theirs:
            ours, _ = listener.accept()
            with ours:
                ours.setblocking(False)
                theirs.sendall(bytes(100_000))
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(send_abort, ours, 1)
                    heard = await trio.to_thread.run_sync(theirs.recv, 100)
                    theirs.close()
    assert heard == b"\x07\x00\x00\x00\x00\x04\x00\x00\x02\x01"


async def test_a_caller_that_does_not_hang_up_is_not_seen_off_for_ever(autojump_clock):
    with connected() as (ours, _):
        await send_abort(ours, 2)
        assert trio.current_time() < 2
