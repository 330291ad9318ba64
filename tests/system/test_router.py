"""A router of three processes: storescu -> ``harmony serve`` -> Orthanc."""

from __future__ import annotations

import pytest
import trio

from tests.support.dcmtk import Called, storescu
from tests.support.deployment import backend, pipeline, table
from tests.support.files import contents
from tests.support.pacs import ProcessPacs, available
from tests.support.studies import Plan, write_studies

pytestmark = pytest.mark.pacs

SECONDS = 110
OBJECTS = 500
SUCCESS = 0x0000


@pytest.fixture
def orthanc(tmp_path, storescp, request):
    """One of this test's own, to be killed; `storescp` says if DCMTK is not here."""
    if "process" not in available():
        request.getfixturevalue("pacs")  # which says how to get it
        pytest.skip("an Orthanc of this machine is needed")
    with ProcessPacs(tmp_path / "orthanc") as running:
        yield running


@pytest.fixture
def made(tmp_path):
    return write_studies(
        Plan(studies=5, series=2, instances=OBJECTS // 10, size=64), tmp_path / "made"
    )


@pytest.fixture
def config(tmp_path, orthanc):
    called = Called(host=orthanc.host, port=orthanc.port, aet=orthanc.ae_title)
    file = tmp_path / "config.toml"
    file.write_text(
        "[admin]\nport = 0\n"
        + pipeline("router", ["scp"], ["pacs"])
        + table("endpoints.scp", "dicom", local_aet="HARMONY", port=0)
        + backend("pacs", called)
    )
    return file


def kept(orthanc):
    """All that Orthanc has, by UID."""
    files = (contents(orthanc.file(each)) for each in orthanc.rest("GET", "/instances"))
    return {file.sop_instance_uid: file for file in files}


def count(orthanc):
    return orthanc.rest("GET", "/statistics")["CountInstances"]


def sources(made):
    return {one.sop_uid: contents(one.file.read_bytes()) for one in made}


async def test_five_hundred_objects_arrive_byte_for_byte(serve, orthanc, config, made):
    with trio.fail_after(SECONDS):
        async with serve(config) as served:
            harmony = served.called("scp", "HARMONY")
            sent = await storescu(harmony, [one.file for one in made])
            assert sent.code == 0
            assert list(sent.stored().values()) == [SUCCESS] * OBJECTS
        assert await trio.to_thread.run_sync(kept, orthanc) == sources(made)


async def test_if_the_pacs_dies_just_what_it_has_not_is_told_as_failed(
    serve, orthanc, config, made
):
    files = [one.file for one in made]
    uid_of = {one.file: one.sop_uid for one in made}
    results = []

    async def send():
        results.append(await storescu(harmony, files))

    with trio.fail_after(SECONDS):
        async with serve(config) as served:
            harmony = served.called("scp", "HARMONY")
            async with trio.open_nursery() as nursery:
                nursery.start_soon(send)
                while await trio.to_thread.run_sync(count, orthanc) < OBJECTS // 4:
                    await trio.sleep(0.02)
                orthanc.kill()
            (sent,) = results
            told = {uid_of[file]: status for file, status in sent.stored().items()}
            # Each has its answer, on the association that it began with.
            assert len(told) == OBJECTS
            assert None not in told.values()
            succeeded = {uid for uid, status in told.items() if status == SUCCESS}
            assert OBJECTS // 4 <= len(succeeded) < OBJECTS
            assert {told[uid] for uid in told.keys() - succeeded} == {0xA700}

            await trio.to_thread.run_sync(orthanc.start)
            have = await trio.to_thread.run_sync(kept, orthanc)
            assert succeeded <= have.keys()
            # The one under way may be there without an answer.
            assert len(have.keys() - succeeded) <= 1
            assert have == {uid: file for uid, file in sources(made).items() if uid in have}

            again = await storescu(harmony, files)
            assert list(again.stored().values()) == [SUCCESS] * OBJECTS
            assert await trio.to_thread.run_sync(kept, orthanc) == sources(made)
