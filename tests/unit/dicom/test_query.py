"""Queries from JSON, and identifiers from queries."""

from __future__ import annotations

import json
from io import BytesIO

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydicom.datadict import tag_for_keyword
from pydicom.dataset import Dataset
from pydicom.filereader import read_dataset

from harmony.dicom import strict_json
from harmony.dicom.query import MAX_LIMIT, MAX_RETURN_KEYS, encode_identifier, parse_query
from harmony.envelope import Key, Level, Operation, Query, Root
from harmony.errors import RequestError

FIND, GET, MOVE = Operation.FIND, Operation.GET, Operation.MOVE
OPERATIONS = (FIND, GET, MOVE)
PATIENT, STUDY, SERIES, IMAGE = Level

IMPLICIT, EXPLICIT, BIG = "1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2"
SYNTAXES = {IMPLICIT: (True, True), EXPLICIT: (False, True), BIG: (False, False)}

UIDS = {
    PATIENT: {"patient_id": "P1"},
    STUDY: {"study_instance_uid": "1.2"},
    SERIES: {"study_instance_uid": "1.2", "series_instance_uid": "1.2.3"},
    IMAGE: {
        "study_instance_uid": "1.2",
        "series_instance_uid": "1.2.3",
        "sop_instance_uid": "1.2.3.4",
    },
}
UNIQUE = {PATIENT: 0x00100020, STUDY: 0x0020000D, SERIES: 0x0020000E, IMAGE: 0x00080018}


def tag(keyword: str) -> int:
    found = tag_for_keyword(keyword)
    assert found is not None
    return found


def values(query: Query) -> dict[int, tuple[str, ...]]:
    return {key.tag: key.values for key in query.keys}


def refusal(operation: Operation, document: object) -> RequestError:
    with pytest.raises(RequestError) as caught:
        parse_query(operation, document)
    assert caught.value.http_status == 400
    assert caught.value.hint
    return caught.value


def with_destination(operation: Operation, document: dict[str, object]) -> dict[str, object]:
    return {**document, "destination": "DEST"} if operation is MOVE else document


# FIND


@pytest.mark.parametrize("name", ["patient_id", "PatientID", "00100020", "0010,0020"])
def test_a_key_is_taken_in_any_spelling(name):
    query = parse_query(FIND, {name: "12345", "query_level": "PATIENT"})
    assert (query.level, query.root) == (PATIENT, Root.PATIENT)
    assert values(query)[0x00100020] == ("12345",)


def test_keys_are_in_the_order_of_their_tags():
    query = parse_query(FIND, {"study_date": "20260101", "patient_id": "1", "modality": "CT"})
    tags = [key.tag for key in query.keys]
    assert tags == sorted(set(tags))


@pytest.mark.parametrize(
    ("given", "level"),
    [
        ("PATIENT", PATIENT),
        ("STUDY", STUDY),
        ("SERIES", SERIES),
        ("IMAGE", IMAGE),
        ("INSTANCE", IMAGE),
        ("study", STUDY),
        ("Image", IMAGE),
    ],
)
def test_a_level_is_taken_as_people_write_it(given, level):
    assert parse_query(FIND, {"query_level": given}).level is level


@pytest.mark.parametrize(
    ("keys", "level"),
    [
        ({}, STUDY),
        ({"patient_id": "1"}, STUDY),
        ({"study_instance_uid": "1.2"}, STUDY),
        ({"series_instance_uid": "1.2"}, SERIES),
        ({"sop_instance_uid": "1.2"}, IMAGE),
        ({"study_instance_uid": "1.2", "series_instance_uid": "1.3"}, SERIES),
        ({"study_instance_uid": "1.2", "series_instance_uid": None}, STUDY),
        ({"query_level": None, "sop_instance_uid": "1.2"}, IMAGE),
    ],
)
def test_without_a_level_the_lowest_unique_key_is_the_level(keys, level):
    assert parse_query(FIND, keys).level is level


@pytest.mark.parametrize(
    ("level", "model", "root"),
    [
        (PATIENT, None, Root.PATIENT),
        (STUDY, None, Root.STUDY),
        (SERIES, None, Root.STUDY),
        (IMAGE, None, Root.STUDY),
        (PATIENT, "patient", Root.PATIENT),
        (STUDY, "patient", Root.PATIENT),
        (SERIES, "PATIENT", Root.PATIENT),
        (IMAGE, "patient", Root.PATIENT),
        (STUDY, "study", Root.STUDY),
        (SERIES, "Study", Root.STUDY),
    ],
)
def test_the_model_is_chosen_by_the_level_unless_given(level, model, root):
    asked = {"query_level": level.value, "query_model": model}
    assert parse_query(FIND, asked).root is root


