"""Fragments of outgoing messages: whole, marked, and within the peer's limit."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harmony.dimse.packing import MIN_PDU_BYTES, VALUE_HEADER_BYTES, Packer, Values


def pack(command: bytes, chunks: list[bytes] | None, limit: int) -> list[Values]:
    packer = Packer(5, limit)
    pdus = list(packer.command(command))
    if chunks is not None:
        for chunk in chunks:
            pdus += packer.data(chunk)
        pdus += packer.end_data()
    return [*pdus, packer.take()]


def unpack(pdus: list[Values]) -> tuple[bytes, bytes | None, list[int]]:
    values = [value for pdu in pdus for value in pdu]
    assert {context for context, _ in values} == {5}
    headers = [value[0] for _, value in values]
    command = b"".join(value[1:] for _, value in values if value[0] & 1)
    parts = [value[1:] for _, value in values if not value[0] & 1]
    return command, b"".join(parts) if parts else None, headers


@given(
    command=st.binary(min_size=2, max_size=200),
    chunks=st.none() | st.lists(st.binary(max_size=300), max_size=6),
    limit=st.integers(MIN_PDU_BYTES, 400),
)
def test_the_bytes_are_the_same_and_the_last_fragments_are_marked(
    command: bytes, chunks: list[bytes] | None, limit: int
) -> None:
    pdus = pack(command, chunks, limit)
    got_command, got_data, headers = unpack(pdus)
    assert got_command == command
    assert got_data == (None if chunks is None else b"".join(chunks))
    kinds = [header & 1 for header in headers]
    assert kinds == sorted(kinds, reverse=True), "command fragments come first"
    lasts = [header for header in headers if header & 2]
    assert lasts == ([3] if chunks is None else [3, 2])
    assert headers[-1] & 2


@given(
    chunks=st.lists(st.binary(max_size=300), max_size=6),
    limit=st.integers(MIN_PDU_BYTES, 400),
)
def test_no_pdu_is_longer_than_the_peer_allows(chunks: list[bytes], limit: int) -> None:
    for pdu in pack(b"c" * 100, chunks, limit):
        assert pdu
        assert sum(len(value) - 1 + VALUE_HEADER_BYTES for _, value in pdu) <= limit


def test_every_fragment_but_the_last_has_an_even_length() -> None:
    values = [value for pdu in pack(b"c" * 10, [b"d" * 1001], 101) for value in pdu]
    assert all(len(value[1:]) % 2 == 0 for _, value in values[:-1])


def test_command_and_first_bytes_of_the_data_set_share_a_pdu() -> None:
    (pdu,) = pack(b"c" * 80, [b"d" * 40], 16384)
    assert [value[0] for _, value in pdu] == [3, 2]


@pytest.mark.parametrize("chunks", [[], [b""]])
def test_an_empty_data_set_is_one_empty_last_fragment(chunks: list[bytes]) -> None:
    assert unpack(pack(b"cc", chunks, 100)) == (b"cc", b"", [3, 2])
