"""Walking encoded data sets under limits."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset
from pydicom.sequence import Sequence

from harmony.dicom.elements import (
    MAX_DEPTH,
    MAX_ELEMENTS,
    SYNTAXES,
    Element,
    Malformed,
    Syntax,
    parse,
    vr_of,
)

EXPLICIT = SYNTAXES["1.2.840.10008.1.2.1"]
IMPLICIT = SYNTAXES["1.2.840.10008.1.2"]
SEQUENCE = b"\x08\x00\x32\x10SQ\x00\x00"
UNDEFINED = b"\xff\xff\xff\xff"
ITEM, ITEM_END, SEQUENCE_END = b"\xfe\xff\x00\xe0", b"\xfe\xff\x0d\xe0", b"\xfe\xff\xdd\xe0"
CODE = b"\x08\x00\x00\x01SH\x02\x00AB"
FOUND = [Element(0x00081032, "SQ", [[Element(0x00080100, "SH", b"AB")]])]


def length(data: bytes) -> bytes:
    return len(data).to_bytes(4, "little")


@pytest.mark.parametrize(
    "item", [ITEM + length(CODE) + CODE, ITEM + UNDEFINED + CODE + ITEM_END + bytes(4)]
)
@pytest.mark.parametrize("delimited", [True, False])
def test_sequences_and_items_of_known_and_unknown_length(item: bytes, delimited: bool) -> None:
    if delimited:
        data = SEQUENCE + UNDEFINED + item + SEQUENCE_END + bytes(4)
    else:
        data = SEQUENCE + length(item) + item
    assert parse(data, EXPLICIT) == FOUND


def test_a_sequence_of_unknown_vr_is_implicit_inside() -> None:
    code = b"\x08\x00\x00\x01\x02\x00\x00\x00AB"
    data = b"\x08\x00\x32\x10UN\x00\x00" + UNDEFINED + ITEM + length(code) + code + SEQUENCE_END
    assert parse(data + bytes(4), EXPLICIT) == FOUND


@pytest.mark.parametrize("signed", [False, True])
def test_pixel_representation_says_which_vr_is_meant(signed: bool) -> None:
    representation = b"\x28\x00\x03\x01\x02\x00\x00\x00" + (b"\1\0" if signed else b"\0\0")
    data = representation + b"\x28\x00\x06\x01\x02\x00\x00\x00ab"
    assert parse(data, IMPLICIT)[1].vr == ("SS" if signed else "US")


def test_pixel_representation_of_an_item_ends_with_it():
    signed = b"\x28\x00\x03\x01\x02\x00\x00\x00\1\0"
    smallest = b"\x28\x00\x06\x01\x02\x00\x00\x00ab"
    item = ITEM + length(signed + smallest) + signed + smallest
    data = b"\x08\x00\x32\x10" + length(item) + item + smallest
    [sequence, outside] = parse(data, IMPLICIT)
    assert isinstance(sequence.value, list)
    assert sequence.value[0][1].vr == "SS"
    assert outside.vr == "US"


@pytest.mark.parametrize(
    ("tag", "vr"),
    [
        (0x00100010, "PN"),
        (0x00100000, "UL"),
        (0x00090010, "LO"),
        (0x00091001, "UN"),
        (0x00100099, "UN"),
        (0x60020010, "US"),
    ],
)
def test_the_vr_that_implicit_vr_leaves_out(tag: int, vr: str) -> None:
    assert vr_of(tag) == vr


def nested(depth: int) -> bytes:
    data = b""
    for _ in range(depth):
        item = ITEM + length(data) + data
        data = SEQUENCE + length(item) + item
    return data


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"\x10", "ends within"),
        (CODE[:-1], "longer than what is left"),
        (b"\x08\x00\x00\x01\x01\x02\x02\x00AB", "no proper VR"),
        (b"\x08\x00\x00\x01OB\x00\x00" + UNDEFINED, "VR OB has no length"),
        (SEQUENCE + length(CODE) + CODE, "something else than items"),
        (SEQUENCE + b"\xff\0\0\0" + ITEM, "sequence is longer"),
        (SEQUENCE + b"\x08\0\0\0" + ITEM + b"\x02\0\0\0", "item is longer"),
        (SEQUENCE + UNDEFINED, "sequence has no end"),
        (SEQUENCE + UNDEFINED + ITEM + UNDEFINED + CODE, "item has no end"),
        (
            SEQUENCE + length(ITEM + UNDEFINED + ITEM_END) + ITEM + UNDEFINED + ITEM_END + bytes(4),
            "longer",
        ),
        (SEQUENCE + UNDEFINED + SEQUENCE_END, "ends within"),
        (SEQUENCE + UNDEFINED + ITEM + UNDEFINED + ITEM_END, "longer"),
        (
            SEQUENCE
            + b"\x18\0\0\0"
            + ITEM
            + b"\x10\0\0\0"
            + SEQUENCE
            + UNDEFINED
            + SEQUENCE_END
            + bytes(4),
            "sequence is longer",
        ),
        (ITEM + bytes(4), "no proper VR"),
        (CODE * (MAX_ELEMENTS + 1), "elements"),
        (nested(MAX_DEPTH + 1), "nested"),
    ],
)
def test_what_is_no_data_set_is_refused_without_a_quote(data: bytes, why: str) -> None:
    with pytest.raises(Malformed, match=why):
        parse(data, EXPLICIT)


def test_an_item_outside_a_sequence_is_refused() -> None:
    with pytest.raises(Malformed, match="where an element should"):
        parse(ITEM + bytes(4), IMPLICIT)


def test_the_limits_themselves_are_allowed() -> None:
    assert len(parse(CODE * MAX_ELEMENTS, EXPLICIT)) == MAX_ELEMENTS
    assert parse(nested(MAX_DEPTH), EXPLICIT)


@given(
    st.sampled_from([b"", SEQUENCE + UNDEFINED, SEQUENCE + UNDEFINED + ITEM + UNDEFINED]),
    st.binary(max_size=80),
    st.sampled_from(list(SYNTAXES.values())),
)
def test_any_bytes_are_walked_or_refused(start: bytes, data: bytes, syntax: Syntax) -> None:
    try:
        parse(start + data, syntax)
    except Malformed:
        return


TEXTS = st.text("ABC 123", min_size=1, max_size=8).map(str.strip)
SETS = st.recursive(
    st.dictionaries(st.sampled_from([0x00080100, 0x00080102, 0x00080104]), TEXTS, max_size=3),
    lambda inner: st.fixed_dictionaries({0x00081032: st.lists(inner, max_size=3)}),
    max_leaves=6,
)


def dataset(plan: dict[int, object], *, delimited: bool) -> Dataset:
    ds = Dataset()
    for tag, value in plan.items():
        if isinstance(value, list):
            items = [dataset(item, delimited=delimited) for item in value]
            ds.add_new(tag, "SQ", Sequence(items))
            ds[tag].is_undefined_length = delimited
        else:
            ds.add_new(tag, "SH" if tag != 0x00080104 else "LO", value)
    ds.is_undefined_length_sequence_item = delimited
    return ds


def plan_of(elements: list[Element]) -> dict[int, object]:
    return {
        e.tag: [plan_of(item) for item in e.value]
        if isinstance(e.value, list)
        else e.value.decode().rstrip()
        for e in elements
    }


@given(SETS, st.booleans(), st.sampled_from(list(SYNTAXES.values())))
def test_what_pydicom_writes_is_found_again(
    plan: dict[int, object], delimited: bool, syntax: Syntax
) -> None:
    file = DicomBytesIO()
    file.is_implicit_VR, file.is_little_endian = not syntax.explicit, syntax.order == "<"
    write_dataset(file, dataset(plan, delimited=delimited))
    assert plan_of(parse(file.getvalue(), syntax)) == plan
