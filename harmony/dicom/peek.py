"""A few attributes from the beginning of an encoded data set, without reading the rest."""

from __future__ import annotations

import dataclasses
import struct
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Collection, Mapping
from typing import NamedTuple

from pydicom.valuerep import EXPLICIT_VR_LENGTH_16

from harmony.dicom.charsets import UNDECLARED, decoder_for
from harmony.dicom.elements import MAX_DEPTH, SYNTAXES, Syntax, vr_of
from harmony.dicom.uids import DEFLATED, EXPLICIT_LITTLE_ENDIAN, IMPLICIT_LITTLE_ENDIAN
from harmony.dicom.values import texts_of
from harmony.envelope import Instance

MAX_BYTES = 256 * 1024

_SHORT_VRS = frozenset(vr.value for vr in EXPLICIT_VR_LENGTH_16)
_CHARACTER_SET = 0x00080005
_UNDEFINED = 0xFFFFFFFF
_DELIMITERS = 0xFFFE
_ITEM, _ITEM_END, _SEQUENCE_END = 0xE000, 0xE00D, 0xE0DD


async def peek(instance: Instance, tags: Collection[int]) -> tuple[Mapping[int, str], Instance]:
    """Attributes of the top level as text, and an instance that begins at the start again.

    Reads until the last of `tags` is there or passed by, and at most 256 KiB and a chunk. What
    is missing, is neither text nor a whole number, or comes after damage is absent. Use the
    instance that is returned; the one given may have been read in part.

    Raises:
        Exception: whatever reading the instance's data raises.
    """
    head = Head(tags, instance.transfer_syntax)
    if head.done:
        return head.values, instance
    source = aiter(instance.data)
    if instance.repeatable:
        try:
            async for chunk in source:
                if head.feed(chunk):
                    break
        finally:
            if isinstance(source, AsyncGenerator):
                await source.aclose()  # now, not when the garbage collector finds it
        return head.values, instance
    taken: deque[bytes] = deque()
    async for chunk in source:
        taken.append(chunk)
        if head.feed(chunk):
            return head.values, dataclasses.replace(instance, data=Rejoined(taken, source))
    return head.values, dataclasses.replace(instance, data=Rejoined(taken, None))


class Rejoined:
    """Chunks that were read already, then the rest, if there is one. To be read once."""

    def __init__(self, taken: deque[bytes], rest: AsyncIterator[bytes] | None) -> None:
        self._taken = taken
        self._rest = rest

    def __aiter__(self) -> Rejoined:
        return self

    async def __anext__(self) -> bytes:
        if self._taken:
            return self._taken.popleft()
        if self._rest is None:
            raise StopAsyncIteration
        return await anext(self._rest)


class _Frame(NamedTuple):
    """Something open whose length is not told: a sequence, or an item or data set."""

    syntax: Syntax
    of_items: bool


class Head:
    """Finds attributes of the top level in a data set that comes in chunks.

    Keeps no more than the element that it is in the middle of.

    Attributes:
        values: what was found so far, by tag; several values are joined by backslashes.
        done: nothing more will be found: all of it is there, or the place where it would stand
            has passed, or the data set is deflated, damaged or longer than 256 KiB up to there.
    """

    def __init__(self, tags: Collection[int], transfer_syntax: str) -> None:
        self.values: dict[int, str] = {}
        self.done = not tags or transfer_syntax in DEFLATED
        self._tags = frozenset(tags)
        self._last = max(tags, default=0)
        # Encapsulated pixel data comes in explicit VR little endian. PS3.5 A.4.
        syntax = SYNTAXES.get(transfer_syntax, SYNTAXES[EXPLICIT_LITTLE_ENDIAN])
        self._frames = [_Frame(syntax, of_items=False)]
        self._decoder = UNDECLARED
        self._buffer = bytearray()
        self._skip = 0
        self._left = MAX_BYTES

    def feed(self, data: bytes) -> bool:
        """Take the next chunk; True once it is done."""
        if self.done:
            return True
        view = memoryview(data)[: self._left]
        self._left -= len(view)
        skipped = min(self._skip, len(view))
        self._skip -= skipped
        self._buffer += view[skipped:]
        self._scan()
        if not self._left:
            self.done = True
        if self.done:
            self._buffer.clear()
        return self.done

    def _scan(self) -> None:
        offset = 0
        while not self.done:
            after = self._step(offset)
            if after is None:
                break
            offset = after
        if offset > len(self._buffer):
            self._skip = offset - len(self._buffer)
        del self._buffer[:offset]

    def _step(self, offset: int) -> int | None:
        """Pass one element or delimiter; where the next begins. None: more bytes are needed."""
        if len(self._buffer) < offset + 8:
            return None
        syntax, of_items = self._frames[-1]
        group, number, length = struct.unpack_from(syntax.order + "HHL", self._buffer, offset)
        if group == _DELIMITERS:
            return self._delimiter(number, length, offset + 8)
        tag, start = group << 16 | number, offset + 8
        if of_items or (len(self._frames) == 1 and tag > self._last):
            return self._end()
        if not syntax.explicit:
            vr = vr_of(tag)
        else:
            vr = self._buffer[offset + 4 : offset + 6].decode("latin-1")
            if vr in _SHORT_VRS:
                (length,) = struct.unpack_from(syntax.order + "H", self._buffer, offset + 6)
            elif vr.isascii() and vr.isalpha() and vr.isupper():
                # PS3.5 7.1.2; by 6.2.2, so is a VR that is newer than this program.
                if len(self._buffer) < offset + 12:
                    return None
                (length,) = struct.unpack_from(syntax.order + "L", self._buffer, offset + 8)
                start += 4
            else:
                return self._end()
        if length == _UNDEFINED:
            inside = SYNTAXES[IMPLICIT_LITTLE_ENDIAN] if vr == "UN" else syntax
            return self._enter(_Frame(inside, of_items=True), start)
        stop: int = start + length
        if len(self._frames) == 1 and (tag in self._tags or tag == _CHARACTER_SET):
            if len(self._buffer) < stop:
                return None
            self._take(tag, vr, bytes(self._buffer[start:stop]))
        return stop

    def _delimiter(self, number: int, length: int, after: int) -> int:
        """PS3.5 7.5."""
        syntax, of_items = self._frames[-1]
        if number == _ITEM and of_items:
            if length == _UNDEFINED:
                return self._enter(_Frame(syntax, of_items=False), after)
            return after + length
        if number == (_SEQUENCE_END if of_items else _ITEM_END) and len(self._frames) > 1:
            self._frames.pop()
            return after
        return self._end()

    def _enter(self, frame: _Frame, start: int) -> int:
        if len(self._frames) > 2 * MAX_DEPTH:
            return self._end()
        self._frames.append(frame)
        return start

    def _end(self) -> int:
        self.done = True
        return 0

    def _take(self, tag: int, vr: str, raw: bytes) -> None:
        if tag == _CHARACTER_SET:
            self._decoder = decoder_for(raw)
        if tag in self._tags:
            order = self._frames[0].syntax.order
            values = texts_of(tag, vr, raw, order=order, decoder=self._decoder)
            if values is not None:
                self.values[tag] = "\\".join(values)
        self.done = tag == self._last
