"""DIMSE-C operations as a service class user, on one link.

Every operation either ends in order, and then says so by returning, or raises. After a failure
that the peer did not answer in order the link is hung up; `is_reusable` tells. Items go to an
`emit` callback as they come; while it waits the peer is held back by TCP.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Protocol

import trio

from harmony.dicom.elements import Malformed
from harmony.dicom.query import encode_identifier
from harmony.dicom.reencode import data_in, suitable
from harmony.dicom.status import StatusKind, kind
from harmony.dicom.status_codes import PENDING_WITHOUT_SOME_KEYS, SUCCESS
from harmony.dicom.transcode import transcode
from harmony.dicom.uids import is_uid
from harmony.dimse.contexts import MODELS, VERIFICATION
from harmony.dimse.conversation import (
    MAX_IDENTIFIER_BYTES,
    DataSet,
    EvenData,
    check_response,
    next_message,
)
from harmony.dimse.failures import (
    NotAnswered,
    Refused,
    contradiction,
    link_failure,
    no_context,
)
from harmony.dimse.identifiers import failed_instances
from harmony.dimse.link import Context, Link, LinkEnded
from harmony.dimse.outcomes import (
    MOST_COUNTED,
    counters_of,
    done,
    echo_outcome,
    find_outcome,
    get_outcome,
    larger,
    move_outcome,
    status_of,
)
from harmony.dimse.target import Target
from harmony.envelope import (
    ByteStream,
    Completion,
    Instance,
    Match,
    Operation,
    Originator,
    Outcome,
    Progress,
    Query,
    Stored,
    SubOperations,
    WholeBytes,
)
from harmony.errors import RequestError, UpstreamError
from harmony.upper_layer.commands import (
    DATA_SET_PRESENT,
    PRIORITY_MEDIUM,
    Command,
    CommandField,
    encode,
)
from harmony.upper_layer.messages import CommandSet


class Emit(Protocol):
    """Takes one item; may wait as long as the reader needs."""

    async def __call__(self, item: Match | Instance | Progress, /) -> None: ...


class Association:
    """One association, used by one task at a time."""

    def __init__(self, link: Link, target: Target) -> None:
        self._link = link
        self._target = target
        self._message_id = 0
        self._answered = False  # in the operation under way
        self._in_order = True
        self._doubt = False  # the operation ended well, but what comes next is not sure
        self._used = False
        self._unfit = False  # the peer does not accept here what was asked
        self._accepted = {
            (context.abstract_syntax, context.transfer_syntax): context
            for context in link.contexts.values()
        }

    @property
    def is_reusable(self) -> bool:
        """True if every operation ended in order and nothing unasked has come since.

        One on which the peer accepts nothing is of no use to anybody.
        """
        return self.is_in_order and not self._unfit and bool(self._accepted)

    @property
    def is_in_order(self) -> bool:
        """True if it can be released politely."""
        return self._in_order and self._link.is_quiet

    def knows(self, abstract_syntax: str) -> bool:
        """Whether the peer accepted a context of this service."""
        return any(
            context.abstract_syntax == abstract_syntax for context in self._link.contexts.values()
        )

    def accepts(self, abstract_syntax: str, transfer_syntax: str) -> bool:
        """Whether the peer takes this class in this syntax, or in one suitable for it."""
        return self._store_context(abstract_syntax, transfer_syntax) is not None

    @property
    def was_used(self) -> bool:
        """True once an operation has ended in order; only then may it raise `NotAnswered`."""
        return self._used

    def hang_up(self) -> None:
        """End it at once; never blocks."""
        self._in_order = False
        self._link.hang_up()

    async def wait_disturbed(self) -> None:
        """While idle: wait until the peer does anything at all."""
        await self._link.wait_disturbed()

    async def close(self) -> None:
        """Release the association if it is in order, else hang up."""
        if self._in_order:
            await self._link.release()
        else:
            self._link.hang_up()

    # Operations

    async def echo(self) -> None:
        """C-ECHO. PS3.7 9.1.5.

        Raises:
            UpstreamError
        """
        with self._operation(Operation.ECHO):
            context = self._context_of(Operation.ECHO, VERIFICATION)
            request = Command(
                field=CommandField.C_ECHO_RQ,
                affected_sop_class_uid=VERIFICATION,
                message_id=self._message_id,
            )
            await self._link.send(context.id, encode(request))
            seconds = self._target.timeouts.echo_seconds
            answer = await self._response(context, CommandField.C_ECHO_RSP, seconds)
            echo_outcome(answer, self._target)

    async def find(self, query: Query, emit: Emit) -> Outcome:
        """C-FIND. PS3.4 C.4.1, PS3.7 9.1.2.

        Emits matches from ``query.offset`` on, at most ``query.limit``. One match more than
        that is waited for, because only it tells that there are more; then C-CANCEL is sent
        and the rest drained, so that the association stays in order.

        Raises:
            RequestError, UpstreamError
        """
        timeouts = self._target.timeouts
        with self._operation(Operation.FIND):
            context = self._context_of(Operation.FIND, MODELS[Operation.FIND][query.root])
            await self._send_query(context, CommandField.C_FIND_RQ, query)
            seen = 0
            seconds = timeouts.find_first_seconds
            while True:
                answer = await self._response(context, CommandField.C_FIND_RSP, seconds)
                seconds = timeouts.find_next_seconds
                status = status_of(answer, self._target)
                if kind(status) is not StatusKind.PENDING:
                    return find_outcome(answer, self._target)
                match = await self._match(context, answer, status, seconds)
                seen += 1
                if query.limit is not None and seen > query.offset + query.limit:
                    self._doubt = not await self._cancel(context)
                    return Outcome(completion=Completion.LIMITED, status=status)
                if seen > query.offset:
                    await emit(match)

    async def get(self, query: Query, emit: Emit, *, abstract_syntax: str | None = None) -> Outcome:
        """C-GET. PS3.4 C.4.3, PS3.7 9.1.3.

        Each instance is emitted when its command is there, and answered when its reader has
        taken the last byte. What the peer counted since the one before is emitted just before
        it: the first item is never a mere promise.

        Args:
            abstract_syntax: of the service; None for that of the query's model.

        Raises:
            RequestError, UpstreamError
        """
        seconds = self._target.timeouts.get_seconds
        service = abstract_syntax or MODELS[Operation.GET][query.root]
        with self._operation(Operation.GET):
            context = self._context_of(Operation.GET, service)
            await self._send_query(context, CommandField.C_GET_RQ, query)
            received = 0
            pending: SubOperations | None = None
            untold: SubOperations | None = None
            while True:
                message = await next_message(self._link, self._target, seconds)
                if message.command.field == CommandField.C_STORE_RQ:
                    await self._sub_operation(message, emit, untold)
                    untold = None
                    received += 1
                    continue
                answer = self._check(message, context, CommandField.C_GET_RSP)
                missing = await self._failed_instances(context, answer)
                if kind(status_of(answer, self._target)) is not StatusKind.PENDING:
                    return get_outcome(
                        answer, self._target, received=received, missing=missing, pending=pending
                    )
                counted = counters_of(answer)
                pending = larger(pending, counted)
                if pending is counted:
                    untold = counted

    async def move(
        self,
        query: Query,
        emit: Emit,
        *,
        message_id: int | None = None,
        seconds: float | None = None,
    ) -> Outcome:
        """C-MOVE to ``query.destination``. PS3.4 C.4.2, PS3.7 9.1.4.

        Args:
            query: what to move, and where to.
            emit: takes the peer's progress.
            message_id: of the request, which the instances name; None for the next one.
            seconds: between two answers; None for the target's.

        Raises:
            RequestError, UpstreamError
        """
        if seconds is None:
            seconds = self._target.timeouts.move_seconds
        with self._operation(Operation.MOVE, message_id):
            context = self._context_of(Operation.MOVE, MODELS[Operation.MOVE][query.root])
            await self._send_query(context, CommandField.C_MOVE_RQ, query)
            most = 0
            pending: SubOperations | None = None
            while True:
                answer = await self._response(context, CommandField.C_MOVE_RSP, seconds)
                missing = await self._failed_instances(context, answer)
                counters = counters_of(answer)
                now = done(counters)
                if now is not None and now < most < MOST_COUNTED:
                    raise contradiction(self._target, "its counters run backwards")
                most = max(most, now or 0)
                if kind(status_of(answer, self._target)) is not StatusKind.PENDING:
                    return move_outcome(
                        answer,
                        self._target,
                        missing=missing,
                        destination=query.destination,
                        pending=pending,
                    )
                pending = larger(pending, counters)
                await emit(Progress(counters=counters))

    async def store(self, instance: Instance) -> Stored:
        """C-STORE. PS3.4 B.2, PS3.7 9.1.1. A failure status is a result, not an exception.

        Its bytes go as they are where the peer takes their syntax, else re-encoded on their way
        into the one that it does take. If reading ``instance.data`` raises, the association is
        hung up: a data set that is not whole is never finished.

        Raises:
            UpstreamError: no context for it, or no proper answer.
        """
        with self._operation(Operation.STORE):
            context = self._store_context(instance.sop_class_uid, instance.transfer_syntax)
            if context is None:
                raise Refused(
                    no_context(self._target, Operation.STORE, instance.sop_class_uid), final=True
                )
            originator = _tellable(instance.originator)
            request = Command(
                field=CommandField.C_STORE_RQ,
                affected_sop_class_uid=instance.sop_class_uid,
                affected_sop_instance_uid=instance.sop_instance_uid,
                message_id=self._message_id,
                priority=PRIORITY_MEDIUM,
                data_set_type=DATA_SET_PRESENT,
                move_originator_ae_title=originator.aet if originator else None,
                move_originator_message_id=originator.message_id if originator else None,
            )
            data = EvenData(data_in(instance, context.transfer_syntax), context.transfer_syntax)
            await self._link.send(context.id, encode(request), data)
            seconds = self._target.timeouts.store_seconds
            answer = await self._response(context, CommandField.C_STORE_RSP, seconds)
            about = answer.affected_sop_instance_uid
            if about is not None and about != instance.sop_instance_uid:
                raise contradiction(self._target, "the answer is about another instance")
            return Stored(
                sop_class_uid=instance.sop_class_uid,
                sop_instance_uid=instance.sop_instance_uid,
                status=status_of(answer, self._target),
            )

    # One operation, from request to final response

    @contextlib.contextmanager
    def _operation(self, operation: Operation, message_id: int | None = None) -> Iterator[None]:
        """Number the message, and hang up unless the operation ends in order."""
        self._message_id = message_id or self._message_id % 0xFFFF + 1
        self._answered = self._doubt = self._in_order = False
        try:
            yield
        except LinkEnded as exc:
            self._link.hang_up()
            error = link_failure(exc.ending, operation, self._target, answered=self._answered)
            if self._used and not self._answered:
                raise NotAnswered(error) from exc
            raise error from exc
        except Refused as exc:
            self._unfit = exc.final
            self._end_in_order()
            raise exc.error from None
        except BaseException:
            self._link.hang_up()
            raise
        self._end_in_order()

    def _end_in_order(self) -> None:
        self._used = True
        self._in_order = not self._doubt
        if self._doubt:
            self._link.hang_up()

    async def _send_query(self, context: Context, field: CommandField, query: Query) -> None:
        identifier = _identifier_of(query, context.transfer_syntax)
        request = Command(
            field=field,
            affected_sop_class_uid=context.abstract_syntax,
            message_id=self._message_id,
            priority=PRIORITY_MEDIUM,
            data_set_type=DATA_SET_PRESENT,
            move_destination=query.destination if field == CommandField.C_MOVE_RQ else None,
        )
        await self._link.send(context.id, encode(request), WholeBytes(identifier))

    async def _response(self, context: Context, field: CommandField, seconds: float) -> Command:
        message = await next_message(self._link, self._target, seconds)
        return self._check(message, context, field)

    def _check(self, message: CommandSet, context: Context, field: CommandField) -> Command:
        answer = check_response(
            message, self._target, context=context, field=field, message_id=self._message_id
        )
        self._answered = True
        return answer

    async def _match(self, context: Context, answer: Command, status: int, seconds: float) -> Match:
        if not answer.has_data_set:
            raise contradiction(self._target, "a pending answer without an identifier")
        return Match(
            identifier=await self._identifier(context, seconds),
            transfer_syntax=context.transfer_syntax,
            all_keys_supported=status != PENDING_WITHOUT_SOME_KEYS,
        )

    async def _identifier(self, context: Context, seconds: float) -> bytes:
        data = DataSet(
            self._link, self._target, context.id, seconds=seconds, limit=MAX_IDENTIFIER_BYTES
        )
        return await data.whole()

    async def _failed_instances(self, context: Context, answer: Command) -> tuple[str, ...]:
        """Failed SOP Instance UID List (0008,0058). PS3.4 C.4.2.1.4.2 and C.4.3.1.3.2."""
        if not answer.has_data_set:
            return ()
        seconds = self._target.timeouts.pdu_seconds
        with trio.move_on_after(seconds):
            return failed_instances(
                await self._identifier(context, 2 * seconds), context.transfer_syntax
            )
        self._doubt = True  # announced and not sent; the status in hand counts all the same
        return ()

    async def _cancel(self, context: Context) -> bool:
        """C-CANCEL a C-FIND, then read on to the final response. PS3.7 9.3.2.3.

        Returns False if that did not come in order within ``cancel_seconds``.
        """
        seconds = self._target.timeouts.cancel_seconds
        request = Command(field=CommandField.C_CANCEL_RQ, responds_to=self._message_id)
        with trio.move_on_after(seconds), contextlib.suppress(LinkEnded, UpstreamError):
            await self._link.send(context.id, encode(request))
            while True:
                answer = await self._response(context, CommandField.C_FIND_RSP, seconds)
                if kind(status_of(answer, self._target)) is not StatusKind.PENDING:
                    # Orthanc announces a data set here and sends none: who knows what is next.
                    return not answer.has_data_set
                if answer.has_data_set:
                    await self._identifier(context, seconds)
        return False

    async def _sub_operation(
        self, message: CommandSet, emit: Emit, counted: SubOperations | None
    ) -> None:
        """Take one C-STORE of a C-GET. PS3.4 C.4.3.2, PS3.7 9.3.1.

        Args:
            message: the C-STORE-RQ.
            emit: gets `counted`, if there is any, then the instance.
            counted: what the peer has counted since the instance before.
        """
        request = message.command
        context = self._link.contexts.get(message.context_id)
        class_uid, instance_uid = (
            request.affected_sop_class_uid,
            request.affected_sop_instance_uid,
        )
        if context is None or request.message_id is None or not request.has_data_set:
            raise contradiction(self._target, "a C-STORE sub-operation that cannot be answered")
        if class_uid is None or instance_uid is None:
            raise contradiction(self._target, "a C-STORE sub-operation without UIDs")
        if not is_uid(class_uid) or not is_uid(instance_uid):
            raise contradiction(self._target, "a C-STORE sub-operation with UIDs that are none")
        self._answered = True
        if counted is not None:
            await emit(Progress(counters=counted))
        send, receive = trio.open_memory_channel[bytes | None](0)
        with send:
            await emit(
                Instance(
                    sop_class_uid=class_uid,
                    sop_instance_uid=instance_uid,
                    transfer_syntax=context.transfer_syntax,
                    data=ByteStream(receive),
                )
            )
            data = DataSet(
                self._link,
                self._target,
                context.id,
                seconds=self._target.timeouts.get_seconds,
                limit=self._target.max_object_bytes,
            )
            while (chunk := await data.next()) is not None:
                await send.send(chunk)
            await send.send(None)
        response = Command(
            field=CommandField.C_STORE_RSP,
            affected_sop_class_uid=class_uid,
            affected_sop_instance_uid=instance_uid,
            responds_to=request.message_id,
            status=SUCCESS,
        )
        await self._link.send(context.id, encode(response))

    # Contexts

    def _context_of(self, operation: Operation, abstract_syntax: str) -> Context:
        for context in self._link.contexts.values():
            if context.abstract_syntax == abstract_syntax:
                return context
        raise Refused(no_context(self._target, operation, abstract_syntax), final=True)

    def _store_context(self, abstract_syntax: str, transfer_syntax: str) -> Context | None:
        for each in suitable(transfer_syntax):
            context = self._accepted.get((abstract_syntax, each))
            if context is not None:
                return context
        return None


def _identifier_of(query: Query, transfer_syntax: str) -> bytes:
    """The identifier to send: the caller's own if it gave one."""
    if query.encoded is None:
        return encode_identifier(query, transfer_syntax)
    try:
        return transcode(query.encoded.data, query.encoded.transfer_syntax, transfer_syntax)
    except Malformed as exc:
        error = RequestError(
            f"the identifier cannot be passed on: {exc}", code="unreadable-identifier"
        )
        raise Refused(error) from exc


def _tellable(originator: Originator | None) -> Originator | None:
    """An AE title outside its repertoire (PS3.5 6.2) is better left out than passed on."""
    return originator if originator is not None and originator.aet.isascii() else None
