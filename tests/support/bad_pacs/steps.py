"""What the bad PACS can do, one value each; a script strings them together.

Answers: `Accept`, `Reject`, `Rows`, `SendInstances`, `Progress`, `Final`, `ReleaseReply`.
Ends: `Abort`, `Reset`, `Close`, `ReleaseRequest`.
Silences: `Pause`, `Silence`, `Stare`, `Freeze` and `Slow` (in the middle of the next PDU).
Nonsense: `Raw`, `RawMessage`, and `garbage`, `huge_pdu`, `unknown_pdu`, `broken_command_set`,
`broken_identifier`; `Forged` in the header of a response.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass
from typing import Literal

from tests.support.bad_pacs import command, pdu
from tests.support.bad_pacs.command import Tag
from tests.support.bad_pacs.instances import Instance, Row, failed_uid_list
from tests.support.bad_pacs.pdu import ContextAnswer, PduType, ProposedContext
from tests.support.bad_pacs.record import End
from tests.support.bad_pacs.talk import (
    NOTHING_FORGED,
    OUR_MAX_LENGTH,
    Counters,
    Ended,
    Forged,
    Step,
    Talk,
)
from tests.support.bad_pacs.wire import Cut, Drip, Part

PENDING = 0xFF00
_GOODBYE_SECONDS = 5.0
_BATCH = 1 << 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Accept:
    """Accept the association and its contexts, each with the first syntax that may be.

    Attributes:
        only: abstract syntaxes to accept; None for all, an empty set for none.
        transfer_syntaxes: those that may be; None for any.
        refusal: result for other abstract syntaxes: 1 user, 2 no reason, 3 not supported.
        roles: whether role selection is answered, with what was proposed.
    """

    only: frozenset[str] | None = None
    transfer_syntaxes: frozenset[str] | None = None
    refusal: int = 3
    roles: bool = True
    max_length: int = OUR_MAX_LENGTH

    def run(self, talk: Talk) -> None:
        answers = [self._answer(context) for context in talk.association.contexts]
        talk.accept(answers, roles=self.roles, max_length=self.max_length)

    def _answer(self, context: ProposedContext) -> ContextAnswer:
        allowed = self.transfer_syntaxes
        fitting = [ts for ts in context.transfer_syntaxes if allowed is None or ts in allowed]
        result = 0 if fitting else 4  # PS3.8 9.3.3.2: transfer syntaxes not supported
        if self.only is not None and context.abstract_syntax not in self.only:
            result = self.refusal
        return ContextAnswer(
            id=context.id,
            result=result,
            abstract_syntax=context.abstract_syntax,
            transfer_syntax=(fitting or context.transfer_syntaxes)[0],
        )


@dataclass(frozen=True, slots=True)
class Reject:
    """Refuse the association. PS3.8 9.3.4: called AE title not recognised, by default."""

    result: int = 1
    source: int = 1
    reason: int = 7

    def run(self, talk: Talk) -> None:
        talk.wire.send(pdu.associate_reject(self.result, self.source, self.reason), Part.OTHER)
        talk.wire.await_end(_GOODBYE_SECONDS)
        raise Ended(End.SCRIPTED)


@dataclass(frozen=True, slots=True)
class Rows:
    """Answers of a find: pending responses, each with an identifier. PS3.4 C.4.1.

    Attributes:
        rows: data sets, or identifiers encoded already.
        delay: seconds before each; none lets many share a packet.
    """

    rows: Sequence[Row]
    _: KW_ONLY
    delay: float = 0.0
    status: int = PENDING
    forged: Forged = NOTHING_FORGED

    def run(self, talk: Talk) -> None:
        response = talk.response(self.status, has_data=True, forged=self.forged)
        if self.delay or talk.wire.armed:
            self._one_by_one(talk, response)
        else:
            self._in_batches(talk, response)

    def _one_by_one(self, talk: Talk, response: bytes) -> None:
        for row in talk.encoded(self.rows):
            talk.pause(self.delay)
            if talk.cancelled:
                return
            talk.send_message(response, row)

    def _in_batches(self, talk: Talk, response: bytes) -> None:
        head = talk.framed(response, is_command=True)
        batch = bytearray()
        for row in talk.encoded(self.rows):
            batch += head
            batch += talk.framed(row, is_command=False)
            if len(batch) >= _BATCH:
                talk.wire.send_raw(batch)
                batch.clear()
                talk.pause(0)
                if talk.cancelled:
                    return
        talk.wire.send_raw(batch)


@dataclass(frozen=True, slots=True)
class SendInstances:
    """Sub-operations of a C-GET, and a pending response after each. PS3.4 C.4.3.

    Attributes:
        delay: seconds before each instance.
        total: what the counters promise; None for the truth.
        report: whether there are pending responses.
    """

    instances: Sequence[Instance]
    _: KW_ONLY
    delay: float = 0.0
    total: int | None = None
    report: bool = True

    def run(self, talk: Talk) -> None:
        total = len(self.instances) if self.total is None else self.total
        completed = failed = warning = 0
        for instance in self.instances:
            talk.pause(self.delay)
            if talk.cancelled:
                return
            status = talk.store(instance)
            if status == 0:
                completed += 1
            elif status is not None and status >> 12 == 0xB:
                warning += 1
            else:
                failed += 1
                talk.failed.append(instance.sop_instance)
            talk.counters = Counters(
                remaining=max(0, total - completed - failed - warning),
                completed=completed,
                failed=failed,
                warning=warning,
            )
            if self.report and not talk.cancelled:
                talk.send_message(talk.response(PENDING, counters=talk.counters))


@dataclass(frozen=True, slots=True)
class Progress:
    """Pending responses of a C-MOVE or C-GET, with just these counters. PS3.4 C.4.2.1.6."""

    counters: Sequence[Counters]
    _: KW_ONLY
    delay: float = 0.0
    forged: Forged = NOTHING_FORGED

    def run(self, talk: Talk) -> None:
        for counters in self.counters:
            talk.pause(self.delay)
            if talk.cancelled:
                return
            talk.counters = counters
            talk.send_message(talk.response(PENDING, counters=counters, forged=self.forged))


@dataclass(frozen=True, slots=True)
class Final:
    """The last response.

    Attributes:
        status: None for the true one: 0000, B000 if some sub-operations failed, A702 if all did.
        counters: None for the true ones.
        failed: Failed SOP Instance UID List; None for the true one, empty for none at all.
    """

    status: int | None = None
    _: KW_ONLY
    error_comment: str | None = None
    offending_elements: tuple[int, ...] = ()
    counters: Counters | None = None
    failed: tuple[str, ...] | None = None
    forged: Forged = NOTHING_FORGED

    def run(self, talk: Talk) -> None:
        counters = self.counters or _without_remaining(talk.counters, self.status)
        status = self.status if self.status is not None else _true_status(counters)
        extra: dict[int, command.Value] = {}
        if self.error_comment is not None:
            extra[Tag.ERROR_COMMENT] = self.error_comment
        if self.offending_elements:
            extra[Tag.OFFENDING_ELEMENT] = self.offending_elements
        failed = talk.failed if self.failed is None else self.failed
        identifier = failed_uid_list(failed, talk.request.transfer_syntax) if failed else None
        response = talk.response(
            status,
            has_data=identifier is not None,
            counters=counters,
            extra=extra,
            forged=self.forged,
        )
        talk.send_message(response, identifier)


@dataclass(frozen=True, slots=True)
class ReleaseReply:
    """Answer an A-RELEASE-RQ and wait for the peer to close."""

    def run(self, talk: Talk) -> None:
        talk.wire.send(pdu.release_reply(), Part.OTHER)
        talk.wire.await_end(_GOODBYE_SECONDS)
        raise Ended(End.RELEASED)


@dataclass(frozen=True, slots=True)
class Abort:
    """Send A-ABORT. PS3.8 9.3.8: by the service user, by default."""

    source: int = 0
    reason: int = 0

    def run(self, talk: Talk) -> None:
        talk.wire.send(pdu.abort(self.source, self.reason), Part.OTHER)
        talk.wire.await_end(_GOODBYE_SECONDS)
        raise Ended(End.SCRIPTED)


@dataclass(frozen=True, slots=True)
class Reset:
    """End the connection with RST."""

    def run(self, talk: Talk) -> None:
        talk.wire.reset()
        raise Ended(End.SCRIPTED)


@dataclass(frozen=True, slots=True)
class Close:
    """End the connection with FIN, with no word of DICOM."""

    def run(self, talk: Talk) -> None:
        talk.wire.finish()
        talk.wire.await_end(_GOODBYE_SECONDS)
        raise Ended(End.SCRIPTED)


@dataclass(frozen=True, slots=True)
class ReleaseRequest:
    """Ask for the release of the association, which only its requester may."""

    def run(self, talk: Talk) -> None:
        talk.wire.send(pdu.release_request(), Part.OTHER)
        talk.await_release_reply()


@dataclass(frozen=True, slots=True)
class Pause:
    """Do nothing for a while; a C-CANCEL-RQ ends it."""

    seconds: float

    def run(self, talk: Talk) -> None:
        talk.pause(self.seconds)


@dataclass(frozen=True, slots=True)
class Silence:
    """Answer nothing more; what arrives is read and recorded."""

    def run(self, talk: Talk) -> None:
        talk.listen_only()


@dataclass(frozen=True, slots=True)
class Stare:
    """Answer nothing more and read nothing more, as a frozen host."""

    def run(self, talk: Talk) -> None:
        talk.wire.stare()


@dataclass(frozen=True, slots=True)
class Freeze:
    """In the middle of the next PDU that carries `part`, stop; then `then`, silence by default.

    Attributes:
        keep: what still goes out: 3 bytes of the header, or it and half of the body.
    """

    part: Part
    keep: Literal["header", "body"] = "header"
    _: KW_ONLY
    then: Step = Silence()

    def run(self, talk: Talk) -> None:
        talk.after_cut = self.then
        talk.wire.arm(Cut(part=self.part, keep=self.keep))


@dataclass(frozen=True, slots=True)
class Slow:
    """The next PDU that carries `part` goes out a byte at a time."""

    part: Part
    seconds: float = 1.0

    def run(self, talk: Talk) -> None:
        talk.wire.arm(Drip(part=self.part, seconds=self.seconds))


@dataclass(frozen=True, slots=True)
class Raw:
    """Send these bytes, whatever they are."""

    data: bytes

    def run(self, talk: Talk) -> None:
        talk.wire.send_raw(self.data)


@dataclass(frozen=True, slots=True)
class RawMessage:
    """Send this as a command set, properly framed, and perhaps a data set."""

    command_set: bytes
    data: bytes | None = None

    def run(self, talk: Talk) -> None:
        talk.send_message(self.command_set, self.data)


def counting(total: int) -> Progress:
    """The progress of a C-MOVE of `total` instances, all of which arrive."""
    return Progress(
        [
            Counters(remaining=total - done, completed=done, failed=0, warning=0)
            for done in range(1, total + 1)
        ]
    )


def garbage() -> Raw:
    """Bytes that are no PDU."""
    return Raw(b"HTTP/1.1 400 Bad Request\r\n\r\n" + bytes(range(128, 256)))


def huge_pdu() -> Raw:
    """A P-DATA-TF that claims four gigabytes, and its first bytes."""
    return Raw(bytes([PduType.P_DATA, 0]) + b"\xff\xff\xff\xff" + bytes(64))


def unknown_pdu() -> Raw:
    """A PDU of a type that the standard does not have."""
    return Raw(pdu.pdu(0x42, b"what is this"))


def broken_command_set() -> RawMessage:
    """A command set whose second element runs past its end."""
    return RawMessage(command.encode({})[:12] + b"\0\0\2\0\xff\xff\0\0abc")


def broken_identifier() -> Rows:
    """A pending response whose identifier cannot be decoded."""
    return Rows([b"\x10\0\x20\0\xfe\xff\xff\x7f" + b"\xff" * 8])


def _without_remaining(counters: Counters | None, status: int | None) -> Counters | None:
    # PS3.4 C.4.2.1.6: remaining is told while pending, and after a cancel.
    if counters is None or status == 0xFE00:
        return counters
    return Counters(completed=counters.completed, failed=counters.failed, warning=counters.warning)


def _true_status(counters: Counters | None) -> int:
    if counters is None or not counters.failed:
        return 0x0000
    return 0xB000 if counters.completed or counters.warning else 0xA702
