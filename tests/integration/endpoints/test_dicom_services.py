"""Each service of a `dicom` endpoint over real sockets, called by Harmony's own SCU.

Each engine serves each.
"""

from __future__ import annotations

import contextlib
import dataclasses
from pathlib import Path

import pytest
import trio

from harmony.backends import dicom
from harmony.dimse import contexts
from harmony.dimse.arrivals import Arrivals
from harmony.dimse.link import Proposal
from harmony.dimse.receiver import Receiver
from harmony.dimse.receiving import receivers
from harmony.envelope import (
    Completion,
    Instance,
    Level,
    Match,
    Operation,
    Originator,
    Progress,
    SubOperations,
    WholeBytes,
)
from harmony.errors import HarmonyError, UpstreamError
from harmony.pipeline import Pipeline
from tests.support import dimse, engines
from tests.support.dicom_endpoint import destination, dicom_endpoint
from tests.support.fake_backend import FakeBackend, Shelf, gives
from tests.support.fake_backend import match as row_of

pytestmark = pytest.mark.usefixtures("engine", "calling_engine")

SECONDS = 20
CT, EXPLICIT = dimse.CT, dimse.EXPLICIT
JPEG = "1.2.840.10008.1.2.4.50"
STORES = contexts.for_store([(CT, EXPLICIT), (CT, JPEG)])


def instance(uid="1.2.3.4", size=1000, *, syntax=EXPLICIT):
    data = dimse.instance(size, uid=uid).data
    return Instance(
        sop_class_uid=CT,
        sop_instance_uid=uid,
        transfer_syntax=syntax,
        data=WholeBytes(data),
        repeatable=True,
    )


class Taken:
    """Takes what an operation emits; of instances the bytes, which another task reads."""

    def __init__(self, nursery):
        self.matches = []
        self.progress = []
        self.instances = {}
        self._nursery = nursery

    async def __call__(self, item):
        match item:
            case Match():
                self.matches.append(item)
            case Progress():
                self.progress.append(item.counters)
            case Instance():
                self._nursery.start_soon(self._read, item)

    async def _read(self, item):
        data = b"".join([chunk async for chunk in item.data])
        self.instances[item.sop_instance_uid] = (item.transfer_syntax, data)


async def test_an_echo_asks_the_backend():
    backend = FakeBackend(gives())
    with trio.fail_after(SECONDS):
        async with dicom_endpoint(backend) as running:
            async with running.call(contexts.for_queries()) as association:
                for _ in range(3):
                    await association.echo()
    assert [asked.operation for asked in backend.requests] == [Operation.ECHO] * 3
    origin = backend.requests[0].origin
    assert (origin.caller, origin.called, origin.peer) == ("CALLER", "HARMONY", None)
    assert {told.outcome for told in running.observed.all} == {"ok"}
    assert {told.answered for told in running.observed.all} == {0}


@pytest.mark.parametrize("count", [0, 1, 3, 500])
async def test_a_find_gives_all_matches(count, nursery):
    backend = FakeBackend(gives(*(row_of(f"1.2.{n}") for n in range(count))))
    taken = Taken(nursery)
    with trio.fail_after(SECONDS):
        async with dicom_endpoint(backend) as running:
            async with running.call(contexts.for_queries()) as association:
                outcome = await association.find(dimse.query(), taken)
                await association.echo()
    assert outcome.completion is Completion.COMPLETE
    assert len(taken.matches) == count
    assert all(each.all_keys_supported for each in taken.matches)
    query = backend.requests[0].query
    assert query is not None
    assert query.level is Level.STUDY
    assert [(key.tag, key.values) for key in query.keys] == [(0x0020000D, ("1.2.3",))]
    told = running.observed.all[0]
    assert (told.operation, told.items, told.outcome) == (Operation.FIND, count, "ok")


