"""DIMSE requests as exchanges: what a caller asks, run through the pipeline and answered.

A failure of the pipeline becomes a failure status; it is never a success with fewer matches or
instances. `status-maps` of the reference says which.
"""

from __future__ import annotations

import math
import time
import uuid
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Protocol

import trio

from harmony.dicom.answering import PASSED_ON, comment, dimse_status
from harmony.dicom.identifier import IdentifierError, failed_list, match_identifier, read_query
from harmony.dicom.status import StatusKind, kind
from harmony.dicom.status_codes import (
    DESTINATION_UNKNOWN,
    NOT_AUTHORISED,
    OUT_OF_RESOURCES,
    PROCESSING_FAILURE,
    SUCCESS,
    UNABLE_TO_PROCESS,
)
from harmony.dimse.arrivals import Arrivals
from harmony.dimse.link import AssociationRequest, LinkEnded
from harmony.dimse.provider import Answer, Call, Matches, Retrieval
from harmony.dimse.serving_streams import Abort
from harmony.endpoints.admission import Admitted
from harmony.endpoints.retrieving import (
    Destination,
    Source,
    Traffic,
    retrieve_answer,
    retrieve_over,
    send_to,
)
from harmony.envelope import (
    Body,
    Completion,
    Encoded,
    Instance,
    Match,
    Operation,
    Origin,
    Originator,
    Outcome,
    Query,
    RequestEnvelope,
    Stored,
    StreamBroken,
)
from harmony.errors import HarmonyError, RequestError, UpstreamError
from harmony.holding import whole_if_small
from harmony.interfaces import ExchangeSummary, Observer, OpenExchange

