"""DIMSE-C services as a service class provider, on one accepted association. PS3.7 9.

One request at a time (no asynchronous operations window is negotiated, PS3.7 D.3.3.3). While
a query or a retrieve runs, its caller is listened to: a C-CANCEL, or the end of the
association, ends the work. What a caller sends that is no proper message is answered with a
failure status where it can be answered, and with an A-ABORT where it cannot.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

import trio

from harmony.dicom.status_codes import (
    CANCELLED,
    CLASS_NOT_SUPPORTED,
    MISTYPED_ARGUMENT,
    OUT_OF_RESOURCES,
    PROCESSING_FAILURE,
    SUCCESS,
    UNABLE_TO_PROCESS,
    UNRECOGNISED_OPERATION,
)
from harmony.dicom.uids import is_uid
from harmony.dimse.link import (
    AcceptedLink,
    Context,
    End,
    Ending,
    Fragment,
    LinkEnded,
    Role,
)
from harmony.dimse.negotiation import DEFAULT_ROLE, service_of
from harmony.dimse.provider import Answer, Call, Provider, ServingLimits, Tally
from harmony.dimse.serving_streams import Abort, Answers, IncomingData, taken, with_counters
from harmony.envelope import Encoded, Instance, Operation, Originator, WholeBytes
from harmony.telemetry.log import get_logger
from harmony.upper_layer.commands import (
    DATA_SET_PRESENT,
    NO_DATA_SET,
    Command,
    CommandField,
    encode,
)
from harmony.upper_layer.messages import Assembler, CommandSet

log = get_logger(__name__)

_MAX_IDENTIFIER_BYTES = 1024 * 1024
_RESPONSE = 0x8000  # bit of a command field, PS3.7 E.1
_MAX_AE_TITLE = 16  # PS3.5 table 6.2-1
_PARTING_SECONDS = 1.0

_OPERATIONS: dict[int, Operation] = {
    CommandField.C_ECHO_RQ: Operation.ECHO,
    CommandField.C_STORE_RQ: Operation.STORE,
    CommandField.C_FIND_RQ: Operation.FIND,
    CommandField.C_GET_RQ: Operation.GET,
    CommandField.C_MOVE_RQ: Operation.MOVE,
}


class ServedAssociation:
    """Serves one association. Implements `harmony.dimse.listener.Session`."""

    def __init__(
        self, link: AcceptedLink, provider: Provider, limits: ServingLimits, name: str
    ) -> None:
        self._link = link
        self._provider = provider
        self._limits = limits
        self._name = name
        self._busy = False
        self._finishing = False
        self._idle = trio.CancelScope()

    def finish(self) -> None:
        self._finishing = True
        if not self._busy:
            self._idle.cancel()

    async def run(self) -> None:
        """Answer requests until the association ends. See `Session.run`."""
        try:
            while not self._finishing:
                request = await self._next_request()
                if request is None:
                    break
                await self._serve(request)
                self._busy = False
            else:  # a caller that has just had its answer may want to release
                with trio.move_on_after(_PARTING_SECONDS):
                    await self._link.receive()
        except LinkEnded as exc:
            self._tell(exc.ending)
            return
        except Abort as exc:
            log.warning(
                "association.aborted",
                listener=self._name,
                address=self._link.request.address,
                code=exc.code,
            )
        await self._link.abort()

    def _tell(self, ending: Ending) -> None:
        """That the caller ended it, in whatever way."""
        if ending.end is not End.PROTOCOL:
            log.debug("association.ended", listener=self._name, reason=ending.end.value)
            return
        log.warning(
            "association.aborted",
            listener=self._name,
            address=self._link.request.address,
            code="protocol-violation",
            status=None if ending.reason is None else f"{ending.source}/{ending.reason}",
        )

    # Receiving

    async def _next_request(self) -> tuple[Context, Command] | None:
        """The next request; None if the association is to end because it is idle."""
        deadline = trio.current_time() + self._limits.idle_seconds
        while not self._finishing:
            first: Fragment | None = None
            with trio.CancelScope(deadline=deadline) as self._idle:
                first = await self._link.receive()
            if first is None:
                break
            self._busy = True
            context, command = await self._command(first)
            if command.field != CommandField.C_CANCEL_RQ:
                return context, command
            self._busy = False  # it came too late, and means nothing now
        return None

    async def _command(self, fragment: Fragment) -> tuple[Context, Command]:
        """A command set of which the first fragment is there. PS3.7 6.3.1."""
        context = self._link.contexts.get(fragment.context_id)
        if context is None:
            raise Abort("unknown-context")
        assembler = Assembler()
        with trio.move_on_after(self._limits.object_idle_seconds):
            while True:
                unit = taken(assembler, fragment)
                if isinstance(unit, CommandSet):
                    return context, unit.command
                fragment = await self._link.receive()
        raise Abort("stalled")

    # Requests

    async def _serve(self, request: tuple[Context, Command]) -> None:
        context, command = request
        if command.field & _RESPONSE:
            raise Abort("response-to-nothing")
        if command.message_id is None:
            raise Abort("request-without-message-id")
        data = IncomingData(self._link, context.id, self._limits)
        if not command.has_data_set:
            data.ended.set()
        asked = _judged(command, command.message_id, context, self._link.acceptance.roles)
        if isinstance(asked, Answer):
            await data.pass_over()
            await self._respond(context, command, asked)
            return
        match asked.operation:
            case Operation.ECHO:
                await data.pass_over()
                answer = await self._work(asked, lambda: self._provider.echo(asked))
                await self._respond(context, command, answer)
            case Operation.STORE:
                await self._respond(context, command, await self._store(asked, command, data))
            case _:
                await self._query(asked, command, data)

    async def _store(self, call: Call, command: Command, data: IncomingData) -> Answer:
        """C-STORE. PS3.4 B.2, PS3.7 9.1.1."""
        instance_uid = command.affected_sop_instance_uid
        assert instance_uid is not None
        instance = Instance(
            sop_class_uid=call.context.abstract_syntax,
            sop_instance_uid=instance_uid,
            transfer_syntax=call.context.transfer_syntax,
            data=data,
            originator=_originator(command),
        )
        answer = await self._work(call, lambda: self._provider.store(call, instance), data=data)
        await data.pass_over()
        if data.is_too_long:
            return Answer(status=OUT_OF_RESOURCES, comment="object larger than allowed")
        return answer

    async def _query(self, call: Call, command: Command, data: IncomingData) -> None:
        """C-FIND, C-GET, C-MOVE. PS3.4 C.4."""
        whole = await data.whole(_MAX_IDENTIFIER_BYTES)
        if whole is None:
            await self._respond(
                call.context,
                command,
                Answer(status=UNABLE_TO_PROCESS, comment="identifier too long"),
            )
            return
        identifier = Encoded(data=whole, transfer_syntax=call.context.transfer_syntax)
        answers = Answers(self._link, call, self._limits.store_seconds)
        provider = self._provider
        if call.operation is Operation.FIND:
            answer = await self._work(
                call, lambda: provider.find(call, identifier, answers), answers=answers
            )
            await self._respond(call.context, command, answer)
            return
        answer = await self._work(
            call, lambda: provider.retrieve(call, identifier, answers), answers=answers
        )
        failed = b""
        if answer.status != SUCCESS:
            failed = provider.failed_list(answers.tally.failed_uids, call.context.transfer_syntax)
        await self._respond(call.context, command, answer, tally=answers.tally, identifier=failed)

    # Working and listening

    async def _work(
        self,
        call: Call,
        work: Callable[[], Awaitable[Answer]],
        *,
        data: IncomingData | None = None,
        answers: Answers | None = None,
    ) -> Answer:
        """Let the provider work, and stop it when its caller cancels or goes.

        Raises:
            LinkEnded, Abort: the association is over, or must be.
        """
        answer: Answer | None = None
        over: LinkEnded | Abort | None = None

        async def listen(scope: trio.CancelScope) -> None:
            nonlocal over
            try:
                if data is not None:  # whose reader listens until then
                    await data.ended.wait()
                await self._listen(call, answers, scope)
            except (LinkEnded, Abort) as exc:
                over = exc
                scope.cancel()
            finally:
                if answers is not None:
                    answers.give_up()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(listen, nursery.cancel_scope)
            try:
                answer = await work()
            except (LinkEnded, Abort) as exc:
                over = exc
            except Exception:
                # A fault of ours, met by one request; the daemon and the others go on.
                log.exception("request.failed", listener=self._name, operation=call.operation)
                answer = Answer(status=PROCESSING_FAILURE)
            nursery.cancel_scope.cancel()
        if data is not None and data.broken is not None:
            raise data.broken
        if over is not None:
            raise over
        return answer or Answer(status=CANCELLED)

    async def _listen(self, call: Call, answers: Answers | None, scope: trio.CancelScope) -> None:
        """Hear what a caller may say while it waits for its answer. PS3.7 9.3.2.3, 9.3.1."""
        while True:
            first = await self._link.receive()
            with trio.CancelScope(shield=True):  # a command that has begun is heard to its end
                context, command = await self._command(first)
            if command.field == CommandField.C_CANCEL_RQ:
                if answers is not None and command.responds_to == call.message_id:
                    answers.cancel(scope)
            elif command.field != CommandField.C_STORE_RSP or answers is None:
                raise Abort("request-before-answer")
            else:
                answers.take(context, command)

    async def _respond(
        self,
        context: Context,
        command: Command,
        answer: Answer,
        *,
        tally: Tally | None = None,
        identifier: bytes = b"",
    ) -> None:
        instance_uid = command.affected_sop_instance_uid
        response = Command(
            field=command.field | _RESPONSE,
            affected_sop_class_uid=context.abstract_syntax,
            # Not what is no UID: it may hold what a command set cannot.
            affected_sop_instance_uid=instance_uid if is_uid(instance_uid or "") else None,
            responds_to=command.message_id,
            data_set_type=DATA_SET_PRESENT if identifier else NO_DATA_SET,
            status=answer.status,
            error_comment=answer.comment or None,
        )
        if tally is not None:
            response = with_counters(response, tally, remaining=answer.status == CANCELLED)
        data = WholeBytes(identifier) if identifier else None
        await self._link.send(context.id, encode(response), data)


def _judged(
    command: Command, message_id: int, context: Context, roles: Mapping[str, Role]
) -> Call | Answer:
    """What a request asks for, or the failure that answers it at once."""
    operation = _OPERATIONS.get(command.field)
    served, root = service_of(context.abstract_syntax)
    if operation is None or operation is not served:
        return Answer(status=UNRECOGNISED_OPERATION)
    if command.affected_sop_class_uid != context.abstract_syntax:
        return Answer(status=CLASS_NOT_SUPPORTED, comment="SOP class is not the context's")
    if operation is not Operation.ECHO and not command.has_data_set:
        return Answer(status=MISTYPED_ARGUMENT, comment="no data set")
    if operation is Operation.STORE:
        if not is_uid(command.affected_sop_instance_uid or ""):
            return Answer(status=UNABLE_TO_PROCESS, comment="SOP Instance UID is no UID")
        if not roles.get(context.abstract_syntax, DEFAULT_ROLE).scu:
            return Answer(status=CLASS_NOT_SUPPORTED, comment="the SCU role was not granted")
    return Call(
        operation=operation,
        message_id=message_id,
        context=context,
        root=root,
        destination=command.move_destination,
    )


def _originator(command: Command) -> Originator | None:
    """For which C-MOVE it is sent, if that is told in a way that can be told on."""
    title, number = command.move_originator_ae_title, command.move_originator_message_id
    if title is None or number is None:
        return None
    proper = title.isascii() and title.isprintable() and 0 < len(title) <= _MAX_AE_TITLE
    return Originator(title, number) if proper else None
