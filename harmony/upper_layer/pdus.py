"""The seven PDUs of the upper layer as values, from and to bytes. PS3.8 9.3.

`decode` and `fragments` are tolerant of what does no harm: unknown items, reserved bytes, padded
UIDs. Whatever bytes they are given, they raise nothing but `PduError`, whose reason is what the
A-ABORT has to say. `encode` is strict and raises ValueError. P-DATA-TF is written by `messages`.
"""

from __future__ import annotations

import enum
import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from harmony.upper_layer import user_information
from harmony.upper_layer.user_information import (
    ItemError,
    UserInformation,
    at_least,
    item,
    items,
    uid_item,
    uid_text,
)

APPLICATION_CONTEXT: Final = "1.2.840.10008.3.1.1.1"  # PS3.7 A.2.1

_CONTROL_BYTES: Final = 4  # body of A-ASSOCIATE-RJ, A-RELEASE-RQ, A-RELEASE-RP and A-ABORT
_MAX_CONTROL_BYTES: Final = 256  # what is behind the four is ignored, up to here

# PS3.8 9.3.2 and 9.3.3
_APPLICATION_CONTEXT: Final = 0x10
_PROPOSED_CONTEXT: Final = 0x20
_ANSWERED_CONTEXT: Final = 0x21
_ABSTRACT_SYNTAX: Final = 0x30
_TRANSFER_SYNTAX: Final = 0x40
_USER_INFORMATION: Final = 0x50

_HEADER: Final = struct.Struct(">BxL")
_FIXED: Final = struct.Struct(">H2x16s16s32x")  # what A-ASSOCIATE-RQ and -AC begin with
_VALUE_HEADER: Final = struct.Struct(">LBB")  # length, context ID, message control header

_MAX_TITLE: Final = 16
_MAX_VALUES: Final = 1024  # of a P-DATA-TF; peers send one or two
_MAX_CONTEXT_ID: Final = 255
_MAX_CONTEXT_RESULT: Final = 4  # PS3.8 table 9-18
_REJECTIONS: Final = {1: (1, 2, 3, 7), 2: (1, 2), 3: (1, 2)}  # source: reasons, PS3.8 table 9-21


class PduType(enum.IntEnum):
    """First byte of a PDU. PS3.8 9.3.2 to 9.3.8."""

    ASSOCIATE_RQ = 1
    ASSOCIATE_AC = 2
    ASSOCIATE_RJ = 3
    DATA_TF = 4
    RELEASE_RQ = 5
    RELEASE_RP = 6
    ABORT = 7


class AbortSource(enum.IntEnum):
    """Who ends the association. PS3.8 table 9-26."""

    USER = 0
    PROVIDER = 2


class AbortReason(enum.IntEnum):
    """Why the provider ends it. PS3.8 table 9-26."""

    NOT_SPECIFIED = 0
    UNRECOGNISED_PDU = 1
    UNEXPECTED_PDU = 2
    UNRECOGNISED_PARAMETER = 4
    UNEXPECTED_PARAMETER = 5
    INVALID_PARAMETER = 6


# What may be sent, by source. PS3.8 table 9-26.
_ABORTS: Final[dict[int, tuple[int, ...]]] = {
    AbortSource.USER: (AbortReason.NOT_SPECIFIED,),
    AbortSource.PROVIDER: tuple(AbortReason),
}


class PduError(ValueError):
    """These bytes are no PDU that may be sent; the text quotes none of them.

    Args:
        text: what is wrong.
        reason: what the A-ABORT gives as its reason.
    """

    def __init__(self, text: str, reason: AbortReason) -> None:
        super().__init__(text)
        self.reason = reason


