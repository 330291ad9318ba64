"""Whole data sets between explicit and implicit VR little endian, as they pass."""

from __future__ import annotations

import struct
import tracemalloc
from collections.abc import AsyncIterator, Iterable, Iterator
from io import BytesIO
from pathlib import Path
from typing import NamedTuple

import pydicom
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.datadict import dictionary_has_tag, dictionary_VR
from pydicom.dataset import Dataset
from pydicom.filereader import read_dataset

from harmony.dicom.elements import MAX_DEPTH, MAX_ELEMENTS, SYNTAXES, Malformed, parse
from harmony.dicom.part10 import Part10Reader
from harmony.dicom.reencode import Reencoded, Reencoder, alternative
from harmony.envelope import StreamBroken, WholeBytes
from harmony.errors import RequestError
from tests.support.studies import Kind, Plan, make_instances

IMPLICIT, EXPLICIT, BIG = "1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2"
JPEG = "1.2.840.10008.1.2.4.50"
BOTH_WAYS = ((IMPLICIT, EXPLICIT), (EXPLICIT, IMPLICIT))
OTHER = dict(BOTH_WAYS)

SEQUENCE, PRIVATE, PRIVATE_SEQUENCE, UNKNOWN = 0x00081032, 0x00091001, 0x00091002, 0x00089999
CODE, ROWS, PIXELS, SMALLEST = 0x00080100, 0x00280010, 0x7FE00010, 0x00280106
LONG = frozenset(("OB", "OW", "SQ", "UN", "UT"))
UNDEFINED = 0xFFFFFFFF


def head(tag: int, length: int) -> bytes:
    return struct.pack("<HHL", tag >> 16, tag & 0xFFFF, length)


ITEM, ITEM_END, SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD
OPEN_ITEM, END_OF_ITEM, END_OF_SEQUENCE = (
    head(ITEM, UNDEFINED),
    head(ITEM_END, 0),
    head(SEQUENCE_END, 0),
)


def implicit(tag: int, value: bytes) -> bytes:
    return head(tag, len(value)) + value


def explicit(tag: int, vr: str, value: bytes, *, length: int | None = None) -> bytes:
    told = len(value) if length is None else length
    start = struct.pack("<HH", tag >> 16, tag & 0xFFFF) + vr.encode()
    if vr in LONG:
        return start + bytes(2) + struct.pack("<L", told) + value
    return start + struct.pack("<H", told) + value


def item(data: bytes) -> bytes:
    return head(ITEM, len(data)) + data


def reencoded(data: bytes, before: str, after: str, sizes: Iterable[int] = ()) -> bytes:
    """Fed in chunks of these sizes, then what is left."""
    reencoder = Reencoder(before, after)
    pieces: list[bytes] = []
    for size in sizes:
        pieces += reencoder.feed(data[:size])
        data = data[size:]
    return b"".join([*pieces, *reencoder.feed(data), *reencoder.close()])


def read(data: bytes, syntax: str) -> Dataset:
    return read_dataset(
        BytesIO(data),
        is_implicit_VR=syntax == IMPLICIT,
        is_little_endian=True,
        bytelength=len(data),
    )


def told(ds: Dataset) -> list[object]:
    """All that a data set says but for VRs, which implicit VR does not tell, and group lengths."""
    raws = {tag: ds.get_item(tag, keep_deferred=True) for tag in sorted(ds.keys()) if tag.element}
    found: list[object] = []
    for tag, raw in raws.items():  # got first: looking at one decodes others
        known = dictionary_VR(tag) if dictionary_has_tag(tag) else "UN"
        if raw.VR == "SQ" or (raw.VR in (None, "UN") and known == "SQ"):
            found.append((tag, [told(each) for each in ds[tag].value] or b""))
        else:
            found.append((tag, raw.value or b""))
    return found


