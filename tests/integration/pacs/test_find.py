"""Echo and find at real PACS: what is asked for comes, and nothing else."""

from __future__ import annotations

import json

import pytest
import trio
from pydicom import dcmread

from tests.support.studies import CHARSETS, UNDECLARED, Plan, charset_case, write_studies

pytestmark = pytest.mark.usefixtures("engine")

SECONDS = 30
SMALL = Plan(studies=3, series=2, instances=2, size=16)
STUDY, SERIES, INSTANCE = "0020000D", "0020000E", "00080018"
PATIENT_ID, PATIENT_NAME = "00100020", "00100010"
MORE = '"There are additional results that can be requested"'
# Orthanc reads but the first character set of a study, and takes UTF-8 where none is named.
MISREAD_BY_ORTHANC = {"kana", UNDECLARED}


def value(row, tag):
    return row[tag]["Value"][0]


def values(rows, tag):
    return sorted(value(row, tag) for row in rows)


async def find(client, expected=200, /, **document):
    answer = await client.post("/find", json=document)
    assert answer.status_code == expected, answer.text
    return answer.json()


@pytest.fixture
def made(archive, tmp_path):
    """Three studies of two series of two instances, in the archive."""
    written = write_studies(SMALL, tmp_path / "made")
    archive.load(one.file for one in written)
    return written


async def test_echo_names_whom_it_reached(archive):
    with trio.fail_after(SECONDS):
        async with archive.gateway() as running:
            for method in ("POST", "GET"):
                answer = await running.client.request(method, "/echo")
                assert answer.status_code == 200
                told = answer.json()
                assert (told["success"], told["aet"]) == (True, archive.ae_title)
                assert 0 < told["milliseconds"] < 1000 * SECONDS


async def test_the_first_question_anybody_asks_is_answered_truthfully(archive, tmp_path):
    (one,) = write_studies(Plan(size=16), tmp_path / "made")
    asked = {"patient_id": "12345", "query_level": "PATIENT"}
    with trio.fail_after(SECONDS):
        async with archive.gateway() as running:
            assert await find(running.client, **asked) == []
            file = dcmread(one.file)
            file.PatientID = "12345"
            file.save_as(one.file)
            archive.load([one.file])
            (row,) = await find(running.client, **asked)
            assert value(row, PATIENT_ID) == "12345"
            assert value(row, PATIENT_NAME) == {"Alphabetic": "Smith^Anna^Lee^Dr^III"}


@pytest.mark.parametrize("model", ["patient", "study", None])
async def test_each_level_has_its_unique_key_in_both_models(archive, made, model):
    one = made[0]
    of_model = {} if model is None else {"query_model": model}
    patient = {"patient_id": one.patient_id} if model == "patient" else {}
    study = {**patient, "study_instance_uid": one.study_uid}
    series = {**study, "series_instance_uid": one.series_uid}
    instances = sorted(each.sop_uid for each in made if each.series_uid == one.series_uid)
    with trio.fail_after(SECONDS):
        async with archive.gateway() as running:
            if model != "study":
                rows = await find(running.client, query_level="PATIENT", **of_model)
                assert values(rows, PATIENT_ID) == sorted({each.patient_id for each in made})
            rows = await find(running.client, query_level="STUDY", **of_model, **patient)
            wanted = {each.study_uid for each in made}
            assert values(rows, STUDY) == sorted({one.study_uid} if patient else wanted)
            rows = await find(running.client, query_level="SERIES", **of_model, **study)
            wanted = {each.series_uid for each in made if each.study_uid == one.study_uid}
            assert values(rows, SERIES) == sorted(wanted)
            for level in ("IMAGE", "INSTANCE"):
                rows = await find(running.client, query_level=level, **of_model, **series)
                assert values(rows, INSTANCE) == instances


@pytest.mark.parametrize(
    ("patient_id", "study_uid"),
    [
        ("patient_id", "study_instance_uid"),
        ("PatientID", "StudyInstanceUID"),
        ("00100020", "0020000D"),
        ("0010,0020", "(0020,000d)"),
    ],
)
async def test_keys_may_be_spelt_as_keyword_snake_case_and_tag(
    archive, made, patient_id, study_uid
):
    with trio.fail_after(SECONDS):
        async with archive.gateway() as running:
            for one in (made[0], made[-1]):
                (row,) = await find(running.client, **{patient_id: one.patient_id})
                assert value(row, STUDY) == one.study_uid
                (row,) = await find(running.client, **{study_uid: one.study_uid})
                assert value(row, PATIENT_ID) == one.patient_id


async def test_a_list_of_uids_a_range_of_dates_and_wildcards_match(archive, made):
    dates = {each.study_uid: str(dcmread(each.file).StudyDate) for each in made}
    first, middle, last = sorted(dates, key=dates.__getitem__)
    assert dates[first] < dates[middle] < dates[last]
    cases: list[tuple[dict[str, str | list[str]], set[str]]] = [
        ({"study_instance_uid": [first, last]}, {first, last}),
        ({"study_date": f"{dates[first]}-{dates[middle]}"}, {first, middle}),
        ({"study_date": f"-{dates[middle]}"}, {first, middle}),
        ({"study_date": f"{dates[middle]}-"}, {middle, last}),
        ({"study_date": dates[last]}, {last}),
        ({"patient_id": made[0].patient_id[:-1] + "?"}, {first, middle, last}),
        ({"patient_id": "*" + made[0].patient_id[-3:]}, {made[0].study_uid}),
        ({"patient_name": "Smith*"}, {first, middle, last}),
        ({"patient_name": "Jones*"}, set()),
    ]
    with trio.fail_after(SECONDS):
        async with archive.gateway() as running:
            for keys, wanted in cases:
                rows = await find(running.client, query_level="STUDY", **keys)
                assert values(rows, STUDY) == sorted(wanted), keys


