"""The ``archive`` backend: an archive of our own behind a pipeline.

What blocks runs in threads. A query is read in pages, so that nothing waits for a slow caller
with the index open; a retrieve hands out files that are read as they are sent.
"""

from __future__ import annotations

import contextlib
import functools
import sqlite3
import time
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeVar, cast

import trio

from harmony.archive.arrivals import OUT_OF_RESOURCES, Arrival, Entry, Refused
from harmony.archive.commits import Commits, NotCommitted
from harmony.archive.file_data import FileData, damaged
from harmony.archive.folder import STATUSES, CommitFailed, Folder
from harmony.archive.index import Decision, Filed, Row, Unusable, as_filed, filed_columns
from harmony.archive.objects import DiskFailed, SyncFailed
from harmony.archive.searching import retrieval, search
from harmony.envelope import (
    Completion,
    Instance,
    Item,
    Items,
    Operation,
    Outcome,
    Progress,
    Query,
    RequestEnvelope,
    ResponseEnvelope,
    Stored,
    SubOperations,
)
from harmony.errors import RequestError, UpstreamError
from harmony.interfaces import Exchange, Probe
from harmony.telemetry.log import get_logger

T = TypeVar("T")
Send = trio.MemorySendChannel[Item | Outcome]

_WRITE_BYTES = 1024 * 1024  # a smaller object is written by one call of a thread
_THREADS = 16
_BUFFERED_MATCHES = 64
PAGE = 256  # rows read from the index at a time
_OPERATIONS = frozenset((Operation.ECHO, Operation.FIND, Operation.GET, Operation.STORE))
_MOST_TOLD = 20  # files in the log

_logger = get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """``[backends.NAME.options]`` of ``service = "archive"``; meanings in the schema."""

    folder: str
    on_conflict: Literal["keep", "replace", "refuse"] = "refuse"
    max_results: int = 10000
    max_object_bytes: int = 4294967296
    reserve_free_bytes: int = 1073741824


