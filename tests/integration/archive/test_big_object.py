"""One large object, in and out, in little memory."""

import hashlib
import tracemalloc

import trio

from harmony.archive.folder import Folder
from harmony.backends.archive import ArchiveBackend, Options
from harmony.dicom.uids import EXPLICIT_LITTLE_ENDIAN
from harmony.envelope import (
    Instance,
    Key,
    Level,
    Operation,
    Origin,
    Query,
    RequestEnvelope,
    Root,
    Stored,
)
from tests.support.archive import CT, data_set

SIZE = 200 * 1024 * 1024
MOST_MEMORY = 8 * 1024 * 1024
CHUNK = bytes(range(256)) * 512
ORIGIN = Origin(pipeline="one", endpoint="in", caller="ME")


class Scope:
    def __init__(self, nursery):
        self.nursery = nursery


async def large():
    yield data_set() + b"\xe0\x7f\x10\x00OW\0\0" + SIZE.to_bytes(4, "little")
    for _ in range(SIZE // len(CHUNK)):
        yield CHUNK


async def one(instance):
    yield instance


async def test_an_object_of_200_mb_goes_in_and_comes_out_in_pieces(tmp_path):
    backend = ArchiveBackend("keep", Options(folder="x", reserve_free_bytes=0), tmp_path)
    sent = hashlib.sha256()
    async for chunk in large():
        sent.update(chunk)
    instance = Instance(
        sop_class_uid=CT,
        sop_instance_uid="1.2.3.1.1",
        transfer_syntax=EXPLICIT_LITTLE_ENDIAN,
        data=large(),
    )
    received = hashlib.sha256()
    with trio.fail_after(90):
        async with backend.lifespan(), trio.open_nursery() as nursery:
            scope = Scope(nursery)
            tracemalloc.start()
            try:
                storing = RequestEnvelope(
                    id="1", operation=Operation.STORE, origin=ORIGIN, body=one(instance)
                )
                stored = [item async for item in (await backend.handle(storing, scope)).items]
                assert isinstance(stored[0], Stored)
                assert stored[0].status == 0x0000
                getting = RequestEnvelope(
                    id="2",
                    operation=Operation.GET,
                    origin=ORIGIN,
                    query=Query(
                        level=Level.STUDY, root=Root.STUDY, keys=(Key(0x0020000D, ("1.2.3",)),)
                    ),
                )
                async for item in (await backend.handle(getting, scope)).items:
                    if isinstance(item, Instance):
                        assert item.size == SIZE + len(data_set()) + 12
                        async for chunk in item.data:
                            received.update(chunk)
                _, peak = tracemalloc.get_traced_memory()
            finally:
                tracemalloc.stop()
    assert received.digest() == sent.digest()
    assert peak < MOST_MEMORY
    folder = Folder.open(tmp_path)
    assert folder.index.count() == 1
    folder.close()
