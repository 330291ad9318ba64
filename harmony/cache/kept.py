"""One instance, in memory or in a file."""

from __future__ import annotations

import contextlib
import mmap
import os
from collections.abc import AsyncIterable, AsyncIterator, Iterator
from pathlib import Path

import trio

from harmony.cache.folder import Folder
from harmony.envelope import Instance, WholeBytes
from harmony.errors import UpstreamError
from harmony.holding import disk_failure

_WRITE_BYTES = 256 * 1024  # a thread's hop for each chunk from the network would cost more
_READ_BYTES = 256 * 1024


class Kept:
    """One whole instance.

    It can be read by whoever has it from a `Retrieved`, until that gives the next one or ends.

    Attributes:
        size: bytes of the encoded data set.
        study_uid, series_uid: as the data set says; empty if it does not.
        without_bulk: its pixel data were left out.
    """

    def __init__(
        self,
        instance: Instance,
        where: bytes | Path,
        size: int,
        *,
        study_uid: str,
        series_uid: str,
    ) -> None:
        self.sop_class_uid = instance.sop_class_uid
        self.sop_instance_uid = instance.sop_instance_uid
        self.transfer_syntax = instance.transfer_syntax
        self.size = size
        self.study_uid = study_uid
        self.series_uid = series_uid
        self.without_bulk = instance.without_bulk
        self._where = where

    @property
    def memory(self) -> int:
        """Bytes of it that lie in memory."""
        return self.size if isinstance(self._where, bytes) else 0

    @contextlib.contextmanager
    def view(self) -> Iterator[bytes | mmap.mmap]:
        """The encoded data set, its file mapped if it has one; blocks, and closes with the block.

        Raises:
            UpstreamError: the file cannot be read.
        """
        if isinstance(self._where, bytes):
            yield self._where
            return
        try:
            descriptor = os.open(self._where, os.O_RDONLY | os.O_CLOEXEC)
            try:
                mapped = mmap.mmap(descriptor, self.size, access=mmap.ACCESS_READ)
            finally:
                os.close(descriptor)
        except (OSError, ValueError) as exc:
            raise _unreadable() from exc
        with mapped:
            yield mapped

    @property
    def data(self) -> AsyncIterable[bytes]:
        """The encoded data set in pieces; each iteration begins anew."""
        where = self._where
        return WholeBytes(where) if isinstance(where, bytes) else _Pieces(where, self.size)

    def instance(self) -> Instance:
        """What a backend gave, to be read again and again."""
        return Instance(
            sop_class_uid=self.sop_class_uid,
            sop_instance_uid=self.sop_instance_uid,
            transfer_syntax=self.transfer_syntax,
            data=self.data,
            repeatable=True,
            size=self.size,
        )

    def remove(self) -> None:
        """Let it go; blocks for a moment."""
        if isinstance(self._where, Path):
            with contextlib.suppress(OSError):
                self._where.unlink()


async def hold(data: AsyncIterable[bytes], folder: Folder, in_memory: int) -> bytes | Path:
    """Take an instance's data, and say where it is.

    Args:
        folder: for a file.
        in_memory: so many bytes may stay in memory; what has more goes into a file.

    Raises:
        Unavailable: the disk is full or fails.
        Exception: whatever reading the data raises. Nothing is left then.
    """
    begun: list[bytes] = []
    size = 0
    chunks = aiter(data)
    async for chunk in chunks:
        begun.append(chunk)
        size += len(chunk)
        if size > in_memory:
            return await _write(b"".join(begun), chunks, folder)
    return b"".join(begun)


async def _write(begun: bytes, rest: AsyncIterator[bytes], folder: Folder) -> Path:
    try:
        descriptor, path = await trio.to_thread.run_sync(folder.create)
    except OSError as exc:
        raise disk_failure(exc) from exc
    whole = False
    try:
        waiting = bytearray(begun)
        async for chunk in rest:
            waiting += chunk
            if len(waiting) >= _WRITE_BYTES:
                await trio.to_thread.run_sync(_write_all, descriptor, bytes(waiting))
                waiting.clear()
        if waiting:
            await trio.to_thread.run_sync(_write_all, descriptor, bytes(waiting))
        whole = True
    except OSError as exc:
        raise disk_failure(exc) from exc
    finally:
        os.close(descriptor)
        if not whole:
            path.unlink(missing_ok=True)
    return path


class _Pieces:
    """A file in pieces. It is open only while one is read, so that nobody need close it."""

    def __init__(self, path: Path, size: int) -> None:
        self._path = path
        self._size = size

    def __aiter__(self) -> AsyncIterator[bytes]:
        return _Reading(self._path, self._size)


class _Reading:
    def __init__(self, path: Path, size: int) -> None:
        self._path = path
        self._size = size
        self._offset = 0

    def __aiter__(self) -> _Reading:
        return self

    async def __anext__(self) -> bytes:
        most = min(_READ_BYTES, self._size - self._offset)
        if not most:
            raise StopAsyncIteration
        try:
            piece = await trio.to_thread.run_sync(_read, self._path, self._offset, most)
        except OSError as exc:
            raise _unreadable() from exc
        if not piece:
            raise _unreadable()
        self._offset += len(piece)
        return piece


def _read(path: Path, offset: int, most: int) -> bytes:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return os.pread(descriptor, most, offset)
    finally:
        os.close(descriptor)


def _write_all(descriptor: int, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(descriptor, rest) :]


def _unreadable() -> UpstreamError:
    return UpstreamError("an instance that was retrieved cannot be read back", code="disk-failure")
