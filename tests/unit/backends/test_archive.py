"""The ``archive`` backend on a real folder."""

import contextlib
import errno
import shutil
import sqlite3
from dataclasses import dataclass
from pathlib import Path

import pytest
import trio
from pydicom.dataset import Dataset

from harmony.archive.folder import Folder
from harmony.archive.index import Index
from harmony.archive.objects import Objects
from harmony.backends import archive as archives
from harmony.backends.archive import ArchiveBackend, Options
from harmony.dicom.elements import SYNTAXES, parse
from harmony.dicom.query import UNIQUE
from harmony.dicom.uids import EXPLICIT_LITTLE_ENDIAN
from harmony.envelope import (
    Completion,
    Encoded,
    Instance,
    Key,
    Level,
    Match,
    Operation,
    Origin,
    Progress,
    Query,
    RequestEnvelope,
    Root,
    Stored,
    StreamBroken,
    SubOperations,
    WholeBytes,
)
from harmony.errors import RequestError, UpstreamError
from tests.support.archive import CT, TroubledDisk, data_set, encoded, files_below

PATIENT_ID, STUDY_UID, SERIES_UID, SOP_UID = UNIQUE.values()
JPEG = "1.2.840.10008.1.2.4.50"


@contextlib.asynccontextmanager
async def archive(path, **options):
    backend = ArchiveBackend(
        "keep", Options(folder=str(path), **{"reserve_free_bytes": 0, **options}), path
    )
    with trio.fail_after(30):
        async with backend.lifespan():
            yield Archive(backend)


class Body:
    """Instances as a request has them; unlike a generator it may be left half-way."""

    def __init__(self, instances):
        self._left = iter(instances)

    def __aiter__(self):
        return self

    async def __anext__(self):
        try:
            return next(self._left)
        except StopIteration:
            raise StopAsyncIteration from None


@dataclass(frozen=True)
class Scope:
    nursery: trio.Nursery


class Archive:
    """Asks the backend as an endpoint would."""

    def __init__(self, backend):
        self.backend = backend

    @contextlib.asynccontextmanager
    async def exchange(self, operation, *, called="ARCHIVE", **more):
        origin = Origin(pipeline="one", endpoint="in", caller="ME", called=called)
        request = RequestEnvelope(id="1", operation=operation, origin=origin, **more)
        try:
            async with trio.open_nursery() as nursery:
                yield await self.backend.handle(request, Scope(nursery))
                nursery.cancel_scope.cancel()
        except BaseExceptionGroup as group:  # the producer's failure is the cause of the others
            causes = [exc for exc in group.exceptions if not isinstance(exc, StreamBroken)]
            if causes and not any(isinstance(exc, trio.Cancelled) for exc in causes):
                raise causes[0] from None
            raise

    async def ask(self, operation, **more):
        async with self.exchange(operation, **more) as response:
            assert response.backend == "keep"
            items = [item async for item in response.items]
            return items, response.items.outcome

    async def store(self, *instances):
        items, _ = await self.ask(Operation.STORE, body=Body(instances))
        assert all(isinstance(item, Stored) for item in items)
        return [item.status for item in items]

    async def find(self, level=Level.STUDY, root=Root.STUDY, more=None, **keys):
        return await self.ask(Operation.FIND, query=query(level, root=root, **keys, **(more or {})))

    async def get(self, level=Level.STUDY, **keys):
        """Data sets by UID; what comes before them is checked here."""
        async with self.exchange(Operation.GET, query=query(level, **keys)) as response:
            found = {}
            first = await anext(response.items)
            async for item in response.items:
                assert isinstance(item, Instance)
                found[item.sop_instance_uid] = b"".join([chunk async for chunk in item.data])
                assert item.size == len(found[item.sop_instance_uid])
            assert first == Progress(counters=SubOperations(remaining=len(found)))
            assert response.items.outcome.counters.completed == len(found)
        return found


