"""Answers of queries over HTTP: matches as they come, or as a whole when that is known in time.

Until the first byte is out, a failure is a problem document with a truthful status. After it the
body ends only once the query has told its outcome; whatever goes wrong before leaves as an
exception, and then the body has no proper end.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import trio

from harmony.dicom.dicomjson import RetrieveUrl, matches_to_json
from harmony.endpoints.accounts import Account, Send, start
from harmony.endpoints.answers import PIECE_BYTES, PartMissing
from harmony.envelope import (
    Completion,
    Headers,
    Items,
    Match,
    Outcome,
    Query,
    RequestEnvelope,
)
from harmony.interfaces import OpenExchange
from harmony.web.exchange import Reply, Request

_PAGE_BYTES = 8 * 1024 * 1024
_FIRST_LINGER_SECONDS = 0.002  # a short answer is whole by then, and its headers know all
_PAGE = 1000  # a limited query of at most so many is collected, so that its header is true
_BATCH = 64
_LINGER_SECONDS = 0.005  # rows come in swarms: a write for each would cost more than it gives
_SLICE_BYTES = 256 * 1024
_INLINE_BYTES = 32 * 1024  # a millisecond or two: less than what a thread's hops cost everybody

_ADDITIONAL_RESULTS = '299 {host} "There are additional results that can be requested"'
_KEYS_UNSUPPORTED = '299 {host} "Some of the keys were not supported by the PACS"'
_SOURCE_FAILED = '299 {host} "backend {backend} gave no or not all answers"'


def _as_it_is(row: bytes) -> bytes:
    return row


@dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    """What a body of matches looks like.

    Attributes:
        kind: its media type.
        first, between, last: what stands around the rows.
        empty: the whole body without any; None for none at all, with status 204.
        row: makes a row of a match in DICOM JSON.
    """

    kind: str
    first: bytes
    between: bytes
    last: bytes
    empty: bytes | None
    row: Callable[[bytes], bytes] = _as_it_is

    def whole(self, rows: Sequence[bytes]) -> bytes:
        """All rows that there are, as one body."""
        return self.first + self.between.join(rows) + self.last if rows else self.empty or b""


def array(kind: str) -> Form:
    """One JSON array."""
    return Form(kind=kind, first=b"[", between=b",", last=b"]", empty=b"[]")


def lines(kind: str) -> Form:
    """A JSON object a line."""
    return Form(kind=kind, first=b"", between=b"\n", last=b"\n", empty=b"")


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """A query of an HTTP client, and how to answer it.

    Attributes:
        envelope: FIND, with its query.
        empty: the status without any match, 200 or 204.
        retrieve_url: gives a match its Retrieve URL (0008,1190); None for none.
        notices: texts of ``Warning`` headers that are true in any case.
    """

    envelope: RequestEnvelope
    form: Form
    empty: int = 200
    retrieve_url: RetrieveUrl | None = None
    notices: Sequence[str] = ()


async def answer_search(
    search: Search, exchange: OpenExchange, request: Request, reply: Reply, account: Account
) -> None:
    """Ask, and answer with what comes.

    Raises:
        HarmonyError, StreamBroken: before or after the head is out.
        ClientGone
    """
    query = search.envelope.query
    assert query is not None, "a FIND without a query"
    form = search.form
    paged = query.limit is not None and query.limit <= _PAGE
    async with exchange(search.envelope) as response:
        account.backend = response.backend
        items = response.items
        first = await _first_matches(items, whole=paged)
        rows = await _encode(first, search)  # before the head: what cannot be shown is 502
        headers = _warnings(
            request,
            search.notices,
            items.outcome if items.has_ended else None,
            all_keys=all(match.all_keys_supported for match in first),
        )
        if items.has_ended:
            account.items = len(rows)
            complete = not items.outcome.failed_sources
            if not rows and (form.empty is None or (complete and search.empty == 204)):
                await account.whole(reply, 204, None, b"", headers)
                return
            await account.whole(reply, 200, form.kind, form.whole(rows), headers)
            return
        await start(reply, 200, form.kind, headers, trailers=True)
        writer = _Writer(account.counted(reply), search)
        await writer.write_rows(rows)
        outcome = await writer.write(items)
        account.items = writer.count
        late = _warnings(request, (), outcome, all_keys=writer.all_keys_supported)
        if late and not reply.can_send_trailers and _lacks(outcome, query):
            raise PartMissing(outcome)
        await writer.end()
        await reply.finish(late if reply.can_send_trailers else ())


class _Writer:
    """Writes matches in pieces of about 64 KiB.

    Attributes:
        count: matches written.
        all_keys_supported: False once a match came with FF01. PS3.4 C.4.1.1.4.
    """

    def __init__(self, send: Send, search: Search) -> None:
        self._send = send
        self._search = search
        self.count = 0
        self.all_keys_supported = True

    async def write(self, items: Items) -> Outcome:
        """Write all matches; returns how the query ended, and with that whether to call `end`."""
        while batch := await items.batch(_BATCH, linger=_LINGER_SECONDS):
            matches = [item for item in batch if isinstance(item, Match)]
            self.all_keys_supported &= all(match.all_keys_supported for match in matches)
            await self.write_rows(await _encode(matches, self._search))
        return items.outcome

    async def end(self) -> None:
        """Write the end of the body: what was written is all there is."""
        form = self._search.form
        last = form.last if self.count else form.empty
        if last:
            await self._send(last)

    async def write_rows(self, rows: Sequence[bytes]) -> None:
        form = self._search.form
        piece = bytearray()
        for row in rows:
            piece += form.between if self.count else form.first
            piece += row
            self.count += 1
            if len(piece) >= PIECE_BYTES:
                await self._send(bytes(piece))
                piece.clear()
        if piece:
            await self._send(bytes(piece))


async def _encode(matches: Sequence[Match], search: Search) -> list[bytes]:
    """Matches as rows, in slices, so that a large answer can be cancelled in between."""

    def rows_of(part: Sequence[Match]) -> list[bytes]:
        row = search.form.row
        return [row(each) for each in matches_to_json(part, search.retrieve_url)]

    rows: list[bytes] = []
    part: list[Match] = []
    size = 0
    for match in matches:
        part.append(match)
        size += len(match.identifier)
        if size > _SLICE_BYTES:
            rows += await trio.to_thread.run_sync(rows_of, part)
            part, size = [], 0
    if size > _INLINE_BYTES:
        return rows + await trio.to_thread.run_sync(rows_of, part)
    return rows + rows_of(part)


async def _first_matches(items: Items, *, whole: bool) -> list[Match]:
    """What can be known before the head: a page, or what comes at once.

    A page is collected to its end, so that its headers tell the truth; one that grows too
    large is streamed after all.
    """
    found: list[Match] = []
    size = 0
    while batch := await items.batch(_PAGE, linger=_FIRST_LINGER_SECONDS):
        matches = [item for item in batch if isinstance(item, Match)]
        found += matches
        size += sum(len(match.identifier) for match in matches)
        if not whole or size > _PAGE_BYTES:
            break
    return found


def _warnings(
    request: Request, notices: Sequence[str], outcome: Outcome | None, *, all_keys: bool
) -> Headers:
    """Warning headers that are known to be true. PS3.18 8.3.4.4, PS3.4 C.4.1.1.4."""
    host = request.headers.get("host") or "harmony"
    texts = [f'299 {host} "{notice}"' for notice in notices]
    if outcome is not None:
        if outcome.completion is Completion.LIMITED:
            texts.append(_ADDITIONAL_RESULTS.format(host=host))
        texts += [_SOURCE_FAILED.format(host=host, backend=name) for name in outcome.failed_sources]
    if not all_keys:
        texts.append(_KEYS_UNSUPPORTED.format(host=host))
    return tuple(("warning", text) for text in texts)


def _lacks(outcome: Outcome, query: Query) -> bool:
    """Whether matches are missing that were asked for: all, if there was no limit."""
    if outcome.failed_sources:
        return True
    return outcome.completion is not Completion.COMPLETE and query.limit is None
