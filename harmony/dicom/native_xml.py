"""The DICOM JSON model as XML, the Native DICOM Model. PS3.19 A.1, PS3.18 F.3.

What comes out is well-formed whatever the values hold: a character that XML 1.0 cannot have is
replaced by U+FFFD.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from xml.sax.saxutils import escape, quoteattr

import msgspec
from pydicom.datadict import keyword_for_tag

HEAD = b'<?xml version="1.0" encoding="UTF-8"?>\n'
NAMESPACE = "http://dicom.nema.org/PS3.19/models/NativeDICOM"

_FORBIDDEN = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_GROUPS = ("Alphabetic", "Ideographic", "Phonetic")
_COMPONENTS = ("FamilyName", "GivenName", "MiddleName", "NamePrefix", "NameSuffix")


def to_xml(row: bytes) -> bytes:
    """An object of the DICOM JSON model, as our encoder writes it, as a document.

    Raises:
        msgspec.DecodeError: it is no JSON.
    """
    found = msgspec.json.decode(row, type=dict[str, dict[str, object]])
    parts = [f'<NativeDicomModel xmlns="{NAMESPACE}" xml:space="preserve">']
    _data_set(found, parts)
    parts.append("</NativeDicomModel>")
    return HEAD + "".join(parts).encode()


def _data_set(found: Mapping[str, object], parts: list[str]) -> None:
    for tag, element in found.items():
        if isinstance(element, Mapping):
            _element(tag, element, found, parts)


def _element(
    tag: str, element: Mapping[str, object], around: Mapping[str, object], parts: list[str]
) -> None:
    vr = str(element.get("vr", "UN"))
    number = int(tag, 16)
    keyword = keyword_for_tag(number)
    named = f" keyword={quoteattr(keyword)}" if keyword and not number >> 16 & 1 else ""
    creator = _creator(number, around)
    owned = f" privateCreator={quoteattr(_text(creator))}" if creator else ""
    if creator:
        number &= 0xFFFF00FF  # the creator says which block, whatever its number is here
    parts.append(f'<DicomAttribute tag="{number:08X}" vr="{vr}"{named}{owned}>')
    if (uri := element.get("BulkDataURI")) is not None:
        parts.append(f"<BulkData uri={quoteattr(_text(uri))}/>")
    elif (inline := element.get("InlineBinary")) is not None:
        parts.append(f"<InlineBinary>{escape(_text(inline))}</InlineBinary>")
    else:
        values = element.get("Value")
        if isinstance(values, Sequence) and not isinstance(values, str):
            for at, value in enumerate(values, start=1):
                _value(vr, at, value, parts)
    parts.append("</DicomAttribute>")


def _value(vr: str, at: int, value: object, parts: list[str]) -> None:
    if value is None:  # an empty value between others keeps its place by the numbers
        return
    if vr == "SQ":
        parts.append(f'<Item number="{at}">')
        if isinstance(value, Mapping):
            _data_set(value, parts)
        parts.append("</Item>")
    elif vr == "PN":
        parts.append(f'<PersonName number="{at}">')
        if isinstance(value, Mapping):
            for group in _GROUPS:
                if (name := value.get(group)) is not None:
                    _name(group, str(name), parts)
        parts.append("</PersonName>")
    else:
        parts.append(f'<Value number="{at}">{escape(_text(value))}</Value>')


def _name(group: str, text: str, parts: list[str]) -> None:
    """A group of a person's name. PS3.5 6.2.1, PS3.19 table A.1.5-2."""
    parts.append(f"<{group}>")
    for component, part in zip(_COMPONENTS, text.split("^"), strict=False):
        if part:
            parts.append(f"<{component}>{escape(_text(part))}</{component}>")
    parts.append(f"</{group}>")


def _creator(number: int, around: Mapping[str, object]) -> str | None:
    """Who reserved the block of a private element. PS3.5 7.8.1."""
    group, element = number >> 16, number & 0xFFFF
    if not group & 1 or element < 0x1000:
        return None
    match around.get(f"{group:04X}00{element >> 8:02X}"):
        case {"Value": [str(creator)]}:
            return creator
    return None


def _text(value: object) -> str:
    return _FORBIDDEN.sub("\ufffd", str(value))
