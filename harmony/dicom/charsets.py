"""Text under any Specific Character Set as str, without failing. PS3.5 6.1.2, PS3.3 C.12.1.1.2.

Bytes that a character set does not have become U+FFFD. Text of a peer that declares none, and
sends more than ASCII all the same, is UTF-8 where it can be and Latin-1 otherwise.
"""

from __future__ import annotations

import functools
import re
from typing import NamedTuple

from pydicom.charset import python_encoding

_TERM = re.compile(r"(ISO[ _-]?(?:IR|2022))[ _-]?(IR[ _-]?)?(\d+)")
_CODECS = {term.replace("_", " "): codec.lower() for term, codec in python_encoding.items()}
_CODECS["UTF 8"] = _CODECS["UTF8"] = "utf8"
_ASCII_TERMS = frozenset(("", "ISO IR 6", "ISO 2022 IR 6"))

# Escape sequences and what they put where. G0 has the bytes below 80, G1 those above.
# PS3.3 tables C.12-3 and C.12-4.
_ESCAPE = re.compile(rb"\x1b(\([BJ]|\)I|-[ABCDFGHLMT]|\$B|\$\(D|\$\)[AC])")
_G0 = {b"(B": None, b"(J": None, b"$B": "iso2022_jp", b"$(D": "iso2022_jp_2"}
_G1 = {
    b")I": "shift_jis",
    b"-A": "latin_1",
    b"-B": "iso8859_2",
    b"-C": "iso8859_3",
    b"-D": "iso8859_4",
    b"-F": "iso_ir_126",
    b"-G": "iso_ir_127",
    b"-H": "iso_ir_138",
    b"-L": "iso_ir_144",
    b"-M": "iso_ir_148",
    b"-T": "iso_ir_166",
    b"$)A": "gb2312",
    b"$)C": "euc_kr",
}
_HALVES = re.compile(rb"[\x00-\x7f]+|[\x80-\xff]+")
# These return to the first character set. PS3.5 6.1.2.5.3.
_RESET = re.compile(rb"[\t\n\f\r\\]")
_RESET_IN_NAMES = re.compile(rb"[\t\n\f\r\\^=]")


class Decoder(NamedTuple):
    """Decodes text.

    Attributes:
        codec: of the first character set; None if none is declared.
        extended: whether escape sequences may change it.
    """

    codec: str | None
    extended: bool = False

    def text(self, data: bytes, *, name: bool = False) -> str:
        """Decode; `name` says that it is a person name, where more delimiters count."""
        if data.isascii() and not (self.extended and b"\x1b" in data):
            return data.decode("ascii")
        if self.codec is None:
            return _guess(data)
        if self.extended and b"\x1b" in data:
            return _decode_extended(data, self.codec, _RESET_IN_NAMES if name else _RESET)
        return data.decode(self.codec, "replace")


UNDECLARED = Decoder(None)


@functools.lru_cache(maxsize=256)
def decoder_for(declared: bytes) -> Decoder:
    """The decoder for a value of (0008,0005). Near-misses of its terms count as meant."""
    terms = [_normal(term) for term in declared.decode("latin-1").strip(" \0").split("\\")]
    extended = len(terms) > 1 or terms[0].startswith("ISO 2022")
    if terms[0] in _ASCII_TERMS:
        return Decoder("latin_1", extended=True) if extended else UNDECLARED
    codec = _CODECS.get(terms[0])
    if codec is None:
        return UNDECLARED
    # JIS X 0208 and 0212, and what follows its own escape sequences, start from ASCII.
    first = "latin_1" if codec in ("iso2022_jp", "iso2022_jp_2") else codec
    return Decoder(first, extended=extended)


def _normal(term: str) -> str:
    """`term` with its separators as blanks: ``ISO_IR 100``, ``ISO-IR-100``, ``iso ir 100``."""
    term = term.strip().upper()
    if found := _TERM.fullmatch(term):
        family, second, number = found.groups()
        if family.endswith("2022"):
            return f"ISO 2022 IR {number}" if second or number != "58" else "ISO 2022 58"
        return f"ISO IR {number}"
    return re.sub(r"[_-]", " ", term)


def _guess(data: bytes) -> str:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return data.decode("latin-1")


def _decode_extended(data: bytes, first: str, reset: re.Pattern[bytes]) -> str:
    """Code extensions by ISO 2022. PS3.5 6.1.2.5."""
    g0: str | None = None
    g0_escape = b""
    g1 = first
    text: list[str] = []
    pieces = _ESCAPE.split(data)  # text, escape, text, escape, text
    for index, piece in enumerate(pieces):
        if index % 2:
            if piece in _G0:
                g0, g0_escape = _G0[piece], b"\x1b" + piece
            else:
                g1 = _G1[piece]
            continue
        if g0 is not None:  # two bytes a character, so what looks like a delimiter is none
            for half in _HALVES.findall(piece):
                if half[0] < 0x80:
                    text.append((g0_escape + half).decode(g0, "replace"))
                else:
                    text.append(half.decode(g1, "replace"))
            continue
        if delimiter := reset.search(piece):
            text.append(piece[: delimiter.start()].decode(g1, "replace"))
            piece, g1 = piece[delimiter.start() :], first
        text.append(piece.decode(g1, "replace"))
    return "".join(text)
