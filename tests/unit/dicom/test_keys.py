"""Keys in three spellings, and values by their VR."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.datadict import keyword_dict

from harmony.dicom.keys import find_tag, has_wildcard, snake_case, texts, vr_of
from harmony.errors import RequestError

# One attribute of each VR that may be matched on.
TAGS = {
    "AE": 0x00080054,
    "AS": 0x00101010,
    "CS": 0x00080060,
    "DA": 0x00080020,
    "DS": 0x00101030,
    "DT": 0x0008002A,
    "IS": 0x00200013,
    "LO": 0x00100020,
    "LT": 0x00104000,
    "PN": 0x00100010,
    "SH": 0x00080050,
    "SL": 0x00186020,
    "SS": 0x00189219,
    "ST": 0x00080081,
    "TM": 0x00080030,
    "UC": 0x00080119,
    "UI": 0x0020000D,
    "UL": 0x00186016,
    "UR": 0x0040E010,
    "US": 0x00280010,
    "UT": 0x0040A160,
}


def value(vr: str, given: object) -> tuple[str, ...]:
    return texts("key", TAGS[vr], given)


def refusal(vr: str, given: object) -> RequestError:
    with pytest.raises(RequestError) as caught:
        value(vr, given)
    assert caught.value.http_status == 400
    assert caught.value.hint
    assert "`key`" in caught.value.detail
    return caught.value


@pytest.mark.parametrize(("vr", "tag"), TAGS.items())
def test_the_table_of_this_test_is_true(vr, tag):
    assert vr_of(tag) == vr


# Names


@pytest.mark.parametrize(
    ("name", "tag"),
    [
        ("patient_id", 0x00100020),
        ("PatientID", 0x00100020),
        ("00100020", 0x00100020),
        ("0010,0020", 0x00100020),
        ("(0010,0020)", 0x00100020),
        ("study_instance_uid", 0x0020000D),
        ("StudyInstanceUID", 0x0020000D),
        ("0020000d", 0x0020000D),
        ("0020000D", 0x0020000D),
        ("sop_instance_uid", 0x00080018),
        ("modalities_in_study", 0x00080061),
        ("number_of_study_related_instances", 0x00201208),
        ("00091001", 0x00091001),
    ],
)
def test_a_key_is_found_in_any_spelling(name, tag):
    assert find_tag(name) == tag


def test_every_keyword_is_found_in_its_spellings():
    for keyword, tag in keyword_dict.items():
        if keyword:
            assert find_tag(keyword) == tag
            assert find_tag(snake_case(keyword)) == tag
            assert find_tag(f"{tag:08x}") == tag


@pytest.mark.parametrize(
    ("keyword", "snake"),
    [
        ("StudyInstanceUID", "study_instance_uid"),
        ("SOPInstanceUID", "sop_instance_uid"),
        ("PatientID", "patient_id"),
        ("KVP", "kvp"),
        ("ReferencedSOPClassUID", "referenced_sop_class_uid"),
    ],
)
def test_acronyms_stay_together_in_snake_case(keyword, snake):
    assert snake_case(keyword) == snake


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("patient_idd", "`patient_id`"),
        ("PatientId", "`PatientID`"),
        ("patientid", "`patient_id`"),
        ("studyinstanceuid", "`study_instance_uid`"),
        ("acession_number", "`accession_number`"),
    ],
)
def test_an_unknown_key_is_refused_with_near_names(name, near):
    with pytest.raises(RequestError) as caught:
        find_tag(name)
    assert caught.value.code == "unknown-key"
    assert caught.value.http_status == 400
    assert name in caught.value.detail
    assert near in (caught.value.hint or "")


@pytest.mark.parametrize("name", ["", " ", "\x1b[2J", "0010002", "001000200", "q" * 10_000, "😀"])
def test_a_key_like_no_other_is_refused_with_the_spellings(name):
    with pytest.raises(RequestError) as caught:
        find_tag(name)
    assert caught.value.code == "unknown-key"
    assert "`patient_id`, `PatientID` or `00100020`" in (caught.value.hint or "")
    assert caught.value.detail.isprintable()
    assert len(caught.value.detail) < 100


@pytest.mark.parametrize(
    ("tag", "vr"), [(0x00091001, "UN"), (0x7FE00010, "OB"), (0x00280106, "US"), (0x60000010, "US")]
)
def test_a_vr_is_found_for_any_tag(tag, vr):
    assert vr_of(tag) == vr


# Values


@pytest.mark.parametrize("vr", TAGS)
@pytest.mark.parametrize("nothing", [None, ""])
def test_no_value_matches_everything(vr, nothing):
    assert value(vr, nothing) == ()


@pytest.mark.parametrize(
    ("vr", "given", "expected"),
    [
        ("LO", "12345", ("12345",)),
        ("LO", 12345, ("12345",)),
        ("LO", "A*", ("A*",)),
        ("LO", ["A", "B"], ("A", "B")),
        ("LO", "x" * 64, ("x" * 64,)),
        ("PN", "Müller^J?rg*", ("Müller^J?rg*",)),
        ("PN", "Yamada^Tarou=山田^太郎", ("Yamada^Tarou=山田^太郎",)),
        ("CS", ["CT", "MR"], ("CT", "MR")),
        ("AE", "ORTHANC", ("ORTHANC",)),
        ("AS", "042Y", ("042Y",)),
        ("DA", "20260131", ("20260131",)),
        ("DA", "20260101-20260131", ("20260101-20260131",)),
        ("DA", "20260101-", ("20260101-",)),
        ("DA", "-20260131", ("-20260131",)),
        ("DA", 20260131, ("20260131",)),
        ("TM", "12", ("12",)),
        ("TM", "1230", ("1230",)),
        ("TM", "123059.123456", ("123059.123456",)),
        ("TM", "08-1200", ("08-1200",)),
        ("DT", "20260131", ("20260131",)),
        ("DT", "20260131120000+0100", ("20260131120000+0100",)),
        ("DT", "20260131-0500-20260201-0500", ("20260131-0500-20260201-0500",)),
        ("DT", "20260131120000.5-0500-", ("20260131120000.5-0500-",)),
        ("DS", "1.5", ("1.5",)),
        ("DS", 1.5, ("1.5",)),
        ("DS", 70, ("70",)),
        ("DS", "-1.5e-3", ("-1.5e-3",)),
        ("IS", 7, ("7",)),
        ("IS", "+7", ("+7",)),
        ("UI", "1.2.3", ("1.2.3",)),
        ("UI", ["1.2.3", "1.2.4"], ("1.2.3", "1.2.4")),
        ("US", 512, ("512",)),
        ("US", "512", ("512",)),
        ("US", [0, 65535], ("0", "65535")),
        ("SS", -32768, ("-32768",)),
        ("UL", 2**32 - 1, (str(2**32 - 1),)),
        ("SL", -(2**31), (str(-(2**31)),)),
        ("UR", "http://pacs/x", ("http://pacs/x",)),
        ("UT", "long " * 200, ("long " * 200,)),
    ],
)
def test_a_value_becomes_dicom_text(vr, given, expected):
    assert value(vr, given) == expected


@pytest.mark.parametrize(
    ("vr", "given", "hint"),
    [
        ("LO", True, '"key": "value"'),
        ("LO", {"a": 1}, '"key": "value"'),
        ("LO", [["A"]], '"key": "value"'),
        ("LO", [None], '"key": "value"'),
        ("LO", [], "give null"),
        ("LO", ["A", ""], "leave it out"),
        ("LO", ["x"] * 1001, "several requests"),
        ("PN", ["y" * 100] * 1000, "several requests"),
        ("LO", "A\\B", "list"),
        ("LO", "A\nB", "leave it out"),
        ("LO", "A\x1b$B", "leave it out"),
        ("LO", "x" * 65, "shorten"),
        ("AE", "x" * 17, "shorten"),
        ("AE", "ÄRZTE", "without"),
        ("CS", "é", "without"),
        ("UR", "http://ä", "without"),
        ("AS", "42", "042Y"),
        ("AS", "*", "the value itself"),
        ("DA", "2026-01-31", "YYYYMMDD"),
        ("DA", "31.01.2026", "YYYYMMDD-YYYYMMDD"),
        ("DA", "2026*", "YYYYMMDD"),
        ("DA", "-", "YYYYMMDD"),
        ("DA", "20260101--20260131", "YYYYMMDD"),
        ("DA", "٢٠٢٦٠١٠١", "YYYYMMDD"),
        ("TM", "12:30", "HHMMSS"),
        ("TM", "123", "HHMMSS"),
        ("DT", "2026-01-31T12:00:00", "YYYYMMDDHHMMSS"),
        ("DS", "1,5", "decimal"),
        ("DS", "1*", "the value itself"),
        ("DS", 0.12345678901234567, "shorten"),
        ("IS", 1.5, "whole number"),
        ("IS", "seven", "whole number"),
        ("IS", "\u0667", "without"),
        ("UI", "1.2.*", "digits and dots"),
        ("UI", "abc", "digits and dots"),
        ("UI", "1.2\\1.3", "list"),
        ("US", "x", "digits"),
        ("US", 1.5, "digits"),
        ("US", "9" * 5000, "digits"),
        ("US", 65536, "another number"),
        ("US", -1, "another number"),
        ("SL", 2**31, "another number"),
        ("UT", ["a", "b"], "string"),
        ("UT", "x" * 10241, "shorten"),
    ],
)
def test_a_value_that_does_not_fit_is_refused_with_what_to_write(vr, given, hint):
    error = refusal(vr, given)
    assert error.code == "bad-value"
    assert hint in (error.hint or "")


@pytest.mark.parametrize("tag", [0x00081140, 0x7FE00010, 0x00091001, 0x00280009, 0x00186028])
def test_an_attribute_that_cannot_be_matched_may_only_be_asked_for(tag):
    assert texts("key", tag, None) == ()
    with pytest.raises(RequestError) as caught:
        texts("key", tag, "x")
    assert "`return`" in (caught.value.hint or "")


def test_a_refusal_does_not_quote_the_value():
    error = refusal("LO", "Doe^Jane" * 20)
    assert "Doe" not in error.detail
    assert "Doe" not in (error.hint or "")


@given(st.sampled_from(sorted(TAGS)), st.text(max_size=70))
def test_any_text_is_a_clean_value_or_a_bad_request(vr, text):
    try:
        found = value(vr, text)
    except RequestError:
        return
    assert not any(char in one for one in found for char in "\\\r\n\0\x1b")
    assert len(found) == (1 if text else 0)


@pytest.mark.parametrize(("text", "wild"), [("A*", True), ("A?", True), ("A", False), ("", False)])
def test_wildcards_are_seen(text, wild):
    assert has_wildcard(text) is wild
