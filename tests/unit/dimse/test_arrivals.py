"""Which retrieve an object is for, and what its sender is told, in every order of events."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractContextManager

import pytest
import trio
import trio.testing

from harmony.dimse.arrivals import Arrivals, Expected
from harmony.envelope import (
    ByteStream,
    Instance,
    Key,
    Level,
    Originator,
    Query,
    Root,
    StreamBroken,
    WholeBytes,
)
from harmony.errors import UpstreamError
from tests.support.scripted_link import CT, EXPLICIT

STUDY_UID, SERIES_UID, SOP_UID, PATIENT_ID = 0x0020000D, 0x0020000E, 0x00080018, 0x00100020
FAILURE = 0x0110


def element(tag: int, vr: bytes, value: str) -> bytes:
    text = value.encode()
    text += (b"\0" if vr == b"UI" else b" ") * (len(text) % 2)
    head = (tag >> 16).to_bytes(2, "little") + (tag & 0xFFFF).to_bytes(2, "little")
    return head + vr + len(text).to_bytes(2, "little") + text


def data_set(*, patient: str = "P1", study: str = "1.2", series: str = "1.2.3") -> bytes:
    return (
        element(PATIENT_ID, b"LO", patient)
        + element(STUDY_UID, b"UI", study)
        + element(SERIES_UID, b"UI", series)
    )


def instance(
    uid: str = "1.2.3.4", originator: Originator | None = None, data: bytes | None = None
) -> Instance:
    return Instance(
        sop_class_uid=CT,
        sop_instance_uid=uid,
        transfer_syntax=EXPLICIT,
        data=WholeBytes(data_set() if data is None else data),
        originator=originator,
    )


def query(*keys: tuple[int, str], level: Level = Level.STUDY) -> Query:
    return Query(
        level=level,
        root=Root.PATIENT,
        keys=tuple(Key(tag, (value,)) for tag, value in keys or ((STUDY_UID, "1.2"),)),
    )


def expecting(arrivals: Arrivals) -> AbstractContextManager[Expected]:
    return arrivals.expect("HARMONY", query(), sender="PACS")


async def whole(taken: Instance | None) -> bytes:
    assert taken is not None
    return b"".join([chunk async for chunk in taken.data])


@pytest.fixture
def arrivals() -> Arrivals:
    return Arrivals("RECEIVER")


@pytest.fixture
async def expected(arrivals: Arrivals) -> AsyncIterator[Expected]:
    with arrivals.expect("HARMONY", query(), sender="PACS") as one:
        yield one


class Sender:
    """Delivers in a task of its own; `status` is what it was told."""

    def __init__(self, arrivals: Arrivals, expected: Expected, sent: Instance) -> None:
        self._arrivals, self._expected, self._sent = arrivals, expected, sent
        self.scope = trio.CancelScope()
        self.status: int | None = None

    async def run(self) -> None:
        with self.scope:
            self.status = await self._arrivals.deliver(self._expected, self._sent)


async def sending(
    nursery: trio.Nursery, arrivals: Arrivals, expected: Expected, sent: Instance
) -> Sender:
    sender = Sender(arrivals, expected, sent)
    nursery.start_soon(sender.run)
    await trio.testing.wait_all_tasks_blocked()
    return sender


# For whom


async def test_an_object_goes_to_the_retrieve_that_it_names(arrivals: Arrivals) -> None:
    with expecting(arrivals) as one, expecting(arrivals) as two:
        for each in (two, one):
            named = Originator("HARMONY ", each.message_id)
            claimed, _ = await arrivals.claim(instance(originator=named))
            assert claimed is each


async def test_message_ids_differ_among_the_retrieves_of_one_ae_title(arrivals: Arrivals) -> None:
    with expecting(arrivals) as one, expecting(arrivals) as two:
        assert 0 < one.message_id <= 0xFFFF
        assert one.message_id != two.message_id


async def test_the_next_message_id_after_the_last_is_the_first_that_is_free(
    arrivals: Arrivals,
) -> None:
    seen = set()
    with arrivals.expect("A", query(), sender="PACS") as held:
        for _ in range(0xFFFF):
            with arrivals.expect("A", query(), sender="PACS") as one:
                assert one.message_id != held.message_id
                seen.add(one.message_id)
    assert seen | {held.message_id} == set(range(1, 0x10000))


@pytest.mark.parametrize(
    "originator",
    [None, Originator("HARMONY", 0), Originator("SOMEBODY", 1), Originator("", 1)],
    ids=["none", "unknown message", "unknown title", "no title"],
)
@pytest.mark.parametrize(
    "keys",
    [
        [(STUDY_UID, "1.2")],
        [(PATIENT_ID, "P1")],
        [(STUDY_UID, "1.2"), (SERIES_UID, "1.2.3")],
        [(STUDY_UID, "1.2"), (SOP_UID, "1.2.3.4")],
    ],
    ids=["study", "patient", "series", "image"],
)
async def test_one_that_names_no_retrieve_goes_by_its_uids(
    arrivals: Arrivals, originator: Originator | None, keys: list[tuple[int, str]]
) -> None:
    with (
        arrivals.expect("HARMONY", query((STUDY_UID, "9.9")), sender="PACS"),
        arrivals.expect("HARMONY", query(*keys), sender="PACS") as wanted,
    ):
        claimed, sent = await arrivals.claim(instance(originator=originator))
        assert claimed is wanted
        assert await whole(sent) == data_set()


@pytest.mark.parametrize("title", ["HARMONY ", "harmony"], ids=["padded", "lower case"])
async def test_the_title_that_it_names_may_have_changed_on_its_way_round(
    arrivals: Arrivals, title: str
) -> None:
    with expecting(arrivals) as one, expecting(arrivals):
        named = Originator(title, one.message_id)
        assert (await arrivals.claim(instance(originator=named)))[0] is one


@pytest.mark.parametrize(
    ("caller", "originator", "taken"),
    [
        ("PACS", None, True),
        ("pacs ", None, True),
        ("PACS", Originator("HARMONY", 0), True),
        ("PACS", Originator("PACS", 7), True),
        ("CT1", None, False),
        ("CT1", Originator("CT1", 7), False),
        ("PACS", Originator("WORKSTATION", 7), False),
    ],
    ids=[
        "the PACS",
        "the PACS in lower case",
        "a message ID that is none",
        "a PACS that names itself",
        "a modality",
        "a modality that names itself",
        "the move of another",
    ],
)
async def test_where_others_store_too_only_what_the_pacs_sends_for_nobody_else_is_guessed(
    arrivals: Arrivals, caller: str, originator: Originator | None, taken: bool
) -> None:
    with expecting(arrivals) as one:
        claimed, sent = await arrivals.claim(instance(originator=originator), caller=caller)
        assert claimed is (one if taken else None)
        assert await whole(sent) == data_set()


@pytest.mark.parametrize(
    "data",
    [data_set(study="1.3"), data_set(study="1.2.3"), b"", b"\xff" * 64],
    ids=["other study", "longer UID", "empty", "garbage"],
)
async def test_one_that_fits_no_retrieve_is_nobodys_and_still_whole(
    arrivals: Arrivals, data: bytes
) -> None:
    with arrivals.expect("HARMONY", query(), sender="PACS"):
        claimed, sent = await arrivals.claim(instance(data=data))
        assert claimed is None
        assert await whole(sent) == data


async def test_one_that_fits_two_retrieves_is_nobodys(arrivals: Arrivals) -> None:
    with expecting(arrivals), expecting(arrivals):
        claimed, _ = await arrivals.claim(instance())
        assert claimed is None


async def test_a_retrieve_without_unique_keys_gets_only_what_names_it(arrivals: Arrivals) -> None:
    with arrivals.expect("HARMONY", query((STUDY_UID, "")), sender="PACS"):
        assert (await arrivals.claim(instance()))[0] is None
    keyless = Query(level=Level.STUDY, root=Root.STUDY, keys=(Key(STUDY_UID),))
    with arrivals.expect("HARMONY", keyless, sender="PACS"):
        assert (await arrivals.claim(instance()))[0] is None


async def test_after_its_block_a_retrieve_claims_nothing(arrivals: Arrivals) -> None:
    with arrivals.expect("HARMONY", query(), sender="PACS") as one:
        pass
    named = Originator("HARMONY", one.message_id)
    assert (await arrivals.claim(instance(originator=named)))[0] is None


# What the sender is told


async def test_a_sender_hears_success_when_the_last_byte_is_taken(
    arrivals: Arrivals, expected: Expected, nursery: trio.Nursery
) -> None:
    sender = await sending(nursery, arrivals, expected, instance())
    assert expected.is_busy
    taken = expected.take()
    assert taken is not None
    reader = aiter(taken.data)
    assert await anext(reader) == data_set()
    await trio.testing.wait_all_tasks_blocked()
    assert sender.status is None
    assert (expected.arrived, expected.begun) == (0, 1)
    with pytest.raises(StopAsyncIteration):
        await anext(reader)
    await trio.testing.wait_all_tasks_blocked()
    assert sender.status == 0
    assert (expected.arrived, expected.begun) == (1, 1)
    assert not expected.is_busy


async def test_what_the_reader_gets_can_be_read_once(
    arrivals: Arrivals, expected: Expected, nursery: trio.Nursery
) -> None:
    await sending(nursery, arrivals, expected, instance())
    taken = expected.take()
    assert taken is not None
    assert not taken.repeatable
    assert await whole(taken) == data_set()
    assert await whole(taken) == b""


async def test_senders_wait_for_each_other_in_order(
    arrivals: Arrivals, expected: Expected, nursery: trio.Nursery
) -> None:
    first = await sending(nursery, arrivals, expected, instance("1.1"))
    second = await sending(nursery, arrivals, expected, instance("1.2"))
    await whole(expected.take())
    await trio.testing.wait_all_tasks_blocked()
    assert first.status == 0
    assert second.status is None
    await whole(expected.take())
    await trio.testing.wait_all_tasks_blocked()
    assert second.status == 0


async def test_a_second_copy_is_counted_once_and_not_given_again(
    arrivals: Arrivals, expected: Expected, nursery: trio.Nursery
) -> None:
    first = await sending(nursery, arrivals, expected, instance())
    again = await sending(nursery, arrivals, expected, instance())
    assert again.status is None, "the first is not there yet"
    await whole(expected.take())
    await trio.testing.wait_all_tasks_blocked()
    assert [each.status for each in (first, again)] == [0, 0]
    later = await sending(nursery, arrivals, expected, instance())
    assert later.status == 0
    assert expected.take() is None
    assert (expected.arrived, expected.begun) == (1, 1)


async def test_a_second_copy_is_not_received_if_the_first_is_lost(
    arrivals: Arrivals, expected: Expected, nursery: trio.Nursery
) -> None:
    first = await sending(nursery, arrivals, expected, instance())
    again = await sending(nursery, arrivals, expected, instance())
    expected.take()
    first.scope.cancel()
    await trio.testing.wait_all_tasks_blocked()
    assert again.status == FAILURE


async def _breaking() -> AsyncIterator[bytes]:
    yield b"begun"
    raise StreamBroken("it stopped")


def broken(uid: str = "1.2.3.4") -> Instance:
    return Instance(
        sop_class_uid=CT, sop_instance_uid=uid, transfer_syntax=EXPLICIT, data=_breaking()
    )


async def test_a_second_copy_that_breaks_off_is_a_failure(
    arrivals: Arrivals, expected: Expected, nursery: trio.Nursery
) -> None:
    await sending(nursery, arrivals, expected, instance())
    await whole(expected.take())
    again = await sending(nursery, arrivals, expected, broken())
    assert again.status == FAILURE
    assert not expected.broken


async def test_an_object_that_breaks_off_is_broken_for_its_reader(
    arrivals: Arrivals, expected: Expected, nursery: trio.Nursery
) -> None:
    sender = await sending(nursery, arrivals, expected, broken())
    with pytest.raises(UpstreamError):
        await whole(expected.take())
    await trio.testing.wait_all_tasks_blocked()
    assert (sender.status, expected.arrived, expected.broken) == (FAILURE, 0, True)


async def test_a_sender_that_goes_before_its_object_is_taken_leaves_no_trace(
    arrivals: Arrivals, expected: Expected, nursery: trio.Nursery
) -> None:
    sender = await sending(nursery, arrivals, expected, instance())
    sender.scope.cancel()
    await trio.testing.wait_all_tasks_blocked()
    assert expected.take() is None
    assert (expected.begun, expected.broken) == (0, False)
    again = await sending(nursery, arrivals, expected, instance())
    await whole(expected.take())
    await trio.testing.wait_all_tasks_blocked()
    assert again.status == 0


async def test_a_sender_that_goes_in_the_middle_breaks_the_object(
    arrivals: Arrivals, expected: Expected, nursery: trio.Nursery
) -> None:
    sender = await sending(nursery, arrivals, expected, instance())
    taken = expected.take()
    sender.scope.cancel()
    await trio.testing.wait_all_tasks_blocked()
    assert expected.broken
    with pytest.raises(UpstreamError):
        await whole(taken)


async def test_when_the_retrieve_is_gone_all_senders_hear_a_failure(
    arrivals: Arrivals, nursery: trio.Nursery
) -> None:
    with arrivals.expect("HARMONY", query(), sender="PACS") as expected:
        taken = await sending(nursery, arrivals, expected, instance("1.1"))
        expected.take()
        waiting = await sending(nursery, arrivals, expected, instance("1.2"))
    late = await sending(nursery, arrivals, expected, instance("1.3"))
    await trio.testing.wait_all_tasks_blocked()
    assert [each.status for each in (taken, waiting, late)] == [FAILURE] * 3


async def test_a_sender_is_not_let_go_while_a_reader_waits_for_its_bytes(
    arrivals: Arrivals, nursery: trio.Nursery
) -> None:
    send, receive = trio.open_memory_channel[bytes | None](0)
    streamed = Instance(
        sop_class_uid=CT,
        sop_instance_uid="1.1",
        transfer_syntax=EXPLICIT,
        data=ByteStream(receive),
    )
    reading = trio.CancelScope()

    async def read(taken: Instance) -> None:
        with reading:
            await whole(taken)

    with send, arrivals.expect("HARMONY", query(), sender="PACS") as expected:
        sender = await sending(nursery, arrivals, expected, streamed)
        taken = expected.take()
        assert taken is not None
        nursery.start_soon(read, taken)
        await trio.testing.wait_all_tasks_blocked()
        expected.close()
        await trio.testing.wait_all_tasks_blocked()
        assert sender.status is None
        reading.cancel()
        await trio.testing.wait_all_tasks_blocked()
        assert sender.status == FAILURE


async def test_news_come_for_each_object_and_when_somebody_tells(
    arrivals: Arrivals, expected: Expected, nursery: trio.Nursery
) -> None:
    heard = 0

    async def listen() -> None:
        nonlocal heard
        while True:
            await expected.news()
            heard += 1

    with trio.CancelScope() as scope:
        async with trio.open_nursery() as listeners:
            listeners.start_soon(listen)
            await trio.testing.wait_all_tasks_blocked()
            await sending(nursery, arrivals, expected, instance())
            assert heard == 1
            await whole(expected.take())
            await trio.testing.wait_all_tasks_blocked()
            assert heard == 2
            expected.tell()
            await trio.testing.wait_all_tasks_blocked()
            assert heard == 3
            scope.cancel()