async def test_a_match_of_which_a_key_was_not_looked_at_is_ff01(nursery):
    ignored = dataclasses.replace(row_of("1.2.3"), all_keys_supported=False)
    taken = Taken(nursery)
    with trio.fail_after(SECONDS):
        async with dicom_endpoint(FakeBackend(gives(ignored, row_of("1.2.4")))) as running:
            async with running.call(contexts.for_queries()) as association:
                await association.find(dimse.query(), taken)
    assert [each.all_keys_supported for each in taken.matches] == [False, True]


@pytest.mark.parametrize("size", [2, 1000, 131072, 3_000_000])
@pytest.mark.parametrize("syntax", [EXPLICIT, JPEG])
async def test_an_object_arrives_byte_for_byte_in_the_syntax_it_has(size, syntax, tmp_path):
    shelf = Shelf()
    sent = instance(size=size, syntax=syntax)
    with trio.fail_after(SECONDS):
        async with dicom_endpoint(FakeBackend(shelf.produce), folder=tmp_path) as running:
            async with running.call(STORES) as association:
                stored = await association.store(sent)
    assert stored.status == 0
    assert shelf.has == {"1.2.3.4": dimse.instance(size, uid="1.2.3.4").data}
    assert shelf.seen[0].transfer_syntax == syntax
    assert not list(tmp_path.iterdir())
    assert running.observed.all[0].bytes_in == len(shelf.has["1.2.3.4"])


@pytest.mark.parametrize(
    ("status", "answer"),
    [
        (0xB000, 0xB000),
        (0xB007, 0xB007),
        (0xB123, 0xB000),
        (0x0107, 0xB000),
        (0xA700, 0xA700),
        (0xA9FF, 0xA9FF),
        (0xC123, 0xC123),
        (0x0122, 0x0122),
        (0x0124, 0x0124),
        (0x0211, 0xC000),
        (0xFF00, 0xC000),
        (0xFE00, 0xC000),
        (0x1234, 0xC000),
    ],
)
async def test_what_a_backend_says_of_an_object_is_told_in_the_words_of_c_store(status, answer):
    shelf = Shelf({"1.2.3.4": status})
    with trio.fail_after(SECONDS):
        async with dicom_endpoint(FakeBackend(shelf.produce)) as running:
            async with running.call(STORES) as association:
                assert (await association.store(instance())).status == answer
                assert (await association.store(instance("1.2.3.5"))).status == 0


async def test_an_object_that_no_backend_tells_of_is_not_stored():
    with trio.fail_after(SECONDS):
        async with dicom_endpoint(FakeBackend(gives())) as running:
            async with running.call(STORES) as association:
                assert (await association.store(instance())).status == 0x0110


@pytest.mark.parametrize("counts", [True, False])
async def test_a_get_brings_the_instances_over_the_callers_association(counts, nursery):
    given = [instance(f"1.{size}", size) for size in (2, 131072, 500_000)]
    given.append(instance("1.9", 100, syntax=JPEG))
    total = Progress(counters=SubOperations(remaining=len(given)))
    taken = Taken(nursery)
    with trio.fail_after(SECONDS):
        async with dicom_endpoint(FakeBackend(gives(*[total][: int(counts)], *given))) as running:
            async with running.call(contexts.for_get()) as association:
                outcome = await association.get(dimse.query(), taken)
    assert outcome.completion is Completion.COMPLETE
    assert outcome.counters is not None
    assert outcome.counters.completed == len(given)
    assert list(taken.instances) == [each.sop_instance_uid for each in given]
    for size in (2, 131072, 500_000):
        data = dimse.instance(size, uid=f"1.{size}").data
        assert taken.instances[f"1.{size}"] == (EXPLICIT, data)
    assert taken.instances["1.9"][0] == JPEG
    assert bool(taken.progress) is counts


