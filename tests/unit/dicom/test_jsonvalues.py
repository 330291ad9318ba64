"""Values as DICOM JSON, where they are not as they should be."""

from __future__ import annotations

import base64
import json
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom._dicom_dict import DicomDictionary
from pydicom._private_dict import private_dictionaries

from harmony.dicom.charsets import UNDECLARED, decoder_for
from harmony.dicom.elements import LONG_VRS, Malformed
from harmony.dicom.jsonvalues import fits, json_of

VRS = (
    *("AE", "AS", "AT", "CS", "DA", "DS", "DT", "FD", "FL", "IS", "LO", "LT", "PN", "SH"),
    *("SL", "SS", "ST", "TM", "UI", "UL", "US"),
    *sorted(LONG_VRS - {"SQ"}),
)
WIDE = {
    **dict.fromkeys(("US", "SS"), 2),
    **dict.fromkeys(("AT", "FL", "SL", "UL"), 4),
    **dict.fromkeys(("FD", "SV", "UV"), 8),
}


@pytest.mark.parametrize(
    ("vr", "raw", "values"),
    [
        ("IS", b"12", [12]),
        ("IS", b" +12 ", [12]),
        ("IS", b"12.5", ["12.5"]),
        ("IS", b"99999999999999999999", ["99999999999999999999"]),
        ("IS", b"1\\\\3", [1, None, 3]),
        ("DS", b"1.5", [1.5]),
        ("DS", b"1e400", ["1e400"]),
        ("DS", b"NaN", ["NaN"]),
        ("DS", b"1_0", ["1_0"]),
        ("DS", b"0.1234567890123456789", ["0.1234567890123456789"]),
        ("DS", b"0.10000000000000000000", [0.1]),
        ("DS", b"1\\\\2", [1.0, None, 2.0]),
        ("CS", b" CT \\MR", ["CT", "MR"]),
        ("CS", b"\\", [None, None]),
        ("LO", b" a \\b", [" a", "b"]),
        ("LT", b" a\\b \0", [" a\\b"]),
        ("UR", b"http://a\\b ", ["http://a\\b"]),
        ("UI", b"1.2\0", ["1.2"]),
        ("PN", b"A^B=C", [{"Alphabetic": "A^B", "Ideographic": "C"}]),
        ("PN", b"==C", [{"Phonetic": "C"}]),
        (
            "PN",
            b"A=B=C=D",
            [{"Alphabetic": "A", "Ideographic": "B", "Phonetic": "C=D"}],
        ),
        ("PN", b"A\\\\=\\B", [{"Alphabetic": "A"}, None, None, {"Alphabetic": "B"}]),
        ("AT", b"\x18\0\x63\x10\x08\0\x05\0", ["00181063", "00080005"]),
        ("FD", struct.pack("<3d", 1.5, float("inf"), float("nan")), [1.5, None, None]),
        ("FL", struct.pack("<f", -0.5), [-0.5]),
        ("SV", struct.pack("<2q", -(2**53), 5), [str(-(2**53)), 5]),
        ("UV", struct.pack("<2Q", 2**53 - 1, 2**53), [2**53 - 1, str(2**53)]),
    ],
)
def test_each_value_as_json(vr, raw, values):
    assert json_of(vr, raw, "<", UNDECLARED) == {"vr": vr, "Value": values}


@pytest.mark.parametrize("vr", [*sorted(set(VRS) - set(WIDE) - LONG_VRS), "UC", "UR", "UT"])
@pytest.mark.parametrize("raw", [b"", b" ", b"\0", b"  \0"])
def test_padding_alone_is_no_value(vr, raw):
    assert json_of(vr, raw, "<", UNDECLARED) == {"vr": vr}


@pytest.mark.parametrize("vr", sorted(set(VRS) & LONG_VRS - {"UT", "UC", "UR"} | set(WIDE)))
def test_an_empty_value_is_none(vr):
    assert json_of(vr, b"", "<", UNDECLARED) == {"vr": vr}


@pytest.mark.parametrize(
    ("vr", "big", "little"),
    [
        ("OB", "0102", "0102"),
        ("UN", "0102", "0102"),
        ("OW", "01020304", "02010403"),
        ("OL", "01020304", "04030201"),
        ("OF", "01020304", "04030201"),
        ("OD", "0102030405060708", "0807060504030201"),
        ("OV", "0102030405060708", "0807060504030201"),
    ],
)
def test_words_come_out_little_endian(vr, big, little):
    for order, raw in ((">", big), ("<", little)):
        shown = json_of(vr, bytes.fromhex(raw), order, UNDECLARED)
        assert base64.b64decode(str(shown["InlineBinary"])) == bytes.fromhex(little)


@pytest.mark.parametrize(("vr", "width"), WIDE.items())
def test_a_length_that_does_not_fit_is_refused(vr, width):
    assert fits(vr, 2 * width)
    assert not fits(vr, width + 1)
    with pytest.raises(Malformed, match=f"VR {vr}"):
        json_of(vr, bytes(width + 1), "<", UNDECLARED)


def test_only_text_is_read_in_the_declared_character_set():
    cyrillic = decoder_for(b"ISO_IR 144")
    raw = "Ж".encode("iso8859_5")
    assert json_of("LO", raw, "<", cyrillic)["Value"] == ["Ж"]
    assert json_of("CS", raw, "<", cyrillic)["Value"] == [raw.decode("latin-1")]


def test_every_vr_of_the_dictionaries_can_be_shown_or_is_no_vr_of_a_value():
    public = {vr for vr, *_ in DicomDictionary.values()}
    private = {vr for known in private_dictionaries.values() for vr, *_ in known.values()}
    others = {vr for vr in public | private if not fits(vr, 0)}
    assert {vr for vr in others if " or " not in vr} == {"NONE", "OB_OW", "SQ"}
    assert set(VRS) == {vr for vr in VRS if fits(vr, 0)}


@given(st.sampled_from(VRS), st.binary(max_size=48), st.sampled_from("<>"))
def test_any_bytes_are_valid_json_or_do_not_fit(vr, raw, order):
    try:
        shown = json_of(vr, raw, order, decoder_for(b"\\ISO 2022 IR 87"))
    except Malformed:
        return
    assert json.dumps(shown, allow_nan=False).encode()
    assert shown["vr"] == vr
