"""Encoded identifiers from one uncompressed transfer syntax into another. PS3.5 annex A.

Values stay as they are but for their byte order; sequences get lengths, and group lengths,
which would no longer be true, are left out.
"""

from __future__ import annotations

import array
import struct

from harmony.dicom.elements import (
    ITEM,
    LONG_VRS,
    MAX_DEPTH,
    MAX_SHORT,
    SEQUENCE_END,
    SYNTAXES,
    UNDEFINED,
    Element,
    Items,
    Malformed,
    Syntax,
    parse,
    vr_of,
)
from harmony.dicom.uids import IMPLICIT_LITTLE_ENDIAN

# How wide the words are whose bytes a big endian encoding turns around. PS3.5 7.3.
_WIDTHS = {
    **dict.fromkeys(("AT", "OW", "SS", "US"), 2),
    **dict.fromkeys(("FL", "OF", "OL", "SL", "UL"), 4),
    **dict.fromkeys(("FD", "OD", "OV", "SV", "UV"), 8),
}
_ARRAY_CODES = {2: "H", 4: "I", 8: "Q"}
_OPEN_SEQUENCE_OF_UNKNOWN_VR = b"UN\0\0\xff\xff\xff\xff"
_IMPLICIT = SYNTAXES[IMPLICIT_LITTLE_ENDIAN]


def transcode(data: bytes, from_syntax: str, to_syntax: str) -> bytes:
    """The same data set in another transfer syntax; the very bytes if it is the same.

    Raises:
        Malformed: it is no data set, is beyond a limit of `elements`, or cannot be said in
            `to_syntax`; or this is no transfer syntax of identifiers.
    """
    if from_syntax == to_syntax:
        return data
    source, target = SYNTAXES.get(from_syntax), SYNTAXES.get(to_syntax)
    if source is None or target is None:
        raise Malformed("it comes or is wanted in a transfer syntax that is not for identifiers")
    if source.order == ">" and _OPEN_SEQUENCE_OF_UNKNOWN_VR in data:
        # Its items are little endian (PS3.5 6.2.2, note 4), which `parse` does not tell.
        raise Malformed("it holds a sequence of unknown VR in a big endian data set")
    return encode(_adapted(parse(data, source), turn=source.order != target.order), target)


def encode(elements: list[Element], syntax: Syntax) -> bytes:
    """A data set of `elements`, whose values must be in the byte order of `syntax`.

    Raises:
        Malformed: `syntax` cannot say it, or it is nested deeper than `elements` reads.
    """
    return _data_set(elements, syntax, depth=0)


def _adapted(elements: list[Element], *, turn: bool) -> list[Element]:
    """Without group lengths (PS3.5 7.2), and in the other byte order if `turn`."""
    adapted: list[Element] = []
    for tag, vr, value in elements:
        if not tag & 0xFFFF:
            continue
        if isinstance(value, list):
            adapted.append(Element(tag, vr, [_adapted(item, turn=turn) for item in value]))
        else:
            adapted.append(Element(tag, vr, _turned(vr, value) if turn else value))
    return adapted


def _turned(vr: str, raw: bytes) -> bytes:
    width = _WIDTHS.get(vr)
    if width is None:
        return raw
    if len(raw) % width:
        raise Malformed(f"the length of an element does not fit its VR {vr}")
    words = array.array(_ARRAY_CODES[width], raw)
    words.byteswap()
    return words.tobytes()


def _data_set(elements: list[Element], syntax: Syntax, depth: int) -> bytes:
    write = _explicit if syntax.explicit else _implicit
    return b"".join(write(element, syntax, depth) for element in elements)


def _explicit(element: Element, syntax: Syntax, depth: int) -> bytes:
    tag, vr, value = element
    if isinstance(value, list):
        value = _items(value, syntax, depth)
    head = struct.pack(syntax.order + "HH", tag >> 16, tag & 0xFFFF)
    if vr not in LONG_VRS:
        if len(value) <= MAX_SHORT:
            return head + vr.encode() + struct.pack(syntax.order + "H", len(value)) + value
        if syntax.order == ">":
            value = _turned(vr, value)
        vr = "UN"  # which has room for it, and is little endian. PS3.5 6.2.2
    return head + vr.encode() + b"\0\0" + struct.pack(syntax.order + "L", len(value)) + value


def _implicit(element: Element, syntax: Syntax, depth: int) -> bytes:
    """The VR is not written: a reader must find the same in its dictionary."""
    tag, vr, value = element
    known = vr_of(tag)
    if isinstance(value, bytes):
        if known != "SQ":
            return _head(tag, len(value), syntax) + value
        if vr != "UN":
            raise Malformed("an attribute that is a sequence has another VR")
        hidden = parse(_head(tag, len(value), _IMPLICIT) + value, _IMPLICIT)
        [(_, _, value)] = _adapted(hidden, turn=False)
        assert isinstance(value, list)
    items = _items(value, syntax, depth)
    if known == "SQ":
        return _head(tag, len(items), syntax) + items
    if known != "UN":
        raise Malformed("an attribute that is no sequence holds items")
    # Only a length that is not told shows that this is a sequence. PS3.5 6.2.2, note 4.
    end = _head(SEQUENCE_END, 0, syntax)
    return _head(tag, UNDEFINED, syntax) + items + end


def _items(items: Items, syntax: Syntax, depth: int) -> bytes:
    if depth == MAX_DEPTH:
        raise Malformed(f"it is nested more than {MAX_DEPTH} deep")
    encoded: list[bytes] = []
    for item in items:
        data = _data_set(item, syntax, depth + 1)
        encoded += (_head(ITEM, len(data), syntax), data)
    return b"".join(encoded)


def _head(tag: int, length: int, syntax: Syntax) -> bytes:
    """Head of an element in implicit VR, and of an item in any. PS3.5 7.1.3 and 7.5."""
    return struct.pack(syntax.order + "HHL", tag >> 16, tag & 0xFFFF, length)