async def test_a_get_without_a_context_for_an_instance_fails_for_that_one(nursery):
    given = [instance("1.1"), instance("1.2", syntax="1.2.840.10008.1.2.4.205"), instance("1.3")]
    taken = Taken(nursery)
    with trio.fail_after(SECONDS):
        async with dicom_endpoint(FakeBackend(gives(*given))) as running:
            async with running.call(contexts.for_get()) as association:
                outcome = await association.get(dimse.query(), taken)
    assert outcome.completion is Completion.PARTIAL
    assert outcome.missing == ("1.2",)
    assert list(taken.instances) == ["1.1", "1.3"]


async def test_a_caller_that_takes_nothing_back_gets_a_failure(nursery):
    only_get = [Proposal(uid, (EXPLICIT,)) for uid in contexts.GET.values()]
    with trio.fail_after(SECONDS):
        async with dicom_endpoint(FakeBackend(gives(instance()))) as running:
            async with running.call(only_get) as association:
                with pytest.raises(HarmonyError) as caught:
                    await association.get(dimse.query(), Taken(nursery))
                assert association.is_in_order
    assert isinstance(caught.value, UpstreamError)
    assert caught.value.dimse_status == 0xA702


async def test_a_move_sends_to_the_destination_and_says_for_whom(nursery):
    given = [instance("1.1"), instance("1.2", 200_000, syntax=JPEG)]
    total = Progress(counters=SubOperations(remaining=2))
    shelf = Shelf()
    there, taken = FakeBackend(shelf.produce), Taken(nursery)
    with trio.fail_after(SECONDS):
        async with dicom_endpoint(
            FakeBackend(gives(total, *given)), destinations={"ws": destination(there)}
        ) as running:
            async with running.call(contexts.for_queries()) as association:
                outcome = await association.move(dimse.move_query("DEST"), taken, message_id=4711)
                await association.echo()
    assert outcome.completion is Completion.COMPLETE
    assert shelf.has == {
        "1.1": dimse.instance(1000, uid="1.1").data,
        "1.2": dimse.instance(200_000, uid="1.2").data,
    }
    assert [each.originator for each in shelf.seen] == [Originator("CALLER", 4711)] * 2
    assert [each.transfer_syntax for each in shelf.seen] == [EXPLICIT, JPEG]
    counted = [(each.remaining, each.completed) for each in taken.progress]
    assert counted == [(1, 1), (0, 2)]


async def test_a_move_from_one_endpoint_to_another_over_dimse(nursery):
    given = [instance(f"1.{n}", 50_000 * n + 2) for n in range(5)]
    shelf = Shelf()
    with trio.fail_after(SECONDS):
        async with dicom_endpoint(FakeBackend(shelf.produce)) as there:
            way = dicom.DicomBackend(
                "ws",
                dicom.Options(aet="HARMONY", host=there.host, port=there.port, local_aet="MOVER"),
                engines.open_link(),
            )
            async with (
                way.lifespan(),
                dicom_endpoint(
                    FakeBackend(gives(*given)), destinations={"ws": destination(way)}
                ) as running,
            ):
                async with running.call(contexts.for_queries()) as association:
                    outcome = await association.move(
                        dimse.move_query("DEST"), Taken(nursery), message_id=77
                    )
    assert outcome.counters is not None
    assert outcome.counters.completed == 5
    assert set(shelf.has) == {f"1.{n}" for n in range(5)}
    assert {each.originator for each in shelf.seen} == {Originator("CALLER", 77)}
    assert {told.bytes_in for told in there.observed.all} == {
        len(dimse.instance(50_000 * n + 2, uid="x").data) for n in range(5)
    }


@pytest.mark.parametrize("title", ["NOBODY", "dest", "DEST2"])
async def test_a_move_to_nowhere_is_refused_and_nothing_is_asked_of_the_backend(title, nursery):
    backend = FakeBackend(gives(instance()))
    there = FakeBackend(Shelf().produce)
    with trio.fail_after(SECONDS):
        async with dicom_endpoint(backend, destinations={"ws": destination(there)}) as running:
            async with running.call(contexts.for_queries()) as association:
                with pytest.raises(UpstreamError) as caught:
                    await association.move(dimse.move_query(title), Taken(nursery))
    assert caught.value.dimse_status == 0xA801
    assert not backend.requests
    assert not there.requests


