"""PS3.10 files out of a body, alone or in a multipart, as a stream of instances.

Bytes are pulled from the body, parts and files are found in them, and each data set is given on
as it comes. Nothing is collected: while the reader is slow, so is the sender.
"""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator, Callable
from typing import Protocol

from harmony.dicom.multipart import (
    End,
    Event,
    MultipartReader,
    PartBegin,
    PartData,
    bare_type,
    boundary_of,
    parameter_of,
)
from harmony.dicom.part10 import NotAFile, Part10Reader
from harmony.envelope import Instance
from harmony.errors import RequestError

DICOM = "application/dicom"
MULTIPART = "multipart/related"


class Parser(Protocol):
    """Finds parts in the pieces of a body."""

    def feed(self, data: bytes) -> list[Event]: ...
    def close(self) -> None: ...


class _OnePart:
    """A body that is one file, seen as a multipart body with one part."""

    def __init__(self) -> None:
        self._begun = False

    def feed(self, data: bytes) -> list[Event]:
        begin: list[Event] = [] if self._begun else [PartBegin(())]
        self._begun = True
        return [*begin, PartData(data)]

    def close(self) -> None:
        return


def parser_for(content_type: str | None, *, max_parts: int) -> Parser:
    """How to read a body of this type.

    Raises:
        RequestError: 415 for another type, 400 for a multipart type without boundary.
    """
    kind = bare_type(content_type)
    if kind == DICOM:
        return _OnePart()
    if kind == MULTIPART:
        assert content_type is not None
        parts = parameter_of(content_type, "type") or DICOM
        if parts.lower() == DICOM:
            return MultipartReader(boundary_of(content_type), max_parts=max_parts)
    raise RequestError(
        "this is no media type that can be stored",
        code="unsupported-media-type",
        http_status=415,
        hint=f'send {DICOM}, or {MULTIPART}; type="{DICOM}"',
    )


class Incoming:
    """The instances of a body, in order. One task reads it.

    An instance's data must be read before the next instance is asked for; what is left of it
    is passed over.

    Args:
        body: as it comes.
        parser: from `parser_for`.
        unreadable: is told of each part that is no PS3.10 file, which is passed over then; None
            to raise instead.

    Raises, while read:
        RequestError: a part is no PS3.10 file, or the body ends early.
    """

    def __init__(
        self,
        body: AsyncIterator[bytes],
        parser: Parser,
        *,
        unreadable: Callable[[NotAFile], None] | None = None,
    ) -> None:
        self._body = body
        self._parser = parser
        self._unreadable = unreadable
        self._events: deque[Event] = deque()
        self._exhausted = False
        self._in_part = False
        self._parts = 0

    def __aiter__(self) -> Incoming:
        return self

    async def __anext__(self) -> Instance:
        await self._pass_over()
        while (event := await self._event()) is not None:
            if not isinstance(event, PartBegin):
                continue
            self._in_part = True
            self._parts += 1
            try:
                return await self._instance()
            except NotAFile as exc:
                if self._unreadable is None:
                    raise
                self._unreadable(exc)
                await self._pass_over()
        raise StopAsyncIteration

    async def _pass_over(self) -> None:
        while self._in_part:
            await self._part_data()

    async def _instance(self) -> Instance:
        reader = Part10Reader()
        begun: list[bytes] = []
        while reader.meta is None:
            data = await self._part_data()
            if data is None:
                raise self._no_file("it ends within the file meta information")
            begun = reader.feed(data)
        meta = reader.meta
        return Instance(
            sop_class_uid=meta.sop_class_uid,
            sop_instance_uid=meta.sop_instance_uid,
            transfer_syntax=meta.transfer_syntax,
            data=_Data(self, reader, begun),
        )

    def _no_file(self, why: str) -> NotAFile:
        return NotAFile(
            f"part {self._parts} is not a DICOM file: {why}",
            hint="send PS3.10 files: preamble, DICM, file meta information, data set",
        )

    async def _part_data(self) -> bytes | None:
        """More bytes of the current part; None at its end."""
        if not self._in_part:
            return None
        event = await self._event()
        if isinstance(event, PartData):
            return event.data
        self._in_part = False
        return None

    async def _event(self) -> Event | None:
        """The next event; None after the last part."""
        while not self._events:
            if self._exhausted:
                return None
            try:
                self._events.extend(self._parser.feed(await anext(self._body)))
            except StopAsyncIteration:
                self._parser.close()
                self._exhausted = True
        event = self._events.popleft()
        return None if isinstance(event, End) else event


class _Data:
    """The data set of the current part."""

    def __init__(self, incoming: Incoming, reader: Part10Reader, begun: list[bytes]) -> None:
        self._incoming = incoming
        self._reader = reader
        self._begun = deque(begun)

    def __aiter__(self) -> _Data:
        return self

    async def __anext__(self) -> bytes:
        while not self._begun:
            data = await self._incoming._part_data()
            if data is None:
                raise StopAsyncIteration
            self._begun.extend(self._reader.feed(data))
        return self._begun.popleft()