@dataclass(frozen=True, slots=True, kw_only=True)
class ProposedContext:
    """A presentation context as a request proposes it. PS3.8 9.3.2.2.

    Attributes:
        abstract_syntax: empty if a peer gave none.
        transfer_syntaxes: none if a peer gave none.
    """

    id: int
    abstract_syntax: str
    transfer_syntaxes: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class AnsweredContext:
    """What became of a presentation context. PS3.8 9.3.3.2.

    Attributes:
        result: 0 if it was accepted, see PS3.8 table 9-18; a peer's may be any number.
        transfer_syntax: of no meaning, and from a peer maybe empty, unless it was accepted.
    """

    id: int
    result: int
    transfer_syntax: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AssociateRequest:
    """A-ASSOCIATE-RQ. PS3.8 9.3.2.

    Attributes:
        called_aet: when read, the 16 characters that came, padding and all.
        calling_aet: likewise.
        application_context: empty if a peer gave none.
        protocol_version: a bit for each version; bit 0 is the only one there is.
    """

    called_aet: str
    calling_aet: str
    application_context: str = APPLICATION_CONTEXT
    contexts: tuple[ProposedContext, ...]
    user: UserInformation
    protocol_version: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class AssociateAccept:
    """A-ASSOCIATE-AC. PS3.8 9.3.3.

    Attributes:
        called_aet: what the request held, unchanged; to be ignored in what a peer sends.
        calling_aet: likewise.
        application_context: empty if a peer gave none.
    """

    called_aet: str
    calling_aet: str
    application_context: str = APPLICATION_CONTEXT
    contexts: tuple[AnsweredContext, ...]
    user: UserInformation
    protocol_version: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class AssociateReject:
    """A-ASSOCIATE-RJ. PS3.8 9.3.4, table 9-21."""

    result: int
    source: int
    reason: int


@dataclass(frozen=True, slots=True)
class ReleaseRequest:
    """A-RELEASE-RQ. PS3.8 9.3.6."""


