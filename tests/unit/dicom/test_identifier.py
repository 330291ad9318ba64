"""Identifiers of DIMSE callers, and of the answers to them."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harmony.dicom.elements import MAX_DEPTH, MAX_ELEMENTS, SYNTAXES, Element, parse
from harmony.dicom.identifier import (
    MAX_BYTES,
    IdentifierError,
    failed_list,
    match_identifier,
    read_query,
)
from harmony.dicom.query import encode_identifier
from harmony.dicom.transcode import encode
from harmony.envelope import Encoded, Key, Level, Match, Operation, Query, Root
from harmony.errors import UpstreamError

IMPLICIT, EXPLICIT, BIG = "1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2"
FIND, GET, MOVE = Operation.FIND, Operation.GET, Operation.MOVE
QUERIES = (FIND, GET, MOVE)
PATIENT, STUDY, SERIES, IMAGE = Level

PATIENT_ID, STUDY_UID, SERIES_UID, SOP_UID = 0x00100020, 0x0020000D, 0x0020000E, 0x00080018
UNIQUE = {PATIENT: PATIENT_ID, STUDY: STUDY_UID, SERIES: SERIES_UID, IMAGE: SOP_UID}
LEVEL = 0x00080052


def encoded(*elements: Element, syntax: str = EXPLICIT) -> bytes:
    return encode(sorted(elements, key=lambda element: element.tag), SYNTAXES[syntax])


def at(level: str) -> Element:
    raw = level.encode()
    return Element(LEVEL, "CS", raw + b" " * (len(raw) % 2))


def uid(tag: int, text: str) -> Element:
    raw = text.encode()
    return Element(tag, "UI", raw + bytes(len(raw) % 2))


def text(tag: int, vr: str, raw: bytes) -> Element:
    return Element(tag, vr, raw)


def query(
    *elements: Element,
    operation: Operation = FIND,
    root: Root = Root.STUDY,
    syntax: str = EXPLICIT,
) -> Query:
    return read_query(encoded(*elements, syntax=syntax), syntax, operation=operation, root=root)


def keys(found: Query) -> dict[int, tuple[str, ...]]:
    return {key.tag: key.values for key in found.keys}


def refusal(
    data: bytes,
    *,
    syntax: str = EXPLICIT,
    operation: Operation = FIND,
    root: Root = Root.STUDY,
) -> IdentifierError:
    with pytest.raises(IdentifierError) as caught:
        read_query(data, syntax, operation=operation, root=root)
    assert 0 < len(caught.value.comment) <= 64
    assert caught.value.comment.isascii()
    return caught.value


# Queries


def test_a_find_says_level_keys_and_what_came():
    elements = (
        at("STUDY"),
        text(0x00080020, "DA", b"20260101-"),
        text(0x00080061, "CS", b"CT\\MR "),
        text(PATIENT_ID, "LO", b" 12* "),
        uid(STUDY_UID, "1.2\\1.3"),
        text(0x00100010, "PN", b""),
    )
    found = query(*elements)
    assert found == Query(
        level=STUDY,
        root=Root.STUDY,
        keys=(
            Key(0x00080020, ("20260101-",)),
            Key(0x00080061, ("CT", "MR")),
            Key(0x00100010),
            Key(PATIENT_ID, ("12*",)),
            Key(STUDY_UID, ("1.2", "1.3")),
        ),
        limit=None,
        encoded=Encoded(data=encoded(*elements), transfer_syntax=EXPLICIT),
    )


@pytest.mark.parametrize("syntax", list(SYNTAXES))
def test_keys_are_the_same_in_each_transfer_syntax(syntax):
    rows = struct.pack(SYNTAXES[syntax].order + "H", 512)
    found = query(at("IMAGE"), text(0x00280010, "US", rows), uid(STUDY_UID, "1.2"), syntax=syntax)
    assert keys(found) == {0x00280010: ("512",), STUDY_UID: ("1.2",)}


@pytest.mark.parametrize(
    ("declared", "codec"),
    [(b"ISO_IR 192", "utf-8"), (b"ISO_IR 100", "latin-1"), (None, "utf-8"), (None, "latin-1")],
)
def test_text_is_decoded_by_its_character_set(declared, codec):
    sets = [text(0x00080005, "CS", declared)] if declared else []
    found = query(at("STUDY"), *sets, text(0x00100010, "PN", "Jäger^Zoë".encode(codec)))
    assert keys(found) == {0x00100010: ("Jäger^Zoë",)}


@pytest.mark.parametrize(
    "element",
    [
        Element(0x00081032, "SQ", []),
        Element(0x00081032, "SQ", [[text(0x00080100, "SH", b"AB")]]),
        Element(0x00091001, "UN", b"ab"),
        Element(0x00090010, "LO", b"ACME"),
        Element(0x00080000, "UL", bytes(4)),
        Element(0x00020010, "UI", b"1.2\0"),
        Element(0x00189087, "FD", bytes(8)),
        Element(0x00280010, "US", b"abc"),  # no whole number of words
        Element(0x00280010, "LO", b"ab"),  # text where the dictionary has a number
        Element(0x00100020, "US", b"ab"),  # and the reverse
        Element(0x00209165, "LO", b"ab"),
    ],
)
def test_what_is_no_text_or_whole_number_is_left_to_the_encoded_identifier(element):
    found = query(at("STUDY"), element)
    assert found.keys == ()
    assert found.encoded is not None
    assert found.encoded.data == encoded(at("STUDY"), element)


def test_a_key_whose_sender_did_not_know_its_vr_is_read_by_the_dictionary():
    found = query(at("STUDY"), Element(PATIENT_ID, "UN", b"12"), Element(0x00280010, "UN", b"\0\2"))
    assert keys(found) == {PATIENT_ID: ("12",), 0x00280010: ("512",)}


def test_a_key_of_nothing_but_padding_is_universal():
    assert keys(query(at("STUDY"), text(PATIENT_ID, "LO", b"  "))) == {PATIENT_ID: ()}


@pytest.mark.parametrize("padded", [b"STUDY ", b"STUDY\0", b" STUDY"])
def test_the_level_may_be_padded(padded):
    assert query(Element(LEVEL, "CS", padded)).level is STUDY


@pytest.mark.parametrize("operation", QUERIES)
@pytest.mark.parametrize(
    ("level", "root"),
    [(level, root) for level in Level for root in Root if (level, root) != (PATIENT, Root.STUDY)],
)
@pytest.mark.parametrize("syntax", list(SYNTAXES))
def test_what_harmony_asks_itself_it_reads(operation, level, root, syntax):
    needed = [each for each in Level if each is not PATIENT or root is Root.PATIENT]
    needed = needed[: needed.index(level) + 1]
    tags = sorted(UNIQUE[each] for each in needed)
    asked = Query(level=level, root=root, keys=tuple(Key(tag, ("1.2.3",)) for tag in tags))
    data = encode_identifier(asked, syntax)
    found = read_query(data, syntax, operation=operation, root=root)
    assert (found.level, found.root, found.keys) == (level, root, asked.keys)


# Retrieves


@pytest.mark.parametrize("operation", [GET, MOVE])
def test_a_retrieve_keeps_just_the_unique_keys(operation):
    found = query(
        at("SERIES"),
        uid(STUDY_UID, "1.2"),
        uid(SERIES_UID, "1.2.3\\1.2.4"),
        uid(SOP_UID, ""),
        text(0x00080060, "CS", b"CT"),
        text(PATIENT_ID, "LO", b"P*"),  # no unique key of the study root model
        operation=operation,
    )
    assert keys(found) == {STUDY_UID: ("1.2",), SERIES_UID: ("1.2.3", "1.2.4")}


@pytest.mark.parametrize("level", [STUDY, SERIES, IMAGE])
@pytest.mark.parametrize("operation", [GET, MOVE])
def test_a_retrieve_may_leave_out_the_keys_above(operation, level):
    element = uid(UNIQUE[level], "1.2.3")
    found = query(at(level.value), element, operation=operation, root=Root.PATIENT)
    assert keys(found) == {UNIQUE[level]: ("1.2.3",)}


P, S = Root.PATIENT, Root.STUDY


@pytest.mark.parametrize("operation", [GET, MOVE])
@pytest.mark.parametrize(
    ("root", "level", "elements", "why"),
    [
        (S, "STUDY", [], "needs Study Instance UID"),
        (S, "STUDY", [uid(STUDY_UID, "")], "needs Study Instance UID"),
        (S, "STUDY", [text(PATIENT_ID, "LO", b"P1")], "needs Study Instance UID"),
        (S, "SERIES", [uid(STUDY_UID, "1.2")], "needs Series Instance UID"),
        (S, "IMAGE", [uid(STUDY_UID, "1.2")], "needs SOP Instance UID"),
        (P, "PATIENT", [text(PATIENT_ID, "LO", b"  ")], "needs Patient ID"),
        (P, "PATIENT", [text(PATIENT_ID, "LO", b"P*")], "wildcard"),
        (P, "PATIENT", [text(PATIENT_ID, "LO", b"P1\\P2 ")], "several values"),
        (S, "STUDY", [uid(STUDY_UID, "*")], "wildcard"),
        (S, "STUDY", [uid(STUDY_UID, "1.2.?")], "wildcard"),
        (S, "STUDY", [uid(STUDY_UID, "1.2\\nonsense")], "no UID"),
        (S, "STUDY", [uid(STUDY_UID, "1." + "2" * 64)], "no UID"),
        (S, "SERIES", [uid(STUDY_UID, "x"), uid(SERIES_UID, "1.2")], "no UID"),
        (S, "SERIES", [uid(STUDY_UID, "1.2\\1.3"), uid(SERIES_UID, "1.2")], "several values"),
        (P, "STUDY", [text(PATIENT_ID, "LO", b"*"), uid(STUDY_UID, "1.2")], "wildcard"),
        (S, "STUDY", [uid(STUDY_UID, "1.2"), uid(SERIES_UID, "1.2.3")], "below level STUDY"),
    ],
)
def test_a_retrieve_that_names_nothing_certain_is_refused(operation, root, level, elements, why):
    error = refusal(encoded(at(level), *elements), operation=operation, root=root)
    assert error.status == 0xA900
    assert why in error.comment


def test_a_find_may_hold_what_a_retrieve_may_not():
    found = query(at("STUDY"), uid(STUDY_UID, "*"), text(PATIENT_ID, "LO", b"P*"))
    assert keys(found) == {STUDY_UID: ("*",), PATIENT_ID: ("P*",)}


# What is no identifier


@pytest.mark.parametrize("operation", QUERIES)
@pytest.mark.parametrize(
    ("elements", "root", "why"),
    [
        ([], S, "missing"),
        ([at("")], S, "not PATIENT"),
        ([at("INSTANCE")], S, "not PATIENT"),
        ([at("STUDY\\SERIES")], S, "not PATIENT"),
        ([Element(LEVEL, "SQ", [])], S, "not PATIENT"),
        ([at("PATIENT")], S, "no level PATIENT"),
    ],
)
def test_a_level_that_is_not_in_the_model_is_refused(operation, elements, root, why):
    error = refusal(encoded(*elements, uid(STUDY_UID, "1.2")), operation=operation, root=root)
    assert error.status == 0xA900
    assert why in error.comment


def deep(levels: int) -> Element:
    element = text(0x00080100, "SH", b"AB")
    for _ in range(levels):
        element = Element(0x00081032, "SQ", [[element]])
    return element


def deeper_than_limit() -> bytes:
    inner = encoded(deep(MAX_DEPTH))
    item = b"\xfe\xff\x00\xe0" + struct.pack("<L", len(inner)) + inner
    return b"\x08\x00\x32\x10SQ\0\0" + struct.pack("<L", len(item)) + item


@pytest.mark.parametrize("operation", QUERIES)
@pytest.mark.parametrize(
    ("data", "syntax", "why"),
    [
        (b"\x08", EXPLICIT, "ends within"),
        (encoded(at("STUDY"))[:-1], EXPLICIT, "longer than what is left"),
        (encoded(at("STUDY")), "1.2.840.10008.1.2.1.99", "transfer syntax"),
        (encoded(at("STUDY")) * 2, EXPLICIT, "twice"),
        (bytes(MAX_BYTES + 1), IMPLICIT, "more than 1048576 bytes"),
        (encoded(at("STUDY")) * (MAX_ELEMENTS + 1), EXPLICIT, "more than 10000 elements"),
        (deeper_than_limit(), EXPLICIT, "nested"),
        (b"\xfe\xff\x00\xe0" + bytes(4), IMPLICIT, "where an element should"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_cannot_be_read_is_refused(operation, data, syntax, why):
    error = refusal(data, syntax=syntax, operation=operation)
    assert error.status == 0xC000
    assert why in error.comment


@given(
    st.sampled_from([b"", encoded(at("STUDY")), encoded(at("STUDY"), syntax=IMPLICIT)]),
    st.binary(max_size=60),
    st.sampled_from([*SYNTAXES, "1.2.3"]),
    st.sampled_from(QUERIES),
    st.sampled_from(list(Root)),
)
def test_any_bytes_are_a_query_or_refused(start, data, syntax, operation, root):
    try:
        found = read_query(start + data, syntax, operation=operation, root=root)
    except IdentifierError:
        refused = refusal(start + data, syntax=syntax, operation=operation, root=root)
        assert refused.status in (0xA900, 0xC000)
        return
    assert found.encoded == Encoded(data=start + data, transfer_syntax=syntax)
    assert [key.tag for key in found.keys] == sorted({key.tag for key in found.keys})


@given(st.text(max_size=30), st.sampled_from(QUERIES))
def test_a_query_that_was_read_can_be_asked_again(value, operation):
    raw = value.encode("utf-8", "replace")
    elements = [at("STUDY"), uid(STUDY_UID, "1.2"), text(0x00100010, "PN", raw)]
    found = query(*elements, operation=operation)
    again = read_query(
        encode_identifier(found, EXPLICIT), EXPLICIT, operation=operation, root=Root.STUDY
    )
    assert (again.level, again.keys) == (found.level, found.keys)


# Answers


@pytest.mark.parametrize("syntax", list(SYNTAXES))
def test_the_list_of_failed_instances(syntax):
    elements = parse(failed_list(["1.2", "1.2.3"], syntax), SYNTAXES[syntax])
    assert elements == [Element(0x00080058, "UI", b"1.2\\1.2.3\0")]


def test_no_failed_instance_no_identifier():
    assert failed_list([], EXPLICIT) == b""


@pytest.mark.parametrize("syntax", list(SYNTAXES))
@pytest.mark.parametrize("length", [63, 64])
def test_a_long_list_is_cut_between_two_uids(syntax, length):
    uids = [f"1.{number:0{length - 2}}" for number in range(2000)]
    [element] = parse(failed_list(uids, syntax), SYNTAXES[syntax])
    assert isinstance(element.value, bytes)
    named = element.value.rstrip(b"\0").decode().split("\\")
    assert element.vr == "UI"
    assert named == uids[: len(named)]
    assert 65534 - length - 1 <= len(element.value) <= 65534


@pytest.mark.parametrize("syntax", list(SYNTAXES))
def test_a_match_comes_in_the_callers_transfer_syntax(syntax):
    elements = [at("STUDY"), uid(STUDY_UID, "1.2")]
    match = Match(identifier=encoded(*elements), transfer_syntax=EXPLICIT)
    assert match_identifier(match, syntax) == encoded(*elements, syntax=syntax)


def test_a_match_that_cannot_be_read_is_a_failure_of_its_backend():
    match = Match(identifier=b"SECRET", transfer_syntax=IMPLICIT)
    with pytest.raises(UpstreamError, match="cannot be decoded") as caught:
        match_identifier(match, EXPLICIT)
    assert caught.value.code == "undecodable-answer"
    assert "SECRET" not in str(caught.value)
