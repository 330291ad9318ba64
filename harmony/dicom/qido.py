"""A `Query` as a search request of DICOMweb, and its rows as matches. PS3.18 8.3.4 and 10.6."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from urllib.parse import quote

from harmony.dicom.charsets import UNDECLARED, Decoder, decoder_for
from harmony.dicom.elements import SYNTAXES, Element, parse
from harmony.dicom.from_json import data_set_of, elements_of
from harmony.dicom.keys import vr_of
from harmony.dicom.query import (
    PATIENT_ID,
    QUERY_RETRIEVE_LEVEL,
    SERIES_INSTANCE_UID,
    SPECIFIC_CHARACTER_SET,
    STUDY_INSTANCE_UID,
)
from harmony.dicom.uids import EXPLICIT_LITTLE_ENDIAN, is_uid
from harmony.dicom.values import texts_of
from harmony.envelope import Key, Level, Match, Query

# What tells one patient from another. PS3.4 C.6.1.1.2.
ISSUER_OF_PATIENT_ID = 0x00100021
PATIENT_IDENTITY = (PATIENT_ID, ISSUER_OF_PATIENT_ID)


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchRequest:
    """What to ask, without limit and offset.

    Attributes:
        target: path below the service's root, and query, percent-encoded.
        asked: attributes that an answer is to hold, matched or not.
        all_said: False if a key of the query has no word in DICOMweb.
    """

    target: str = field(repr=False)
    asked: frozenset[int]
    all_said: bool

    def page(self, *, limit: int | None, offset: int) -> str:
        """The target of one page of the answer."""
        more = [] if limit is None else [f"limit={limit}"]
        if offset:
            more.append(f"offset={offset}")
        if not more:
            return self.target
        return self.target + ("&" if "?" in self.target else "?") + "&".join(more)


def search_request(query: Query) -> SearchRequest:
    """Say it in DICOMweb's words.

    There is no search for patients: at level PATIENT it is one for studies.
    """
    said = _Said()
    given = {key.tag: key.values for key in query.keys}
    path, in_path = _path(query.level, given)
    for key in query.keys:
        if key.tag not in in_path:
            said.key(key)
    if query.encoded is not None:
        syntax = SYNTAXES[query.encoded.transfer_syntax]
        elements = parse(query.encoded.data, syntax)
        for element in elements:
            if element.tag not in given:
                said.element(element, syntax.order, _decoder(elements))
    asked = frozenset((*given, *said.asked))
    if query.level is Level.PATIENT:
        said.fields.append(f"{ISSUER_OF_PATIENT_ID:08X}")
    if said.fields:
        said.parameters.append("includefield=" + ",".join(dict.fromkeys(said.fields)))
    target = path + ("?" + "&".join(said.parameters) if said.parameters else "")
    return SearchRequest(target=target, asked=asked, all_said=said.all_said)


def match_of(document: Mapping[str, object], request: SearchRequest, level: Level) -> Match:
    """One row as an identifier that holds what was asked for. PS3.4 C.4.1.1.3.2.

    A server leaves out what is empty or unknown to it; a DIMSE caller gets it without value.

    Raises:
        NotDicomJson: it is no row.
    """
    elements = elements_of(document, only=request.asked)
    there = {element.tag for element in elements}
    for tag in request.asked - there - {SPECIFIC_CHARACTER_SET}:
        vr = vr_of(tag)
        elements.append(Element(tag, vr, [] if vr == "SQ" else b""))
    name = level.value.encode()
    elements.append(Element(QUERY_RETRIEVE_LEVEL, "CS", name + b" " * (len(name) % 2)))
    return Match(
        identifier=data_set_of(sorted(elements)),
        transfer_syntax=EXPLICIT_LITTLE_ENDIAN,
        all_keys_supported=request.all_said,
    )


def _path(level: Level, keys: dict[int, tuple[str, ...]]) -> tuple[str, frozenset[int]]:
    """The resource, and the keys that its path says. PS3.18 table 10.6.1-5."""
    study = _one_uid(keys.get(STUDY_INSTANCE_UID, ()))
    series = _one_uid(keys.get(SERIES_INSTANCE_UID, ()))
    match level:
        case Level.SERIES if study:
            return f"/studies/{study}/series", frozenset((STUDY_INSTANCE_UID,))
        case Level.SERIES:
            return "/series", frozenset()
        case Level.IMAGE if study and series:
            both = frozenset((STUDY_INSTANCE_UID, SERIES_INSTANCE_UID))
            return f"/studies/{study}/series/{series}/instances", both
        case Level.IMAGE if study:
            return f"/studies/{study}/instances", frozenset((STUDY_INSTANCE_UID,))
        case Level.IMAGE:
            return "/instances", frozenset()
    return "/studies", frozenset()


def _one_uid(values: tuple[str, ...]) -> str | None:
    (value,) = values if len(values) == 1 else ("",)
    return value if is_uid(value) else None


def _decoder(elements: list[Element]) -> Decoder:
    for element in elements:
        if element.tag == SPECIFIC_CHARACTER_SET and isinstance(element.value, bytes):
            return decoder_for(element.value)
    return UNDECLARED


class _Said:
    """What was said so far.

    Attributes:
        parameters: ``name=value``, encoded.
        fields: what to include, as paths.
        asked: tags of the top level.
    """

    def __init__(self) -> None:
        self.parameters: list[str] = []
        self.fields: list[str] = []
        self.asked: set[int] = set()
        self.all_said = True

    def key(self, key: Key) -> None:
        """A key of the top level."""
        if key.tag >> 16 & 1:  # a private one needs its creator, which no parameter can name
            self.all_said = False
        elif key.values and any(key.values):
            self._match(f"{key.tag:08X}", key.tag, key.values)
        else:
            self.fields.append(f"{key.tag:08X}")

    def element(self, element: Element, order: str, decoder: Decoder) -> None:
        """What `Query.keys` cannot say."""
        tag = element.tag
        if tag in (SPECIFIC_CHARACTER_SET, QUERY_RETRIEVE_LEVEL) or not tag & 0xFFFF:
            return
        if tag >> 16 & 1 or (element.value and isinstance(element.value, bytes)):
            self.all_said = False
            return
        self.asked.add(tag)
        self.fields.append(f"{tag:08X}")
        for path, inner in _nested(f"{tag:08X}", element):
            assert isinstance(inner.value, bytes)
            values = texts_of(inner.tag, inner.vr, inner.value, order=order, decoder=decoder)
            if values is None or inner.tag >> 16 & 1:
                self.all_said = False
            elif any(values):
                self._match(path, inner.tag, values)

    def _match(self, name: str, tag: int, values: tuple[str, ...]) -> None:
        """PS3.18 8.3.4.1: UIDs are a list with commas, other values one with backslashes."""
        separator = "," if vr_of(tag) == "UI" else "\\"
        self.parameters.append(f"{name}={quote(separator.join(values), safe='*,')}")


def _nested(path: str, element: Element) -> Iterator[tuple[str, Element]]:
    """The elements in the items of a sequence that hold a value, with their paths."""
    if isinstance(element.value, bytes):
        return
    for item in element.value:
        for inner in item:
            name = f"{path}.{inner.tag:08X}"
            if isinstance(inner.value, bytes):
                if inner.value and inner.tag & 0xFFFF:
                    yield name, inner
            else:
                yield from _nested(name, inner)
