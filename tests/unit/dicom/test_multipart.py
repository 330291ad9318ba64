"""multipart/related in pieces of any size. RFC 2046 5.1."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harmony.dicom.multipart import (
    MAX_BOUNDARY,
    MAX_HEADERS,
    End,
    Event,
    MultipartReader,
    MultipartWriter,
    PartBegin,
    PartData,
    PartEnd,
    bare_type,
    boundary_of,
)
from harmony.errors import RequestError


def join(events: Iterable[Event]) -> list[Event]:
    """Neighbouring data as one."""
    joined: list[Event] = []
    for event in events:
        if isinstance(event, PartData) and joined and isinstance(joined[-1], PartData):
            joined[-1] = PartData(joined[-1].data + event.data)
        else:
            joined.append(event)
    return joined


def read(*pieces: bytes, boundary: bytes = b"b", max_parts: int = 9, **limits: int) -> list[Event]:
    reader = MultipartReader(boundary, max_parts=max_parts, **limits)
    events = [event for piece in pieces for event in reader.feed(piece)]
    reader.close()
    return join(events)


def bytewise(body: bytes) -> list[bytes]:
    return [body[at : at + 1] for at in range(len(body))]


def attempt(*pieces: bytes) -> list[Event] | str:
    try:
        return read(*pieces)
    except RequestError as exc:
        return str(exc)


def part(data: bytes, *headers: tuple[str, str]) -> list[Event]:
    return [PartBegin(headers), *([PartData(data)] if data else []), PartEnd()]


def refusal(body: bytes, boundary: bytes = b"b", **limits: int) -> RequestError:
    """The error, which must be the same whole and byte by byte."""
    with pytest.raises(RequestError) as whole:
        read(body, boundary=boundary, **limits)
    with pytest.raises(RequestError) as pieces:
        read(*bytewise(body), boundary=boundary, **limits)
    assert str(whole.value) == str(pieces.value)
    assert whole.value.http_status == pieces.value.http_status
    return whole.value


# The boundary parameter


@pytest.mark.parametrize(
    ("content_type", "boundary"),
    [
        ("multipart/related; boundary=abc", b"abc"),
        ('multipart/related; boundary="abc"', b"abc"),
        ("multipart/related;boundary=abc", b"abc"),
        ("multipart/related ; Boundary = abc ; x=y", b"abc"),
        ('multipart/related; BOUNDARY="abc"; type="application/dicom"', b"abc"),
        ('multipart/related; type="application/dicom"; boundary=abc', b"abc"),
        ('multipart/related; type="a; boundary=wrong"; boundary=right', b"right"),
        ('multipart/related; type="a\\"; boundary=wrong"; boundary=right', b"right"),
        ('multipart/related; boundary="gc0pJq0M:08jU534c0p"', b"gc0pJq0M:08jU534c0p"),
        ('multipart/related; boundary="with blank"', b"with blank"),
        ('multipart/related; boundary="a\\b"', b"ab"),
        ("multipart/related; boundary='()+_,-./:=?", b"'()+_,-./:=?"),
        (f"multipart/related; boundary={'x' * 70}", b"x" * 70),
        ("multipart/related; x-boundary=no; boundary=yes", b"yes"),
    ],
)
def test_a_boundary_is_found(content_type, boundary):
    assert boundary_of(content_type) == boundary


@pytest.mark.parametrize(
    "content_type",
    [
        "",
        "multipart/related",
        "multipart/related; boundary",
        "multipart/related; boundary=",
        'multipart/related; boundary=""',
        'multipart/related; boundary="abc',
        'multipart/related; boundary="',
        'multipart/related; boundary="abc "',
        'multipart/related; boundary="a\r\nb"',
        "multipart/related; boundary=ä",
        "multipart/related; boundary=a*b",
        f"multipart/related; boundary={'x' * 71}",
        "multipart/related, boundary=abc",
        'multipart/related; type="boundary=abc"',
    ],
)
def test_what_is_no_boundary_is_refused(content_type):
    with pytest.raises(RequestError) as caught:
        boundary_of(content_type)
    assert caught.value.http_status == 400
    assert caught.value.code == "bad-multipart"


# Bodies

BODIES = {
    "no part": (b"--b--", [End()]),
    "one part": (b"--b\r\n\r\nhello\r\n--b--\r\n", [*part(b"hello"), End()]),
    "first boundary in a line of its own": (b"\r\n--b\r\n\r\nx\r\n--b--", [*part(b"x"), End()]),
    "preamble": (b"for old\r\nreaders\r\n--b\r\n\r\nx\r\n--b--", [*part(b"x"), End()]),
    "preamble with an almost boundary": (
        b"--a\r\n-b --b\r\n--b\r\n\r\n\r\n--b--",
        [*part(b""), End()],
    ),
    "epilogue": (b"--b\r\n\r\nx\r\n--b--\r\nbye\r\n--b\r\n\r\ny", [*part(b"x"), End()]),
    "two parts": (
        b"--b\r\n\r\nx\r\n--b\r\n\r\ny\r\n--b--",
        [*part(b"x"), *part(b"y"), End()],
    ),
    "blanks behind boundaries": (
        b"--b \t\r\n\r\nx\r\n--b  \r\n\r\ny\r\n--b--  \r\n",
        [*part(b"x"), *part(b"y"), End()],
    ),
    "headers": (
        b"--b\r\nContent-Type: application/dicom\r\nX-A:1\r\nx-empty:\r\n\r\nx\r\n--b--",
        [
            *part(b"x", ("content-type", "application/dicom"), ("x-a", "1"), ("x-empty", "")),
            End(),
        ],
    ),
    "folded header": (
        b"--b\r\nContent-Type: application/dicom;\r\n\t transfer-syntax=1.2\r\n\r\nx\r\n--b--",
        [*part(b"x", ("content-type", "application/dicom; transfer-syntax=1.2")), End()],
    ),
    "header beyond ASCII": (
        b"--b\r\nX-A: \xe4\r\n\r\nx\r\n--b--",
        [*part(b"x", ("x-a", "ä")), End()],
    ),
    "empty part": (b"--b\r\n\r\n\r\n--b--", [*part(b""), End()]),
    "empty part with headers": (
        b"--b\r\nA: 1\r\n\r\n\r\n--b\r\n\r\n\r\n--b--",
        [*part(b"", ("a", "1")), *part(b""), End()],
    ),
    "line ends in the data": (
        b"--b\r\n\r\n\r\n\r\n\n\r\r\n\r\n--b--",
        [*part(b"\r\n\r\n\n\r\r\n"), End()],
    ),
    "almost boundaries in the data": (
        b"--b\r\n\r\nx--b\r\r\n-b\n--b\r\n--c\r\n\r\n--b--",
        [*part(b"x--b\r\r\n-b\n--b\r\n--c\r\n"), End()],
    ),
}


@pytest.mark.parametrize(("body", "expected"), BODIES.values(), ids=BODIES)
def test_a_body_is_read_whole_and_byte_by_byte(body, expected):
    assert read(body) == expected
    assert read(*bytewise(body)) == expected


@pytest.mark.parametrize("body", [body for body, _ in BODIES.values()], ids=BODIES)
def test_a_body_cut_anywhere_before_its_closing_boundary_is_an_error(body):
    closing = body.index(b"--b--") + len(b"--b--")
    for end in range(closing):
        reader = MultipartReader(b"b", max_parts=9)
        assert End() not in reader.feed(body[:end])
        with pytest.raises(RequestError, match="before its closing boundary"):
            reader.close()


def test_an_empty_body_is_an_error():
    assert "before its closing boundary" in refusal(b"").detail


def test_a_part_ends_as_soon_as_the_delimiter_has_come():
    reader = MultipartReader(b"b", max_parts=2)
    reader.feed(b"--b\r\n\r\nhello\r\n--")
    assert join(reader.feed(b"b"))[-1] == PartEnd()
    assert reader.feed(b"-") == []
    assert reader.feed(b"-") == [End()]


def test_an_empty_part_ends_as_soon_as_the_delimiter_has_come():
    reader = MultipartReader(b"b", max_parts=2)
    assert reader.feed(b"--b\r\n\r\n\r\n--b") == part(b"")


def test_a_part_begins_as_soon_as_its_headers_have_come():
    reader = MultipartReader(b"b", max_parts=2)
    assert reader.feed(b"--b\r\nA: 1\r\n\r\n") == [PartBegin((("a", "1"),))]


def test_data_is_given_on_before_the_part_ends():
    reader = MultipartReader(b"b", max_parts=2)
    events = join(reader.feed(b"--b\r\n\r\n" + b"x" * 1000))
    assert isinstance(events[-1], PartData)
    assert len(events[-1].data) > 990


def test_after_the_end_nothing_is_kept_or_told():
    reader = MultipartReader(b"b", max_parts=1)
    reader.feed(b"--b--")
    assert reader.feed(b"\r\n--b\r\n\r\nx\r\n--b--") == []
    reader.close()


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (b"--b x\r\n\r\nx\r\n--b--", "follows a boundary"),
        (b"--bc\r\n\r\nx\r\n--bc--", "follows a boundary"),
        (b"--b-\r\n\r\nx\r\n--b--", "follows a boundary"),
        (b"--b" + b" " * (MAX_BOUNDARY + 9) + b"\r\n\r\nx\r\n--b--", "follows a boundary"),
        (b"--b\r\nno colon\r\n\r\nx\r\n--b--", "`name: value`"),
        (b"--b\r\n: value\r\n\r\nx\r\n--b--", "`name: value`"),
        (b"--b\r\nname : value\r\n\r\nx\r\n--b--", "`name: value`"),
        (b"--b\r\n folded: first\r\n\r\nx\r\n--b--", "`name: value`"),
        (b"--b\r\nA: 1\nB: 2\r\n\r\nx\r\n--b--", "`name: value`"),
        (b"--b\r\nA: 1\rB: 2\r\n\r\nx\r\n--b--", "`name: value`"),
        (b"--b\r\nA: \0\r\n\r\nx\r\n--b--", "`name: value`"),
        (b"--b\r\n--b--\r\n\r\n", "`name: value`"),
        (b"--b\r\nContent-Type: Multipart/Mixed; boundary=c\r\n\r\nx\r\n--b--", "multipart body"),
        (
            b"--b\r\n" + b"A: 1\r\n" * (MAX_HEADERS + 1) + b"\r\nx\r\n--b--",
            f"{MAX_HEADERS} headers",
        ),
    ],
)
def test_a_malformed_body_is_refused(body, told):
    error = refusal(body)
    assert (error.http_status, error.code) == (400, "bad-multipart")
    assert told in error.detail


def test_as_many_headers_and_parts_as_allowed_are_read():
    body = b"--b\r\n" + b"A: 1\r\n" * MAX_HEADERS + b"\r\nx\r\n--b\r\n\r\n\r\n--b--"
    assert len(read(body, max_parts=2)[0].headers) == MAX_HEADERS


def test_a_part_too_many_is_413():
    error = refusal(b"--b\r\n\r\nx" + b"\r\n--b\r\n\r\ny" * 2 + b"\r\n--b--", max_parts=2)
    assert (error.http_status, error.code) == (413, "too-many-parts")
    assert "several requests" in (error.hint or "")


@pytest.mark.parametrize("length", range(90, 110))
def test_the_limit_of_headers_is_the_same_in_any_pieces(length):
    body = b"--b\r\nA: " + b"x" * length + b"\r\n\r\nx\r\n--b--"
    most = 100
    if len(b"\r\nA: ") + length <= most:
        assert read(body, max_header_bytes=most) == read(*bytewise(body), max_header_bytes=most)
    else:
        assert "100 bytes of headers" in refusal(body, max_header_bytes=most).detail


def test_headers_without_end_are_refused_before_they_pile_up():
    reader = MultipartReader(b"b", max_parts=1, max_header_bytes=1000)
    reader.feed(b"--b\r\n")
    with pytest.raises(RequestError, match="bytes of headers"):
        for _ in range(20):
            reader.feed(b"A: " + b"x" * 97)


# Round trips

parts = st.lists(
    st.tuples(
        st.lists(
            st.tuples(
                st.from_regex(r"[a-z][a-z-]{0,8}", fullmatch=True).filter(
                    lambda name: name != "content-type"
                ),
                st.from_regex(r"([!-~]([ -~]{0,9}[!-~])?)?", fullmatch=True),
            ),
            max_size=3,
        ).map(tuple),
        st.lists(
            st.binary(max_size=9) | st.sampled_from([b"\r\n", b"--", b"\r\n--", b"b", b"--b"]),
            max_size=8,
        ).map(b"".join),
    ),
    max_size=4,
)
BOUNDARY = "bb"


def written(given_parts: list[tuple[tuple[tuple[str, str], ...], bytes]]) -> bytes:
    writer = MultipartWriter(BOUNDARY)
    body = b"".join(writer.begin(headers) + data for headers, data in given_parts)
    return body + writer.end()


@given(parts, st.data())
def test_what_is_written_is_read_back_in_any_pieces(given_parts, draw):
    delimiter = f"\r\n--{BOUNDARY}".encode()
    given_parts = [each for each in given_parts if delimiter not in b"\r\n" + each[1]]
    body = written(given_parts)
    cuts = draw.draw(st.lists(st.integers(0, len(body)), max_size=6).map(sorted))
    pieces = [body[a:b] for a, b in zip([0, *cuts], [*cuts, len(body)], strict=True)]
    expected = [event for headers, data in given_parts for event in part(data, *headers)]
    assert read(*pieces, boundary=BOUNDARY.encode()) == [*expected, End()]


@given(
    st.lists(st.sampled_from([b"\r", b"\n", b"-", b"b", b" ", b":", b"a"]), max_size=40), st.data()
)
def test_any_bytes_are_the_same_events_in_any_pieces_or_refused(tokens, draw):
    body = b"--b\r\n" + b"".join(tokens) + b"\r\n--b--"
    cuts = draw.draw(st.lists(st.integers(0, len(body)), max_size=6).map(sorted))
    pieces = [body[a:b] for a, b in zip([0, *cuts], [*cuts, len(body)], strict=True)]
    assert attempt(*pieces) == attempt(body)


def test_the_content_type_of_a_writer_names_its_boundary():
    writer = MultipartWriter()
    content_type = writer.content_type("application/dicom")
    assert content_type.startswith('multipart/related; type="application/dicom"; boundary=')
    boundary = boundary_of(content_type)
    body = writer.begin([("Content-Type", "application/dicom")]) + b"x" + writer.end()
    assert read(body, boundary=boundary) == [
        *part(b"x", ("content-type", "application/dicom")),
        End(),
    ]


def test_two_writers_have_two_boundaries():
    assert MultipartWriter().content_type("a/b") != MultipartWriter().content_type("a/b")


@pytest.mark.parametrize(
    ("header", "expected"),
    [(None, ""), ("application/JSON; charset=utf-8", "application/json"), (" a/b ", "a/b")],
)
def test_media_type_is_bare_and_lower_case(header: str | None, expected: str) -> None:
    assert bare_type(header) == expected
