"""A caller's requests through a pipeline and back, without a socket."""

from __future__ import annotations

import contextlib

import pytest
import trio

from harmony.dicom.query import encode_identifier
from harmony.dimse.arrivals import Arrivals
from harmony.dimse.link import Role
from harmony.dimse.provider import ServingLimits
from harmony.dimse.serving import ServedAssociation
from harmony.endpoints.admission import Admitted
from harmony.endpoints.dimse_requests import Requests, Surroundings
from harmony.endpoints.retrieving import Destination
from harmony.envelope import (
    Instance,
    Key,
    Level,
    Operation,
    Outcome,
    Progress,
    Query,
    Root,
    SubOperations,
    WholeBytes,
)
from harmony.errors import RequestError, UpstreamError
from harmony.pipeline import Pipeline, Route
from harmony.upper_layer.commands import CommandField
from tests.support.fake_backend import FakeBackend, Shelf, gives, match
from tests.support.gateway import Summaries
from tests.support.scripted_link import CT, EXPLICIT
from tests.support.served import (
    GET_ID,
    RELEASED,
    Caller,
    cancel,
    echo,
    find,
    get,
    move,
    store,
    stored,
)

EVERYTHING = frozenset(set(Operation) - {Operation.HTTP})
STUDY = encode_identifier(
    Query(level=Level.STUDY, root=Root.STUDY, keys=(Key(0x0020000D, ("1.2.3",)),)), EXPLICIT
)
TAKES = {CT: Role(scu=True, scp=True)}
FIVE = Progress(counters=SubOperations(remaining=5))
PENDING = 0xFF00


def instance(uid, data=b"data"):
    return Instance(
        sop_class_uid=CT,
        sop_instance_uid=uid,
        transfer_syntax=EXPLICIT,
        data=WholeBytes(data),
        repeatable=True,
    )


def instances(count):
    return [instance(f"1.{n}") for n in range(count)]


@contextlib.asynccontextmanager
async def asked(
    caller,
    backend,
    *,
    operations=EVERYTHING,
    destinations=None,
    allowed=None,
    defaults=(),
    deadline_seconds=120.0,
    arrivals=None,
):
    """Serve a caller before a backend; gives the summaries."""
    observed = Summaries()
    around = Surroundings(
        endpoint="pacs",
        pipeline="test",
        exchange=Pipeline("test", [Route(backend)]).exchange,
        observer=observed,
        whole_bytes=1000,
        destinations=destinations or {},
        default_destinations=defaults or tuple(destinations or ()),
        arrivals=arrivals or Arrivals("HARMONY"),
        deadline_seconds=deadline_seconds,
        object_seconds=3600.0,
    )
    admitted = Admitted(peer="a-peer", operations=operations, move_destinations=allowed)
    requests = Requests(around, caller.request, admitted)
    session = ServedAssociation(caller, requests, ServingLimits(), "test")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(session.run)
        yield observed
        caller.say(RELEASED)


def to(backend, aet="DEST"):
    return Destination(aet=aet, exchange=Pipeline("to", [Route(backend)]).exchange)


def counted(sent):
    command = sent.command
    return command.completed, command.failed, command.warning


def statuses(sent):
    return [each.command.status for each in sent]


# Who may


REQUESTS = {
    Operation.ECHO: echo(),
    Operation.STORE: store(),
    Operation.FIND: find(STUDY),
    Operation.GET: get(STUDY),
    Operation.MOVE: move(STUDY),
}


@pytest.mark.parametrize("operation", REQUESTS)
async def test_what_a_peer_may_not_is_0124_and_nothing_is_asked(operation):
    backend = FakeBackend(gives())
    caller = Caller()
    async with asked(caller, backend, operations=EVERYTHING - {operation}) as observed:
        (answer,) = await caller.ask(REQUESTS[operation])
    assert answer.command.status == 0x0124
    assert not backend.requests
    (told,) = observed.all
    assert (told.outcome, told.code, told.answered) == ("refused", "not-authorised", 0x0124)
    assert told.caller == "a-peer"


@pytest.mark.parametrize(
    ("title", "allowed", "status"),
    [
        ("WS1", None, 0x0000),
        ("WS1 ", None, 0x0000),
        ("WS2", None, 0xA801),  # there is one, but not for callers without a word on it
        ("WS2", ("two",), 0x0000),
        ("WS1", ("two",), 0xA801),
        ("WS1", (), 0xA801),
        ("NOBODY", None, 0xA801),
        ("", None, 0xA801),
        ("ws1", None, 0xA801),
    ],
)
async def test_a_move_goes_to_the_destinations_of_its_caller_alone(title, allowed, status):
    backend = FakeBackend(gives())
    there = FakeBackend(Shelf().produce)
    destinations = {"one": to(there, "WS1"), "two": to(there, "WS2")}
    caller = Caller()
    async with asked(
        caller, backend, destinations=destinations, allowed=allowed, defaults=("one",)
    ):
        (answer,) = await caller.ask(move(STUDY, destination=title))
    assert answer.command.status == status
    assert bool(backend.requests) is (status == 0)


# What is asked