def same(one: bytes, its_syntax: str, other: bytes, others_syntax: str) -> bool:
    """Whether pydicom reads the same in both, sequences that only one can show included."""
    return told(read(one, its_syntax)) == told(read(other, others_syntax))


# Files that others made


def data_sets() -> Iterator[tuple[str, str, bytes]]:
    for file in sorted((Path(pydicom.__file__).parent / "data").rglob("*")):
        reader = Part10Reader()
        try:
            data = b"".join(reader.feed(file.read_bytes())) if file.is_file() else b""
        except RequestError:
            continue
        if reader.meta is not None and alternative(reader.meta.transfer_syntax):
            yield file.name, reader.meta.transfer_syntax, data


# Two are cut short, one has lengths that are wrong.
DAMAGED = frozenset(("MR_truncated.dcm", "rtplan_truncated.dcm", "DICOMDIR-nooffset"))


def test_what_pydicom_ships_says_the_same_in_the_other_syntax():
    seen = {IMPLICIT: 0, EXPLICIT: 0}
    for name, before, data in data_sets():
        if name in DAMAGED:
            continue
        after = OTHER[before]
        there = reencoded(data, before, after)
        assert same(there, after, data, before), name
        back = reencoded(there, after, before)
        assert same(back, before, data, before), name
        seen[before] += 1
    assert seen[IMPLICIT] > 5
    assert seen[EXPLICIT] > 50


def test_what_pydicom_ships_damaged_is_refused():
    refused = 0
    for name, before, data in data_sets():
        if name in DAMAGED:
            with pytest.raises(Malformed):
                reencoded(data, before, OTHER[before])
            refused += 1
    assert refused == len(DAMAGED)


@pytest.mark.parametrize("kind", list(Kind))
@pytest.mark.parametrize("charset", ["ascii", "japanese"])
@pytest.mark.parametrize("native", ["implicit", "explicit"])
def test_made_studies_say_the_same(kind, charset, native):
    plan = Plan(
        kinds=(kind,), charsets=(charset,), size=32, frames=2, private=True, transfer_syntax=native
    )
    for _, made in make_instances(plan):
        file = BytesIO()
        made.save_as(file, enforce_file_format=True)
        reader = Part10Reader()
        data = b"".join(reader.feed(file.getvalue()))
        before = reader.meta.transfer_syntax
        after = OTHER[before]
        there = reencoded(data, before, after)
        assert same(there, after, data, before)
        assert same(reencoded(there, after, before), before, data, before)


# Data sets of all shapes


class Value(NamedTuple):
    vr: str
    data: bytes


class Items(NamedTuple):
    """A sequence: its items, and whether delimiters end it and each of them."""

    vr: str
    items: tuple[tuple[dict[int, Value | Items], bool], ...]
    delimited: bool


def even(data: bytes) -> bytes:
    return data + b" " * (len(data) % 2)


ANY = st.binary(max_size=9).map(even)
VALUES = st.fixed_dictionaries(
    {},
    optional={
        0x00080000: st.just(Value("UL", b"\x0c\0\0\0")),
        0x00080060: st.sampled_from([Value("CS", b"CT"), Value("CS", b""), Value("UN", b"MR")]),
        UNKNOWN: st.builds(Value, st.sampled_from(["UN", "OB", "LO"]), ANY),
        0x00090010: st.just(Value("LO", b"ACME")),
        PRIVATE: st.builds(Value, st.sampled_from(["UN", "OB", "SH", "UT"]), ANY),
        0x00100010: st.just(Value("PN", b"A^B ")),
        ROWS: st.just(Value("US", b"\x10\0")),
        0x00280103: st.sampled_from([Value("US", b"\0\0"), Value("US", b"\1\0")]),
        SMALLEST: st.just(Value("SS", b"\xff\xff")),
        0x00281201: st.builds(Value, st.just("OW"), ANY),
        0x0040A160: st.builds(Value, st.just("UT"), ANY),
        PIXELS: st.builds(Value, st.sampled_from(["OB", "OW"]), ANY),
        0xFFFCFFFC: st.just(Value("OB", bytes(4))),
    },
)