class ArchiveBackend:
    """One archive folder. Implements `harmony.interfaces.Backend`."""

    def __init__(self, name: str, options: Options, folder: Path) -> None:
        self.name = name
        self._options = options
        self._path = folder
        self._folder: Folder | None = None
        self._threads = trio.CapacityLimiter(_THREADS)
        self._commits = Commits(self._commit)

    def accepts(self, operation: Operation) -> bool:
        return operation in _OPERATIONS

    @contextlib.asynccontextmanager
    async def lifespan(self) -> AsyncIterator[None]:
        """Open the archive, and have it until the block ends.

        Raises:
            UpstreamError: it cannot be had.
        """
        try:
            folder = await self._blocking(lambda: Folder.open(self._path))
        except Unusable as exc:
            raise self._failed(str(exc), code="archive-unusable") from exc
        self._folder = folder
        self._tell(folder)
        try:
            yield
        finally:
            self._folder = None
            with trio.CancelScope(shield=True):  # closing writes the journal, and then ends
                await self._blocking(folder.close)

    async def probe(self) -> Probe:
        started = time.monotonic()
        folder = self._folder
        if folder is None:
            return Probe(False, f"archive {self.name} is not open", 0.0)
        if folder.broken is not None:
            return Probe(False, f"archive {self.name} takes nothing: {folder.broken}", 0.0)
        try:
            count = await self._blocking(folder.index.count)
        except sqlite3.Error:
            return Probe(False, f"the index of archive {self.name} cannot be read", 0.0)
        seconds = time.monotonic() - started
        return Probe(True, f"archive {self.name} holds {count} instances", seconds)

    async def handle(self, request: RequestEnvelope, scope: Exchange) -> ResponseEnvelope:
        """Answer ECHO at once, the others by a producer in ``scope.nursery``.

        Raises:
            UpstreamError: the archive is not open. All else comes through the nursery.
        """
        folder = self._folder
        if folder is None:
            raise self._failed(f"archive {self.name} is not open", code="archive-unusable")
        if request.operation is Operation.ECHO:
            items = Items.of(outcome=Outcome(seconds=0.0))
            return ResponseEnvelope(items=items, backend=self.name)
        buffered = _BUFFERED_MATCHES if request.operation is Operation.FIND else 0
        send, receive = trio.open_memory_channel[Item | Outcome](buffered)
        scope.nursery.start_soon(self._produce, folder, request, send)
        return ResponseEnvelope(items=Items(receive), backend=self.name)

    async def _produce(self, folder: Folder, request: RequestEnvelope, send: Send) -> None:
        with send:
            try:
                outcome = await self._run(folder, request, send)
            except sqlite3.Error as exc:
                raise self._failed(
                    f"the index of archive {self.name} cannot be read", code="archive-damaged"
                ) from exc
            await send.send(outcome)

    async def _run(self, folder: Folder, request: RequestEnvelope, send: Send) -> Outcome:
        if request.operation is Operation.STORE:
            async for instance in cast("AsyncIterator[Instance]", request.body):
                await send.send(await self._store(folder, instance))
            return Outcome()
        query = request.query
        assert query is not None, f"{request.operation} without a query"
        match request.operation:
            case Operation.FIND:
                return await self._find(folder, query, request.origin.called, send)
            case Operation.GET:
                return await self._get(folder, query, send)
        raise RequestError(f"backend {self.name} cannot {request.operation}", http_status=501)

    # FIND

    async def _find(self, folder: Folder, query: Query, called: str | None, send: Send) -> Outcome:
        most = self._options.max_results
        if query.limit is not None and query.limit > most:
            raise RequestError(
                f"limit {query.limit} is more than backend {self.name} allows",
                code="limit-too-large",
                hint=f"ask for at most {most} and go on with `offset`",
            )
        found = search(query, called)
        if query.limit is None and await self._rows(folder, *found.more_than(query.offset + most)):
            raise RequestError(
                f"there are more than {most} matches",
                code="too-many-results",
                http_status=413,
                hint="narrow the query, page through it with `limit` and `offset`, or raise "
                f"`max_results` of backend {self.name}",
            )
        left = most if query.limit is None else query.limit
        after, skip = 0, query.offset
        while True:
            rows = await self._rows(folder, *found.page(after, min(left, PAGE) + 1, skip))
            page = rows[: min(left, PAGE)]
            for row in page:
                await send.send(found.match(row))
            left -= len(page)
            if len(rows) == len(page):
                return Outcome()
            if not left:
                return Outcome(completion=Completion.LIMITED)
            after, skip = cast(int, page[-1][0]), 0

    # GET

    async def _get(self, folder: Folder, query: Query, send: Send) -> Outcome:
        # Of all only the row ids, and of one page where the files lie: a study may be large.
        wanted = [cast(int, row[0]) for row in await self._rows(folder, *retrieval(query))]
        if not wanted:
            raise RequestError(
                f"archive {self.name} has no instance of this {query.level.lower()}",
                code="not-found",
                http_status=404,
            )
        await send.send(Progress(counters=SubOperations(remaining=len(wanted))))
        for start in range(0, len(wanted), PAGE):
            for filed in await self._filed(folder, wanted[start : start + PAGE]):
                await send.send(self._instance(folder, filed))
        done = SubOperations(remaining=0, completed=len(wanted), failed=0, warning=0)
        return Outcome(counters=done)

    async def _filed(self, folder: Folder, ids: Sequence[int]) -> list[Filed]:
        """Where these instances lie, in this order; all of them, and whole.

        Raises:
            UpstreamError: one is not there as the index says.
        """
        marks = ", ".join("?" * len(ids))
        rows = await self._rows(
            folder,
            f"SELECT id, {filed_columns()} FROM instance WHERE id IN ({marks})",
            tuple(ids),
        )
        places = {row[0]: as_filed(row[1:]) for row in rows}
        found = [places[each] for each in ids if each in places]

        def lost() -> str | None:
            for each in found:
                try:
                    if not folder.objects.is_whole(each.file, each.file_bytes):
                        return each.file
                except OSError:
                    return each.file
            return None

        if (file := await self._blocking(lost)) is not None:
            raise damaged(file, self.name)
        if len(found) != len(ids):
            raise self._failed(
                "an instance was replaced while it was retrieved", code="instance-replaced"
            )
        return found

    def _instance(self, folder: Folder, filed: Filed) -> Instance:
        return Instance(
            sop_class_uid=filed.sop_class_uid,
            sop_instance_uid=filed.sop_instance_uid,
            transfer_syntax=filed.transfer_syntax,
            data=FileData(folder.objects.path(filed.file), filed, self._threads, archive=self.name),
            repeatable=True,
            size=filed.size,
        )

    # STORE

    async def _store(self, folder: Folder, instance: Instance) -> Stored:
        try:
            status = await self._receive(folder, instance)
        except Refused as exc:
            status = exc.status
        except SyncFailed as exc:
            status = self._break(folder, "what was written may not be durable", exc)
        except DiskFailed as exc:
            status = self._break(folder, "the disk failed", exc)
        except CommitFailed:
            status = OUT_OF_RESOURCES
        return Stored(
            sop_class_uid=instance.sop_class_uid,
            sop_instance_uid=instance.sop_instance_uid,
            status=status,
        )

    async def _receive(self, folder: Folder, instance: Instance) -> int:
        arrival = folder.arrival(
            sop_class_uid=instance.sop_class_uid,
            sop_instance_uid=instance.sop_instance_uid,
            transfer_syntax=instance.transfer_syntax,
            max_bytes=self._options.max_object_bytes,
            reserve_bytes=self._options.reserve_free_bytes,
        )
        try:
            entry = await self._written(arrival, instance)
        except BaseException:
            with trio.CancelScope(shield=True):  # a few calls to the disk
                await self._blocking(arrival.discard)
            raise
        try:
            decision = await self._commits.commit(entry)
        except NotCommitted:
            with trio.CancelScope(shield=True):
                await self._blocking(lambda: folder.discard([entry]))
            raise
        return STATUSES[decision.verdict]

    async def _written(self, arrival: Arrival, instance: Instance) -> Entry:
        chunks: list[bytes] = []
        size = 0
        async for chunk in instance.data:
            chunks.append(chunk)
            size += len(chunk)
            if size >= _WRITE_BYTES:
                await self._blocking(functools.partial(arrival.write, chunks))
                chunks, size = [], 0

        def last() -> Entry:
            arrival.write(chunks)
            return arrival.finish()

        return await self._blocking(last)

    async def _commit(self, entries: Sequence[Entry]) -> Sequence[Decision]:
        folder = self._folder
        assert folder is not None, "a commit after the archive was closed"
        try:
            return await self._blocking(lambda: folder.commit(entries, self._options.on_conflict))
        # In both cases before the next ones have their turn.
        except SyncFailed as exc:
            self._break(folder, "what was written may not be durable", exc)
            raise
        except CommitFailed as exc:
            self._break(folder, "the index failed to commit", exc)
            raise

    def _break(self, folder: Folder, why: str, exc: Exception) -> int:
        """Take nothing from now on: what the disk does is not known any more."""
        if folder.broken is None:
            folder.broken = f"{why}; restart Harmony once the disk is in order"
            cause = exc.__cause__ or exc  # the disk's own word for it
            _logger.error(
                "archive.closed", backend=self.name, reason=why, error=type(cause).__name__
            )
        return OUT_OF_RESOURCES

    # Threads

    async def _rows(self, folder: Folder, sql: str, values: tuple[object, ...]) -> list[Row]:
        """Read the index; a caller that goes away ends even a long search."""

        def read() -> list[Row]:
            try:
                with folder.index.reading(trio.from_thread.check_cancelled) as db:
                    return db.execute(sql, values).fetchall()
            except sqlite3.OperationalError:
                trio.from_thread.check_cancelled()
                raise

        return await self._blocking(read)

    async def _blocking(self, work: Callable[[], T]) -> T:
        return await trio.to_thread.run_sync(work, limiter=self._threads)

    # Failures

    def _failed(self, detail: str, *, code: str) -> UpstreamError:
        return UpstreamError(detail, code=code, backend=self.name)

    def _tell(self, folder: Folder) -> None:
        found = folder.recovery
        if found.unfinished:
            _logger.info("archive.cleared", backend=self.name, count=found.unfinished)
        for event, files in (
            ("archive.file_missing", found.missing),
            ("archive.file_unclaimed", found.unclaimed),
        ):
            for file in files[:_MOST_TOLD]:
                _logger.warning(event, backend=self.name, file=file, count=len(files))
