"""Store at real PACS: what goes in can be found, and what is refused is told."""

from __future__ import annotations

from io import BytesIO

import httpx2
import pytest
import trio
from pydicom import dcmread

from tests.support.files import contents, multipart, parts
from tests.support.studies import Kind, Plan, make_instances, write_studies

pytestmark = pytest.mark.usefixtures("engine")

SECONDS = 30
DICOM = {"content-type": "application/dicom"}
INSTANCE = "00080018"


def files(plan):
    made = []
    for _, dataset in make_instances(plan):
        buffer = BytesIO()
        dataset.save_as(buffer, enforce_file_format=True)
        made.append(buffer.getvalue())
    return made


def contradicting(file):
    """The same file, but its data set is of another SOP instance than its head says."""
    dataset = dcmread(BytesIO(file))
    dataset.SOPInstanceUID = "1.2.3.4.5"
    buffer = BytesIO()
    dataset.save_as(buffer)
    return buffer.getvalue()


async def stored(client):
    """UIDs of all instances that the PACS says it has."""
    answer = await client.post("/find", json={"query_level": "IMAGE"})
    return sorted(row[INSTANCE]["Value"][0] for row in answer.json())


async def test_one_instance_goes_in_and_comes_back_unchanged(archive):
    (file,) = files(Plan(size=64, private=True))
    given = contents(file)
    with trio.fail_after(SECONDS):
        async with archive.gateway() as running:
            answer = await running.client.post("/store", content=file, headers=DICOM)
            assert answer.status_code == 200, answer.text
            assert answer.json() == {
                "instances": [
                    {
                        "sop_class_uid": "1.2.840.10008.5.1.4.1.1.2",
                        "sop_instance_uid": given.sop_instance_uid,
                        "status": "0x0000",
                    }
                ]
            }
            assert await stored(running.client) == [given.sop_instance_uid]
            study = str(dcmread(BytesIO(file)).StudyInstanceUID)
            back = await running.client.post("/get", json={"study_instance_uid": study})
            ((_, data),) = parts(back)
            assert contents(data) == given


async def test_several_go_in_with_one_request_whatever_their_classes(archive):
    kinds = tuple(Kind)
    sent = files(Plan(studies=len(kinds), kinds=kinds, instances=2, size=16))
    uids = [contents(file).sop_instance_uid for file in sent]
    kind, body = multipart(sent)
    with trio.fail_after(SECONDS):
        async with archive.gateway() as running:
            answer = await running.client.post(
                "/store", content=body, headers={"content-type": kind}
            )
            assert answer.status_code == 200, answer.text
            told = answer.json()["instances"]
            assert [each["sop_instance_uid"] for each in told] == uids
            assert {each["status"] for each in told} == {"0x0000"}
            assert await stored(running.client) == sorted(uids)


@pytest.mark.parametrize("name", ["implicit", "rle", "bigendian"])
async def test_orthanc_is_given_each_transfer_syntax_as_it_is(orthanc, pacs, name):
    (file,) = files(Plan(size=64, transfer_syntax=name))
    with trio.fail_after(SECONDS):
        async with orthanc.gateway() as running:
            answer = await running.client.post("/store", content=file, headers=DICOM)
            assert answer.status_code == 200, answer.text
            (identity,) = pacs.rest("GET", "/instances")
            async with httpx2.AsyncClient(trust_env=False) as client:
                kept = await client.get(f"{pacs.http}/instances/{identity}/file")
            assert contents(kept.content) == contents(file)


async def test_a_refused_instance_is_a_conflict_with_the_status_of_the_pacs(archive):
    (file,) = files(Plan(size=16))
    with trio.fail_after(SECONDS):
        async with archive.gateway() as running:
            answer = await running.client.post("/store", content=contradicting(file), headers=DICOM)
            assert answer.status_code == 409, answer.text
            (told,) = answer.json()["instances"]
            assert told["status"] == "0xA900"
            assert await stored(running.client) == []


async def test_one_refused_among_others_is_told_and_the_others_are_stored(archive):
    first, second, third = files(Plan(instances=3, size=16))
    kind, body = multipart([first, contradicting(second), third])
    with trio.fail_after(SECONDS):
        async with archive.gateway() as running:
            answer = await running.client.post(
                "/store", content=body, headers={"content-type": kind}
            )
            assert answer.status_code == 202, answer.text
            statuses = [each["status"] for each in answer.json()["instances"]]
            assert statuses == ["0x0000", "0xA900", "0x0000"]
            assert await stored(running.client) == sorted(
                contents(file).sop_instance_uid for file in (first, third)
            )


@pytest.mark.parametrize("archive", ["dcmqrscp"], indirect=True)
async def test_a_transfer_syntax_that_the_pacs_does_not_take_is_no_success(archive):
    (file,) = files(Plan(size=16, transfer_syntax="rle"))
    with trio.fail_after(SECONDS):
        async with archive.gateway() as running:
            answer = await running.client.post("/store", content=file, headers=DICOM)
            assert 400 <= answer.status_code < 600
            assert await stored(running.client) == []


async def test_storing_the_same_again_leaves_one(archive, tmp_path):
    (one,) = write_studies(Plan(size=16), tmp_path / "made")
    archive.load([one.file])
    with trio.fail_after(SECONDS):
        async with archive.gateway() as running:
            for _ in range(2):
                answer = await running.client.post(
                    "/store", content=one.file.read_bytes(), headers=DICOM
                )
                assert answer.status_code == 200, answer.text
            assert await stored(running.client) == [one.sop_uid]