def sequences(inner):
    items = st.lists(st.tuples(inner, st.booleans()), max_size=2).map(tuple)
    known = st.builds(Items, st.just("SQ"), items, st.booleans())
    hidden = st.builds(Items, st.just("UN"), items, st.booleans())
    return st.tuples(
        VALUES,
        st.fixed_dictionaries({}, optional={SEQUENCE: known | hidden, PRIVATE_SEQUENCE: known}),
    ).map(lambda pair: {**pair[0], **pair[1]})


PLANS = st.recursive(VALUES, sequences, max_leaves=6)


def written(plan: dict[int, Value | Items], syntax: str) -> bytes:
    encoded = b""
    for tag, what in sorted(plan.items()):
        if isinstance(what, Value):
            told_as = explicit(tag, *what) if syntax == EXPLICIT else implicit(tag, what.data)
            encoded += told_as
            continue
        inside = IMPLICIT if what.vr == "UN" else syntax
        data = b""
        for each, delimited in what.items:
            inner = written(each, inside)
            data += OPEN_ITEM + inner + END_OF_ITEM if delimited else item(inner)
        # Where the dictionary does not tell it, implicit VR needs a delimiter.
        delimited = what.delimited or (syntax == IMPLICIT and tag == PRIVATE_SEQUENCE)
        length = UNDEFINED if delimited else len(data)
        if delimited:
            data += END_OF_SEQUENCE
        if syntax == EXPLICIT:
            encoded += explicit(tag, what.vr, data, length=length)
        else:
            encoded += head(tag, length) + data
    return encoded


@given(PLANS, st.sampled_from(BOTH_WAYS))
def test_another_reader_finds_the_same_in_the_other_syntax(plan, pair):
    before, after = pair
    data = written(plan, before)
    there = reencoded(data, before, after)
    assert same(there, after, data, before)
    assert same(reencoded(there, after, before), before, data, before)
    parse(there, SYNTAXES[after])


@given(PLANS, st.sampled_from(BOTH_WAYS), st.lists(st.integers(0, 30)))
def test_however_it_is_cut_it_becomes_the_same(plan, pair, sizes):
    before, after = pair
    data = written(plan, before)
    assert reencoded(data, before, after, sizes) == reencoded(data, before, after)


@given(PLANS, st.sampled_from(BOTH_WAYS), st.data())
def test_what_is_cut_short_is_refused_or_ends_behind_an_element(plan, pair, draw):
    before, _ = pair
    data = written(plan, before)
    cut = data[: draw.draw(st.integers(0, len(data)))]
    whole = [written(dict(sorted(plan.items())[:count]), before) for count in range(len(plan) + 1)]
    if cut in whole:
        reencoded(cut, *pair)
    else:
        with pytest.raises(Malformed):
            reencoded(cut, *pair)


@given(PLANS, st.sampled_from(BOTH_WAYS), st.data())
def test_damage_becomes_a_data_set_or_is_refused(plan, pair, draw):
    before, after = pair
    data = bytearray(written(plan, before))
    for _ in range(draw.draw(st.integers(1, 3)) if data else 0):
        data[draw.draw(st.integers(0, len(data) - 1))] = draw.draw(st.integers(0, 255))
    try:
        there = reencoded(bytes(data), before, after)
    except Malformed:
        return
    parse(there, SYNTAXES[after])


@given(st.binary(max_size=80), st.sampled_from(BOTH_WAYS))
def test_any_bytes_become_a_data_set_or_are_refused(data, pair):
    try:
        there = reencoded(data, *pair)
    except Malformed:
        return
    parse(there, SYNTAXES[pair[1]])


