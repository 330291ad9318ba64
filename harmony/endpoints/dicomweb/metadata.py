"""WADO-RS: instances without their bulk data, as DICOM JSON or XML. PS3.18 10.4.1.1.2."""

from __future__ import annotations

from collections.abc import Callable

import trio

from harmony.cache import Kept
from harmony.dicom.bulk import path_text
from harmony.dicom.dicomjson import Path, metadata_to_json
from harmony.dicom.elements import Malformed
from harmony.dicom.web_resources import Resource
from harmony.endpoints.accounts import Account, start
from harmony.endpoints.answers import PartMissing
from harmony.endpoints.dicomweb.asking import (
    DICOM_JSON,
    DICOM_XML,
    JSON,
    Asking,
    accepted,
    location,
)
from harmony.endpoints.dicomweb.searching import xml_parts
from harmony.endpoints.matches import array
from harmony.envelope import Completion
from harmony.errors import RequestError, UpstreamError
from harmony.web.accept import Offer
from harmony.web.exchange import Reply, Request

_OFFERS = (Offer(DICOM_JSON), Offer(JSON), Offer(DICOM_XML, multipart=True))


async def give_metadata(
    asking: Asking, request: Request, reply: Reply, resource: Resource, account: Account
) -> None:
    """Give the metadata of a study, series or instance, one instance after the other.

    Raises:
        RequestError: 404, there is nothing of it; 406.
        HarmonyError, StreamBroken, ClientGone
    """
    offer = accepted(request).choose(_OFFERS).offer
    form = xml_parts() if offer.multipart else array(offer.media_type)
    envelope = asking.retrieve(request, resource, without_bulk=True)
    async with asking.retrieves.retrieve(envelope) as retrieved:
        if not await retrieved.wait():
            account.backend = retrieved.backend
            raise nothing(retrieved.outcome.completion, retrieved.outcome.status)
        account.backend = retrieved.backend
        send = account.counted(reply)
        status = 200
        async for kept in retrieved:
            row = await trio.to_thread.run_sync(_row, kept, resource, form.row)
            if not account.items:
                if retrieved.has_ended and retrieved.outcome.completion is Completion.PARTIAL:
                    status = 206
                await start(reply, status, form.kind)
            await send((form.between if account.items else form.first) + row)
            account.items += 1
        if retrieved.outcome.completion is not Completion.COMPLETE and status != 206:
            raise PartMissing(retrieved.outcome)
        await send(form.last)
    await reply.finish()


def nothing(completion: Completion, status: int) -> RequestError | UpstreamError:
    """The error for a retrieve that gave no instance."""
    if completion is Completion.COMPLETE:
        return not_there()
    return UpstreamError("no instance of it could be given", dimse_status=status)


def not_there() -> RequestError:
    """The error for what the backend does not have."""
    return RequestError("there is no instance of it", code="not-found", http_status=404)


def damaged(why: str) -> UpstreamError:
    """The error for an instance that cannot be read; nothing of it is quoted."""
    return UpstreamError(f"an instance of the PACS is damaged: {why}", code="undecodable-answer")


def _row(kept: Kept, resource: Resource, row: Callable[[bytes], bytes]) -> bytes:
    """The metadata of one instance; blocks."""
    uids = (
        resource.study or kept.study_uid or None,
        resource.series or kept.series_uid or None,
        kept.sop_instance_uid,
    )
    where = location(resource, uids)

    def bulk_uri(path: Path) -> str:
        return f"{where}/bulk/{path_text(path)}"

    try:
        with kept.view() as data:
            found = metadata_to_json(
                data, kept.transfer_syntax, bulk_uri, without_bulk=kept.without_bulk
            )
            return row(found)
    except Malformed as exc:
        raise damaged(str(exc)) from None