@pytest.mark.parametrize(
    ("level", "root"),
    [(level, root) for level in Level for root in Root if (level, root) != (PATIENT, Root.STUDY)],
)
def test_a_find_asks_for_the_unique_keys_of_its_level_and_above(level, root):
    query = parse_query(FIND, {"query_level": level.value, "query_model": root.value})
    levels = list(Level)
    asked = set(levels[: levels.index(level) + 1])
    if root is Root.STUDY and level is not STUDY:
        asked.discard(PATIENT)  # at STUDY level it is an attribute of the study, PS3.4 C.6.2.1.2
    found = values(query)
    for each in Level:
        assert (UNIQUE[each] in found) == (each in asked), each
    assert all(found[UNIQUE[each]] == () for each in asked)


def test_what_is_returned_comes_beside_what_is_matched():
    query = parse_query(
        FIND,
        {
            "patient_id": "1",
            "return": ["patient_id", "BodyPartExamined", "00081140", "query_retrieve_level"],
        },
    )
    found = values(query)
    assert found[0x00100020] == ("1",)
    assert found[tag("BodyPartExamined")] == ()
    assert found[0x00081140] == ()
    assert 0x00080052 not in found


def test_lists_ranges_and_wildcards_go_into_the_keys():
    found = values(
        parse_query(
            FIND,
            {
                "study_instance_uid": ["1.2", "1.3"],
                "study_date": "20260101-",
                "patient_name": "Doe*",
                "modalities_in_study": ["CT", "MR"],
                "accession_number": None,
                "study_description": "",
            },
        )
    )
    assert found[0x0020000D] == ("1.2", "1.3")
    assert found[0x00080020] == ("20260101-",)
    assert found[0x00100010] == ("Doe*",)
    assert found[0x00080061] == ("CT", "MR")
    assert found[0x00080050] == ()
    assert found[0x00081030] == ()


@pytest.mark.parametrize(
    ("given", "limit", "offset"),
    [
        ({}, None, 0),
        ({"limit": None, "offset": None, "return": None}, None, 0),
        ({"limit": 1, "offset": 0}, 1, 0),
        ({"limit": MAX_LIMIT, "offset": MAX_LIMIT}, MAX_LIMIT, MAX_LIMIT),
    ],
)
def test_limit_and_offset_are_taken(given, limit, offset):
    query = parse_query(FIND, given)
    assert (query.limit, query.offset) == (limit, offset)
    assert query.destination is None


@pytest.mark.parametrize(
    ("document", "code", "hint"),
    [
        ([], "bad-query", "patient_id"),
        ("patient_id", "bad-query", "patient_id"),
        (None, "bad-query", "patient_id"),
        ({"patient_idd": "1"}, "unknown-key", "`patient_id`"),
        ({"return": ["patient_idd"]}, "unknown-key", "`patient_id`"),
        ({"patient_id": "1", "PatientID": "1"}, "bad-query", "once"),
        ({"patient_id": "1", "00100020": None}, "bad-query", "once"),
        ({"query_retrieve_level": "STUDY"}, "bad-query", "query_level"),
        ({"00080052": "STUDY"}, "bad-query", "query_level"),
        ({"specific_character_set": "ISO_IR 100"}, "bad-query", "leave"),
        ({"00020010": "1.2"}, "bad-query", "leave"),
        ({"00000100": "1"}, "bad-query", "leave"),
        ({"00080000": None}, "bad-query", "leave"),
        ({"FFFEE000": None}, "bad-query", "leave"),
        ({"FFFEE0DD": ""}, "bad-query", "leave"),
        ({"FFFF0010": None}, "bad-query", "leave"),
        ({"return": ["FFFEE00D"]}, "bad-query", "leave"),
        ({"return": ["00020010"]}, "bad-query", "leave"),
        ({"return": ["SpecificCharacterSet"]}, "bad-query", "leave"),
        ({"return": "study_date"}, "bad-query", '["study_date"]'),
        ({"return": [1]}, "bad-query", '["study_date"]'),
        ({"return": ["study_date"] * (MAX_RETURN_KEYS + 1)}, "bad-query", "fewer"),
        ({"query_level": "EXAM"}, "bad-query", "PATIENT, STUDY, SERIES, IMAGE"),
        ({"query_level": 1}, "bad-query", "INSTANCE"),
        ({"query_level": ""}, "bad-query", "STUDY"),
        ({"query_model": "series"}, "bad-query", "patient or study"),
        ({"query_model": True}, "bad-query", "patient or study"),
        ({"query_level": "PATIENT", "query_model": "study"}, "bad-query", '"patient"'),
        ({"limit": 0}, "bad-query", '"limit": 100'),
        ({"limit": -1}, "bad-query", '"limit": 100'),
        ({"limit": True}, "bad-query", '"limit": 100'),
        ({"limit": "10"}, "bad-query", '"limit": 100'),
        ({"limit": 1.0}, "bad-query", '"limit": 100'),
        ({"limit": MAX_LIMIT + 1}, "bad-query", '"limit": 100'),
        ({"offset": -1}, "bad-query", '"offset": 100'),
        ({"destination": "DEST"}, "bad-query", "leave"),
        ({"study_date": "yesterday"}, "bad-value", "YYYYMMDD"),
        ({"referenced_study_sequence": "x"}, "bad-value", "`return`"),
    ],
)
def test_a_find_that_cannot_be_asked_is_refused_with_what_to_write(document, code, hint):
    error = refusal(FIND, document)
    assert error.code == code
    assert hint in (error.hint or "")