# What each element becomes


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (implicit(0x00100010, b"A^B "), explicit(0x00100010, "PN", b"A^B ")),
        (implicit(0x00100010, b""), explicit(0x00100010, "PN", b"")),
        (implicit(PIXELS, b"\1\2"), explicit(PIXELS, "OW", b"\1\2")),
        (implicit(0x00283006, b"\1\2"), explicit(0x00283006, "OW", b"\1\2")),
        (implicit(0x60003000, b"\1\2"), explicit(0x60003000, "OW", b"\1\2")),
        (implicit(UNKNOWN, b"ab"), explicit(UNKNOWN, "UN", b"ab")),
        (implicit(0x00090010, b"ACME"), explicit(0x00090010, "LO", b"ACME")),
        (implicit(PRIVATE, item(b"")), explicit(PRIVATE, "UN", item(b""))),
        (implicit(0x00080000, b"\4\0\0\0") + implicit(CODE, b"AB"), explicit(CODE, "SH", b"AB")),
        (implicit(SMALLEST, b"ab"), explicit(SMALLEST, "US", b"ab")),
        (implicit(SEQUENCE, b""), explicit(SEQUENCE, "SQ", b"")),
        (
            implicit(SEQUENCE, item(b"")),
            explicit(SEQUENCE, "SQ", item(b"") + END_OF_SEQUENCE, length=UNDEFINED),
        ),
        (
            implicit(SEQUENCE, item(implicit(0x00080000, b"\4\0\0\0") + implicit(CODE, b"AB"))),
            explicit(
                SEQUENCE,
                "SQ",
                OPEN_ITEM + explicit(CODE, "SH", b"AB") + END_OF_ITEM + END_OF_SEQUENCE,
                length=UNDEFINED,
            ),
        ),
        (
            head(PRIVATE, UNDEFINED) + item(implicit(CODE, b"AB")) + END_OF_SEQUENCE,
            explicit(
                PRIVATE,
                "SQ",
                OPEN_ITEM + explicit(CODE, "SH", b"AB") + END_OF_ITEM + END_OF_SEQUENCE,
                length=UNDEFINED,
            ),
        ),
    ],
)
def test_into_explicit_vr(before, after):
    assert reencoded(before, IMPLICIT, EXPLICIT) == after


def test_pixel_representation_counts_in_what_follows_and_in_the_items_there():
    signed = implicit(0x00280103, b"\1\0")
    before = (
        signed + implicit(SMALLEST, b"ab") + implicit(0x00283000, item(implicit(0x00283002, b"")))
    )
    after = reencoded(before, IMPLICIT, EXPLICIT)
    assert explicit(SMALLEST, "SS", b"ab") in after
    assert explicit(0x00283002, "SS", b"") in after
    inside = implicit(SEQUENCE, item(signed)) + implicit(SMALLEST, b"ab")
    assert explicit(SMALLEST, "US", b"ab") in reencoded(inside, IMPLICIT, EXPLICIT)


@pytest.mark.parametrize(("length", "vr"), [(0xFFFE, "LT"), (0x10000, "UN")])
def test_a_value_too_long_for_its_vr_becomes_unknown(length, vr):
    after = reencoded(implicit(0x00204000, b"a" * length), IMPLICIT, EXPLICIT)
    assert after == explicit(0x00204000, vr, b"a" * length)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (explicit(0x00100010, "PN", b"A^B "), implicit(0x00100010, b"A^B ")),
        (explicit(PIXELS, "OB", b"\1\2"), implicit(PIXELS, b"\1\2")),
        (explicit(PRIVATE, "UN", b"ab"), implicit(PRIVATE, b"ab")),
        (explicit(0x00080000, "UL", b"\4\0\0\0"), b""),
        (explicit(SEQUENCE, "SQ", b""), implicit(SEQUENCE, b"")),
        (explicit(PRIVATE, "SQ", b""), head(PRIVATE, UNDEFINED) + END_OF_SEQUENCE),
        (
            explicit(SEQUENCE, "SQ", item(explicit(CODE, "SH", b"AB"))),
            head(SEQUENCE, UNDEFINED)
            + OPEN_ITEM
            + implicit(CODE, b"AB")
            + END_OF_ITEM
            + END_OF_SEQUENCE,
        ),
        (
            explicit(SEQUENCE, "UN", item(implicit(0x00080000, b"\4\0\0\0"))),
            implicit(SEQUENCE, item(implicit(0x00080000, b"\4\0\0\0"))),
        ),
        (
            explicit(PRIVATE, "UN", item(implicit(CODE, b"AB")), length=UNDEFINED)
            + END_OF_SEQUENCE,
            head(PRIVATE, UNDEFINED) + item(implicit(CODE, b"AB")) + END_OF_SEQUENCE,
        ),
        (
            explicit(
                SEQUENCE,
                "UN",
                item(implicit(SEQUENCE, item(implicit(CODE, b"AB")))),
                length=UNDEFINED,
            )
            + END_OF_SEQUENCE,
            head(SEQUENCE, UNDEFINED)
            + item(implicit(SEQUENCE, item(implicit(CODE, b"AB"))))
            + END_OF_SEQUENCE,
        ),
    ],
)
def test_into_implicit_vr(before, after):
    assert reencoded(before, EXPLICIT, IMPLICIT) == after


