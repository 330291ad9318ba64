"""Values of elements as text, for those VRs that have one."""

from __future__ import annotations

import struct

from harmony.dicom.charsets import Decoder
from harmony.dicom.elements import vr_of

_INTEGERS = {"US": "H", "SS": "h", "UL": "L", "SL": "l", "UV": "Q", "SV": "q"}
_LOCALISED = frozenset(("LO", "LT", "PN", "SH", "ST", "UC", "UT"))  # PS3.5 6.1.2.3
_PLAIN = frozenset(("AE", "AS", "CS", "DA", "DS", "DT", "IS", "TM", "UI", "UR"))
# A backslash is a character there, and what leads is significant. PS3.5 6.2.
_ONE_VALUE = frozenset(("LT", "ST", "UR", "UT"))
TEXT_VRS = _LOCALISED | _PLAIN


def texts_of(
    tag: int, vr: str, raw: bytes, *, order: str, decoder: Decoder
) -> tuple[str, ...] | None:
    """Each value without its padding; none for an empty element.

    Args:
        tag: of the element; says what UN hides. PS3.5 6.2.2.
        vr: as encoded, or as the dictionary has it.
        raw: the value as encoded.
        order: of its bytes, as `struct` writes it.
        decoder: for its Specific Character Set.

    Returns:
        None if the VR is neither text nor a whole number, or the value does not fit it.
    """
    if vr == "UN":
        vr, order = vr_of(tag), "<"
    vr = vr.partition(" or ")[0]
    if vr in _INTEGERS:
        form = order + _INTEGERS[vr]
        if len(raw) % struct.calcsize(form):
            return None
        return tuple(str(number) for (number,) in struct.iter_unpack(form, raw))
    if vr in _LOCALISED:
        text = decoder.text(raw, name=vr == "PN")
    elif vr in _PLAIN:
        text = raw.decode("latin-1")
    else:
        return None
    text = text.rstrip(" \0")
    if not text:
        return ()
    if vr in _ONE_VALUE:
        return (text,)
    return tuple(value.strip(" \0") for value in text.split("\\"))
