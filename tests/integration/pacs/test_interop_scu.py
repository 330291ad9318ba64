"""Harmony's own user of all services, before providers that real programs run.

Orthanc and dcmqrscp as HTTP clients see them are in `test_find`, `test_get`, `test_move` and
`test_store`; here are pynetdicom, storescp, and what several of them do with one association.
"""

from __future__ import annotations

import collections
import contextlib
import shutil
from dataclasses import replace

import pytest
import trio
from pydicom import dcmread

from harmony.dimse import contexts
from harmony.dimse.engines import Engine
from harmony.dimse.pool import AssociationPool, PoolLimits
from harmony.dimse.target import Target
from harmony.envelope import Completion, Instance, Match, Progress, WholeBytes
from harmony.errors import UpstreamError
from tests.support import dimse, engines
from tests.support.bad_pacs import instance_from_file
from tests.support.dcmqrscp import Destination, dcmqrscp
from tests.support.dcmtk import Called
from tests.support.pacs.process import ProcessPacs
from tests.support.plain_pynetdicom import plain_scp
from tests.support.storescp import storescp
from tests.support.studies import Kind, Plan, write_studies

pytestmark = pytest.mark.usefixtures("dcmtk")

SECONDS = 60
HERE = "127.0.0.1"
FIND, MOVE, GET = (f"1.2.840.10008.5.1.4.1.2.2.{number}" for number in (1, 2, 3))
MANY = 200


@contextlib.asynccontextmanager
async def calling(called):
    target = Target(aet=called.aet, host=called.host, port=called.port, local_aet="CALLER")
    pool = AssociationPool("peer", target, PoolLimits(), engines.open_link(Engine.TRIO))
    with trio.fail_after(SECONDS):
        async with pool.run():
            yield pool


@pytest.fixture(scope="module")
def objects(tmp_path_factory):
    """Small ones of several classes, and one that fills many PDUs; of one study each."""
    folder = tmp_path_factory.mktemp("objects")
    kinds = (Kind.CT, Kind.SR, Kind.US)
    small = write_studies(Plan(studies=3, kinds=kinds, instances=2, size=16), folder / "small")
    large = write_studies(Plan(size=512), folder / "large")
    return [one.file for one in small + large]


async def store(pool, files):
    statuses = []
    for each in map(instance_from_file, files):
        kind = (each.sop_class, each.transfer_syntax)
        async with pool.borrow(
            str(kind), lambda kind=kind: contexts.for_store([kind])
        ) as association:
            stored = await association.store(
                Instance(
                    sop_class_uid=each.sop_class,
                    sop_instance_uid=each.sop_instance,
                    transfer_syntax=each.transfer_syntax,
                    data=WholeBytes(each.data),
                )
            )
            statuses.append(stored.status)
    return statuses


async def find(pool, query):
    found = []

    async def take(item):
        assert isinstance(item, Match)
        found.append(item.identifier)

    async with pool.borrow("q", contexts.for_queries) as association:
        outcome = await association.find(query, take)
        assert association.is_reusable
    return outcome.completion, found


async def get(pool, query):
    got = {}

    async def read(instance):
        got[instance.sop_instance_uid] = b"".join([chunk async for chunk in instance.data])

    async with trio.open_nursery() as nursery:

        async def take(item):
            if isinstance(item, Instance):
                nursery.start_soon(read, item)

        async with pool.borrow("get", contexts.for_get) as association:
            outcome = await association.get(query, take)
            assert association.is_reusable
    return outcome.completion, got


async def move(pool, query):
    counters = []

    async def take(item):
        assert isinstance(item, Progress)
        counters.append(item.counters)

    async with pool.borrow("q", contexts.for_queries) as association:
        outcome = await association.move(query, take)
        assert association.is_reusable
    return outcome, counters


async def echo(pool):
    async with pool.borrow("q", contexts.for_queries) as association:
        await association.echo()


