"""WADO-RS: frames and bulk data, as they are stored. PS3.18 10.4.1.1.5 and 10.4.1.1.6."""

from __future__ import annotations

import contextlib
import mmap
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass

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
from harmony.web.accept import Accept, Offer
from harmony.web.exchange import Reply, Request


@dataclass(frozen=True, slots=True)
class _Parts:
    """Values to be given.

    Attributes:
        kind: the media type of each.
        syntax: its transfer syntax; None for what has none.
        multipart: whether they are parts, or the one is the body.
        chunks: of each, its bytes in pieces; each is read before the next is asked for.
    """

    kind: str
    syntax: str | None
    multipart: bool
    chunks: Iterator[Iterator[bytes]]

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
            parts = _frames(index, data, resource.frames, accept)
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
                parts = _frames(index, data, numbers, accept)
            else:
                offers = [
                    Offer(kind, multipart=multipart)
                    for kind in dict.fromkeys((value.media_type, OCTETS))
                    for multipart in (True, False)
                ]
                offer = accept.choose(offers).offer
                chunks = iter([value.place.chunks(data)])
                parts = _Parts(offer.media_type, None, offer.multipart, chunks)
            await _give(parts, reply, account)


def _frames(
    index: PixelIndex, data: bytes | mmap.mmap, numbers: tuple[int, ...], accept: Accept
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
    stored = index.frame_syntax
    takes_it = choice.as_stored or stored in choice.syntaxes
    if not takes_it:
        # Frames that are not compressed are asked for as octets without more. PS3.18 8.7.3.5.
        plain = stored == EXPLICIT_LITTLE_ENDIAN or choice.offer.media_type != OCTETS
        if choice.syntaxes or not plain:
            raise no_syntax()
    places = [index.place(number) for number in numbers]
    inflated, _ = opened(data, index.transfer_syntax)
    frames = (place.chunks_of(inflated) for place in places)
    return _Parts(choice.offer.media_type, stored, choice.offer.multipart, frames)


async def _give(parts: _Parts, reply: Reply, account: Account) -> None:
    chunks = await trio.to_thread.run_sync(next, parts.chunks)
    send = account.counted(reply)
    if not parts.multipart:
        await start(reply, 200, parts.content_type)
        await _send_all(chunks, send)
        await reply.finish()
        return
    writer = MultipartWriter()
    await start(reply, 200, writer.content_type(parts.kind))
    current: Iterator[bytes] | None = chunks
    while current is not None:
        await send(writer.begin((("Content-Type", parts.content_type),)))
        await _send_all(current, send)
        current = await trio.to_thread.run_sync(next, parts.chunks, None)
    await send(writer.end())
    await reply.finish()


async def _send_all(chunks: Iterator[bytes], send: Send) -> None:
    while (chunk := await trio.to_thread.run_sync(next, chunks, None)) is not None:
        await send(chunk)
