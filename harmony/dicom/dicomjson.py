"""Encoded data sets as DICOM JSON: C-FIND answers, and metadata of instances. PS3.18 annex F.

What comes out is UTF-8 and valid JSON whatever the values hold. Only a data set whose structure
is damaged, or which is beyond a limit, cannot be shown.

No pydicom data set is made on the way, and none is needed for what is unusual: the tests hold
both to the same answer, in all VRs, character sets and transfer syntaxes, and in every file
that comes with pydicom.
"""

from __future__ import annotations

import functools
import struct
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

import msgspec
from pydicom.datadict import private_dictionary_VR

from harmony.dicom.charsets import UNDECLARED, Decoder, decoder_for
from harmony.dicom.elements import (
    ITEM,
    MAX_ELEMENTS,
    SEQUENCE_END,
    SYNTAXES,
    UNDEFINED,
    Data,
    Malformed,
    Syntax,
    Walk,
    vr_of,
)
from harmony.dicom.jsonvalues import Json, fits, json_of
from harmony.dicom.scan import opened
from harmony.dicom.uids import IMPLICIT_LITTLE_ENDIAN
from harmony.envelope import Match
from harmony.errors import UpstreamError

MAX_BYTES = 1024 * 1024
MAX_INSTANCE_ELEMENTS = 500_000  # with the fragments of its pixel data
MAX_INLINE_BYTES = 4096

# Where an element stands: tag, index of an item from 0, tag in it, and so on.
Path: TypeAlias = tuple[int, ...]
BulkUri: TypeAlias = Callable[[Path], str]
# Makes the Retrieve URL of a match from its UIDs, by tag; those that it does not have are absent.
RetrieveUrl: TypeAlias = Callable[[Mapping[int, str]], str | None]

_CHARACTER_SET = 0x00080005
_CHARACTER_SET_KEY = f"{_CHARACTER_SET:08X}"
_RETRIEVE_URL_KEY = "00081190"
_ROWS_KEY = "00280010"
_PIXEL_DATA = 0x7FE00010
_PIXEL_DATA_KEY = f"{_PIXEL_DATA:08X}"
_UIDS = (0x0020000D, 0x0020000E, 0x00080018)
_UTF8 = "ISO_IR 192"
_IMPLICIT = SYNTAXES[IMPLICIT_LITTLE_ENDIAN]

_PIXELS = frozenset((0x7FE00008, 0x7FE00009, 0x7FE00010))  # PS3.3 C.7.6.24, C.7.6.25, C.7.6.3
_MAY_BE_BULK = frozenset(  # PS3.18 F.2.2
    (
        *("DS", "FL", "FD", "IS", "LT", "OB", "OD", "OF", "OL", "OV", "OW"),
        *("SL", "SS", "ST", "SV", "UC", "UL", "UN", "US", "UT", "UV"),
    )
)
_FRAGMENT = struct.Struct("<HHL")

_encode = msgspec.json.Encoder().encode


def match_to_json(match: Match, retrieve_url: RetrieveUrl | None = None) -> bytes:
    """One match as a JSON object.

    Args:
        retrieve_url: gives it its Retrieve URL (0008,1190), in place of one that it has.

    Raises:
        UpstreamError: its identifier is damaged or beyond a limit; nothing of it is quoted.
    """
    if len(match.identifier) > MAX_BYTES:
        raise _undecodable(f"it has more than {MAX_BYTES} bytes")
    syntax = SYNTAXES.get(match.transfer_syntax)
    if syntax is None:
        raise _undecodable("it comes in a transfer syntax that nobody offered")
    try:
        return _ToJson(match.identifier, MAX_ELEMENTS, None).row(syntax, retrieve_url)
    except Malformed as exc:
        raise _undecodable(str(exc)) from None


def matches_to_json(
    matches: Iterable[Match], retrieve_url: RetrieveUrl | None = None
) -> list[bytes]:
    """Each match as a JSON object, in the same order.

    Raises:
        UpstreamError: one of them cannot be shown.
    """
    return [match_to_json(match, retrieve_url) for match in matches]


def metadata_to_json(
    data: Data, transfer_syntax: str, bulk_uri: BulkUri, *, without_bulk: bool = False
) -> bytes:
    """A whole instance as a JSON object, with URIs in place of bulk data. PS3.18 10.4.1.1.2.

    Bulk are the pixel data, and values of more than 4 KiB whose VR may be replaced. Of a file
    that is mapped into memory they are passed over unread; a deflated data set is inflated.

    Args:
        data: the data set, without file meta information.
        transfer_syntax: any of PS3.5 annex A.
        bulk_uri: gives the BulkDataURI of what stands at a path.
        without_bulk: its pixel data were left out; an image has them all the same.

    Raises:
        Malformed: it is no data set, or is beyond a limit; nothing of it is quoted.
    """
    data, syntax = opened(data, transfer_syntax)
    return _ToJson(data, MAX_INSTANCE_ELEMENTS, bulk_uri, without_bulk=without_bulk).row(syntax)


def _undecodable(why: str) -> UpstreamError:
    return UpstreamError(
        f"an answer of the PACS cannot be decoded: {why}", code="undecodable-answer"
    )


@functools.lru_cache(maxsize=8192)
def _key_of(tag: int) -> str | None:
    """None for what has no place: group lengths, commands, file meta. PS3.18 F.2.2."""
    if not tag & 0xFFFF or tag >> 16 in (0x0000, 0x0002):
        return None
    return f"{tag:08X}"


@functools.lru_cache(maxsize=1024)
def _private_vr(tag: int, creator: str) -> str:
    try:
        return private_dictionary_VR(tag, creator)
    except KeyError:
        return "UN"


