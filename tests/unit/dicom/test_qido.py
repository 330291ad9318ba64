"""A query in DICOMweb's words, and its rows as identifiers."""

from __future__ import annotations

import io

import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset
from pynetdicom.dsutils import encode

from harmony.dicom.identifier import read_query
from harmony.dicom.qido import match_of, search_request
from harmony.dicom.uids import EXPLICIT_LITTLE_ENDIAN
from harmony.envelope import Key, Level, Operation, Query, Root

STUDY, SERIES, SOP = 0x0020000D, 0x0020000E, 0x00080018


def query(level: Level, *keys: tuple[int, *tuple[str, ...]], root: Root = Root.STUDY) -> Query:
    return Query(level=level, root=root, keys=tuple(Key(key[0], key[1:]) for key in keys))


@pytest.mark.parametrize(
    ("asked", "target"),
    [
        (query(Level.STUDY), "/studies"),
        (query(Level.STUDY, (0x00100020, "A B&=*")), "/studies?00100020=A%20B%26%3D*"),
        (query(Level.STUDY, (0x00100010, "Mü?")), "/studies?00100010=M%C3%BC%3F"),
        (query(Level.STUDY, (STUDY, "1.2")), "/studies?0020000D=1.2"),
        (query(Level.STUDY, (STUDY, "1.2", "1.3")), "/studies?0020000D=1.2,1.3"),
        (query(Level.STUDY, (0x00080061, "CT", "MR")), "/studies?00080061=CT%5CMR"),
        (query(Level.STUDY, (0x00080020, "20200101-")), "/studies?00080020=20200101-"),
        (
            query(Level.STUDY, (0x00080020,), (0x00100010,), (0x00100020, "1")),
            "/studies?00100020=1&includefield=00080020,00100010",
        ),
        (query(Level.SERIES, (STUDY, "1.2")), "/studies/1.2/series"),
        (query(Level.SERIES, (STUDY, "1.*")), "/series?0020000D=1.*"),
        (query(Level.SERIES, (STUDY, "1.2", "1.3")), "/series?0020000D=1.2,1.3"),
        (query(Level.SERIES), "/series"),
        (query(Level.IMAGE, (STUDY, "1.2"), (SERIES, "1.3")), "/studies/1.2/series/1.3/instances"),
        (query(Level.IMAGE, (STUDY, "1.2")), "/studies/1.2/instances"),
        (query(Level.IMAGE, (SERIES, "1.3")), "/instances?0020000E=1.3"),
        (query(Level.IMAGE, (SOP, "1.4"), (STUDY, "1.2")), "/studies/1.2/instances?00080018=1.4"),
        (
            query(Level.PATIENT, (0x00100020, "1"), root=Root.PATIENT),
            "/studies?00100020=1&includefield=00100021",
        ),
    ],
)
def test_a_query_as_a_search(asked: Query, target: str) -> None:
    request = search_request(asked)
    assert request.target == target
    assert request.all_said
    assert request.asked == {key.tag for key in asked.keys}


@pytest.mark.parametrize(
    ("target", "limit", "offset", "page"),
    [
        ((), None, 0, "/studies"),
        ((), 5, 0, "/studies?limit=5"),
        ((), 5, 10, "/studies?limit=5&offset=10"),
        (((0x00100020, "1"),), None, 10, "/studies?00100020=1&offset=10"),
    ],
)
def test_a_page_of_it(
    target: tuple[tuple[int, str], ...], limit: int | None, offset: int, page: str
) -> None:
    assert search_request(query(Level.STUDY, *target)).page(limit=limit, offset=offset) == page


def of_a_caller(identifier: Dataset) -> Query:
    identifier.QueryRetrieveLevel = "STUDY"
    data = encode(identifier, is_implicit_vr=False, is_little_endian=True)
    assert data is not None
    return read_query(
        data,
        EXPLICIT_LITTLE_ENDIAN,
        operation=Operation.FIND,
        root=Root.STUDY,
    )


def test_keys_in_a_sequence_are_paths() -> None:
    inner = Dataset()
    inner.ScheduledStationAETitle = "CT1"
    inner.Modality = ""
    asked = Dataset()
    asked.PatientID = "1"
    asked.ScheduledProcedureStepSequence = [inner]
    request = search_request(of_a_caller(asked))
    assert request.target == "/studies?00100020=1&00400100.00400001=CT1&includefield=00400100"
    assert request.asked == {0x00100020, 0x00400100}
    assert request.all_said


def test_what_has_no_word_there_is_owned_up_to() -> None:
    private = Dataset()
    private.add_new(0x00090010, "LO", "ACME")
    private.add_new(0x00091001, "LO", "x")
    binary = Dataset()
    binary.add_new(0x00189089, "FD", [1.0])
    for asked in (private, binary):
        request = search_request(of_a_caller(asked))
        assert not request.all_said
        assert request.target == "/studies"
        assert not match_of({}, request, Level.STUDY).all_keys_supported


def test_a_row_is_an_identifier_of_what_was_asked() -> None:
    request = search_request(query(Level.STUDY, (0x00080020,), (0x00081110,), (0x00100020, "1")))
    row = {
        "00080005": {"vr": "CS", "Value": ["ISO_IR 100"]},
        "00081190": {"vr": "UR", "Value": ["http://x"]},
        "00100010": {"vr": "PN", "Value": [{"Alphabetic": "A"}]},
        "00100020": {"vr": "LO", "Value": ["ü"]},
    }
    match = match_of(row, request, Level.STUDY)
    found = dcmread(io.BytesIO(match.identifier), force=True)
    assert [int(element.tag) for element in found] == [
        0x00080005,
        0x00080020,
        0x00080052,
        0x00081110,
        0x00100020,
    ]
    assert (found.QueryRetrieveLevel, found.PatientID) == ("STUDY", "ü")
    assert (found.StudyDate, list(found.ReferencedStudySequence)) == ("", [])
