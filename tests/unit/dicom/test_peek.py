"""A few attributes from the beginning of a data set."""

from __future__ import annotations

import struct
from collections.abc import AsyncIterator, Iterator

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from harmony.dicom.elements import MAX_DEPTH, SYNTAXES, Element
from harmony.dicom.peek import MAX_BYTES, Head, peek
from harmony.dicom.transcode import encode
from harmony.envelope import ByteStream, Instance, StreamBroken, WholeBytes

IMPLICIT, EXPLICIT, BIG = "1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2"
DEFLATED, JPEG = "1.2.840.10008.1.2.1.99", "1.2.840.10008.1.2.4.50"
CLASS, MODALITY, NAME, ROWS = 0x00080016, 0x00080060, 0x00100010, 0x00280010
SEQUENCE, REFERENCED, SERIES_UID, PIXELS = 0x00081032, 0x00081115, 0x0020000E, 0x7FE00010
UNDEFINED = b"\xff\xff\xff\xff"
ITEM, ITEM_END, SEQUENCE_END = b"\xfe\xff\x00\xe0", b"\xfe\xff\x0d\xe0", b"\xfe\xff\xdd\xe0"

WANTED = {MODALITY: "CT", NAME: "Jäger^Zoë", SERIES_UID: "1.2.3"}


def elements(order: str = "<") -> list[Element]:
    return [
        Element(0x00080005, "CS", b"ISO_IR 100"),
        Element(CLASS, "UI", b"1.2.840\0"),
        Element(MODALITY, "CS", b"CT"),
        Element(SEQUENCE, "SQ", [[Element(MODALITY, "CS", b"XX")]]),
        Element(NAME, "PN", "Jäger^Zoë ".encode("latin-1")),
        Element(SERIES_UID, "UI", b"1.2.3\0"),
        Element(ROWS, "US", struct.pack(order + "H", 512)),
        Element(PIXELS, "OW", bytes(64)),
    ]


def data(syntax: str = EXPLICIT) -> bytes:
    encoding = SYNTAXES.get(syntax, SYNTAXES[EXPLICIT])
    return encode(elements(encoding.order), encoding)


def instance(chunks: object, syntax: str = EXPLICIT, *, repeatable: bool = False) -> Instance:
    return Instance(
        sop_class_uid="1.2.840",
        sop_instance_uid="1.2.3.4",
        transfer_syntax=syntax,
        data=chunks,  # type: ignore[arg-type]
        repeatable=repeatable,
        size=7,
    )


def pieces(whole: bytes, size: int) -> Iterator[bytes]:
    return (whole[at : at + size] for at in range(0, len(whole), size))


def fed(whole: bytes, *tags: int, syntax: str = EXPLICIT, size: int = 1 << 30) -> Head:
    head = Head(tags, syntax)
    for piece in pieces(whole, size):
        head.feed(piece)
    return head


# The scan


@pytest.mark.parametrize("syntax", [*SYNTAXES, JPEG])
@pytest.mark.parametrize("size", [1, 7, 1 << 20])
def test_attributes_are_found_in_each_syntax_however_the_data_comes(syntax, size):
    head = fed(data(syntax), *WANTED, ROWS, syntax=syntax, size=size)
    assert head.values == WANTED | {ROWS: "512"}
    assert head.done


def test_what_is_not_there_is_absent_and_its_place_ends_the_search():
    head = Head([MODALITY, 0x00080070], EXPLICIT)
    assert head.feed(data())
    assert head.values == {MODALITY: "CT"}


def test_the_search_ends_with_the_last_attribute_wanted():
    whole = data()
    end = whole.index(b"1.2.840\0") + 8
    head = Head([CLASS], EXPLICIT)
    assert not head.feed(whole[: end - 1])
    assert head.feed(whole[end - 1 : end])
    assert head.values == {CLASS: "1.2.840"}


def test_what_comes_after_the_end_changes_nothing():
    head = fed(data(), CLASS)
    assert head.feed(b"\xff" * 100)
    assert head.values == {CLASS: "1.2.840"}


def test_several_values_and_empty_ones():
    whole = encode(
        [Element(CLASS, "UI", b""), Element(0x00080061, "CS", b"CT \\MR ")], SYNTAXES[EXPLICIT]
    )
    assert fed(whole, CLASS, 0x00080061).values == {CLASS: "", 0x00080061: "CT\\MR"}


@pytest.mark.parametrize("tag", [SEQUENCE, PIXELS])
def test_what_has_no_text_is_absent(tag):
    head = fed(data(), MODALITY, tag)
    assert head.values == {MODALITY: "CT"}


