"""Identifiers from one transfer syntax into another."""

from __future__ import annotations

import itertools
import struct
from io import BytesIO

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filereader import read_dataset
from pydicom.filewriter import write_dataset
from pydicom.sequence import Sequence

from harmony.dicom.elements import MAX_DEPTH, SYNTAXES, Element, Malformed, parse
from harmony.dicom.transcode import encode, transcode

IMPLICIT, EXPLICIT, BIG = "1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2"
PAIRS = list(itertools.product(SYNTAXES, repeat=2))
DEFLATED = "1.2.840.10008.1.2.1.99"

SEQUENCE, MODALITY, ROWS, PRIVATE = 0x00081032, 0x00080060, 0x00280010, 0x00091001
UNDEFINED = b"\xff\xff\xff\xff"
ITEM, ITEM_END, SEQUENCE_END = b"\xfe\xff\x00\xe0", b"\xfe\xff\x0d\xe0", b"\xfe\xff\xdd\xe0"


def said(data: bytes, syntax: str) -> list[Element]:
    return parse(data, SYNTAXES[syntax])


def explicit(tag: int, vr: str, value: bytes, *, order: str = "<") -> bytes:
    head = struct.pack(order + "HH", tag >> 16, tag & 0xFFFF) + vr.encode()
    if vr in ("UN", "SQ", "OW", "OB"):
        return head + bytes(2) + struct.pack(order + "L", len(value)) + value
    return head + struct.pack(order + "H", len(value)) + value


def implicit(tag: int, value: bytes) -> bytes:
    return struct.pack("<HHL", tag >> 16, tag & 0xFFFF, len(value)) + value


def item(data: bytes) -> bytes:
    return ITEM + struct.pack("<L", len(data)) + data


# Elements of each kind that can be in any of the three, as pydicom takes them: it leaves the
# bytes of OW in the order that they came in, so both are the same here.
PLAIN = {
    MODALITY: ("CS", st.sampled_from(["CT", "MR"])),
    0x00080061: ("CS", st.just(["CT", "MR"])),
    0x00100010: ("PN", st.sampled_from(["A^B", "A^B=C"])),
    0x0020000D: ("UI", st.just("1.2.3")),
    0x00204000: ("LT", st.text("abc \\", max_size=9).map(str.strip)),
    ROWS: ("US", st.integers(0, 0xFFFF)),
    0x00189219: ("SS", st.integers(-0x8000, 0x7FFF)),
    0x00180040: ("IS", st.integers(0, 99)),
    0x00186016: ("UL", st.integers(0, 0xFFFFFFFF)),
    0x00186020: ("SL", st.integers(-0x80000000, 0x7FFFFFFF)),
    0x00189087: ("FD", st.floats(allow_nan=False, allow_infinity=False)),
    0x00189089: ("FD", st.just([0.5, 0.25, 1.0])),
    0x00209165: ("AT", st.just(0x00181063)),
    0x00281201: ("OW", st.integers(0, 255).map(lambda each: bytes([each, each]))),
}
VALUES = st.lists(st.sampled_from(sorted(PLAIN)), unique=True, max_size=6).flatmap(
    lambda tags: st.fixed_dictionaries({tag: PLAIN[tag][1] for tag in tags})
)
PLANS = st.recursive(
    VALUES,
    lambda inner: st.tuples(VALUES, st.lists(inner, max_size=2)).map(
        lambda pair: {**pair[0], SEQUENCE: pair[1]}
    ),
    max_leaves=5,
)


def data_set(plan: dict[int, object], *, delimited: bool) -> Dataset:
    ds = Dataset()
    for tag, value in plan.items():
        if tag == SEQUENCE:
            assert isinstance(value, list)
            ds.add_new(tag, "SQ", Sequence([data_set(v, delimited=delimited) for v in value]))
            ds[tag].is_undefined_length = delimited
        else:
            ds.add_new(tag, PLAIN[tag][0], value)
    ds.is_undefined_length_sequence_item = delimited
    return ds


def written(ds: Dataset, syntax: str) -> bytes:
    file = DicomBytesIO()
    file.is_implicit_VR, file.is_little_endian = syntax == IMPLICIT, syntax != BIG
    write_dataset(file, ds)
    return file.getvalue()


