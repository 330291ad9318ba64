"""Keys against values, by SQLite itself."""

import sqlite3

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harmony.archive.attributes import ATTRIBUTES
from harmony.archive.matching import MAX_VALUES, condition
from harmony.archive.values import compared
from harmony.errors import RequestError

BY_COLUMN = {attribute.column: attribute for attribute in ATTRIBUTES.values()}


def matches(column, stored, *key):
    attribute = BY_COLUMN[column]
    met = condition(attribute, key, "t")
    if met is None:
        return True
    db = sqlite3.connect(":memory:")
    try:
        db.execute(f"CREATE TABLE t ({attribute.compared} TEXT)")
        db.execute("INSERT INTO t VALUES (?)", (compared(attribute, stored),))
        return bool(db.execute(f"SELECT 1 FROM t WHERE {met.sql}", met.values).fetchall())
    finally:
        db.close()


@pytest.mark.parametrize("key", [(), ("",), ("*",), ("**",), ("  ",), ("P1", "*")])
def test_universal_matching_meets_everything_even_the_unknown(key):
    assert condition(BY_COLUMN["PatientID"], key, "t") is None
    assert condition(BY_COLUMN["StudyDate"], key, "t") is None


@pytest.mark.parametrize(
    ("column", "stored", "key", "expected"),
    [
        # single values
        ("PatientID", "P1", ("P1",), True),
        ("PatientID", "P1", ("p1",), False),
        ("PatientID", "P1", ("P1 ",), True),
        ("PatientID", "P10", ("P1",), False),
        ("PatientID", "", ("P1",), False),
        ("StudyDescription", "50%_[x]", ("50%_[x]",), True),
        ("SeriesNumber", "7", ("007",), True),
        ("Rows", "512", ("512",), True),
        ("Modality", "CT", ("MR", "CT"), True),
        ("Modality", "CT", ("MR", "US"), False),
        # names are padded in each component, and an empty group of a key may be any
        ("PatientName", "DOE ^ JOHN", ("doe^john",), True),
        ("PatientName", "Doe^John", ("DOE ^JOHN",), True),
        ("PatientName", "Yamada^T=山田^太郎=やまだ^た", ("yamada^t==やまだ^た",), True),
        ("PatientName", "Yamada^T=山田^太郎=やまだ^た", ("yamada^t==すずき",), False),
        # what is stored in lesser precision may begin with the range
        ("StudyTime", "1030", ("103000-110000",), True),
        ("StudyTime", "1030", ("103001-110000",), False),
        ("StudyTime", "1030", ("103000",), True),
        ("StudyTime", "00", ("000000-235959",), True),
        ("StudyTime", "00", ("000000.000000-",), True),
        ("AcquisitionDateTime", "2024", ("20240101-20241231",), True),
        ("AcquisitionDateTime", "2024", ("2024",), True),
        ("AcquisitionDateTime", "202403", ("20240301000000",), True),
        ("AcquisitionDateTime", "202403", ("20240302",), False),
        ("AcquisitionDateTime", "2001", ("2001-2002",), True),
        ("AcquisitionDateTime", "2000", ("2001-2002",), False),
        # an offset from UTC, with any precision
        ("AcquisitionDateTime", "20240101120000", ("20240101+0100",), True),
        ("AcquisitionDateTime", "20231231233000", ("20240101+0100",), True),
        ("AcquisitionDateTime", "20240101233000", ("20240101+0100",), False),
        ("AcquisitionDateTime", "20240101120000", ("-20240101+0100",), True),
        ("AcquisitionDateTime", "20240101120000", ("20240101-0500-20240102-0500",), True),
        # lists of UIDs
        ("StudyInstanceUID", "1.2.3", ("1.2.3",), True),
        ("StudyInstanceUID", "1.2.3", ("9.9", "1.2.3"), True),
        ("StudyInstanceUID", "1.2.3", ("9.9", "1.2"), False),
        ("StudyInstanceUID", "1.2.3", ("1.2.*",), False),
        # wildcards
        ("PatientID", "P1", ("P*",), True),
        ("PatientID", "P1", ("?1",), True),
        ("PatientID", "P1", ("P?*1",), False),
        ("PatientID", "P1", ("P**1",), True),
        ("PatientID", "AP1", ("P*",), False),
        ("PatientID", "a_b", ("a?b",), True),
        ("PatientID", "aXb", ("a_b*",), False),
        ("PatientID", "aXb", ("a%b",), False),
        ("PatientID", "a[b]", ("a[b*",), True),
        ("PatientID", "ab", ("[a]*",), False),
        ("PatientID", "", ("?",), False),
        ("PatientID", "", ("**?**",), False),
        ("StudyDescription", "胸部CT", ("胸?CT",), True),
        ("SeriesNumber", "12", ("1?",), False),  # IS takes none
        # names
        ("PatientName", "Doe^Jane", ("DOE^JANE",), True),
        ("PatientName", "Doe^Jane^^", ("doe^jane",), True),
        ("PatientName", "Doe^Jane", ("doe^jane^^^",), True),
        ("PatientName", "Doe^Jane", ("doe",), False),
        ("PatientName", "Doe^Jane", ("doe*",), True),
        ("PatientName", "Doe^Jane", ("*JANE",), True),
        ("PatientName", "MÜLLER^J", ("müller*",), True),
        ("PatientName", "Иванова^Мария", ("ИВАНОВА*",), True),
        ("PatientName", "Yamada^Tarou=山田^太郎=やまだ^たろう", ("山田*",), True),
        ("PatientName", "Yamada^Tarou=山田^太郎=やまだ^たろう", ("=山田^太郎",), True),
        ("PatientName", "Yamada^Tarou=山田^太郎", ("yamada^tarou=山田*",), True),
        ("PatientName", "Yamada^Tarou=山田^太郎", ("yamada",), False),
        ("PatientName", "[x]", ("[X]",), True),
        ("PatientName", "", ("?",), False),
        ("PatientName", "Doe", ("=",), True),
        ("OperatorsName", "A^B\\C^D", ("c^d",), True),
        # several values
        ("ImageType", "ORIGINAL\\PRIMARY", ("PRIMARY",), True),
        ("ImageType", "ORIGINAL\\PRIMARY", ("PRIM",), False),
        ("ImageType", "ORIGINAL\\PRIMARY", ("PRIM*",), True),
        ("OtherPatientIDs", "A*\\B]", ("A*",), True),
        # dates and times
        ("StudyDate", "20240131", ("20240131",), True),
        ("StudyDate", "20240131", ("20240130",), False),
        ("StudyDate", "20240131", ("20240101-20240131",), True),
        ("StudyDate", "20240131", ("20240101 - 20240131",), True),
        ("StudyDate", "20240131", ("20240201-",), False),
        ("StudyDate", "20240131", ("20240131-",), True),
        ("StudyDate", "20240131", ("-20240130",), False),
        ("StudyDate", "", ("-20240131",), False),
        ("StudyTime", "103015", ("1030",), True),
        ("StudyTime", "103015.5", ("103015",), True),
        ("StudyTime", "103115", ("1030",), False),
        ("StudyTime", "103015", ("10-1030",), True),
        ("StudyTime", "103115", ("10-1030",), False),
        ("StudyTime", "103015", ("10:30-10:31",), True),
        ("StudyTime", "103015", ("103015.000000-",), True),
        ("AcquisitionDateTime", "20240131103000+0100", ("20240131093000",), True),
        ("AcquisitionDateTime", "20240131093000", ("20240131103000+0100",), True),
        ("AcquisitionDateTime", "20240131", ("2024",), True),
        ("AcquisitionDateTime", "20240131103000", ("2023-20240131",), True),
        ("AcquisitionDateTime", "20240131103000", ("20240131110000+0100-",), True),
        ("AcquisitionDateTime", "20240131103000", ("-20240131110000+0100",), False),
    ],
)
def test_matching(column, stored, key, expected):
    assert matches(column, stored, *key) is expected


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("StudyDate", "2024"),
        ("StudyDate", "yesterday"),
        ("StudyDate", "20240101-20240102-20240103"),
        ("StudyDate", "-"),
        ("StudyTime", "1"),
        ("AcquisitionDateTime", "x-y"),
        ("StudyDescription", "x" * 1025),
    ],
)
def test_a_value_that_is_none_of_its_vr_is_refused_without_quoting_it(column, value):
    with pytest.raises(RequestError) as caught:
        condition(BY_COLUMN[column], (value,), "t")
    assert column in caught.value.detail
    assert value not in caught.value.detail.split(": ")[1]


def test_more_values_than_the_limit_are_refused_but_uids_have_none():
    with pytest.raises(RequestError, match=str(MAX_VALUES)):
        condition(BY_COLUMN["Modality"], ("CT",) * (MAX_VALUES + 1), "t")
    uids = [f"1.2.{number}" for number in range(40_000)]
    assert matches("StudyInstanceUID", "1.2.39999", *uids)


@given(stored=st.text(max_size=20), key=st.text(max_size=20))
def test_a_key_never_becomes_sql(stored, key):
    for column in ("PatientID", "PatientName", "ImageType", "StudyInstanceUID", "SeriesNumber"):
        matches(column, stored, key)


@given(
    text=st.text(
        st.characters(codec="utf-8", exclude_categories=("Cc", "Cs"), exclude_characters="\\=*?^ "),
        min_size=1,
        max_size=30,
    )
)
def test_a_value_meets_itself_and_its_own_beginning(text):
    for column in ("PatientID", "PatientName", "ImageType"):
        assert matches(column, text, text)
        assert matches(column, text, text[:5] + "*")
