"""QIDO-RS: studies, series and instances that match. PS3.18 10.6."""

from __future__ import annotations

from collections.abc import Mapping

from harmony.dicom.dicomjson import RetrieveUrl
from harmony.dicom.multipart import MultipartWriter
from harmony.dicom.native_xml import to_xml
from harmony.dicom.query import SERIES_INSTANCE_UID, SOP_INSTANCE_UID, STUDY_INSTANCE_UID
from harmony.dicom.web_query import parse_search
from harmony.dicom.web_resources import Resource
from harmony.endpoints.accounts import Account
from harmony.endpoints.dicomweb.asking import (
    DICOM_JSON,
    DICOM_XML,
    JSON,
    Asking,
    accepted,
    location,
)
from harmony.endpoints.matches import Form, Search, answer_search, array
from harmony.envelope import Level, Operation
from harmony.web.accept import Offer
from harmony.web.exchange import Reply, Request

_OFFERS = (Offer(DICOM_JSON), Offer(JSON), Offer(DICOM_XML, multipart=True))
_DEPTHS = {Level.STUDY: 1, Level.SERIES: 2, Level.IMAGE: 3}


async def search(
    asking: Asking, request: Request, reply: Reply, resource: Resource, account: Account, empty: int
) -> None:
    """Answer a search.

    Args:
        empty: the status without any match, 200 or 204.

    Raises:
        RequestError: 400 for a parameter, 406 for a media type.
        HarmonyError, StreamBroken, ClientGone: as `answer_search`.
    """
    offer = accepted(request).choose(_OFFERS).offer
    wanted = parse_search(resource, request.query)
    envelope = asking.envelope(request, resource, Operation.FIND, query=wanted.query)
    await answer_search(
        Search(
            envelope=envelope,
            form=xml_parts() if offer.multipart else array(offer.media_type),
            empty=empty,
            retrieve_url=_retrieve_url(resource),
            notices=wanted.notices,
        ),
        asking.exchange,
        request,
        reply,
        account,
    )


def xml_parts() -> Form:
    """A part of XML for each row; without any there can be no multipart body. RFC 2046 5.1.1."""
    writer = MultipartWriter()
    headers = (("Content-Type", DICOM_XML),)
    return Form(
        kind=writer.content_type(DICOM_XML),
        first=writer.begin(headers),
        between=writer.begin(headers),
        last=writer.end(),
        empty=None,
        row=to_xml,
    )


def _retrieve_url(resource: Resource) -> RetrieveUrl:
    """References to what was found, by the UIDs of each match or, if it lacks them, of the path."""
    level = resource.level
    assert level is not None
    known = (
        (STUDY_INSTANCE_UID, resource.study),
        (SERIES_INSTANCE_UID, resource.series),
        (SOP_INSTANCE_UID, None),
    )[: _DEPTHS[level]]

    def url(uids: Mapping[int, str]) -> str | None:
        return location(resource, [uids.get(tag) or given for tag, given in known])

    return url
