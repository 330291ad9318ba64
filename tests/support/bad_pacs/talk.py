"""One association, as far as a script lets it come."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias

from tests.support.bad_pacs import command, pdu
from tests.support.bad_pacs.command import Field, Tag
from tests.support.bad_pacs.instances import Instance, Row
from tests.support.bad_pacs.pdu import AssociateRequest, ContextAnswer, PduType, ProtocolError
from tests.support.bad_pacs.record import Connection, End, Record, Request
from tests.support.bad_pacs.wire import Part, Wire

OUR_MAX_LENGTH = 131072


class Ended(Exception):
    """The association is over; `end` says how."""

    def __init__(self, end: End) -> None:
        super().__init__(end)
        self.end = end


class ReleaseAsked(Exception):
    """The peer sent an A-RELEASE-RQ."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Counters:
    """Sub-operations of a C-GET or C-MOVE; None leaves the element out. PS3.4 C.4.2.1.6."""

    remaining: int | None = None
    completed: int | None = None
    failed: int | None = None
    warning: int | None = None

    def elements(self) -> dict[int, command.Value]:
        """Those that are there, as elements of a command set."""
        told = {
            Tag.REMAINING: self.remaining,
            Tag.COMPLETED: self.completed,
            Tag.FAILED: self.failed,
            Tag.WARNING: self.warning,
        }
        return {tag: value for tag, value in told.items() if value is not None}


@dataclass(frozen=True, slots=True, kw_only=True)
class Forged:
    """What is wrong with the header of a response; nothing by default."""

    message_id_shift: int = 0
    field: int | None = None
    sop_class: str | None = None


NOTHING_FORGED = Forged()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Message:
    context_id: int
    elements: Mapping[int, bytes]
    data: bytes | None
    size: int

    @property
    def field(self) -> int:
        return command.number(self.elements, Tag.COMMAND_FIELD)


class Step(Protocol):
    """One thing that the bad PACS does. Steps are values; a script is a tuple of them."""

    def run(self, talk: Talk) -> None:
        """Do it. `Ended` and `PeerGone` pass through."""
        ...


Steps: TypeAlias = tuple[Step, ...]
Encoder: TypeAlias = Callable[[Sequence[Row], str], Sequence[bytes]]


