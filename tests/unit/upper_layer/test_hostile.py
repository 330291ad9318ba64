"""Bytes that are meant to hurt: however they are cut, what they mean and what they cost stays."""

from __future__ import annotations

import contextlib
import struct
import tracemalloc
from collections.abc import Iterable, Iterator
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harmony.upper_layer.connection import (
    NEED_DATA,
    Closed,
    Connection,
    Received,
    Side,
    StateError,
    Violation,
)
from harmony.upper_layer.messages import Assembler, Fault, MessageError
from harmony.upper_layer.negotiation import Context, answer
from harmony.upper_layer.pdus import (
    Abort,
    AbortReason,
    AbortSource,
    AssociateReject,
    AssociateRequest,
    Fragment,
    PduError,
    PduType,
    ProposedContext,
    ReleaseRequest,
    ReleaseResponse,
    decode,
    encode,
    fragments,
)
from harmony.upper_layer.reading import Limits, PduReader
from harmony.upper_layer.states import TABLE, Action, Event, State
from harmony.upper_layer.user_information import UserInformation

VERIFICATION, IMPLICIT = "1.2.840.10008.1.1", "1.2.840.10008.1.2"
REQUEST = AssociateRequest(
    called_aet="PACS",
    calling_aet="HARMONY",
    contexts=(ProposedContext(id=1, abstract_syntax=VERIFICATION, transfer_syntaxes=(IMPLICIT,)),),
    user=UserInformation(maximum_length=16384),
)
ACCEPT = answer(
    REQUEST,
    accepted={1: Context(1, VERIFICATION, IMPLICIT)},
    refused={},
    user=UserInformation(maximum_length=16384),
)
ABORT = Abort(source=AbortSource.USER, reason=0)
MOST = 128 * 1024


def value(data: bytes, control: int = 0, context_id: int = 1) -> bytes:
    return struct.pack(">LBB", len(data) + 2, context_id, control) + data


def pdu(kind: int, body: bytes, length: int | None = None) -> bytes:
    return struct.pack(">BxL", kind, len(body) if length is None else length) + body


def in_state(state: State) -> Connection:
    """A machine that has come there by proper ways."""
    requestor, acceptor = Connection(Side.REQUESTOR), Connection(Side.ACCEPTOR)

    def pass_on(data: bytes, to: Connection) -> None:
        to.receive_data(data)
        to.next_event()

    match state:
        case State.STA2:
            return acceptor
        case State.STA4:
            return requestor
    asked = requestor.send(REQUEST)
    if state is State.STA5:
        return requestor
    pass_on(asked, acceptor)
    if state is State.STA3:
        return acceptor
    pass_on(acceptor.send(ACCEPT), requestor)
    if state is State.STA13:
        acceptor.send(ABORT)
        return acceptor
    if state in (State.STA10, State.STA12):
        acceptor.send(ReleaseRequest())
        pass_on(encode(ReleaseRequest()), acceptor)
        if state is State.STA12:
            pass_on(encode(ReleaseResponse()), acceptor)
        return acceptor
    if state in (State.STA7, State.STA9, State.STA11):
        requestor.send(ReleaseRequest())
    if state in (State.STA8, State.STA9, State.STA11):
        pass_on(encode(ReleaseRequest()), requestor)
    if state is State.STA11:
        requestor.send(ReleaseResponse())
    assert requestor.state is state
    return requestor


def events(connection: Connection, pieces: Iterable[bytes]) -> Iterator[Received]:
    """All that comes of them, the end of the connection last."""
    for piece in [*(piece for piece in pieces if piece), b""]:
        connection.receive_data(piece)
        while (event := connection.next_event()) is not NEED_DATA:
            yield event
            if isinstance(event, Closed):
                return


REACHABLE = [state for state in State if state not in (State.STA1, State.STA4)]
# What makes sense in pieces, and is put together without any.
SCRAPS = st.one_of(
    st.binary(max_size=40),
    st.sampled_from(
        [
            encode(REQUEST),
            encode(ACCEPT),
            encode(AssociateReject(result=1, source=1, reason=1)),
            encode(ReleaseRequest()),
            encode(ReleaseResponse()),
            encode(ABORT),
            pdu(4, b""),
            pdu(4, value(b"")),
            pdu(4, value(b"ab", 1) + value(b"", 3)),
            pdu(4, value(b"ab", 0, context_id=3)),
            pdu(4, b"", 0xFFFFFFFF),
            pdu(9, b""),
        ]
    ),
)


@settings(max_examples=400, deadline=None)
@given(
    state=st.sampled_from(REACHABLE),
    scraps=st.lists(SCRAPS, max_size=6),
    cuts=st.lists(st.integers(min_value=0, max_value=600), max_size=8),
)
def test_bytes_mean_the_same_however_they_are_cut(
    state: State, scraps: list[bytes], cuts: list[int]
) -> None:
    data = b"".join(scraps)
    pieces = [data[a:b] for a, b in pairwise([0, *sorted(cuts), len(data)])]

    whole = list(events(in_state(state), [data]))
    assert list(events(in_state(state), pieces)) == whole
    assert list(events(in_state(state), [data[i : i + 1] for i in range(len(data))])) == whole
    assert isinstance(whole[-1], Closed)
    violations = [event for event in whole if isinstance(event, Violation)]
    for event in violations:
        assert event.reply == encode(Abort(source=AbortSource.PROVIDER, reason=event.reason))
        assert event.reason is not AbortReason.NOT_SPECIFIED


