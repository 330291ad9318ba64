"""Orthanc calls Harmony: stores, queries and retrieves, and each sends to the other."""

from __future__ import annotations

import contextlib
import functools
import json
import urllib.error
from dataclasses import replace

import pytest
import trio

from tests.support.dcmtk import STUDY_ROOT, Called, findscu, getscu, movescu, storescu
from tests.support.deployment import backend, deployed, pipeline, table
from tests.support.files import Contents, contents, parts
from tests.support.studies import Plan, write_studies

pytestmark = pytest.mark.usefixtures("dcmtk")

SECONDS = 100
NETWORK = "[networks.default.http]\nport = 0\n"
LEVEL_KEYS = {
    "Study": ("StudyInstanceUID",),
    "Series": ("StudyInstanceUID", "SeriesInstanceUID"),
    "Instance": ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"),
}


def in_order(files):
    return sorted(files, key=lambda file: file.sop_instance_uid)


class Orthanc:
    """The real one, asked by its REST API from trio."""

    def __init__(self, pacs):
        self.pacs = pacs
        self.called = Called(host=pacs.host, port=pacs.port, aet=pacs.ae_title)

    async def rest(self, method, path, document=None):
        """The answer, decoded; a RuntimeError if it is an error."""
        body = None if document is None else json.dumps(document).encode()
        try:
            return await trio.to_thread.run_sync(
                functools.partial(self.pacs.rest, method, path, body, seconds=SECONDS)
            )
        except urllib.error.HTTPError as exc:
            with exc:
                raise RuntimeError(f"{exc.code}: {exc.read().decode()}") from None

    async def ask(self, path, document):
        """POST to what it knows of Harmony."""
        return await self.rest("POST", f"/modalities/harmony/{path}", document)

    async def files(self):
        return await trio.to_thread.run_sync(self._files)

    def _files(self):
        found = self.pacs.rest("GET", "/instances")
        return in_order(contents(self.pacs.file(each)) for each in found)

    async def knows(self, running):
        """Tell it where Harmony is."""
        host, port = running.at["scp"]
        await trio.to_thread.run_sync(self.pacs.add_modality, "HARMONY", host, port)


@pytest.fixture
def orthanc(pacs_empty):
    return Orthanc(pacs_empty)


def archive_for(orthanc):
    """Text of a configuration: an archive that Orthanc and DCMTK may call."""
    return (
        pipeline("pacs", ["scp"], ["store"])
        + "[peers.callers]\n"
        + f'ae_titles = ["{orthanc.called.aet}", "TESTER"]\n'
        + table(
            "endpoints.scp",
            "dicom",
            local_aet="HARMONY",
            bind_addr=orthanc.pacs.caller_host,
            port=0,
            peers=["callers"],
            move_destinations=["orthanc"],
        )
        + table("backends.store", "archive", folder="archive")
        + backend("orthanc", orthanc.called)
    )


@contextlib.asynccontextmanager
async def harmony_before_an_archive(orthanc, folder):
    async with deployed(folder / "harmony", archive_for(orthanc)) as running:
        await orthanc.knows(running)
        yield running


@pytest.fixture
def made(tmp_path):
    return write_studies(
        Plan(studies=2, series=2, instances=3, size=32, private=True), tmp_path / "made"
    )


def sources(made):
    return in_order(contents(one.file.read_bytes()) for one in made)


async def kept(running, made, folder):
    """All that Harmony's archive has of these, by C-GET."""
    harmony = running.called("scp", "HARMONY")
    found: list[Contents] = []
    for number, uid in enumerate(sorted({one.study_uid for one in made})):
        keys = {"QueryRetrieveLevel": "STUDY", "StudyInstanceUID": uid}
        got = await getscu(harmony, STUDY_ROOT, keys, folder=folder / str(number))
        assert got.status == 0
        found += got.received
    return in_order(found)


async def test_its_echo_is_answered(orthanc, tmp_path):
    with trio.fail_after(SECONDS):
        async with harmony_before_an_archive(orthanc, tmp_path):
            assert await orthanc.ask("echo", {}) == {}


async def test_what_it_stores_is_kept_unchanged(orthanc, made, tmp_path):
    orthanc.pacs.load(one.file for one in made)
    with trio.fail_after(SECONDS):
        async with harmony_before_an_archive(orthanc, tmp_path) as running:
            told = await orthanc.ask("store", await orthanc.rest("GET", "/studies"))
            assert (told["InstancesCount"], told["FailedInstancesCount"]) == (len(made), 0)
            assert await kept(running, made, tmp_path / "kept") == sources(made)


async def test_a_store_again_of_what_is_kept_already_succeeds(orthanc, made, tmp_path):
    orthanc.pacs.load(one.file for one in made)
    with trio.fail_after(SECONDS):
        async with harmony_before_an_archive(orthanc, tmp_path):
            for _ in range(2):
                told = await orthanc.ask("store", await orthanc.rest("GET", "/studies"))
                assert told["FailedInstancesCount"] == 0