# GET and MOVE


@pytest.mark.parametrize("operation", [GET, MOVE])
@pytest.mark.parametrize("level", Level)
def test_a_retrieve_holds_just_the_unique_keys(operation, level):
    asked = with_destination(operation, dict(UIDS[level]))
    if level is PATIENT:
        asked["query_level"] = "PATIENT"
    query = parse_query(operation, asked)
    assert query.level is level
    assert query.root is (Root.PATIENT if level is PATIENT else Root.STUDY)
    assert values(query) == {tag: (UIDS[level][name],) for name, tag in _named(level).items()}
    assert query.destination == ("DEST" if operation is MOVE else None)


def _named(level: Level) -> dict[str, int]:
    names = {"patient_id": PATIENT, "study_instance_uid": STUDY, "series_instance_uid": SERIES}
    names["sop_instance_uid"] = IMAGE
    return {name: UNIQUE[names[name]] for name in UIDS[level]}


@pytest.mark.parametrize("level", [STUDY, SERIES, IMAGE])
def test_in_the_patient_model_the_patient_is_named_too(level):
    asked = {**UIDS[level], "query_model": "patient"}
    assert "`patient_id`" in refusal(GET, asked).detail
    query = parse_query(GET, {**asked, "patient_id": "P1"})
    assert query.root is Root.PATIENT
    assert values(query)[0x00100020] == ("P1",)
    assert len(query.keys) == len(UIDS[level]) + 1


def test_a_patient_id_in_a_retrieve_is_obeyed_not_dropped():
    query = parse_query(GET, {"study_instance_uid": "1.2", "patient_id": "P1"})
    assert query.root is Root.PATIENT
    assert values(query) == {0x0020000D: ("1.2",), 0x00100020: ("P1",)}


def test_in_the_study_model_a_retrieve_takes_no_patient_id():
    asked = {"study_instance_uid": "1.2", "patient_id": "P1", "query_model": "study"}
    assert "`patient_id`" in refusal(GET, asked).detail


@pytest.mark.parametrize("key", ["series_instance_uid", "sop_instance_uid"])
def test_a_find_takes_no_unique_key_below_its_level(key):
    error = refusal(FIND, {"query_level": "STUDY", key: "1.2"})
    assert key in error.detail
    assert error.http_status == 400


def test_a_retrieve_takes_a_list_of_uids_at_its_level():
    query = parse_query(GET, {**UIDS[SERIES], "sop_instance_uid": ["1.2.3.4", "1.2.3.5"]})
    assert values(query)[0x00080018] == ("1.2.3.4", "1.2.3.5")


