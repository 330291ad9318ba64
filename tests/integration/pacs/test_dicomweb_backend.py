"""DIMSE to DICOMweb, and DICOMweb to DICOMweb: callers, Harmony, Orthanc's DICOMweb plugin."""

from __future__ import annotations

import contextlib
import json
import urllib.error
import urllib.request
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import trio
from pydicom.dataset import Dataset

from tests.support.dcmtk import (
    PATIENT_ROOT,
    STUDY_ROOT,
    Called,
    Root,
    echoscu,
    findscu,
    getscu,
    movescu,
    storescu,
)
from tests.support.deployment import Deployment, backend, deployed, pipeline, table
from tests.support.files import Contents, contents, multipart, parts
from tests.support.pacs import Pacs
from tests.support.specimens import Specimen, from_the_wheel
from tests.support.specimens import made as made_specimens
from tests.support.storescp import StoreScp
from tests.support.studies import CHARSETS, MadeInstance, Plan, charset_case, write_studies

pytestmark = pytest.mark.usefixtures("dcmtk")

SECONDS = 120
AS_STORED = 'multipart/related; type="application/dicom"; transfer-syntax=*'
STUDY, SERIES, SOP = "StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"
# Orthanc reads but the first character set of a study, and its DICOMweb takes UTF-8 undeclared.
MISREAD_BY_ORTHANC = {"kana", "undeclared"}


def between(pacs: Pacs, there: StoreScp) -> str:
    """Text of a configuration: DIMSE and DICOMweb in front of Orthanc's DICOMweb."""
    return (
        "[networks.default.http]\nport = 0\n"
        + pipeline("pacs", ["scp", "web"], ["orthanc"])
        + table(
            "endpoints.scp",
            "dicom",
            local_aet="HARMONY",
            bind_addr="127.0.0.1",
            port=0,
            move_destinations=["there"],
            accept_unknown_storage_classes=True,
        )
        + table("endpoints.web", "dicomweb", path_prefix="/dicom-web")
        + table("backends.orthanc", "dicomweb", url=f"{pacs.http}/dicom-web")
        + backend("there", Called(host="127.0.0.1", port=there.port, aet=there.ae_title))
    )


@contextlib.asynccontextmanager
async def harmony(pacs: Pacs, there: StoreScp, folder: Path) -> AsyncIterator[Deployment]:
    with trio.fail_after(SECONDS):
        async with deployed(folder / "harmony", between(pacs, there)) as running:
            yield running


@pytest.fixture
def made(pacs_empty: Pacs, tmp_path: Path) -> list[MadeInstance]:
    """Two studies of two series of two, in Orthanc."""
    written = write_studies(Plan(studies=2, series=2, instances=2, size=32), tmp_path / "made")
    pacs_empty.load(one.file for one in written)
    return list(written)


def in_order(files: list[Contents]) -> list[Contents]:
    return sorted(files, key=lambda file: file.sop_instance_uid)


def sources(made: list[MadeInstance]) -> list[Contents]:
    return in_order([contents(one.file.read_bytes()) for one in made])


def direct(pacs: Pacs) -> Called:
    return Called(host=pacs.host, port=pacs.port, aet=pacs.ae_title)


async def test_an_echo_asks_the_server(
    pacs_empty: Pacs, storescp: StoreScp, tmp_path: Path
) -> None:
    async with harmony(pacs_empty, storescp, tmp_path) as running:
        assert (await echoscu(running.called("scp", "HARMONY"))).code == 0


ASKED = {
    "PATIENT": ("PatientID", "PatientName", "PatientBirthDate"),
    "STUDY": (
        STUDY,
        "PatientID",
        "PatientName",
        "StudyDate",
        "StudyDescription",
        "AccessionNumber",
    ),
    "SERIES": (SERIES, "Modality", "SeriesDescription", "SeriesNumber"),
    "IMAGE": (SOP, "SOPClassUID", "InstanceNumber"),
}


def shown(rows: list[Dataset], level: str) -> list[tuple[str, ...]]:
    return sorted(tuple(str(row.get(key, "")) for key in ASKED[level]) for row in rows)


@pytest.mark.parametrize("level", ASKED)
async def test_findscu_finds_what_it_finds_at_the_pacs_itself(
    pacs_empty: Pacs,
    storescp: StoreScp,
    made: list[MadeInstance],
    tmp_path: Path,
    level: str,
) -> None:
    root: Root = PATIENT_ROOT if level == "PATIENT" else STUDY_ROOT
    keys = {"QueryRetrieveLevel": level, **dict.fromkeys(ASKED[level], "")}
    if level in ("SERIES", "IMAGE"):
        keys[STUDY] = made[0].study_uid
    if level == "IMAGE":
        keys[SERIES] = made[0].series_uid
    async with harmony(pacs_empty, storescp, tmp_path) as running:
        scp = running.called("scp", "HARMONY")
        found = await findscu(scp, root, keys, folder=tmp_path / "found")
        expected = await findscu(direct(pacs_empty), root, keys, folder=tmp_path / "expected")
    assert found.status == expected.status == 0
    assert len(found.rows) == len(expected.rows) == 2
    assert shown(list(found.rows), level) == shown(list(expected.rows), level)
    assert all(row.QueryRetrieveLevel == level for row in found.rows)


