"""Matches as DICOM JSON: truthful, and never anything but valid UTF-8."""

from __future__ import annotations

import base64
import json
from typing import Any, Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom._private_dict import private_dictionaries
from pydicom.datadict import tag_for_keyword
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pynetdicom.dsutils import encode

from harmony.dicom import dicomjson
from harmony.dicom.dicomjson import match_to_json, matches_to_json
from harmony.dicom.elements import MAX_ELEMENTS
from harmony.envelope import Match
from harmony.errors import UpstreamError
from tests.support import studies
from tests.support.studies.charsets import charset_case

IMPLICIT, EXPLICIT, BIG = "1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2"
SYNTAXES = {IMPLICIT: (True, True), EXPLICIT: (False, True), BIG: (False, False)}


def match(ds: Dataset, syntax: str = EXPLICIT) -> Match:
    encoded = encode(ds, *SYNTAXES[syntax])
    assert encoded is not None
    return Match(identifier=encoded, transfer_syntax=syntax)


def shown(ds: Dataset, syntax: str = EXPLICIT) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(match_to_json(match(ds, syntax)))
    return found


@pytest.mark.parametrize("syntax", SYNTAXES)
def test_a_match_as_a_pacs_sends_it(syntax: str) -> None:
    ds = Dataset()
    ds.SpecificCharacterSet = "ISO_IR 100"
    ds.QueryRetrieveLevel = "STUDY"
    ds.PatientName = "Müller^Jürgen"
    ds.PatientID = "P1"
    ds.StudyDate = "20240131"
    ds.ModalitiesInStudy = ["CT", "MR"]
    ds.StudyInstanceUID = "1.2.3"
    ds.NumberOfStudyRelatedInstances = "42"
    ds.ReferringPhysicianName = ""
    ds.Rows = 512
    assert shown(ds, syntax) == {
        "00080005": {"vr": "CS", "Value": ["ISO_IR 192"]},
        "00080020": {"vr": "DA", "Value": ["20240131"]},
        "00080052": {"vr": "CS", "Value": ["STUDY"]},
        "00080061": {"vr": "CS", "Value": ["CT", "MR"]},
        "00080090": {"vr": "PN"},
        "00100010": {"vr": "PN", "Value": [{"Alphabetic": "Müller^Jürgen"}]},
        "00100020": {"vr": "LO", "Value": ["P1"]},
        "0020000D": {"vr": "UI", "Value": ["1.2.3"]},
        "00201208": {"vr": "IS", "Value": [42]},
        "00280010": {"vr": "US", "Value": [512]},
    }


@pytest.mark.parametrize("case", [*studies.CHARSETS, studies.UNDECLARED])
def test_names_come_out_in_utf8_whatever_the_pacs_sent(case: str) -> None:
    texts = charset_case(case)
    plan = studies.Plan(studies=1, kinds=(studies.Kind.SR,), charsets=(case,))
    _, dataset = next(studies.make_instances(plan))
    ds = Dataset()
    for keyword in ("SpecificCharacterSet", "PatientName", "StudyDescription"):
        tag = tag_for_keyword(keyword)
        assert tag is not None
        if tag in dataset:
            ds[tag] = dataset.get_item(tag)
    found = shown(ds)
    groups = found["00100010"]["Value"][0]
    assert "=".join(groups.values()) == texts.patient_name
    assert found["00081030"]["Value"] == [texts.description]
    if not texts.patient_name.isascii():
        assert found["00080005"]["Value"] == ["ISO_IR 192"]


def test_sequences_nest_and_inherit_the_character_set() -> None:
    inner = Dataset()
    inner.CodeMeaning = "Schädel"
    outer = Dataset()
    outer.SpecificCharacterSet = "ISO_IR 100"
    outer.ProcedureCodeSequence = Sequence([inner, Dataset()])
    for syntax in SYNTAXES:
        found = shown(outer, syntax)
        items = found["00081032"]["Value"]
        assert items[0]["00080104"]["Value"] == ["Schädel"]
        assert items[1] == {}


def element(vr: str, value: bytes, *, big_endian: bool = False) -> bytes:
    """(0028,0010) with a 16-bit length."""
    order: Literal["big", "little"] = "big" if big_endian else "little"
    tag = (0x0028).to_bytes(2, order) + (0x0010).to_bytes(2, order)
    return tag + vr.encode() + len(value).to_bytes(2, order) + value