@pytest.mark.parametrize("operation", [GET, MOVE])
@pytest.mark.parametrize(
    ("document", "code", "told"),
    [
        ({}, "missing-uid", "study_instance_uid"),
        ({"patient_id": "1"}, "missing-uid", "study_instance_uid"),
        ({"query_level": "PATIENT"}, "missing-uid", "patient_id"),
        ({"series_instance_uid": "1.2"}, "missing-uid", "study_instance_uid"),
        ({"sop_instance_uid": "1.2"}, "missing-uid", "study_instance_uid"),
        ({"study_instance_uid": None}, "missing-uid", "study_instance_uid"),
        ({"study_instance_uid": "1.2", "query_level": "IMAGE"}, "missing-uid", "sop_instance_uid"),
        ({"study_instance_uid": "1.2", "modality": "CT"}, "bad-value", "study_instance_uid"),
        (
            {**UIDS[SERIES], "query_level": "STUDY"},
            "bad-value",
            "`series_instance_uid` is no key of a retrieve at level STUDY",
        ),
        ({"patient_id": "P*", "query_level": "PATIENT"}, "bad-query", "wildcard"),
        ({"patient_id": ["A", "B"], "query_level": "PATIENT"}, "bad-query", "one of them"),
        ({**UIDS[SERIES], "study_instance_uid": ["1", "2"]}, "bad-value", "UID"),
        ({**UIDS[SERIES], "study_instance_uid": ["1.1", "1.2"]}, "bad-query", "one of them"),
        ({**UIDS[STUDY], "return": []}, "bad-query", "`return` is for find"),
        ({**UIDS[STUDY], "limit": 5}, "bad-query", "`limit` is for find"),
        ({**UIDS[STUDY], "offset": 5}, "bad-query", "`offset` is for find"),
    ],
)
def test_a_retrieve_that_cannot_be_asked_is_refused(operation, document, code, told):
    error = refusal(operation, with_destination(operation, document))
    assert error.code == code
    assert told in f"{error.detail}; {error.hint}"


def test_a_get_has_no_destination():
    assert "for move" in refusal(GET, {**UIDS[STUDY], "destination": "DEST"}).detail


@pytest.mark.parametrize("title", ["A", "SIXTEEN_CHARS_AE", "with space", "a-b.c"])
def test_a_move_goes_to_an_ae_title(title):
    assert parse_query(MOVE, {**UIDS[STUDY], "destination": title}).destination == title


@pytest.mark.parametrize("title", [None, "", " ", "x" * 17, "A\\B", "A\n", "Ä", 5, ["A"], True])
def test_a_move_to_what_is_no_ae_title_is_refused(title):
    error = refusal(MOVE, {**UIDS[STUDY], "destination": title})
    assert "`destination`" in error.detail
    assert error.code == ("missing-destination" if title is None else "bad-query")


def test_a_move_without_destination_is_refused():
    assert "AE title" in (refusal(MOVE, UIDS[STUDY]).hint or "")


def test_what_is_refused_is_not_quoted():
    error = refusal(GET, {"patient_id": "Doe^Jane*", "query_level": "PATIENT"})
    assert "Doe" not in f"{error.detail} {error.hint}"


# Identifiers


def decoded(query: Query, syntax: str) -> Dataset:
    """What pydicom reads; every element's value is read too."""
    implicit, little = SYNTAXES[syntax]
    ds = read_dataset(BytesIO(encode_identifier(query, syntax)), implicit, little)
    ds.decode()
    return ds


def shown(ds: Dataset, tag: int) -> list[str]:
    value = ds[tag].value
    if value is None or value == "":
        return []
    return [str(v) for v in value] if ds[tag].VM > 1 else [str(value)]


syntaxes = pytest.mark.parametrize("syntax", SYNTAXES, ids=["implicit", "explicit", "big endian"])


@syntaxes
@pytest.mark.parametrize("level", Level)
def test_an_identifier_is_read_back_with_all_its_keys(level, syntax):
    query = parse_query(FIND, {**UIDS[level], "query_level": level.value})
    ds = decoded(query, syntax)
    assert ds.QueryRetrieveLevel == level.value
    assert {int(e.tag) for e in ds} == {0x00080052, *(key.tag for key in query.keys)}
    for key in query.keys:
        assert shown(ds, key.tag) == list(key.values)


