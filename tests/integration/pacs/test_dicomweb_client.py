"""A client that nobody here wrote, before Orthanc through Harmony: every service it has."""

from __future__ import annotations

from collections.abc import Callable
from io import BytesIO
from typing import TypeVar

import pydicom
import pytest
import trio
from dicomweb_client.api import DICOMwebClient
from PIL import Image
from pydicom import Dataset, dcmread
from pydicom.encaps import generate_frames

from tests.support.files import split
from tests.support.studies import Kind, MadeInstance, Plan, write_studies

T = TypeVar("T")
SECONDS = 90
KINDS = (Kind.CT, Kind.MR, Kind.US)


async def asked(gateway, work: Callable[[DICOMwebClient], T], **options: object) -> T:
    """What a client in a thread of its own has in the end."""
    with trio.fail_after(SECONDS):
        async with gateway(dicomweb=options) as running:
            client = DICOMwebClient(running.dicomweb)
            return await trio.to_thread.run_sync(work, client)


def load(archive, tmp_path, **plan: object) -> list[MadeInstance]:
    made = write_studies(Plan(**plan), tmp_path / "made")  # type: ignore[arg-type]
    archive.load(one.file for one in made)
    return made


def same(found: Dataset, made: MadeInstance) -> None:
    """Element by element."""
    source = dcmread(made.file)
    assert {element.tag for element in found} == {element.tag for element in source}
    for element in source:
        assert found[element.tag] == element


async def test_studies_series_and_instances_are_found_page_by_page(orthanc, tmp_path):
    made = load(orthanc, tmp_path, studies=7, series=2, instances=3, size=16, kinds=KINDS)
    study, series = made[0].study_uid, made[0].series_uid

    def work(client):
        pages = [client.search_for_studies(limit=3, offset=offset) for offset in (0, 3, 6, 9)]
        named = client.search_for_studies(search_filters={"PatientID": made[0].patient_id})
        fields = client.search_for_studies(fields=["StudyDescription", "00101010"], limit=1)
        return (
            pages,
            named,
            fields,
            client.search_for_series(study),
            client.search_for_instances(study),
            client.search_for_instances(study, series),
            client.search_for_studies(get_remaining=True, limit=2),
        )

    pages, named, fields, of_study, images, of_series, rest = await asked(orthanc.gateway, work)
    assert [len(page) for page in pages] == [3, 3, 1, 0]
    uids = [row["0020000D"]["Value"][0] for page in pages for row in page]
    assert sorted(uids) == sorted({one.study_uid for one in made})
    assert [row["0020000D"]["Value"] for row in named] == [[study]]
    assert "00081030" in fields[0]
    assert "00101010" in fields[0]
    assert (len(of_study), len(images), len(of_series)) == (2, 6, 3)
    assert len(rest) == 7


# Orthanc gives what is not so in implicit VR, where private attributes lose theirs.
@pytest.mark.parametrize(
    ("syntax", "private"),
    [
        ("explicit", True),
        ("implicit", False),
        ("deflated", False),
        ("rle", True),
        ("jpegls", True),
        ("j2k", True),
    ],
)
async def test_a_study_of_200_equals_its_source(orthanc, tmp_path, syntax, private):
    plan = {"series": 2, "instances": 100, "size": 32, "private": private}
    made = load(orthanc, tmp_path, transfer_syntax=syntax, **plan)
    one = made[0]

    def work(client):
        return (
            client.retrieve_study(one.study_uid),
            client.retrieve_series(one.study_uid, one.series_uid),
            [
                client.retrieve_instance(each.study_uid, each.series_uid, each.sop_uid)
                for each in made[:2]
            ],
        )

    study, series, images = await asked(orthanc.gateway, work)
    by_uid = {each.sop_uid: each for each in made}
    assert sorted(found.SOPInstanceUID for found in study) == sorted(by_uid)
    assert len(series) == 100
    for found in (*study, *series, *images):
        same(found, by_uid[found.SOPInstanceUID])


@pytest.mark.parametrize("options", [{}, {"cache_bytes": 0}], ids=["kept", "not kept"])
async def test_metadata_are_the_source_without_its_pixels(orthanc, tmp_path, options):
    made = load(orthanc, tmp_path, series=2, instances=3, size=32, private=True)
    one = made[0]

    def work(client):
        return (
            client.retrieve_study_metadata(one.study_uid),
            client.retrieve_series_metadata(one.study_uid, one.series_uid),
            client.retrieve_instance_metadata(one.study_uid, one.series_uid, one.sop_uid),
        )

    study, series, image = await asked(orthanc.gateway, work, **options)
    assert (len(study), len(series)) == (6, 3)
    by_uid = {each.sop_uid: each for each in made}
    for row in (*study, *series, image):
        bulk = row.pop("7FE00010")
        assert bulk["BulkDataURI"].endswith("/bulk/7FE00010")
        source = dcmread(by_uid[row["00080018"]["Value"][0]].file)
        del source.PixelData
        found = Dataset.from_json(row)
        for element in source:
            if element.tag != 0x00080005:  # JSON is in UTF-8
                assert found[element.tag] == element