@pytest.mark.parametrize(
    ("identifier", "syntax"),
    [
        (b"\x08\x00\x32\x10SQ\x00\x00\xff\xff\xff\xff", EXPLICIT),
        (
            b"\x08\x00\x32\x10SQ\x00\x00\xff\xff\xff\xff\xfe\xff\x00\xe0\xff\xff\xff\xff",
            EXPLICIT,
        ),
        (element("US", b"abc"), EXPLICIT),
        (element("AT", b"abcdef"), EXPLICIT),
        (element("LO", b"ab"), "1.2.840.10008.1.2.4.50"),
        (b"\xe0\x7f\x10\x00OB\x00\x00\xff\xff\xff\xff\xfe\xff\xdd\xe0" + bytes(4), EXPLICIT),
    ],
    ids=["sequence without end", "item without end", "half a US", "half an AT", "syntax", "pixels"],
)
def test_what_is_cut_short_never_looks_whole(identifier: bytes, syntax: str) -> None:
    with pytest.raises(UpstreamError) as caught:
        match_to_json(Match(identifier=identifier, transfer_syntax=syntax))
    assert caught.value.code == "undecodable-answer"


def test_group_lengths_and_command_elements_are_left_out() -> None:
    lengths = b"\x10\x00\x00\x00UL\x04\x00abcd" + b"\x00\x00\x00\x09US\x02\x00ab"
    row = match_to_json(
        Match(identifier=lengths + element("US", b"\1\0"), transfer_syntax=EXPLICIT)
    )
    assert json.loads(row) == {"00280010": {"vr": "US", "Value": [1]}}


def test_text_of_an_unknown_vr_is_read_by_the_dictionary() -> None:
    known = b"\x10\x00\x20\x00UN\x00\x00\x04\x00\x00\x00P123"
    private = b"\x11\x00\x20\x10UN\x00\x00\x04\x00\x00\x00P123"
    row = match_to_json(Match(identifier=known + private, transfer_syntax=EXPLICIT))
    assert json.loads(row) == {
        "00100020": {"vr": "LO", "Value": ["P123"]},
        "00111020": {"vr": "UN", "InlineBinary": "UDEyMw=="},
    }


def test_undeclared_text_beyond_ascii_declares_utf8_in_tag_order() -> None:
    name = "Müller".encode("latin-1")
    identifier = b"\x08\x00\x20\x00DA\x08\x0020240131" + b"\x10\x00\x10\x00PN\x06\x00" + name
    row = json.loads(match_to_json(Match(identifier=identifier, transfer_syntax=EXPLICIT)))
    assert list(row) == ["00080005", "00080020", "00100010"]
    assert row["00100010"]["Value"] == [{"Alphabetic": "Müller"}]


def test_all_matches_are_shown_in_their_order() -> None:
    ds = Dataset()
    ds.PatientID = "1"
    other = Dataset()
    other.PatientID = "2"
    rows = [json.loads(row) for row in matches_to_json([match(ds), match(other)])]
    assert [row["00100020"]["Value"] for row in rows] == [["1"], ["2"]]


def test_elements_out_of_order_come_in_order() -> None:
    modality, date = b"\x08\x00\x60\x00CS\x02\x00CT", b"\x08\x00\x20\x00DA\x08\x0020240131"
    code = b"\x08\x00\x00\x01SH\x02\x00AB" + date
    items = b"\xfe\xff\x00\xe0" + len(code).to_bytes(4, "little") + code
    sequence = b"\x08\x00\x32\x10SQ\x00\x00" + len(items).to_bytes(4, "little") + items
    identifier = sequence + modality + date
    row = json.loads(match_to_json(Match(identifier=identifier, transfer_syntax=EXPLICIT)))
    assert list(row) == ["00080020", "00080060", "00081032"]
    assert list(row["00081032"]["Value"][0]) == ["00080020", "00080100"]


def test_a_sequence_that_un_hides_is_one() -> None:
    code = b"\x08\x00\x00\x01\x02\x00\x00\x00AB"
    items = b"\xfe\xff\x00\xe0" + len(code).to_bytes(4, "little") + code
    hidden = b"\x08\x00\x32\x10UN\x00\x00" + len(items).to_bytes(4, "little") + items
    row = match_to_json(Match(identifier=hidden, transfer_syntax=EXPLICIT))
    assert json.loads(row) == {
        "00081032": {"vr": "SQ", "Value": [{"00080100": {"vr": "SH", "Value": ["AB"]}}]}
    }


@pytest.mark.parametrize("start", [b"", b"\xfe\xff\x00\xe0\xff\xff\xff\xff"])
def test_what_un_hides_stays_bytes_if_it_is_no_sequence(start: bytes) -> None:
    value = start + b"no items"
    hidden = b"\x08\x00\x32\x10UN\x00\x00" + len(value).to_bytes(4, "little") + value
    after = b"\x10\x00\x20\x00LO\x02\x00P1"
    row = json.loads(match_to_json(Match(identifier=hidden + after, transfer_syntax=EXPLICIT)))
    assert base64.b64decode(row["00081032"]["InlineBinary"]) == value
    assert row["00100020"]["Value"] == ["P1"]