def test_a_vr_newer_than_this_program_has_a_long_length():
    newer = struct.pack("<HH2sxxL", 0x0008, 0x9999, b"ZZ", 2) + b"ab"
    assert reencoded(newer, EXPLICIT, IMPLICIT) == implicit(UNKNOWN, b"ab")


def nested(depth: int) -> bytes:
    data = b""
    for _ in range(depth):
        data = implicit(SEQUENCE, item(data))
    return data


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"\x10", "ends within an element"),
        (implicit(CODE, b"AB")[:-1], "ends within an element"),
        (head(PIXELS, UNDEFINED), "VR OW has no length"),
        (head(0x00100010, UNDEFINED), "VR PN has no length"),
        (implicit(SEQUENCE, implicit(CODE, b"AB")), "something else than items"),
        (implicit(SEQUENCE, b"abcd"), "longer than what is left"),
        (implicit(SEQUENCE, head(ITEM, 2)), "item is longer"),
        (implicit(SEQUENCE, item(head(CODE, 4) + b"AB")), "element is longer"),
        (implicit(SEQUENCE, item(head(SEQUENCE, 4) + b"AB")), "element is longer"),
        (implicit(SEQUENCE, OPEN_ITEM), "has no end"),
        (implicit(SEQUENCE, item(head(PRIVATE, UNDEFINED))), "has no end"),
        (head(SEQUENCE, UNDEFINED), "within a sequence"),
        (head(SEQUENCE, UNDEFINED) + OPEN_ITEM + implicit(CODE, b"AB"), "within a sequence"),
        (item(b""), "where an element should"),
        (END_OF_ITEM, "where an element should"),
        (END_OF_SEQUENCE, "where an element should"),
        (head(SEQUENCE, UNDEFINED) + END_OF_ITEM, "where an element should"),
        (nested(MAX_DEPTH + 1), "nested"),
    ],
)
def test_what_is_no_data_set_is_refused(data, why):
    with pytest.raises(Malformed, match=why):
        reencoded(data, IMPLICIT, EXPLICIT)


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"\x08\x00\x00\x01\x01\x02\x02\x00AB", "no proper VR"),
        (explicit(PIXELS, "OB", b"", length=UNDEFINED), "VR OB has no length"),
        (explicit(PIXELS, "UN", b"", length=UNDEFINED), "no sequence holds items"),
        (explicit(CODE, "SQ", item(b"")), "no sequence holds items"),
        (explicit(SEQUENCE, "OB", b"ab"), "has another VR"),
        (explicit(SEQUENCE, "UN", b"ab"), "longer than what is left"),
    ],
)
def test_what_implicit_vr_cannot_say_is_refused(data, why):
    with pytest.raises(Malformed, match=why):
        reencoded(data, EXPLICIT, IMPLICIT)


