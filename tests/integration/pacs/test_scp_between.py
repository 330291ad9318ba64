"""DCMTK's callers -> Harmony -> real PACS: what they get is what the PACS itself gives them."""

from __future__ import annotations

import functools
import itertools

import pytest
import trio

from tests.integration.pacs.conftest import NOBODY_LISTENS
from tests.support import engines
from tests.support.bad_pacs import Rows, Script, Silence, bad_pacs
from tests.support.dcmtk import (
    PATIENT_ROOT,
    STUDY_ROOT,
    Called,
    echoscu,
    findscu,
    getscu,
    movescu,
    storescu,
)
from tests.support.deployment import backend, deployed, pipeline, table
from tests.support.dimse import rows
from tests.support.eventually import eventually
from tests.support.files import contents
from tests.support.storescp import storescp as storescp_running
from tests.support.studies import Kind, Plan, write_studies

pytestmark = pytest.mark.usefixtures("dcmtk", "engine")

SECONDS = 100
HERE = "127.0.0.1"
CANCELLED, SUCCESS = 0xFE00, 0x0000
OUT_OF_RESOURCES, CANNOT_PERFORM = 0xA700, 0xA702
# What a PACS says of itself, not of what it found.
ABOUT_THE_PACS = ("RetrieveAETitle", "SpecificCharacterSet", "InstanceAvailability")


def router(called, *, destination=None, **options):
    """Text of a configuration: an endpoint, and the PACS behind it."""
    text = pipeline("router", ["scp"], ["pacs"])
    names = []
    if destination is not None:
        names = ["workstation"]
        text += backend("workstation", destination)
    text += table("endpoints.scp", "dicom", local_aet="HARMONY", port=0, move_destinations=names)
    return text + backend("pacs", called, **options)


def of(storescp):
    return Called(host=HERE, port=storescp.port, aet=storescp.ae_title)


@pytest.fixture
def made(archive, tmp_path):
    plan = Plan(
        studies=3,
        series=2,
        instances=3,
        size=16,
        kinds=(Kind.CT, Kind.MR, Kind.US),
        charsets=("ascii", "latin1", "utf8"),
    )
    written = write_studies(plan, tmp_path / "made")
    archive.load(one.file for one in written)
    return written


def unique_keys(one, root, level):
    """The keys that a retrieve of this level needs. PS3.4 C.6.1.1, C.6.2.1."""
    keys = {"QueryRetrieveLevel": level}
    if root == PATIENT_ROOT:
        keys["PatientID"] = one.patient_id
    if level != "PATIENT":
        keys["StudyInstanceUID"] = one.study_uid
    if level in ("SERIES", "IMAGE"):
        keys["SeriesInstanceUID"] = one.series_uid
    if level == "IMAGE":
        keys["SOPInstanceUID"] = one.sop_uid
    return keys


LEVELS = [
    (PATIENT_ROOT, "PATIENT"),
    *itertools.product((PATIENT_ROOT, STUDY_ROOT), ("STUDY", "SERIES", "IMAGE")),
]
at_each_level = engines.cases(
    ("root", "level"), LEVELS, core=[(PATIENT_ROOT, "PATIENT"), (STUDY_ROOT, "STUDY")]
)
RETURNED = {
    "PATIENT": ("PatientID", "PatientName", "PatientBirthDate"),
    "STUDY": ("PatientName", "StudyInstanceUID", "StudyDate", "ModalitiesInStudy"),
    "SERIES": ("SeriesInstanceUID", "Modality", "SeriesNumber"),
    "IMAGE": ("SOPInstanceUID", "SOPClassUID", "InstanceNumber"),
}


def meaning(found):
    """Rows as text, in an order of their own, without what is about the PACS."""
    plain = []
    for row in found:
        row.decode()
        told = [each for each in row if each.keyword not in ABOUT_THE_PACS]
        plain.append([(each.keyword, str(each.value)) for each in told])
    return sorted(plain)


def sources(made, one, level):
    key = {"PATIENT": "patient_id", "STUDY": "study_uid", "SERIES": "series_uid"}.get(
        level, "sop_uid"
    )
    wanted = [each for each in made if getattr(each, key) == getattr(one, key)]
    return in_order(contents(each.file.read_bytes()) for each in wanted)


def in_order(files):
    return sorted(files, key=lambda file: file.sop_instance_uid)


