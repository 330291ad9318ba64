"""DICOM JSON from encoded data sets: equal to pydicom's, and never anything but valid UTF-8."""

from __future__ import annotations

import json
import math
import warnings
from pathlib import Path
from typing import Any, Literal

import pydicom
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom import charset
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


def reference(ds: Dataset) -> dict[str, Any]:
    """pydicom's answer, brought to our way with empty and binary values."""
    return json.loads(ds.to_json(bulk_data_threshold=10**9))  # type: ignore[no-any-return]


def normalised(value: object) -> object:
    """What may differ without a difference in meaning."""
    if isinstance(value, dict):
        if set(value) == {"vr", "Value"} and value["Value"] in ([], [None], [""], [{}]):
            return {"vr": value["vr"]}
        # pydicom writes no group lengths (PS3.5 7.2), and keeps the character set it read
        left_out = {k for k in value if k == "00080005" or k.endswith("0000")}
        return {k: normalised(v) for k, v in value.items() if k not in left_out}
    if isinstance(value, list):
        return [normalised(v) for v in value]
    if isinstance(value, str):
        try:
            number = float(value)
        except ValueError:
            return value.strip()
        return number if math.isfinite(number) else value
    return float(value) if isinstance(value, int) else value


# Those in the wheel: asking pydicom for its test data would make it download more.
SMALL = sorted(
    path
    for path in (Path(pydicom.__file__).parent / "data" / "test_files").glob("*.dcm")
    if path.stat().st_size < 200_000
    and path.name != "badVR.dcm"  # which pydicom itself cannot write again
)


@pytest.mark.parametrize("path", SMALL, ids=lambda path: path.name)
def test_every_element_of_pydicoms_files_is_as_pydicom_shows_it(path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        ds = pydicom.dcmread(path, force=True)
        ds.remove_private_tags()
        ds.pop("PixelData", None)
        for element in list(ds):
            if element.tag.group in (0x5400, 0x6000):  # OB or OW by what surrounds them
                del ds[element.tag]
        encoded = encode(ds, False, True)
        expected = reference(ds)
    assert encoded is not None
    found = json.loads(match_to_json(Match(identifier=encoded, transfer_syntax=EXPLICIT)))
    assert normalised(found) == normalised(expected)


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


@pytest.mark.parametrize(
    ("vr", "text", "expected"),
    [
        ("IS", "12", [12]),
        ("IS", "12.5", ["12.5"]),
        ("IS", "99999999999999999999", ["99999999999999999999"]),
        ("DS", "1.5", [1.5]),
        ("DS", "1e400", ["1e400"]),
        ("DS", "NaN", ["NaN"]),
        ("DS", "0.1234567890123456789", ["0.1234567890123456789"]),
        ("DS", "1\\\\2", [1.0, None, 2.0]),
        ("CS", " CT \\MR", ["CT", "MR"]),
        ("LT", "a\\b", ["a\\b"]),
        ("UI", "1.2\0", ["1.2"]),
    ],
)
def test_values_that_are_no_numbers_stay_text(vr: str, text: str, expected: list[object]) -> None:
    raw = text.encode() + b" " * (len(text) % 2)
    head = b"\x09\x00\x01\x10" + vr.encode() + len(raw).to_bytes(2, "little")
    found = json.loads(match_to_json(Match(identifier=head + raw, transfer_syntax=EXPLICIT)))
    assert found["00091001"]["Value"] == expected


def test_numbers_that_json_has_not_become_null() -> None:
    ds = Dataset()
    ds.add_new(0x00189073, "FD", [1.5, math.inf, math.nan])
    assert shown(ds)["00189073"]["Value"] == [1.5, None, None]


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
    ],
    ids=["sequence without end", "item without end", "half a US", "half an AT", "syntax"],
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


def test_words_of_a_big_endian_peer_come_out_little_endian() -> None:
    raw = b"\x00\x28\x12\x01OW\x00\x00\x00\x00\x00\x02\x01\x02"
    row = json.loads(match_to_json(Match(identifier=raw, transfer_syntax=BIG)))
    assert row["00281201"]["InlineBinary"] == "AgE="


def test_binary_values_are_inline() -> None:
    ds = Dataset()
    ds.add_new(0x00420011, "OB", b"ab")
    assert shown(ds)["00420011"] == {"vr": "OB", "InlineBinary": "YWI="}


def test_all_matches_are_shown_in_their_order() -> None:
    ds = Dataset()
    ds.PatientID = "1"
    other = Dataset()
    other.PatientID = "2"
    rows = [json.loads(row) for row in matches_to_json([match(ds), match(other)])]
    assert [row["00100020"]["Value"] for row in rows] == [["1"], ["2"]]


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


def test_every_character_set_that_pydicom_knows_decodes_something() -> None:
    for term in charset.python_encoding:
        head = b"\x08\x00\x05\x00CS" + (len(term) + len(term) % 2).to_bytes(2, "little")
        identifier = (
            head + term.encode() + b" " * (len(term) % 2) + b"\x10\x00\x10\x00PN\x02\x00A\xe4"
        )
        found = json.loads(match_to_json(Match(identifier=identifier, transfer_syntax=EXPLICIT)))
        assert found["00100010"]["Value"][0]["Alphabetic"].startswith("A")
