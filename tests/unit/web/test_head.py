"""The framing of HTTP/1, bytes in and bytes of one message out."""

from __future__ import annotations

import contextlib

import h11
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harmony.errors import RequestError
from harmony.web.head import HTTP2_PREFACE, HeadGuard, Phase

START = b"GET /a HTTP/1.1\r\nHost: x\r\n"


def guard(*, preface_allowed: bool = False) -> HeadGuard:
    return HeadGuard(max_head_bytes=500, preface_allowed=preface_allowed)


def messages(guarded: HeadGuard, *pieces: bytes) -> list[bytes]:
    """What is handed on of each message; the last one may be unfinished."""
    found = [b""]
    for piece in pieces:
        guarded.feed(piece)
        while (data := guarded.take()) is not None:
            found[-1] += data
            if guarded.phase in (Phase.IDLE, Phase.HEAD):
                found.append(b"")
    return [message for message in found if message]


def refusal(*pieces: bytes) -> RequestError:
    with pytest.raises(RequestError) as caught:
        messages(guard(), *pieces)
    return caught.value


WHOLE = [
    START + b"\r\n",
    b"GET / HTTP/1.0\r\n\r\n",
    b"OPTIONS * HTTP/1.1\r\nHost:\r\n\r\n",
    b"GET http://x/a HTTP/1.1\r\nHost: x\r\nA:b\r\nA: \t b c \r\nB:\xe9\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n\r\n\0\n!",
    b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2, 2\r\ncontent-length: 2\r\n\r\nab",
    b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: CHUNKED\r\n\r\n0\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    b'2;a="b"\r\n\r\n\r\n00A\r\n0123456789\r\n0\r\nT: u\r\nV: w\r\n\r\n',
]


@pytest.mark.parametrize("message", WHOLE)
def test_a_plain_message_is_handed_on_as_it_is(message: bytes) -> None:
    guarded = guard()
    assert messages(guarded, message) == [message]
    assert guarded.phase is Phase.IDLE


@given(st.lists(st.sampled_from(WHOLE), max_size=6), st.data())
def test_where_messages_end_does_not_depend_on_how_they_are_cut(
    sent: list[bytes], data: st.DataObject
) -> None:
    stream = b"".join(sent)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=8)))
    pieces = [stream[a:b] for a, b in zip([0, *cuts], [*cuts, len(stream)], strict=True)]
    assert messages(guard(), *pieces) == sent


@given(st.lists(st.sampled_from(WHOLE), min_size=1, max_size=4))
def test_h11_finds_the_same_requests_and_bodies(sent: list[bytes]) -> None:
    for message in messages(guard(), b"".join(sent)):
        connection = h11.Connection(h11.SERVER)
        connection.receive_data(message)
        assert isinstance(connection.next_event(), h11.Request)
        while not isinstance(event := connection.next_event(), h11.EndOfMessage):
            assert isinstance(event, h11.Data)
        assert connection.trailing_data == (b"", False)


_BITS = [
    b"GET / HTTP/1.1\r\n",
    b"Host: x\r\n",
    b"\r\n",
    b"\n",
    b"\r",
    b"\0",
    b" ",
    b"Content-Length:",
]
_BITS += [
    b"Transfer-Encoding: chunked\r\n",
    b"5",
    b"0\r\n",
    b",",
    b"abcde",
    b"+",
    b";",
    b"PRI",
    b":",
]


@given(
    st.lists(st.sampled_from([START, *_BITS]), max_size=25).map(lambda bits: START + b"".join(bits))
)
def test_what_is_handed_on_of_any_bytes_is_one_message_to_h11_too(stream: bytes) -> None:
    found = [b""]
    guarded = guard()
    guarded.feed(stream)
    with contextlib.suppress(RequestError):
        while (data := guarded.take()) is not None:
            found[-1] += data
            if guarded.phase in (Phase.IDLE, Phase.HEAD):
                found.append(b"")
    for message in found[:-1]:
        connection = h11.Connection(h11.SERVER)
        connection.receive_data(message)
        while not isinstance(event := connection.next_event(), h11.EndOfMessage):
            assert isinstance(event, h11.Request | h11.Data)
        assert connection.trailing_data == (b"", False)


@given(st.binary(max_size=200))
def test_any_bytes_are_handed_on_held_or_refused(stream: bytes) -> None:
    guarded = guard(preface_allowed=True)
    guarded.feed(stream)
    taken = b""
    with contextlib.suppress(RequestError):
        while (data := guarded.take()) is not None:
            taken += data
    assert len(taken) + guarded.buffered <= len(stream)


