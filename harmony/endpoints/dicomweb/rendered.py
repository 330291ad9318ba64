"""WADO-RS: what a person looks at: documents and videos as they are. PS3.18 10.4.1.1.3."""

from __future__ import annotations

import trio

from harmony.dicom.encapsulated_document import document_in
from harmony.dicom.web_resources import Resource
from harmony.endpoints.accounts import Account, start
from harmony.endpoints.dicomweb.asking import Asking, accepted
from harmony.endpoints.dicomweb.frames import readable, the_instance
from harmony.envelope import Headers, Level
from harmony.errors import RequestError
from harmony.web.accept import Accept, Offer
from harmony.web.exchange import Reply, Request

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
    """Give an instance in a form that needs no DICOM.

    Args:
        accept: what the client takes; None for what its request says.

    Raises:
        RequestError: 404, there is none; 406.
        HarmonyError, StreamBroken, ClientGone
    """
    if resource.level is not Level.IMAGE:
        raise RequestError(
            "only instances are rendered here",
            code="not-rendered",
            http_status=501,
            hint="ask for /rendered of an instance",
        )
    accept = accept or accepted(request)
    async with the_instance(asking, request, resource, account) as kept:
        with readable(kept) as data:
            document = await trio.to_thread.run_sync(document_in, data, kept.transfer_syntax)
            if document is None:
                raise RequestError(
                    "images are not rendered here",
                    code="not-rendered",
                    http_status=501,
                    hint="ask for its frames",
                )
            accept.choose([Offer(document.media_type)])
            await start(reply, 200, document.media_type, _INERT)
            send = account.counted(reply)
            chunks = document.place.chunks(data)
            while (chunk := await trio.to_thread.run_sync(next, chunks, None)) is not None:
                await send(chunk)
            await reply.finish()
