"""Values in the forms that the index keeps: one to tell and one to compare.

What comes from an object may be anything; whatever it is, the result is text of a limited
length without control characters, so that an answer made of it is a proper identifier.
"""

from __future__ import annotations

import datetime
import re
import struct
import unicodedata

from harmony.archive.attributes import Attribute
from harmony.dicom.charsets import Decoder

MAX_CHARACTERS = 1024  # of what is kept of a value; no VR of the index allows nearly as many

_LOCALISED = frozenset(("LO", "PN", "SH"))  # PS3.5 6.1.2.2
_CONTROLS = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
_OLD_DATE = re.compile(r"([0-9]{4})\.([0-9]{2})\.([0-9]{2})")  # of ACR-NEMA, PS3.5 6.2, DA
_WHOLE = re.compile(r"[+-]?[0-9]{1,12}")
_DATE_TIME = re.compile(r"([0-9]{4,14})(\.[0-9]{1,6})?([+-])([0-9]{2})([0-9]{2})")
_MINUTE_DIGITS, _SECOND_DIGITS = 12, 14


def told(attribute: Attribute, raw: bytes, decoder: Decoder, order: str) -> str:
    """The value of an element as text; several are joined by a backslash. Empty for none.

    Args:
        attribute: whose value it is.
        raw: the value as encoded.
        decoder: for the character set of the object.
        order: of its bytes, as `struct` takes it.
    """
    if attribute.vr == "US":
        return str(struct.unpack_from(order + "H", raw)[0]) if len(raw) >= 2 else ""
    if attribute.vr in _LOCALISED:
        text = decoder.text(raw, name=attribute.vr == "PN")
    else:
        text = raw.decode("latin-1")
    parts = [_tidy(attribute.vr, part) for part in text.split("\\")]
    return "\\".join(parts).rstrip("\\")[:MAX_CHARACTERS]


def compared(attribute: Attribute, text: str) -> str:
    """What keys are compared with, from what `told` gives.

    Where there may be several values, or component groups of a name, a mark stands before,
    between and behind them, so that each can be found as a whole.
    """
    if not text or attribute.compared == attribute.column:
        return text
    if attribute.vr == "PN":
        groups = [folded(group) for group in re.split(r"[=\\]", text)]
        return f"={'='.join(groups)}="
    if attribute.vr == "DT":
        return utc(text)
    return f"\\{text}\\"


def folded(name: str) -> str:
    """A component group of a name without case, padding, and empty components at its end.

    PS3.4 C.2.2.2.1 leaves it to us whether case counts in names; it does not.
    """
    text = unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())
    return "^".join(component.strip(" ") for component in text.split("^")).rstrip("^")


def utc(text: str) -> str:
    """A date and time with an offset as UTC, in its own precision; others as they are.

    PS3.4 C.2.2.2.5.1: what has no offset is compared as if it were in ours, which is UTC here.
    """
    found = _DATE_TIME.fullmatch(text)
    if found is None or len(found[1]) < _MINUTE_DIGITS:
        return text
    digits, fraction, sign, hours, minutes = found.groups()
    offset = datetime.timedelta(hours=int(hours), minutes=int(minutes))
    try:
        local = datetime.datetime.strptime(digits[:_MINUTE_DIGITS], "%Y%m%d%H%M")
        moved = local - offset if sign == "+" else local + offset
    except (ValueError, OverflowError):
        return text
    return moved.strftime("%Y%m%d%H%M").rjust(_MINUTE_DIGITS, "0") + (
        digits[_MINUTE_DIGITS:_SECOND_DIGITS] + (fraction or "")
    )


def _tidy(vr: str, text: str) -> str:
    text = text.strip(" \0") if vr != "PN" else text.rstrip(" \0")
    if vr == "DA" and (found := _OLD_DATE.fullmatch(text)):
        return "".join(found.groups())
    if vr == "TM":
        text = text.replace(":", "")
    if vr == "IS" and _WHOLE.fullmatch(text):
        return str(int(text))
    return _CONTROLS.sub("\ufffd", text)
