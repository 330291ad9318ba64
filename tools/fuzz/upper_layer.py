"""The surfaces of the upper layer: command sets, fragments, PDUs, and connections in each state."""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Callable, Iterator
from dataclasses import replace

from harmony.upper_layer import commands, pdus
from harmony.upper_layer.commands import Command, CommandError, CommandField
from harmony.upper_layer.connection import (
    NEED_DATA,
    Closed,
    Connection,
    Received,
    Side,
    Violation,
)
from harmony.upper_layer.messages import Assembler, CommandSet, Data, MessageError, Packer
from harmony.upper_layer.pdus import (
    Abort,
    AbortSource,
    AnsweredContext,
    AssociateAccept,
    AssociateRequest,
    Fragment,
    PduError,
    PduType,
    ProposedContext,
    ReleaseRequest,
    ReleaseResponse,
)
from harmony.upper_layer.states import State
from harmony.upper_layer.user_information import (
    AsynchronousOperations,
    CommonExtendedNegotiation,
    ExtendedNegotiation,
    RoleSelection,
    UserIdentity,
    UserInformation,
)
from tests.support.bad_caller import messages
from tests.support.bad_caller.chance import spoilt_command
from tests.support.bad_caller.mutation import garbage, mutate, mutate_pdu
from tests.support.bad_caller.request import CT, EXPLICIT, IMPLICIT, VERIFICATION
from tools.fuzz.surface import Surface, Wrong, chunks, is_plain

_HEADER_BYTES = 6
_CONTEXT_IDS = (1, 3)
_RELEASE_IS_ASKED = (State.STA8, State.STA9, State.STA12)

# Command sets


def _random_command(rng: random.Random) -> bytes:
    made = (
        messages.echo(),
        messages.store(change={0x1030: "MOVER", 0x1031: 7}),
        messages.find(change={0x0901: (0x00100020,), 0x0902: "comment"}),
        messages.move("DEST"),
        messages.cancel(),
        messages.get(change={0x1020: 1, 0x1021: 2, 0x1022: 3, 0x1023: 4, 0x0900: 0xFF00}),
        *_OF_N_SERVICES,
    )
    return rng.choice(made)


def _make_command(rng: random.Random) -> tuple[str, bytes]:
    made = _random_command(rng)
    for _ in range(rng.randint(1, 3)):
        made = spoilt_command(rng, made)
    return "", made


def _check_command(variant: str, data: bytes) -> None:
    try:
        decoded = commands.decode(data)
    except CommandError as exc:
        is_plain(str(exc))
        return
    try:
        again = commands.encode(decoded)
    except ValueError:
        return  # a text beyond ASCII, which no caller gets back
    if len(again) <= commands.MAX_COMMAND_BYTES and _told(commands.decode(again)) != _told(decoded):
        raise Wrong("the command set changed on its way")


def _told(command: Command) -> dict[str, object]:
    """What a command set says; a text of nothing but padding says nothing."""
    values = dataclasses.asdict(command)
    return {name: value for name, value in values.items() if value not in (None, "")}


_OF_N_SERVICES = (
    commands.encode(
        Command(
            field=CommandField.N_EVENT_REPORT_RQ,
            affected_sop_class_uid="1.2.840.10008.1.20.1",
            affected_sop_instance_uid="1.2.840.10008.1.20.1.1",
            message_id=1,
            event_type_id=2,
            data_set_type=commands.DATA_SET_PRESENT,
        )
    ),
    commands.encode(
        Command(
            field=CommandField.N_GET_RQ,
            requested_sop_class_uid="1.2.840.10008.5.1.1.16",
            requested_sop_instance_uid="1.2.840.10008.5.1.1.17",
            message_id=1,
            attributes=(0x21100010, 0x21100020),
        )
    ),
    commands.encode(
        Command(
            field=CommandField.N_ACTION_RSP,
            affected_sop_class_uid="1.2.840.10008.1.20.1",
            responds_to=1,
            status=0x0112,
            action_type_id=1,
            error_id=7,
        )
    ),
)


