"""STOW-RS: instances go on as they come, and the answer tells the fate of each. PS3.18 10.5."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass

from harmony.dicom.answering import dimse_status
from harmony.dicom.incoming import Incoming, Parser, parser_for
from harmony.dicom.native_xml import to_xml
from harmony.dicom.part10 import NotAFile
from harmony.dicom.peek import peek
from harmony.dicom.query import SERIES_INSTANCE_UID, STUDY_INSTANCE_UID
from harmony.dicom.status import store_http_status
from harmony.dicom.status_codes import DOES_NOT_MATCH, UNABLE_TO_PROCESS
from harmony.dicom.store_response import Fate, response
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
from harmony.envelope import Instance, Operation, Stored
from harmony.errors import RequestError, Unavailable, UpstreamError
from harmony.web.accept import Offer
from harmony.web.exchange import Reply, Request

_OFFERS = (Offer(DICOM_JSON), Offer(JSON), Offer(DICOM_XML))


async def store(
    asking: Asking,
    request: Request,
    reply: Reply,
    resource: Resource,
    account: Account,
    *,
    max_bytes: int,
    max_parts: int,
) -> None:
    """Store what the body holds.

    Args:
        max_bytes: of the body.
        max_parts: instances in it.

    Raises:
        RequestError: 400, 406, 413 or 415 before anything was stored, or if the body breaks off.
        UpstreamError, Unavailable: nothing was stored, and the backend failed as a whole.
    """
    offer = accepted(request).choose(_OFFERS).offer
    parser = parser_for(request.headers.get("content-type"), max_parts=max_parts)
    incoming = _Incoming(resource, request.stream(max_bytes), parser)
    envelope = asking.envelope(request, resource, Operation.STORE, body=incoming)
    try:
        async with asking.exchange(envelope) as answer:
            account.backend = answer.backend
            async for item in answer.items:
                assert isinstance(item, Stored)
                incoming.stored(item)
                account.items += 1
    except RequestError as exc:
        if account.items:
            exc.detail += f", after {account.items} instances were sent to the PACS"
        raise
    except (UpstreamError, Unavailable) as exc:
        if not account.items:
            raise
        await incoming.fail_the_rest(dimse_status(exc, Operation.STORE))
    fates = incoming.fates
    if not fates:
        raise RequestError(
            "the body holds no instance", code="empty-body", hint="send at least one file"
        )
    if not any(fate.sop_instance_uid for fate in fates):
        raise RequestError(
            "no part of the body is a DICOM file",
            code="unreadable-instance",
            hint="send PS3.10 files: preamble, DICM, file meta information, data set",
        )
    body = response(fates, study_url=incoming.study_url)
    status = store_http_status([fate.status for fate in fates])
    if offer.media_type == DICOM_XML:
        body = to_xml(body)
    await account.whole(reply, status, offer.media_type, body)


@dataclass(frozen=True, slots=True)
class _Named:
    """An instance that came; nothing is known of a part that is no file."""

    sop_class_uid: str | None = None
    sop_instance_uid: str | None = None
    url: str | None = None


class _Incoming:
    """The instances of a request, and what is known of the fate of each."""

    def __init__(self, resource: Resource, body: AsyncIterator[bytes], parser: Parser) -> None:
        self._resource = resource
        self._upload = Incoming(body, parser, unreadable=self._unreadable)
        self._came: list[_Named] = []
        self._statuses: list[int | None] = []  # of each; None until it is known
        self._waiting: dict[str, list[int]] = {}  # SOP instance UID -> places without a status
        self._studies: set[str | None] = set()

    def __aiter__(self) -> AsyncIterator[Instance]:
        return self

    async def __anext__(self) -> Instance:
        while True:
            instance = await anext(self._upload)
            found, instance = await peek(instance, (STUDY_INSTANCE_UID, SERIES_INSTANCE_UID))
            uid, study = instance.sop_instance_uid, found.get(STUDY_INSTANCE_UID)
            url = location(self._resource, (study, found.get(SERIES_INSTANCE_UID), uid))
            self._came.append(_Named(instance.sop_class_uid, uid, url))
            if self._resource.study in (None, study):
                self._studies.add(study)
                self._waiting.setdefault(uid, []).append(len(self._statuses))
                self._statuses.append(None)
                return instance
            self._statuses.append(DOES_NOT_MATCH)  # it is of another study. PS3.18 10.5.1.1

    @property
    def fates(self) -> list[Fate]:
        """Of all instances, in order. What nobody told the status of was not stored."""
        return [
            Fate(
                sop_class_uid=named.sop_class_uid,
                sop_instance_uid=named.sop_instance_uid,
                status=UNABLE_TO_PROCESS if status is None else status,
                url=named.url,
            )
            for named, status in zip(self._came, self._statuses, strict=True)
        ]

    @property
    def study_url(self) -> str | None:
        """Of the study that all instances are of; None if there are several."""
        if len(self._studies) != 1:
            return None
        return location(self._resource, (next(iter(self._studies)),))

    def stored(self, item: Stored) -> None:
        """A backend tells the status of one."""
        places = self._waiting.get(item.sop_instance_uid)
        if places:
            self._statuses[places.pop(0)] = item.status

    async def fail_the_rest(self, status: int) -> None:
        """Nothing more can be stored: what is under way and what is still to come has failed.

        Raises:
            RequestError: the body breaks off.
        """
        async for _ in self:
            pass
        self._statuses = [status if each is None else each for each in self._statuses]

    def _unreadable(self, error: NotAFile) -> None:
        """A part is no file, so nobody can say which instance it was to be."""
        self._came.append(_Named())
        self._statuses.append(UNABLE_TO_PROCESS)
