"""Retrieve without pixel data and other bulk, from a PACS that can do so. PS3.4 Z."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping, Sequence

from harmony.backends.retrieving import NO_CONTEXT, QUERIES, Counting, Give, nothing
from harmony.dicom.peek import Head
from harmony.dicom.query import SERIES_INSTANCE_UID, SOP_INSTANCE_UID, STUDY_INSTANCE_UID
from harmony.dicom.uids import is_uid
from harmony.dimse import contexts
from harmony.dimse.association import Association
from harmony.dimse.failures import contradiction
from harmony.dimse.pool import AssociationPool
from harmony.dimse.target import Target
from harmony.envelope import (
    Completion,
    Instance,
    Key,
    Level,
    Match,
    Outcome,
    Progress,
    Query,
    Root,
)
from harmony.errors import UpstreamError

_WITHOUT_BULK = "get without bulk"
_UIDS_AT_ONCE = 500


class Sparing:
    """Retrieves without bulk data from a PACS that can do so. PS3.4 Z. Shared by all requests.

    The service takes SOP Instance UIDs alone, so for a series or study they are asked for first.
    """

    def __init__(self, pool: AssociationPool, target: Target) -> None:
        self._pool = pool
        self._target = target
        self._refused = False

    async def retrieve(self, query: Query, give: Give) -> Outcome | None:
        """Give each instance without its bulk data; None if the PACS cannot, and none was given.

        Raises:
            RequestError: 404, there is none.
            NotAnswered, UpstreamError, Unavailable
        """
        if self._refused:
            return None

        async def give_marked(item: Match | Instance | Progress) -> None:
            if isinstance(item, Instance):
                item = dataclasses.replace(item, without_bulk=True)
            await give(item)

        given = Counting(give_marked)
        try:
            return await self._retrieve(await self._uids(query), given)
        except UpstreamError as exc:
            if exc.code != NO_CONTEXT or given.instances:
                raise
            self._refused = True
            return None

    async def _retrieve(self, uids: Sequence[str], given: Counting) -> Outcome:
        completion = Completion.COMPLETE
        for start in range(0, len(uids), _UIDS_AT_ONCE):
            wanted = Query(
                level=Level.IMAGE,
                root=Root.STUDY,
                keys=(Key(SOP_INSTANCE_UID, tuple(uids[start : start + _UIDS_AT_ONCE])),),
            )
            outcome = await self._pool.ask(
                _WITHOUT_BULK,
                contexts.for_get_without_bulk,
                functools.partial(_get, query=wanted, given=given),
            )
            if outcome.completion is not Completion.COMPLETE:
                completion = outcome.completion
        if given.instances < len(uids):
            completion = Completion.PARTIAL
        return Outcome(completion=completion)

    async def _uids(self, query: Query) -> Sequence[str]:
        """Of all instances that the query names, asked for level by level. PS3.4 C.4.1.2.2.1."""
        keys = {key.tag: key.values for key in query.keys}
        if query.level is Level.IMAGE:
            return keys[SOP_INSTANCE_UID]
        above = {STUDY_INSTANCE_UID: keys[STUDY_INSTANCE_UID]}
        series = keys.get(SERIES_INSTANCE_UID, ())
        if query.level is Level.STUDY:
            series = tuple(await self._found(Level.SERIES, above, SERIES_INSTANCE_UID))
        found: list[str] = []
        for uid in series:
            of_series = {**above, SERIES_INSTANCE_UID: (uid,)}
            found += await self._found(Level.IMAGE, of_series, SOP_INSTANCE_UID)
        if not found:
            raise nothing(self._target, query)
        return found

    async def _found(
        self, level: Level, keys: Mapping[int, tuple[str, ...]], tag: int
    ) -> Sequence[str]:
        """The UIDs of a level below these keys."""
        every = {**keys, tag: ()}
        query = Query(
            level=level,
            root=Root.STUDY,
            keys=tuple(Key(each, values) for each, values in sorted(every.items())),
        )
        found: list[str] = []

        async def take(item: Match | Instance | Progress) -> None:
            if isinstance(item, Match):
                found.append(self._uid(item, tag))

        await self._pool.ask(
            QUERIES, contexts.for_queries, lambda association: association.find(query, take)
        )
        return found

    def _uid(self, match: Match, tag: int) -> str:
        head = Head((tag,), match.transfer_syntax)
        head.feed(match.identifier)
        uid = head.values.get(tag, "")
        if not is_uid(uid):
            raise contradiction(self._target, "an answer without the UID of its level")
        return uid


async def _get(association: Association, *, query: Query, given: Counting) -> Outcome:
    return await association.get(query, given, abstract_syntax=contexts.GET_WITHOUT_BULK)
