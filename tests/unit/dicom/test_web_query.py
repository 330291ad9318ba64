"""Queries in URLs, as clients write them, and what is wrong with some."""

from __future__ import annotations

import pytest

from harmony.dicom.web_query import FUZZY_UNSUPPORTED, MAX_PARAMETERS, parse_search
from harmony.dicom.web_resources import Kind, Resource
from harmony.envelope import Level, Root
from harmony.errors import RequestError

STUDIES = Resource(kind=Kind.SEARCH, level=Level.STUDY)
SERIES = Resource(kind=Kind.SEARCH, level=Level.SERIES, study="1.2")
IMAGES = Resource(kind=Kind.SEARCH, level=Level.IMAGE, study="1.2", series="3.4")
PATIENT_ID, PATIENT_NAME, STUDY_UID = 0x00100020, 0x00100010, 0x0020000D


def keys(text, resource=STUDIES):
    return {key.tag: key.values for key in parse_search(resource, text).query.keys}


def asked(text, resource=STUDIES):
    return {tag: values for tag, values in keys(text, resource).items() if values}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", {}),
        ("PatientID=12345", {PATIENT_ID: ("12345",)}),
        ("00100020=12345", {PATIENT_ID: ("12345",)}),
        ("PatientName=Smith*", {PATIENT_NAME: ("Smith*",)}),
        ("PatientName=Smith%2A", {PATIENT_NAME: ("Smith*",)}),
        ("PatientName=M%C3%BCller%5EAnna", {PATIENT_NAME: ("M\u00fcller^Anna",)}),
        ("PatientName=Smith+Anna", {PATIENT_NAME: ("Smith Anna",)}),
        ("StudyDate=20240101-20240131", {0x00080020: ("20240101-20240131",)}),
        ("StudyDate=-20240131", {0x00080020: ("-20240131",)}),
        ("StudyInstanceUID=1.2,1.3", {STUDY_UID: ("1.2", "1.3")}),
        ("StudyInstanceUID=1.2%5C1.3", {STUDY_UID: ("1.2", "1.3")}),
        ("StudyInstanceUID=1.2", {STUDY_UID: ("1.2",)}),
        ("ModalitiesInStudy=CT&&PatientID=", {0x00080061: ("CT",)}),
        ("PatientID", {}),
        ("emptyvaluematching=true&PatientID=1", {PATIENT_ID: ("1",)}),
        ("accept=application/dicom%2Bjson&PatientID=1", {PATIENT_ID: ("1",)}),
    ],
)
def test_keys_are_what_the_client_means(text, expected):
    assert asked(text) == expected


def test_the_uids_of_the_path_are_keys():
    assert asked("", SERIES) == {STUDY_UID: ("1.2",)}
    assert asked("InstanceNumber=3", IMAGES) == {
        STUDY_UID: ("1.2",),
        0x0020000E: ("3.4",),
        0x00200013: ("3",),
    }


def test_the_level_is_that_of_the_resource():
    for resource in (STUDIES, SERIES, IMAGES):
        query = parse_search(resource, "").query
        assert (query.level, query.root) == (resource.level, Root.STUDY)


@pytest.mark.parametrize(
    "text",
    [
        "includefield=00081030,00080060",
        "includefield=00081030%2C00080060",  # OHIF
        "includefield=StudyDescription&includefield=Modality",  # PyPI dicomweb-client
        "includefield=StudyDescription&includefield=00080060",
        "includefield=%20StudyDescription,%20Modality",
    ],
)
def test_fields_to_include_are_asked_for_without_a_value(text):
    found = keys(text)
    assert found[0x00081030] == found[0x00080060] == ()


def test_all_fields_are_those_that_archives_know():
    assert set(keys("")) < set(keys("includefield=all"))
    assert keys("includefield=all&PatientID=1")[PATIENT_ID] == ("1",)


def test_a_field_in_a_sequence_asks_for_the_sequence():
    assert keys("includefield=RequestAttributesSequence.00400009", SERIES)[0x00400275] == ()


def test_a_field_that_is_no_key_is_passed_over():
    assert keys("includefield=QueryRetrieveLevel,SpecificCharacterSet") == keys("")


def test_pages():
    query = parse_search(STUDIES, "limit=101&offset=202").query
    assert (query.limit, query.offset) == (101, 202)
    query = parse_search(STUDIES, "").query
    assert (query.limit, query.offset) == (None, 0)


def test_fuzzy_matching_is_told_not_to_be_done():
    assert parse_search(STUDIES, "fuzzymatching=true").notices == (FUZZY_UNSUPPORTED,)
    assert parse_search(STUDIES, "fuzzymatching=false").notices == ()


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("PatintID=1", "unknown key"),
        ("limit=0", "no number from 1"),
        ("limit=-1", "no number from 1"),
        ("limit=1e9", "no number from 1"),
        ("limit=99999999", "no number from 1"),
        ("limit=\u0661", "no number from 1"),
        ("offset=x", "no number from 0"),
        ("limit=1&limit=2", "given twice"),
        ("PatientID=1&00100020=2", "given twice"),
        ("fuzzymatching=yes", "neither true nor false"),
        ("StudyDate=2024", "no DA of DICOM"),
        ("StudyInstanceUID=x", "no UID"),
        ("StudyInstanceUID=1.2,x", "no UID"),
        ("PatientName=%FF", "not UTF-8"),
        ("PatientName=%00", "control character"),
        ("PatientName=a%5Cb", "backslash"),
        ("Modality=CT%E2%82%AC", "beyond ASCII"),
        ("QueryRetrieveLevel=STUDY", "no key of a query"),
        ("00080005=ISO_IR 100", "no key of a query"),
        ("00020010=1.2", "no key of a query"),
        ("RequestAttributesSequence.00400009=1", "in a sequence"),
        ("SeriesInstanceUID=1.2", "below level"),
        ("includefield=Nonsense", "unknown key"),
        ("PixelData=1", "cannot be matched"),
        (
            "&".join(f"{n:08X}=1" for n in range(0x00100020, 0x00100021 + MAX_PARAMETERS)),
            "more than",
        ),
    ],
)
def test_what_cannot_be_asked_is_400_and_says_why(text, part):
    with pytest.raises(RequestError) as caught:
        parse_search(STUDIES, text)
    assert caught.value.http_status == 400
    assert part in caught.value.detail
    assert caught.value.hint


def test_a_uid_of_the_path_cannot_be_asked_for_again():
    with pytest.raises(RequestError, match="given twice, the first time in the path"):
        parse_search(SERIES, "StudyInstanceUID=1.3")
