"""FIND at a DICOMweb server: QIDO-RS. PS3.18 10.6.

Rows go on as they come. What ends early, is cut, or is something else than rows is a failure,
whatever the status says: a page to log in on is not an empty result.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import TypeAlias

from harmony.backends.dicomweb.refusals import refusal, undecodable
from harmony.backends.results import check_limit, too_many
from harmony.dicom import strict_json
from harmony.dicom.from_json import NotDicomJson
from harmony.dicom.identifier import MAX_BYTES
from harmony.dicom.json_array import ArraySplitter, NotAnArray
from harmony.dicom.multipart import bare_type
from harmony.dicom.qido import PATIENT_IDENTITY, SearchRequest, match_of, search_request
from harmony.dicom.query import PATIENT_ID, STUDY_INSTANCE_UID
from harmony.dicom.uids import is_uid
from harmony.envelope import Completion, Key, Level, Match, Outcome, Query, Root
from harmony.errors import RequestError, UpstreamError
from harmony.web.client import Answer, HttpClient

Give: TypeAlias = Callable[[Match], Awaitable[None]]
Row: TypeAlias = Mapping[str, object]
Take: TypeAlias = Callable[[Row], Awaitable[bool]]  # whether to go on

_ACCEPT = (("accept", "application/dicom+json"),)
_KINDS = frozenset(("application/dicom+json", "application/json"))


class _Counted:
    """Which rows are wanted, and how many there were.

    Attributes:
        is_full: there is a row more than was asked for.
    """

    def __init__(self, query: Query, backend: str, most: int) -> None:
        self._query = query
        self._backend = backend
        self._most = most
        by_patient = query.level is Level.PATIENT
        self._patients: set[tuple[str, ...]] | None = set() if by_patient else None
        self._rows = 0
        self._given = 0
        self.is_full = False

    def judge(self, row: Row) -> bool:
        """Whether to give it: not beyond the limit, and of patients each once.

        Raises:
            RequestError: there are too many.
        """
        query = self._query
        self._rows += 1
        if self._rows > self._most and (query.limit is None or self._patients is not None):
            raise too_many(self._backend, self._most)
        if self._patients is not None:
            patient = tuple(str(row.get(f"{tag:08X}")) for tag in PATIENT_IDENTITY)
            if patient in self._patients:
                return False
            self._patients.add(patient)
            if len(self._patients) <= query.offset:
                return False
        self.is_full = self._given == query.limit
        self._given += not self.is_full
        return not self.is_full


class Searcher:
    """Searches at one server. Shared by all requests.

    Args:
        max_results: more than so many matches are never given, nor looked through.
    """

    def __init__(self, client: HttpClient, max_results: int) -> None:
        self._client = client
        self._most = max_results

    async def find(self, query: Query, give: Give) -> Outcome:
        """Give each match as it comes.

        Raises:
            RequestError: the query asks for too much, or has too many matches.
            UpstreamError, Unavailable
        """
        backend = self._client.peer.backend
        check_limit(query, backend, self._most)
        request = search_request(query)
        patients = query.level is Level.PATIENT
        counted = _Counted(query, backend, self._most)

        async def take(row: Row) -> bool:
            if counted.judge(row):
                await give(self._match(row, request, query.level))
            return not counted.is_full

        await self._each_row(
            request,
            limit=None if patients else query.limit,
            offset=0 if patients else query.offset,
            take=take,
        )
        return Outcome(completion=Completion.LIMITED if counted.is_full else Completion.COMPLETE)

    async def studies_of(self, patient_id: str) -> tuple[str, ...]:
        """The UIDs of a patient's studies.

        Raises:
            RequestError: there are more than are looked through.
            UpstreamError, Unavailable
        """
        keys = (Key(PATIENT_ID, (patient_id,)), Key(STUDY_INSTANCE_UID))
        query = Query(level=Level.STUDY, root=Root.STUDY, keys=keys)
        request = search_request(query)
        counted = _Counted(query, self._client.peer.backend, self._most)
        found: list[str] = []

        async def take(row: Row) -> bool:
            counted.judge(row)
            found.append(self._uid_of(row))
            return True

        await self._each_row(request, limit=None, offset=0, take=take)
        return tuple(dict.fromkeys(found))

    async def check(self) -> None:
        """See that there is such a service: ask for one study.

        Raises:
            UpstreamError, Unavailable: there is none, or it does not answer properly.
        """
        keys = (Key(STUDY_INSTANCE_UID),)
        query = Query(level=Level.STUDY, root=Root.STUDY, keys=keys, limit=1)

        async def drop(match: Match) -> None:
            return

        await self.find(query, drop)

    def _uid_of(self, row: Row) -> str:
        attribute = row.get(f"{STUDY_INSTANCE_UID:08X}")
        values = attribute.get("Value") if isinstance(attribute, dict) else None
        uid = values[0] if isinstance(values, list) and values else None
        if not isinstance(uid, str) or not is_uid(uid):
            raise self._undecodable("a study has no UID")
        return uid

    async def _each_row(
        self, request: SearchRequest, *, limit: int | None, offset: int, take: Take
    ) -> None:
        """The rows of all pages, and one more than `limit` if there are more.

        A server may give fewer at a time than it was asked for, and then says that there are
        more. PS3.18 8.3.4.4.
        """
        peer = self._client.peer
        rows = 0
        while True:
            wanted = None if limit is None else limit + 1 - rows
            page = request.page(limit=wanted, offset=offset + rows)
            async with self._client.ask("GET", page, headers=_ACCEPT) as answer:
                taken, go_on = await self._take_all(answer, take)
                more = _says_that_there_are_more(answer)
            rows += taken
            if not go_on or not more or (limit is not None and rows > limit):
                return
            if not taken:
                raise peer.failure(
                    f"{peer} says that there are more matches, and gives none",
                    code="contradiction",
                )

    async def _take_all(self, answer: Answer, take: Take) -> tuple[int, bool]:
        """How many rows were there, and whether to go on."""
        if answer.status == 204:
            return 0, True
        if answer.status != 200:
            raise refusal(self._client.peer, answer, "the search")
        if bare_type(answer.get("content-type")) not in _KINDS:
            raise self._undecodable("it is no DICOM JSON")
        splitter = ArraySplitter(max_object_bytes=MAX_BYTES)
        taken = 0
        try:
            async for piece in answer:
                for text in splitter.feed(piece):
                    taken += 1
                    if not await take(self._row(text)):
                        return taken, False
            splitter.close()
        except NotAnArray as exc:
            raise self._undecodable(str(exc)) from None
        return taken, True

    def _row(self, text: bytes) -> Row:
        try:
            row = strict_json.loads(text)
        except RequestError:
            raise self._undecodable("a match is no proper JSON") from None
        assert isinstance(row, dict), "the splitter gives objects"
        return row

    def _match(self, row: Row, request: SearchRequest, level: Level) -> Match:
        try:
            return match_of(row, request, level)
        except NotDicomJson as exc:
            raise self._undecodable(f"of a match, {exc}") from None

    def _undecodable(self, why: str) -> UpstreamError:
        return undecodable(self._client.peer, "the search", f"cannot be read: {why}")


def _says_that_there_are_more(answer: Answer) -> bool:
    """PS3.18 8.3.4.4; the text is that of the standard."""
    return any(
        name == "warning" and value.startswith("299") and "additional results" in value
        for name, value in answer.headers
    )
