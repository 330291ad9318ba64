"""The tables, conflicts, and what an index file must be."""

import sqlite3

import pytest

from harmony.archive.folder import INDEX, Folder
from harmony.archive.index import Index, Unusable, Verdict
from harmony.archive.tables import VERSION
from tests.support.archive import arrive as arrive_data
from tests.support.archive import data_set, store


def column(folder, table, name):
    with folder.index.reading() as db:
        return [value for (value,) in db.execute(f"SELECT {name} FROM {table} ORDER BY id")]


def test_commits_are_durable_and_readers_do_not_wait(folder):
    with folder.index.reading() as db:
        assert db.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert db.execute("PRAGMA user_version").fetchone() == (VERSION,)
        before = db.execute("SELECT count(*) FROM instance").fetchone()
        assert store(folder).verdict is Verdict.ADDED  # while a reader is there
        with pytest.raises(sqlite3.OperationalError, match="readonly"):
            db.execute("DELETE FROM instance")
    assert (before, folder.index.count()) == ((0,), 1)
    assert folder.index._writer.execute("PRAGMA synchronous").fetchone() == (2,)


@pytest.mark.parametrize(
    ("on_conflict", "verdict", "stays"),
    [
        ("keep", Verdict.KEPT, "FIRST"),
        ("refuse", Verdict.REFUSED, "FIRST"),
        ("replace", Verdict.REPLACED, "SECOND"),
    ],
)
def test_other_bytes_under_a_uid(folder, on_conflict, verdict, stays):
    store(folder, StudyDescription="FIRST", ImageType="FIRST")
    decision = store(folder, on_conflict, StudyDescription="SECOND", ImageType="SECOND")
    assert decision.verdict is verdict
    assert (decision.dropped is not None) == (verdict is Verdict.REPLACED)
    assert column(folder, "instance", "ImageType") == [stays]
    assert store(folder, on_conflict, StudyDescription=stays, ImageType=stays).verdict is (
        Verdict.SAME
    )


def test_the_same_bytes_in_another_transfer_syntax_are_another_object(folder):
    data = data_set()
    first = arrive_data(folder, data)
    second = arrive_data(folder, data, transfer_syntax="1.2.840.10008.1.2.4.50")
    decisions = folder.commit([first, second], "refuse")
    assert [each.verdict for each in decisions] == [Verdict.ADDED, Verdict.REFUSED]


def test_an_object_whose_file_is_lost_is_taken_again(folder):
    store(folder)
    (file,) = folder.objects.all_files()
    folder.objects.path(file).unlink()
    assert store(folder).verdict is Verdict.REPLACED
    assert folder.index.count() == 1


def test_a_replaced_instance_leaves_no_empty_series_study_or_patient(folder):
    store(folder)
    store(folder, "replace", SeriesInstanceUID="9.1", StudyInstanceUID="9.0", PatientID="P9")
    assert column(folder, "patient", "PatientID") == ["P9"]
    assert column(folder, "study", "StudyInstanceUID") == ["9.0"]
    assert column(folder, "series", "SeriesInstanceUID") == ["9.1"]


def test_a_replaced_instance_leaves_what_others_are_in(folder):
    store(folder, SOPInstanceUID="1.1")
    store(folder, SOPInstanceUID="1.2", SeriesInstanceUID="8.1")
    store(folder, "replace", SOPInstanceUID="1.2", SeriesInstanceUID="9.1", StudyInstanceUID="9.0")
    assert column(folder, "series", "SeriesInstanceUID") == ["1.2.3.1", "9.1"]
    assert column(folder, "study", "StudyInstanceUID") == ["1.2.3", "9.0"]
    assert column(folder, "patient", "PatientID") == ["P1"]


def test_what_a_study_lacks_a_later_object_may_add_but_not_change(folder):
    store(folder, StudyDescription=None, SOPInstanceUID="1.1")
    store(folder, StudyDescription="CHEST", SOPInstanceUID="1.2")
    store(folder, StudyDescription="HEAD", PatientName="Other^Name", SOPInstanceUID="1.3")
    assert column(folder, "study", "StudyDescription") == ["CHEST"]
    assert column(folder, "patient", "PatientName") == ["Doe^Jane"]
    assert column(folder, "patient", "PatientName_compared") == ["=doe^jane="]


