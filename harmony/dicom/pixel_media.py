"""Media types of compressed pixel data, by transfer syntax and the other way. PS3.18 8.7.3.3."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from harmony.dicom.elements import SYNTAXES
from harmony.dicom.uids import DEFLATED, EXPLICIT_LITTLE_ENDIAN

OCTET_STREAM = "application/octet-stream"
RLE = "1.2.840.10008.1.2.5"
ENCAPSULATED_UNCOMPRESSED = "1.2.840.10008.1.2.1.98"  # PS3.5 A.4.11
_VIDEO_TYPES = ("video/mpeg2", "video/mp4")


def _jpeg_family(*numbers: str) -> tuple[str, ...]:
    return tuple(f"1.2.840.10008.1.2.4.{number}" for number in numbers)


# PS3.18 table 8.7.3-5, the default first; the tables of 2019 and later are the same but for the
# syntaxes that came since. Behind them what the table leaves to the server.
_TABLE: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "image/jpeg": _jpeg_family(
            *("70", "50", "51", "57"),
            # Retired, and streams of the same standard. PS3.6 table A-1.
            *("52", "53", "54", "55", "56", "58", "59"),
            *("60", "61", "62", "63", "64", "65", "66"),
        ),
        "image/dicom-rle": (RLE,),
        "image/jls": _jpeg_family("80", "81"),
        "image/jp2": _jpeg_family("90", "91"),
        "image/jpx": _jpeg_family("92", "93"),
        "image/jphc": _jpeg_family("201", "202", "203"),
        "image/jxl": _jpeg_family("110", "111", "112"),
        "video/mpeg2": _jpeg_family("100", "101", "100.1", "101.1"),
        "video/mp4": _jpeg_family(
            *("102", "103", "104", "105", "106"),
            *("102.1", "103.1", "104.1", "105.1", "106.1"),
            *("107", "108"),
        ),
    }
)
_TYPES = MappingProxyType({uid: kind for kind, uids in _TABLE.items() for uid in uids})
# Names of the time before the types were registered; clients ask with them still.
_FORMER = MappingProxyType({"image/x-jls": "image/jls", "image/x-dicom-rle": "image/dicom-rle"})

VIDEO = frozenset(uid for kind in _VIDEO_TYPES for uid in _TABLE[kind])


def media_type_of(transfer_syntax: str) -> str:
    """The media type of frames that were stored in this syntax, as they are.

    What is not compressed, or in a syntax that the standard gives no type, is an octet stream.
    """
    return _TYPES.get(transfer_syntax, OCTET_STREAM)


def frame_syntax(transfer_syntax: str) -> str:
    """The syntax that frames are in which come out of a data set in this one.

    Uncompressed frames are explicit VR little endian whatever they come from: PS3.18 table
    8.7.3-4 has nothing else.
    """
    if is_native(transfer_syntax) or transfer_syntax == ENCAPSULATED_UNCOMPRESSED:
        return EXPLICIT_LITTLE_ENDIAN
    return transfer_syntax


def is_native(transfer_syntax: str) -> bool:
    """Whether pixel data are not encapsulated in it. PS3.5 A.1 to A.3 and A.5."""
    return transfer_syntax in SYNTAXES or transfer_syntax in DEFLATED


def syntaxes_of(media_type: str) -> tuple[str, ...]:
    """The transfer syntaxes that a media type may stand for, its default first.

    None for what is no media type of pixel data. Names are compared without regard to case, and
    those of earlier editions are known.
    """
    name = media_type.lower()
    if name == OCTET_STREAM:
        return (EXPLICIT_LITTLE_ENDIAN,)
    return _TABLE.get(_FORMER.get(name, name), ())
