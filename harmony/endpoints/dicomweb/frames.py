"""WADO-RS: frames and bulk data. PS3.18 10.4.1.1.5 and 10.4.1.1.6."""

from __future__ import annotations

import contextlib
import itertools
import mmap
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import TypeVar

import trio

from harmony.cache import Kept
from harmony.dicom.bulk import bulk_value
from harmony.dicom.elements import Malformed
from harmony.dicom.multipart import MultipartWriter
from harmony.dicom.pixels import PixelIndex
from harmony.dicom.scan import opened
from harmony.dicom.uids import EXPLICIT_LITTLE_ENDIAN
from harmony.dicom.web_resources import Resource
from harmony.endpoints.accounts import Account, Send, start
from harmony.endpoints.dicomweb.asking import OCTETS, Asking, accepted, no_syntax
from harmony.endpoints.dicomweb.metadata import damaged, nothing
from harmony.rendering import decodes
from harmony.web.accept import Accept, Choice, Offer
from harmony.web.exchange import Reply, Request

_PIECE_BYTES = 256 * 1024

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class _Parts:
    """Values to be given.

    Attributes:
        kind: the media type of each.
        syntax: its transfer syntax; None for what has none.
        multipart: whether they are parts, or the one is the body.
        chunks: of each, its bytes in pieces; each is read before the next is asked for.
        count: how many there are.
        at_hand: the bytes are in memory, and nothing is to be made of them.
        limiter: of the threads that make a piece; None for as many as there are.
    """

    kind: str
    syntax: str | None
    multipart: bool
    chunks: Iterator[Iterator[bytes]]
    count: int = 1
    at_hand: bool = False
    limiter: trio.CapacityLimiter | None = None

    async def next_of(self, iterator: Iterator[_T]) -> _T | None:
        """What comes next, None at the end; in a thread, unless it is at hand."""
        if self.at_hand:
            return next(iterator, None)
        return await trio.to_thread.run_sync(next, iterator, None, limiter=self.limiter)

    @property
    def content_type(self) -> str:
        return self.kind if self.syntax is None else f"{self.kind}; transfer-syntax={self.syntax}"


@contextlib.asynccontextmanager
async def the_instance(
    asking: Asking, request: Request, resource: Resource, account: Account
) -> AsyncIterator[Kept]:
    """The one instance that a path names, whole.

    Raises:
        RequestError: 404, there is none.
        HarmonyError, StreamBroken: it could not be had.
    """
    async with asking.retrieves.retrieve(asking.retrieve(request, resource)) as retrieved:
        there = await retrieved.wait()
        account.backend = retrieved.backend
        if not there:
            raise nothing(retrieved.outcome.completion, retrieved.outcome.status)
        kept = await anext(retrieved)
        account.items = 1
        yield kept


@contextlib.contextmanager
def readable(kept: Kept) -> Iterator[bytes | mmap.mmap]:
    """The data set of an instance; what is damaged about it is the PACS's fault.

    Raises:
        UpstreamError
    """
    try:
        with kept.view() as data:
            yield data
    except Malformed as exc:
        raise damaged(str(exc)) from None


async def give_frames(
    asking: Asking, request: Request, reply: Reply, resource: Resource, account: Account
) -> None:
    """Give frames of an instance.

    Raises:
        RequestError: 404, there is no such frame; 406.
        HarmonyError, StreamBroken, ClientGone
    """
    accept = accepted(request)
    async with the_instance(asking, request, resource, account) as kept:
        with readable(kept) as data:
            index = PixelIndex.of(data, kept.transfer_syntax)
            parts = _frames(index, data, resource.frames, accept, asking.decoding)
            await _give(parts, reply, account)


async def give_bulk(
    asking: Asking, request: Request, reply: Reply, resource: Resource, account: Account
) -> None:
    """Give the bulk data that a BulkDataURI of ours names.

    Raises:
        RequestError: 404, there is no such value; 406.
        HarmonyError, StreamBroken, ClientGone
    """
    accept = accepted(request)
    async with the_instance(asking, request, resource, account) as kept:
        with readable(kept) as data:
            value = bulk_value(data, kept.transfer_syntax, resource.bulk)
            if value.is_encapsulated and len(resource.bulk) == 1:
                index = PixelIndex.of(data, kept.transfer_syntax)
                numbers = tuple(range(1, index.number_of_frames + 1))
                parts = _frames(index, data, numbers, accept, asking.decoding)
            else:
                offers = [
                    Offer(kind, multipart=multipart)
                    for kind in dict.fromkeys((value.media_type, OCTETS))
                    for multipart in (True, False)
                ]
                offer = accept.choose(offers).offer
                chunks = iter([value.place.chunks(data)])
                at_hand = isinstance(data, bytes)
                parts = _Parts(offer.media_type, None, offer.multipart, chunks, at_hand=at_hand)
            await _give(parts, reply, account)


