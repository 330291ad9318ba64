"""Text under each Specific Character Set."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.charset import python_encoding

from harmony.dicom.charsets import decoder_for

# From PS3.5 annexes H, I, J and K, and the single-byte sets by their languages.
CASES = {
    "ISO_IR 100": ("Buc^Jérôme", "latin_1"),
    "ISO_IR 101": ("Dvořák^Antonín", "iso8859_2"),
    "ISO_IR 109": ("Ĝis^Ĉu", "iso8859_3"),
    "ISO_IR 110": ("Bērziņš", "iso8859_4"),
    "ISO_IR 144": ("Ждю^Лия", "iso8859_5"),
    "ISO_IR 127": ("قباني^لنزار", "iso8859_6"),
    "ISO_IR 126": ("Διονυσιος", "iso8859_7"),
    "ISO_IR 138": ("שרון^דבורה", "iso8859_8"),
    "ISO_IR 148": ("Çavuşoğlu", "iso8859_9"),
    "ISO_IR 166": ("ชื่อ", "tis_620"),
    "ISO_IR 13": ("ﾔﾏﾀﾞ^ﾀﾛｳ", "shift_jis"),
    "ISO_IR 192": ("Wang^XiaoDong=王^小东", "utf8"),
    "GB18030": ("Wang^XiaoDong=王^小东", "gb18030"),
    "GBK": ("Zhang=张", "gbk"),
}


@pytest.mark.parametrize("term", CASES)
def test_each_character_set_without_extensions(term: str) -> None:
    text, codec = CASES[term]
    assert decoder_for(term.encode()).text(text.encode(codec), name=True) == text


EXTENDED = [
    (
        b"\\ISO 2022 IR 87",
        b"Yamada^Tarou=\x1b$B;3ED\x1b(B^\x1b$BB@O:\x1b(B=\x1b$B$d$^$@\x1b(B^\x1b$B$?$m$&\x1b(B",
        "Yamada^Tarou=山田^太郎=やまだ^たろう",
    ),
    (
        b"ISO 2022 IR 13\\ISO 2022 IR 87",
        b"\xd4\xcf\xc0\xde^\xc0\xdb\xb3=\x1b$B;3ED\x1b(J^\x1b$BB@O:\x1b(J",
        "ﾔﾏﾀﾞ^ﾀﾛｳ=山田^太郎",
    ),
    (
        b"\\ISO 2022 IR 149",
        b"Hong^Gildong=\x1b$)C\xfb\xf3^\x1b$)C\xd1\xce\xd4\xd7=\x1b$)C\xc8\xab^\x1b$)C\xb1\xe6\xb5\xbf",
        "Hong^Gildong=洪^吉洞=홍^길동",
    ),
    (
        b"\\ISO 2022 IR 58",
        b"Zhang^XiaoDong=\x1b$)A\xd5\xc5^\x1b$)A\xd0\xa1\xb6\xab=",
        "Zhang^XiaoDong=张^小东=",
    ),
    (
        b"ISO 2022 IR 100\\ISO 2022 IR 144",
        b"Buc^J\xe9r\xf4me\x1b-L\xbb\xee\xda^\xe9",
        "Buc^JérômeЛюк^é",
    ),
    (b"\\ISO 2022 IR 159", b"\x1b$(D0\x21\x1b(B", "丂"),
]


@pytest.mark.parametrize(("declared", "data", "text"), EXTENDED)
def test_extensions_by_escape_sequence(declared: bytes, data: bytes, text: str) -> None:
    assert decoder_for(declared).text(data, name=True) == text


@pytest.mark.parametrize(
    ("declared", "data", "text"),
    [
        (b"GB18030", b"\xd5\x5c", "誠"),
        (b"GBK", b"\xd5\x5c", "誠"),
        (b"\\ISO 2022 IR 87", b"\x1b$B\x25\x5c\x1b(B", "ボ"),
    ],
)
def test_a_character_that_holds_a_backslash_stays_one(
    declared: bytes, data: bytes, text: str
) -> None:
    assert decoder_for(declared).text(data) == text


@pytest.mark.parametrize(
    "declared", [b"ISO-IR 100", b"ISO IR 100", b"ISO_IR_100", b"iso_ir 100 ", b"ISO_IR 100\0"]
)
def test_near_misses_of_a_term_count_as_meant(declared: bytes) -> None:
    assert decoder_for(declared).text(b"\xe9") == "é"


@pytest.mark.parametrize("declared", [b"", b"ISO_IR 6", b"KOI8", b" "])
@pytest.mark.parametrize("codec", ["utf8", "latin_1"])
def test_undeclared_text_is_utf8_or_else_latin_1(declared: bytes, codec: str) -> None:
    assert decoder_for(declared).text("Müller".encode(codec)) == "Müller"


def test_damaged_text_shows_where_it_is_damaged() -> None:
    assert decoder_for(b"ISO_IR 192").text(b"a\xffb") == "a\ufffdb"


@given(
    st.sampled_from([*python_encoding, "\\ISO 2022 IR 87", "ISO 2022 IR 13\\ISO 2022 IR 159"]),
    st.lists(
        st.binary(max_size=6)
        | st.sampled_from([b"\x1b$B", b"\x1b(B", b"\x1b$(D", b"\x1b)I", b"\x1b$)C", b"\x1b"]),
        max_size=6,
    ).map(b"".join),
    st.booleans(),
)
def test_any_bytes_become_text_that_utf8_can_hold(term: str, data: bytes, name: bool) -> None:
    assert isinstance(decoder_for(term.encode()).text(data, name=name).encode(), bytes)
