"""Bodies that stream: instances as multipart, progress as lines. `matches` has those of queries.

Each writer sends what is there in pieces of about 64 KiB and ends the body only after the
stream of items has told its outcome. Whatever goes wrong before leaves as an exception, and
then the body has no proper end.
"""

from __future__ import annotations

from harmony.dicom import strict_json
from harmony.dicom.multipart import MultipartWriter
from harmony.dicom.part10 import file_head
from harmony.dicom.status import hex_status
from harmony.endpoints.accounts import Send
from harmony.envelope import (
    Completion,
    Instance,
    Items,
    Outcome,
    Progress,
    Stored,
    StreamBroken,
    SubOperations,
)
from harmony.errors import RequestError, UpstreamError

PIECE_BYTES = 64 * 1024


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
    await write_instance(first, writer, send)
    count = 1
    async for item in items:
        if isinstance(item, Instance):
            await write_instance(item, writer, send)
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


async def write_instance(
    instance: Instance, writer: MultipartWriter, send: Send, *, location: str | None = None
) -> None:
    """One instance as a part, a PS3.10 file.

    Args:
        location: for ``Content-Location``; None for a file name.
    """
    kind = f"application/dicom; transfer-syntax={instance.transfer_syntax}"
    where = location or f"{instance.sop_instance_uid}.dcm"
    begin = writer.begin((("Content-Type", kind), ("Content-Location", where)))
    await write_file(instance, send, before=begin)


async def write_file(instance: Instance, send: Send, *, before: bytes = b"") -> None:
    """One instance as a PS3.10 file, as it arrives.

    Args:
        before: goes out with its beginning.
    """
    piece = bytearray(before)
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