@settings(max_examples=300, deadline=None)
@given(state=st.sampled_from(REACHABLE), scraps=st.lists(SCRAPS, max_size=6))
def test_after_a_violation_no_data_comes(state: State, scraps: list[bytes]) -> None:
    heard = list(events(in_state(state), scraps))
    first = next((i for i, each in enumerate(heard) if isinstance(each, Violation)), len(heard))

    assert all(isinstance(each, Violation | Closed) for each in heard[first:])


@pytest.mark.parametrize("state", REACHABLE)
@pytest.mark.parametrize("end", [b"", b"\1", b"\4\0\0\0\0\5ab"])
def test_the_end_of_the_connection_is_told_wherever_it_comes(state: State, end: bytes) -> None:
    assert list(events(in_state(state), [end])) == [Closed()]


@pytest.mark.parametrize("state", REACHABLE)
@pytest.mark.parametrize("kind", [0, 8, 0x16, 0x47, 0xFF])
def test_an_unknown_pdu_is_refused_by_its_header(state: State, kind: int) -> None:
    connection = in_state(state)
    connection.receive_data(bytes((kind, 0, 0xFF, 0xFF, 0xFF, 0xFF)))
    event = connection.next_event()

    assert isinstance(event, Violation)
    assert event.reason is AbortReason.UNRECOGNISED_PDU
    assert TABLE[Event.EVT19, state] in (Action.AA_1, Action.AA_7, Action.AA_8)
    assert connection.state is State.STA13
    assert connection.next_event() is NEED_DATA


@pytest.mark.parametrize("kind", list(PduType))
def test_nothing_is_kept_of_a_pdu_that_claims_4_gib(kind: PduType) -> None:
    connection = in_state(State.STA6)
    connection.receive_data(pdu(kind, b"", 0xFFFFFFFF))
    event = connection.next_event()
    assert isinstance(event, Violation)
    assert event.reason is AbortReason.INVALID_PARAMETER

    piece = bytes(MOST)
    tracemalloc.start()
    try:
        for _ in range(50):
            connection.receive_data(bytes(piece))
            assert connection.next_event() is NEED_DATA
        kept, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert kept < 64 * 1024


def test_a_pdu_that_comes_byte_by_byte_costs_little_more_than_itself() -> None:
    reader = PduReader(Limits())
    whole = pdu(4, value(bytes(MOST - 6)))
    tracemalloc.start()
    try:
        for at in range(0, len(whole), 2):
            assert reader.next() is None
            reader.feed(whole[at : at + 2])
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    found = reader.next()
    assert found is not None
    assert found[1] == whole[6:]
    assert most < 64 * MOST


def test_what_has_been_given_is_not_kept() -> None:
    reader = PduReader(Limits())
    whole = pdu(4, value(bytes(MOST - 6)))
    tracemalloc.start()
    try:
        reader.feed(whole[:1])  # so that each piece ends within a header
        for _ in range(50):
            reader.feed(whole[1:] + whole[:1])
            assert reader.next() is not None
            assert reader.next() is None
        kept, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert kept < 4 * MOST


def test_a_pdu_of_more_values_than_anybody_needs_is_refused() -> None:
    with pytest.raises(PduError) as refused:
        fragments(memoryview(value(b"") * (MOST // 6)))

    assert refused.value.reason is AbortReason.INVALID_PARAMETER


def test_as_many_values_as_anybody_needs_are_taken() -> None:
    assert len(fragments(memoryview(value(bytes(122)) * (MOST // 128)))) == MOST // 128


def test_a_command_set_of_endless_fragments_is_kept_within_its_limit() -> None:
    assembler = Assembler()
    piece = Fragment(1, True, False, bytes(1024))
    with pytest.raises(MessageError) as refused:
        for _ in range(20):
            assert assembler.take(piece) is None

    assert refused.value.code is Fault.COMMAND_TOO_LONG


@settings(max_examples=300, deadline=None)
@given(kind=st.integers(min_value=0, max_value=255), body=st.binary(max_size=300))
def test_no_body_makes_reading_raise_anything_but_what_it_says(kind: int, body: bytes) -> None:
    with contextlib.suppress(PduError):
        decode(kind, memoryview(body))
    with contextlib.suppress(PduError):
        fragments(memoryview(body))


def test_a_peer_that_speaks_before_it_was_asked_is_heard_after_it() -> None:
    """On a connection that is open nothing stops a peer from speaking first."""
    connection = Connection(Side.REQUESTOR)
    connection.receive_data(encode(ABORT))
    assert connection.next_event() is NEED_DATA

    connection.send(REQUEST)
    assert connection.next_event() == ABORT


@pytest.mark.parametrize("state", REACHABLE)
def test_the_user_cannot_do_what_the_table_does_not_allow(state: State) -> None:
    for wish, event in (
        (REQUEST, Event.EVT2),
        (ACCEPT, Event.EVT7),
        (AssociateReject(result=1, source=1, reason=1), Event.EVT8),
        (ReleaseRequest(), Event.EVT11),
        (ReleaseResponse(), Event.EVT14),
        (ABORT, Event.EVT15),
    ):
        connection = in_state(state)
        if (event, state) in TABLE:
            connection.send(wish)
            continue
        with pytest.raises(StateError):
            connection.send(wish)
        assert connection.state is state