@syntaxes
def test_values_of_every_kind_are_read_back(syntax):
    query = parse_query(
        FIND,
        {
            "study_instance_uid": ["1.2", "1.2.3"],
            "series_instance_uid": "1.2.3",
            "study_date": "20260101-20260131",
            "study_time": "1200-",
            "modalities_in_study": ["CT", "MR"],
            "patient_name": "Doe^J*",
            "rows": [512, 65535],
            "00186020": -7,  # SL
            "instance_number": 3,
            "patient_weight": 70.5,
            "0040A160": "a text of odd length.",  # UT, with a long length in explicit VR
            "return": ["referenced_study_sequence", "pixel_data", "00091001", "0040E011"],
        },
    )
    ds = decoded(query, syntax)
    assert ds.StudyInstanceUID == ["1.2", "1.2.3"]
    assert ds.SeriesInstanceUID == "1.2.3"
    assert ds.StudyDate == "20260101-20260131"
    assert ds.StudyTime == "1200-"
    assert ds.ModalitiesInStudy == ["CT", "MR"]
    assert ds.PatientName == "Doe^J*"
    assert ds.Rows == [512, 65535]
    assert ds[0x00186020].value == -7
    assert ds.InstanceNumber == 3
    assert ds.PatientWeight == 70.5
    assert ds[0x0040A160].value == "a text of odd length."
    assert len(ds.ReferencedStudySequence) == 0
    assert not ds.PixelData
    assert not ds[0x00091001].value
    assert "SpecificCharacterSet" not in ds


@syntaxes
@pytest.mark.parametrize("name", ["Müller^Jürgen", "Yamada^Tarou=山田^太郎", "Ж*", "😀"])
def test_letters_beyond_ascii_are_sent_as_utf_8_and_said_to_be(name, syntax):
    ds = decoded(parse_query(FIND, {"patient_name": name}), syntax)
    assert ds.SpecificCharacterSet == "ISO_IR 192"
    assert str(ds.PatientName) == name


@syntaxes
def test_every_value_has_an_even_length(syntax):
    query = parse_query(FIND, {"patient_id": "123", "study_instance_uid": "1.2", "modality": "C"})
    assert len(encode_identifier(query, syntax)) % 2 == 0
    raw = encode_identifier(query, syntax)
    assert b"123 " in raw
    assert b"1.2\0" in raw


def test_the_longest_list_fits_a_short_length():
    query = parse_query(FIND, {"study_instance_uid": ["1." + "2" * 62] * 1000})
    assert len(decoded(query, EXPLICIT).StudyInstanceUID) == 1000


@pytest.mark.parametrize("syntax", ["1.2.840.10008.1.2.1.99", "1.2.840.10008.1.2.4.50", ""])
def test_an_identifier_in_another_syntax_is_a_mistake_of_ours(syntax):
    query = Query(level=STUDY, root=Root.STUDY, keys=(Key(0x0020000D, ("1.2",)),))
    with pytest.raises(ValueError, match="not encoded in"):
        encode_identifier(query, syntax)


# Any document

names = st.sampled_from(
    [
        "patient_id",
        "PatientName",
        "00080020",
        "study_instance_uid",
        "SeriesInstanceUID",
        "sop_instance_uid",
        "rows",
        "modality",
        "patient_comments",
        "query_level",
        "query_model",
        "return",
        "limit",
        "offset",
        "destination",
    ]
)
tags = st.integers(0, 0xFFFFFFFF).map("{:08X}".format)
plain = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=20)
    | st.sampled_from(["1.2.3", "PATIENT", "image", "study", "20260101-", "A*", "DEST"])
)
nested = st.recursive(
    plain | tags | names,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3),
    max_leaves=4,
)
documents = st.dictionaries(names | tags | st.text(max_size=12), nested, max_size=4) | nested


def attempt(operation: Operation, document: object) -> Query | RequestError:
    try:
        return parse_query(operation, strict_json.loads(json.dumps(document).encode()))
    except RequestError as exc:
        return exc


@given(st.sampled_from(OPERATIONS), documents, st.sampled_from(sorted(SYNTAXES)))
@example(FIND, {"FFFEE000": None}, EXPLICIT)
@example(FIND, {"return": ["00280000"]}, EXPLICIT)
def test_any_document_is_a_query_that_can_be_sent_or_a_bad_request(operation, document, syntax):
    query = attempt(operation, document)
    if isinstance(query, RequestError):
        assert query.http_status == 400
        assert query.detail.isprintable()
        return
    implicit, little = SYNTAXES[syntax]
    ds = read_dataset(BytesIO(encode_identifier(query, syntax)), implicit, little)
    sent = {int(element.tag) for element in ds} - {0x00080005, 0x00080052}
    assert sent == {key.tag for key in query.keys}
    assert query.level is not PATIENT or query.root is Root.PATIENT