def read(data: bytes, syntax: str) -> Dataset:
    return read_dataset(
        BytesIO(data),
        is_implicit_VR=syntax == IMPLICIT,
        is_little_endian=syntax != BIG,
        bytelength=len(data),
    )


@given(PLANS, st.booleans(), st.sampled_from(PAIRS))
def test_another_reader_finds_the_same_in_another_syntax(plan, delimited, pair):
    before, after = pair
    ds = data_set(plan, delimited=delimited)
    assert read(transcode(written(ds, before), before, after), after) == read(
        written(ds, before), before
    )


@given(PLANS, st.booleans(), st.sampled_from(PAIRS))
def test_there_and_back_says_the_same(plan, delimited, pair):
    before, after = pair
    data = written(data_set(plan, delimited=delimited), before)
    back = transcode(transcode(data, before, after), after, before)
    assert said(back, before) == said(data, before)


@given(PLANS, st.sampled_from(list(SYNTAXES)))
def test_what_was_parsed_is_encoded_as_it_was(plan, syntax):
    data = written(data_set(plan, delimited=False), syntax)
    assert encode(said(data, syntax), SYNTAXES[syntax]) == data


@given(st.binary(max_size=80), st.sampled_from(PAIRS))
def test_any_bytes_become_a_data_set_or_are_refused(data, pair):
    before, after = pair
    try:
        encoded = transcode(data, before, after)
    except Malformed:
        return
    if before != after:
        said(encoded, after)


@pytest.mark.parametrize("syntax", [*SYNTAXES, DEFLATED])
def test_the_same_syntax_gives_the_very_bytes_unread(syntax):
    data = b"no data set at all"
    assert transcode(data, syntax, syntax) is data


@pytest.mark.parametrize(("before", "after"), [(DEFLATED, EXPLICIT), (EXPLICIT, DEFLATED)])
def test_a_syntax_that_is_not_for_identifiers_is_refused(before, after):
    with pytest.raises(Malformed, match="not for identifiers"):
        transcode(b"", before, after)


@pytest.mark.parametrize(
    ("vr", "little", "big"),
    [
        ("US", "0102", "0201"),
        ("SS", "01020304", "02010403"),
        ("OW", "01020304", "02010403"),
        ("AT", "01020304", "02010403"),
        ("UL", "01020304", "04030201"),
        ("FL", "01020304", "04030201"),
        ("FD", "0102030405060708", "0807060504030201"),
        ("OB", "01020304", "01020304"),
        ("UN", "01020304", "01020304"),
        ("LO", "01020304", "01020304"),
    ],
)
def test_words_are_turned_around_by_their_width(vr, little, big):
    data = explicit(PRIVATE, vr, bytes.fromhex(little))
    turned = transcode(data, EXPLICIT, BIG)
    assert turned == explicit(PRIVATE, vr, bytes.fromhex(big), order=">")
    assert transcode(turned, BIG, EXPLICIT) == data


def test_what_the_dictionary_does_not_know_becomes_un():
    data = implicit(0x00090010, b"ACME") + implicit(PRIVATE, b"??")
    assert said(transcode(data, IMPLICIT, EXPLICIT), EXPLICIT) == [
        Element(0x00090010, "LO", b"ACME"),
        Element(PRIVATE, "UN", b"??"),
    ]


def test_a_text_too_long_for_its_explicit_vr_becomes_un():
    text = b"A" * 65536
    out = transcode(implicit(MODALITY, text), IMPLICIT, EXPLICIT)
    assert said(out, EXPLICIT) == [Element(MODALITY, "UN", text)]
    assert transcode(out, EXPLICIT, IMPLICIT) == implicit(MODALITY, text)


def test_words_too_long_for_their_explicit_vr_stay_little_endian_in_un():
    words = b"\1\2" * 32768
    out = transcode(implicit(ROWS, words), IMPLICIT, BIG)
    assert said(out, BIG) == [Element(ROWS, "UN", words)]


