"""One object of 200 MB through a `dicom` endpoint, in little memory, whoever is slow."""

from __future__ import annotations

import hashlib
import os

import pytest
import trio

from harmony.dimse import contexts
from harmony.envelope import Instance, Outcome, Stored
from tests.support import dimse
from tests.support.dicom_endpoint import destination, dicom_endpoint
from tests.support.fake_backend import FakeBackend

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("engine")]

SIZE = 200 * 1024 * 1024
MOST = 60 * 1024 * 1024
CHUNK = bytes(range(256)) * 1024
HEAD = dimse.instance(0).data[:-4] + SIZE.to_bytes(4, "little")
SECONDS = 100
SLOW = 0.002


async def large():
    yield HEAD
    for _ in range(SIZE // len(CHUNK)):
        yield CHUNK


def digest():
    whole = hashlib.sha256(HEAD)
    for _ in range(SIZE // len(CHUNK)):
        whole.update(CHUNK)
    return whole.hexdigest()


def instance():
    return Instance(
        sop_class_uid=dimse.CT,
        sop_instance_uid="1.2.3.4",
        transfer_syntax=dimse.EXPLICIT,
        data=large(),
    )


class Reader:
    """Reads an object slowly; notes how far the process has grown meanwhile."""

    def __init__(self):
        self.digest = hashlib.sha256()
        self.most = 0
        self._before = resident_bytes()

    async def read(self, data):
        await trio.sleep(1)  # all that may pile up does
        async for chunk in data:
            self.digest.update(chunk)
            await trio.sleep(SLOW if len(chunk) > 10_000 else 0)
            self.most = max(self.most, resident_bytes() - self._before)

    async def store(self, request, send):
        """As a backend."""
        async for each in request.body:
            await self.read(each.data)
            await send.send(
                Stored(
                    sop_class_uid=each.sop_class_uid,
                    sop_instance_uid=each.sop_instance_uid,
                    status=0,
                )
            )
        await send.send(Outcome())


def resident_bytes():
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


async def give(request, send):
    await send.send(instance())
    await send.send(Outcome())


async def test_received(tmp_path):
    reader = Reader()
    proposals = contexts.for_store([(dimse.CT, dimse.EXPLICIT)])
    with trio.fail_after(SECONDS):
        async with dicom_endpoint(FakeBackend(reader.store), folder=tmp_path) as running:
            async with running.call(proposals) as association:
                assert (await association.store(instance())).status == 0
    assert reader.digest.hexdigest() == digest()
    assert reader.most < MOST
    assert not list(tmp_path.iterdir())


async def test_sent_in_a_get(nursery):
    reader = Reader()

    async def take(item):
        nursery.start_soon(reader.read, item.data)

    with trio.fail_after(SECONDS):
        async with dicom_endpoint(FakeBackend(give)) as running:
            async with running.call(contexts.for_get()) as association:
                outcome = await association.get(dimse.query(), take)
    assert outcome.status == 0
    assert reader.digest.hexdigest() == digest()
    assert reader.most < MOST


async def test_sent_on_in_a_move():
    reader = Reader()
    there = destination(FakeBackend(reader.store))

    async def take(item):
        return

    with trio.fail_after(SECONDS):
        async with dicom_endpoint(FakeBackend(give), destinations={"ws": there}) as running:
            async with running.call(contexts.for_queries()) as association:
                outcome = await association.move(dimse.move_query(), take)
    assert outcome.status == 0
    assert reader.digest.hexdigest() == digest()
    assert reader.most < MOST