@pytest.mark.parametrize(
    ("head", "status", "word"),
    [
        (
            b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked",
            400,
            "T",
        ),
        (b"POST / HTTP/1.0\r\nHost: x\r\nTransfer-Encoding: chunked", 400, "HTTP/1.0"),
        (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5, 6", 400, "one decimal"),
        (
            b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: 6",
            400,
            "one decimal",
        ),
        (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: +5", 400, "one decimal"),
        (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0x5", 400, "one decimal"),
        (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length:", 400, "one decimal"),
        (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: " + b"9" * 19, 400, "one decimal"),
        (b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip", 501, "chunked"),
        (b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked, chunked", 501, "chunked"),
        (b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: \x0bchunked", 400, "control"),
        (START + b"A: b\r\n c", 400, "folded"),
        (START + b"A: b\r\n\tc", 400, "folded"),
        (b"GET / HTTP/1.1\nHost: x", 400, "CRLF"),
        (START + b"A: b\nC: d", 400, "CRLF"),
        (START + b"A: b\rC: d", 400, "CRLF"),
        (START + b"A: b\r", 400, "control"),
        (START + b"A: \0", 400, "NUL"),
        (START + b"A : b", 400, "NAME"),
        (START + b": b", 400, "NAME"),
        (START + b"A", 400, "NAME"),
        (START + b"Host: y", 400, "Host"),
        (b"GET / HTTP/1.1", 400, "Host"),
        (b"GET  / HTTP/1.1\r\nHost: x", 400, "request line"),
        (b"GET /a b HTTP/1.1\r\nHost: x", 400, "request line"),
        (b"GET /\xe9 HTTP/1.1\r\nHost: x", 400, "request line"),
        (b"GET /", 400, "request line"),
        (b"GET / HTTP/2.0\r\nHost: x", 505, "version"),
        (b"PRI * HTTP/2.0", 505, "version"),
        (b"\x16\x03\x01\x00\xa5", 400, "without TLS"),
        (START + b"Upgrade: websocket", 400, "WebSocket"),
        (START + b"Upgrade: h2c, WebSocket", 400, "WebSocket"),
    ],
)
def test_a_head_that_can_be_read_in_two_ways_is_refused(
    head: bytes, status: int, word: str
) -> None:
    error = refusal(head + b"\r\n\r\n")
    assert error.http_status == status
    assert word in error.detail


@pytest.mark.parametrize("cut", range(1, 16))
def test_a_bare_line_feed_is_refused_at_once_wherever_it_is_cut(cut: int) -> None:
    head = b"GET / HTTP/1.1\nHost: x\n\n"
    assert "CRLF" in refusal(head[:cut], head[cut:]).detail


@pytest.mark.parametrize(
    "body",
    [
        b"xyz\r\n",
        b"\r\n",
        b"-1\r\n",
        b"5 \r\nabcde\r\n",
        b"5\nabcde\r\n",
        b"3\r\nabcd\r\n",
        b"3;\x01\r\nabc\r\n",
        b"0" * 20 + b"\r\n",
        b"0" * 300,
        b"0\r\nno field\r\n\r\n",
        b"0\r\nA: b\n\r\n",
        b"0\r\n" + b"A: b\r\n" * 100 + b"\r\n",
    ],
)
def test_a_malformed_chunked_body_is_refused(body: bytes) -> None:
    head = b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    assert refusal(head, body).http_status == 400


@pytest.mark.parametrize("end", [b"", b"\r\n\r\n"])
def test_a_long_head_is_refused_whether_it_ends_or_not(end: bytes) -> None:
    assert refusal(START + b"A: " + b"a" * 500 + end).http_status == 431


def test_a_head_of_just_the_limit_is_handed_on() -> None:
    head = START + b"A: " + b"a" * (500 - len(START) - 3)
    assert messages(guard(), head + b"\r\n\r\n") == [head + b"\r\n\r\n"]


def test_other_upgrades_are_left_out_of_the_head() -> None:
    head = START + b"Upgrade: h2c\r\nHTTP2-Settings: AAM\r\nA: b\r\n\r\n"
    assert messages(guard(), head) == [START + b"A: b\r\n\r\n"]


def test_an_empty_line_before_a_request_is_forgiven() -> None:
    assert messages(guard(), b"\r\n" + WHOLE[0] + b"\r", b"\n" + WHOLE[1]) == WHOLE[:2]


def test_the_phase_says_what_is_waited_for() -> None:
    guarded = guard()
    seen = [guarded.phase]
    for piece in (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Le", b"ngth: 2\r\n\r\n", b"a", b"bGET"):
        guarded.feed(piece)
        guarded.take()
        seen.append(guarded.phase)
    assert seen == [Phase.IDLE, Phase.HEAD, Phase.BODY, Phase.BODY, Phase.HEAD]


@pytest.mark.parametrize("cut", range(len(HTTP2_PREFACE) + 1))
def test_the_preface_of_http_2_passes_with_all_that_follows(cut: int) -> None:
    guarded = guard(preface_allowed=True)
    stream = HTTP2_PREFACE + b"\0\0\0"
    taken = messages(guarded, stream[:cut], stream[cut:], b"\n\n")
    assert b"".join(taken) == stream + b"\n\n"
    assert guarded.phase is Phase.HTTP2


def test_the_preface_is_refused_after_a_request() -> None:
    guarded = guard(preface_allowed=True)
    with pytest.raises(RequestError):
        messages(guarded, WHOLE[0], HTTP2_PREFACE)


def test_a_method_that_begins_like_the_preface_is_a_request() -> None:
    request = b"PROPFIND / HTTP/1.1\r\nHost: x\r\n\r\n"
    assert messages(guard(preface_allowed=True), request[:2], request[2:]) == [request]


def test_http_2_that_was_agreed_on_passes_unseen() -> None:
    guarded = HeadGuard(max_head_bytes=500, http2=True)
    guarded.feed(b"\0\n")
    assert guarded.take() == b"\0\n"
    assert guarded.take() is None