KEYWORDS = {
    "patient": PATIENT_ID,
    "study": STUDY_UID,
    "series": SERIES_UID,
    "instance": SOP_UID,
}


def query(level, *, root=Root.STUDY, limit=None, offset=0, **keys):
    found = {KEYWORDS[name]: values for name, values in keys.items()}
    found.setdefault(UNIQUE[level], ())
    return Query(
        level=level,
        root=root,
        limit=limit,
        offset=offset,
        keys=tuple(Key(tag, tuple(values)) for tag, values in sorted(found.items())),
    )


def instance(uid="1.2.3.1.1", *, data=None, transfer_syntax=EXPLICIT_LITTLE_ENDIAN, **changes):
    if data is None:
        data = data_set(SOPInstanceUID=uid, **changes)
    return Instance(
        sop_class_uid=CT,
        sop_instance_uid=uid,
        transfer_syntax=transfer_syntax,
        data=data if hasattr(data, "__aiter__") else WholeBytes(data),
    )


def told(items, tag):
    rows = [parse(item.identifier, SYNTAXES[item.transfer_syntax]) for item in items]
    return [
        element.value.decode().rstrip(" \0")
        for row in rows
        for element in row
        if element.tag == tag
    ]


# STORE and GET


async def test_what_is_stored_comes_back_byte_for_byte(tmp_path):
    compressed = (
        data_set(SOPInstanceUID="1.2") + b"\xe0\x7f\x10\x00OB\0\0\xff\xff\xff\xff" + bytes(700_000)
    )
    async with archive(tmp_path) as one:
        assert await one.store(
            instance("1.1"), instance("1.2", data=compressed, transfer_syntax=JPEG)
        ) == [0x0000, 0x0000]
        assert await one.get(study=["1.2.3"]) == {
            "1.1": data_set(SOPInstanceUID="1.1"),
            "1.2": compressed,
        }