@pytest.mark.parametrize("tags", [[], [MODALITY]])
@pytest.mark.parametrize("syntax", [DEFLATED, "1.2.840.10008.1.2.4.205"])
def test_nothing_is_found_in_a_deflated_data_set(tags, syntax):
    head = Head(tags, syntax)
    assert head.done
    assert head.feed(data())
    assert head.values == {}


def test_who_wants_nothing_need_feed_nothing():
    assert Head([], EXPLICIT).done


def open_sequence(tag: int, inner: bytes, *, vr: bytes = b"SQ") -> bytes:
    start = struct.pack("<HH2s2x", tag >> 16, tag & 0xFFFF, vr) + UNDEFINED
    return start + inner + SEQUENCE_END + bytes(4)


def item(inner: bytes) -> bytes:
    return ITEM + struct.pack("<L", len(inner)) + inner


def open_item(inner: bytes) -> bytes:
    return ITEM + UNDEFINED + inner + ITEM_END + bytes(4)


NAMED = encode([Element(NAME, "PN", b"A^B ")], SYNTAXES[EXPLICIT])
OTHER = encode([Element(NAME, "PN", b"NO"), Element(PIXELS, "OW", b"NO")], SYNTAXES[EXPLICIT])
IMPLICIT_OTHER = encode([Element(NAME, "PN", b"NO")], SYNTAXES[IMPLICIT])


@pytest.mark.parametrize(
    "before",
    [
        open_sequence(REFERENCED, b""),
        open_sequence(REFERENCED, item(OTHER) + open_item(OTHER) + item(b"")),
        open_sequence(REFERENCED, open_item(open_sequence(SEQUENCE, open_item(OTHER)) + OTHER)),
        open_sequence(REFERENCED, item(open_sequence(SEQUENCE, open_item(OTHER)))),
        open_sequence(0x00091001, open_item(IMPLICIT_OTHER), vr=b"UN"),
        open_sequence(0x00091001, item(b"12345678"), vr=b"OB"),  # fragments
        b"\x09\x00\x01\x10ZZ\0\0\x04\0\0\0abcd",  # a VR of the future
    ],
)
@pytest.mark.parametrize("size", [1, 1 << 20])
def test_what_stands_before_is_passed_over(before, size):
    head = fed(before + NAMED, NAME, size=size)
    assert head.values == {NAME: "A^B"}


def deep(levels: int) -> bytes:
    inner = b""
    for _ in range(levels):
        inner = open_sequence(SEQUENCE, open_item(inner))
    return inner


def test_nesting_has_a_limit():
    assert fed(deep(MAX_DEPTH) + NAMED, NAME).values == {NAME: "A^B"}
    head = fed(deep(MAX_DEPTH + 1) + NAMED, NAME)
    assert (head.done, head.values) == (True, {})


FIRST = encode([Element(MODALITY, "CS", b"CT")], SYNTAXES[EXPLICIT])


@pytest.mark.parametrize(
    "damage",
    [
        b"\x08\x00\x70\x00\x00\x01\x02\x00AB",  # no VR
        b"\x08\x00\x70\x00lo\x02\x00AB",
        ITEM + bytes(4),
        ITEM_END + bytes(4),
        SEQUENCE_END + bytes(4),
        struct.pack("<HH2s2x", 0x0008, 0x1115, b"SQ") + UNDEFINED + FIRST,
        struct.pack("<HH2s2x", 0x0008, 0x1115, b"SQ") + UNDEFINED + ITEM_END + bytes(4),
        open_sequence(REFERENCED, ITEM + UNDEFINED + SEQUENCE_END + bytes(4)),
    ],
)
def test_damage_ends_the_search_with_what_was_found_before(damage):
    head = fed(FIRST + damage + NAMED, MODALITY, NAME)
    assert head.values == {MODALITY: "CT"}
    assert head.done


def test_a_data_set_that_stops_early_gives_what_was_found():
    whole = data()
    head = fed(whole[: whole.index(b"CT") + 2], MODALITY, NAME)
    assert head.values == {MODALITY: "CT"}
    assert not head.done


@pytest.mark.parametrize("tag", [0x00091001, NAME])
def test_a_long_element_ends_the_search_at_the_limit(tag):
    long = struct.pack("<HH2s2xL", tag >> 16, tag & 0xFFFF, b"UT", 0xFFFFFFFE)
    head = Head([MODALITY, NAME], EXPLICIT)
    taken = 0
    for piece in (FIRST, long, *pieces(bytes(2 * MAX_BYTES), 65536)):
        taken += len(piece)
        if head.feed(piece):
            break
    assert head.values == {MODALITY: "CT"}
    assert MAX_BYTES <= taken < MAX_BYTES + 65536


