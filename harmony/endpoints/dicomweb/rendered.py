"""WADO-RS: what a person looks at: pictures, and documents and videos as they are.

PS3.18 10.4.1.1.3 and 10.4.1.1.4.
"""

from __future__ import annotations

import mmap

import trio

from harmony.cache import Kept
from harmony.dicom.encapsulated_document import document_in
from harmony.dicom.multipart import MultipartWriter
from harmony.dicom.pixels import NoPixelData
from harmony.dicom.web_query import parameters
from harmony.dicom.web_resources import Kind, Resource
from harmony.endpoints.accounts import Account, start
from harmony.endpoints.answers import PartMissing
from harmony.endpoints.dicomweb.asking import Asking, accepted, location
from harmony.endpoints.dicomweb.frames import readable, the_instance
from harmony.endpoints.dicomweb.metadata import nothing
from harmony.endpoints.dicomweb.representative import representative
from harmony.envelope import Completion, Headers, Level
from harmony.errors import RequestError
from harmony.rendering import available
from harmony.rendering.wanted import parse
from harmony.web.accept import Accept, Offer
from harmony.web.exchange import Reply, Request

_PICTURES = (Offer("image/jpeg"), Offer("image/png"))
# The media type is the sender's: what it holds must do nothing in the page of a viewer.
_INERT: Headers = (("content-security-policy", "sandbox"),)


async def give_rendered(
    asking: Asking,
    request: Request,
    reply: Reply,
    resource: Resource,
    account: Account,
    *,
    accept: Accept | None = None,
) -> None:
    """Give an instance, or each of a series or study, in a form that needs no DICOM.

    A thumbnail of a series or study is that of one of its instances.

    Args:
        accept: what the client takes; None for what its request says.

    Raises:
        RequestError: 404, there is none; 406.
        HarmonyError, StreamBroken, ClientGone
    """
    accept = accept or accepted(request)
    if resource.level is not Level.IMAGE:
        if resource.kind is not Kind.THUMBNAIL:
            await _give_each(asking, request, reply, resource, account, accept)
            return
        accept.choose(_PICTURES)  # before anybody is asked
        resource = await representative(asking, request, resource)
    async with the_instance(asking, request, resource, account) as kept:
        with readable(kept) as data:
            document = await trio.to_thread.run_sync(document_in, data, kept.transfer_syntax)
            if document is None:
                await _give_picture(request, reply, resource, account, accept, kept, data)
                return
            accept.choose([Offer(document.media_type)])
            await start(reply, 200, document.media_type, _INERT)
            send = account.counted(reply)
            chunks = document.place.chunks(data)
            while (chunk := await trio.to_thread.run_sync(next, chunks, None)) is not None:
                await send(chunk)
            await reply.finish()


async def _give_picture(
    request: Request,
    reply: Reply,
    resource: Resource,
    account: Account,
    accept: Accept,
    kept: Kept,
    data: bytes | mmap.mmap,
) -> None:
    """Give a frame, the first one where none is named."""
    _check_available()
    if len(resource.frames) > 1:
        raise RequestError(
            "several frames cannot be rendered as one",
            code="bad-frame-list",
            hint="ask for them one by one",
        )
    from harmony.rendering.pictures import picture  # takes 40 MB for ever

    kind = accept.choose(_PICTURES).offer.media_type
    frame = resource.frames[0] if resource.frames else 1
    thumbnail = resource.kind is Kind.THUMBNAIL
    wanted = parse(parameters(request.query), frame=frame, thumbnail=thumbnail)
    body = await trio.to_thread.run_sync(picture, data, kept.transfer_syntax, wanted, kind)
    await account.whole(reply, 200, kind, body)


async def _give_each(
    asking: Asking,
    request: Request,
    reply: Reply,
    resource: Resource,
    account: Account,
    accept: Accept,
) -> None:
    """Give the first frame of each instance that has one, as parts, as they come."""
    _check_available()
    from harmony.rendering.pictures import picture  # takes 40 MB for ever

    kind = accept.choose([Offer(each.media_type, multipart=True) for each in _PICTURES])
    media_type = kind.offer.media_type
    wanted = parse(parameters(request.query), frame=1, thumbnail=False)
    writer = MultipartWriter()
    send = account.counted(reply)
    async with asking.retrieves.retrieve(asking.retrieve(request, resource)) as retrieved:
        async for kept in retrieved:
            account.backend = retrieved.backend
            with readable(kept) as data:
                try:
                    body = await trio.to_thread.run_sync(
                        picture, data, kept.transfer_syntax, wanted, media_type
                    )
                except NoPixelData:
                    continue
            if not account.items:
                await start(reply, 200, writer.content_type(media_type))
            account.items += 1
            where = location(resource, (resource.study, kept.series_uid, kept.sop_instance_uid))
            headers = [("Content-Type", media_type)]
            if where is not None:
                headers.append(("Content-Location", f"{where}/rendered"))
            await send(writer.begin(headers))
            await send(body)
        outcome = retrieved.outcome
    if not account.items:
        raise nothing(outcome.completion, outcome.status)
    if outcome.completion is not Completion.COMPLETE:
        raise PartMissing(outcome)
    await send(writer.end())
    await reply.finish()


def _check_available() -> None:
    if not available():
        raise RequestError(
            "images are not rendered here",
            code="not-rendered",
            http_status=501,
            hint="install harmony-proxy[render], or ask for its frames",
        )
