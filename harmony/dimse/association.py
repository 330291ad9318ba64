"""DIMSE-C operations as a service class user, on one link.

Every operation either ends in order, and then says so by returning, or raises and leaves the
association hung up: `is_reusable` tells which. Answers go to an `emit` callback as they come;
while it waits the peer is held back by TCP.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import trio

from harmony.dicom.query import encode_identifier
from harmony.dicom.status import StatusKind, failure, hex_status, kind
from harmony.dimse.contexts import MODELS, VERIFICATION
from harmony.dimse.failures import NotAnswered, contradiction, link_failure, no_context, too_late
from harmony.dimse.identifiers import failed_instances
from harmony.dimse.link import Context, Link, LinkEnded
from harmony.dimse.target import Target
from harmony.envelope import (
    ByteStream,
    Completion,
    Instance,
    Match,
    Operation,
    Outcome,
    Progress,
    Query,
    Stored,
    SubOperations,
    WholeBytes,
)
from harmony.errors import HarmonyError, UpstreamError
from harmony.upper_layer.commands import (
    DATA_SET_PRESENT,
    MAX_COMMAND_BYTES,
    PRIORITY_MEDIUM,
    Command,
    CommandError,
    CommandField,
    decode,
    encode,
)

MAX_IDENTIFIER_BYTES = 1024 * 1024
_SUCCESS = 0x0000


class Emit(Protocol):
    """Takes one item; may wait as long as the reader needs."""

    async def __call__(self, item: Match | Instance | Progress, /) -> None: ...


@dataclass(frozen=True, slots=True)
class _Received:
    context_id: int
    command: Command


class Association:
    """One association, used by one task at a time."""

    def __init__(self, link: Link, target: Target) -> None:
        self._link = link
        self._target = target
        self._message_id = 0
        self._answered = False
        self._in_order = True
        self._doubt = False
        self._used = False

    @property
    def is_reusable(self) -> bool:
        """True if every operation ended in order and nothing unasked has come since."""
        return self._in_order and self._link.is_quiet

    @property
    def was_used(self) -> bool:
        """True if an earlier operation has ended on it, so the peer may have gone since."""
        return self._used

    def accepts(self, abstract_syntax: str, transfer_syntax: str) -> bool:
        """Whether the peer takes this class in exactly this syntax."""
        return self._context(abstract_syntax, transfer_syntax) is not None

    def hang_up(self) -> None:
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
            context = self._find_context(Operation.ECHO, VERIFICATION)
            request = Command(
                field=CommandField.C_ECHO_RQ,
                affected_sop_class_uid=VERIFICATION,
                message_id=self._message_id,
            )
            await self._link.send(context.id, encode(request))
            answer = await self._response(
                context, CommandField.C_ECHO_RSP, self._target.timeouts.echo_seconds
            )
            status = _status(answer, self._target)
            if status != _SUCCESS:
                raise self._failure(Operation.ECHO, answer)

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
            context, data = self._query_message(Operation.FIND, query)
            await self._send_query(context, CommandField.C_FIND_RQ, data)
            seen = 0
            seconds = timeouts.find_first_seconds
            while True:
                answer = await self._response(context, CommandField.C_FIND_RSP, seconds)
                seconds = timeouts.find_next_seconds
                status = _status(answer, self._target)
                if kind(status) is not StatusKind.PENDING:
                    return self._find_outcome(answer, status)
                match = await self._match(context, answer, status, seconds)
                seen += 1
                if query.limit is not None and seen > query.offset + query.limit:
                    if not await self._cancel(context):
                        self._doubt = True
                    return Outcome(completion=Completion.LIMITED, status=status)
                if seen > query.offset:
                    await emit(match)

    async def get(self, query: Query, emit: Emit) -> Outcome:
        """C-GET. PS3.4 C.4.3, PS3.7 9.1.3.

        Each instance is emitted when its first bytes are there, and answered when its reader
        has taken the last one.

        Raises:
            RequestError, UpstreamError
        """
        with self._operation(Operation.GET):
            context, data = self._query_message(Operation.GET, query)
            await self._send_query(context, CommandField.C_GET_RQ, data)
            received = 0
            while True:
                message = await self._message(self._target.timeouts.get_seconds)
                if message.command.field == CommandField.C_STORE_RQ:
                    await self._sub_operation(message, emit)
                    received += 1
                    continue
                answer = self._check_response(message, context, CommandField.C_GET_RSP)
                failed = await self._failed_instances(context, answer)
                status = _status(answer, self._target)
                if kind(status) is not StatusKind.PENDING:
                    return self._get_outcome(answer, status, received, failed)

    async def move(self, query: Query, emit: Emit) -> Outcome:
        """C-MOVE to ``query.destination``. PS3.4 C.4.2, PS3.7 9.1.4.

        Raises:
            RequestError, UpstreamError
        """
        with self._operation(Operation.MOVE):
            context, data = self._query_message(Operation.MOVE, query)
            await self._send_query(
                context, CommandField.C_MOVE_RQ, data, destination=query.destination
            )
            done = 0
            while True:
                answer = await self._response(
                    context, CommandField.C_MOVE_RSP, self._target.timeouts.move_seconds
                )
                failed = await self._failed_instances(context, answer)
                status = _status(answer, self._target)
                counters = _counters(answer)
                now_done = _done(counters)
                if now_done is not None:
                    if now_done < done:
                        raise contradiction(self._target, "counters of the retrieve run backwards")
                    done = now_done
                if kind(status) is StatusKind.PENDING:
                    await emit(Progress(counters=counters))
                else:
                    return self._move_outcome(answer, status, counters, failed, query)

    async def store(self, instance: Instance) -> Stored:
        """C-STORE. PS3.4 B.2, PS3.7 9.1.1. A failure status is a result, not an exception.

        If reading ``instance.data`` raises, the association is hung up: a data set that is not
        whole is never finished.

        Raises:
            UpstreamError: no context for it, or no proper answer.
        """
        with self._operation(Operation.STORE):
            context = self._context(instance.sop_class_uid, instance.transfer_syntax)
            if context is None:
                raise no_context(self._target, Operation.STORE, instance.sop_class_uid)
            request = Command(
                field=CommandField.C_STORE_RQ,
                affected_sop_class_uid=instance.sop_class_uid,
                affected_sop_instance_uid=instance.sop_instance_uid,
                message_id=self._message_id,
                priority=PRIORITY_MEDIUM,
                data_set_type=DATA_SET_PRESENT,
            )
            await self._link.send(context.id, encode(request), instance.data)
            answer = await self._response(
                context, CommandField.C_STORE_RSP, self._target.timeouts.store_seconds
            )
            about = answer.affected_sop_instance_uid
            if about is not None and about != instance.sop_instance_uid:
                raise contradiction(self._target, "the answer is about another instance")
            return Stored(
                sop_class_uid=instance.sop_class_uid,
                sop_instance_uid=instance.sop_instance_uid,
                status=_status(answer, self._target),
            )

    # One operation from request to final response

    @contextlib.contextmanager
    def _operation(self, operation: Operation) -> Iterator[None]:
        """Number the message, and hang up unless the operation ends in order."""
        self._message_id = self._message_id % 0xFFFF + 1
        self._answered = self._doubt = False
        self._in_order = False
        try:
            yield
        except LinkEnded as exc:
            self._link.hang_up()
            error = link_failure(exc.ending, operation, self._target, answered=self._answered)
            if not self._answered and self._used:
                raise NotAnswered(error) from exc
            raise error from exc
        except _Refused as exc:
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

    def _find_outcome(self, answer: Command, status: int) -> Outcome:
        match kind(status):
            case StatusKind.SUCCESS:
                return Outcome(status=status)
            case StatusKind.WARNING:
                return Outcome(completion=Completion.LIMITED, status=status)
            case _:
                raise _Refused(self._failure(Operation.FIND, answer))

    def _get_outcome(
        self, answer: Command, status: int, received: int, missing: tuple[str, ...]
    ) -> Outcome:
        counters = _counters(answer)
        told = _sum(counters.completed, counters.warning)
        if told is not None and told != received:
            raise contradiction(
                self._target, f"the peer counts {told} instances sent, {received} came"
            )
        if received and counters.completed is None:
            counters = SubOperations(remaining=0, completed=received, failed=counters.failed)
        self._check_done(status, counters)
        if kind(status) is StatusKind.WARNING or (status == _SUCCESS and counters.failed):
            if received:
                return Outcome(
                    completion=Completion.PARTIAL,
                    status=status,
                    counters=counters,
                    missing=missing,
                )
            raise _Refused(self._failure(Operation.GET, answer))
        if status != _SUCCESS:
            raise _Refused(self._failure(Operation.GET, answer, completed=received))
        return Outcome(status=status, counters=counters)

    def _move_outcome(
        self,
        answer: Command,
        status: int,
        counters: SubOperations,
        missing: tuple[str, ...],
        query: Query,
    ) -> Outcome:
        completed = _sum(counters.completed, counters.warning) or 0
        self._check_done(status, counters)
        if kind(status) is StatusKind.WARNING or (status == _SUCCESS and counters.failed):
            if completed:
                return Outcome(
                    completion=Completion.PARTIAL,
                    status=status,
                    counters=counters,
                    missing=missing,
                )
            raise _Refused(self._failure(Operation.MOVE, answer, query=query))
        if status != _SUCCESS:
            raise _Refused(self._failure(Operation.MOVE, answer, completed=completed, query=query))
        return Outcome(status=status, counters=counters)

    def _check_done(self, status: int, counters: SubOperations) -> None:
        if status == _SUCCESS and counters.remaining:
            raise contradiction(
                self._target, f"success with {counters.remaining} sub-operations remaining"
            )

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
                if kind(_status(answer, self._target)) is not StatusKind.PENDING:
                    # Orthanc announces a data set here and sends none: who knows what is next.
                    return not answer.has_data_set
                if answer.has_data_set:
                    await self._data_set(context, seconds)
        return False

    # Messages

    async def _response(self, context: Context, field: CommandField, seconds: float) -> Command:
        return self._check_response(await self._message(seconds), context, field)

    def _check_response(self, message: _Received, context: Context, field: CommandField) -> Command:
        command = message.command
        if command.field != field:
            raise contradiction(
                self._target, f"message {hex_status(command.field)} instead of an answer"
            )
        if command.responds_to != self._message_id:
            raise contradiction(self._target, "an answer to another message")
        if message.context_id != context.id:
            raise contradiction(self._target, "an answer in another presentation context")
        self._answered = True
        return command

    async def _message(self, seconds: float) -> _Received:
        """The next command set, whole."""
        data = bytearray()
        with trio.move_on_after(seconds):
            while True:
                fragment = await self._link.receive()
                if not fragment.is_command:
                    raise contradiction(self._target, "a data set that no command announced")
                data += fragment.data
                if fragment.is_last:
                    break
                if len(data) > MAX_COMMAND_BYTES:
                    raise contradiction(self._target, "a command set without end")
            try:
                return _Received(fragment.context_id, decode(bytes(data)))
            except CommandError as exc:
                raise contradiction(self._target, str(exc)) from exc
        raise too_late(self._target, seconds)

    async def _data_set(self, context: Context, seconds: float) -> bytes:
        """The data set that belongs to the last command, whole; for identifiers."""
        data = bytearray()
        incoming = _Incoming(self, context.id, seconds, MAX_IDENTIFIER_BYTES)
        while (chunk := await incoming.next()) is not None:
            data += chunk
        return bytes(data)

    async def _match(self, context: Context, answer: Command, status: int, seconds: float) -> Match:
        if not answer.has_data_set:
            raise contradiction(self._target, "a pending answer without an identifier")
        return Match(
            identifier=await self._data_set(context, seconds),
            transfer_syntax=context.transfer_syntax,
            all_keys_supported=status != 0xFF01,  # PS3.4 table C.4-1
        )

    async def _failed_instances(self, context: Context, answer: Command) -> tuple[str, ...]:
        """Failed SOP Instance UID List (0008,0058). PS3.4 C.4.2.1.4.2 and C.4.3.1.3.2."""
        if not answer.has_data_set:
            return ()
        with trio.move_on_after(self._target.timeouts.pdu_seconds):
            data = await self._data_set(context, math.inf)
            return failed_instances(data, context.transfer_syntax)
        self._doubt = True  # announced and not sent; the status in hand counts all the same
        return ()

    async def _sub_operation(self, message: _Received, emit: Emit) -> None:
        """Take one C-STORE of a C-GET. PS3.4 C.4.3.2, PS3.7 9.3.1."""
        request = message.command
        context = self._link.contexts.get(message.context_id)
        if context is None or not request.has_data_set or request.message_id is None:
            raise contradiction(self._target, "a C-STORE sub-operation that cannot be answered")
        if not request.affected_sop_class_uid or not request.affected_sop_instance_uid:
            raise contradiction(self._target, "a C-STORE sub-operation without UIDs")
        self._answered = True
        send, receive = trio.open_memory_channel[bytes | None](0)
        with send:
            await emit(
                Instance(
                    sop_class_uid=request.affected_sop_class_uid,
                    sop_instance_uid=request.affected_sop_instance_uid,
                    transfer_syntax=context.transfer_syntax,
                    data=ByteStream(receive),
                )
            )
            incoming = _Incoming(
                self, context.id, self._target.timeouts.get_seconds, self._target.max_object_bytes
            )
            while (chunk := await incoming.next()) is not None:
                await send.send(chunk)
            await send.send(None)
        response = Command(
            field=CommandField.C_STORE_RSP,
            affected_sop_class_uid=request.affected_sop_class_uid,
            affected_sop_instance_uid=request.affected_sop_instance_uid,
            responds_to=request.message_id,
            status=_SUCCESS,
        )
        await self._link.send(context.id, encode(response))

    # Requests

    def _query_message(self, operation: Operation, query: Query) -> tuple[Context, bytes]:
        context = self._find_context(operation, MODELS[operation][query.root])
        return context, encode_identifier(query, context.transfer_syntax)

    async def _send_query(
        self,
        context: Context,
        field: CommandField,
        identifier: bytes,
        *,
        destination: str | None = None,
    ) -> None:
        request = Command(
            field=field,
            affected_sop_class_uid=context.abstract_syntax,
            message_id=self._message_id,
            priority=PRIORITY_MEDIUM,
            data_set_type=DATA_SET_PRESENT,
            move_destination=destination,
        )
        await self._link.send(context.id, encode(request), WholeBytes(identifier))

    def _find_context(self, operation: Operation, abstract_syntax: str) -> Context:
        for context in self._link.contexts.values():
            if context.abstract_syntax == abstract_syntax:
                return context
        raise _Refused(no_context(self._target, operation, abstract_syntax))

    def _context(self, abstract_syntax: str, transfer_syntax: str) -> Context | None:
        for context in self._link.contexts.values():
            if (context.abstract_syntax, context.transfer_syntax) == (
                abstract_syntax,
                transfer_syntax,
            ):
                return context
        return None

    def _failure(
        self,
        operation: Operation,
        answer: Command,
        *,
        completed: int = 0,
        query: Query | None = None,
    ) -> HarmonyError:
        return failure(
            operation,
            _status(answer, self._target),
            peer=str(self._target),
            comment=answer.error_comment,
            completed=completed,
            destination=query.destination if query is not None else None,
            local_aet=self._target.local_aet,
        )


class _Incoming:
    """The data set that follows a command, fragment by fragment."""

    def __init__(
        self, association: Association, context_id: int, seconds: float, limit: int
    ) -> None:
        self._link = association._link
        self._target = association._target
        self._context_id = context_id
        self._seconds = seconds
        self._room = limit
        self._ended = False

    async def next(self) -> bytes | None:
        """The next bytes; None at the end.

        Raises:
            LinkEnded, UpstreamError
        """
        if self._ended:
            return None
        with trio.move_on_after(self._seconds):
            fragment = await self._link.receive()
            if fragment.is_command or fragment.context_id != self._context_id:
                raise contradiction(self._target, "a data set is broken off by another message")
            self._room -= len(fragment.data)
            if self._room < 0:
                raise contradiction(self._target, "a data set is longer than allowed")
            self._ended = fragment.is_last
            return fragment.data
        raise too_late(self._target, self._seconds)


class _Refused(Exception):
    """A failure that was answered in order: the association can be used again."""

    def __init__(self, error: HarmonyError) -> None:
        super().__init__(error.detail)
        self.error = error


def _status(answer: Command, target: Target) -> int:
    if answer.status is None:
        raise contradiction(target, "an answer without a status")
    return answer.status


def _counters(answer: Command) -> SubOperations:
    return SubOperations(
        remaining=answer.remaining,
        completed=answer.completed,
        failed=answer.failed,
        warning=answer.warning,
    )


def _sum(*numbers: int | None) -> int | None:
    known = [n for n in numbers if n is not None]
    return sum(known) if known else None


def _done(counters: SubOperations) -> int | None:
    return _sum(counters.completed, counters.failed, counters.warning)