def data_sets(files):
    return {each.sop_instance: each.data for each in map(instance_from_file, files)}


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
            async with calling(Called(host=HERE, port=peer.port, aet=peer.aet)) as pool:
                await echo(pool)
                assert await store(pool, objects) == [0] * len(objects)
                completion, found = await find(pool, dimse.query())
                assert completion is Completion.COMPLETE
                assert [f"Row^{n:05}".encode() in row for n, row in enumerate(found)] == [
                    True
                ] * MANY
                completion, got = await get(pool, dimse.query())
                assert (completion, got) == (Completion.COMPLETE, data_sets(objects))
                outcome, _ = await move(pool, dimse.move_query())
                assert outcome.completion is Completion.COMPLETE
                await echo(pool)
        sent_on = {each.sop_instance for each in map(instance_from_file, dest.files())}
    assert {each.sop_instance: each.data for each in peer.stored} == data_sets(objects)
    assert peer.longest <= (max_pdu or peer.longest)
    assert sent_on == set(data_sets(objects))


async def test_pynetdicom_sees_a_cancelled_query_and_answers_the_next(tmp_path):
    with plain_scp([(FIND, dimse.EXPLICIT)], rows=dimse.rows(MANY * 10)) as peer:
        async with calling(Called(host=HERE, port=peer.port, aet=peer.aet)) as pool:
            for _ in range(3):
                completion, found = await find(pool, dimse.query(limit=5))
                assert (completion, len(found)) == (Completion.LIMITED, 5)
                await echo(pool)
    assert len(peer.cancelled) == 3


async def test_pynetdicom_knows_no_such_destination(tmp_path):
    with plain_scp([(MOVE, dimse.EXPLICIT)]) as peer:
        async with calling(Called(host=HERE, port=peer.port, aet=peer.aet)) as pool:
            with pytest.raises(UpstreamError) as caught:
                await move(pool, dimse.move_query("NOWHERE"))
            assert (caught.value.http_status, caught.value.dimse_status) == (502, 0xA801)
            await echo(pool)


@pytest.mark.parametrize("maximum", ["4096", "16384", "131072"])
async def test_storescp_gets_each_object_whole_whatever_its_maximum_length(
    objects, maximum, tmp_path
):
    with storescp(tmp_path / "sink", options=("--max-pdu", maximum)) as sink:
        async with calling(Called(host=HERE, port=sink.port, aet=sink.ae_title)) as pool:
            await echo(pool)
            assert await store(pool, objects) == [0] * len(objects)
            await echo(pool)
        assert {
            each.sop_instance: each.data for each in map(instance_from_file, sink.files())
        } == data_sets(objects)


@pytest.fixture(params=["orthanc", "dcmqrscp"])
def archive(request, tmp_path):
    """An empty PACS that sends to storescp: how to call it, and the storescp."""
    with storescp(tmp_path / "dest") as dest:
        if request.param == "orthanc":
            if shutil.which("Orthanc", path="/usr/sbin:/usr/bin") is None:
                pytest.skip("no Orthanc")
            with contextlib.closing(ProcessPacs(tmp_path / "orthanc")) as orthanc:
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
    async with calling(called) as pool:
        await echo(pool)
        assert await store(pool, objects) == [0] * len(objects)
        completion, found = await find(pool, dimse.query(limit=1, uid=""))
        assert (completion, len(found)) == (Completion.LIMITED, 1)
        completion, found = await find(pool, dimse.query(uid=""))
        assert (completion, len(found)) == (Completion.COMPLETE, len(by_study))
        for uid, files in by_study.items():
            assert any(uid.encode() in row for row in found)
            completion, got = await get(pool, dimse.query(uid=uid))
            assert (completion, got) == (Completion.COMPLETE, data_sets(files))
            query = replace(dimse.query(uid=uid), destination="DEST")
            outcome, _ = await move(pool, query)
            assert outcome.completion is Completion.COMPLETE
        await echo(pool)
    assert {
        each.sop_instance: each.data for each in map(instance_from_file, dest.files())
    } == data_sets(objects)