@pytest.mark.parametrize(
    ("keys", "count"),
    [
        ({"PatientID": "NOBODY"}, 0),
        ({"StudyDate": "19000101-19000102"}, 0),
        ({"StudyDate": "19000101-"}, 2),
        ({"PatientName": "*"}, 2),
        ({"ModalitiesInStudy": "CT"}, 2),
        ({"ModalitiesInStudy": "MR"}, 0),
    ],
)
async def test_findscu_matches(
    pacs_empty: Pacs,
    storescp: StoreScp,
    made: list[MadeInstance],
    tmp_path: Path,
    keys: dict[str, str],
    count: int,
) -> None:
    asked = {"QueryRetrieveLevel": "STUDY", STUDY: "", **keys}
    async with harmony(pacs_empty, storescp, tmp_path) as running:
        scp = running.called("scp", "HARMONY")
        found = await findscu(scp, STUDY_ROOT, asked, folder=tmp_path / "found")
    assert (found.status, len(found.rows)) == (0, count)


@pytest.mark.parametrize("name", sorted(set(CHARSETS) - MISREAD_BY_ORTHANC))
async def test_names_arrive_in_every_character_set(
    pacs_empty: Pacs, storescp: StoreScp, tmp_path: Path, name: str
) -> None:
    (one,) = write_studies(Plan(size=16, charsets=(name,)), tmp_path / "made")
    pacs_empty.load([one.file])
    keys = {"QueryRetrieveLevel": "STUDY", STUDY: one.study_uid, "PatientName": ""}
    async with harmony(pacs_empty, storescp, tmp_path) as running:
        scp = running.called("scp", "HARMONY")
        found = await findscu(scp, STUDY_ROOT, keys, folder=tmp_path / "found")
    (row,) = found.rows
    assert str(row.PatientName) == charset_case(name).patient_name


LEVELS = {
    "STUDY": {STUDY: "study_uid"},
    "SERIES": {STUDY: "study_uid", SERIES: "series_uid"},
    "IMAGE": {STUDY: "study_uid", SERIES: "series_uid", SOP: "sop_uid"},
}


@pytest.mark.parametrize("level", LEVELS)
async def test_getscu_gets_the_files_as_they_are(
    pacs_empty: Pacs,
    storescp: StoreScp,
    made: list[MadeInstance],
    tmp_path: Path,
    level: str,
) -> None:
    one = made[0]
    named = {key: getattr(one, name) for key, name in LEVELS[level].items()}
    names = LEVELS[level].values()
    wanted = [m for m in made if all(getattr(m, n) == getattr(one, n) for n in names)]
    async with harmony(pacs_empty, storescp, tmp_path) as running:
        scp = running.called("scp", "HARMONY")
        keys = {"QueryRetrieveLevel": level, **named}
        got = await getscu(scp, STUDY_ROOT, keys, folder=tmp_path / "got")
    assert got.status == 0
    assert got.counters == (len(wanted), 0, 0)
    assert in_order(list(got.received)) == sources(wanted)


async def test_a_patient_is_got_study_by_study(
    pacs_empty: Pacs, storescp: StoreScp, made: list[MadeInstance], tmp_path: Path
) -> None:
    wanted = [one for one in made if one.patient_id == made[0].patient_id]
    async with harmony(pacs_empty, storescp, tmp_path) as running:
        scp = running.called("scp", "HARMONY")
        keys = {"QueryRetrieveLevel": "PATIENT", "PatientID": made[0].patient_id}
        got = await getscu(scp, PATIENT_ROOT, keys, folder=tmp_path / "got")
    assert got.status == 0
    assert in_order(list(got.received)) == sources(wanted)


async def test_what_is_not_there_is_no_failure_and_nothing(
    pacs_empty: Pacs, storescp: StoreScp, tmp_path: Path
) -> None:
    async with harmony(pacs_empty, storescp, tmp_path) as running:
        scp = running.called("scp", "HARMONY")
        keys = {"QueryRetrieveLevel": "STUDY", STUDY: "1.2.3.4"}
        got = await getscu(scp, STUDY_ROOT, keys, folder=tmp_path / "got")
        async with running.client(prefix="/dicom-web") as client:
            answer = await client.get("/studies/1.2.3.4")
    assert (got.status, list(got.received)) == (0, [])
    assert answer.status_code == 404