def test_a_study_uid_of_two_patients_is_two_studies(folder):
    store(folder, SOPInstanceUID="1.1")
    store(folder, SOPInstanceUID="1.2", PatientID="P2")
    assert column(folder, "study", "StudyInstanceUID") == ["1.2.3", "1.2.3"]
    assert column(folder, "patient", "PatientID") == ["P1", "P2"]


def test_objects_without_a_patient_id_are_not_thrown_together(folder):
    store(folder, SOPInstanceUID="1.1", PatientID=None)
    store(folder, SOPInstanceUID="1.2", PatientID="")
    store(folder, SOPInstanceUID="1.3", PatientID=None, StudyInstanceUID="7.0")
    assert column(folder, "patient", "id") == [1, 2]


def test_one_number_of_two_issuers_is_two_people(folder):
    store(folder, SOPInstanceUID="1.1", StudyInstanceUID="7.1", IssuerOfPatientID="A")
    for uid in ("1.2", "1.3"):
        store(
            folder,
            SOPInstanceUID=uid,
            StudyInstanceUID="7.2",
            IssuerOfPatientID="B",
            PatientName="Roe^Rita",
        )
    assert column(folder, "patient", "PatientName") == ["Doe^Jane", "Roe^Rita"]
    assert column(folder, "study", "patient") == [1, 2]


@pytest.mark.parametrize("issuers", [(None, "A", None), ("A", None, "A"), ("A", "", "A")])
def test_an_issuer_that_is_not_always_told_makes_nobody_two_people(folder, issuers):
    for number, issuer in enumerate(issuers):
        store(folder, SOPInstanceUID=f"1.{number}", IssuerOfPatientID=issuer)
    assert column(folder, "patient", "IssuerOfPatientID") == ["A"]
    assert column(folder, "study", "StudyInstanceUID") == ["1.2.3"]


def test_an_issuer_that_is_told_decides_where_one_is_unknown(folder):
    store(folder, SOPInstanceUID="1.1", IssuerOfPatientID="A")
    store(folder, SOPInstanceUID="1.2", IssuerOfPatientID="B", StudyInstanceUID="7.2")
    store(folder, SOPInstanceUID="1.3", IssuerOfPatientID="B", StudyInstanceUID="7.3")
    assert column(folder, "study", "patient") == [1, 2, 2]


def test_a_failure_in_a_batch_takes_nothing_in(folder):
    first = arrive_data(folder, data_set())
    with pytest.raises(sqlite3.Error):
        folder.index.add([first, first], "replace", lambda *_: _fail())
    assert folder.index.count() == 0
    assert store(folder, SOPInstanceUID="1.9").verdict is Verdict.ADDED


def _fail():
    raise sqlite3.OperationalError("as a test wants it")


def test_a_reader_that_is_told_to_stop_stops_and_its_connection_serves_on(folder):
    def stop():
        raise RuntimeError

    long = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n"
    with pytest.raises(sqlite3.OperationalError, match="interrupted"):
        with folder.index.reading(stop) as db:
            db.execute(long).fetchall()
    assert folder.index.count() == 0


def test_a_damaged_file_is_named_and_how_to_mend_it(tmp_path):
    Folder.open(tmp_path).close()
    (tmp_path / INDEX).write_bytes(b"no database at all" * 1000)
    with pytest.raises(Unusable, match="rebuild"):
        Folder.open(tmp_path)


def test_a_file_of_another_version_is_not_touched(tmp_path):
    Index(tmp_path / INDEX).close()
    db = sqlite3.connect(tmp_path / INDEX)
    db.execute("PRAGMA user_version = 99")
    db.close()
    with pytest.raises(Unusable, match="version 99"):
        Index(tmp_path / INDEX)
