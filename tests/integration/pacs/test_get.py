"""Get from real PACS: every instance comes, and byte for byte what the PACS holds."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

import pydicom
import pytest
import trio
from pydicom import dcmread

from tests.support.files import contents, parts
from tests.support.studies import TRANSFER_SYNTAXES, Kind, Plan, write_studies

pytestmark = pytest.mark.usefixtures("engine")

SECONDS = 30
# In pydicom's wheel. Its function that finds test files would download others.
WHEEL = Path(pydicom.__file__).parent / "data" / "test_files"
TRAILING_PADDING = 0xFFFCFFFC

# Orthanc gives these as it got them.
KEPT = [
    "GDCMJ2K_TextGBR.dcm",  # JPEG 2000 lossless, in RGB
    "MR_small_implicit.dcm",
    "SC_rgb_jpeg_dcmtk.dcm",  # JPEG baseline
    "SC_rgb_jpeg_gdcm.dcm",  # JPEG lossless
    "SC_rgb_rle_2frame.dcm",
    "SC_rgb_small_odd.dcm",  # pixels of odd length, padded
    "SC_ybr_full_422_uncompressed.dcm",
    "examples_overlay.dcm",
    "test-SR.dcm",
]
# These it writes anew, without padding and with other lengths of sequences and items.
WRITTEN_ANEW = [
    "CT_small.dcm",
    "JPEG2000.dcm",
    "MR_small_RLE.dcm",
    "MR_small_jpeg_ls_lossless.dcm",
    "liver_1frame.dcm",  # segmentation, one bit a pixel
    "reportsi.dcm",
    "waveform_ecg.dcm",
]


@pytest.mark.parametrize(
    ("archive", "syntax"),
    [
        ("orthanc", "explicit"),
        ("orthanc", "implicit"),
        ("orthanc", "rle"),
        ("dcmqrscp", "explicit"),
        ("dcmqrscp", "implicit"),
    ],
    indirect=["archive"],
)
async def test_each_level_brings_every_instance_unchanged(archive, syntax, tmp_path):
    plan = Plan(studies=2, series=2, instances=3, size=48, private=True, transfer_syntax=syntax)
    made = write_studies(plan, tmp_path / "made")
    archive.load(one.file for one in made)
    one = made[0]
    asked = {"study_instance_uid": one.study_uid}
    levels = {"STUDY": [each for each in made if each.study_uid == one.study_uid]}
    levels["SERIES"] = [each for each in made if each.series_uid == one.series_uid]
    levels["IMAGE"] = [one]
    with trio.fail_after(SECONDS):
        async with archive.gateway() as running:
            for level, wanted in levels.items():
                if level != "STUDY":
                    asked["series_instance_uid"] = one.series_uid
                if level == "IMAGE":
                    asked["sop_instance_uid"] = one.sop_uid
                answer = await running.client.post("/get", json={"query_level": level, **asked})
                assert answer.status_code == 200, answer.text
                files = [contents(data) for _, data in parts(answer)]
                source = [contents(each.file.read_bytes()) for each in wanted]
                assert sorted(file.sop_instance_uid for file in files) == sorted(
                    each.sop_uid for each in wanted
                )
                by_uid = {file.sop_instance_uid: file for file in files}
                for given in source:
                    assert by_uid[given.sop_instance_uid] == given
                    assert given.transfer_syntax == TRANSFER_SYNTAXES[syntax]


async def test_the_patient_level_brings_all_studies_of_a_patient(archive, tmp_path):
    made = write_studies(Plan(studies=2, series=1, instances=2, size=16), tmp_path / "made")
    for one in made:
        file = dcmread(one.file)
        file.PatientID = "SAME"
        file.save_as(one.file)
    archive.load(one.file for one in made)
    with trio.fail_after(SECONDS):
        async with archive.gateway() as running:
            answer = await running.client.post(
                "/get", json={"query_level": "PATIENT", "patient_id": "SAME"}
            )
            files = [contents(data) for _, data in parts(answer)]
            assert {file.sop_instance_uid for file in files} == {one.sop_uid for one in made}
            assert len(files) == len(made)


async def test_a_list_of_instances_brings_just_these(archive, tmp_path):
    made = write_studies(Plan(instances=4, size=16), tmp_path / "made")
    archive.load(one.file for one in made)
    wanted = sorted(one.sop_uid for one in made[1:3])
    asked = {"study_instance_uid": made[0].study_uid, "series_instance_uid": made[0].series_uid}
    with trio.fail_after(SECONDS):
        async with archive.gateway() as running:
            answer = await running.client.post("/get", json={**asked, "sop_instance_uid": wanted})
            files = [contents(data) for _, data in parts(answer)]
            assert sorted(file.sop_instance_uid for file in files) == wanted


async def test_each_part_says_what_it_is(archive, tmp_path):
    made = write_studies(Plan(instances=2, size=16), tmp_path / "made")
    archive.load(one.file for one in made)
    with trio.fail_after(SECONDS):
        async with archive.gateway() as running:
            answer = await running.client.post(
                "/get", json={"study_instance_uid": made[0].study_uid}
            )
            for head, data in parts(answer):
                file = contents(data)
                syntax = f"application/dicom; transfer-syntax={file.transfer_syntax}"
                assert f"Content-Type: {syntax}" in head
                assert f"Content-Location: {file.sop_instance_uid}.dcm" in head


async def test_documents_and_reports_come_too(archive, tmp_path):
    plan = Plan(studies=5, size=16, kinds=(Kind.MR, Kind.US, Kind.SC, Kind.PDF, Kind.SR))
    made = write_studies(plan, tmp_path / "made")
    archive.load(one.file for one in made)
    with trio.fail_after(SECONDS):
        async with archive.gateway() as running:
            for one in made:
                asked = {"study_instance_uid": one.study_uid}
                answer = await running.client.post("/get", json=asked)
                ((_, data),) = parts(answer)
                assert contents(data) == contents(one.file.read_bytes()), one.place.kind


async def _get(orthanc, name):
    source = (WHEEL / name).read_bytes()
    orthanc.load([WHEEL / name])
    uid = str(dcmread(BytesIO(source)).StudyInstanceUID)
    with trio.fail_after(SECONDS):
        async with orthanc.gateway() as running:
            answer = await running.client.post("/get", json={"study_instance_uid": uid})
            assert answer.status_code == 200, answer.text
            ((_, data),) = parts(answer)
            return source, data


@pytest.mark.parametrize("name", KEPT)
async def test_files_of_many_origins_come_byte_for_byte(orthanc, name):
    source, data = await _get(orthanc, name)
    assert contents(data) == contents(source)


@pytest.mark.parametrize("name", WRITTEN_ANEW)
async def test_files_that_orthanc_writes_anew_mean_the_same(orthanc, name):
    source, data = await _get(orthanc, name)
    given, got = dcmread(BytesIO(source)), dcmread(BytesIO(data))
    if TRAILING_PADDING in given:
        del given[TRAILING_PADDING]
    assert got.file_meta.TransferSyntaxUID == given.file_meta.TransferSyntaxUID
    assert contents(data).pixel_sha256 == contents(source).pixel_sha256
    # By value: Orthanc corrects VRs.
    assert {each.tag: each.value for each in got} == {each.tag: each.value for each in given}


@pytest.mark.parametrize(("syntax", "archive"), [("rle", "dcmqrscp")], indirect=["archive"])
async def test_what_a_pacs_cannot_convert_is_told(archive, syntax, tmp_path):
    # dcmqrscp sends on the first context of the class, and that is not the one for RLE.
    (one,) = write_studies(Plan(size=16, transfer_syntax=syntax), tmp_path / "made")
    archive.load([one.file])
    with trio.fail_after(SECONDS):
        async with archive.gateway() as running:
            answer = await running.client.post("/get", json={"study_instance_uid": one.study_uid})
    told = answer.json()
    assert (answer.status_code, told["dicom_status"]) == (502, "0xA702")
    assert "transfer syntax" in told["detail"]


@pytest.mark.parametrize(
    "asked",
    [
        {"query_level": "STUDY", "study_instance_uid": "1.2.3"},
        {"query_level": "PATIENT", "patient_id": "NOBODY"},
        {"study_instance_uid": "1.2.3", "series_instance_uid": "1.2.3.4"},
    ],
    ids=["study", "patient", "series"],
)
async def test_what_is_not_there_is_an_error_and_no_empty_answer(archive, asked):
    with trio.fail_after(SECONDS):
        async with archive.gateway() as running:
            answer = await running.client.post("/get", json=asked)
            told = answer.json()
    assert answer.headers["content-type"] == "application/problem+json"
    if archive.is_orthanc:  # says 0xC000, which may mean anything
        assert (answer.status_code, told["dicom_status"]) == (502, "0xC000")
    else:
        assert answer.status_code == 404
        assert archive.ae_title in told["detail"]