async def test_movescu_moves_to_a_third(
    pacs_empty: Pacs, storescp: StoreScp, made: list[MadeInstance], tmp_path: Path
) -> None:
    async with harmony(pacs_empty, storescp, tmp_path) as running:
        scp = running.called("scp", "HARMONY")
        keys = {"QueryRetrieveLevel": "STUDY", STUDY: made[0].study_uid}
        moved = await movescu(scp, STUDY_ROOT, keys, destination=storescp.ae_title)
    assert moved.status == 0
    assert moved.counters == (4, 0, 0)
    received = [contents(file.read_bytes()) for file in storescp.files()]
    assert in_order(received) == sources([m for m in made if m.study_uid == made[0].study_uid])


PROPOSE = {  # how storescu is made to send just this
    "1.2.840.10008.1.2": "--propose-implicit",
    "1.2.840.10008.1.2.1": "--propose-little",
    "1.2.840.10008.1.2.2": "--propose-big",
    "1.2.840.10008.1.2.5": "--propose-rle",
}


def held(pacs: Pacs) -> list[Contents]:
    """All that Orthanc has."""
    found = pacs.rest("GET", "/instances")
    assert isinstance(found, list)
    return in_order([contents(pacs.file(each)) for each in found])


@pytest.mark.parametrize("syntax", PROPOSE)
async def test_storescu_stores_in_every_transfer_syntax_unchanged(
    pacs_empty: Pacs, storescp: StoreScp, tmp_path: Path, syntax: str
) -> None:
    written = [
        one for one in made_specimens(tmp_path / "made") if one.instance.transfer_syntax == syntax
    ]
    async with harmony(pacs_empty, storescp, tmp_path) as running:
        scp = running.called("scp", "HARMONY")
        files = [one.file for one in written]
        done = await storescu(scp, files, "--required", PROPOSE[syntax])
    assert written
    assert done.stored() == dict.fromkeys(files, 0)
    assert held(pacs_empty) == in_order([contents(file.read_bytes()) for file in files])


async def test_stow_and_wado_through_two_dicomwebs_change_nothing(
    pacs_empty: Pacs, storescp: StoreScp, tmp_path: Path
) -> None:
    """In the transfer syntaxes of pydicom's samples, and those that need no codec."""
    written = {
        one.instance.sop_instance: one.file.read_bytes()
        for one in (*made_specimens(tmp_path / "made"), *from_the_wheel())
        if _takes(pacs_empty, one)
    }
    pacs_empty.reset()
    sources = [contents(file) for file in written.values()]
    assert len({file.transfer_syntax for file in sources}) >= 9
    kind, body = multipart(list(written.values()))
    async with (
        harmony(pacs_empty, storescp, tmp_path) as running,
        running.client(prefix="/dicom-web") as client,
    ):
        stored = await client.post("/studies", content=body, headers={"content-type": kind})
        response = stored.json()
        assert "00081198" not in response
        for study in {one["0020000D"]["Value"][0] for one in (await client.get("/studies")).json()}:
            got = await client.get(f"/studies/{study}", headers={"accept": AS_STORED})
            assert got.status_code == 200
            for _, data in parts(got):
                sources.remove(contents(data))
    assert sources == []


def _takes(pacs: Pacs, one: Specimen) -> bool:
    """Whether Orthanc's own STOW takes it by its name: some of the samples have their faults."""
    kind, body = multipart([one.file.read_bytes()])
    request = urllib.request.Request(
        f"{pacs.http}/dicom-web/studies",
        data=body,
        headers={"Content-Type": kind, "Accept": "application/dicom+json"},
    )
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            stored = json.load(answer).get("00081199", {"Value": []})["Value"]
    except urllib.error.HTTPError as exc:
        exc.close()
        return False
    return [each["00081155"]["Value"] for each in stored] == [[one.instance.sop_instance]]


async def test_dicomweb_to_dicomweb(pacs_empty: Pacs, storescp: StoreScp, tmp_path: Path) -> None:
    written = list(write_studies(Plan(series=2, instances=3, size=32), tmp_path / "made"))
    files = [one.file.read_bytes() for one in written]
    kind, body = multipart(files)
    async with (
        harmony(pacs_empty, storescp, tmp_path) as running,
        running.client(prefix="/dicom-web") as client,
    ):
        stored = await client.post("/studies", content=body, headers={"content-type": kind})
        assert stored.status_code == 200
        assert len(stored.json()["00081199"]["Value"]) == len(files)
        studies = (await client.get("/studies", params={"limit": "1"})).json()
        assert [row["0020000D"]["Value"] for row in studies] == [[written[0].study_uid]]
        instances = await client.get(f"/studies/{written[0].study_uid}/instances?limit=4")
        assert len(instances.json()) == 4
        assert "additional results" in instances.headers["warning"]
        retrieved = await client.get(
            f"/studies/{written[0].study_uid}",
            headers={"accept": AS_STORED},
        )
        assert retrieved.status_code == 200
        metadata = await client.get(f"/studies/{written[0].study_uid}/metadata")
        assert len(metadata.json()) == len(files)
    assert in_order([contents(data) for _, data in parts(retrieved)]) == sources(written)
