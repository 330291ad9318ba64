"""Queues between a thread and trio: order, bounds, and no waiter left behind."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest
import trio
import trio.testing

from harmony.dimse.bridge import Inbox, Outbox


async def in_thread(fn: Callable[[], None]) -> None:
    await trio.to_thread.run_sync(fn)


async def test_items_come_in_the_order_the_thread_put_them() -> None:
    inbox: Inbox[int] = Inbox(10_000)
    got: list[int] = []

    def writer() -> None:
        for i in range(1000):
            inbox.put(i, 1)

    with trio.fail_after(10):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(in_thread, writer)
            for _ in range(1000):
                got.append(await inbox.get())
    assert got == list(range(1000))


async def test_the_thread_waits_while_too_much_lies_unread() -> None:
    inbox: Inbox[int] = Inbox(10)
    put: list[int] = []
    over_the_limit = threading.Event()

    def writer() -> None:
        for i in range(5):
            inbox.put(i, 10)
            put.append(i)
            if i == 1:
                over_the_limit.set()

    with trio.fail_after(10):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(in_thread, writer)
            try:
                await trio.to_thread.run_sync(over_the_limit.wait, abandon_on_cancel=True)
                await trio.sleep(0.1)
                assert len(put) == 2, "one within the limit, one over it"
                assert [await inbox.get() for _ in range(5)] == [0, 1, 2, 3, 4]
            finally:
                inbox.close()  # else a failure would wait for the thread for ever


async def test_a_thread_that_tells_its_end_waits_for_no_reader() -> None:
    inbox: Inbox[str] = Inbox(1)

    def writer() -> None:
        inbox.put("data", 5)
        inbox.put("the end")

    with trio.fail_after(10):
        await trio.to_thread.run_sync(writer, abandon_on_cancel=True)
        assert [await inbox.get(), await inbox.get()] == ["data", "the end"]


async def test_closing_frees_the_thread_and_the_reader() -> None:
    inbox: Inbox[int] = Inbox(1)
    started = threading.Event()

    def writer() -> None:
        inbox.put(1, 5)
        started.set()
        inbox.put(2, 5)  # waits for room

    with trio.fail_after(10):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(in_thread, writer)
            try:
                await trio.to_thread.run_sync(started.wait, abandon_on_cancel=True)
            finally:
                inbox.close()
        with pytest.raises(trio.ClosedResourceError):
            await inbox.get()


async def test_a_reader_that_waits_hears_of_the_closing() -> None:
    inbox: Inbox[int] = Inbox(1)
    with trio.fail_after(10):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(in_thread, inbox.close)
            with pytest.raises(trio.ClosedResourceError):
                await inbox.get()


async def test_a_second_waiter_does_not_take_the_wake_up_from_the_first() -> None:
    # A holder that is cancelled before it ran once waits after its borrower does.
    inbox: Inbox[str] = Inbox(100)
    with trio.fail_after(10):
        async with trio.open_nursery() as nursery:
            scope = trio.CancelScope()

            async def reader() -> None:
                assert await inbox.get() == "answer"
                nursery.cancel_scope.cancel()

            async def cancelled_waiter() -> None:
                with scope:
                    scope.cancel()
                    await inbox.wait()

            nursery.start_soon(reader)
            await trio.testing.wait_all_tasks_blocked()
            nursery.start_soon(cancelled_waiter)
            await trio.testing.wait_all_tasks_blocked()
            nursery.start_soon(in_thread, lambda: inbox.put("answer", 6))


async def test_the_outbox_makes_trio_wait_until_the_thread_has_taken_some() -> None:
    outbox: Outbox[int] = Outbox(2)
    for i in range(2):
        await outbox.wait_room()
        outbox.put(i)
    with trio.move_on_after(0.05) as scope:
        await outbox.wait_room()
    assert scope.cancelled_caught

    def take_one() -> None:
        outbox.get(False)

    with trio.fail_after(10):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(in_thread, take_one)
            await outbox.wait_room()
    assert outbox.qsize() == 1


async def test_waking_an_outbox_ends_the_wait_although_it_is_full() -> None:
    outbox: Outbox[int] = Outbox(1)
    outbox.put(1)
    with trio.fail_after(10):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(in_thread, outbox.wake)
            await outbox.wait_room()
