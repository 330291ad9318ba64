"""Items that nobody has to understand are left out, and nothing else is touched."""

import struct

import pytest

from harmony.dimse.request_items import without_unknown_items


def item(kind, body):
    return struct.pack(">BxH", kind, len(body)) + body


def request(*items):
    body = struct.pack(">HH16s16s32x", 1, 0, b"CALLED", b"CALLING") + b"".join(items)
    return struct.pack(">BxL", 1, len(body)) + body


APPLICATION = item(0x10, b"1.2.840.10008.3.1.1.1")
CONTEXT = item(0x20, b"\x01\x00\x00\x00" + item(0x30, b"1.2") + item(0x40, b"1.2.840.10008.1.2"))
LENGTH = item(0x51, struct.pack(">L", 16382))
CLASS = item(0x52, b"1.2.3")
PLAIN = request(APPLICATION, CONTEXT, item(0x50, LENGTH + CLASS))


def test_a_request_of_known_items_stays_the_same_object():
    assert without_unknown_items(PLAIN) is PLAIN


@pytest.mark.parametrize(
    "changed",
    [
        request(APPLICATION, CONTEXT, item(0x50, item(0x5A, b"vendor") + LENGTH + CLASS)),
        request(APPLICATION, CONTEXT, item(0x50, LENGTH + CLASS + item(0xEE, b""))),
        request(APPLICATION, item(0x77, b"odd"), CONTEXT, item(0x50, LENGTH + CLASS)),
        request(item(0xFF, b"x" * 300), APPLICATION, CONTEXT, item(0x50, LENGTH + CLASS)),
    ],
)
def test_items_of_unknown_type_are_left_out_and_lengths_are_right(changed):
    assert without_unknown_items(changed) == PLAIN


@pytest.mark.parametrize(
    "broken",
    [
        PLAIN[:-1],
        request(APPLICATION, b"\x20"),
        request(APPLICATION, struct.pack(">BxH", 0x50, 9)),
        request(APPLICATION, item(0x50, struct.pack(">BxH", 0x5A, 99))),
    ],
)
def test_what_cannot_be_told_apart_is_left_to_the_upper_layer(broken):
    assert without_unknown_items(broken) is broken
