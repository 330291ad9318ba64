"""The protocol machine: conversations by example, and every event in every state."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from harmony.upper_layer.connection import (
    NEED_DATA,
    Closed,
    Connection,
    NeedData,
    Received,
    Side,
    StateError,
    Violation,
)
from harmony.upper_layer.messages import Packer
from harmony.upper_layer.negotiation import Context, ContextResult, agreed, answer
from harmony.upper_layer.pdus import (
    Abort,
    AbortReason,
    AbortSource,
    AnsweredContext,
    AssociateAccept,
    AssociateReject,
    AssociateRequest,
    Fragment,
    Pdu,
    PduType,
    ProposedContext,
    ReleaseRequest,
    ReleaseResponse,
    encode,
)
from harmony.upper_layer.reading import Limits
from harmony.upper_layer.states import TABLE, Action, Event, State
from harmony.upper_layer.user_information import UserInformation

VERIFICATION, CT = "1.2.840.10008.1.1", "1.2.840.10008.5.1.4.1.1.2"
IMPLICIT, EXPLICIT = "1.2.840.10008.1.2", "1.2.840.10008.1.2.1"
ABORT = Abort(source=AbortSource.USER, reason=0)
REQUEST = AssociateRequest(
    called_aet="PACS",
    calling_aet="HARMONY",
    contexts=(
        ProposedContext(id=1, abstract_syntax=VERIFICATION, transfer_syntaxes=(IMPLICIT,)),
        ProposedContext(id=3, abstract_syntax=CT, transfer_syntaxes=(EXPLICIT, IMPLICIT)),
    ),
    user=UserInformation(maximum_length=16384, implementation_class_uid="1.2.3"),
)
ACCEPT = answer(
    REQUEST,
    accepted={1: Context(1, VERIFICATION, IMPLICIT)},
    refused={3: ContextResult.ABSTRACT_SYNTAX_NOT_SUPPORTED},
    user=UserInformation(maximum_length=8000, implementation_class_uid="1.2.4"),
)
REJECT = AssociateReject(result=1, source=1, reason=7)
DATA = b"\x04\x00\x00\x00\x00\x08\x00\x00\x00\x04\x01\x03ab"  # a whole command set in context 1
BAD_VALUE = b"\x04\x00\x00\x00\x00\x06\x00\x00\x00\x09\x01\x03"  # it says 9 bytes and has 2
OTHER_CONTEXT = b"\x04\x00\x00\x00\x00\x06\x00\x00\x00\x02\x03\x03"
UNKNOWN = b"\x09\x00\x00\x00\x00\x00"
TOO_LONG = b"\x05\x00\x00\x01\x00\x00"


def requestor() -> Connection:
    """In Sta5: the request is sent."""
    connection = Connection(Side.REQUESTOR)
    connection.send(REQUEST)
    return connection


def acceptor() -> Connection:
    """In Sta3: the request is there."""
    connection = Connection(Side.ACCEPTOR)
    assert heard(connection, encode(REQUEST)) == REQUEST_AS_READ
    return connection


REQUEST_AS_READ = AssociateRequest(
    called_aet="PACS".ljust(16),
    calling_aet="HARMONY".ljust(16),
    contexts=REQUEST.contexts,
    user=REQUEST.user,
)


def heard(connection: Connection, data: bytes) -> Received | NeedData:
    connection.receive_data(data)
    return connection.next_event()


def associated(side: Side) -> Connection:
    if side is Side.REQUESTOR:
        connection = requestor()
        connection.receive_data(encode(ACCEPT))
        assert isinstance(connection.next_event(), AssociateAccept)
    else:
        connection = acceptor()
        connection.send(ACCEPT)
    return connection


def in_state(state: State) -> Connection:
    """A connection that got there by what it was sent and asked."""
    match state:
        case State.STA1:
            connection = Connection(Side.ACCEPTOR)
            heard(connection, b"")
        case State.STA2:
            connection = Connection(Side.ACCEPTOR)
        case State.STA3:
            connection = acceptor()
        case State.STA4:
            connection = Connection(Side.REQUESTOR)
        case State.STA5:
            connection = requestor()
        case State.STA6:
            connection = associated(Side.REQUESTOR)
        case State.STA7:
            connection = associated(Side.REQUESTOR)
            connection.send(ReleaseRequest())
        case State.STA8:
            connection = associated(Side.ACCEPTOR)
            heard(connection, encode(ReleaseRequest()))
        case State.STA9 | State.STA11:
            connection = in_state(State.STA7)
            heard(connection, encode(ReleaseRequest()))
            if state is State.STA11:
                connection.send(ReleaseResponse())
        case State.STA10 | State.STA12:
            connection = associated(Side.ACCEPTOR)
            connection.send(ReleaseRequest())
            heard(connection, encode(ReleaseRequest()))
            if state is State.STA12:
                heard(connection, encode(ReleaseResponse()))
        case State.STA13:
            connection = associated(Side.REQUESTOR)
            connection.send(ABORT)
    assert connection.state is state
    return connection


RECEIVED: dict[Event, bytes] = {
    Event.EVT3: encode(ACCEPT),
    Event.EVT4: encode(REJECT),
    Event.EVT6: encode(REQUEST),
    Event.EVT10: DATA,
    Event.EVT12: encode(ReleaseRequest()),
    Event.EVT13: encode(ReleaseResponse()),
    Event.EVT16: encode(ABORT),
    Event.EVT17: b"",
    Event.EVT19: UNKNOWN,
}
ASKED: dict[Event, Callable[[Connection], object]] = {
    Event.EVT2: lambda connection: connection.send(REQUEST),
    Event.EVT7: lambda connection: connection.send(ACCEPT),
    Event.EVT8: lambda connection: connection.send(REJECT),
    Event.EVT9: lambda connection: connection.send_data([DATA]),
    Event.EVT11: lambda connection: connection.send(ReleaseRequest()),
    Event.EVT14: lambda connection: connection.send(ReleaseResponse()),
    Event.EVT15: lambda connection: connection.send(ABORT),
    Event.EVT18: lambda connection: connection.artim_expired(),
}


def led_to(action: Action, side: Side) -> State:
    """The state that the words of an action name."""
    if action is Action.AR_8:
        return State.STA9 if side is Side.REQUESTOR else State.STA10
    return State[action.value.rpartition("; ")[2].upper()]


# Every cell of the table


@pytest.mark.parametrize("event", RECEIVED, ids=lambda event: event.name)
@pytest.mark.parametrize("state", State, ids=lambda state: state.name)
def test_what_is_received_leads_where_the_table_says(state: State, event: Event) -> None:
    connection = in_state(state)
    action = TABLE.get((event, state))
    if action is None:
        assert state in (State.STA1, State.STA4)
        return

    told = heard(connection, RECEIVED[event])

    acceptor_sides = (State.STA2, State.STA3, State.STA8, State.STA10, State.STA12)
    side = Side.ACCEPTOR if state in acceptor_sides else Side.REQUESTOR
    assert connection.state is led_to(action, side)
    match action:
        case Action.AA_1 | Action.AA_7 | Action.AA_8:
            reason = (
                AbortReason.UNRECOGNISED_PDU if event is Event.EVT19 else AbortReason.UNEXPECTED_PDU
            )
            abort = encode(Abort(source=AbortSource.PROVIDER, reason=reason))
            assert told == Violation(reason, abort)
        case Action.AA_6:
            assert told is NEED_DATA
        case Action.AA_2 | Action.AA_4 | Action.AA_5 | Action.AR_5:
            assert told == Closed()
        case Action.DT_2 | Action.AR_6:
            assert told == Fragment(1, True, True, b"ab")
        case _:
            assert told is not NEED_DATA
            assert bytes((_kind(told),)) == RECEIVED[event][:1]


def _kind(told: object) -> int:
    return {
        AssociateRequest: PduType.ASSOCIATE_RQ,
        AssociateAccept: PduType.ASSOCIATE_AC,
        AssociateReject: PduType.ASSOCIATE_RJ,
        ReleaseRequest: PduType.RELEASE_RQ,
        ReleaseResponse: PduType.RELEASE_RP,
        Abort: PduType.ABORT,
    }[type(told)]


@pytest.mark.parametrize("event", ASKED, ids=lambda event: event.name)
@pytest.mark.parametrize("state", State, ids=lambda state: state.name)
def test_what_the_user_asks_leads_where_the_table_says_or_is_refused(
    state: State, event: Event
) -> None:
    connection = in_state(state)
    action = TABLE.get((event, state))

    if action is None:
        with pytest.raises(StateError):
            ASKED[event](connection)
        assert connection.state is state
    else:
        ASKED[event](connection)
        assert connection.state is led_to(action, Side.REQUESTOR)


@pytest.mark.parametrize("state", State, ids=lambda state: state.name)
def test_artim_runs_where_the_peer_has_to_ask_or_to_close(state: State) -> None:
    assert in_state(state).artim_is_running is ((Event.EVT18, state) in TABLE)


# Violations and their reasons

VIOLATIONS = {
    "a type that does not exist": (UNKNOWN, AbortReason.UNRECOGNISED_PDU),
    "a PDU where it cannot be": (encode(REJECT), AbortReason.UNEXPECTED_PDU),
    "a control PDU that is too long": (TOO_LONG, AbortReason.INVALID_PARAMETER),
    "data beyond what was announced": (b"\x04\0\xff\xff\xff\xff", AbortReason.INVALID_PARAMETER),
    "a value longer than its PDU": (BAD_VALUE, AbortReason.INVALID_PARAMETER),
    "a P-DATA-TF without a value": (b"\x04\0\0\0\0\0", AbortReason.INVALID_PARAMETER),
    "a context that was refused": (OTHER_CONTEXT, AbortReason.INVALID_PARAMETER),
}


@pytest.mark.parametrize("name", VIOLATIONS)
@pytest.mark.parametrize("side", Side)
def test_a_violation_ends_the_association_with_its_reason(side: Side, name: str) -> None:
    data, reason = VIOLATIONS[name]
    connection = associated(side)

    told = heard(connection, data)

    assert isinstance(told, Violation)
    assert told.reason is reason
    assert told.reply == bytes((7, 0, 0, 0, 0, 4, 0, 0, 2, reason))
    assert connection.state is State.STA13
    assert not connection.can_send_data
    assert not connection.is_within_pdu


def test_after_a_violation_nothing_is_believed_but_the_end() -> None:
    connection = associated(Side.ACCEPTOR)
    assert isinstance(heard(connection, UNKNOWN + DATA), Violation)

    assert connection.next_event() is NEED_DATA
    assert heard(connection, DATA * 1000) is NEED_DATA
    assert heard(connection, b"") == Closed()
    assert connection.next_event() == Closed()
    assert connection.state is State.STA1


def test_what_came_whole_before_a_violation_still_counts() -> None:
    connection = associated(Side.ACCEPTOR)

    first = heard(connection, DATA + UNKNOWN)

    assert first == Fragment(1, True, True, b"ab")
    assert isinstance(connection.next_event(), Violation)


def test_no_fragment_of_a_pdu_with_a_bad_one_is_passed_on() -> None:
    connection = associated(Side.ACCEPTOR)
    values = DATA[6:] + OTHER_CONTEXT[6:]

    told = heard(connection, b"\x04\0" + len(values).to_bytes(4, "big") + values)

    assert isinstance(told, Violation)


# Negotiation


def test_both_sides_know_the_same_contexts() -> None:
    contexts = {1: Context(1, VERIFICATION, IMPLICIT)}

    assert associated(Side.REQUESTOR).contexts == contexts
    assert associated(Side.ACCEPTOR).contexts == contexts


@pytest.mark.parametrize(
    ("answered", "why"),
    [
        (AnsweredContext(id=1, result=0, transfer_syntax=EXPLICIT), "not offered"),
        (AnsweredContext(id=1, result=0, transfer_syntax=""), "none"),
        (AnsweredContext(id=1, result=4, transfer_syntax=IMPLICIT), "refused"),
        (AnsweredContext(id=1, result=9, transfer_syntax=IMPLICIT), "no such result"),
        (AnsweredContext(id=5, result=0, transfer_syntax=IMPLICIT), "nobody proposed it"),
    ],
)
def test_a_context_that_cannot_be_used_is_not_agreed(answered: AnsweredContext, why: str) -> None:
    accept = AssociateAccept(
        called_aet="", calling_aet="", contexts=(answered,), user=UserInformation()
    )
    assert agreed(REQUEST, accept) == {}, why


def test_each_side_knows_the_maximum_length_of_the_other() -> None:
    assert associated(Side.REQUESTOR).peer_maximum_length == 8000
    assert associated(Side.ACCEPTOR).peer_maximum_length == 16384


# Two machines, talking


class Talk(RuleBasedStateMachine):
    """A requestor and an acceptor that do whatever their states allow, over two pipes.

    Neither ever finds the other at fault, and both end.
    """

    def __init__(self) -> None:
        super().__init__()
        self.sides = {side: Connection(side) for side in Side}
        self.pipes = {side: bytearray() for side in Side}  # towards that side
        self.closed = dict.fromkeys(Side, False)
        self.sent = dict.fromkeys(Side, b"")
        self.told = dict.fromkeys(Side, b"")
        self.aborted = False

    @initialize()
    def begin(self) -> None:
        self._write(Side.REQUESTOR, self.sides[Side.REQUESTOR].send(REQUEST))

    def _write(self, side: Side, data: bytes) -> None:
        other = Side.ACCEPTOR if side is Side.REQUESTOR else Side.REQUESTOR
        if not self.closed[side]:
            self.pipes[other] += data

    def _may(self, side: Side, event: Event) -> bool:
        return (event, self.sides[side].state) in TABLE

    @rule(side=st.sampled_from(Side), cut=st.integers(1, 400))
    def read(self, side: Side, cut: int) -> None:
        pipe = self.pipes[side]
        if pipe:
            self.sides[side].receive_data(bytes(pipe[:cut]))
            del pipe[:cut]
        while (event := self.sides[side].next_event()) is not NEED_DATA:
            assert not isinstance(event, Violation)
            if isinstance(event, Fragment):
                self.told[side] += event.data
            elif isinstance(event, Closed):
                self.closed[side] = True
                return

    @precondition(lambda self: self._may(Side.ACCEPTOR, Event.EVT7))
    @rule(pdu=st.sampled_from((ACCEPT, REJECT)))
    def respond(self, pdu: Pdu) -> None:
        self._write(Side.ACCEPTOR, self.sides[Side.ACCEPTOR].send(pdu))

    @rule(side=st.sampled_from(Side), command=st.binary(max_size=40), data=st.binary(max_size=99))
    def send_message(self, side: Side, command: bytes, data: bytes) -> None:
        connection = self.sides[side]
        if not connection.can_send_data:
            return
        packer = Packer(1, connection.peer_maximum_length)
        pdus = [*packer.command(command), *packer.data(data), *packer.end_data(), packer.take()]
        for pdu in pdus:
            self._write(side, b"".join(connection.send_data(pdu)))
        self.sent[side] += command + data

    @rule(side=st.sampled_from(Side))
    def release(self, side: Side) -> None:
        if self._may(side, Event.EVT11):
            self._write(side, self.sides[side].send(ReleaseRequest()))

    @rule(side=st.sampled_from(Side))
    def grant_release(self, side: Side) -> None:
        if self._may(side, Event.EVT14):
            self._write(side, self.sides[side].send(ReleaseResponse()))

    @rule(side=st.sampled_from(Side))
    def abort(self, side: Side) -> None:
        if self._may(side, Event.EVT15):
            self._write(side, self.sides[side].send(ABORT))
            self.aborted = True

    @precondition(lambda self: any(c.state is State.STA13 for c in self.sides.values()))
    @rule()
    def run_out_of_patience(self) -> None:
        for side, connection in self.sides.items():
            if connection.state is State.STA13:
                connection.artim_expired()
                self.closed[side] = True

    @invariant()
    def data_arrives_in_order_and_once(self) -> None:
        assert self.sent[Side.REQUESTOR].startswith(self.told[Side.ACCEPTOR])
        assert self.sent[Side.ACCEPTOR].startswith(self.told[Side.REQUESTOR])

    def teardown(self) -> None:
        """Both sides come to an end once both pipes are dry and closed."""
        for side, connection in self.sides.items():
            self.read(side, 10**6)
            connection.receive_data(b"")
            while connection.next_event() != Closed():
                pass
            assert connection.state is State.STA1


TestTalk = Talk.TestCase
TestTalk.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)


# Anything at all from the peer


@pytest.mark.parametrize("state", State, ids=lambda state: state.name)
def test_limits_hold_in_every_state(state: State) -> None:
    connection = in_state(state)
    if state in (State.STA1, State.STA4):
        return

    told = heard(connection, b"\x01\x00\xff\xff\xff\xff")

    assert isinstance(told, Violation)
    assert told.reason is AbortReason.INVALID_PARAMETER
    assert Limits().associate < 0xFFFFFFFF