# Fragments


_MOST_VALUES = 1000


def _make_fragments(rng: random.Random) -> tuple[str, bytes]:
    values = [value for _ in range(rng.randint(1, 3)) for value in _random_message(rng)]
    for _ in range(rng.randint(0, 3)):
        _spoil_fragments(rng, values)
    return "", b"".join(map(_value, values[:_MOST_VALUES]))  # they share one PDU


def _random_message(rng: random.Random) -> list[Fragment]:
    command = _random_command(rng)
    if rng.random() < 0.2:
        command = spoilt_command(rng, command)
    packer = Packer(rng.choice(_CONTEXT_IDS), rng.choice((8, 30, 100, 0)))
    units = list(packer.command(command))
    if rng.random() < 0.7:
        for _ in range(rng.randint(0, 3)):
            units += packer.data(rng.randbytes(rng.choice((0, 1, 20, 100))))
        units += packer.end_data()
    units.append(packer.take())
    whole = (memoryview(b"".join(unit))[_HEADER_BYTES:] for unit in units)
    return [value for body in whole for value in pdus.fragments(body)]


def _spoil_fragments(rng: random.Random, values: list[Fragment]) -> None:
    at = rng.randrange(len(values))
    chosen = values[at]
    match rng.randrange(8):
        case 0:
            values.insert(at, chosen)
        case 1 if len(values) > 1:
            del values[at]
        case 2:
            values[at] = replace(chosen, is_command=not chosen.is_command)
        case 3:
            values[at] = replace(chosen, is_last=not chosen.is_last)
        case 4:
            values[at] = replace(chosen, context_id=rng.choice((*_CONTEXT_IDS, 0, 255)))
        case 5:
            values[at] = replace(chosen, data=mutate(rng, chosen.data))
        case 6:
            values[at] = replace(chosen, data=bytes(rng.choice((0, 1, 20_000))))
        case _:
            other = rng.randrange(len(values))
            values[at], values[other] = values[other], values[at]


def _value(fragment: Fragment) -> bytes:
    control = fragment.is_command | fragment.is_last << 1
    length = (len(fragment.data) + 2).to_bytes(4, "big")
    return length + bytes((fragment.context_id, control)) + fragment.data


def _check_fragments(variant: str, data: bytes) -> None:
    assembler = Assembler()
    due: int | None = None  # the context of the data set that must come
    for value in pdus.fragments(memoryview(data)):
        try:
            unit = assembler.take(value)
        except MessageError as exc:
            is_plain(str(exc))
            return
        match unit:
            case CommandSet(context_id, command):
                if due is not None or not value.is_last or context_id != value.context_id:
                    raise Wrong("a command set that is not due, or not whole")
                due = context_id if command.has_data_set else None
            case Data(piece, is_last):
                if due != value.context_id or piece is not value.data or value.is_command:
                    raise Wrong("a piece of a data set that is not due, or not as it came")
                due = None if is_last else due
            case None:
                if due is not None or value.is_last:
                    raise Wrong("it waits for more of what is whole")


# PDUs

