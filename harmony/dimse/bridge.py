"""Queues between one reactor thread and trio's thread, bounded in both directions.

trio's memory channels live in trio's thread only, and a `queue.Queue` cannot be awaited. These
two can: `Inbox` brings fragments to trio and makes the thread wait while too many lie unread,
so that a slow reader slows the peer down through TCP. `Outbox` makes trio wait while too many
units lie unsent.
"""

from __future__ import annotations

import collections
import contextlib
import queue
import threading
from typing import Generic, TypeVar

import trio

T = TypeVar("T")


class Inbox(Generic[T]):
    """Thread to trio. Whoever makes it does so in trio's thread."""

    def __init__(self, max_bytes: int) -> None:
        self._token = trio.lowlevel.current_trio_token()
        self._items: collections.deque[tuple[T, int]] = collections.deque()
        self._bytes = 0
        self._max_bytes = max_bytes
        self._room = threading.Condition()
        self._closed = False
        self._readable = trio.Event()

    def put(self, item: T, size: int = 0) -> None:
        """Append, waiting for room first. In the thread. After `close` nothing is kept.

        What has no size waits for none, so that a thread which only has its end to tell can go.
        """
        with self._room:
            while size and self._bytes > self._max_bytes and not self._closed:
                self._room.wait()
            if self._closed:
                return
            was_empty = not self._items
            self._items.append((item, size))
            self._bytes += size
        if was_empty:
            with contextlib.suppress(trio.RunFinishedError):
                self._token.run_sync_soon(self._wake)

    def close(self) -> None:
        """Drop what is there, and wait for nothing any more. From any thread."""
        with self._room:
            self._closed = True
            self._items.clear()
            self._room.notify_all()
        with contextlib.suppress(trio.RunFinishedError):
            self._token.run_sync_soon(self._wake)

    def _wake(self) -> None:
        self._readable.set()

    @property
    def is_empty(self) -> bool:
        return not self._items

    async def wait(self) -> None:
        """Wait until there is an item, or none will come. In trio."""
        while not self._items and not self._closed:
            if self._readable.is_set():  # a fresh one only then: somebody else may wait too
                self._readable = trio.Event()
                continue
            await self._readable.wait()

    async def get(self) -> T:
        """Take the first item. One task at a time. In trio.

        Raises:
            trio.ClosedResourceError: after `close`.
        """
        # Always a place to be cancelled, and before anything is taken: a peer that sends faster
        # than we read must not outlive a deadline.
        await trio.lowlevel.checkpoint()
        await self.wait()
        with self._room:
            if self._closed:
                raise trio.ClosedResourceError("the inbox is closed")
            item, size = self._items.popleft()
            self._bytes -= size
            if self._bytes <= self._max_bytes:
                self._room.notify_all()
        return item


class Outbox(queue.Queue[T]):
    """trio to thread: a queue whose `get` also tells trio that there is room again."""

    def __init__(self, max_items: int) -> None:
        super().__init__()
        self._token = trio.lowlevel.current_trio_token()
        self._max_items = max_items
        self._room = trio.Event()

    def get(self, block: bool = True, timeout: float | None = None) -> T:
        """Take the first item. In the thread."""
        item = super().get(block, timeout)
        if self.qsize() <= self._max_items // 2:
            self.wake()
        return item

    def wake(self) -> None:
        """Let `wait_room` look again. From any thread."""
        with contextlib.suppress(trio.RunFinishedError):
            self._token.run_sync_soon(self._wake)

    def _wake(self) -> None:
        self._room.set()

    async def wait_room(self) -> None:
        """Wait once if the queue is full; returns at the latest when `wake` is called."""
        if self.qsize() < self._max_items:
            return
        if self._room.is_set():
            self._room = trio.Event()
        if self.qsize() >= self._max_items:
            await self._room.wait()