def _frames(
    index: PixelIndex,
    data: bytes | mmap.mmap,
    numbers: tuple[int, ...],
    accept: Accept,
    decoding: trio.CapacityLimiter,
) -> _Parts:
    """Frames in a form that the client takes.

    Raises:
        RequestError: 404, 406.
    """
    kinds = dict.fromkeys((index.media_type, OCTETS))
    offers = [Offer(kind, multipart=True) for kind in kinds]
    if len(numbers) == 1:
        offers += [Offer(kind) for kind in kinds]
    choice = accept.choose(offers)
    syntax = _syntax_of_frames(choice, index.frame_syntax)
    places = [index.place(number) for number in numbers]
    inflated, _ = opened(data, index.transfer_syntax)
    frames = (place.chunks_of(inflated) for place in places)
    kind, multipart = choice.offer.media_type, choice.offer.multipart
    if syntax == index.frame_syntax:
        at_hand = isinstance(data, bytes)
        return _Parts(kind, syntax, multipart, frames, len(numbers), at_hand=at_hand)
    made = (_decoded(index, each) for each in frames)
    return _Parts(kind, syntax, multipart, made, len(numbers), limiter=decoding)


def _syntax_of_frames(choice: Choice, stored: str) -> str:
    """The transfer syntax to give frames in. PS3.18 8.7.3.5.

    Octets, without more, are samples that are not compressed; a media type of their own is the
    stored form.

    Raises:
        RequestError: 406.
    """
    if choice.as_stored or stored in choice.syntaxes:
        return stored
    if not choice.syntaxes and choice.offer.media_type != OCTETS:
        return stored
    plain = not choice.syntaxes or EXPLICIT_LITTLE_ENDIAN in choice.syntaxes
    can_be = stored == EXPLICIT_LITTLE_ENDIAN or decodes(stored)
    if choice.offer.media_type == OCTETS and plain and can_be:
        return EXPLICIT_LITTLE_ENDIAN
    raise no_syntax()


def _decoded(index: PixelIndex, chunks: Iterator[bytes]) -> Iterator[bytes]:
    """The samples of a compressed frame; decoded when they are asked for."""
    from harmony.rendering.decoding import samples_of  # takes 40 MB for ever

    samples = memoryview(samples_of(index, b"".join(chunks)))
    for at in range(0, len(samples), _PIECE_BYTES):
        yield bytes(samples[at : at + _PIECE_BYTES])


async def _give(parts: _Parts, reply: Reply, account: Account) -> None:
    """The first piece is had before the head is out, so that what cannot be decoded is 502."""
    chunks = await parts.next_of(parts.chunks)
    assert chunks is not None, "nothing is asked for"
    if parts.at_hand and parts.count == 1:
        await _give_at_once(parts, b"".join(chunks), reply, account)
        return
    first = await parts.next_of(chunks)
    chunks = itertools.chain((first or b"",), chunks)
    send = account.counted(reply)
    if not parts.multipart:
        await start(reply, 200, parts.content_type)
        await _send_all(parts, chunks, send)
        await reply.finish()
        return
    writer = MultipartWriter()
    await start(reply, 200, writer.content_type(parts.kind))
    current: Iterator[bytes] | None = chunks
    while current is not None:
        await send(writer.begin((("Content-Type", parts.content_type),)))
        await _send_all(parts, current, send)
        current = await parts.next_of(parts.chunks)
    await send(writer.end())
    await reply.finish()


async def _give_at_once(parts: _Parts, value: bytes, reply: Reply, account: Account) -> None:
    """One value that is at hand, with its length."""
    if not parts.multipart:
        await account.whole(reply, 200, parts.content_type, value)
        return
    writer = MultipartWriter()
    head = writer.begin((("Content-Type", parts.content_type),))
    body = head + value + writer.end()
    await account.whole(reply, 200, writer.content_type(parts.kind), body)


async def _send_all(parts: _Parts, chunks: Iterator[bytes], send: Send) -> None:
    while (chunk := await parts.next_of(chunks)) is not None:
        await send(chunk)
