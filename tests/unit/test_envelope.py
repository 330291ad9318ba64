"""Streams that end with an outcome, or do not end."""

from __future__ import annotations

import pytest
import trio
import trio.testing

from harmony.envelope import (
    ByteStream,
    Encoded,
    Instance,
    Item,
    Items,
    Key,
    Level,
    Match,
    Operation,
    Origin,
    Outcome,
    Query,
    RequestEnvelope,
    Root,
    StreamBroken,
    WholeBytes,
)


def match(text: bytes) -> Match:
    return Match(identifier=text, transfer_syntax="1.2")


async def test_a_batch_takes_what_is_there_and_no_more_than_asked() -> None:
    rows = [match(b"a"), match(b"b"), match(b"c")]
    items = Items.of(*rows, outcome=Outcome())
    assert await items.batch(2) == rows[:2]
    assert await items.batch(2) == rows[2:]
    assert await items.batch(2) == []
    assert items.outcome == Outcome()


async def test_waiting_takes_nothing_away() -> None:
    items = Items.of(match(b"a"), outcome=Outcome())
    assert await items.wait()
    assert await items.wait()
    assert [item async for item in items] == [match(b"a")]
    assert not await items.wait()


async def test_the_outcome_is_not_there_before_the_end() -> None:
    items = Items.of(match(b"a"), outcome=Outcome())
    await items.wait()
    with pytest.raises(RuntimeError):
        _ = items.outcome


async def test_a_channel_that_closes_without_an_outcome_breaks_every_way_of_reading() -> None:
    for read in ("wait", "batch", "iterate"):
        send, receive = trio.open_memory_channel[Item | Outcome](4)
        items = Items(receive)
        with send:
            send.send_nowait(match(b"a"))
        assert await items.batch(10) == [match(b"a")]
        with pytest.raises(StreamBroken):
            if read == "wait":
                await items.wait()
            elif read == "batch":
                await items.batch(1)
            else:
                await items.__anext__()


async def test_bytes_that_stop_early_are_not_a_shorter_object() -> None:
    send, receive = trio.open_memory_channel[bytes | None](4)
    with send:
        send.send_nowait(b"half")
    stream = ByteStream(receive)
    assert await anext(stream) == b"half"
    with pytest.raises(StreamBroken):
        await anext(stream)


async def test_bytes_end_with_their_end_mark() -> None:
    send, receive = trio.open_memory_channel[bytes | None](4)
    with send:
        send.send_nowait(b"all")
        send.send_nowait(None)
        assert [chunk async for chunk in ByteStream(receive)] == [b"all"]


async def test_whole_bytes_are_read_again_from_the_start() -> None:
    stream = WholeBytes(b"x")
    first = aiter(stream)
    assert [chunk async for chunk in first] == [b"x"]
    assert [chunk async for chunk in first] == []
    assert [chunk async for chunk in stream] == [b"x"]


async def test_a_lingering_batch_waits_for_more_and_loses_nothing(
    autojump_clock: trio.testing.MockClock,
) -> None:
    send, receive = trio.open_memory_channel[Item | Outcome](0)
    items = Items(receive)
    rows = [match(b"%d" % n) for n in range(5)]

    async def produce() -> None:
        with send:
            for row in rows:
                await send.send(row)
                await trio.sleep(2)
            await send.send(Outcome())

    async with trio.open_nursery() as nursery:
        nursery.start_soon(produce)
        batches = [await items.batch(10, linger=5)]
        while batches[-1]:
            batches.append(await items.batch(10, linger=5))
    assert [len(batch) for batch in batches] == [3, 2, 0]
    assert [row for batch in batches for row in batch] == rows


def test_no_repr_shows_what_a_patient_s_data_may_be() -> None:
    key = Key(0x00100010, ("DOE^JANE",))
    identifier = Encoded(data=b"DOE^JANE", transfer_syntax="1.2")
    request = RequestEnvelope(
        id="1",
        operation=Operation.FIND,
        origin=Origin(pipeline="p", endpoint="e", caller="CT1"),
        query=Query(level=Level.STUDY, root=Root.STUDY, keys=(key,), encoded=identifier),
        body=b"DOE^JANE",
    )
    instance = Instance(
        sop_class_uid="1.2",
        sop_instance_uid="1.3",
        transfer_syntax="1.2",
        data=WholeBytes(b"DOE^JANE"),
    )
    found = Match(identifier=b"DOE^JANE", transfer_syntax="1.2")
    assert "DOE" not in repr((request, instance, found))
