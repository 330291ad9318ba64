"""Queries against an index with something in it."""

import pytest
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from harmony.archive.searching import retrieval, search
from harmony.dicom.elements import SYNTAXES, parse
from harmony.dicom.query import UNIQUE
from harmony.dicom.uids import EXPLICIT_LITTLE_ENDIAN, IMPLICIT_LITTLE_ENDIAN
from harmony.envelope import Encoded, Key, Level, Query, Root
from harmony.errors import RequestError
from tests.support.archive import CT, MR, encoded, store

PATIENT_ID, STUDY_UID, SERIES_UID, SOP_UID = UNIQUE.values()
MODALITY, MODALITIES, CLASSES, NAME = 0x00080060, 0x00080061, 0x00080062, 0x00100010
DESCRIPTION, AVAILABILITY, AE_TITLE = 0x00081030, 0x00080056, 0x00080054
PROCEDURE_CODES = 0x00081032


@pytest.fixture
def filled(folder):
    """P1 has study 1.1 (CT and MR series), P2 has study 1.2, and one study is nobody's."""
    for patient, study, series, modality, number in (
        ("P1", "1.1", "1.1.1", "CT", 2),
        ("P1", "1.1", "1.1.1", "CT", 10),
        ("P1", "1.1", "1.1.1", "CT", 1),
        ("P1", "1.1", "1.1.2", "MR", 1),
        ("P2", "1.2", "1.2.1", "CT", 1),
        (None, "1.3", "1.3.1", "CT", 1),
    ):
        store(
            folder,
            SOPInstanceUID=f"{series}.{number}",
            SOPClassUID=MR if modality == "MR" else CT,
            StudyInstanceUID=study,
            SeriesInstanceUID=series,
            SeriesNumber=series[-1],
            PatientID=patient,
            PatientName="Müller^J",
            SpecificCharacterSet="ISO_IR 100",
            Modality=modality,
            InstanceNumber=str(number),
        )
    return folder


def query(level, keys, *, root=Root.STUDY, **more):
    found = tuple(Key(tag, tuple(values)) for tag, values in sorted(keys.items()))
    return Query(level=level, root=root, keys=found, **more)


def rows(folder, asked, title=None):
    """Each match as tag -> text."""
    found = search(asked, title)
    with folder.index.reading() as db:
        matches = [found.match(row) for row in db.execute(*found.page(0, 1000, 0))]
    answers = []
    for match in matches:
        assert match.transfer_syntax == EXPLICIT_LITTLE_ENDIAN
        elements = parse(match.identifier, SYNTAXES[EXPLICIT_LITTLE_ENDIAN])
        assert [each.tag for each in elements] == sorted(each.tag for each in elements)
        answers.append(
            {
                each.tag: each.value.decode().rstrip(" \0") if each.vr != "SQ" else each.value
                for each in elements
            }
        )
    return answers


def told(folder, asked, tag):
    return [row[tag] for row in rows(folder, asked)]


def test_each_level_tells_its_own_entities(filled):
    everything = {
        Level.PATIENT: (PATIENT_ID, Root.PATIENT, ["P1", "P2", ""]),
        Level.STUDY: (STUDY_UID, Root.STUDY, ["1.1", "1.2", "1.3"]),
        Level.SERIES: (SERIES_UID, Root.STUDY, ["1.1.1", "1.1.2", "1.2.1", "1.3.1"]),
        Level.IMAGE: (
            SOP_UID,
            Root.STUDY,
            ["1.1.1.2", "1.1.1.10", "1.1.1.1", "1.1.2.1", "1.2.1.1", "1.3.1.1"],
        ),
    }
    for level, (tag, root, expected) in everything.items():
        assert told(filled, query(level, {tag: ()}, root=root), tag) == expected