_BATCH = 64  # matches that are sent together, if they are there
_STORE_WARNINGS = (0xB000, 0xB006, 0xB007)  # PS3.4 table B.2-1


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What all associations of an endpoint share.

    Attributes:
        destinations: that C-MOVE may send to, by backend's name; peers may be allowed fewer.
        default_destinations: names of those for callers whose peer says nothing of them.
        arrivals: retrieves that wait for objects here.
        whole_bytes: instances of so many bytes are read whole before they go on.
        deadline_seconds: for the first answer to a request.
        object_seconds: for an object to arrive, besides.
    """

    endpoint: str
    pipeline: str
    exchange: OpenExchange
    observer: Observer
    whole_bytes: int
    destinations: Mapping[str, Destination]
    default_destinations: tuple[str, ...]
    arrivals: Arrivals
    deadline_seconds: float
    object_seconds: float


@dataclass(slots=True)
class _Account:
    """What is told about one exchange when it is over."""

    request_id: str
    operation: Operation
    started: float
    backend: str | None = None
    items: int = 0
    sent: Traffic = field(default_factory=Traffic)
    received: Traffic = field(default_factory=Traffic)
    error: HarmonyError | None = None
    outcome: str | None = None  # in a word, where the answer does not tell


class Requests:
    """The requests of one association. Implements `harmony.dimse.provider.Provider`."""

    def __init__(
        self, around: Surroundings, request: AssociationRequest, admitted: Admitted
    ) -> None:
        self._around = around
        self._request = request
        self._admitted = admitted

    async def echo(self, call: Call) -> Answer:
        return await self._answered(call, self._echo)

    async def store(self, call: Call, instance: Instance) -> Answer:
        async def work(call: Call, account: _Account) -> Answer:
            return await self._store(instance, account)

        return await self._answered(call, work)

    async def find(self, call: Call, identifier: Encoded, matches: Matches) -> Answer:
        async def work(call: Call, account: _Account) -> Answer:
            return await self._find(call, identifier, matches, account)

        return await self._answered(call, work)

    async def retrieve(self, call: Call, identifier: Encoded, retrieval: Retrieval) -> Answer:
        async def work(call: Call, account: _Account) -> Answer:
            return await self._retrieve(call, identifier, retrieval, account)

        return await self._answered(call, work)

    def failed_list(self, uids: list[str], transfer_syntax: str) -> bytes:
        return failed_list(uids, transfer_syntax)

    # One operation each

    async def _echo(self, call: Call, account: _Account) -> Answer:
        envelope = self._envelope(account, Operation.ECHO)
        async with self._around.exchange(envelope) as response:
            account.backend = response.backend
            async for _ in response.items:
                pass
        return Answer(status=SUCCESS)

    async def _store(self, instance: Instance, account: _Account) -> Answer:
        """An object for a retrieve that waits for it, else one to be stored. PS3.4 B.2."""
        around = self._around
        given = await whole_if_small(account.received.counted(instance), around.whole_bytes)
        caller = self._request.calling_aet
        expected, given = await around.arrivals.claim(given, caller=caller)
        if expected is not None:
            return Answer(status=await around.arrivals.deliver(expected, given))
        # What it is answered with comes after its last byte.
        seconds = around.object_seconds + around.deadline_seconds
        envelope = self._envelope(account, Operation.STORE, body=_Single(given), wait=seconds)
        stored: Stored | None = None
        async with around.exchange(envelope) as response:
            account.backend = response.backend
            async for item in response.items:
                if isinstance(item, Stored):
                    stored = item
                    account.items += 1
        if stored is None:  # nobody says that it has it
            return Answer(status=PROCESSING_FAILURE, comment="no backend answered")
        return Answer(status=_store_status(stored.status), comment=_told_by_backend(stored))

    async def _find(
        self, call: Call, identifier: Encoded, matches: Matches, account: _Account
    ) -> Answer:
        """PS3.4 C.4.1."""
        query = _read(call, identifier)
        async with self._around.exchange(
            self._envelope(account, call.operation, query)
        ) as response:
            account.backend = response.backend
            while batch := await response.items.batch(_BATCH):
                for left, item in zip(reversed(range(len(batch))), batch, strict=True):
                    assert isinstance(item, Match)
                    encoded = match_identifier(item, call.context.transfer_syntax)
                    await matches.pending(
                        encoded, all_keys_supported=item.all_keys_supported, more=left > 0
                    )
                    account.items += 1
                    account.sent.bytes += len(encoded)
            return _find_answer(response.items.outcome)

    async def _retrieve(
        self, call: Call, identifier: Encoded, retrieval: Retrieval, account: _Account
    ) -> Answer:
        """C-GET over the caller's association, C-MOVE to a destination. PS3.4 C.4.2, C.4.3."""
        query = _read(call, identifier)
        destination: Destination | None = None
        originator: Originator | None = None
        if call.operation is Operation.MOVE:
            originator = Originator(self._request.calling_aet, call.message_id)
            destination = self._destination(call.destination or "")
            if destination is None:
                return Answer(status=DESTINATION_UNKNOWN, comment="move destination unknown")
        envelope = self._envelope(account, Operation.GET, query)
        tally = retrieval.tally
        source: Source | None = None
        outcome: Outcome | None = None
        try:
            async with self._around.exchange(envelope) as response:
                account.backend = response.backend
                source = Source(response.items, tally, account.sent, originator)
                if destination is None:
                    await retrieve_over(source, retrieval)
                else:
                    store = self._envelope(account, Operation.STORE, wait=math.inf)
                    await send_to(destination, source, retrieval, store=store)
                outcome = response.items.outcome
        except (HarmonyError, StreamBroken) as exc:
            if source is not None:
                source.fail()
            if not _is_not_found(exc) or tally.completed or tally.failed or tally.warning:
                raise
        finally:
            account.items = tally.completed + tally.warning
        return retrieve_answer(tally, outcome)

    # Around each

    async def _answered(self, call: Call, work: _Work) -> Answer:
        """Do it if the caller may, map failures to statuses, and tell of it."""
        account = _Account(uuid.uuid4().hex, call.operation, time.monotonic())
        answer: Answer | None = None
        try:
            answer = await self._judged(call, work, account)
            return answer
        except LinkEnded:
            account.outcome = "client_gone"
            raise
        except Abort:
            account.outcome = "broken"
            raise
        except Exception:  # a fault of ours, which is answered so
            answer = Answer(status=PROCESSING_FAILURE)
            raise
        finally:
            self._tell(account, answer)

    async def _judged(self, call: Call, work: _Work, account: _Account) -> Answer:
        if call.operation not in self._admitted.operations:
            account.error = RequestError("not allowed to this peer", code="not-authorised")
            return Answer(status=NOT_AUTHORISED, comment=f"{call.operation} is not allowed here")
        try:
            return await work(call, account)
        except IdentifierError as exc:
            account.error = RequestError(exc.comment, code="bad-identifier")
            return Answer(status=exc.status, comment=exc.comment)
        except HarmonyError as exc:
            account.error = exc
            return Answer(status=dimse_status(exc, call.operation), comment=comment(exc))
        except StreamBroken:
            if account.received.broken:
                account.error = RequestError("the data set is not whole", code="broken-off")
            else:
                account.error = UpstreamError("the answer just stopped", code="answer-broken")
            return Answer(status=PROCESSING_FAILURE, comment="broken off")

    def _envelope(
        self,
        account: _Account,
        operation: Operation,
        query: Query | None = None,
        *,
        body: Body = b"",
        wait: float | None = None,
    ) -> RequestEnvelope:
        around = self._around
        seconds = around.deadline_seconds if wait is None else wait
        return RequestEnvelope(
            id=account.request_id,
            operation=operation,
            origin=Origin(
                pipeline=around.pipeline,
                endpoint=around.endpoint,
                caller=self._request.calling_aet,
                called=self._request.called_aet,
                peer=self._admitted.peer,
            ),
            query=query,
            body=body,
            deadline=trio.current_time() + seconds,
        )

    def _destination(self, title: str) -> Destination | None:
        names = self._admitted.move_destinations
        if names is None:
            names = self._around.default_destinations
        for name in names:
            destination = self._around.destinations[name]
            if destination.aet.strip() == title.strip():
                return destination
        return None

    def _tell(self, account: _Account, answer: Answer | None) -> None:
        error = account.error
        self._around.observer.finished(
            ExchangeSummary(
                request_id=account.request_id,
                pipeline=self._around.pipeline,
                endpoint=self._around.endpoint,
                operation=account.operation,
                backend=getattr(error, "backend", None) or account.backend,
                peer=getattr(error, "peer", None),
                caller=self._admitted.peer,
                outcome=account.outcome or _outcome_word(answer, error),
                code=error.code if error is not None else None,
                dimse_status=getattr(error, "dimse_status", None),
                answered=answer.status if answer is not None else None,
                seconds=time.monotonic() - account.started,
                items=account.items,
                bytes_out=account.sent.bytes,
                bytes_in=account.received.bytes,
            )
        )


