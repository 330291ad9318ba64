"""GET at a DICOMweb server: WADO-RS. PS3.18 10.4.

The level of the query is the level of the request. Each instance goes on while it comes. An
answer without its closing boundary, or with a part that is no DICOM, is a failure.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from typing import TypeAlias

import trio

from harmony.backends.dicomweb.refusals import refusal, undecodable
from harmony.backends.dicomweb.searching import Searcher
from harmony.dicom.incoming import Incoming, parser_for
from harmony.dicom.query import (
    PATIENT_ID,
    SERIES_INSTANCE_UID,
    SOP_INSTANCE_UID,
    STUDY_INSTANCE_UID,
)
from harmony.envelope import (
    ByteStream,
    Completion,
    Instance,
    Level,
    Outcome,
    Query,
)
from harmony.errors import RequestError
from harmony.web.client import Answer, HttpClient

Give: TypeAlias = Callable[[Instance], Awaitable[None]]

# As it is stored; and for servers that do not know the wildcard, as they like. PS3.18 8.7.3.5.2.
_ACCEPT = (
    'multipart/related; type="application/dicom"; transfer-syntax=*',
    'multipart/related; type="application/dicom"',
)
_MAX_PARTS = 1_000_000


class Retriever:
    """Retrieves from one server. Shared by all requests."""

    def __init__(self, client: HttpClient, searcher: Searcher, max_object_bytes: int) -> None:
        self._client = client
        self._searcher = searcher
        self._most = max_object_bytes

    async def retrieve(self, query: Query, give: Give) -> Outcome:
        """Give each instance while it comes; its data must be read before the next one.

        Raises:
            RequestError: 404, there is none; 400, a UID of a level above is missing.
            UpstreamError, Unavailable
        """
        given, partial = 0, False
        for path in await self._paths(query):
            answered = await self._one(path, query, give)
            given += answered.instances
            partial = partial or answered.partial
        if not given:
            raise RequestError(
                f"{self._client.peer} has no instance of this {query.level.lower()}",
                code="not-found",
                http_status=404,
            )
        return Outcome(completion=Completion.PARTIAL if partial else Completion.COMPLETE)

    async def _paths(self, query: Query) -> tuple[str, ...]:
        """One for each UID of the query's own level. PS3.18 table 10.4.1-1."""
        keys = {key.tag: key.values for key in query.keys}
        if query.level is Level.PATIENT:
            studies = await self._searcher.studies_of(*keys[PATIENT_ID])
            return tuple(f"/studies/{uid}" for uid in studies)
        if query.level is Level.STUDY:
            return tuple(f"/studies/{uid}" for uid in keys[STUDY_INSTANCE_UID])
        study = f"/studies/{_above(keys.get(STUDY_INSTANCE_UID), query.level, 'Study')}"
        if query.level is Level.SERIES:
            return tuple(f"{study}/series/{uid}" for uid in keys[SERIES_INSTANCE_UID])
        series = f"{study}/series/{_above(keys.get(SERIES_INSTANCE_UID), query.level, 'Series')}"
        return tuple(f"{series}/instances/{uid}" for uid in keys[SOP_INSTANCE_UID])

    async def _one(self, path: str, query: Query, give: Give) -> _Answered:
        for accept in _ACCEPT:
            async with self._client.ask("GET", path, headers=(("accept", accept),)) as answer:
                if answer.status == 406 and accept is not _ACCEPT[-1]:
                    continue
                if answer.status in (404, 410):
                    break
                if answer.status == 204:
                    return _Answered()
                if answer.status not in (200, 206):
                    raise refusal(self._client.peer, answer, "the retrieve")
                given = await self._give_all(answer, query, give)
                return _Answered(given, partial=answer.status == 206)
        # Either it has nothing of that, or there is no such service: it tells if it is asked.
        await self._searcher.check()
        return _Answered()

    async def _give_all(self, answer: Answer, query: Query, give: Give) -> int:
        wanted = [key.values for key in query.keys if key.tag == SOP_INSTANCE_UID]
        given = 0
        with self._blamed_on_the_server():
            parser = parser_for(answer.get("content-type"), max_parts=_MAX_PARTS)
            incoming = Incoming(aiter(answer), parser)
            async for instance in incoming:
                if wanted and instance.sop_instance_uid not in wanted[0]:
                    raise self._client.peer.failure(
                        f"{self._client.peer} gives another instance than was asked for",
                        code="contradiction",
                    )
                await self._pass_on(instance, give)
                given += 1
        return given

    async def _pass_on(self, instance: Instance, give: Give) -> None:
        """Hand it over, and then its data to whoever reads it."""
        send, receive = trio.open_memory_channel[bytes | None](0)
        size = 0
        with send:
            await give(dataclasses.replace(instance, data=ByteStream(receive)))
            async for chunk in instance.data:
                size += len(chunk)
                if size > self._most:
                    raise self._client.peer.failure(
                        f"{self._client.peer} gives an instance of more than {self._most} bytes",
                        code="object-too-large",
                        hint="raise `max_object_bytes` of this backend if that is meant",
                    )
                await send.send(chunk)
            await send.send(None)

    @contextlib.contextmanager
    def _blamed_on_the_server(self) -> Iterator[None]:
        """What in a request would be its sender's fault is here the server's."""
        try:
            yield
        except RequestError as exc:
            why = f"cannot be read: {exc.detail}"
            raise undecodable(self._client.peer, "the retrieve", why) from None


@dataclass(frozen=True, slots=True)
class _Answered:
    instances: int = 0
    partial: bool = False


def _above(values: tuple[str, ...] | None, level: Level, name: str) -> str:
    if not values:
        raise RequestError(
            f"a retrieve at level {level} from a DICOMweb server needs the {name} Instance UID",
            code="missing-uid",
        )
    return values[0]