def test_an_answer_holds_every_key_the_level_and_where_to_retrieve(filled):
    asked = query(
        Level.STUDY,
        {PATIENT_ID: ["P1"], NAME: (), DESCRIPTION: (), AVAILABILITY: (), STUDY_UID: ()},
    )
    assert rows(filled, asked, "ARCHIVE") == [
        {
            0x00080005: "ISO_IR 192",
            0x00080052: "STUDY",
            AE_TITLE: "ARCHIVE",
            AVAILABILITY: "ONLINE",
            DESCRIPTION: "",
            NAME: "Müller^J",
            PATIENT_ID: "P1",
            STUDY_UID: "1.1",
        }
    ]
    assert search(asked, "ARCHIVE").all_keys_supported


def test_no_character_set_is_told_where_none_is_needed(filled):
    (row,) = rows(filled, query(Level.STUDY, {PATIENT_ID: ["P1"], 0x00080005: ["ISO_IR 100"]}))
    assert row == {0x00080052: "STUDY", PATIENT_ID: "P1"}


def test_counts_and_what_a_study_gathers(filled):
    study = query(
        Level.STUDY,
        {STUDY_UID: ["1.1"], MODALITIES: (), CLASSES: (), 0x00201206: (), 0x00201208: ()},
    )
    (row,) = rows(filled, study)
    assert row[MODALITIES] == "CT\\MR"
    assert row[CLASSES] == f"{CT}\\{MR}"
    assert (row[0x00201206], row[0x00201208]) == ("2", "4")
    (patient,) = rows(
        filled,
        query(
            Level.PATIENT,
            {PATIENT_ID: ["P1"], 0x00201200: (), 0x00201202: (), 0x00201204: ()},
            root=Root.PATIENT,
        ),
    )
    assert [patient[tag] for tag in (0x00201200, 0x00201202, 0x00201204)] == ["1", "2", "4"]
    (series,) = rows(filled, query(Level.SERIES, {SERIES_UID: ["1.1.1"], 0x00201209: ()}))
    assert series[0x00201209] == "3"


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ({MODALITIES: ["MR"]}, ["1.1"]),
        ({MODALITIES: ["M*"]}, ["1.1"]),
        ({MODALITIES: ["MR", "CT"]}, ["1.1", "1.2", "1.3"]),
        ({MODALITIES: ["US"]}, []),
        ({CLASSES: [MR]}, ["1.1"]),
        ({NAME: ["MÜLLER*"], PATIENT_ID: ["P2"]}, ["1.2"]),
        ({STUDY_UID: ["1.3", "1.1"]}, ["1.1", "1.3"]),
    ],
)
def test_keys_of_a_study(filled, keys, expected):
    assert told(filled, query(Level.STUDY, {STUDY_UID: (), **keys}), STUDY_UID) == expected


def test_unique_keys_above_the_level_narrow_the_answer(filled):
    asked = query(
        Level.IMAGE,
        {SOP_UID: (), SERIES_UID: ["1.1.2"], STUDY_UID: ["1.1"], PATIENT_ID: ["P1"]},
        root=Root.PATIENT,
    )
    assert told(filled, asked, SOP_UID) == ["1.1.2.1"]
    other = query(Level.IMAGE, {SOP_UID: (), SERIES_UID: ["1.1.2"], PATIENT_ID: ["P2"]})
    assert rows(filled, other) == []


@pytest.mark.parametrize(
    "keys",
    [
        {MODALITY: ["MR"]},  # below the level
        {PROCEDURE_CODES: ()},  # a sequence
        {0x00091010: ()},  # private
        {0x00104000: ["x"]},  # one that the index does not have
        {0x00201208: ["4"]},  # counted, so nothing to match
    ],
)
def test_a_key_that_is_not_supported_is_ignored_and_said_to_be(filled, keys):
    asked = query(Level.STUDY, {STUDY_UID: (), **keys})
    assert not search(asked, None).all_keys_supported
    found = rows(filled, asked)
    assert len(found) == 3
    assert all(tag in row for row in found for tag in keys)