@pytest.mark.parametrize(
    ("identifier", "status"),
    [
        (b"garbage that is no data set", 0xC000),
        (b"", 0xA900),
        (STUDY[: STUDY.index(b"1.2.3") - 8], 0xA900),  # no unique key
    ],
    ids=["garbage", "empty", "no key"],
)
@pytest.mark.parametrize("ask", [get, move], ids=["get", "move"])
async def test_an_identifier_that_cannot_be_served_is_refused(identifier, status, ask):
    backend = FakeBackend(gives())
    caller = Caller()
    async with asked(caller, backend, destinations={"ws": to(backend)}) as observed:
        (answer,) = await caller.ask(ask(identifier))
    assert answer.command.status == status
    assert not backend.requests
    assert observed.all[0].outcome == "refused"


async def test_the_backend_is_asked_for_what_the_caller_said():
    backend = FakeBackend(gives())
    caller = Caller()
    async with asked(caller, backend):
        await caller.ask(find(STUDY))
    (request,) = backend.requests
    assert request.query is not None
    assert request.query.encoded is not None
    assert request.query.encoded.data == STUDY
    assert (request.origin.caller, request.origin.called) == ("CALLER", "HARMONY")
    assert request.origin.peer == "a-peer"


async def test_a_move_is_a_get_here():
    backend = FakeBackend(gives(instance("1.1")))
    there = FakeBackend(Shelf().produce)
    caller = Caller()
    async with asked(caller, backend, destinations={"ws": to(there)}) as observed:
        await caller.ask(move(STUDY))
    assert [request.operation for request in backend.requests] == [Operation.GET]
    assert [request.operation for request in there.requests] == [Operation.STORE]
    assert there.requests[0].id == backend.requests[0].id
    assert observed.all[0].operation is Operation.MOVE
    assert observed.all[0].items == 1
    assert observed.all[0].bytes_out == 4


# Time


async def test_a_backend_that_does_not_answer_is_given_up(autojump_clock):
    async def silent(request, send):
        await trio.sleep_forever()

    caller = Caller()
    async with asked(caller, FakeBackend(silent), deadline_seconds=30) as observed:
        started = trio.current_time()
        for said, status in ((echo(), 0x0110), (find(STUDY), 0xA700), (get(STUDY), 0xA702)):
            assert statuses(await caller.ask(said)) == [status]
        assert trio.current_time() - started == 90
    assert {told.code for told in observed.all} == {"deadline-exceeded"}


async def test_an_object_may_take_longer_to_arrive_than_an_answer(autojump_clock):
    async def slowly(request, send):
        async for _ in request.body:
            await trio.sleep(500)
        await send.send(Outcome())

    caller = Caller()
    async with asked(caller, FakeBackend(slowly), deadline_seconds=30):
        (answer,) = await caller.ask(store(b"object", uid="1.2.3"))
    assert answer.command.status == 0x0110  # the backend told nothing of it, in its own time


# C-CANCEL, and callers that go


async def test_a_cancelled_find_ends_the_backends_work(autojump_clock):
    async def rows(request, send):
        await send.send(match("1.2.3"))
        await trio.sleep_forever()

    backend, caller = FakeBackend(rows), Caller()
    async with asked(caller, backend) as observed:
        caller.say(find(STUDY))
        await trio.sleep(1)
        caller.say(cancel())
        await trio.sleep(1)
        assert statuses(caller.sent) == [PENDING, 0xFE00]
        assert backend.ended.is_set()
        assert statuses(await caller.ask(echo(2)))[0] is not None
    assert observed.all[0].outcome == "cancelled"


async def test_a_cancelled_get_tells_what_remains(autojump_clock):
    async def give(request, send):
        await send.send(FIVE)
        for each in instances(2):
            await send.send(each)
        await trio.sleep_forever()

    backend = FakeBackend(give)
    caller = Caller(roles=TAKES, on_store=lambda sent: stored(sent.command.message_id))
    async with asked(caller, backend):
        caller.say(get(STUDY))
        await trio.sleep(1)
        caller.say(cancel(context_id=GET_ID))
        await trio.sleep(1)
    final = caller.sent[-1]
    assert final.command.status == 0xFE00
    assert final.command.remaining == 3
    assert counted(final) == (2, 0, 0)


async def test_the_backends_work_ends_with_the_caller(autojump_clock):
    async def rows(request, send):
        await send.send(match("1.2.3"))
        await trio.sleep_forever()

    backend, caller = FakeBackend(rows), Caller()
    async with asked(caller, backend):
        caller.say(find(STUDY), RELEASED)
        await trio.sleep(1)
        assert backend.ended.is_set()


async def test_an_object_that_its_caller_breaks_off_is_the_callers_fault(autojump_clock):
    shelf, caller = Shelf(), Caller()
    async with asked(caller, FakeBackend(shelf.produce)) as observed:
        caller.say(*store(b"12345678").fragments(4)[:-1], RELEASED)
        await trio.sleep(1)
    assert (observed.all[0].outcome, observed.all[0].code) == ("refused", "broken-off")
    assert not shelf.has
    assert not caller.sent


