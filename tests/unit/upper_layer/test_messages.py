"""Messages cut into PDUs and put together again: whole, marked, within limits, uncopied."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harmony.upper_layer.commands import (
    DATA_SET_PRESENT,
    MAX_COMMAND_BYTES,
    Command,
    CommandField,
    encode,
)
from harmony.upper_layer.connection import Buffer
from harmony.upper_layer.messages import (
    MAX_PDU_BYTES,
    MIN_PDU_BYTES,
    Assembler,
    CommandSet,
    Data,
    Fault,
    MessageError,
    Packer,
)
from harmony.upper_layer.pdus import Fragment, PduType, fragments

KIB = 1024
HEADER_BYTES = 6
CONTEXT = 5
FIND = Command(field=CommandField.C_FIND_RSP, responds_to=7, status=0xFF00, data_set_type=1)
ECHO = Command(field=CommandField.C_ECHO_RQ, message_id=1)
IN_PARTS = Command(field=CommandField.C_STORE_RQ, message_id=1, data_set_type=DATA_SET_PRESENT)


def pack(command: bytes, chunks: list[bytes] | None, limit: int) -> list[list[Buffer]]:
    packer = Packer(CONTEXT, limit)
    pdus = list(packer.command(command))
    if chunks is not None:
        for chunk in chunks:
            pdus += packer.data(chunk)
        pdus += packer.end_data()
    return [*pdus, packer.take()]


def body(pdu: list[Buffer]) -> memoryview:
    whole = b"".join(pdu)
    assert whole[0] == PduType.DATA_TF
    assert int.from_bytes(whole[2:HEADER_BYTES], "big") == len(whole) - HEADER_BYTES
    return memoryview(whole)[HEADER_BYTES:]


def values(pdus: list[list[Buffer]]) -> list[Fragment]:
    return [value for pdu in pdus for value in fragments(body(pdu))]


LIMITS = st.integers(MIN_PDU_BYTES, 400)
CHUNKS = st.lists(st.binary(max_size=300), max_size=6)


@given(st.binary(min_size=2, max_size=200), st.none() | CHUNKS, LIMITS)
def test_the_bytes_are_the_same_and_the_last_fragments_are_marked(
    command: bytes, chunks: list[bytes] | None, limit: int
) -> None:
    found = values(pack(command, chunks, limit))
    assert {value.context_id for value in found} == {CONTEXT}
    of_command = [value for value in found if value.is_command]
    of_data = [value for value in found if not value.is_command]
    assert found == of_command + of_data
    assert b"".join(value.data for value in of_command) == command
    assert b"".join(value.data for value in of_data) == b"".join(chunks or [])
    for part in (of_command, of_data) if chunks is not None else (of_command,):
        assert [value.is_last for value in part] == [False] * (len(part) - 1) + [True]


@given(CHUNKS, LIMITS)
def test_no_pdu_is_longer_than_the_peer_allows(chunks: list[bytes], limit: int) -> None:
    for pdu in pack(b"c" * 100, chunks, limit):
        assert len(body(pdu)) <= limit


@given(CHUNKS, LIMITS)
def test_every_fragment_but_the_last_has_an_even_length(chunks: list[bytes], limit: int) -> None:
    found = values(pack(b"c" * 10, chunks, limit))
    assert all(len(value.data) % 2 == 0 for value in found[:-1])


@given(CHUNKS, LIMITS)
def test_a_pdu_holds_at_most_one_value_of_each_kind_and_is_as_full_as_can_be(
    chunks: list[bytes], limit: int
) -> None:
    pdus = pack(b"c" * 100, chunks, limit)
    for number, pdu in enumerate(pdus):
        kinds = [value.is_command for value in fragments(body(pdu))]
        assert kinds in ([True], [False], [True, False])
        if number < len(pdus) - 1 and kinds != [True]:
            assert limit - len(body(pdu)) < 2


@pytest.mark.parametrize("limit", range(1, MIN_PDU_BYTES + 1))
def test_a_limit_that_leaves_no_room_for_data_is_taken_for_the_least_that_does(limit: int) -> None:
    pdus = pack(b"cccc", [b"dddd"], limit)
    assert [len(body(pdu)) for pdu in pdus] == [MIN_PDU_BYTES] * 4


@pytest.mark.parametrize("limit", [0, MAX_PDU_BYTES, MAX_PDU_BYTES + 1, 0xFFFFFFFF])
def test_a_peer_without_a_limit_gets_pdus_of_a_sensible_length(limit: int) -> None:
    pdus = pack(b"cc", [bytes(3 * MAX_PDU_BYTES)], limit)
    assert [len(body(pdu)) for pdu in pdus[:-1]] == [MAX_PDU_BYTES] * 3


def test_command_and_first_bytes_of_the_data_set_share_a_pdu() -> None:
    (pdu,) = pack(b"c" * 80, [b"d" * 40], 16 * KIB)
    assert [(value.is_command, value.is_last) for value in fragments(body(pdu))] == [
        (True, True),
        (False, True),
    ]


@pytest.mark.parametrize("limit", [100, 8])
@pytest.mark.parametrize("chunks", [[], [b""]])
def test_an_empty_data_set_is_one_empty_last_fragment(chunks: list[bytes], limit: int) -> None:
    assert values(pack(b"cc", chunks, limit)) == [
        Fragment(CONTEXT, True, True, b"cc"),
        Fragment(CONTEXT, False, True, b""),
    ]


@pytest.mark.parametrize("sizes", [None, [300], [8 * KIB], [1, 2, 3, 4 * KIB, 5]])
def test_a_small_message_is_one_buffer(sizes: list[int] | None) -> None:
    chunks = None if sizes is None else list(map(bytes, sizes))
    assert [list(map(type, pdu)) for pdu in pack(b"c" * 80, chunks, 0)] == [[bytes]]


def test_big_chunks_are_not_copied() -> None:
    chunks = [bytes(100 * KIB), bytes(200 * KIB), bytes(4 * KIB)]
    buffers = [buffer for pdu in pack(b"c" * 80, chunks, 0) for buffer in pdu]
    views = [buffer for buffer in buffers if isinstance(buffer, memoryview)]
    assert sum(map(len, views)) == sum(map(len, chunks))
    assert {id(view.obj) for view in views} == set(map(id, chunks))


def test_a_chunk_may_be_a_view() -> None:
    chunk = memoryview(b"0123456789")[2:6]
    packer = Packer(CONTEXT, 0)
    pdus = [*packer.command(b"cc"), *packer.data(chunk), *packer.end_data(), packer.take()]
    assert values(pdus)[-1].data == b"2345"


@pytest.mark.parametrize("sizes", [[1] * 200_000, [4 * KIB, 1] * 100, [4 * KIB - 1] * 100])
def test_however_small_the_chunks_a_pdu_is_few_buffers(sizes: list[int]) -> None:
    pdus = pack(b"c" * 80, list(map(bytes, sizes)), 0)
    assert max(map(len, pdus)) < 80
    assert sum(len(value.data) for value in values(pdus)[1:]) == sum(sizes)


def test_a_full_pdu_is_held_back_until_it_is_known_whether_it_is_the_last() -> None:
    packer = Packer(CONTEXT, 100)
    assert list(packer.command(b"cc")) == []
    room = 100 - 8 - HEADER_BYTES
    assert list(packer.data(bytes(room))) == []
    assert len(list(packer.data(b"d"))) == 1
    assert list(packer.end_data()) == []
    assert fragments(body(packer.take())) == [Fragment(CONTEXT, False, True, b"d")]


# Putting together


def command_fragments(
    command: Command, size: int = 10, context_id: int = CONTEXT
) -> list[Fragment]:
    data = encode(command)
    return [
        Fragment(context_id, True, at + size >= len(data), data[at : at + size])
        for at in range(0, len(data), size)
    ]


def take_all(assembler: Assembler, *given: Fragment) -> list[CommandSet | Data]:
    return [unit for value in given if (unit := assembler.take(value)) is not None]


@given(
    commands=st.lists(st.tuples(st.sampled_from([FIND, ECHO, IN_PARTS]), CHUNKS), max_size=4),
    limit=LIMITS,
)
def test_what_was_packed_is_put_together(
    commands: list[tuple[Command, list[bytes]]], limit: int
) -> None:
    assembler = Assembler()
    for command, chunks in commands:
        sent = chunks if command.has_data_set else None
        first, *rest = take_all(assembler, *values(pack(encode(command), sent, limit)))
        assert first == CommandSet(CONTEXT, command)
        pieces = [unit for unit in rest if isinstance(unit, Data)]
        assert pieces == rest
        assert b"".join(piece.data for piece in pieces) == b"".join(sent or [])
        assert [piece.is_last for piece in pieces] == ([False] * len(pieces))[1:] + [True] * (
            sent is not None
        )


def test_a_piece_of_a_data_set_is_passed_on_as_it_is() -> None:
    data = bytes(1000)
    (_, unit) = take_all(
        Assembler(), *command_fragments(FIND, 1000), Fragment(CONTEXT, False, True, data)
    )
    assert isinstance(unit, Data)
    assert unit.data is data


def test_a_data_set_alone_can_be_waited_for() -> None:
    assembler = Assembler(data_in=CONTEXT)
    assert assembler.take(Fragment(CONTEXT, False, True, b"dd")) == Data(b"dd", True)
    with pytest.raises(MessageError):
        assembler.take(Fragment(CONTEXT, False, True, b"dd"))


DATA = Fragment(CONTEXT, False, False, b"dd")
HALF = command_fragments(FIND)[0]
OTHER = command_fragments(FIND, context_id=7)[0]


@pytest.mark.parametrize(
    ("given", "wrong", "code"),
    [
        ([], DATA, Fault.DATA_SET_WITHOUT_COMMAND),
        (command_fragments(ECHO), DATA, Fault.DATA_SET_WITHOUT_COMMAND),
        ([HALF], DATA, Fault.DATA_SET_WITHOUT_COMMAND),
        ([HALF], OTHER, Fault.COMMAND_BROKEN_OFF),
        ([*command_fragments(FIND)], HALF, Fault.DATA_SET_BROKEN_OFF),
        ([*command_fragments(FIND), DATA], HALF, Fault.DATA_SET_BROKEN_OFF),
        (
            [*command_fragments(FIND), DATA],
            Fragment(7, False, True, b"dd"),
            Fault.DATA_SET_BROKEN_OFF,
        ),
        ([], Fragment(CONTEXT, True, True, b""), Fault.BAD_COMMAND_SET),
        ([HALF], Fragment(CONTEXT, True, True, b"\xff"), Fault.BAD_COMMAND_SET),
        (
            [Fragment(CONTEXT, True, False, bytes(MAX_COMMAND_BYTES))],
            Fragment(CONTEXT, True, False, b"\0"),
            Fault.COMMAND_TOO_LONG,
        ),
        ([], Fragment(CONTEXT, True, True, bytes(MAX_COMMAND_BYTES + 1)), Fault.COMMAND_TOO_LONG),
    ],
)
def test_what_is_not_due_is_refused(given: list[Fragment], wrong: Fragment, code: Fault) -> None:
    assembler = Assembler()
    take_all(assembler, *given)
    with pytest.raises(MessageError) as caught:
        assembler.take(wrong)
    assert caught.value.code is code


FRAGMENTS = st.builds(
    Fragment,
    st.sampled_from([1, 3]),
    st.booleans(),
    st.booleans(),
    st.binary(max_size=30) | st.sampled_from([encode(FIND), encode(ECHO), encode(FIND)[:20]]),
)


@given(st.lists(FRAGMENTS, max_size=12))
def test_any_fragments_give_units_or_a_message_error(given: list[Fragment]) -> None:
    assembler = Assembler(max_command_bytes=100)
    for fragment in given:
        try:
            assembler.take(fragment)
        except MessageError:
            return


def test_what_a_peer_sends_is_in_no_repr() -> None:
    assert "DOE" not in repr(Data(b"DOE^JANE", True))