@dataclass(slots=True)
class _Item:
    """A data set or item on its way.

    Attributes:
        found: what it holds, by tag in hexadecimal digits.
        order: of the bytes in its values.
        decoder: for its text.
        path: where it stands.
    """

    found: dict[str, Json]
    order: str
    decoder: Decoder
    path: Path


class _ToJson(Walk[_Item]):
    """Makes the JSON object of each element as it passes."""

    def __init__(
        self,
        data: Data,
        max_elements: int,
        bulk_uri: BulkUri | None,
        *,
        without_bulk: bool = False,
    ) -> None:
        super().__init__(data, max_elements)
        self._bulk_uri = bulk_uri
        self._without_bulk = without_bulk

    def row(self, syntax: Syntax, retrieve_url: RetrieveUrl | None = None) -> bytes:
        found = self.walk(_Item({}, syntax.order, UNDECLARED, ()), syntax).found
        if self._without_bulk and self._bulk_uri is not None and _is_bare_image(found):
            found[_PIXEL_DATA_KEY] = {"vr": "OW", "BulkDataURI": self._bulk_uri((_PIXEL_DATA,))}
        if retrieve_url is not None and (url := retrieve_url(_uids_of(found))) is not None:
            found[_RETRIEVE_URL_KEY] = {"vr": "UR", "Value": [url]}
        row = _encode(_ordered(found))
        if not row.isascii() and _CHARACTER_SET_KEY not in found:
            found[_CHARACTER_SET_KEY] = {"vr": "CS", "Value": [_UTF8]}
            row = _encode(_ordered(found))
        return row

    def element(self, item: _Item, tag: int, vr: str, start: int, stop: int) -> None:
        key = _key_of(tag)
        if key is None:
            return
        order = item.order
        if vr == "UN":
            vr, order = self._recognised(item, tag, stop - start), "<"
            if vr == "SQ":
                if self._shown_as_sequence(item, tag, start, stop):
                    return
                vr = "UN"
        if self._bulk_uri is not None and (
            tag in _PIXELS or (stop - start > MAX_INLINE_BYTES and vr in _MAY_BE_BULK)
        ):
            item.found[key] = {"vr": vr, "BulkDataURI": self._bulk_uri((*item.path, tag))}
            return
        raw = self._data[start:stop]
        if tag == _CHARACTER_SET:
            item.decoder = decoder_for(raw)
            item.found[key] = {"vr": "CS", "Value": [_UTF8]}
        else:
            item.found[key] = json_of(vr, raw, order, item.decoder)

    def open(self, around: _Item, tag: int, index: int, syntax: Syntax) -> _Item:
        return _Item({}, syntax.order, around.decoder, (*around.path, tag, index))

    def sequence(self, item: _Item, tag: int, items: list[_Item]) -> None:
        values = [_ordered(each.found) for each in items]
        if key := _key_of(tag):
            item.found[key] = {"vr": "SQ", "Value": values} if values else {"vr": "SQ"}

    def encapsulated(self, item: _Item, tag: int, vr: str, start: int, end: int) -> int:
        """Pass over the fragments of pixel data. PS3.5 A.4."""
        key = _key_of(tag)
        if self._bulk_uri is None or key is None:
            return super().encapsulated(item, tag, vr, start, end)
        item.found[key] = {"vr": vr, "BulkDataURI": self._bulk_uri((*item.path, tag))}
        while start < end:
            self.count()
            group, number, length = _FRAGMENT.unpack_from(self._data, start)
            delimiter = group << 16 | number
            start += _FRAGMENT.size
            if delimiter == SEQUENCE_END:
                return start
            if delimiter != ITEM or length == UNDEFINED:
                raise Malformed("encapsulated data holds something else than fragments")
            start += length
        raise Malformed("encapsulated data has no end")

    def _recognised(self, item: _Item, tag: int, length: int) -> str:
        """What UN hides: a sender that did not know the VR left the value as it was. PS3.5 6.2.2.

        It is little endian. What the dictionaries do not know or leave open, and a value that is
        none of the VR, stay UN.
        """
        vr = vr_of(tag)
        if vr == "UN" and tag >> 16 & 1:
            vr = _private_vr(tag, _creator(item, tag))
        return vr if vr == "SQ" or fits(vr, length) else "UN"

    def _shown_as_sequence(self, item: _Item, tag: int, start: int, stop: int) -> bool:
        """Show the sequence that UN hides; False if it is none after all."""
        try:
            items = self.items(item, tag, start, stop, _IMPLICIT)
        except Malformed:
            return False
        self.sequence(item, tag, items)
        return True


def _is_bare_image(found: dict[str, Json]) -> bool:
    """Whether it describes pixels and has none."""
    return _ROWS_KEY in found and not any(_key_of(tag) in found for tag in _PIXELS)


def _uids_of(found: dict[str, Json]) -> dict[int, str]:
    """UIDs of the study, series and instance, as far as they are there."""
    uids: dict[int, str] = {}
    for tag in _UIDS:
        match found.get(f"{tag:08X}", {}).get("Value"):
            case [str(uid)]:
                uids[tag] = uid
    return uids


def _creator(item: _Item, tag: int) -> str:
    """Who reserved the block of a private element; empty if nobody did. PS3.5 7.8.1."""
    shown = item.found.get(f"{tag >> 16:04X}00{tag >> 8 & 0xFF:02X}", {})
    match shown.get("Value"):
        case [str(creator)]:
            return creator
    return ""


def _ordered(found: dict[str, Json]) -> dict[str, Json]:
    """By tag, as PS3.18 F.2.2 wants it and nearly every data set is."""
    keys = list(found)
    in_order = sorted(keys)
    return found if keys == in_order else {key: found[key] for key in in_order}