async def test_a_backend_that_stops_telling_is_at_fault_itself():
    caller = Caller()
    async with asked(caller, FakeBackend(gives(then=None))) as observed:
        await caller.ask(find(STUDY))
    assert (observed.all[0].outcome, observed.all[0].code) == ("failed", "answer-broken")


# Counters when something fails


@pytest.mark.parametrize("after", range(5))
@pytest.mark.parametrize("operation", ["get", "move"])
async def test_a_source_that_fails_midway_fails_the_rest(after, operation):
    failure = UpstreamError("gone", code="connection-lost")
    backend = FakeBackend(gives(FIVE, *instances(after), then=failure))
    shelf = Shelf()
    caller = Caller(roles=TAKES, on_store=lambda sent: stored(sent.command.message_id))
    async with asked(caller, backend, destinations={"ws": to(FakeBackend(shelf.produce))}) as told:
        *before, final = await caller.ask(get(STUDY) if operation == "get" else move(STUDY))
    assert final.command.status == 0xA702
    completed, failed, warning = counted(final)
    assert completed + failed == 5
    assert warning == 0
    assert final.command.remaining is None
    if operation == "get":
        sent = [each for each in before if each.command.field == CommandField.C_STORE_RQ]
        assert completed == len(sent) <= after
    else:
        assert completed <= len(shelf.has) <= after
    assert told.all[0].code == "connection-lost"


async def test_a_source_that_has_nothing_is_a_success_without_sub_operations():
    nothing = RequestError("no such study", code="not-found", http_status=404)
    caller = Caller()
    async with asked(caller, FakeBackend(gives(then=nothing))) as observed:
        (answer,) = await caller.ask(get(STUDY))
    assert answer.command.status == 0x0000
    assert counted(answer) == (0, 0, 0)
    assert observed.all[0].outcome == "ok"


async def test_a_source_that_says_it_has_nothing_of_what_it_counted_has_failed():
    nothing = RequestError("no such study", code="not-found", http_status=404)
    caller = Caller()
    async with asked(caller, FakeBackend(gives(FIVE, then=nothing))):
        (answer,) = await caller.ask(get(STUDY))
    assert answer.command.status != 0x0000
    assert counted(answer) == (0, 5, 0)


@pytest.mark.parametrize("fails_at", range(5))
async def test_a_destination_that_fails_midway_fails_the_rest(fails_at):
    shelf = Shelf(fails_at=fails_at, failure=UpstreamError("gone", code="connection-lost"))
    backend = FakeBackend(gives(FIVE, *instances(5)))
    caller = Caller()
    async with asked(caller, backend, destinations={"ws": to(FakeBackend(shelf.produce))}):
        *_, final = await caller.ask(move(STUDY))
    assert final.command.status == 0xA702
    completed, failed, _ = counted(final)
    assert completed + failed == 5
    assert completed <= len(shelf.has) == fails_at


async def test_the_caller_is_told_what_failed():
    refused = {"1.1": 0xA700, "1.3": 0xC000}
    backend = FakeBackend(gives(FIVE, *instances(5)))
    there = to(FakeBackend(Shelf(refused).produce))
    caller = Caller()
    async with asked(caller, backend, destinations={"ws": there}):
        *pending, final = await caller.ask(move(STUDY))
    assert final.command.status == 0xB000
    assert counted(final) == (3, 2, 0)
    assert final.data is not None
    assert b"1.1\\1.3" in final.data
    assert [each.command.remaining for each in pending] == [4, 3, 2, 1, 0]


# Objects that a retrieve waits for


async def test_an_object_for_a_retrieve_that_waits_goes_there_and_not_to_the_backend():
    arrivals = Arrivals("HARMONY")
    backend, caller = FakeBackend(Shelf().produce), Caller()
    query = Query(level=Level.STUDY, root=Root.STUDY, keys=(Key(0x0020000D, ("1.2.3",)),))
    got = []

    async def read(expected):
        while (arrived := expected.take()) is None:
            await expected.news()
        got.append(b"".join([chunk async for chunk in arrived.data]))

    async with asked(caller, backend, arrivals=arrivals):
        with arrivals.expect("HARMONY_SCU", query, sender="PACS") as expected:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(read, expected)
                said = store(b"object").but(
                    move_originator_ae_title="HARMONY_SCU",
                    move_originator_message_id=expected.message_id,
                )
                (answer,) = await caller.ask(said)
    assert answer.command.status == 0
    assert got == [b"object"]
    assert not backend.requests


async def test_what_a_modality_stores_goes_to_the_backend_though_a_retrieve_waits_for_its_study():
    arrivals = Arrivals("HARMONY")
    shelf = Shelf()
    backend, caller = FakeBackend(shelf.produce), Caller()
    query = Query(level=Level.IMAGE, root=Root.STUDY, keys=(Key(0x00080018, ("1.2.3",)),))
    async with asked(caller, backend, arrivals=arrivals):
        with arrivals.expect("HARMONY_SCU", query, sender="PACS") as expected:
            (answer,) = await caller.ask(store(b"object", uid="1.2.3"))
    assert answer.command.status == 0
    assert expected.begun == 0
    assert shelf.has == {"1.2.3": b"object"}