@dataclass(frozen=True, slots=True)
class ReleaseResponse:
    """A-RELEASE-RP. PS3.8 9.3.7."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Abort:
    """A-ABORT. PS3.8 9.3.8.

    Attributes:
        reason: of no meaning unless the source is the provider.
    """

    source: int
    reason: int


@dataclass(frozen=True, slots=True)
class Fragment:
    """One presentation data value: a piece of a command set or of a data set. PS3.8 9.3.5.1, E.2.

    Attributes:
        is_command: whether it belongs to the command set.
        is_last: whether it is the last of that command set or data set.
    """

    context_id: int
    is_command: bool
    is_last: bool
    data: bytes = field(repr=False)


Pdu: TypeAlias = (
    AssociateRequest | AssociateAccept | AssociateReject | ReleaseRequest | ReleaseResponse | Abort
)


# Writing


def encode(pdu: Pdu) -> bytes:
    """Write a PDU, its header included.

    Raises:
        ValueError: names the field that must not be sent so.
    """
    match pdu:
        case AssociateRequest():
            return _unit(PduType.ASSOCIATE_RQ, _request(pdu))
        case AssociateAccept():
            return _unit(PduType.ASSOCIATE_AC, _accept(pdu))
        case AssociateReject():
            if pdu.result not in (1, 2):
                raise ValueError(f"result of a rejection is neither 1 nor 2: {pdu.result}")
            if pdu.reason not in _REJECTIONS.get(pdu.source, ()):
                raise ValueError(
                    "source and reason of a rejection are not in PS3.8 table 9-21: "
                    f"{pdu.source}, {pdu.reason}"
                )
            return _unit(PduType.ASSOCIATE_RJ, bytes((0, pdu.result, pdu.source, pdu.reason)))
        case ReleaseRequest():
            return _unit(PduType.RELEASE_RQ, bytes(_CONTROL_BYTES))
        case ReleaseResponse():
            return _unit(PduType.RELEASE_RP, bytes(_CONTROL_BYTES))
        case Abort():
            if pdu.source not in _ABORTS:
                raise ValueError(f"source of an abort is neither 0 nor 2: {pdu.source}")
            if pdu.reason not in _ABORTS[pdu.source]:
                raise ValueError(
                    f"reason of an abort is not in PS3.8 table 9-26 for its source: {pdu.reason}"
                )
            return _unit(PduType.ABORT, bytes((0, 0, pdu.source, pdu.reason)))


def _unit(kind: PduType, body: bytes) -> bytes:
    return _HEADER.pack(kind, len(body)) + body


def _request(pdu: AssociateRequest) -> bytes:
    if not pdu.contexts:
        raise ValueError("contexts is empty: a request proposes at least one")
    if pdu.user.user_identity_answer is not None:
        raise ValueError("user_identity_answer is for acceptances alone")
    _check_ids([context.id for context in pdu.contexts])
    called, calling = _title(pdu.called_aet, "called_aet"), _title(pdu.calling_aet, "calling_aet")
    contexts = [_proposed(context) for context in pdu.contexts]
    return _associate(pdu, called, calling, contexts)


def _accept(pdu: AssociateAccept) -> bytes:
    if pdu.user.user_identity is not None:
        raise ValueError("user_identity is for requests alone")
    _check_ids([context.id for context in pdu.contexts])
    called, calling = _echo(pdu.called_aet, "called_aet"), _echo(pdu.calling_aet, "calling_aet")
    contexts = [_answered(context) for context in pdu.contexts]
    return _associate(pdu, called, calling, contexts)


def _associate(
    pdu: AssociateRequest | AssociateAccept, called: bytes, calling: bytes, contexts: list[bytes]
) -> bytes:
    if not 0 <= pdu.protocol_version <= 0xFFFF:
        raise ValueError(f"protocol_version does not fit into 2 bytes: {pdu.protocol_version}")
    context = uid_item(_APPLICATION_CONTEXT, pdu.application_context, "application_context")
    user = item(_USER_INFORMATION, user_information.encode(pdu.user), "user")
    fixed = _FIXED.pack(pdu.protocol_version, called, calling)
    return b"".join((fixed, context, *contexts, user))


def _check_ids(ids: Sequence[int]) -> None:
    if not all(0 < number <= _MAX_CONTEXT_ID and number % 2 for number in ids):
        raise ValueError("contexts: an id is not an odd number from 1 to 255")
    if len(set(ids)) < len(ids):
        raise ValueError("contexts: an id is there twice")


def _proposed(context: ProposedContext) -> bytes:
    if not context.transfer_syntaxes:
        raise ValueError("transfer_syntaxes is empty: a context proposes at least one")
    abstract = uid_item(_ABSTRACT_SYNTAX, context.abstract_syntax, "abstract_syntax")
    syntaxes = [
        uid_item(_TRANSFER_SYNTAX, syntax, "transfer_syntaxes")
        for syntax in context.transfer_syntaxes
    ]
    value = b"".join((bytes((context.id, 0, 0, 0)), abstract, *syntaxes))
    return item(_PROPOSED_CONTEXT, value, "transfer_syntaxes")


def _answered(context: AnsweredContext) -> bytes:
    if not 0 <= context.result <= _MAX_CONTEXT_RESULT:
        raise ValueError(f"result is not 0 to {_MAX_CONTEXT_RESULT}: {context.result}")
    syntax = uid_item(_TRANSFER_SYNTAX, context.transfer_syntax, "transfer_syntax")
    return item(_ANSWERED_CONTEXT, bytes((context.id, 0, context.result, 0)) + syntax)


def _title(aet: str, name: str) -> bytes:
    """An AE title, padded. PS3.8 9.3.2, PS3.5 6.2."""
    if not (
        len(aet) <= _MAX_TITLE
        and aet.isascii()
        and aet.isprintable()
        and "\\" not in aet
        and aet.strip(" ")
    ):
        raise ValueError(
            f"{name} is no AE title: 1 to {_MAX_TITLE} characters of ASCII that are not all "
            "spaces, no control characters, no backslash"
        )
    return aet.encode("ascii").ljust(_MAX_TITLE)


def _echo(aet: str, name: str) -> bytes:
    """A title that goes back as it came, whatever it is. PS3.8 9.3.3."""
    try:
        encoded = aet.encode("latin-1")
    except UnicodeEncodeError:
        raise ValueError(f"{name} is not what any request holds") from None
    if len(encoded) > _MAX_TITLE:
        raise ValueError(f"{name} is longer than {_MAX_TITLE} characters")
    return encoded.ljust(_MAX_TITLE)


# Reading


def decode(kind: int, body: memoryview) -> Pdu:
    """Read a PDU other than P-DATA-TF.

    What is kept of the body is copied.

    Args:
        kind: its type.
        body: what stands behind its header.

    Raises:
        PduError: it is not one.
    """
    try:
        match kind:
            case PduType.ASSOCIATE_RQ:
                return _read_request(body)
            case PduType.ASSOCIATE_AC:
                return _read_accept(body)
            case PduType.ASSOCIATE_RJ:
                _, result, source, reason = _control(body)
                return AssociateReject(result=result, source=source, reason=reason)
            case PduType.RELEASE_RQ:
                _control(body)
                return ReleaseRequest()
            case PduType.RELEASE_RP:
                _control(body)
                return ReleaseResponse()
            case PduType.ABORT:
                _, _, source, reason = _control(body)
                return Abort(source=source, reason=reason)
    except ItemError as exc:
        raise PduError(str(exc), AbortReason.INVALID_PARAMETER) from exc
    raise PduError("no control PDU is of this type", AbortReason.UNRECOGNISED_PDU)


def fragments(body: memoryview) -> list[Fragment]:
    """The presentation data values of a P-DATA-TF, at least one. PS3.8 9.3.5.

    Each holds a copy of its data, so that the body can be let go.

    Raises:
        PduError: a value is too short or overruns the PDU, or there are none or too many.
    """
    found: list[Fragment] = []
    at, end = 0, len(body)
    while at < end:
        if len(found) == _MAX_VALUES:
            raise PduError("more data values than anybody needs", AbortReason.INVALID_PARAMETER)
        if at + 6 > end:
            raise PduError("a data value is cut short", AbortReason.INVALID_PARAMETER)
        length, context_id, control = _VALUE_HEADER.unpack_from(body, at)
        stop = at + 4 + length
        if length < 2 or stop > end:
            raise PduError("a data value has a wrong length", AbortReason.INVALID_PARAMETER)
        found.append(
            Fragment(context_id, control & 1 != 0, control & 2 != 0, bytes(body[at + 6 : stop]))
        )
        at = stop
    if not found:
        raise PduError("P-DATA-TF without a data value", AbortReason.INVALID_PARAMETER)
    return found


def _control(body: memoryview) -> memoryview:
    if not _CONTROL_BYTES <= len(body) <= _MAX_CONTROL_BYTES:
        raise ItemError("a PDU of four bytes has another length")
    return body[:_CONTROL_BYTES]


def _read_request(body: memoryview) -> AssociateRequest:
    version, called, calling = _fixed(body)
    application_context, values, user = _variable(
        body, context=_PROPOSED_CONTEXT, foreign=_ANSWERED_CONTEXT
    )
    return AssociateRequest(
        called_aet=called,
        calling_aet=calling,
        application_context=application_context,
        contexts=tuple(_read_proposed(number, value) for number, value in values.items()),
        user=user,
        protocol_version=version,
    )


def _read_accept(body: memoryview) -> AssociateAccept:
    version, called, calling = _fixed(body)
    application_context, values, user = _variable(
        body, context=_ANSWERED_CONTEXT, foreign=_PROPOSED_CONTEXT
    )
    return AssociateAccept(
        called_aet=called,
        calling_aet=calling,
        application_context=application_context,
        contexts=tuple(_read_answered(number, value) for number, value in values.items()),
        user=user,
        protocol_version=version,
    )


def _fixed(body: memoryview) -> tuple[int, str, str]:
    """Protocol version, called and calling AE title."""
    version, called, calling = _FIXED.unpack_from(at_least(body, _FIXED.size))
    return version, called.decode("latin-1"), calling.decode("latin-1")


def _variable(
    body: memoryview, *, context: int, foreign: int
) -> tuple[str, dict[int, memoryview], UserInformation]:
    """The items of an A-ASSOCIATE-RQ or -AC.

    Args:
        context: type of its presentation context items.
        foreign: type of those that the other of the two PDUs holds.

    Returns:
        The application context, the presentation contexts by ID, and the user information. Of
        the first that is there twice the first counts, of the last the last.
    """
    application_context: str | None = None
    values: dict[int, memoryview] = {}
    user = memoryview(b"")
    for kind, value in items(body[_FIXED.size :]):
        if kind == context:
            number = at_least(value, 4)[0]
            if number % 2 == 0:
                raise ItemError("the ID of a presentation context is even")
            if number in values:
                raise ItemError("the ID of a presentation context is there twice")
            values[number] = value
        elif kind == _USER_INFORMATION:
            user = value
        elif kind == _APPLICATION_CONTEXT and application_context is None:
            application_context = uid_text(value)
        elif kind == foreign:
            raise PduError(
                "an item that goes with the other of A-ASSOCIATE-RQ and -AC",
                AbortReason.UNEXPECTED_PARAMETER,
            )
    return application_context or "", values, user_information.decode(user)


def _read_proposed(number: int, value: memoryview) -> ProposedContext:
    abstract_syntax: str | None = None
    transfer_syntaxes: list[str] = []
    for kind, sub in items(value[4:]):
        if kind == _TRANSFER_SYNTAX:
            transfer_syntaxes.append(uid_text(sub))
        elif kind == _ABSTRACT_SYNTAX and abstract_syntax is None:
            abstract_syntax = uid_text(sub)
    return ProposedContext(
        id=number,
        abstract_syntax=abstract_syntax or "",
        transfer_syntaxes=tuple(transfer_syntaxes),
    )


def _read_answered(number: int, value: memoryview) -> AnsweredContext:
    transfer_syntax = ""
    result = value[2]
    for kind, sub in items(value[4:]):
        if kind == _TRANSFER_SYNTAX:
            transfer_syntax = uid_text(sub)
            break
    return AnsweredContext(id=number, result=result, transfer_syntax=transfer_syntax)