@pytest.mark.parametrize("level", LEVEL_KEYS)
async def test_its_query_finds_and_its_retrieve_brings_the_files(orthanc, made, tmp_path, level):
    with trio.fail_after(SECONDS):
        async with harmony_before_an_archive(orthanc, tmp_path) as running:
            harmony = running.called("scp", "HARMONY")
            await storescu(harmony, [one.file for one in made])
            uids = (made[0].study_uid, made[0].series_uid, made[0].sop_uid)
            one = dict(zip(LEVEL_KEYS["Instance"], uids, strict=True))
            keys = {key: one[key] for key in LEVEL_KEYS[level]}
            query = await orthanc.ask("query", {"Level": level, "Query": keys})
            answers = await orthanc.rest("GET", query["Path"] + "/answers")
            assert answers == ["0"]
            row = await orthanc.rest("GET", query["Path"] + "/answers/0/content?simplify")
            assert {key: row[key] for key in keys} == keys
            # Its own C-MOVE, whose destination it is itself.
            await orthanc.rest(
                "POST",
                query["Path"] + "/answers/0/retrieve",
                {"TargetAet": orthanc.called.aet, "Synchronous": True},
            )
            wanted = [
                each
                for each in made
                if each.study_uid == one["StudyInstanceUID"]
                and (level == "Study" or each.series_uid == one["SeriesInstanceUID"])
                and (level != "Instance" or each.sop_uid == one["SOPInstanceUID"])
            ]
            assert await orthanc.files() == sources(wanted)


async def test_its_query_for_what_is_not_there_finds_nothing(orthanc, made, tmp_path):
    with trio.fail_after(SECONDS):
        async with harmony_before_an_archive(orthanc, tmp_path) as running:
            await storescu(running.called("scp", "HARMONY"), [one.file for one in made])
            asked = {"Level": "Study", "Query": {"PatientID": "NOBODY"}}
            query = await orthanc.ask("query", asked)
            assert await orthanc.rest("GET", query["Path"] + "/answers") == []


async def test_a_retrieve_to_whom_harmony_does_not_know_is_refused(orthanc, made, tmp_path):
    with trio.fail_after(SECONDS):
        async with harmony_before_an_archive(orthanc, tmp_path) as running:
            await storescu(running.called("scp", "HARMONY"), [one.file for one in made])
            asked = {
                "Level": "Study",
                "Resources": [{"StudyInstanceUID": made[0].study_uid}],
                "TargetAet": "NOWHERE",
                "Synchronous": True,
            }
            with pytest.raises(RuntimeError):
                await orthanc.ask("move", asked)
            assert await orthanc.files() == []
            assert await orthanc.ask("echo", {}) == {}


async def test_orthanc_moves_to_harmony_what_dcmtk_asks_it_to(orthanc, made, tmp_path):
    orthanc.pacs.load(one.file for one in made)
    with trio.fail_after(SECONDS):
        async with harmony_before_an_archive(orthanc, tmp_path) as running:
            for uid in {one.study_uid for one in made}:
                keys = {"QueryRetrieveLevel": "STUDY", "StudyInstanceUID": uid}
                moved = await movescu(orthanc.called, STUDY_ROOT, keys, destination="HARMONY")
                assert (moved.status, moved.counters) == (0, (len(made) // 2, 0, 0))
            assert await kept(running, made, tmp_path / "kept") == sources(made)


async def test_harmony_moves_to_orthanc_what_dcmtk_asks_it_to(orthanc, made, tmp_path):
    with trio.fail_after(SECONDS):
        async with harmony_before_an_archive(orthanc, tmp_path) as running:
            harmony = running.called("scp", "HARMONY")
            await storescu(harmony, [one.file for one in made])
            for uid in {one.study_uid for one in made}:
                keys = {"QueryRetrieveLevel": "STUDY", "StudyInstanceUID": uid}
                moved = await movescu(harmony, STUDY_ROOT, keys, destination=orthanc.called.aet)
                assert (moved.status, moved.counters) == (0, (len(made) // 2, 0, 0))
            assert await orthanc.files() == sources(made)


async def test_a_caller_that_is_no_peer_is_refused_and_orthanc_is_not(orthanc, made, tmp_path):
    with trio.fail_after(SECONDS):
        async with harmony_before_an_archive(orthanc, tmp_path) as running:
            stranger = replace(running.called("scp", "HARMONY"), calling="STRANGER")
            keys = {"QueryRetrieveLevel": "STUDY", "StudyInstanceUID": ""}
            refused = await findscu(stranger, STUDY_ROOT, keys, folder=tmp_path / "refused")
            assert refused.rejection == (
                "Rejected Permanent, Source: Service User",
                "Calling AE Title Not Recognized",
            )
            assert await orthanc.ask("echo", {}) == {}


async def test_http_retrieves_by_way_of_the_endpoint_that_receiver_names(orthanc, made, tmp_path):
    """Orthanc sends to an endpoint that also takes objects for an archive: they are told apart."""
    orthanc.pacs.load(one.file for one in made)
    text = (
        archive_for(orthanc)
        + pipeline("web", ["web"], ["pacs"])
        + table("endpoints.web", "http", path_prefix="/dicom")
        + backend("pacs", orthanc.called, retrieve="move", receiver="scp")
    )
    with trio.fail_after(SECONDS):
        async with deployed(tmp_path / "harmony", text + NETWORK) as running:
            await orthanc.knows(running)
            async with running.client(prefix="/dicom") as client:
                asked = {"study_instance_uid": made[0].study_uid}
                answer = await client.post("/get", json=asked)
                assert answer.status_code == 200, answer.text
            wanted = [one for one in made if one.study_uid == made[0].study_uid]
            got = in_order(contents(data) for _, data in parts(answer))
            assert got == sources(wanted)
            assert await kept(running, made, tmp_path / "kept") == []
            # What nobody waits for goes to the archive.
            keys = {"QueryRetrieveLevel": "STUDY", "StudyInstanceUID": made[0].study_uid}
            moved = await movescu(orthanc.called, STUDY_ROOT, keys, destination="HARMONY")
            assert moved.status == 0
            assert await kept(running, wanted, tmp_path / "later") == sources(wanted)
