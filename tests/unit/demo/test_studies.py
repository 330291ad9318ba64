"""The studies of the demo: many kinds, many scripts, no clash, no weight."""

from io import BytesIO

import pytest
from pydicom import dcmread

from harmony.demo.objects import Kind
from harmony.demo.studies import STUDIES, TO_SEND, make_study

ALL = (*STUDIES, *TO_SEND)


def files(study):
    for dataset in make_study(study):
        buffer = BytesIO()
        dataset.save_as(buffer, enforce_file_format=True)
        yield buffer.getvalue()


@pytest.fixture(scope="module")
def made():
    return {study: [dcmread(BytesIO(file)) for file in files(study)] for study in ALL}


def test_every_kind_is_there():
    assert {kind for study in STUDIES for kind, _ in study.series} == set(Kind)


@pytest.mark.parametrize("study", ALL, ids=lambda study: study.subject.name)
def test_names_and_descriptions_survive_their_character_set(study, made):
    for dataset in made[study]:
        assert str(dataset.PatientName) == study.subject.name
        assert dataset.StudyDescription == study.subject.description


def test_there_are_at_least_six_character_sets():
    assert len({study.subject.charset for study in STUDIES}) >= 6


def test_no_two_instances_have_one_uid(made):
    uids = [dataset.SOPInstanceUID for study in ALL for dataset in made[study]]
    assert len(uids) == len(set(uids)) > 40


def test_studies_of_one_patient_name_it_alike_and_differ_themselves(made):
    for attribute in ("PatientName", "PatientBirthDate", "PatientSex"):
        by_patient: dict[str, set[str]] = {}
        for study in ALL:
            for dataset in made[study]:
                by_patient.setdefault(dataset.PatientID, set()).add(str(dataset[attribute].value))
        assert {len(values) for values in by_patient.values()} == {1}
    assert len({made[study][0].StudyInstanceUID for study in ALL}) == len(ALL)
    assert len({study.subject.patient_id for study in STUDIES}) < len(STUDIES)


def test_every_patient_is_said_to_be_invented(made):
    for study in ALL:
        for dataset in made[study]:
            assert dataset.PatientID.startswith("DEMO-")
            assert dataset.PatientComments.startswith("Invented")


def test_all_of_it_is_a_few_megabytes():
    assert sum(len(file) for study in ALL for file in files(study)) < 10_000_000


def test_what_is_to_be_sent_is_not_in_the_archive():
    kept = {study.subject.number for study in STUDIES}
    assert kept.isdisjoint(study.subject.number for study in TO_SEND)