_USER = UserInformation(
    maximum_length=16382,
    implementation_class_uid="1.2.3",
    implementation_version_name="FUZZ",
    asynchronous_operations=AsynchronousOperations(invoked=1, performed=1),
    roles=(RoleSelection(sop_class_uid=CT, scu=True, scp=True),),
    extended=(ExtendedNegotiation(sop_class_uid=CT, information=b"\1\2\3"),),
)
_REQUEST = AssociateRequest(
    called_aet="HARMONY",
    calling_aet="FUZZ",
    contexts=(
        ProposedContext(id=1, abstract_syntax=VERIFICATION, transfer_syntaxes=(IMPLICIT,)),
        ProposedContext(id=3, abstract_syntax=CT, transfer_syntaxes=(EXPLICIT, IMPLICIT)),
        ProposedContext(id=5, abstract_syntax=CT, transfer_syntaxes=(IMPLICIT,)),
    ),
    user=replace(
        _USER,
        common_extended=(
            CommonExtendedNegotiation(
                sop_class_uid=CT, service_class_uid="1.2.840.10008.4.2", related=("1.2.3", "1.2.4")
            ),
        ),
        user_identity=UserIdentity(
            kind=2, response_requested=True, primary=b"user", secondary=b"passcode"
        ),
    ),
)
_ACCEPT = AssociateAccept(
    called_aet="HARMONY",
    calling_aet="FUZZ",
    contexts=(
        AnsweredContext(id=1, result=0, transfer_syntax=IMPLICIT),
        AnsweredContext(id=3, result=0, transfer_syntax=EXPLICIT),
        AnsweredContext(id=5, result=3, transfer_syntax=IMPLICIT),
    ),
    user=replace(_USER, user_identity_answer=b"answer"),
)
_ABORT = Abort(source=0, reason=0)
_PDUS: tuple[pdus.Pdu, ...] = (
    _REQUEST,
    _ACCEPT,
    pdus.AssociateReject(result=1, source=1, reason=7),
    ReleaseRequest(),
    ReleaseResponse(),
    _ABORT,
    Abort(source=2, reason=6),
)
_CONTROL = tuple(map(pdus.encode, _PDUS))


def _random_pdu(rng: random.Random) -> bytes:
    if rng.random() < 0.4:
        values = _random_message(rng)
        return messages.raw_p_data(b"".join(map(_value, values[: rng.randint(1, 4)])))
    return rng.choice(_CONTROL)


def _make_pdu(rng: random.Random) -> tuple[str, bytes]:
    whole = _random_pdu(rng)
    kind, body = whole[0], whole[_HEADER_BYTES:]
    if rng.random() < 0.1:
        kind = rng.choice((*PduType, 0, 8, 255))
    is_blind = rng.random() < 0.5
    return str(kind), mutate(rng, body) if is_blind else mutate_pdu(rng, whole)[_HEADER_BYTES:]


def _check_pdu(variant: str, data: bytes) -> None:
    kind, body = int(variant), memoryview(data)
    try:
        if kind == PduType.DATA_TF:
            if b"".join(map(_value, pdus.fragments(body))) != _without_spare_bits(data):
                raise Wrong("a P-DATA-TF is not the sum of its values")
            return
        pdu = pdus.decode(kind, body)
    except PduError as exc:
        is_plain(str(exc))
        return
    try:
        again = pdus.encode(pdu)
    except ValueError as exc:
        is_plain(str(exc))
        return  # it was read, as far as it made sense, but must not be sent so
    if pdus.decode(again[0], memoryview(again)[_HEADER_BYTES:]) != pdu:
        raise Wrong("the PDU changed on its way")


def _without_spare_bits(body: bytes) -> bytes:
    """The same values with all but two bits of their control headers clear. PS3.8 E.2."""
    cleared = bytearray(body)
    at = 0
    while at < len(body):
        cleared[at + 5] &= 3
        at += 4 + int.from_bytes(body[at : at + 4], "big")
    return bytes(cleared)


# Connections


def _associated(side: Side) -> Connection:
    connection = Connection(side)
    if side is Side.REQUESTOR:
        connection.send(_REQUEST)
        _hear(connection, pdus.encode(_ACCEPT))
    else:
        _hear(connection, pdus.encode(_REQUEST))
        connection.send(_ACCEPT)
    return connection


def _releasing(side: Side) -> Connection:
    connection = _associated(side)
    connection.send(ReleaseRequest())
    return connection


def _asked_to_release(side: Side) -> Connection:
    connection = _associated(side)
    _hear(connection, pdus.encode(ReleaseRequest()))
    return connection


def _collided(side: Side) -> Connection:
    connection = _releasing(side)
    _hear(connection, pdus.encode(ReleaseRequest()))
    return connection