def test_group_lengths_are_left_out_because_they_would_lie():
    inner = explicit(0x00080000, "UL", b"\x0a\0\0\0") + explicit(MODALITY, "CS", b"CT")
    data = explicit(0x00080000, "UL", b"\x0a\0\0\0") + explicit(SEQUENCE, "SQ", item(inner))
    expected = implicit(SEQUENCE, item(implicit(MODALITY, b"CT")))
    assert transcode(data, EXPLICIT, IMPLICIT) == expected


def test_a_private_sequence_survives_implicit_vr():
    data = explicit(PRIVATE, "SQ", item(explicit(MODALITY, "CS", b"CT")))
    there = transcode(data, EXPLICIT, IMPLICIT)
    assert said(there, IMPLICIT) == said(data, EXPLICIT)
    assert transcode(there, IMPLICIT, EXPLICIT) == data


def test_a_sequence_that_un_hid_comes_out_in_implicit_vr():
    hidden = item(implicit(MODALITY, b"CT"))
    out = transcode(explicit(SEQUENCE, "UN", hidden), EXPLICIT, IMPLICIT)
    assert out == implicit(SEQUENCE, hidden)


def test_an_open_sequence_of_unknown_vr_is_explicit_inside_afterwards():
    start = struct.pack("<HH2s2x", 0x0009, 0x1001, b"UN") + UNDEFINED
    inner = ITEM + UNDEFINED + implicit(ROWS, b"\0\2") + ITEM_END + bytes(4)
    out = transcode(start + inner + SEQUENCE_END + bytes(4), EXPLICIT, BIG)
    assert said(out, BIG) == [Element(PRIVATE, "SQ", [[Element(ROWS, "US", b"\2\0")]])]


def test_sequences_of_unknown_vr_are_little_endian_in_a_big_endian_data_set():
    hidden = item(implicit(ROWS, b"\0\2"))
    start = struct.pack(">HH2s2x", 0x0009, 0x1001, b"UN") + UNDEFINED
    opened = start + hidden + SEQUENCE_END + bytes(4)
    assert said(transcode(opened, BIG, EXPLICIT), EXPLICIT) == [
        Element(PRIVATE, "SQ", [[Element(ROWS, "US", b"\0\2")]])
    ]
    closed = explicit(SEQUENCE, "UN", hidden, order=">")
    assert transcode(closed, BIG, IMPLICIT) == implicit(SEQUENCE, hidden)


def test_a_hidden_sequence_counts_as_one_that_is_nested():
    deepest = nested(MAX_DEPTH - 1)
    hidden = encode(deepest, SYNTAXES[IMPLICIT])
    closed = explicit(SEQUENCE, "UN", item(hidden))
    assert transcode(closed, EXPLICIT, IMPLICIT) == implicit(SEQUENCE, item(hidden))
    with pytest.raises(Malformed, match="nested"):
        transcode(explicit(SEQUENCE, "SQ", item(closed)), EXPLICIT, IMPLICIT)


@pytest.mark.parametrize(
    ("data", "before", "after", "why"),
    [
        (b"\x10", IMPLICIT, EXPLICIT, "ends within"),
        (explicit(ROWS, "US", b"\1\2\3"), EXPLICIT, BIG, "does not fit its VR US"),
        (explicit(SEQUENCE, "LO", b"ab"), EXPLICIT, IMPLICIT, "has another VR"),
        (explicit(SEQUENCE, "UN", b"ab"), EXPLICIT, IMPLICIT, "ends within"),
        (explicit(MODALITY, "SQ", item(b"")), EXPLICIT, IMPLICIT, "no sequence holds items"),
    ],
)
def test_what_cannot_be_said_is_refused_without_a_quote(data, before, after, why):
    with pytest.raises(Malformed, match=why):
        transcode(data, before, after)


def nested(depth: int) -> list[Element]:
    elements: list[Element] = []
    for _ in range(depth):
        elements = [Element(SEQUENCE, "SQ", [elements])]
    return elements


@pytest.mark.parametrize("syntax", list(SYNTAXES))
def test_nothing_is_written_deeper_than_it_can_be_read(syntax):
    deepest = nested(MAX_DEPTH)
    assert said(encode(deepest, SYNTAXES[syntax]), syntax) == deepest
    with pytest.raises(Malformed, match="nested"):
        encode(nested(MAX_DEPTH + 1), SYNTAXES[syntax])
