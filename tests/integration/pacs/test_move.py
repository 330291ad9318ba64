"""Move from real PACS to DCMTK's storescp: the files arrive, and the counters are true."""

from __future__ import annotations

import json

import pytest
import trio

from tests.integration.pacs.conftest import DOWN
from tests.support.files import contents
from tests.support.studies import Plan, write_studies

pytestmark = pytest.mark.usefixtures("engine")

SECONDS = 30
NDJSON = {"accept": "application/x-ndjson"}


@pytest.fixture
def made(archive, tmp_path):
    written = write_studies(Plan(studies=2, series=2, instances=3, size=48), tmp_path / "made")
    archive.load(one.file for one in written)
    return written


def arrived(storescp):
    return sorted(
        (contents(file.read_bytes()) for file in storescp.files()),
        key=lambda file: file.sop_instance_uid,
    )


def sources(made):
    return sorted(
        (contents(one.file.read_bytes()) for one in made), key=lambda file: file.sop_instance_uid
    )


@pytest.mark.parametrize("level", ["PATIENT", "STUDY", "SERIES", "IMAGE"])
async def test_each_level_arrives_unchanged_and_is_counted(archive, made, storescp, level):
    one = made[0]
    asked = {"query_level": level, "destination": storescp.ae_title}
    if level == "PATIENT":
        asked["patient_id"] = one.patient_id
    else:
        asked["study_instance_uid"] = one.study_uid
    if level in ("SERIES", "IMAGE"):
        asked["series_instance_uid"] = one.series_uid
    if level == "IMAGE":
        asked["sop_instance_uid"] = one.sop_uid
    key = {"SERIES": "series_uid", "IMAGE": "sop_uid"}.get(level, "study_uid")
    wanted = [each for each in made if getattr(each, key) == getattr(one, key)]
    with trio.fail_after(SECONDS):
        async with archive.gateway() as running:
            answer = await running.client.post("/move", json=asked)
            assert answer.status_code == 200, answer.text
            told = answer.json()
    assert (told["status"], told["completed"]) == ("0x0000", len(wanted))
    assert (told["failed"], told["warning"], told["missing"]) == (0, 0, [])
    assert not told["remaining"]
    assert arrived(storescp) == sources(wanted)


async def test_lines_tell_how_far_it_is_and_how_it_ended(archive, made, storescp):
    study = [one for one in made if one.study_uid == made[0].study_uid]
    asked = {"study_instance_uid": made[0].study_uid, "destination": storescp.ae_title}
    with trio.fail_after(SECONDS):
        async with archive.gateway() as running:
            answer = await running.client.post("/move", json=asked, headers=NDJSON)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/x-ndjson"
    *steps, end = [json.loads(line) for line in answer.text.splitlines()]
    assert steps
    assert {step["status"] for step in steps} == {"0xFF00"}
    done = [step["completed"] for step in steps]
    assert done == sorted(done)
    assert all(step["completed"] + step["remaining"] == len(study) for step in steps)
    assert (end["status"], end["completed"], end["failed"]) == ("0x0000", len(study), 0)
    assert arrived(storescp) == sources(study)


@pytest.mark.parametrize("headers", [{}, NDJSON], ids=["json", "ndjson"])
async def test_a_destination_that_the_pacs_does_not_know_is_named(archive, made, storescp, headers):
    asked = {"study_instance_uid": made[0].study_uid, "destination": "NOWHERE"}
    with trio.fail_after(SECONDS):
        async with archive.gateway() as running:
            answer = await running.client.post("/move", json=asked, headers=headers)
    told = answer.json()
    assert answer.status_code == 502
    assert "AE title NOWHERE" in told["detail"]
    assert told["dicom_status"] == ("0xC000" if archive.is_orthanc else "0xA801")
    assert storescp.files() == []


@pytest.mark.parametrize("headers", [{}, NDJSON], ids=["json", "ndjson"])
async def test_a_destination_where_nobody_listens_is_a_failure(archive, made, headers):
    asked = {"study_instance_uid": made[0].study_uid, "destination": DOWN}
    with trio.fail_after(SECONDS):
        async with archive.gateway() as running:
            answer = await running.client.post("/move", json=asked, headers=headers)
            assert answer.status_code == 502, answer.text
            assert "destination" in answer.text or DOWN in answer.text
            assert (await running.client.post("/echo")).status_code == 200


async def test_a_study_that_is_not_there_is_an_error(archive, storescp):
    asked = {"study_instance_uid": "1.2.3", "destination": storescp.ae_title}
    with trio.fail_after(SECONDS):
        async with archive.gateway() as running:
            answer = await running.client.post("/move", json=asked)
    assert answer.status_code == (502 if archive.is_orthanc else 404)
    assert answer.headers["content-type"] == "application/problem+json"
    assert storescp.files() == []
