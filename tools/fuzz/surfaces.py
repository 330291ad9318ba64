"""What in this process reads a peer's bytes, how to spoil those, and what may come of it.

A check returns when all is well: the bytes were read, or refused with the surface's own
exception. Anything else that comes out of it is a finding.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field

from harmony.dicom.elements import SYNTAXES, Malformed, parse
from harmony.dicom.identifier import IdentifierError, read_query
from harmony.dicom.part10 import MAX_META_BYTES, Part10Reader, file_head
from harmony.dicom.peek import Head
from harmony.dicom.transcode import transcode
from harmony.envelope import Operation, Root
from harmony.errors import RequestError
from tests.support.bad_caller.data_sets import (
    CHARACTER_SET,
    ODD_TEXTS,
    PATIENT_ID,
    STUDY_UID,
    bad_data_set,
    random_data_set,
    random_identifier,
)
from tests.support.bad_caller.data_sets import SYNTAXES as SYNTAX_UIDS
from tests.support.bad_caller.mutation import mutate
from tests.support.bad_caller.request import CT, EXPLICIT
from tools.fuzz import configurations, pixel_data, upper_layer, web_requests
from tools.fuzz.surface import Surface, Wrong, chunks, is_plain

_OPERATIONS = (Operation.FIND, Operation.GET, Operation.MOVE)
_PEEKED = frozenset((CHARACTER_SET, PATIENT_ID, STUDY_UID, 0x00080060))
_MAX_COMMENT = 64


@dataclass(frozen=True, slots=True)
class Input:
    """Bytes for a surface.

    Attributes:
        variant: how they are to be read, in the surface's own words.
    """

    surface: str
    variant: str
    data: bytes = field(repr=False)


def make_input(surface: str, seed: int, index: int) -> Input:
    """Case `index` of a run; the same arguments give the same case."""
    rng = random.Random(f"{seed}/{surface}/{index}")  # noqa: S311
    return Input(surface, *SURFACES[surface].make(rng))


def check(case: Input) -> None:
    """Let the surface read it."""
    SURFACES[case.surface].check(case.variant, case.data)


def _make_elements(rng: random.Random) -> tuple[str, bytes]:
    syntax = rng.choice(SYNTAX_UIDS)
    return syntax, bad_data_set(rng, syntax)


def _check_elements(syntax: str, data: bytes) -> None:
    try:
        parse(data, SYNTAXES[syntax])
    except Malformed as exc:
        is_plain(str(exc))
        return
    for other in SYNTAX_UIDS:
        try:
            again = transcode(data, syntax, other)
        except Malformed as exc:
            is_plain(str(exc))
            continue
        try:
            parse(again, SYNTAXES[other])
        except Malformed as exc:
            raise Wrong(f"transcoded to {other} it cannot be read: {exc}") from exc


def _make_peek(rng: random.Random) -> tuple[str, bytes]:
    syntax, data = _make_elements(rng)
    return f"{syntax} {rng.choice((1, 7, 100, 65536))}", data


def _check_peek(variant: str, data: bytes) -> None:
    syntax, size = variant.split()
    head = Head(_PEEKED, syntax)
    for chunk in chunks(data, int(size)):
        if head.feed(chunk):
            break
    if not head.values.keys() <= _PEEKED:
        raise Wrong("it found what it was not asked for")


def _make_identifier(rng: random.Random) -> tuple[str, bytes]:
    syntax = rng.choice(SYNTAX_UIDS)
    data = random_identifier(rng, syntax)
    if rng.random() < 0.8:
        data = bad_data_set(rng, syntax, data)
    return f"{rng.choice(_OPERATIONS)} {rng.choice(tuple(Root))} {syntax}", data


def _check_identifier(variant: str, data: bytes) -> None:
    operation, root, syntax = variant.split()
    try:
        read_query(data, syntax, operation=Operation(operation), root=Root(root))
    except IdentifierError as exc:
        is_plain(exc.comment)
        if len(exc.comment) > _MAX_COMMENT:
            raise Wrong(f"a comment of {len(exc.comment)} characters") from exc
        if exc.status != 0xA900 and exc.status & 0xF000 != 0xC000:
            raise Wrong(f"status {exc.status:#06x} is for something else") from exc


def _make_part10(rng: random.Random) -> tuple[str, bytes]:
    head = file_head(sop_class_uid=CT, sop_instance_uid="1.2.3", transfer_syntax=EXPLICIT)
    meta = mutate(rng, head[128:]) if rng.random() < 0.8 else head[128:] * 2
    if rng.random() < 0.2:
        meta = meta[:4] + b"\x02\x00\x00\x01UN\0\0\xff\xff\xff\xff" + rng.choice(ODD_TEXTS)
    data = bytes(128) + meta + random_data_set(rng, EXPLICIT)
    return str(rng.choice((1, 7, 131, 1000, 65536))), data


def _check_part10(size: str, data: bytes) -> None:
    reader = Part10Reader()
    rest = 0
    try:
        for chunk in chunks(data, int(size)):
            rest += sum(map(len, reader.feed(chunk)))
    except RequestError as exc:
        is_plain(exc.detail)
        return
    if reader.meta is None and len(data) > MAX_META_BYTES + 1024:
        raise Wrong("it goes on looking for the end of the head")
    if rest > len(data):
        raise Wrong("more came out than went in")


SURFACES = {
    **upper_layer.SURFACES,
    **pixel_data.SURFACES,
    **web_requests.SURFACES,
    **configurations.SURFACES,
    "elements": Surface(_make_elements, _check_elements),
    "peek": Surface(_make_peek, _check_peek),
    "identifier": Surface(_make_identifier, _check_identifier),
    "part10": Surface(_make_part10, _check_part10),
}