async def test_chunks_of_any_size_make_the_same_object(tmp_path):
    data = data_set() + b"\xfc\xff\xfc\xffOB\0\0" + (3_000_000).to_bytes(4, "little")
    data += bytes(range(256)) * (3_000_000 // 256) + bytes(3_000_000 % 256)

    async def dripping():
        for start in range(0, len(data), 70_001):
            yield data[start : start + 70_001]

    async with archive(tmp_path) as one:
        assert await one.store(instance(data=dripping()), instance(data=data)) == [0, 0]
        assert await one.get(instance=["1.2.3.1.1"], level=Level.IMAGE) == {"1.2.3.1.1": data}


async def test_what_was_stored_is_there_after_a_restart(tmp_path):
    async with archive(tmp_path) as one:
        await one.store(instance())
    async with archive(tmp_path) as one:
        assert await one.get(study=["1.2.3"]) == {"1.2.3.1.1": data_set()}


@pytest.mark.parametrize(
    ("on_conflict", "status", "kept"),
    [("keep", 0xB000, "OLD"), ("refuse", 0x0111, "OLD"), ("replace", 0x0000, "NEW")],
)
async def test_other_bytes_under_the_same_uid(tmp_path, on_conflict, status, kept):
    async with archive(tmp_path, on_conflict=on_conflict) as one:
        old, new = instance(StudyID="OLD"), instance(StudyID="NEW")
        assert await one.store(old, old, new) == [0x0000, 0x0000, status]
        assert await one.get(study=["1.2.3"]) == {"1.2.3.1.1": data_set(StudyID=kept)}


async def test_each_instance_has_its_own_status(tmp_path):
    statuses = {
        "good": (instance("1.1"), 0x0000),
        "garbage": (instance("1.2", data=b"\xff" * 500), 0xC000),
        "empty": (instance("1.3", data=b""), 0xA900),
        "another's": (instance("1.4", data=data_set(SOPInstanceUID="1.5")), 0xA900),
        "no UID": (instance("no/../uid", data=data_set()), 0xA900),
        "too large": (instance("1.6", data=bytes(5000)), 0xA700),
        "good again": (instance("1.7"), 0x0000),
    }
    async with archive(tmp_path, max_object_bytes=4000) as one:
        found = await one.store(*(each for each, _ in statuses.values()))
        assert dict(zip(statuses, found, strict=True)) == {
            name: status for name, (_, status) in statuses.items()
        }
    assert len(files_below(tmp_path, "objects")) == 2
    assert not files_below(tmp_path, "incoming")


async def test_a_disk_without_room_refuses_for_now(tmp_path):
    async with archive(tmp_path, reserve_free_bytes=1 << 40) as one:
        assert await one.store(instance()) == [0xA700]
        assert (await one.backend.probe()).ok


@pytest.mark.parametrize(("step", "left"), [("sync", 1), ("sync_folder", 2)])
async def test_a_disk_that_fails_ends_the_intake_and_the_probe_says_so(
    tmp_path, monkeypatch, step, left
):
    disk = TroubledDisk()
    monkeypatch.setattr(Folder, "open", lambda path, opened=Folder.open: opened(path, disk))
    async with archive(tmp_path) as one:
        assert await one.store(instance("1.1")) == [0x0000]
        disk.failing, disk.failure = (step,), lambda: OSError(errno.EIO, "input/output error")
        assert await one.store(instance("1.2")) == [0xA700]
        disk.failing = ()
        assert await one.store(instance("1.3")) == [0xA700]  # trying again would tell nothing
        probe = await one.backend.probe()
        assert not probe.ok
        assert "may not be durable" in probe.detail
        assert set(await one.get(study=["1.2.3"])) == {"1.1"}  # what is there can be had
    assert len(files_below(tmp_path, "objects")) == left  # the next recovery judges what is left


async def test_a_folder_that_is_deleted_under_it_ends_the_intake(tmp_path):
    async def deleted_meanwhile():
        yield bytes(2_000_000)
        shutil.rmtree(tmp_path / "archive")
        yield bytes(2_000_000)

    async with archive(tmp_path / "archive") as one:
        assert await one.store(instance(data=deleted_meanwhile())) == [0xA700]
        assert not (await one.backend.probe()).ok
        assert await one.store(instance()) == [0xA700]


async def test_a_commit_that_fails_is_the_last(tmp_path, monkeypatch):
    commits = []

    def fail(self, entries, *_):
        commits.append(len(entries))
        failure = sqlite3.OperationalError("disk I/O error")
        failure.sqlite_errorcode = sqlite3.SQLITE_IOERR
        raise failure

    async with archive(tmp_path) as one:
        monkeypatch.setattr(Index, "add", fail)
        statuses = []

        async def store(number):
            statuses.extend(await one.store(instance(f"1.{number}")))

        async with trio.open_nursery() as nursery:
            for number in range(20):
                nursery.start_soon(store, number)
        assert statuses == [0xA700] * 20
        assert len(commits) == 1
        assert "the index failed to commit" in (await one.backend.probe()).detail


@pytest.mark.parametrize("chunks", [0, 1, 40])
async def test_a_store_that_is_cancelled_leaves_no_file(tmp_path, chunks):
    waiting = trio.Event()

    async def endless():
        for _ in range(chunks):
            yield bytes(100_000)
        waiting.set()
        await trio.sleep_forever()

    async with archive(tmp_path) as one:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(one.store, instance(data=endless()))
            await waiting.wait()
            nursery.cancel_scope.cancel()
        assert not files_below(tmp_path, "incoming")
        assert not files_below(tmp_path, "objects")
        assert await one.store(instance()) == [0x0000]


async def test_a_source_that_breaks_off_is_no_object_and_no_fault_of_the_disk(tmp_path):
    async def broken():
        yield data_set()
        raise OSError("the source's own trouble")

    async with archive(tmp_path) as one:
        with pytest.raises(OSError, match="own trouble"):
            await one.store(instance(data=broken()))
        assert not files_below(tmp_path, "incoming")
        assert await one.store(instance()) == [0x0000]


async def test_many_stores_at_one_time(tmp_path):
    async with archive(tmp_path) as one:
        async with trio.open_nursery() as nursery:
            for number in range(60):
                nursery.start_soon(one.store, instance(f"1.1.{number}"))
        assert len(await one.get(study=["1.2.3"])) == 60


async def test_nothing_to_retrieve_is_the_callers_to_know(tmp_path):
    async with archive(tmp_path) as one:
        with pytest.raises(RequestError) as caught:
            await one.get(study=["9.9"])
        assert (caught.value.http_status, caught.value.code) == (404, "not-found")


@pytest.mark.parametrize("damage", [Path.unlink, lambda path: path.write_bytes(b"short")])
async def test_a_damaged_file_breaks_the_retrieve_and_is_never_passed_over(tmp_path, damage):
    async with archive(tmp_path) as one:
        await one.store(*(instance(f"1.{number}", InstanceNumber=str(number)) for number in (1, 2)))
        damage(files_below(tmp_path, "objects")[0])
        with pytest.raises(UpstreamError) as caught:
            await one.get(study=["1.2.3"])
        assert caught.value.code == "archive-damaged"
        assert caught.value.backend == "keep"


async def test_a_file_that_goes_while_it_is_sent_breaks_the_retrieve(tmp_path):
    data = data_set() + b"\xfc\xff\xfc\xffOB\0\0" + (600_000).to_bytes(4, "little") + bytes(600_000)
    async with archive(tmp_path) as one:
        await one.store(instance(data=data))
        async with one.exchange(Operation.GET, query=query(Level.STUDY, study=["1.2.3"])) as got:
            await anext(got.items)
            sent = await anext(got.items)
            chunks = aiter(sent.data)
            await anext(chunks)
            files_below(tmp_path, "objects")[0].unlink()
            with pytest.raises(UpstreamError):
                await anext(chunks)


async def test_instances_come_in_pages_and_in_the_order_of_their_numbers(tmp_path, monkeypatch):
    monkeypatch.setattr(archives, "PAGE", 4)
    numbers = [*range(11, 0, -1)]
    async with archive(tmp_path) as one:
        await one.store(*(instance(f"1.1.{n}", InstanceNumber=str(n)) for n in numbers))
        assert list(await one.get(study=["1.2.3"])) == [f"1.1.{n}" for n in range(1, 12)]


# FIND


async def test_no_match_is_a_success_without_rows(tmp_path):
    async with archive(tmp_path) as one:
        items, outcome = await one.find(patient=["P1"])
        assert items == []
        assert (outcome.completion, outcome.status) == (Completion.COMPLETE, 0x0000)


async def test_a_match_names_the_called_title_to_retrieve_from(tmp_path):
    async with archive(tmp_path) as one:
        await one.store(instance())
        items, _ = await one.find(patient=["P1"])
        assert told(items, 0x00080054) == ["ARCHIVE"]
        assert all(isinstance(item, Match) and item.all_keys_supported for item in items)
        async with one.exchange(
            Operation.FIND, called=None, query=query(Level.STUDY, patient=["P1"])
        ) as response:
            assert told([item async for item in response.items], 0x00080054) == []


@pytest.mark.parametrize(
    ("limit", "offset", "numbers", "completion"),
    [
        (None, 0, range(10), Completion.COMPLETE),
        (None, 9, range(9, 10), Completion.COMPLETE),
        (10, 0, range(10), Completion.COMPLETE),
        (9, 0, range(9), Completion.LIMITED),
        (4, 0, range(4), Completion.LIMITED),
        (8, 0, range(8), Completion.LIMITED),
        (4, 6, range(6, 10), Completion.COMPLETE),
        (1, 9, range(9, 10), Completion.COMPLETE),
        (5, 12, range(0), Completion.COMPLETE),
    ],
)
async def test_pages(tmp_path, monkeypatch, limit, offset, numbers, completion):
    monkeypatch.setattr(archives, "PAGE", 4)
    async with archive(tmp_path) as one:
        await one.store(*(instance(f"1.1.{n}", StudyInstanceUID=f"1.2.{n}") for n in range(10)))
        items, outcome = await one.find(more={"limit": limit, "offset": offset})
        assert told(items, STUDY_UID) == [f"1.2.{n}" for n in numbers]
        assert outcome.completion is completion


async def test_more_than_the_limit_is_never_a_part_that_looks_whole(tmp_path):
    async with archive(tmp_path, max_results=2) as one:
        await one.store(*(instance(f"1.1.{n}", StudyInstanceUID=f"1.2.{n}") for n in range(3)))
        with pytest.raises(RequestError) as caught:
            await one.find()
        assert (caught.value.http_status, caught.value.code) == (413, "too-many-results")
        with pytest.raises(RequestError, match="limit 3 is more"):
            await one.find(more={"limit": 3})
        items, outcome = await one.find(more={"limit": 2})
        assert (len(items), outcome.completion) == (2, Completion.LIMITED)


async def test_keys_that_are_not_supported_are_said_to_be_in_each_match(tmp_path):
    identifier = Dataset()
    identifier.ProcedureCodeSequence = []
    data = encoded(identifier)
    async with archive(tmp_path) as one:
        await one.store(instance())
        asked = Query(
            level=Level.STUDY,
            root=Root.STUDY,
            keys=(),
            encoded=Encoded(data=data, transfer_syntax=EXPLICIT_LITTLE_ENDIAN),
        )
        items, _ = await one.ask(Operation.FIND, query=asked)
        assert [item.all_keys_supported for item in items] == [False]


async def test_a_search_ends_with_its_caller(tmp_path, monkeypatch):
    endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i FROM n"
    begun = trio.Event()

    def page(self, after, limit, skip):
        begun.set()
        return f"{endless} WHERE i < 0", ()

    monkeypatch.setattr("harmony.archive.searching.Search.page", page)
    async with archive(tmp_path) as one:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(one.find)
            await begun.wait()
            nursery.cancel_scope.cancel()
        assert (await one.backend.probe()).ok


# The backend itself


async def test_echo_and_probe(tmp_path):
    async with archive(tmp_path) as one:
        items, outcome = await one.ask(Operation.ECHO)
        assert (items, outcome.status) == ([], 0)
        await one.store(instance())
        probe = await one.backend.probe()
        assert probe.ok
        assert "1 instances" in probe.detail
    assert not (await one.backend.probe()).ok
    with pytest.raises(UpstreamError, match="not open"):
        await one.ask(Operation.ECHO)


def test_what_it_can_do(tmp_path):
    backend = ArchiveBackend("keep", Options(folder="x"), tmp_path)
    assert {operation for operation in Operation if backend.accepts(operation)} == {
        Operation.ECHO,
        Operation.FIND,
        Operation.GET,
        Operation.STORE,
    }


async def test_a_folder_in_use_is_a_clear_failure(tmp_path):
    async with archive(tmp_path):
        with pytest.raises(UpstreamError, match="in use by another process") as caught:
            async with archive(tmp_path):
                pass
        assert caught.value.backend == "keep"


async def test_files_that_are_lost_are_logged_by_their_random_name(tmp_path, caplog):
    async with archive(tmp_path) as one:
        await one.store(instance())
    (lost,) = files_below(tmp_path, "objects")
    lost.unlink()
    stray = Objects(tmp_path, TroubledDisk()).path("ab" * 16)
    stray.touch()
    async with archive(tmp_path):
        pass
    assert [(record.levelname, record.name) for record in caplog.records] == [
        ("WARNING", "harmony.backends.archive")
    ] * 2
    assert lost.stem in caplog.text
    assert stray.stem in caplog.text