class Talk:
    """What a step may use: the wire, what was negotiated, and the request it answers.

    Args:
        encoder: encodes answers of a find; it may remember them.
        keep_data: whether data sets of requests are recorded.

    Attributes:
        cancelled: a C-CANCEL-RQ for the present request has come.
        counters: of the sub-operations so far.
        failed: SOP instance UIDs whose sub-operation failed.
        after_cut: what follows when a PDU has been cut short.
    """

    def __init__(
        self,
        wire: Wire,
        *,
        record: Record,
        connection: Connection,
        encoder: Encoder,
        keep_data: bool,
    ) -> None:
        self.wire = wire
        self.cancelled = False
        self.counters: Counters | None = None
        self.failed: list[str] = []
        self.after_cut: Step | None = None
        self._record = record
        self._connection = connection
        self._encoder = encoder
        self._keep_data = keep_data
        self._association: AssociateRequest | None = None
        self._accepted: dict[int, ContextAnswer] = {}
        self._request: Request | None = None
        self._store_id = 0

    @property
    def association(self) -> AssociateRequest:
        """The A-ASSOCIATE-RQ."""
        assert self._association is not None, "this step needs an association"
        return self._association

    @property
    def request(self) -> Request:
        """The request that the present steps answer."""
        assert self._request is not None, "this step needs a request"
        return self._request

    def read_association(self) -> None:
        """Wait for the A-ASSOCIATE-RQ."""
        kind, body = self.wire.read_pdu()
        if kind == PduType.ABORT:
            raise Ended(End.ABORTED)
        if kind != PduType.ASSOCIATE_RQ:
            raise ProtocolError(f"PDU of type {kind:#04x} before A-ASSOCIATE-RQ")
        request = self._association = pdu.parse_associate_request(body)
        self._connection.calling_ae_title = request.calling_ae_title
        self._connection.called_ae_title = request.called_ae_title
        self._connection.abstract_syntaxes = tuple(c.abstract_syntax for c in request.contexts)

    def accept(self, answers: Sequence[ContextAnswer], *, roles: bool, max_length: int) -> None:
        """Send the A-ASSOCIATE-AC and remember what it promises."""
        self._accepted = {answer.id: answer for answer in answers if answer.result == 0}
        accept = pdu.associate_accept(
            self.association,
            answers,
            roles=self.association.roles if roles else (),
            max_length=max_length,
        )
        self.wire.send(accept, Part.ACCEPT)

    def next_request(self) -> Request:
        """Wait for a request that wants an answer, and make it the present one."""
        while True:
            message = self._read_message()
            if message.field == Field.C_CANCEL_RQ:
                continue  # it came too late: PS3.7 9.3.2.3
            self._request = self._seen(message)
            self.cancelled, self.counters, self.failed = False, None, []
            return self._request

    def pause(self, seconds: float) -> None:
        """Wait, but take in what arrives; a C-CANCEL-RQ ends the wait."""
        while not self.cancelled and self.wire.readable(seconds):
            self._take_interruption()

    def listen_only(self) -> None:
        """Read and record for ever, and answer nothing."""
        while True:
            kind, body = self.wire.read_pdu()
            if kind == PduType.ABORT:
                raise Ended(End.ABORTED)
            if kind == PduType.P_DATA:
                self._seen(self._finish_message(body))

    def await_release_reply(self) -> None:
        """Read until the peer answers our A-RELEASE-RQ."""
        while True:
            kind, _ = self.wire.read_pdu()
            if kind == PduType.ABORT:
                raise Ended(End.ABORTED)
            if kind == PduType.RELEASE_RP:
                raise Ended(End.SCRIPTED)

    def encoded(self, rows: Sequence[Row]) -> Sequence[bytes]:
        """Answers in the transfer syntax of the present request."""
        return self._encoder(rows, self.request.transfer_syntax)

    def response(
        self,
        status: int,
        *,
        has_data: bool = False,
        counters: Counters | None = None,
        extra: Mapping[int, command.Value] | None = None,
        forged: Forged = NOTHING_FORGED,
    ) -> bytes:
        """The command set of a response to the present request."""
        request = self.request
        elements: dict[int, command.Value] = {
            Tag.AFFECTED_SOP_CLASS: forged.sop_class or request.sop_class,
            Tag.COMMAND_FIELD: (forged.field or Field[request.kind.replace("-", "_")] | 0x8000),
            Tag.RESPONDED_TO: (request.message_id + forged.message_id_shift) & 0xFFFF,
            Tag.DATA_SET_TYPE: command.DATA_SET if has_data else command.NO_DATA_SET,
            Tag.STATUS: status,
        }
        if request.sop_instance:
            elements[Tag.AFFECTED_SOP_INSTANCE] = request.sop_instance
        if counters is not None:
            elements.update(counters.elements())
        elements.update(extra or {})
        return command.encode(elements)

    def framed(self, data: bytes, *, is_command: bool) -> bytes:
        """The PDUs of one part of a message, in the context of the present request."""
        return b"".join(
            pdu.data_pdus(
                self.request.context_id,
                data,
                is_command=is_command,
                max_length=self.association.max_length,
            )
        )

    def send_message(
        self, command_set: bytes, data: bytes | None = None, *, context_id: int | None = None
    ) -> None:
        """Send a command set, and a data set if there is one, PDU by PDU."""
        context = self.request.context_id if context_id is None else context_id
        limit = self.association.max_length
        for part in pdu.data_pdus(context, command_set, is_command=True, max_length=limit):
            self.wire.send(part, Part.COMMAND)
        if data is not None:
            for part in pdu.data_pdus(context, data, is_command=False, max_length=limit):
                self.wire.send(part, Part.DATA)

    def store(self, instance: Instance) -> int | None:
        """A C-STORE sub-operation: the peer's status; None if no context was negotiated.

        PS3.4 C.4.3.2: on the same association, with the peer in the SCP role.
        """
        context_id = next(
            (
                answer.id
                for answer in self._accepted.values()
                if answer.abstract_syntax == instance.sop_class
                and answer.transfer_syntax == instance.transfer_syntax
            ),
            None,
        )
        if context_id is None:
            return None
        self._store_id = self._store_id % 0xFFFF + 1
        self.send_message(
            command.encode(
                {
                    Tag.AFFECTED_SOP_CLASS: instance.sop_class,
                    Tag.COMMAND_FIELD: Field.C_STORE_RQ,
                    Tag.MESSAGE_ID: self._store_id,
                    Tag.PRIORITY: 0,
                    Tag.DATA_SET_TYPE: command.DATA_SET,
                    Tag.AFFECTED_SOP_INSTANCE: instance.sop_instance,
                }
            ),
            instance.data,
            context_id=context_id,
        )
        while True:
            message = self._read_message()
            if message.field == Field.C_STORE_RSP:
                return command.number(message.elements, Tag.STATUS)
            self._interrupted_by(message)

    def _take_interruption(self) -> None:
        self._interrupted_by(self._read_message())

    def _interrupted_by(self, message: _Message) -> None:
        seen = self._seen(message)
        if message.field != Field.C_CANCEL_RQ:
            raise ProtocolError(f"{seen.kind} while {self.request.kind} is being answered")
        if seen.message_id == self.request.message_id:
            self.cancelled = True

    def _read_message(self) -> _Message:
        kind, body = self.wire.read_pdu()
        if kind == PduType.ABORT:
            raise Ended(End.ABORTED)
        if kind == PduType.RELEASE_RQ:
            raise ReleaseAsked
        if kind != PduType.P_DATA:
            raise ProtocolError(f"PDU of type {kind:#04x} on an association")
        return self._finish_message(body)

    def _finish_message(self, body: bytes) -> _Message:
        """Gather one message, whose first P-DATA-TF is here already. PS3.7 annex F."""
        command_set, data = bytearray(), bytearray()
        elements: Mapping[int, bytes] | None = None
        while True:
            if len(body) > OUR_MAX_LENGTH:
                raise ProtocolError(f"P-DATA-TF of {len(body)} bytes, allowed {OUR_MAX_LENGTH}")
            for value in pdu.parse_data(body):
                if value.context_id not in self._accepted:
                    raise ProtocolError(f"message in context {value.context_id}, never accepted")
                if value.is_command is not (elements is None):
                    raise ProtocolError("command and data set in the wrong order")
                (command_set if value.is_command else data).extend(value.data)
                if not value.is_last:
                    continue
                if value.is_command:
                    elements = command.decode(bytes(command_set))
                    has_data = command.number(elements, Tag.DATA_SET_TYPE) != command.NO_DATA_SET
                if elements is not None and (not value.is_command or not has_data):
                    return _Message(
                        context_id=value.context_id,
                        elements=elements,
                        data=bytes(data) if has_data and self._keep_data else None,
                        size=len(data),
                    )
            kind, body = self.wire.read_pdu()
            if kind == PduType.ABORT:
                raise Ended(End.ABORTED)
            if kind != PduType.P_DATA:
                raise ProtocolError(f"PDU of type {kind:#04x} in the middle of a message")

    def _seen(self, message: _Message) -> Request:
        try:
            kind = Field(message.field).name.replace("_", "-")
        except ValueError:
            raise ProtocolError(f"command field {message.field:#06x} is not a C-service") from None
        is_cancel = message.field == Field.C_CANCEL_RQ
        id_tag = Tag.RESPONDED_TO if is_cancel or message.field & 0x8000 else Tag.MESSAGE_ID
        request = Request(
            kind=kind,
            message_id=command.number(message.elements, id_tag),
            connection=self._connection.number,
            context_id=message.context_id,
            transfer_syntax=self._accepted[message.context_id].transfer_syntax,
            sop_class=command.text(message.elements, Tag.AFFECTED_SOP_CLASS),
            sop_instance=command.text(message.elements, Tag.AFFECTED_SOP_INSTANCE),
            move_destination=command.text(message.elements, Tag.MOVE_DESTINATION),
            data=message.data,
            size=message.size,
        )
        self._record.requested(request)
        return request
