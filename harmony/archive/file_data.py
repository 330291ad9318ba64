"""The data set of an archived file, chunk by chunk."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

import trio

from harmony.archive.index import Filed
from harmony.errors import UpstreamError

READ_BYTES: Final = 256 * 1024


class FileData:
    """Chunks of a data set. Each reader begins anew and has nothing open between two chunks.

    Raises, while read:
        UpstreamError: the file is not there, or shorter than the index says.
    """

    def __init__(
        self, path: Path, filed: Filed, threads: trio.CapacityLimiter, *, archive: str
    ) -> None:
        self._path = path
        self._filed = filed
        self._threads = threads
        self._archive = archive

    def __aiter__(self) -> AsyncIterator[bytes]:
        return _Chunks(self)

    async def read(self, offset: int) -> bytes:
        """The chunk that begins at `offset` of the data set; empty at its end."""
        wanted = min(READ_BYTES, self._filed.size - offset)
        if not wanted:
            return b""
        return await trio.to_thread.run_sync(self._read, offset, wanted, limiter=self._threads)

    def _read(self, offset: int, wanted: int) -> bytes:
        try:
            with open(self._path, "rb") as stream:
                stream.seek(self._filed.head_bytes + offset)
                data = stream.read(wanted)
        except OSError as exc:
            raise damaged(self._filed.file, self._archive) from exc
        if len(data) != wanted:
            raise damaged(self._filed.file, self._archive)
        return data


class _Chunks:
    def __init__(self, data: FileData) -> None:
        self._data = data
        self._at = 0

    def __aiter__(self) -> _Chunks:
        return self

    async def __anext__(self) -> bytes:
        chunk = await self._data.read(self._at)
        if not chunk:
            raise StopAsyncIteration
        self._at += len(chunk)
        return chunk


def damaged(file: str, archive: str) -> UpstreamError:
    """The failure that is told of a file which is not as the index says."""
    return UpstreamError(
        f"file {file} of archive {archive} is missing or damaged",
        code="archive-damaged",
        backend=archive,
        hint="`harmony archive verify` lists all such files",
    )
