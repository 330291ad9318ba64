"""Instances that are a document or a video: what a browser shows of them as it is.

PS3.3 C.24.2 (PDF, CDA, STL and the like), PS3.5 8.2.5 to 8.2.8 (video), PS3.18 8.7.4.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from harmony.dicom.elements import Data, Malformed, Syntax
from harmony.dicom.encapsulated import whole_stream
from harmony.dicom.located import Located
from harmony.dicom.pixel_media import OCTET_STREAM, VIDEO, media_type_of
from harmony.dicom.pixels import PIXEL_DATA
from harmony.dicom.scan import Found, Scan, opened
from harmony.dicom.uids import DEFLATED

_DOCUMENT, _MIME_TYPE, _LENGTH = 0x00420011, 0x00420012, 0x00420015
_PARTS = frozenset((_DOCUMENT, _MIME_TYPE, _LENGTH))
_MAX_NAME_BYTES = 64  # LO, PS3.5 6.2
_LENGTH_BYTES = 4  # UL
_MEDIA_TYPE = re.compile(r"[a-z0-9!#$&^_.+-]+/[a-z0-9!#$&^_.+-]+")  # RFC 6838 4.2


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """A document or a video, by where it lies; read it out of the data set it was found in.

    Attributes:
        media_type: of a document, what the instance says; application/octet-stream if that is
            no media type. Its sender chose it, so a browser must not trust it.
        place: without padding, if the instance tells its length.
    """

    media_type: str
    place: Located


def document_in(data: Data, transfer_syntax: str) -> Document | None:
    """The document or the video that an instance is; None if it is something else.

    Raises:
        Malformed: the data set is damaged, or its document is cut short.
    """
    plain, syntax = opened(data, transfer_syntax)
    scan = Scan(plain, syntax)
    parts: dict[int, Found] = {}
    for found in scan.elements(scan.top):
        if found.tag >= PIXEL_DATA:
            if found.tag == PIXEL_DATA and found.stop is None and transfer_syntax in VIDEO:
                return _video(whole_stream(scan, found), transfer_syntax)
            break
        if found.tag in _PARTS:
            parts[found.tag] = found
    document = parts.get(_DOCUMENT)
    if document is None or document.stop is None or document.start == document.stop:
        return None
    size = _size(document.stop - document.start, _value(plain, parts.get(_LENGTH)), syntax)
    return Document(
        media_type=_media_type(_value(plain, parts.get(_MIME_TYPE))),
        place=Located(
            spans=((document.start, document.start + size),),
            bits=8 * size,
            is_deflated=transfer_syntax in DEFLATED,
        ),
    )


def _video(spans: tuple[tuple[int, int], ...], transfer_syntax: str) -> Document:
    bits = 8 * sum(stop - start for start, stop in spans)
    place = Located(spans=spans, bits=bits)
    return Document(media_type=media_type_of(transfer_syntax), place=place)


def _value(plain: Data, found: Found | None) -> bytes:
    """A short value; empty if it is none."""
    if found is None or found.stop is None or found.stop - found.start > _MAX_NAME_BYTES:
        return b""
    return plain[found.start : found.stop]


def _size(stored: int, told: bytes, syntax: Syntax) -> int:
    """How long a document is without the padding to even length. PS3.3 C.24.2.

    Some tell a length that is none of theirs, and then all that is stored is given.
    """
    if len(told) != _LENGTH_BYTES:
        return stored
    length = int.from_bytes(told, "little" if syntax.order == "<" else "big")
    if length > stored:
        raise Malformed("its document is shorter than it says")
    return length if length and stored - length <= 1 else stored


def _media_type(told: bytes) -> str:
    text = told.decode("latin-1").strip(" \0").lower()
    return text if _MEDIA_TYPE.fullmatch(text) else OCTET_STREAM
