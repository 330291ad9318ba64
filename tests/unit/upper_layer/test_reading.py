"""Bytes cut into PDUs, whatever the pieces are."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harmony.upper_layer.pdus import AbortReason, PduError
from harmony.upper_layer.reading import HEADER_BYTES, Limits, PduReader

LIMITS = Limits(data=1000, associate=2000, control=20)


def pdu(kind: int, body: bytes) -> bytes:
    return bytes((kind, 0)) + len(body).to_bytes(4, "big") + body


def read(reader: PduReader) -> list[tuple[int, bytes]]:
    found = []
    while (unit := reader.next()) is not None:
        found.append((unit[0], bytes(unit[1])))
    return found


pdus = st.lists(st.tuples(st.sampled_from((4, 5, 6)), st.binary(max_size=20)), max_size=6)


@given(pdus, st.data())
def test_pdus_come_out_as_they_went_in_however_they_are_cut(
    units: list[tuple[int, bytes]], data: st.DataObject
) -> None:
    stream = b"".join(pdu(kind, body) for kind, body in units)
    reader, found = PduReader(LIMITS), []
    while stream:
        size = data.draw(st.integers(1, len(stream)))
        reader.feed(stream[:size])
        stream = stream[size:]
        if data.draw(st.booleans()):
            found += read(reader)
    found += read(reader)

    assert found == units
    assert not reader.is_within_pdu


@given(st.integers(1, 25))
def test_a_pdu_in_part_is_no_pdu_and_is_noticed(size: int) -> None:
    reader = PduReader(LIMITS)
    reader.feed(pdu(4, bytes(20))[:size])

    assert reader.next() is None
    assert reader.is_within_pdu


@pytest.mark.parametrize(
    ("kind", "limit"),
    [(1, 2000), (2, 2000), (3, 20), (4, 1000), (5, 20), (6, 20), (7, 20)],
)
def test_a_longer_pdu_than_allowed_is_refused_by_its_header(kind: int, limit: int) -> None:
    fits, too_long = PduReader(LIMITS), PduReader(LIMITS)
    fits.feed(pdu(kind, bytes(limit)))
    too_long.feed(bytes((kind, 0)) + (limit + 1).to_bytes(4, "big"))

    unit = fits.next()
    assert unit is not None
    assert len(unit[1]) == limit
    with pytest.raises(PduError) as caught:
        too_long.next()
    assert caught.value.reason is AbortReason.INVALID_PARAMETER


@pytest.mark.parametrize("length", [0, 4, 2**32 - 1])
@pytest.mark.parametrize("kind", [0, 8, 22, 71, 255])
def test_an_unknown_type_is_refused_whatever_its_length(kind: int, length: int) -> None:
    reader = PduReader(LIMITS)
    reader.feed(bytes((kind, 0)) + length.to_bytes(4, "big"))

    with pytest.raises(PduError) as caught:
        reader.next()
    assert caught.value.reason is AbortReason.UNRECOGNISED_PDU


def test_a_header_waits_for_its_last_byte() -> None:
    reader = PduReader(LIMITS)
    reader.feed(bytes((255,)) * (HEADER_BYTES - 1))

    assert reader.next() is None