class _Work(Protocol):
    async def __call__(self, call: Call, account: _Account, /) -> Answer: ...


class _Single:
    """A stream of one instance."""

    def __init__(self, instance: Instance) -> None:
        self._instance: Instance | None = instance

    def __aiter__(self) -> AsyncIterator[Instance]:
        return self

    async def __anext__(self) -> Instance:
        instance, self._instance = self._instance, None
        if instance is None:
            raise StopAsyncIteration
        return instance


def _read(call: Call, identifier: Encoded) -> Query:
    assert call.root is not None, f"{call.operation} without an information model"
    return read_query(
        identifier.data,
        identifier.transfer_syntax,
        operation=call.operation,
        root=call.root,
    )


def _is_not_found(exc: Exception) -> bool:
    """That there is nothing of what was asked for is no failure here. PS3.4 C.4.2.2, C.4.3.2."""
    return isinstance(exc, RequestError) and exc.code == "not-found"


def _find_answer(outcome: Outcome) -> Answer:
    """C-FIND knows no status for a part of the matches, so a part is a failure. PS3.4 C.4.1."""
    if outcome.failed_sources:
        names = ", ".join(outcome.failed_sources)
        return Answer(status=OUT_OF_RESOURCES, comment=f"not all answers of {names}"[:64])
    if outcome.completion is not Completion.COMPLETE:
        if kind(outcome.status) is StatusKind.WARNING:
            return Answer(status=outcome.status, comment="there are more matches")
        return Answer(status=OUT_OF_RESOURCES, comment="there are more matches")
    return Answer(status=SUCCESS)


def _store_status(status: int) -> int:
    """A backend's status as C-STORE may answer it. PS3.4 table B.2-1, PS3.7 C.

    What is neither success nor a warning there is a failure here, whatever it says.
    """
    match kind(status):
        case StatusKind.SUCCESS:
            return status
        case StatusKind.WARNING:
            return status if status in _STORE_WARNINGS else _STORE_WARNINGS[0]
        case _:
            ranges = PASSED_ON[Operation.STORE]
            known = any(first <= status <= last for first, last in ranges)
            return status if known else UNABLE_TO_PROCESS


def _told_by_backend(stored: Stored) -> str:
    """Which of several backends do not have it; empty if all have."""
    failed = [name for name, status in stored.by_backend if kind(status) is StatusKind.FAILURE]
    if not failed:
        return ""
    return f"{len(failed)} of {len(stored.by_backend)} failed: {', '.join(failed)}"[:64]


def _outcome_word(answer: Answer | None, error: HarmonyError | None) -> str:
    if answer is None:
        return "cancelled"
    if kind(answer.status) is not StatusKind.FAILURE:
        return "ok"
    return "refused" if isinstance(error, RequestError) else "failed"
