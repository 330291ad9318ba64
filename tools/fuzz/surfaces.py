"""What in this process reads a peer's bytes, how to spoil those, and what may come of it.

A check returns when all is well: the bytes were read, or refused with the surface's own
exception. Anything else that comes out of it is a finding.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from harmony.dicom.elements import SYNTAXES, Malformed, parse
from harmony.dicom.identifier import IdentifierError, read_query
from harmony.dicom.part10 import MAX_META_BYTES, Part10Reader, file_head
from harmony.dicom.peek import Head
from harmony.dicom.transcode import transcode
from harmony.envelope import Operation, Root
from harmony.errors import RequestError
from harmony.upper_layer import commands
from tests.support.bad_caller import messages
from tests.support.bad_caller.chance import spoilt_command
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


class Wrong(Exception):
    """A surface did what it must not, without raising."""


@dataclass(frozen=True, slots=True)
class Surface:
    """One reader of bytes.

    Attributes:
        make: spoils an input for it; gives variant and bytes.
        check: has it read variant and bytes, as the module says.
    """

    make: Callable[[random.Random], tuple[str, bytes]]
    check: Callable[[str, bytes], None]


def make_input(surface: str, seed: int, index: int) -> Input:
    """Case `index` of a run; the same arguments give the same case."""
    rng = random.Random(f"{seed}/{surface}/{index}")  # noqa: S311
    return Input(surface, *SURFACES[surface].make(rng))


def check(case: Input) -> None:
    """Let the surface read it."""
    SURFACES[case.surface].check(case.variant, case.data)


def _make_command(rng: random.Random) -> tuple[str, bytes]:
    made = rng.choice(
        (
            messages.echo(),
            messages.store(change={0x1030: "MOVER", 0x1031: 7}),
            messages.find(change={0x0901: (0x00100020,), 0x0902: "comment"}),
            messages.move("DEST"),
            messages.cancel(),
            messages.get(change={0x1020: 1, 0x1021: 2, 0x1022: 3, 0x1023: 4, 0x0900: 0xFF00}),
        )
    )
    for _ in range(rng.randint(1, 3)):
        made = spoilt_command(rng, made)
    return "", made


def _check_command(variant: str, data: bytes) -> None:
    try:
        decoded = commands.decode(data)
    except commands.CommandError as exc:
        _is_plain(str(exc))
        return
    try:
        again = commands.encode(decoded)
    except ValueError:
        return  # a text beyond ASCII, which no caller gets back
    if commands.decode(again).field != decoded.field:
        raise Wrong("the command field changed on its way")


def _make_elements(rng: random.Random) -> tuple[str, bytes]:
    syntax = rng.choice(SYNTAX_UIDS)
    return syntax, bad_data_set(rng, syntax)


def _check_elements(syntax: str, data: bytes) -> None:
    try:
        parse(data, SYNTAXES[syntax])
    except Malformed as exc:
        _is_plain(str(exc))
        return
    for other in SYNTAX_UIDS:
        try:
            again = transcode(data, syntax, other)
        except Malformed as exc:
            _is_plain(str(exc))
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
    for chunk in _chunks(data, int(size)):
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
        _is_plain(exc.comment)
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
        for chunk in _chunks(data, int(size)):
            rest += sum(map(len, reader.feed(chunk)))
    except RequestError as exc:
        _is_plain(exc.detail)
        return
    if reader.meta is None and len(data) > MAX_META_BYTES + 1024:
        raise Wrong("it goes on looking for the end of the head")
    if rest > len(data):
        raise Wrong("more came out than went in")


def _is_plain(text: str) -> None:
    """What is told of an error goes to logs: nothing a peer wrote may be in it unescaped."""
    if not (text.isascii() and text.isprintable()):
        raise Wrong(f"the error's text is not plain: {text!a}")


def _chunks(data: bytes, size: int) -> Iterator[bytes]:
    return (data[at : at + size] for at in range(0, len(data), size))


SURFACES = {
    "command": Surface(_make_command, _check_command),
    "elements": Surface(_make_elements, _check_elements),
    "peek": Surface(_make_peek, _check_peek),
    "identifier": Surface(_make_identifier, _check_identifier),
    "part10": Surface(_make_part10, _check_part10),
}
