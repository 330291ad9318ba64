"""Identifiers of DIMSE callers: what they ask, and what they are answered.

What an identifier must hold: PS3.4 C.4.1.2 for FIND, C.4.2.1.4 for MOVE, C.4.3.1.3 for GET.
Keys of the levels above may be missing, as in relational queries and retrieves (C.4.1.2.2.1,
C.4.2.2.2.1): many callers leave them out, whatever was negotiated.
"""

from __future__ import annotations

from collections.abc import Sequence

from harmony.dicom.charsets import UNDECLARED, Decoder, decoder_for
from harmony.dicom.elements import SYNTAXES, Element, Malformed, Syntax, parse
from harmony.dicom.keys import NUMBERS, has_wildcard, vr_of
from harmony.dicom.query import (
    PATIENT_ID,
    QUERY_RETRIEVE_LEVEL,
    SPECIFIC_CHARACTER_SET,
    UNIQUE,
)
from harmony.dicom.status_codes import DOES_NOT_MATCH, UNABLE_TO_PROCESS
from harmony.dicom.transcode import encode, transcode
from harmony.dicom.uids import is_uid
from harmony.dicom.values import TEXT_VRS, texts_of
from harmony.envelope import Encoded, Key, Level, Match, Operation, Query, Root
from harmony.errors import UpstreamError

MAX_BYTES = 1024 * 1024

_FAILED_SOP_INSTANCE_UID_LIST = 0x00080058
_MAX_UI_BYTES = 65534  # what a 16-bit length holds, PS3.5 7.1.2
_MAX_COMMENT = 64  # Error Comment (0000,0902) is an LO
_ORDER = tuple(Level)
_NAMES = {
    PATIENT_ID: "Patient ID",
    UNIQUE[Level.STUDY]: "Study Instance UID",
    UNIQUE[Level.SERIES]: "Series Instance UID",
    UNIQUE[Level.IMAGE]: "SOP Instance UID",
}


class IdentifierError(ValueError):
    """A caller's identifier cannot be served.

    Args:
        status: to answer with.
        comment: for the Error Comment (0000,0902); quotes nothing of the identifier.
    """

    def __init__(self, status: int, comment: str) -> None:
        super().__init__(comment)
        self.status = status
        self.comment = comment[:_MAX_COMMENT]


def read_query(data: bytes, transfer_syntax: str, *, operation: Operation, root: Root) -> Query:
    """What a caller asks for, with its identifier as it came in `encoded`.

    The query of a FIND has a key for each attribute that is text or a whole number; what else
    there is stands in `encoded` alone. That of a GET or MOVE has just the unique keys. The
    destination of a MOVE is not in the identifier, so it is for the caller to fill in.

    Raises:
        IdentifierError: it is no data set, is beyond a limit, or not one of this model.
    """
    syntax = SYNTAXES.get(transfer_syntax)
    if syntax is None:
        raise IdentifierError(UNABLE_TO_PROCESS, "identifier in a wrong transfer syntax")
    if len(data) > MAX_BYTES:
        raise IdentifierError(UNABLE_TO_PROCESS, f"identifier of more than {MAX_BYTES} bytes")
    try:
        elements = parse(data, syntax)
    except Malformed as exc:
        raise IdentifierError(UNABLE_TO_PROCESS, f"data set: {exc}") from None
    found = {element.tag: element for element in elements}
    if len(found) != len(elements):  # PS3.5 7.1
        raise IdentifierError(UNABLE_TO_PROCESS, "data set: an element is there twice")
    level = _level(found.pop(QUERY_RETRIEVE_LEVEL, None), root)
    keys = _keys(found, syntax)
    if operation is not Operation.FIND:
        keys = _unique(keys, level, root)
    return Query(
        level=level,
        root=root,
        keys=tuple(Key(tag, values) for tag, values in sorted(keys.items())),
        encoded=Encoded(data=data, transfer_syntax=transfer_syntax),
    )


