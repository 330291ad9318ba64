"""Leaves out of an A-ASSOCIATE-RQ what nobody has to understand.

Items of a type that one does not know are to be passed over (PS3.8 9.3.1); pynetdicom aborts
the association instead. Vendors do send items of their own.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

_HEAD = struct.Struct(">BxL")  # of a PDU: type, length
_ITEM = struct.Struct(">BxH")  # of an item: type, length
_ITEMS_START = 74  # behind version, AE titles and reserved bytes; PS3.8 table 9-11
_APPLICATION_CONTEXT, _PRESENTATION_CONTEXT, _USER_INFORMATION = 0x10, 0x20, 0x50
_KNOWN = frozenset((_APPLICATION_CONTEXT, _PRESENTATION_CONTEXT, _USER_INFORMATION))
_KNOWN_USER_ITEMS = frozenset(range(0x51, 0x5A))  # PS3.7 D.3.3, PS3.8 D.1


def without_unknown_items(pdu: bytes) -> bytes:
    """The same request with known items only; unchanged if its items cannot be told apart."""
    try:
        kept = bytearray()
        for kind, item in _items(pdu, _ITEMS_START, len(pdu)):
            if kind == _USER_INFORMATION:
                kept += _user_information(item)
            elif kind in _KNOWN:
                kept += item
    except ValueError:
        return pdu
    if len(kept) == len(pdu) - _ITEMS_START:
        return pdu
    body = pdu[_HEAD.size : _ITEMS_START] + kept
    return _HEAD.pack(pdu[0], len(body)) + body


def _user_information(item: bytes) -> bytes:
    kept = b"".join(
        sub for kind, sub in _items(item, _ITEM.size, len(item)) if kind in _KNOWN_USER_ITEMS
    )
    return _ITEM.pack(_USER_INFORMATION, len(kept)) + kept


def _items(data: bytes, start: int, end: int) -> Iterator[tuple[int, bytes]]:
    """Type and bytes of each item, its header included.

    Raises:
        ValueError: the lengths do not add up.
    """
    while start < end:
        if start + _ITEM.size > end:
            raise ValueError("an item ends in its header")
        kind, length = _ITEM.unpack_from(data, start)
        stop = start + _ITEM.size + length
        if stop > end:
            raise ValueError("an item is longer than what holds it")
        yield kind, data[start:stop]
        start = stop
