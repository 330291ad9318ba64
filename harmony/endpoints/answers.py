"""Bodies that stream: matches as JSON, instances as multipart, progress as lines.

Each writer sends what is there in pieces of about 64 KiB and ends the body only after the
stream of items has told its outcome. Whatever goes wrong before leaves as an exception, and
then the body has no proper end.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import TypeAlias

import trio

from harmony.dicom import strict_json
from harmony.dicom.dicomjson import matches_to_json
from harmony.dicom.multipart import MultipartWriter
from harmony.dicom.part10 import file_head
from harmony.dicom.status import hex_status
from harmony.envelope import (
    Completion,
    Instance,
    Items,
    Match,
    Outcome,
    Progress,
    Stored,
    StreamBroken,
    SubOperations,
)
from harmony.errors import RequestError, UpstreamError

Send: TypeAlias = Callable[[bytes], Awaitable[None]]

PIECE_BYTES = 64 * 1024
_BATCH = 64
_LINGER_SECONDS = 0.005  # rows come in swarms: a write for each would cost more than it gives
_SLICE_BYTES = 256 * 1024
_INLINE_BYTES = 32 * 1024  # a millisecond or two: less than what a thread's hops cost everybody

ADDITIONAL_RESULTS = '299 {host} "There are additional results that can be requested"'
KEYS_UNSUPPORTED = '299 {host} "Some of the keys were not supported by the PACS"'
SOURCE_FAILED = '299 {host} "backend {backend} gave no or not all answers"'


class MatchWriter:
    """Matches as one JSON array, or one object a line.

    Attributes:
        count: matches written.
        all_keys_supported: False once a match came with FF01. PS3.4 C.4.1.1.4.
    """

    def __init__(self, send: Send, *, lines: bool) -> None:
        self._send = send
        self._first, self._between, self._last = (
            (b"", b"\n", b"\n") if lines else (b"[", b",", b"]")
        )
        self._lines = lines
        self.count = 0
        self.all_keys_supported = True

    async def write(self, items: Items) -> Outcome:
        """Write all matches; returns how the query ended, and with that whether to call `end`."""
        while batch := await items.batch(_BATCH, linger=_LINGER_SECONDS):
            matches = [item for item in batch if isinstance(item, Match)]
            self.all_keys_supported &= all(match.all_keys_supported for match in matches)
            await self.write_rows(await encode(matches))
        return items.outcome

    async def end(self) -> None:
        """Write the end of the body: what was written is all there is."""
        if self.count:
            await self._send(self._last)
        elif not self._lines:
            await self._send(b"[]")

    async def write_rows(self, rows: list[bytes]) -> None:
        """Write matches that are encoded already."""
        piece = bytearray()
        for row in rows:
            piece += self._between if self.count else self._first
            piece += row
            self.count += 1
            if len(piece) >= PIECE_BYTES:
                await self._send(bytes(piece))
                piece.clear()
        if piece:
            await self._send(bytes(piece))


def joined(rows: Sequence[bytes], *, lines: bool) -> bytes:
    """All matches there are, as one body."""
    if lines:
        return b"".join([row + b"\n" for row in rows])
    return b"[" + b",".join(rows) + b"]"


async def encode(matches: list[Match]) -> list[bytes]:
    """Matches as JSON objects, in slices, so that a large answer can be cancelled in between."""
    rows: list[bytes] = []
    part: list[Match] = []
    size = 0
    for match in matches:
        part.append(match)
        size += len(match.identifier)
        if size > _SLICE_BYTES:
            rows += await trio.to_thread.run_sync(matches_to_json, part)
            part, size = [], 0
    if size > _INLINE_BYTES:
        return rows + await trio.to_thread.run_sync(matches_to_json, part)
    return rows + matches_to_json(part)


async def first_instance(items: Items) -> Instance:
    """Wait for an instance, passing over what is counted before it.

    Raises:
        RequestError: there is none.
        UpstreamError: none could be given.
    """
    async for item in items:
        if isinstance(item, Instance):
            return item
    if items.outcome.completion is Completion.COMPLETE:
        raise RequestError("there is no instance of it", code="not-found", http_status=404)
    raise UpstreamError("no instance of it could be given", dimse_status=items.outcome.status)


async def write_instances(
    first: Instance, items: Items, writer: MultipartWriter, send: Send
) -> int:
    """Each instance as a part, a PS3.10 file, as it arrives; returns how many there were.

    A retrieve of which a part failed raises `PartMissing` instead of ending the body.
    """
    await _write_instance(first, writer, send)
    count = 1
    async for item in items:
        if isinstance(item, Instance):
            await _write_instance(item, writer, send)
            count += 1
    if items.outcome.completion is not Completion.COMPLETE:
        raise PartMissing(items.outcome)
    await send(writer.end())
    return count


class PartMissing(StreamBroken):
    """Not all that was asked for came, and the answer has begun already."""

    def __init__(self, outcome: Outcome) -> None:
        super().__init__("a part of the answer is missing")
        self.outcome = outcome


async def _write_instance(instance: Instance, writer: MultipartWriter, send: Send) -> None:
    piece = bytearray(
        writer.begin(
            (
                (
                    "Content-Type",
                    f"application/dicom; transfer-syntax={instance.transfer_syntax}",
                ),
                ("Content-Location", f"{instance.sop_instance_uid}.dcm"),
            )
        )
    )
    piece += file_head(
        sop_class_uid=instance.sop_class_uid,
        sop_instance_uid=instance.sop_instance_uid,
        transfer_syntax=instance.transfer_syntax,
    )
    async for chunk in instance.data:
        piece += chunk
        if len(piece) >= PIECE_BYTES:
            await send(bytes(piece))
            piece.clear()
    if piece:
        await send(bytes(piece))


def move_answer(outcome: Outcome) -> bytes:
    """The counters of a finished C-MOVE. PS3.4 C.4.2.1.6 to C.4.2.1.9."""
    counters = outcome.counters or SubOperations()
    return strict_json.dumps(
        {
            "status": hex_status(outcome.status),
            **_counts(counters),
            "missing": list(outcome.missing),
        }
    )


async def write_progress(items: Items, send: Send) -> Outcome:
    """A line for each step of a C-MOVE, and one for its end."""
    async for item in items:
        assert isinstance(item, Progress)
        line = {"status": hex_status(0xFF00), **_counts(item.counters)}
        await send(strict_json.dumps(line) + b"\n")
    await send(move_answer(items.outcome) + b"\n")
    return items.outcome


def _counts(counters: SubOperations) -> dict[str, int | None]:
    return {
        "completed": counters.completed,
        "failed": counters.failed,
        "warning": counters.warning,
        "remaining": counters.remaining,
    }


def store_answer(results: list[Stored]) -> bytes:
    """What became of each instance, in the order they were sent."""
    return strict_json.dumps(
        {
            "instances": [
                {
                    "sop_class_uid": result.sop_class_uid,
                    "sop_instance_uid": result.sop_instance_uid,
                    "status": hex_status(result.status),
                    **_by_backend(result),
                }
                for result in results
            ]
        }
    )


def _by_backend(result: Stored) -> dict[str, dict[str, str]]:
    if not result.by_backend:
        return {}
    return {"by_backend": {name: hex_status(status) for name, status in result.by_backend}}