def failed_list(uids: Sequence[str], transfer_syntax: str) -> bytes:
    """The identifier of a final C-GET or C-MOVE response; empty if nothing failed.

    PS3.4 C.4.2.1.4.2. The list is cut to the UIDs that 65534 bytes hold, about 1000 of full
    length: no more fits in an explicit VR. The counters of the response tell the true number.
    """
    if not uids:
        return b""
    value = "\\".join(uids).encode("ascii", "replace")
    if len(value) > _MAX_UI_BYTES:
        value = value[: value.rindex(b"\\", 0, _MAX_UI_BYTES + 1)]
    value += bytes(len(value) % 2)
    element = Element(_FAILED_SOP_INSTANCE_UID_LIST, "UI", value)
    return encode([element], SYNTAXES[transfer_syntax])


def match_identifier(match: Match, transfer_syntax: str) -> bytes:
    """A match as the identifier of a C-FIND response in the caller's transfer syntax.

    Raises:
        UpstreamError: what the backend gave cannot be read.
    """
    try:
        return transcode(match.identifier, match.transfer_syntax, transfer_syntax)
    except Malformed as exc:
        raise UpstreamError(
            f"an answer of the backend cannot be decoded: {exc}", code="undecodable-answer"
        ) from None


def _level(element: Element | None, root: Root) -> Level:
    """Query/Retrieve Level. PS3.4 C.6: only the patient root model has a PATIENT level."""
    if element is None:
        raise _mismatch("Query/Retrieve Level (0008,0052) is missing")
    value = element.value
    text = value.decode("latin-1").strip(" \0") if isinstance(value, bytes) else ""
    if text not in tuple(Level):
        raise _mismatch("Query/Retrieve Level: not PATIENT, STUDY, SERIES or IMAGE")
    level = Level(text)
    if level is Level.PATIENT and root is Root.STUDY:
        raise _mismatch("the study root model has no level PATIENT")
    return level


def _keys(found: dict[int, Element], syntax: Syntax) -> dict[int, tuple[str, ...]]:
    decoder = UNDECLARED
    declared = found.pop(SPECIFIC_CHARACTER_SET, None)
    if declared is not None and isinstance(declared.value, bytes):
        decoder = decoder_for(declared.value)
    keys: dict[int, tuple[str, ...]] = {}
    for tag, element in found.items():
        values = _values(element, syntax, decoder)
        if values is not None:
            keys[tag] = values
    return keys


def _values(element: Element, syntax: Syntax, decoder: Decoder) -> tuple[str, ...] | None:
    """The values of a key; None for what is no key that text can say."""
    tag, vr, raw = element
    known = vr_of(tag)
    if isinstance(raw, list) or known in ("SQ", "UN") or tag >> 16 < 0x0008:
        return None
    if not raw:
        return ()
    both_text = vr in TEXT_VRS and known in TEXT_VRS
    if vr not in (known, "UN") and not both_text:
        return None
    if known not in TEXT_VRS and known not in NUMBERS:
        return None
    values = texts_of(tag, vr, raw, order=syntax.order, decoder=decoder)
    return values and tuple(value for value in values if value)


def _unique(
    keys: dict[int, tuple[str, ...]], level: Level, root: Root
) -> dict[int, tuple[str, ...]]:
    """The unique keys of the level and, as far as they are there, of those above it."""
    depth = _ORDER.index(level)
    for below in _ORDER[depth + 1 :]:
        if keys.get(UNIQUE[below]):  # else more would be sent than was named
            raise _mismatch(f"{_NAMES[UNIQUE[below]]} is a key below level {level}")
    above = [UNIQUE[each] for each in _ORDER[:depth]]
    if root is Root.STUDY and PATIENT_ID in above:
        above.remove(PATIENT_ID)  # no unique key of this model, PS3.4 C.6.2.1
    tag = UNIQUE[level]
    if not keys.get(tag):
        raise _mismatch(f"a retrieve at level {level} needs {_NAMES[tag]}")
    unique = {each: keys[each] for each in (*above, tag) if keys.get(each)}
    for each, values in unique.items():
        if any(has_wildcard(value) for value in values):
            raise _mismatch(f"{_NAMES[each]} holds a wildcard")
        if each != PATIENT_ID and not all(is_uid(value) for value in values):
            raise _mismatch(f"{_NAMES[each]} holds what is no UID")
        if len(values) > 1 and (each != tag or each == PATIENT_ID):
            raise _mismatch(f"{_NAMES[each]} has several values")
    return unique


def _mismatch(comment: str) -> IdentifierError:
    return IdentifierError(DOES_NOT_MATCH, comment)