def _collided_and_answered(side: Side) -> Connection:
    connection = _collided(side)
    if side is Side.REQUESTOR:
        connection.send(ReleaseResponse())
    else:
        _hear(connection, pdus.encode(ReleaseResponse()))
    return connection


def _aborted(side: Side) -> Connection:
    connection = _associated(side)
    connection.send(_ABORT)
    return connection


def _fresh(side: Side) -> Connection:
    connection = Connection(side)
    if side is Side.REQUESTOR:  # nothing is read before it has asked
        connection.send(_REQUEST)
    return connection


def _before_its_answer(side: Side) -> Connection:
    connection = Connection(Side.ACCEPTOR)
    _hear(connection, pdus.encode(_REQUEST))
    return connection


_STARTS: dict[str, Callable[[Side], Connection]] = {
    "fresh": _fresh,
    "before-its-answer": _before_its_answer,
    "associated": _associated,
    "releasing": _releasing,
    "asked-to-release": _asked_to_release,
    "collided": _collided,
    "collided-and-answered": _collided_and_answered,
    "aborted": _aborted,
}


def _hear(connection: Connection, data: bytes) -> None:
    connection.receive_data(data)
    event = connection.next_event()
    if event is NEED_DATA or isinstance(event, Closed | Violation):
        raise Wrong(f"a proper PDU was not heard in {connection.state.name}")


def _make_connection(rng: random.Random) -> tuple[str, bytes]:
    units = [_random_pdu(rng) for _ in range(rng.randint(1, 4))]
    for at, unit in enumerate(units):
        if rng.random() < 0.4:
            units[at] = garbage(rng) if rng.random() < 0.1 else mutate_pdu(rng, unit)
    words = (
        rng.choice(tuple(_STARTS)),
        rng.choice(tuple(Side)).value,
        rng.choice(("polite", "silent")),
        str(rng.choice((1, 7, 100, 65536))),
    )
    return " ".join(words), b"".join(units)


def _check_connection(variant: str, data: bytes) -> None:
    start, side, manners, size = variant.split()
    connection = _STARTS[start](Side(side))
    for chunk in (*chunks(data, max(int(size), len(data) // 200)), b""):
        connection.receive_data(chunk)
        for event in _events(connection, most=len(data) + 2):
            _check_event(connection, event)
            if manners == "polite":
                _answer(connection, event)
    if connection.state is not State.STA1:
        raise Wrong(f"the connection was closed, and it is in {connection.state.name}")


def _events(connection: Connection, *, most: int) -> Iterator[Received]:
    for _ in range(most):
        event = connection.next_event()
        if event is NEED_DATA:
            return
        yield event
        if isinstance(event, Closed):
            return
    raise Wrong("events without end")


def _check_event(connection: Connection, event: Received) -> None:
    state = connection.state
    match event:
        case Violation(reason, reply):
            told = pdus.decode(reply[0], memoryview(reply)[_HEADER_BYTES:])
            if told != Abort(source=AbortSource.PROVIDER, reason=reason):
                raise Wrong("the A-ABORT does not say what the violation was")
            if state is not State.STA13:
                raise Wrong(f"after a violation it is in {state.name}")
        case Closed() if state is not State.STA1:
            raise Wrong(f"closed, it is in {state.name}")
        case Fragment(context_id=context_id) if context_id not in connection.contexts:
            raise Wrong("data in a context that was not accepted")


def _answer(connection: Connection, event: Received) -> None:
    """What a polite user does next."""
    match event:
        case AssociateRequest():
            connection.send(_ACCEPT)
        case ReleaseRequest() | ReleaseResponse() if connection.state in _RELEASE_IS_ASKED:
            connection.send(ReleaseResponse())


SURFACES = {
    "command": Surface(_make_command, _check_command),
    "fragments": Surface(_make_fragments, _check_fragments),
    "decode": Surface(_make_pdu, _check_pdu),
    "connection": Surface(_make_connection, _check_connection),
}
