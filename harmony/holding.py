"""Keeps an instance while it arrives, so that several readers get all of it, and get it again.

One reader alone needs no more than `whole_if_small`. For several, the first part of an instance
lies in memory, the rest in a temporary file that has no name. Its readers follow the writer and
wait for more. When the block is left, nothing of it is left either.
"""

from __future__ import annotations

import collections
import contextlib
import dataclasses
import errno
import os
import tempfile
from collections.abc import AsyncIterator, Iterator
from io import FileIO
from pathlib import Path

import trio

from harmony.dicom.peek import Rejoined
from harmony.envelope import Instance, StreamBroken, WholeBytes, root_cause
from harmony.errors import HarmonyError, Unavailable

_AT_ONCE_BYTES = 128 * 1024  # what is not larger is read whole, without a task to follow
_WRITE_BYTES = 128 * 1024  # a thread's hop for each chunk from the network would cost more
_READ_BYTES = 256 * 1024
_FULL = frozenset((errno.ENOSPC, errno.EDQUOT, errno.EFBIG))


class Holding:
    """Where instances are held, and how much of each in memory.

    Args:
        folder: for the files; None for the system's temporary folder.
        memory_bytes: so much of each instance stays in memory.
    """

    def __init__(self, folder: Path | None, memory_bytes: int) -> None:
        self._folder = folder
        self._memory_bytes = memory_bytes

    @contextlib.asynccontextmanager
    async def hold(self, instance: Instance) -> AsyncIterator[Instance]:
        """The same instance, repeatable, as long as the block lasts.

        A small one is read whole before the block runs. Of a larger one the rest is read while
        the block runs, and no further once it is left. One that is repeatable is given as it is.

        Raises:
            Unavailable: the disk is full or fails; readers see `StreamBroken`.
            Exception: what the source of the data raised, when the block is left, even if it
                was left by an exception of its own; readers see `StreamBroken`.
        """
        if instance.repeatable:
            yield instance
            return
        source = aiter(instance.data)
        with contextlib.closing(_Spool(self._folder, self._memory_bytes)) as spool:
            if await _is_small(spool, source, min(_AT_ONCE_BYTES, self._memory_bytes)):
                yield dataclasses.replace(
                    instance, data=_Held(spool), size=spool.size, repeatable=True
                )
                return
            try:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(spool.fill, source)
                    try:
                        yield dataclasses.replace(instance, data=_Held(spool), repeatable=True)
                    except BaseException as exc:
                        if spool.failure is None:
                            raise
                        raise root_cause(spool.failure, exc) from None
                    nursery.cancel_scope.cancel()
            except BaseExceptionGroup as group:
                raise root_cause(group) from None
            if spool.failure is not None:
                raise spool.failure


async def whole_if_small(instance: Instance, at_most: int) -> Instance:
    """The same instance, repeatable if it has at most so many bytes; else to be read once.

    A larger one goes on as it arrives, at the pace of whoever reads it, and what was read ahead
    is let go with it. Use the instance that is returned.

    Raises:
        Exception: whatever reading the instance's data raises.
    """
    if instance.repeatable:
        return instance
    source = aiter(instance.data)
    taken: collections.deque[bytes] = collections.deque()
    size = 0
    while size <= at_most:
        try:
            chunk = await anext(source)
        except StopAsyncIteration:
            whole = WholeBytes(b"".join(taken))
            return dataclasses.replace(instance, data=whole, size=size, repeatable=True)
        taken.append(chunk)
        size += len(chunk)
    return dataclasses.replace(instance, data=Rejoined(taken, source))


async def _is_small(spool: _Spool, source: AsyncIterator[bytes], limit: int) -> bool:
    """Whether the source ends within a limit; then all of it is there."""
    while spool.size <= limit:
        try:
            await spool.take(await anext(source))
        except StopAsyncIteration:
            spool.end()
            return True
    return False


def _temporary_file(folder: Path | None) -> FileIO:
    # Of mode 0600 and without a name in the folder, at least from the moment it is returned.
    return tempfile.TemporaryFile(dir=folder, buffering=0)


