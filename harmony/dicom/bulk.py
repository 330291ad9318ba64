"""Bulk data of an encoded data set: the value at a `Path`, and how a URL writes the path.

A BulkDataURI that `dicomjson.metadata_to_json` gives names such a path.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import islice

from harmony.dicom.dicomjson import Path
from harmony.dicom.elements import MAX_DEPTH, Data
from harmony.dicom.encapsulated import whole_stream
from harmony.dicom.located import Located, located
from harmony.dicom.pixel_media import OCTET_STREAM, media_type_of
from harmony.dicom.scan import Found, Place, Scan, opened
from harmony.dicom.uids import DEFLATED
from harmony.errors import RequestError

_TAG = re.compile(r"[0-9A-F]{8}")
_INDEX = re.compile(r"0|[1-9][0-9]{0,8}", re.ASCII)


class NoSuchValue(RequestError):
    """Nothing with a value stands at the path."""

    default_code = "no-such-bulk-data"
    default_http_status = 404

    def __init__(self) -> None:
        super().__init__(
            "the instance has no value at the path that was asked for",
            hint="take the BulkDataURI from the metadata of the same instance",
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class BulkValue:
    """A value, by where it lies; read it out of the data set that it was found in.

    Attributes:
        media_type: that of the compressed data, or application/octet-stream.
        is_encapsulated: it is all fragments of pixel data, joined. Where they are several
            frames, `PixelIndex` tells these apart.
    """

    vr: str
    place: Located
    media_type: str
    is_encapsulated: bool


def path_text(path: Path) -> str:
    """A path as it stands in a URL: tags in eight digits and indices, with slashes between."""
    return "/".join(str(part) if at % 2 else f"{part:08X}" for at, part in enumerate(path))


def parse_path(text: str) -> Path:
    """The path that `path_text` wrote, and nothing else.

    Raises:
        RequestError: it is none.
    """
    parts = text.split("/", 2 * MAX_DEPTH + 1)
    wanted = [_INDEX if at % 2 else _TAG for at in range(len(parts))]
    if (
        not len(parts) % 2
        or len(parts) > 2 * MAX_DEPTH + 1
        or not all(form.fullmatch(part) for form, part in zip(wanted, parts, strict=True))
    ):
        raise RequestError(
            "the path of bulk data is none",
            code="bad-bulk-path",
            hint="write a tag as 7FE00010, or 54000100/0/54001010 for one in the first item",
        )
    return tuple(int(part) if at % 2 else int(part, 16) for at, part in enumerate(parts))


def bulk_value(data: Data, transfer_syntax: str, path: Path) -> BulkValue:
    """Find the value at a path; it comes out little endian.

    Only what stands before it is passed over, and its sequences are gone into.

    Raises:
        NoSuchValue: nothing stands there, or a sequence.
        Malformed: the data set is damaged up to there.
    """
    plain, syntax = opened(data, transfer_syntax)
    scan = Scan(plain, syntax)
    place = scan.top
    for tag, index in zip(path[:-1:2], path[1::2], strict=True):
        sequence = _element(scan, place, tag)
        if sequence.vr not in ("SQ", "UN"):
            raise NoSuchValue
        place = _item(scan, sequence, index)
    found = _element(scan, place, path[-1])
    if found.vr == "SQ" or (found.vr == "UN" and found.stop is None):
        raise NoSuchValue
    is_deflated = transfer_syntax in DEFLATED
    if found.stop is not None:
        order = found.syntax.order
        value = located(found.vr, found.start, found.stop, order, is_deflated=is_deflated)
        return BulkValue(vr=found.vr, place=value, media_type=OCTET_STREAM, is_encapsulated=False)
    spans = whole_stream(scan, found)
    bits = 8 * sum(stop - start for start, stop in spans)
    return BulkValue(
        vr=found.vr,
        place=Located(spans=spans, bits=bits, is_deflated=is_deflated),
        media_type=media_type_of(transfer_syntax),
        is_encapsulated=True,
    )


def _element(scan: Scan, place: Place, tag: int) -> Found:
    for found in scan.elements(place):
        if found.tag == tag:
            return found
    raise NoSuchValue


def _item(scan: Scan, sequence: Found, index: int) -> Place:
    for item in islice(scan.items(sequence), index, None):
        return item
    raise NoSuchValue