def test_a_private_vr_that_its_dictionary_leaves_open_stays_unknown() -> None:
    creator = "TOSHIBA_MEC_OT3"
    vr, *_ = private_dictionaries[creator]["7019xx80"]
    assert vr == "OB_OW"
    raw = creator.encode() + b" " * (len(creator) % 2)
    data = b"\x19\x70\x10\x00LO" + len(raw).to_bytes(2, "little") + raw
    data += b"\x19\x70\x80\x10UN\x00\x00\x02\x00\x00\x00ab"
    row = json.loads(match_to_json(Match(identifier=data, transfer_syntax=EXPLICIT)))
    assert row["70191080"] == {"vr": "UN", "InlineBinary": "YWI="}


def test_hidden_sequences_cannot_be_nested_without_end() -> None:
    data = b""
    for _ in range(5000):
        item = b"\xfe\xff\x00\xe0" + len(data).to_bytes(4, "little") + data
        data = b"\x08\x00\x32\x10" + len(item).to_bytes(4, "little") + item
    hidden = b"\x08\x00\x32\x10UN\x00\x00" + len(data).to_bytes(4, "little") + data
    row = json.loads(match_to_json(Match(identifier=hidden, transfer_syntax=EXPLICIT)))
    assert row["00081032"]["vr"] == "UN"


def test_items_of_unknown_vr_are_little_endian_in_a_big_endian_match() -> None:
    rows = b"\x28\x00\x10\x00\x02\x00\x00\x00\x00\x02"
    items = b"\xfe\xff\x00\xe0" + len(rows).to_bytes(4, "little") + rows
    end = b"\xfe\xff\xdd\xe0\x00\x00\x00\x00"
    data = b"\x00\x09\x10\x01UN\x00\x00\xff\xff\xff\xff" + items + end
    row = json.loads(match_to_json(Match(identifier=data, transfer_syntax=BIG)))
    assert row["00091001"]["Value"] == [{"00280010": {"vr": "US", "Value": [512]}}]


def nested(depth: int) -> bytes:
    item = b""
    for _ in range(depth):
        framed = b"\xfe\xff\x00\xe0" + len(item).to_bytes(4, "little") + item
        item = b"\x08\x00\x32\x10SQ\x00\x00" + len(framed).to_bytes(4, "little") + framed
    return item


def test_nesting_is_bounded() -> None:
    json.loads(match_to_json(Match(identifier=nested(60), transfer_syntax=EXPLICIT)))
    with pytest.raises(UpstreamError):
        match_to_json(Match(identifier=nested(70), transfer_syntax=EXPLICIT))


@pytest.mark.parametrize(
    "identifier",
    [
        b"\x10",
        b"\x10\x00\x20\x00LO\xff\xff12",
        b"\x10\x00\x20\x00\x01\x02\x02\x0012",
        b"\x08\x00\x32\x10SQ\x00\x00\x08\x00\x00\x00\x10\x00\x20\x00LO\x00\x00",
        b"\x10\x00\x20\x00LO\x00\x00" * (MAX_ELEMENTS + 1),
        bytes(dicomjson.MAX_BYTES + 1),
    ],
    ids=["cut", "length", "VR", "no item", "elements", "size"],
)
def test_what_is_damaged_or_beyond_a_limit_is_a_failure_of_the_peer(identifier: bytes) -> None:
    with pytest.raises(UpstreamError) as caught:
        match_to_json(Match(identifier=identifier, transfer_syntax=EXPLICIT))
    assert caught.value.code == "undecodable-answer"


@given(st.binary(max_size=400), st.sampled_from(list(SYNTAXES)))
@settings(max_examples=300)
def test_any_bytes_give_json_or_a_failure_of_the_peer(data: bytes, syntax: str) -> None:
    try:
        json.loads(match_to_json(Match(identifier=data, transfer_syntax=syntax)))
    except UpstreamError:
        return


@given(
    position=st.integers(0, 10_000),
    value=st.integers(0, 255),
    syntax=st.sampled_from([IMPLICIT, EXPLICIT]),
)
@settings(max_examples=300)
def test_a_flipped_byte_gives_json_or_a_failure_of_the_peer(
    position: int, value: int, syntax: str
) -> None:
    ds = Dataset()
    ds.SpecificCharacterSet = ["", "ISO 2022 IR 87"]
    ds.PatientName = "Yamada^Tarou=山田^太郎"
    ds.ProcedureCodeSequence = Sequence([Dataset()])
    ds.Rows = 1
    identifier = bytearray(match(ds, syntax).identifier)
    identifier[position % len(identifier)] = value
    try:
        json.loads(match_to_json(Match(identifier=bytes(identifier), transfer_syntax=syntax)))
    except UpstreamError:
        return