@pytest.mark.parametrize("options", [{}, {"cache_bytes": 0}], ids=["kept", "not kept"])
async def test_frames_are_the_bytes_of_the_source(orthanc, tmp_path, options):
    made = load(orthanc, tmp_path, studies=2, size=32, kinds=(Kind.CT, Kind.US), frames=5)

    def work(client):
        found = []
        for one in made:
            source = dcmread(one.file)
            count = int(source.get("NumberOfFrames", 1))
            numbers = list(range(1, count + 1))[::-1]
            uids = (one.study_uid, one.series_uid, one.sop_uid)
            found.append((source, client.retrieve_instance_frames(*uids, frame_numbers=numbers)))
        return found

    for source, frames in await asked(orthanc.gateway, work, **options):
        size = len(frames[0])
        assert b"".join(frames[::-1]) == source.PixelData[: size * len(frames)]


async def test_compressed_frames_are_the_fragments_of_the_source(orthanc, tmp_path):
    made = load(orthanc, tmp_path, size=32, transfer_syntax="rle")
    one = made[0]

    def work(client):
        return client.retrieve_instance_frames(one.study_uid, one.series_uid, one.sop_uid, [1])

    (frame,) = await asked(orthanc.gateway, work)
    source = dcmread(one.file)
    assert [frame] == list(generate_frames(source.PixelData, number_of_frames=1))


COMPRESSED = ("rle", "jpegls", "j2k", "deflated")
PLAIN = "1.2.840.10008.1.2.1"


@pytest.mark.parametrize("syntax", COMPRESSED)
async def test_what_is_compressed_is_decoded_on_demand(orthanc, tmp_path, syntax):
    made = load(orthanc, tmp_path, instances=3, size=64, transfer_syntax=syntax)
    one = made[0]

    def work(client):
        uids = (one.study_uid, one.series_uid, one.sop_uid)
        return (
            client.retrieve_series(*uids[:2], media_types=(("application/dicom", PLAIN),)),
            client.retrieve_instance_frames(
                *uids, [1], media_types=(("application/octet-stream", PLAIN),)
            ),
        )

    series, (frame,) = await asked(orthanc.gateway, work)
    sources = {each.sop_uid: dcmread(each.file) for each in made}
    assert sorted(found.SOPInstanceUID for found in series) == sorted(sources)
    for found in series:
        source = sources[found.SOPInstanceUID]
        assert found.file_meta.TransferSyntaxUID == PLAIN
        assert (found.pixel_array == source.pixel_array).all()
        for element in source:
            if element.keyword != "PixelData":
                assert found[element.tag] == element
    assert frame == sources[one.sop_uid].pixel_array.tobytes()


async def test_what_cannot_be_decoded_is_406(orthanc, tmp_path, monkeypatch):
    (one,) = load(orthanc, tmp_path, size=32, transfer_syntax="j2k")
    monkeypatch.setattr("harmony.rendering.available", lambda: False)
    path = f"/studies/{one.study_uid}/series/{one.series_uid}/instances/{one.sop_uid}"
    plain = f'multipart/related; type="{{}}"; transfer-syntax={PLAIN}'
    with trio.fail_after(SECONDS):
        async with orthanc.gateway(dicomweb={}) as running:
            for url, kind in ((path, "dicom"), (f"{path}/frames/1", "octet-stream")):
                answer = await running.client.get(
                    running.dicomweb + url,
                    headers={"accept": plain.format(f"application/{kind}")},
                )
                assert answer.status_code == 406
                assert "transfer-syntax=*" in answer.json()["detail"]


async def test_bulk_data_are_the_value_that_their_uri_names(orthanc, tmp_path):
    (one,) = load(orthanc, tmp_path, size=32)

    def work(client):
        row = client.retrieve_instance_metadata(one.study_uid, one.series_uid, one.sop_uid)
        path = f"studies/{one.study_uid}/series/{one.series_uid}/instances/{one.sop_uid}"
        uri = row["7FE00010"]["BulkDataURI"].rpartition("/instances/")[2].partition("/")[2]
        return client.retrieve_bulkdata(f"{client.base_url}/{path}/{uri}")

    (data,) = await asked(orthanc.gateway, work)
    assert data == dcmread(one.file).PixelData


async def test_what_is_stored_is_there(orthanc, pacs_empty, tmp_path):
    made = write_studies(Plan(instances=5, size=32), tmp_path / "made")
    files = [dcmread(one.file) for one in made]

    def work(client):
        told = client.store_instances(files)
        again = client.store_instances(files[:1], study_instance_uid=made[0].study_uid)
        return told, again, client.retrieve_study(made[0].study_uid)

    told, again, found = await asked(orthanc.gateway, work)
    assert len(told.ReferencedSOPSequence) == 5
    assert "FailedSOPSequence" not in told
    assert len(again.ReferencedSOPSequence) == 1
    by_uid = {each.sop_uid: each for each in made}
    assert sorted(each.SOPInstanceUID for each in found) == sorted(by_uid)
    for each in found:
        same(each, by_uid[each.SOPInstanceUID])


