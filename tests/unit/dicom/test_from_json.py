"""DICOM JSON to a data set: as pydicom reads it, there and back, and what is refused."""

from __future__ import annotations

import io
import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom import dcmread
from pydicom.dataset import Dataset

from harmony.dicom.dicomjson import match_to_json
from harmony.dicom.elements import LONG_VRS, MAX_DEPTH
from harmony.dicom.from_json import NotDicomJson, data_set_of, elements_of
from harmony.dicom.uids import EXPLICIT_LITTLE_ENDIAN
from harmony.envelope import Match

MARK = "Doe^Jane"


def encoded(document: dict[str, object]) -> bytes:
    return data_set_of(elements_of(document))


def read(document: dict[str, object]) -> Dataset:
    return dcmread(io.BytesIO(encoded(document)), force=True)


def back(document: dict[str, object]) -> dict[str, object]:
    match = Match(identifier=encoded(document), transfer_syntax=EXPLICIT_LITTLE_ENDIAN)
    found: dict[str, object] = json.loads(match_to_json(match))
    return found


WHOLE: dict[str, object] = {
    "00080016": {"vr": "UI", "Value": ["1.2.840.10008.5.1.4.1.1.2"]},
    "00080020": {"vr": "DA", "Value": ["20200102"]},
    "00080050": {"vr": "SH"},
    "00080054": {"vr": "AE", "Value": ["PACS"]},
    "00080060": {"vr": "CS", "Value": ["CT"]},
    "00081115": {"vr": "SQ", "Value": [{"0020000E": {"vr": "UI", "Value": ["1.2.3"]}}, {}]},
    "00100010": {"vr": "PN", "Value": [{"Alphabetic": MARK, "Phonetic": "a"}]},
    "00101030": {"vr": "DS", "Value": [1.5, 70]},
    "00180050": {"vr": "DS", "Value": ["0.123456789012345"]},
    "00200013": {"vr": "IS", "Value": [7, -1]},
    "00280010": {"vr": "US", "Value": [0, 65535]},
    "00280009": {"vr": "AT", "Value": ["00181063"]},
    "00291010": {"vr": "OB", "InlineBinary": "AAEC"},
    "00404029": {"vr": "FD", "Value": [0.1]},
    "00720050": {"vr": "CS", "Value": ["A", None, "B"]},
    "00081190": {"vr": "UR", "Value": ["http://x/y"]},
}


def test_values_come_back_as_they_were() -> None:
    again = back(WHOLE)
    binary = again.pop("00291010")
    assert binary == {"vr": "OB", "InlineBinary": "AAECAA=="}  # of even length
    expected = {**WHOLE, "00180050": {"vr": "DS", "Value": [0.123456789012345]}}
    del expected["00291010"]
    assert again == expected


def test_pydicom_reads_the_same() -> None:
    found = read(WHOLE)
    expected = Dataset.from_json(json.dumps(WHOLE))
    assert found.PatientName == expected.PatientName == f"{MARK}==a"
    assert found.Rows == expected.Rows
    assert found.ReferencedSeriesSequence == expected.ReferencedSeriesSequence
    assert list(found.keys()) == sorted(expected.keys())


@pytest.mark.parametrize(
    ("vr", "value", "raw"),
    [
        ("US", "7", b"\x07\x00"),
        ("US", 7.0, b"\x07\x00"),
        ("IS", 7.0, b"7 "),
        ("IS", "7", b"7 "),
        ("DS", 0.1, b"0.1 "),
        ("DS", 1 / 3, b"0.3333333333"),
        ("DS", 1e20, b"1e+20 "),
        ("CS", "A\\B", b"A\\B "),
        ("LO", 12, b"12"),
        ("PN", "A^B", b"A^B "),
        ("PN", {"Ideographic": "x"}, b"=x"),
        ("SV", -1, b"\xff" * 8),
        ("FL", 1, b"\x00\x00\x80?"),
        ("UI", "1.2", b"1.2\0"),
        ("ST", "a\r\nb", b"a\r\nb"),
    ],
)
def test_a_value_in_another_shape(vr: str, value: object, raw: bytes) -> None:
    (element,) = elements_of({"00091001": {"vr": vr, "Value": [value]}})
    assert element.value == raw