def test_what_begins_within_the_limit_but_ends_beyond_it_is_absent():
    filler = struct.pack("<HH2s2xL", 0x0009, 0x1001, b"OB", MAX_BYTES - 20) + bytes(MAX_BYTES - 20)
    assert len(filler + NAMED) > MAX_BYTES
    head = fed(filler + NAMED, NAME)
    assert (head.done, head.values) == (True, {})


@given(st.binary(max_size=120), st.integers(1, 120), st.sampled_from([*SYNTAXES, JPEG]))
def test_any_bytes_are_scanned_and_chunks_make_no_difference(noise, size, syntax):
    whole = data(syntax)[:60] + noise
    tags = (*WANTED, ROWS)
    assert (
        fed(whole, *tags, syntax=syntax, size=size).values
        == fed(whole, *tags, syntax=syntax).values
    )


# Instances


async def everything(found: Instance) -> bytes:
    return b"".join([chunk async for chunk in found.data])


class Counted:
    """A stream that can be read once, and how far it was."""

    def __init__(self, chunks: list[bytes]) -> None:
        self._chunks = iter(chunks)
        self.read = 0

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        await trio.lowlevel.checkpoint()
        for chunk in self._chunks:
            self.read += 1
            return chunk
        raise StopAsyncIteration


@pytest.mark.parametrize("size", [1, 50, 1 << 20])
async def test_a_stream_that_is_read_once_begins_at_the_start_again(size):
    given = instance(Counted(list(pieces(data(), size))))
    values, again = await peek(given, WANTED)
    assert values == WANTED
    assert await everything(again) == data()
    assert (again.sop_instance_uid, again.size, again.repeatable) == ("1.2.3.4", 7, False)


async def test_no_more_is_read_than_needed():
    chunks = [*pieces(data(), 64), *(b"x" * 64 for _ in range(100))]
    source = Counted(chunks)
    _, again = await peek(instance(source), [MODALITY])
    assert source.read <= 2
    assert await everything(again) == b"".join(chunks)


@pytest.mark.parametrize(("tags", "syntax"), [([], EXPLICIT), ([MODALITY], DEFLATED)])
async def test_where_nothing_can_be_found_nothing_is_read(tags, syntax):
    source = Counted([data()])
    values, again = await peek(instance(source, syntax), tags)
    assert (values, source.read) == ({}, 0)
    assert await everything(again) == data()


async def test_a_stream_from_another_task_that_ends_while_it_is_searched_ends_once():
    send, receive = trio.open_memory_channel[bytes | None](4)
    for chunk in (FIRST, NAMED, None):
        send.send_nowait(chunk)
    values, again = await peek(instance(ByteStream(receive)), [MODALITY, SERIES_UID])
    assert values == {MODALITY: "CT"}
    assert await everything(again) == FIRST + NAMED


async def test_a_stream_that_breaks_after_the_search_breaks_for_its_reader():
    send, receive = trio.open_memory_channel[bytes | None](4)
    send.send_nowait(FIRST)
    send.close()
    _, again = await peek(instance(ByteStream(receive)), [MODALITY])
    with pytest.raises(StreamBroken):
        await everything(again)


async def test_a_stream_that_breaks_during_the_search_is_no_short_object():
    send, receive = trio.open_memory_channel[bytes | None](4)
    send.send_nowait(FIRST)
    send.close()
    with pytest.raises(StreamBroken):
        await peek(instance(ByteStream(receive)), [NAME])


async def test_what_can_be_read_again_is_given_back_as_it_was():
    given = instance(WholeBytes(data()), repeatable=True)
    values, again = await peek(given, WANTED)
    assert values == WANTED
    assert again is given
    assert [await everything(again), await everything(again)] == [data(), data()]


class Generated:
    """Data that can be read again, from a generator that must be closed."""

    def __init__(self) -> None:
        self.closed = 0

    async def __aiter__(self) -> AsyncIterator[bytes]:
        try:
            for piece in pieces(data(), 32):
                await trio.lowlevel.checkpoint()
                yield piece
        finally:
            self.closed += 1


async def test_a_generator_that_was_read_in_part_is_closed_at_once():
    source = Generated()
    values, again = await peek(instance(source, repeatable=True), [MODALITY])
    assert (values, source.closed) == ({MODALITY: "CT"}, 1)
    assert await everything(again) == data()
