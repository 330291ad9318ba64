"""Harmony's own user of all services, before providers that real programs run.

Orthanc and dcmqrscp as HTTP clients see them are in `test_find`, `test_get`, `test_move` and
`test_store`; here are pynetdicom, storescp, and what several of them do with one association.
"""

from __future__ import annotations

import collections
import contextlib
from dataclasses import replace

import pytest
import trio
from pydicom import dcmread

from harmony.envelope import Completion
from harmony.errors import UpstreamError
from tests.support import dimse
from tests.support.bad_pacs import instance_from_file
from tests.support.dcmqrscp import Destination, dcmqrscp
from tests.support.dcmtk import Called
from tests.support.own_orthanc import own_orthanc
from tests.support.own_user import calling
from tests.support.plain_pynetdicom import plain_scp
from tests.support.storescp import storescp
from tests.support.studies import Kind, Plan, write_studies

pytestmark = pytest.mark.usefixtures("dcmtk")

SECONDS = 60
HERE = "127.0.0.1"
FIND, MOVE, GET = (f"1.2.840.10008.5.1.4.1.2.2.{number}" for number in (1, 2, 3))
MANY = 200


@contextlib.asynccontextmanager
async def in_time(called):
    with trio.fail_after(SECONDS):
        async with calling(called) as user:
            yield user


@pytest.fixture(scope="module")
def objects(tmp_path_factory):
    """Small ones of several classes, and one that fills many PDUs; of one study each."""
    folder = tmp_path_factory.mktemp("objects")
    kinds = (Kind.CT, Kind.SR, Kind.US)
    small = write_studies(Plan(studies=3, kinds=kinds, instances=2, size=16), folder / "small")
    large = write_studies(Plan(size=512), folder / "large")
    return [one.file for one in small + large]


def instances(files):
    return in_order(map(instance_from_file, files))


def in_order(found):
    return sorted(found, key=lambda one: one.sop_instance)


@pytest.mark.parametrize("max_pdu", [0, 4096, 16383, 131072])
async def test_pynetdicom_serves_everything_within_its_maximum_length(objects, max_pdu, tmp_path):
    classes = {each.sop_class for each in map(instance_from_file, objects)}
    supported = [(uid, dimse.EXPLICIT) for uid in (FIND, MOVE, GET, *classes)]
    with storescp(tmp_path / "dest") as dest:
        with plain_scp(
            supported,
            max_pdu=max_pdu,
            has=objects,
            rows=dimse.rows(MANY),
            destinations={"DEST": dest.port},
        ) as peer:
            async with in_time(Called(host=HERE, port=peer.port, aet=peer.aet)) as user:
                await user.echo()
                assert await user.store(instances(objects)) == [0] * len(objects)
                completion, found = await user.find(dimse.query())
                assert completion is Completion.COMPLETE
                assert [f"Row^{n:05}".encode() in row for n, row in enumerate(found)] == [
                    True
                ] * MANY
                completion, got = await user.get(dimse.query())
                assert (completion, in_order(got)) == (Completion.COMPLETE, instances(objects))
                assert await user.move(dimse.move_query()) is Completion.COMPLETE
                await user.echo()
        assert instances(dest.files()) == instances(objects)
    assert in_order(peer.stored) == instances(objects)
    assert peer.longest <= (max_pdu or peer.longest)


async def test_pynetdicom_sees_a_cancelled_query_and_answers_the_next(tmp_path):
    with plain_scp([(FIND, dimse.EXPLICIT)], rows=dimse.rows(MANY), pause=0.005) as peer:
        async with in_time(Called(host=HERE, port=peer.port, aet=peer.aet)) as user:
            for _ in range(3):
                completion, found = await user.find(dimse.query(limit=5))
                assert (completion, len(found)) == (Completion.LIMITED, 5)
                await user.echo()
    assert len(peer.cancelled) == 3


async def test_pynetdicom_knows_no_such_destination(tmp_path):
    with plain_scp([(MOVE, dimse.EXPLICIT)]) as peer:
        async with in_time(Called(host=HERE, port=peer.port, aet=peer.aet)) as user:
            with pytest.raises(UpstreamError) as caught:
                await user.move(dimse.move_query("NOWHERE"))
            assert (caught.value.http_status, caught.value.dimse_status) == (502, 0xA801)
            await user.echo()


@pytest.mark.parametrize("maximum", ["4096", "16384", "131072"])
async def test_storescp_gets_each_object_whole_whatever_its_maximum_length(
    objects, maximum, tmp_path
):
    with storescp(tmp_path / "sink", options=("--max-pdu", maximum)) as sink:
        async with in_time(Called(host=HERE, port=sink.port, aet=sink.ae_title)) as user:
            await user.echo()
            assert await user.store(instances(objects)) == [0] * len(objects)
            await user.echo()
        assert instances(sink.files()) == instances(objects)


@pytest.fixture(params=["orthanc", "dcmqrscp"])
def archive(request, tmp_path):
    """An empty PACS that sends to storescp: how to call it, and the storescp."""
    with storescp(tmp_path / "dest") as dest:
        if request.param == "orthanc":
            with own_orthanc(tmp_path / "orthanc") as orthanc:
                orthanc.add_modality("DEST", HERE, dest.port)
                yield Called(host=HERE, port=orthanc.port, aet=orthanc.ae_title), dest
            return
        known = (Destination(ae_title="DEST", port=dest.port),)
        with dcmqrscp(tmp_path / "dcmqrscp", destinations=known) as running:
            yield Called(host=HERE, port=running.port, aet=running.ae_title), dest


async def test_an_archive_is_filled_asked_and_emptied(archive, objects):
    called, dest = archive
    by_study = collections.defaultdict(list)
    for file in objects:
        by_study[str(dcmread(file, stop_before_pixels=True).StudyInstanceUID)].append(file)
    async with in_time(called) as user:
        await user.echo()
        assert await user.store(instances(objects)) == [0] * len(objects)
        completion, found = await user.find(dimse.query(limit=1, uid=""))
        assert (completion, len(found)) == (Completion.LIMITED, 1)
        completion, found = await user.find(dimse.query(uid=""))
        assert (completion, len(found)) == (Completion.COMPLETE, len(by_study))
        for uid, files in by_study.items():
            assert any(uid.encode() in row for row in found)
            completion, got = await user.get(dimse.query(uid=uid))
            assert (completion, in_order(got)) == (Completion.COMPLETE, instances(files))
            query = replace(dimse.query(uid=uid), destination="DEST")
            assert await user.move(query) is Completion.COMPLETE
        await user.echo()
    assert instances(dest.files()) == instances(objects)