@at_each_level
async def test_a_query_finds_what_the_pacs_itself_gives(archive, made, tmp_path, root, level):
    keys = dict.fromkeys(RETURNED[level], "")
    unique = unique_keys(made[0], root, level)
    lowest = list(unique)[-1]
    keys |= unique | {lowest: "" if level != "QueryRetrieveLevel" else level}
    with trio.fail_after(SECONDS):
        direct = await findscu(archive.called, root, keys, folder=tmp_path / "direct")
        async with deployed(tmp_path / "h", router(archive.called)) as running:
            harmony = running.called("scp", "HARMONY")
            found = await findscu(harmony, root, keys, folder=tmp_path / "found")
    assert direct.rows
    assert (found.code, found.status) == (0, SUCCESS)
    assert meaning(found.rows) == meaning(direct.rows)


@pytest.mark.parametrize(
    "keys",
    [
        {"PatientName": "*"},
        {"PatientID": "NOBODY"},
        {"StudyDate": "19000101-20991231"},
        {"ModalitiesInStudy": "MR"},
    ],
    ids=lambda keys: ",".join(keys),
)
async def test_matching_is_left_to_the_pacs(archive, made, tmp_path, keys):
    asked = {"QueryRetrieveLevel": "STUDY", "StudyInstanceUID": "", **keys}
    with trio.fail_after(SECONDS):
        direct = await findscu(archive.called, STUDY_ROOT, asked, folder=tmp_path / "direct")
        async with deployed(tmp_path / "h", router(archive.called)) as running:
            harmony = running.called("scp", "HARMONY")
            found = await findscu(harmony, STUDY_ROOT, asked, folder=tmp_path / "found")
    assert found.status == direct.status == SUCCESS
    assert meaning(found.rows) == meaning(direct.rows)


@at_each_level
async def test_a_get_brings_the_files_of_the_pacs(archive, made, tmp_path, root, level):
    one = made[0]
    keys = unique_keys(one, root, level)
    with trio.fail_after(SECONDS):
        async with deployed(tmp_path / "h", router(archive.called)) as running:
            harmony = running.called("scp", "HARMONY")
            got = await getscu(harmony, root, keys, folder=tmp_path / "got")
    wanted = sources(made, one, level)
    assert (got.code, got.status) == (0, SUCCESS)
    assert got.counters == (len(wanted), 0, 0)
    assert in_order(got.received) == wanted


@at_each_level
async def test_a_move_brings_the_files_to_its_destination(
    archive, made, storescp, tmp_path, root, level
):
    one = made[0]
    text = router(archive.called, destination=of(storescp))
    with trio.fail_after(SECONDS):
        async with deployed(tmp_path / "h", text) as running:
            harmony = running.called("scp", "HARMONY")
            keys = unique_keys(one, root, level)
            moved = await movescu(harmony, root, keys, destination=storescp.ae_title)
    wanted = sources(made, one, level)
    assert (moved.code, moved.status) == (0, SUCCESS)
    assert moved.counters == (len(wanted), 0, 0)
    assert in_order(contents(file.read_bytes()) for file in storescp.files()) == wanted


async def test_a_move_to_whom_the_configuration_does_not_name_is_refused(
    archive, made, storescp, tmp_path
):
    keys = unique_keys(made[0], STUDY_ROOT, "STUDY")
    with trio.fail_after(SECONDS):  # the PACS would know it
        async with deployed(tmp_path / "h", router(archive.called)) as running:
            harmony = running.called("scp", "HARMONY")
            moved = await movescu(harmony, STUDY_ROOT, keys, destination=storescp.ae_title)
    assert moved.code != 0
    assert moved.status == 0xA801
    assert storescp.files() == []


async def test_what_is_stored_is_in_the_pacs_and_unchanged(archive, tmp_path):
    made = write_studies(
        Plan(studies=3, instances=2, size=32, kinds=(Kind.CT, Kind.US, Kind.PDF), private=True),
        tmp_path / "made",
    )
    with trio.fail_after(SECONDS):
        async with deployed(tmp_path / "h", router(archive.called)) as running:
            harmony = running.called("scp", "HARMONY")
            sent = await storescu(harmony, [one.file for one in made])
            assert sent.code == 0
            assert sent.statuses == [SUCCESS] * len(made)
        for number, one in enumerate(made):
            keys = unique_keys(one, STUDY_ROOT, "IMAGE")
            got = await getscu(archive.called, STUDY_ROOT, keys, folder=tmp_path / f"got{number}")
            assert list(got.received) == [contents(one.file.read_bytes())]


# C-CANCEL


async def test_a_cancelled_query_ends_as_such_and_the_next_is_whole(archive, made, tmp_path):
    keys = {"QueryRetrieveLevel": "IMAGE", "SOPInstanceUID": ""}
    keys |= {"StudyInstanceUID": made[0].study_uid, "SeriesInstanceUID": made[0].series_uid}
    with trio.fail_after(SECONDS):
        async with deployed(tmp_path / "h", router(archive.called)) as running:
            ask = functools.partial(findscu, running.called("scp", "HARMONY"), STUDY_ROOT, keys)
            cut = await ask("--cancel", "1", folder=tmp_path / "cut")
            whole = await ask(folder=tmp_path / "whole")
    # The PACS may have been faster than the C-CANCEL; a part is never called the whole.
    assert cut.status == CANCELLED or len(cut.rows) == 3
    assert (whole.status, len(whole.rows)) == (SUCCESS, 3)


