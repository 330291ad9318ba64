"""A `dicom` endpoint never lies: every service, every way a backend can fail, before and midway.

A DIMSE caller sees a failure status or the end of its association; never success, and never an
empty answer that looks whole. The next caller is served.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable

import pytest
import trio

from harmony.dicom.answering import ANSWERS
from harmony.dicom.status import StatusKind, kind
from harmony.dimse import contexts
from harmony.envelope import (
    Completion,
    Instance,
    Operation,
    Outcome,
    Progress,
    StreamBroken,
    SubOperations,
    WholeBytes,
)
from harmony.errors import (
    DeadlineExceeded,
    HarmonyError,
    RequestError,
    Unavailable,
    UpstreamError,
)
from tests.support import dimse
from tests.support.dicom_endpoint import destination, dicom_endpoint
from tests.support.fake_backend import FakeBackend, Once, Shelf, gives, match

pytestmark = pytest.mark.usefixtures("engine")

SECONDS = 20
COUNT = 5
STORES = contexts.for_store([(dimse.CT, dimse.EXPLICIT)])
PROPOSALS = {
    "echo": contexts.for_queries,
    "find": contexts.for_queries,
    "move": contexts.for_queries,
    "get": contexts.for_get,
    "store": lambda: STORES,
}


def instance(number, *, data=None):
    uid = f"1.2.3.4.{number}"
    return Instance(
        sop_class_uid=dimse.CT,
        sop_instance_uid=uid,
        transfer_syntax=dimse.EXPLICIT,
        data=data or WholeBytes(dimse.instance(1000, uid=uid).data),
        repeatable=data is None,
    )


# Ways to fail; each makes its exception anew. None: the answer just stops.
WAYS: dict[str, Callable[[], Exception] | None] = {
    "the answer stops": None,
    "a bug": lambda: ZeroDivisionError("Doe^Jane"),
    "the stream is broken": lambda: StreamBroken("broken"),
    "the deadline is over": lambda: DeadlineExceeded("late"),
    "no room": lambda: Unavailable("no room"),
    "no connection": lambda: UpstreamError("refused", code="connection-failed", asked=False),
    "the connection was lost": lambda: UpstreamError("lost", code="connection-lost"),
    **{
        f"HTTP {status}": functools.partial(RequestError, "no", http_status=status)
        for row in ANSWERS
        for status in sorted(row.http)
    },
    **{
        f"DIMSE {status:04X}": functools.partial(UpstreamError, "no", dimse_status=status)
        for status in (0x0110, 0x0122, 0x0124, 0x0211, 0xA700, 0xA702, 0xA801, 0xA900, 0xC001)
    },
    # What a peer says is no failure, in an error: still one.
    **{
        f"an error with DIMSE {status:04X}": functools.partial(
            UpstreamError, "no", dimse_status=status
        )
        for status in (0x0000, 0xFF00, 0xFE00, 0xB000)
    },
}
ALLOWED = {
    "echo": {0x0110, 0x0122},
    "find": {0x0110, 0x0122, 0x0124, 0xA700, 0xA900, *range(0xC000, 0xD000)},
    "store": {
        *(0x0110, 0x0111, 0x0117, 0x0122, 0x0124),
        *range(0xA700, 0xA800),
        *range(0xA900, 0xAA00),
        *range(0xC000, 0xD000),
    },
    "get": {0x0110, 0x0122, 0x0124, 0xA701, 0xA702, 0xA900, *range(0xC000, 0xD000)},
}
ALLOWED["move"] = ALLOWED["get"]


def failing(way, after):
    """A backend that gives so many items, then fails."""
    rows = [match(f"1.2.{n}") for n in range(after)]
    given = [instance(n) for n in range(after)]
    total = Progress(counters=SubOperations(remaining=COUNT))

    async def produce(asked, send):
        items = {Operation.FIND: rows, Operation.GET: [total, *given]}.get(asked.operation, [])
        if asked.operation is Operation.STORE:
            async for each in asked.body:
                if after:
                    async for _ in each.data:
                        pass
                break
        for item in items:
            await send.send(item)
        if way is not None:
            raise way()

    return FakeBackend(produce)


class Taken:
    """Takes what comes, and counts."""

    def __init__(self, nursery):
        self.count = 0
        self._nursery = nursery

    async def __call__(self, item):
        if isinstance(item, Progress):
            return
        self.count += 1
        if isinstance(item, Instance):
            self._nursery.start_soon(self._read, item)

    async def _read(self, item):
        try:
            async for _ in item.data:
                pass
        except StreamBroken:
            self.count -= 1


async def ask(running, service, taken):
    """The final status of a service; None if the association ended instead."""
    try:
        async with running.call(PROPOSALS[service]()) as association:
            match service:
                case "echo":
                    await association.echo()
                    return 0
                case "find":
                    outcome = await association.find(dimse.query(), taken)
                case "get":
                    outcome = await association.get(dimse.query(), taken)
                case "move":
                    outcome = await association.move(dimse.move_query(), taken)
                case _:
                    return (await association.store(instance(0))).status
            return outcome.status
    except UpstreamError as exc:
        return exc.dimse_status


@pytest.mark.parametrize("service", PROPOSALS)
@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS.keys())
@pytest.mark.parametrize("after", [0, 3], ids=["at once", "midway"])
async def test_a_backend_that_fails_is_a_failure_to_the_caller(service, way, after, nursery):
    taken = Taken(nursery)
    shelf = Shelf()
    there = destination(FakeBackend(shelf.produce))
    with trio.fail_after(SECONDS):
        async with dicom_endpoint(failing(way, after), destinations={"ws": there}) as running:
            status = await ask(running, service, taken)
            told = running.observed.all
            assert len(told) == 1
    assert status in ALLOWED[service]
    assert kind(status) is StatusKind.FAILURE
    assert told[0].outcome in ("failed", "refused")
    assert told[0].answered == status
    if service == "move":
        assert len(shelf.has) <= after
    elif service in ("find", "get"):
        assert taken.count <= after


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS.keys())
async def test_the_next_request_is_served_on_the_same_association(way, nursery):
    calls = []

    async def once_bad(asked, send):
        calls.append(asked.operation)
        if len(calls) == 1 and way is not None:
            raise way()
        if len(calls) > 1:
            await send.send(Outcome())

    with trio.fail_after(SECONDS):
        async with dicom_endpoint(FakeBackend(once_bad)) as running:
            async with running.call(contexts.for_queries()) as association:
                with pytest.raises(HarmonyError):
                    await association.find(dimse.query(), Taken(nursery))
                assert association.is_reusable
                outcome = await association.find(dimse.query(), Taken(nursery))
    assert outcome.status == 0


@pytest.mark.parametrize("service", ["get", "move"])
async def test_an_instance_that_breaks_off_is_nowhere(service, nursery):
    cut = instance(3, data=Once(bytes(1000), failure=StreamBroken("gone")))
    backend = FakeBackend(gives(instance(1), instance(2), cut))
    taken, shelf = Taken(nursery), Shelf()
    there = destination(FakeBackend(shelf.produce))
    with trio.fail_after(SECONDS):
        async with dicom_endpoint(backend, destinations={"ws": there}) as running:
            status = await ask(running, service, taken)
            async with running.call(contexts.for_queries()) as association:
                with pytest.raises(UpstreamError):
                    await association.find(dimse.query(), Taken(nursery))
    assert status is None or kind(status) is StatusKind.FAILURE
    if service == "move":
        assert set(shelf.has) == {"1.2.3.4.1", "1.2.3.4.2"}
    assert running.observed.all[0].outcome in ("failed", "broken")


@pytest.mark.parametrize("fails_at", [0, 1, 4])
@pytest.mark.parametrize("read_first", [True, False])
@pytest.mark.parametrize("way", ["the connection was lost", "a bug", "the answer stops"])
async def test_a_destination_that_fails_is_a_failure_of_the_move(
    fails_at, read_first, way, nursery
):
    failure = WAYS[way]
    shelf = Shelf(fails_at=fails_at, failure=failure() if failure else None, read_first=read_first)
    total = Progress(counters=SubOperations(remaining=COUNT))
    backend = FakeBackend(gives(total, *(instance(n) for n in range(COUNT))))
    there = destination(FakeBackend(shelf.produce))
    with trio.fail_after(SECONDS):
        async with dicom_endpoint(backend, destinations={"ws": there}) as running:
            status = await ask(running, "move", Taken(nursery))
    assert status in ALLOWED["move"]
    assert len(shelf.has) == fails_at


OUTCOMES = {
    "there are more": Outcome(completion=Completion.LIMITED, status=0xFF00),
    "a source is missing": Outcome(failed_sources=("pacs2",)),
    "a part": Outcome(completion=Completion.PARTIAL, status=0xB000),
}


@pytest.mark.parametrize("outcome", OUTCOMES.values(), ids=OUTCOMES.keys())
@pytest.mark.parametrize("count", [0, 2])
async def test_a_part_of_the_matches_is_no_success(outcome, count, nursery):
    backend = FakeBackend(gives(*(match(f"1.2.{n}") for n in range(count)), then=outcome))
    with trio.fail_after(SECONDS):
        async with dicom_endpoint(backend) as running:
            status = await ask(running, "find", Taken(nursery))
    assert status not in (0x0000, None)


@pytest.mark.parametrize("service", ["get", "move"])
async def test_a_part_of_the_instances_is_a_warning(service, nursery):
    outcome = Outcome(completion=Completion.PARTIAL, status=0xB000, missing=("1.9",))
    backend = FakeBackend(gives(instance(1), then=outcome))
    there = destination(FakeBackend(Shelf().produce))
    with trio.fail_after(SECONDS):
        async with dicom_endpoint(backend, destinations={"ws": there}) as running:
            async with running.call(PROPOSALS[service]()) as association:
                if service == "get":
                    told = await association.get(dimse.query(), Taken(nursery))
                else:
                    told = await association.move(dimse.move_query(), Taken(nursery))
    assert (told.status, told.completion) == (0xB000, Completion.PARTIAL)
    assert told.missing == ("1.9",)
    assert told.counters is not None
    assert (told.counters.completed, told.counters.failed) == (1, 1)


@pytest.mark.parametrize("service", ["get", "move"])
async def test_all_instances_refused_is_a_failure(service, nursery):
    refused = {f"1.2.3.4.{n}": 0xA700 for n in range(3)}
    backend = FakeBackend(gives(*(instance(n) for n in range(3))))
    there = destination(FakeBackend(Shelf(refused).produce))
    if service == "get":  # of a class that the caller has no context for
        given = [
            dataclasses.replace(instance(n), sop_class_uid="1.2.840.10008.5.1.4.1.1.9999")
            for n in range(3)
        ]
        backend = FakeBackend(gives(*given))
    with trio.fail_after(SECONDS):
        async with dicom_endpoint(backend, destinations={"ws": there}) as running:
            assert await ask(running, service, Taken(nursery)) == 0xA702
