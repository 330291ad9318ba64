"""STORE at a DICOMweb server: STOW-RS, a request for each instance. PS3.18 10.5.

An instance counts as stored only if the server's response names it so, or is a 204, which has
none: a success with another body, or with one that cannot be read, is a failure.
"""

from __future__ import annotations

import dataclasses
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable
from typing import Final

from harmony.backends.dicomweb.refusals import refusal, undecodable
from harmony.backends.storing import Remembered
from harmony.dicom.answering import answer_to
from harmony.dicom.incoming import DICOM
from harmony.dicom.multipart import MultipartWriter
from harmony.dicom.part10 import file_head
from harmony.dicom.status import StatusKind, kind
from harmony.dicom.status_codes import COERCED, SUCCESS, UNABLE_TO_PROCESS
from harmony.dicom.store_response import NotAResponse, read
from harmony.envelope import Instance, Operation, Stored
from harmony.errors import UpstreamError
from harmony.web.client import Answer, HttpClient

_MAX_RESPONSE_BYTES = 1024 * 1024
_WITH_A_RESPONSE: Final = frozenset((200, 202, 409))
# What they say is about the instance, not about the server; 500 may be either, and the next
# instance will tell. PS3.18 table 10.5.3-1.
_OF_THE_INSTANCE: Final = frozenset((400, 409, 413, 415, 422, 500))
_NO_CONTENT = 204


class Storer:
    """Stores at one server. Shared by all requests."""

    def __init__(self, client: HttpClient) -> None:
        self._client = client

    async def store(
        self, body: AsyncIterator[Instance], report: Callable[[Stored], Awaitable[None]]
    ) -> None:
        """Store each instance and report what became of it.

        Raises:
            RequestError, UpstreamError, Unavailable: nothing is known of the instance under way,
                and those after it were not sent.
        """
        async for instance in body:
            await report(
                Stored(
                    sop_class_uid=instance.sop_class_uid,
                    sop_instance_uid=instance.sop_instance_uid,
                    status=await self._store(instance),
                )
            )

    async def _store(self, instance: Instance) -> int:
        data = instance.data
        if not instance.repeatable:
            data = Remembered(data)
            instance = dataclasses.replace(instance, data=data)
        try:
            return await self._send(instance)
        except UpstreamError as exc:
            # A kept connection may have died meanwhile; a second store does no harm.
            whole = instance.repeatable or (isinstance(data, Remembered) and data.is_whole)
            if exc.code != "connection-lost" or not whole:
                raise
            return await self._send(instance)

    async def _send(self, instance: Instance) -> int:
        framed = _Framed(instance)
        headers = (("accept", "application/dicom+json"), ("content-type", framed.content_type))
        async with self._client.ask(
            "POST", "/studies", headers=headers, body=framed, length=framed.length
        ) as answer:
            return await self._status(answer, instance.sop_instance_uid)

    async def _status(self, answer: Answer, sop_instance_uid: str) -> int:
        """The DIMSE status that the answer means."""
        if answer.status == _NO_CONTENT:
            return SUCCESS
        if answer.status in _WITH_A_RESPONSE:
            body = await answer.whole(_MAX_RESPONSE_BYTES)
            try:
                named = read(body, answer.get("content-type"))
            except NotAResponse as exc:
                return self._unproven(answer, str(exc))
            told = named.get(sop_instance_uid)
            if told is None and list(named.values()) == [SUCCESS] and answer.status != 409:
                return COERCED  # it is there, by another name than the head of the file has
            if told is None:
                return self._unproven(answer, "it does not name the instance")
            if answer.status == 409 and kind(told) is not StatusKind.FAILURE:
                return UNABLE_TO_PROCESS  # none was stored, that says
            return told
        if answer.status in _OF_THE_INSTANCE:
            return answer_to(answer.status, Operation.STORE)
        raise refusal(self._client.peer, answer, "the store")

    def _unproven(self, answer: Answer, why: str) -> int:
        if answer.status in _OF_THE_INSTANCE:
            return answer_to(answer.status, Operation.STORE)
        why = f"does not say that it has it: {why}"
        raise undecodable(self._client.peer, "the store", why)


class _Framed:
    """One instance as a multipart body of one PS3.10 file; each iteration begins anew.

    Attributes:
        length: bytes of the body, if the size of the instance is known.
    """

    def __init__(self, instance: Instance) -> None:
        writer = MultipartWriter()
        self.content_type = writer.content_type(DICOM)
        self._lead = writer.begin([("Content-Type", DICOM)]) + file_head(
            sop_class_uid=instance.sop_class_uid,
            sop_instance_uid=instance.sop_instance_uid,
            transfer_syntax=instance.transfer_syntax,
        )
        self._end = writer.end()
        self._data: AsyncIterable[bytes] = instance.data
        size = instance.size
        self.length = None if size is None else len(self._lead) + size + len(self._end)

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield self._lead
        async for chunk in self._data:
            yield chunk
        yield self._end