@pytest.mark.parametrize("syntax", [IMPLICIT_LITTLE_ENDIAN, EXPLICIT_LITTLE_ENDIAN])
def test_keys_that_only_the_callers_identifier_has_are_answered(filled, syntax):
    identifier = Dataset()
    identifier.QueryRetrieveLevel = "STUDY"
    identifier.PatientID = "P1"
    code = Dataset()
    code.CodeValue = "X"
    identifier.ProcedureCodeSequence = Sequence([code])
    identifier.add_new(0x00090010, "LO", "ACME")
    asked = query(
        Level.STUDY,
        {PATIENT_ID: ["P1"]},
        encoded=Encoded(data=encoded(identifier, syntax), transfer_syntax=syntax),
    )
    (row,) = rows(filled, asked)
    assert row == {
        0x00080052: "STUDY",
        PROCEDURE_CODES: [],
        0x00090010: "",
        PATIENT_ID: "P1",
    }
    assert not search(asked, None).all_keys_supported


def test_an_identifier_that_cannot_be_read_is_the_callers_fault():
    broken = Encoded(data=b"\x08\x00", transfer_syntax=IMPLICIT_LITTLE_ENDIAN)
    with pytest.raises(RequestError, match="cannot be read"):
        search(query(Level.STUDY, {}, encoded=broken), None)


def test_the_study_root_has_no_patients():
    for work in (lambda q: search(q, None), retrieval):
        with pytest.raises(RequestError, match="no PATIENT level"):
            work(query(Level.PATIENT, {PATIENT_ID: ["P1"]}))


# Retrieve


def retrieved(folder, asked):
    sql, values = retrieval(asked)
    with folder.index.reading() as db:
        ids = [row[0] for row in db.execute(sql, values)]
        uids = dict(db.execute("SELECT id, SOPInstanceUID FROM instance").fetchall())
    return [uids[each] for each in ids]


@pytest.mark.parametrize(
    ("level", "keys", "expected"),
    [
        (Level.STUDY, {STUDY_UID: ["1.1"]}, ["1.1.1.1", "1.1.1.2", "1.1.1.10", "1.1.2.1"]),
        (Level.STUDY, {STUDY_UID: ["1.1"], PATIENT_ID: ["P2"]}, []),
        (Level.STUDY, {STUDY_UID: ["1.3", "1.2"]}, ["1.2.1.1", "1.3.1.1"]),
        (Level.SERIES, {STUDY_UID: ["1.1"], SERIES_UID: ["1.1.2"]}, ["1.1.2.1"]),
        (Level.SERIES, {STUDY_UID: ["1.2"], SERIES_UID: ["1.1.2"]}, []),
        (Level.IMAGE, {SOP_UID: ["1.1.1.2", "9.9"]}, ["1.1.1.2"]),
        (Level.IMAGE, {SOP_UID: ["9.9"]}, []),
        (Level.STUDY, {STUDY_UID: ["1.3"], DESCRIPTION: ()}, ["1.3.1.1"]),
    ],
)
def test_what_a_retrieve_gives_and_in_which_order(filled, level, keys, expected):
    assert retrieved(filled, query(level, keys)) == expected


def test_a_retrieve_by_patient(filled):
    asked = query(Level.PATIENT, {PATIENT_ID: ["P1"]}, root=Root.PATIENT)
    assert len(retrieved(filled, asked)) == 4


@pytest.mark.parametrize(
    ("level", "keys", "why"),
    [
        (Level.STUDY, {}, "lacks its unique key"),
        (Level.STUDY, {STUDY_UID: [" "]}, "lacks its unique key"),
        (Level.STUDY, {STUDY_UID: ["1.*"]}, "wildcard"),
        (Level.STUDY, {STUDY_UID: ["*"]}, "wildcard"),
        (Level.STUDY, {STUDY_UID: ["1.1"], SERIES_UID: ["1.1.1"]}, "has the key"),
        (Level.STUDY, {STUDY_UID: ["1.1"], MODALITY: ["CT"]}, "has the key"),
    ],
)
def test_a_retrieve_by_other_than_unique_keys_is_refused(level, keys, why):
    with pytest.raises(RequestError, match=why):
        retrieval(query(level, keys))