async def test_a_cancel_ends_the_work_of_the_pacs(tmp_path):
    keys = {"QueryRetrieveLevel": "STUDY", "StudyInstanceUID": ""}
    with trio.fail_after(SECONDS), bad_pacs(Script(find=(Rows(rows(3)), Silence()))) as peer:
        async with deployed(
            tmp_path / "h", router(Called(host=HERE, port=peer.port, aet="PACS"))
        ) as running:
            harmony = running.called("scp", "HARMONY")
            cut = await findscu(harmony, STUDY_ROOT, keys, "--cancel", "2", folder=tmp_path / "cut")
            assert (cut.status, len(cut.rows)) == (CANCELLED, 3)
            (asked,) = [each for each in peer.requests if each.kind == "C-FIND-RQ"]
            await eventually(lambda: peer.connections[asked.connection].end is not None)


async def test_a_cancelled_move_stops_and_tells_what_remains(archive, tmp_path):
    made = write_studies(Plan(instances=6, size=16), tmp_path / "made")
    archive.load(one.file for one in made)
    keys = unique_keys(made[0], STUDY_ROOT, "STUDY")
    with (
        trio.fail_after(SECONDS),
        storescp_running(tmp_path / "slow", options=("--sleep-after", "1")) as slow,
    ):
        text = router(archive.called, destination=of(slow))
        async with deployed(tmp_path / "h", text) as running:
            harmony = running.called("scp", "HARMONY")
            moved = await movescu(
                harmony, STUDY_ROOT, keys, "--cancel", "1", destination=slow.ae_title
            )
        assert moved.status == CANCELLED
        completed, failed, _ = moved.counters
        assert 1 <= completed + failed < len(made)
        assert completed <= len(slow.files()) < len(made)


# A PACS that is down

NOBODY = Called(host=HERE, port=NOBODY_LISTENS, aet="PACS")


async def test_an_echo_is_no_success_while_the_pacs_is_down(tmp_path):
    with trio.fail_after(SECONDS):
        async with deployed(tmp_path / "h", router(NOBODY)) as running:
            told = await echoscu(running.called("scp", "HARMONY"))
    assert "Echo Response (Unknown Status: 0x110)" in told.output


@pytest.mark.parametrize("root", [PATIENT_ROOT, STUDY_ROOT])
async def test_queries_and_retrieves_fail_while_the_pacs_is_down(storescp, tmp_path, root):
    level = "PATIENT" if root == PATIENT_ROOT else "STUDY"
    keys = {"QueryRetrieveLevel": level, "PatientID": "1"}
    if level == "STUDY":
        keys = {"QueryRetrieveLevel": level, "StudyInstanceUID": "1.2.3"}
    with trio.fail_after(SECONDS):
        async with deployed(tmp_path / "h", router(NOBODY, destination=of(storescp))) as running:
            harmony = running.called("scp", "HARMONY")
            found = await findscu(harmony, root, keys, folder=tmp_path / "found")
            got = await getscu(harmony, root, keys, folder=tmp_path / "got")
            moved = await movescu(harmony, root, keys, destination=storescp.ae_title)
    assert (found.status, found.rows) == (OUT_OF_RESOURCES, [])
    assert (got.status, got.received) == (CANNOT_PERFORM, [])
    assert moved.status == CANNOT_PERFORM
    assert moved.code != 0
    assert storescp.files() == []


async def test_a_store_fails_for_each_object_while_the_pacs_is_down(tmp_path):
    made = write_studies(Plan(instances=3, size=16), tmp_path / "made")
    with trio.fail_after(SECONDS):
        async with deployed(tmp_path / "h", router(NOBODY)) as running:
            sent = await storescu(running.called("scp", "HARMONY"), [one.file for one in made])
    assert sent.statuses == [OUT_OF_RESOURCES] * len(made)


async def test_a_move_fails_while_its_destination_is_down(archive, made, tmp_path):
    keys = unique_keys(made[0], STUDY_ROOT, "STUDY")
    text = router(archive.called, destination=NOBODY)
    with trio.fail_after(SECONDS):
        async with deployed(tmp_path / "h", text) as running:
            harmony = running.called("scp", "HARMONY")
            moved = await movescu(harmony, STUDY_ROOT, keys, destination=NOBODY.aet)
    assert moved.code != 0
    assert moved.status in (0xA702, 0xB000)
    assert moved.counters[0] == 0
    assert moved.counters[1] > 0