def test_the_deepest_nesting_is_allowed():
    deep = nested(MAX_DEPTH)
    assert same(reencoded(deep, IMPLICIT, EXPLICIT), EXPLICIT, deep, IMPLICIT)


def test_any_number_of_elements_is_allowed():
    count = 2 * MAX_ELEMENTS
    assert reencoded(implicit(CODE, b"AB") * count, IMPLICIT, EXPLICIT) == (
        explicit(CODE, "SH", b"AB") * count
    )


@pytest.mark.parametrize(
    ("syntax", "other"),
    [(IMPLICIT, EXPLICIT), (EXPLICIT, IMPLICIT), (BIG, None), (JPEG, None), ("", None)],
)
def test_only_the_two_little_endian_syntaxes_have_an_alternative(syntax, other):
    assert alternative(syntax) == other


@pytest.mark.parametrize("pair", [(EXPLICIT, EXPLICIT), (JPEG, EXPLICIT), (EXPLICIT, BIG)])
def test_other_syntaxes_are_not_re_encoded(pair):
    with pytest.raises(ValueError, match="nothing re-encodes"):
        Reencoder(*pair)


def test_a_large_value_passes_in_the_very_pieces_that_came():
    piece, count = bytes(64 * 1024), 800
    reencoder = Reencoder(EXPLICIT, IMPLICIT)
    begun = reencoder.feed(explicit(PIXELS, "OW", b"", length=len(piece) * count))
    assert begun == [head(PIXELS, len(piece) * count)]
    tracemalloc.start()
    try:
        for _ in range(count):
            (given_back,) = reencoder.feed(piece)
            assert given_back is piece
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < len(piece)
    assert reencoder.close() == []


# As a stream

CT = implicit(CODE, b"AB") + implicit(PIXELS, bytes(300_000))
CT_EXPLICIT = explicit(CODE, "SH", b"AB") + explicit(PIXELS, "OW", bytes(300_000))


class Once:
    """Chunks that can be read once."""

    def __init__(self, *chunks: bytes, error: Exception | None = None) -> None:
        self._chunks = iter(chunks)
        self._error = error

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        for chunk in self._chunks:
            return chunk
        raise self._error or StopAsyncIteration


async def test_each_reader_of_data_that_begins_anew_gets_all_of_it():
    data = Reencoded(WholeBytes(CT), IMPLICIT, EXPLICIT)
    for _ in range(2):
        assert b"".join([chunk async for chunk in data]) == CT_EXPLICIT


async def test_one_large_chunk_comes_in_several():
    chunks = [chunk async for chunk in Reencoded(WholeBytes(CT), IMPLICIT, EXPLICIT)]
    assert max(map(len, chunks)) < 100_000


async def test_many_small_chunks_come_in_few():
    small = Once(*(CT[at : at + 100] for at in range(0, len(CT), 100)), b"")
    chunks = [chunk async for chunk in Reencoded(small, IMPLICIT, EXPLICIT)]
    assert b"".join(chunks) == CT_EXPLICIT
    assert len(chunks) < 30


async def test_no_data_is_no_chunk():
    assert [chunk async for chunk in Reencoded(Once(), IMPLICIT, EXPLICIT)] == []


@pytest.mark.parametrize("data", [CT[:-2], head(PIXELS, UNDEFINED)])
async def test_a_damaged_data_set_is_a_bad_request_that_quotes_nothing(data):
    with pytest.raises(RequestError, match="another transfer syntax") as caught:
        async for _ in Reencoded(WholeBytes(data), IMPLICIT, EXPLICIT):
            pass
    assert caught.value.code == "unreadable-instance"


async def test_a_source_that_breaks_breaks_it():
    broken = Once(CT[:-2], error=StreamBroken("stopped early"))
    with pytest.raises(StreamBroken):
        async for _ in Reencoded(broken, IMPLICIT, EXPLICIT):
            pass
