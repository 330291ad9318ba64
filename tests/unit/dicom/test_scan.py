"""Elements are found, and what stands before them is passed over whatever it is."""

from __future__ import annotations

import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harmony.dicom import scan
from harmony.dicom.elements import MAX_DEPTH, SYNTAXES, Malformed, parse
from harmony.dicom.scan import Scan, inflated, opened
from tests.support.bad_caller.data_sets import nested, random_data_set, sequence
from tests.support.pixel_sets import (
    BIG_ENDIAN,
    EXPLICIT,
    IMPLICIT,
    JPEG,
    PIXEL_DATA,
    ROWS,
    UNDEFINED,
    element,
    item,
    sequence_end,
)

DEFLATED = "1.2.840.10008.1.2.1.99"
CODES, ICON, PADDING = 0x00081140, 0x00880200, 0xFFFCFFFC
SYNTAX_UIDS = (IMPLICIT, EXPLICIT, BIG_ENDIAN)


def scanned(data: bytes, syntax: str = EXPLICIT) -> list[tuple[int, str, bytes | None]]:
    plain, encoding = opened(data, syntax)
    walk = Scan(plain, encoding)
    return [
        (found.tag, found.vr, None if found.stop is None else plain[found.start : found.stop])
        for found in walk.elements(walk.top)
    ]


@given(st.randoms(use_true_random=False), st.sampled_from(SYNTAX_UIDS))
def test_it_finds_the_elements_that_the_parser_finds(rng, syntax):
    data = random_data_set(rng, syntax)
    elements = parse(data, SYNTAXES[syntax])
    found = scanned(data, syntax)
    assert [tag for tag, _, _ in found] == [each.tag for each in elements]
    for (_, vr, value), each in zip(found, elements, strict=True):
        assert vr == each.vr or syntax == IMPLICIT
        assert value == each.value or each.vr == "SQ"


@pytest.mark.parametrize("syntax", SYNTAX_UIDS)
@pytest.mark.parametrize("delimited", [False, True])
def test_items_are_gone_into(syntax, delimited):
    items = [element(ROWS, "US", bytes((n, 0)), syntax) for n in range(3)]
    data = sequence(CODES, items, syntax, delimited=delimited)
    walk = Scan(data, SYNTAXES[syntax])
    (codes,) = list(walk.elements(walk.top))
    rows = [found for place in walk.items(codes) for found in walk.elements(place)]
    assert [data[found.start : found.stop] for found in rows] == [b"\0\0", b"\1\0", b"\2\0"]


def test_a_sequence_with_a_length_is_one_step(monkeypatch):
    items = [element(ROWS, "US", b"\1\0")] * 50
    monkeypatch.setattr(scan, "MAX_PASSED", 2)
    told = sequence(CODES, items) + element(ROWS, "US", b"\1\0")
    assert [tag for tag, _, _ in scanned(told)] == [CODES, ROWS]
    with pytest.raises(Malformed, match="more than 2 elements"):
        scanned(sequence(CODES, items, delimited=True))


def test_fragments_and_items_that_un_hides_are_passed_over():
    pixels = element(PIXEL_DATA, "OB", item(b"") + item(b"ab") + sequence_end(), length=UNDEFINED)
    inside = item(element(ROWS, "US", b"\1\0", IMPLICIT)) + sequence_end()
    hidden = element(0x00091001, "UN", inside, length=UNDEFINED)
    data = hidden + pixels + element(PADDING, "OB", b"\0\0")
    assert [tag for tag, _, _ in scanned(data, JPEG)] == [0x00091001, PIXEL_DATA, PADDING]


def test_implicit_vr_in_a_file_that_says_explicit_is_read():
    assert scanned(element(ROWS, "US", b"\1\0", IMPLICIT)) == [(ROWS, "US", b"\1\0")]


def test_nesting_has_a_limit():
    scanned(nested(MAX_DEPTH, delimited=True))
    with pytest.raises(Malformed, match=f"more than {MAX_DEPTH} deep"):
        scanned(nested(MAX_DEPTH + 1, delimited=True))


def deflated(data: bytes) -> bytes:
    deflater = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return deflater.compress(data) + deflater.flush()


@pytest.mark.parametrize("pad", [b"", b"\0"])
def test_deflated_data_sets_are_inflated(pad):
    data = element(ROWS, "US", b"\1\0")
    assert opened(deflated(data) + pad, DEFLATED) == (data, SYNTAXES[EXPLICIT])


def test_inflating_has_a_limit(monkeypatch):
    monkeypatch.setattr(scan, "MAX_INFLATED_BYTES", 100)
    assert inflated(deflated(bytes(100))) == bytes(100)
    with pytest.raises(Malformed, match="more than 100 bytes"):
        inflated(deflated(bytes(2000)))


OPEN = element(ICON, "SQ", b"", length=UNDEFINED)
OPEN_ITEM = b"\xfe\xff\x00\xe0\xff\xff\xff\xff"


@pytest.mark.parametrize(
    ("data", "syntax", "why"),
    [
        (b"\x28\0\x10\0US", EXPLICIT, "within an element"),
        (b"\x28\0\x10\0OB\0\0\0\0", EXPLICIT, "within an element"),
        (b"\x28\0\x10\0us\2\0\0\0", EXPLICIT, "proper VR"),
        (element(ROWS, "US", b"\1\0", length=4), EXPLICIT, "longer than"),
        (item(b"ab"), JPEG, "where an element should"),
        (OPEN, EXPLICIT, "no end"),
        (OPEN + b"\xfe\xff", EXPLICIT, "within an item"),
        (OPEN + item(b"ab")[:-1], EXPLICIT, "longer than"),
        (OPEN + element(ROWS, "US", b"\1\0"), EXPLICIT, "something else"),
        (OPEN + OPEN_ITEM + element(ROWS, "US", b"\1\0"), EXPLICIT, "no end"),
        (OPEN + OPEN_ITEM + sequence_end(), EXPLICIT, "where an element should"),
        (b"\xff\xff", DEFLATED, "cannot be inflated"),
        (deflated(bytes(100))[:-2], DEFLATED, "no end"),
    ],
)
def test_what_is_damaged_is_refused_without_a_quote(data, syntax, why):
    with pytest.raises(Malformed, match=why):
        scanned(data, syntax)


def test_items_of_what_is_no_sequence_are_refused():
    data = element(CODES, "SQ", sequence_end())
    walk = Scan(data, SYNTAXES[EXPLICIT])
    (found,) = walk.elements(walk.top)
    with pytest.raises(Malformed, match="something else"):
        list(walk.items(found))
