"""Each transfer syntax has one media type, and each media type a default."""

from __future__ import annotations

import pytest
from pydicom._uid_dict import UID_dictionary
from pydicom.uid import UID

from harmony.dicom.pixel_media import (
    VIDEO,
    frame_syntax,
    is_native,
    media_type_of,
    syntaxes_of,
)

P = "1.2.840.10008.1.2"
OCTETS = "application/octet-stream"
UNKNOWN_TO_THE_TABLE = frozenset((f"{P}.1.98", f"{P}.8.1", f"{P}.4.94", f"{P}.4.204"))
SYNTAXES = sorted(
    uid
    for uid, (name, kind, *_) in UID_dictionary.items()
    if kind == "Transfer Syntax" and not uid.startswith((f"{P}.6", f"{P}.7", "1.2.840.10008.1.20"))
)


@pytest.mark.parametrize(
    ("media_type", "syntaxes"),
    [
        ("application/octet-stream", [f"{P}.1"]),
        ("image/jpeg", [f"{P}.4.70", f"{P}.4.50", f"{P}.4.51", f"{P}.4.57"]),
        ("image/dicom-rle", [f"{P}.5"]),
        ("image/jls", [f"{P}.4.80", f"{P}.4.81"]),
        ("image/jp2", [f"{P}.4.90", f"{P}.4.91"]),
        ("image/jpx", [f"{P}.4.92", f"{P}.4.93"]),
        ("image/jphc", [f"{P}.4.201", f"{P}.4.202", f"{P}.4.203"]),
        ("image/jxl", [f"{P}.4.110", f"{P}.4.111", f"{P}.4.112"]),
        ("video/mpeg2", [f"{P}.4.100", f"{P}.4.101"]),
        ("video/mp4", [f"{P}.4.102", f"{P}.4.103", f"{P}.4.106", f"{P}.4.107"]),
        ("image/x-jls", [f"{P}.4.80"]),
        ("IMAGE/X-DICOM-RLE", [f"{P}.5"]),
    ],
)
def test_a_media_type_stands_for_syntaxes_the_default_first(media_type, syntaxes):
    found = syntaxes_of(media_type)
    assert found[0] == syntaxes[0]
    assert set(syntaxes) <= set(found)


@pytest.mark.parametrize("media_type", ["image/png", "application/dicom", "*/*", ""])
def test_other_media_types_stand_for_none(media_type):
    assert syntaxes_of(media_type) == ()


@pytest.mark.parametrize("syntax", SYNTAXES)
def test_every_syntax_of_the_standard_is_native_or_has_a_type(syntax):
    kind = media_type_of(syntax)
    if is_native(syntax):
        assert (kind, frame_syntax(syntax)) == (OCTETS, f"{P}.1")
    elif syntax in UNKNOWN_TO_THE_TABLE:
        assert kind == OCTETS
    else:
        assert kind.startswith("video/" if syntax in VIDEO else "image/")
        assert syntax in syntaxes_of(kind)
        assert frame_syntax(syntax) == syntax
        assert UID(syntax).is_encapsulated


def test_frames_that_are_encapsulated_and_not_compressed_come_out_bare():
    assert frame_syntax(f"{P}.1.98") == f"{P}.1"


def test_a_private_syntax_is_an_octet_stream_of_its_own():
    assert (media_type_of("1.2.3"), frame_syntax("1.2.3")) == (OCTETS, "1.2.3")