async def test_a_file_as_it_is(orthanc, tmp_path):
    (one,) = load(orthanc, tmp_path, size=32)
    path = f"/studies/{one.study_uid}/series/{one.series_uid}/instances/{one.sop_uid}"
    wado = f"?requestType=WADO&studyUID={one.study_uid}&seriesUID={one.series_uid}"
    with trio.fail_after(SECONDS):
        async with orthanc.gateway() as running:
            for url, accept in (
                (path, "application/dicom"),
                (f"/wado{wado}&objectUID={one.sop_uid}&contentType=application/dicom", "*/*"),
                (f"/{wado}&objectUID={one.sop_uid}", "*/*"),
            ):
                answer = await running.client.get(
                    running.dicomweb + url, headers={"accept": accept}
                )
                assert answer.status_code == 200, answer.text
                assert answer.headers["content-type"].startswith("application/dicom; transfer-")
                same(pydicom.dcmread(BytesIO(answer.content)), one)


async def test_a_picture_is_the_frame_that_is_asked_for(orthanc, tmp_path):
    (one,) = load(orthanc, tmp_path, size=32, kinds=(Kind.US,), frames=4)

    def work(client):
        uids = (one.study_uid, one.series_uid, one.sop_uid)
        return [
            client.retrieve_instance_rendered(*uids, media_types=(kind,))
            for kind in ("image/jpeg", "image/png")
        ] + [client.retrieve_instance_frames_rendered(*uids, [3], media_types=("image/png",))]

    pictures = await asked(orthanc.gateway, work)
    opened = [Image.open(BytesIO(data)) for data in pictures]
    assert [each.format for each in opened] == ["JPEG", "PNG", "PNG"]
    source = dcmread(one.file)
    assert {each.size for each in opened} == {(source.Columns, source.Rows)}


async def test_a_thumbnail_stands_for_a_series_and_a_study(orthanc, tmp_path):
    made = load(orthanc, tmp_path, series=2, instances=5, size=48)
    one = made[0]
    in_series = [each for each in made if each.series_uid == one.series_uid]
    numbers = {int(dcmread(each.file).InstanceNumber): each for each in in_series}
    middle = numbers[sorted(numbers)[2]]
    study = f"/studies/{one.study_uid}"
    png = {"accept": "image/png"}
    with trio.fail_after(SECONDS):
        async with orthanc.gateway(dicomweb={}) as running:

            async def get(path: str) -> bytes:
                answer = await running.client.get(running.dicomweb + path, headers=png)
                assert answer.status_code == 200, answer.text
                assert answer.headers["content-type"] == "image/png"
                data: bytes = answer.content
                return data

            of_series = await get(f"{study}/series/{one.series_uid}/thumbnail")
            of_study = await get(f"{study}/thumbnail")
            path = f"{study}/series/{one.series_uid}/instances/{middle.sop_uid}/thumbnail"
            assert of_series == await get(path)
            assert Image.open(BytesIO(of_study)).size == (128, 128)
            for path, status in (
                ("/studies/1.2.3.4/thumbnail", 404),
                (f"{study}/series/1.2.3.4/thumbnail", 404),
                (f"{study}/thumbnail?viewport=0,0", 400),
            ):
                answer = await running.client.get(running.dicomweb + path, headers=png)
                assert answer.status_code == status
            answer = await running.client.get(
                f"{running.dicomweb}{study}/thumbnail", headers={"accept": "video/mp4"}
            )
            assert answer.status_code == 406


async def test_a_study_is_rendered_picture_by_picture(orthanc, tmp_path):
    kinds = (Kind.CT,)
    made = load(orthanc, tmp_path, series=2, instances=3, size=32, kinds=kinds)
    study = f"/studies/{made[0].study_uid}"
    parts = 'multipart/related; type="image/png"'
    with trio.fail_after(SECONDS):
        async with orthanc.gateway(dicomweb={}) as running:
            for path, count in ((study, 6), (f"{study}/series/{made[0].series_uid}", 3)):
                answer = await running.client.get(
                    f"{running.dicomweb}{path}/rendered", headers={"accept": parts}
                )
                assert answer.status_code == 200, answer.text
                boundary = answer.headers["content-type"].rpartition("boundary=")[2]
                found = split(answer.content, boundary.encode())
                assert len(found) == count
                for head, data in found:
                    assert "Content-Type: image/png" in head
                    assert Image.open(BytesIO(data)).size == (32, 32)
            answer = await running.client.get(
                f"{running.dicomweb}{study}/rendered", headers={"accept": "image/png"}
            )
            assert answer.status_code == 406
            answer = await running.client.get(
                f"{running.dicomweb}/studies/1.2.3.4/rendered", headers={"accept": parts}
            )
            assert answer.status_code == 404