async def test_return_adds_attributes(orthanc, tmp_path):
    made = write_studies(SMALL, tmp_path / "made")
    orthanc.load(one.file for one in made)
    series = {"study_instance_uid": made[0].study_uid, "query_level": "SERIES"}
    more = {"return": ["00080070", "InstitutionName", "body_part_examined"]}
    with trio.fail_after(SECONDS):
        async with orthanc.gateway() as running:
            plain = await find(running.client, **series)
            rows = await find(running.client, **series, **more)
    assert all("00080070" not in row for row in plain)
    assert values(rows, "00080070") == ["Harmony test generator"] * 2
    assert values(rows, "00080080") == ["Test Hospital"] * 2
    assert values(rows, "0008103E") == ["CT series 1", "CT series 2"]  # as without


async def test_pages_are_disjoint_and_say_if_there_is_more(archive, made):
    with trio.fail_after(SECONDS):
        async with archive.gateway() as running:
            seen = []
            for offset in (0, 5, 10):
                answer = await running.client.post(
                    "/find", json={"query_level": "IMAGE", "limit": 5, "offset": offset}
                )
                rows = answer.json()
                seen += [value(row, INSTANCE) for row in rows]
                if offset < 10:
                    assert len(rows) == 5
                    assert MORE in answer.headers["warning"]
                else:
                    assert len(rows) == 2
                    assert "warning" not in answer.headers
            assert sorted(seen) == sorted(each.sop_uid for each in made)
            beyond = await running.client.post("/find", json={"limit": 5, "offset": 99})
            assert (beyond.json(), beyond.headers.get("warning")) == ([], None)


async def test_ndjson_is_the_same_one_row_a_line(archive, made):
    accept = {"accept": "application/x-ndjson"}
    with trio.fail_after(SECONDS):
        async with archive.gateway() as running:
            whole = await find(running.client, query_level="IMAGE")
            lines = await running.client.post(
                "/find", json={"query_level": "IMAGE"}, headers=accept
            )
            assert lines.headers["content-type"] == "application/x-ndjson"
            assert lines.text.endswith("}\n")
            rows = [json.loads(line) for line in lines.text.splitlines()]
            assert values(rows, INSTANCE) == values(whole, INSTANCE)
            assert len(rows) == len(made)
            none = await running.client.post("/find", json={"patient_id": "NOBODY"}, headers=accept)
            assert (none.status_code, none.content) == (200, b"")


def groups(patient_name):
    """A person name as DICOM JSON has it. PS3.18 F.2.2."""
    names = ("Alphabetic", "Ideographic", "Phonetic")
    return dict(zip(names, patient_name.split("="), strict=False))


@pytest.mark.parametrize("name", [*CHARSETS, UNDECLARED])
async def test_names_come_in_utf8_whatever_character_set_the_study_has(
    archive, pacs, tmp_path, name
):
    (one,) = write_studies(Plan(charsets=(name,), size=16), tmp_path / "made")
    archive.load([one.file])
    case = charset_case(name)
    patient_name, description = case.patient_name, case.description
    if archive.is_orthanc and name in MISREAD_BY_ORTHANC:
        (study,) = pacs.rest("GET", "/studies?expand")
        patient_name = study["PatientMainDicomTags"]["PatientName"]
        description = study["MainDicomTags"]["StudyDescription"]
    with trio.fail_after(SECONDS):
        async with archive.gateway() as running:
            answer = await running.client.post("/find", json={"study_instance_uid": one.study_uid})
            (row,) = json.loads(answer.content.decode("utf-8"))
            by_patient = {"query_level": "PATIENT", "patient_id": one.patient_id}
            (patient,) = await find(running.client, **by_patient)
    assert row.get("00080005", {"Value": ["ISO_IR 192"]})["Value"] == ["ISO_IR 192"]
    assert value(row, PATIENT_NAME) == groups(patient_name)
    assert value(patient, PATIENT_NAME) == groups(patient_name)
    assert value(row, "00081030") == description


@pytest.mark.parametrize("name", ["latin1", "cyrillic", "gb18030", "utf8"])
async def test_orthanc_finds_names_that_are_not_ascii(orthanc, tmp_path, name):
    written = write_studies(Plan(studies=2, charsets=(name, "ascii"), size=16), tmp_path / "made")
    orthanc.load(one.file for one in written)
    asked = charset_case(name).patient_name.partition("=")[0][:4] + "*"
    with trio.fail_after(SECONDS):
        async with orthanc.gateway() as running:
            rows = await find(running.client, query_level="STUDY", patient_name=asked)
            assert values(rows, STUDY) == [written[0].study_uid]