def test_text_beyond_ascii_names_its_character_set() -> None:
    told: dict[str, object] = {"00080005": {"vr": "CS", "Value": ["ISO_IR 100"]}}
    name: dict[str, object] = {"00100010": {"vr": "PN", "Value": [{"Alphabetic": "Müller"}]}}
    deep: dict[str, object] = {
        "00081115": {"vr": "SQ", "Value": [{"0008103E": {"vr": "LO", "Value": ["ü"]}}]}
    }
    assert read({**told, **name}).SpecificCharacterSet == "ISO_IR 192"
    assert read({**told, **name}).PatientName == "Müller"
    assert read(deep).SpecificCharacterSet == "ISO_IR 192"
    assert not elements_of(told)


def test_what_lies_elsewhere_is_left_out() -> None:
    assert not elements_of({"7FE00010": {"vr": "OW", "BulkDataURI": "/bulk"}})


def test_only_what_is_wanted() -> None:
    found = elements_of(WHOLE, only={0x00080020, 0x00100020})
    assert [element.tag for element in found] == [0x00080020]


@pytest.mark.parametrize("vr", sorted(LONG_VRS | {"CS", "US", "PN", "AT", "FL"}))
def test_no_value_is_an_empty_element(vr: str) -> None:
    for attribute in ({"vr": vr}, {"vr": vr, "Value": []}, {"vr": vr, "Value": None}):
        (element,) = elements_of({"00091001": attribute})
        assert not element.value


@pytest.mark.parametrize(
    "document",
    [
        {MARK: {"vr": "LO"}},
        {"0010001": {"vr": "LO"}},
        {"0010001G": {"vr": "LO"}},
        {"00100010": MARK},
        {"00100010": {"Value": [MARK]}},
        {"00100010": {"vr": 1}},
        {"00100010": {"vr": "é"}},
        {"00100010": {"vr": "PN", "Value": MARK}},
        {"00100010": {"vr": "PN", "Value": [[MARK]]}},
        {"00100010": {"vr": "PN", "Value": [{"Alphabetic": [MARK]}]}},
        {"00100010": {"vr": "LO", "Value": [True]}},
        {"00100010": {"vr": "CS", "Value": ["ü"]}},
        {"00100010": {"vr": "US", "Value": [MARK]}},
        {"00100010": {"vr": "US", "Value": [65536]}},
        {"00100010": {"vr": "US", "Value": [1.5]}},
        {"00100010": {"vr": "US", "Value": [None]}},
        {"00100010": {"vr": "US", "Value": [math.inf]}},
        {"00100010": {"vr": "FD", "Value": [MARK]}},
        {"00100010": {"vr": "AT", "Value": [MARK]}},
        {"00100010": {"vr": "AT", "Value": [7]}},
        {"00100010": {"vr": "OB", "Value": [MARK]}},
        {"00100010": {"vr": "OB", "InlineBinary": "!"}},
        {"00100010": {"vr": "OB", "InlineBinary": 7}},
        {"00100010": {"vr": "LO", "InlineBinary": "AAAA"}},
        {"00100010": {"vr": "SQ", "Value": [MARK]}},
        {"0010001A": {"vr": "LO"}, "0010001a": {"vr": "LO"}},
    ],
)
def test_what_is_no_dicom_json_is_refused_and_not_quoted(document: dict[str, object]) -> None:
    with pytest.raises(NotDicomJson) as caught:
        encoded(document)
    assert MARK not in str(caught.value)


def test_nesting_has_an_end() -> None:
    document: dict[str, object] = {}
    for _ in range(MAX_DEPTH + 2):
        document = {"00081115": {"vr": "SQ", "Value": [document]}}
    with pytest.raises(NotDicomJson, match="nested"):
        encoded(document)


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["vr", "Value", "InlineBinary", "00100010", "Alphabetic", "x"]), inner
        )
    ),
    max_leaves=10,
)
attributes = st.fixed_dictionaries(
    {"vr": st.sampled_from(["PN", "US", "SQ", "OB", "AT", "LO", "FD", "IS", "DS", "UI", "ZZ"])},
    optional={"Value": anything, "InlineBinary": anything},
)


@given(st.dictionaries(st.from_regex("[0-9A-F]{8}", fullmatch=True), attributes, max_size=4))
def test_whatever_comes_is_a_data_set_or_refused(document: dict[str, object]) -> None:
    try:
        data = encoded(document)
    except NotDicomJson:
        return
    assert len(data) % 2 == 0