class _Spool:
    """What has come: chunks in memory, then a file; a writer, and readers at any place of it.

    Attributes:
        size: bytes that have come and can be read.
        failure: why there will be no more.
    """

    def __init__(self, folder: Path | None, memory_bytes: int) -> None:
        self.size = 0
        self.failure: Exception | None = None
        self._folder = folder
        self._memory_bytes = memory_bytes
        self._chunks: list[bytes] = []
        self._in_memory = 0  # bytes of them
        self._file: FileIO | None = None
        self._whole = False
        self._closed = False
        self._at_work = 0  # threads that use the file
        self._changed = trio.Event()

    async def take(self, chunk: bytes) -> None:
        """Keep one chunk, in memory as long as there is room.

        Raises:
            Unavailable: the disk is full or fails.
        """
        if self._file is None and self.size + len(chunk) <= self._memory_bytes:
            if chunk:
                self._chunks.append(chunk)
                self._in_memory += len(chunk)
                self.size += len(chunk)
                self._tell()
        else:
            await self._write(chunk)

    def end(self) -> None:
        """Nothing more comes: it is whole."""
        self._whole = True
        self._tell()

    async def fill(self, source: AsyncIterator[bytes]) -> None:
        """Keep what comes; a failure is kept, too, and breaks the readers."""
        waiting = bytearray()
        try:
            async for chunk in source:
                if self._file is None and self.size + len(chunk) <= self._memory_bytes:
                    await self.take(chunk)
                    continue
                waiting += chunk
                if len(waiting) >= _WRITE_BYTES:
                    await self._write(waiting)
                    waiting.clear()
            if waiting:
                await self._write(waiting)
            self._whole = True
        except Exception as exc:
            self.failure = exc
        finally:
            self._tell()

    async def read(self, index: int, offset: int) -> bytes:
        """What comes at a place: a chunk of those in memory, or a part of the file.

        Waits for some; empty at the end.

        Args:
            index: number of reads before.
            offset: bytes read before.

        Raises:
            StreamBroken: there will be no more.
        """
        while True:
            if self.failure is not None or self._closed:
                raise StreamBroken("the instance that is held stopped early")
            if index < len(self._chunks):
                await trio.lowlevel.checkpoint()
                return self._chunks[index]
            if offset < self.size:
                break
            if self._whole:
                await trio.lowlevel.checkpoint()
                return b""
            await self._changed.wait()
        try:
            with self._used() as descriptor:
                size = min(_READ_BYTES, self.size - offset)
                place = offset - self._in_memory
                return await trio.to_thread.run_sync(os.pread, descriptor, size, place)
        except OSError as exc:
            self.failure = disk_failure(exc)
            self._tell()
            raise StreamBroken("the instance that is held cannot be read") from exc

    def close(self) -> None:
        """Wake the readers, and close the file once no thread uses it."""
        self._closed = True
        self._tell()
        self._close_unused()

    async def _write(self, data: bytes | bytearray) -> None:
        try:
            if self._file is None:
                self._file = await trio.to_thread.run_sync(_temporary_file, self._folder)
            with self._used() as descriptor:
                await trio.to_thread.run_sync(_write_all, descriptor, data)
        except OSError as exc:
            raise disk_failure(exc) from exc
        self.size += len(data)
        self._tell()

    @contextlib.contextmanager
    def _used(self) -> Iterator[int]:
        assert self._file is not None, "nothing was written"
        self._at_work += 1
        try:
            yield self._file.fileno()
        finally:
            self._at_work -= 1
            if self._closed:
                self._close_unused()

    def _close_unused(self) -> None:
        if self._file is not None and not self._at_work:
            self._file.close()

    def _tell(self) -> None:
        changed, self._changed = self._changed, trio.Event()
        changed.set()


class _Held:
    """The data of a held instance; each iteration begins anew."""

    def __init__(self, spool: _Spool) -> None:
        self._spool = spool

    def __aiter__(self) -> AsyncIterator[bytes]:
        return _Reader(self._spool)


class _Reader:
    def __init__(self, spool: _Spool) -> None:
        self._spool = spool
        self._index = 0
        self._offset = 0

    def __aiter__(self) -> _Reader:
        return self

    async def __anext__(self) -> bytes:
        data = await self._spool.read(self._index, self._offset)
        if not data:
            raise StopAsyncIteration
        self._index += 1
        self._offset += len(data)
        return data


def _write_all(descriptor: int, data: bytes | bytearray) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(descriptor, rest) :]


def disk_failure(exc: OSError) -> HarmonyError:
    """What is told of a disk that takes no more, or fails."""
    if exc.errno in _FULL:
        return Unavailable(
            "there is no room on the disk for an object that is being received",
            code="no-space",
            hint="make room in the folder of temporary files (`state_dir` of [proxy])",
        )
    reason = os.strerror(exc.errno) if exc.errno else "unknown"
    return Unavailable(
        f"an object that is being received cannot be kept on the disk: {reason}",
        code="disk-failure",
        hint="is the folder of temporary files (`state_dir` of [proxy]) there, and writable?",
    )