async def test_a_retrieve_of_nothing_is_a_success_without_sub_operations(nursery):
    with trio.fail_after(SECONDS):
        async with dicom_endpoint(FakeBackend(gives())) as running:
            async with running.call(contexts.for_get()) as association:
                outcome = await association.get(dimse.query(), Taken(nursery))
    assert outcome.completion is Completion.COMPLETE
    assert outcome.counters is not None
    assert outcome.counters.completed == 0


# C-CANCEL over a socket; the other end is Harmony's own, which cancels at its limit


async def test_a_cancelled_find_leaves_the_association_in_order():
    given = 0

    async def rows_without_end(request, send):
        nonlocal given
        while True:
            await send.send(row_of(f"1.2.{given}"))
            given += 1
            await trio.sleep(0.001)

    backend = FakeBackend(rows_without_end)
    seen = []

    async def take(item):
        seen.append(item)

    with trio.fail_after(SECONDS):
        async with dicom_endpoint(backend) as running:
            async with running.call(contexts.for_queries()) as association:
                for _ in range(5):
                    outcome = await association.find(dimse.query(limit=3), take)
                    assert outcome.completion is Completion.LIMITED
                    assert association.is_reusable
    assert len(seen) == 15
    assert [told.answered for told in running.observed.all] == [None] * 5
    assert {told.outcome for told in running.observed.all} == {"cancelled"}


@pytest.mark.parametrize("service", ["find", "get", "move", "store"])
async def test_the_backends_work_ends_when_its_caller_hangs_up(service, nursery):
    begun = trio.Event()

    async def wait(request, send):
        if request.operation is Operation.STORE:
            async for each in request.body:
                async for _ in each.data:
                    pass
        begun.set()
        await trio.sleep_forever()

    backend = FakeBackend(wait)
    there = destination(FakeBackend(Shelf().produce))
    proposals = {"get": contexts.for_get(), "store": STORES}.get(service, contexts.for_queries())

    async def ask(association):
        taken = Taken(nursery)
        with contextlib.suppress(UpstreamError):
            match service:
                case "find":
                    await association.find(dimse.query(), taken)
                case "get":
                    await association.get(dimse.query(), taken)
                case "move":
                    await association.move(dimse.move_query(), taken)
                case _:
                    await association.store(instance())

    with trio.fail_after(SECONDS):
        async with dicom_endpoint(backend, destinations={"ws": there}) as running:
            async with running.call(proposals) as association:
                nursery.start_soon(ask, association)
                await begun.wait()
                association.hang_up()
                with trio.fail_after(2):
                    await backend.ended.wait()


# A port that somebody else has


async def test_an_endpoint_whose_port_is_taken_says_so_plainly():
    other = FakeBackend(gives())
    with trio.fail_after(SECONDS):
        async with dicom_endpoint(FakeBackend(gives())) as running:
            async with dicom_endpoint(other) as second:
                options = dataclasses.replace(second.endpoint._options, port=running.port)
                second.endpoint._options = options
                async with trio.open_nursery() as nursery:
                    with pytest.raises(OSError, match=r"."):
                        await nursery.start(second.endpoint.serve, Pipeline("p", []).exchange)


async def test_a_receiver_whose_port_is_taken_says_so_plainly():
    with trio.fail_after(SECONDS):
        async with dicom_endpoint(FakeBackend(gives())) as running:
            serve = receivers(engines.accept_link(), Path())
            receiver = Receiver(local_aet="RECEIVER", port=running.port)
            with pytest.raises(OSError, match=r"."):
                async with serve(receiver, Arrivals("RECEIVER")):
                    raise AssertionError("it is not listening")
