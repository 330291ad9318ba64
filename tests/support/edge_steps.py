"""Steps of the bad PACS that are at the edge of the standard, most of them on its good side.

script = Script(associate=(Accept(max_length=9), Heed(9), Pack(PACKINGS["fragments of one byte"])))

`Pack` and `Heed` last for the rest of the connection.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tests.support.bad_pacs import End, pdu
from tests.support.bad_pacs.pdu import HEADER_LENGTH, ContextAnswer, PduType, ProtocolError
from tests.support.bad_pacs.talk import OUR_MAX_LENGTH, Ended, Talk
from tests.support.bad_pacs.wire import Part
from tests.support.packings import Packing

_GOODBYE_SECONDS = 5.0
_FIXED = HEADER_LENGTH + 68  # what an A-ASSOCIATE-AC has before its items, PS3.8 9.3.3
_ANSWER, _USER_INFORMATION, _MAXIMUM_LENGTH = 0x21, 0x50, 0x51


@dataclass(frozen=True, slots=True)
class Pack:
    """Cut messages like this from now on; rows that go in batches stay as they are."""

    packing: Packing

    def run(self, talk: Talk) -> None:
        def send_message(
            command_set: bytes, data: bytes | None = None, *, context_id: int | None = None
        ) -> None:
            context = talk.request.context_id if context_id is None else context_id
            talk.wire.send_raw(self.packing(context, command_set, data))

        talk.send_message = send_message  # type: ignore[method-assign]


@dataclass(frozen=True, slots=True)
class Heed:
    """Complain of a P-DATA-TF that is longer than this. PS3.8 D.1."""

    most: int

    def run(self, talk: Talk) -> None:
        read_pdu = talk.wire.read_pdu

        def heeding() -> tuple[int, bytes]:
            kind, body = read_pdu()
            if kind == PduType.P_DATA and len(body) > self.most:
                raise ProtocolError(f"P-DATA-TF of {len(body)} bytes, allowed {self.most}")
            return kind, body

        talk.wire.read_pdu = heeding  # type: ignore[method-assign]


Answers = Sequence[ContextAnswer]


@dataclass(frozen=True, slots=True)
class AnswerContexts:
    """Accept, but say of the contexts what `change` makes of the answers that accept them all."""

    change: Callable[[Answers], Answers]

    def run(self, talk: Talk) -> None:
        proper = [
            ContextAnswer(
                id=context.id,
                result=0,
                abstract_syntax=context.abstract_syntax,
                transfer_syntax=context.transfer_syntaxes[0],
            )
            for context in talk.association.contexts
        ]
        talk.accept(self.change(proper), roles=True, max_length=OUR_MAX_LENGTH)


@dataclass(frozen=True, slots=True)
class Doctor:
    """Change the bytes of the A-ASSOCIATE-AC that comes next."""

    change: Callable[[bytes], bytes]

    def run(self, talk: Talk) -> None:
        send = talk.wire.send

        def doctored(data: bytes, part: Part) -> None:
            send(self.change(data) if part is Part.ACCEPT else data, part)

        talk.wire.send = doctored  # type: ignore[method-assign]


def without_syntaxes_of_refused(accept: bytes) -> bytes:
    """An A-ASSOCIATE-AC whose refused contexts have no transfer syntax. PS3.8 9.3.3.2."""
    return _changed(
        accept, lambda kind, value: value[:4] if kind == _ANSWER and value[2] else value
    )


def without_maximum_length(accept: bytes) -> bytes:
    """An A-ASSOCIATE-AC that tells no maximum length. PS3.8 D.1."""
    return _changed(
        accept,
        lambda kind, value: (
            _without(value, _MAXIMUM_LENGTH) if kind == _USER_INFORMATION else value
        ),
    )


def with_unknown_items(accept: bytes) -> bytes:
    """An A-ASSOCIATE-AC with items that no standard has, within and without. PS3.8 9.3.1."""
    more = _item(0x7E, b"unknown")
    inside = _changed(
        accept, lambda kind, value: value + more if kind == _USER_INFORMATION else value
    )
    return pdu.pdu(PduType.ASSOCIATE_AC, inside[HEADER_LENGTH:] + more)


@dataclass(frozen=True, slots=True)
class CollideRelease:
    """Answer an A-RELEASE-RQ with another, as if both had been sent at once. PS3.8 7.2.2.6.

    The requestor, which is the caller, has to answer first.
    """

    def run(self, talk: Talk) -> None:
        talk.wire.send(pdu.release_request(), Part.OTHER)
        kind, _ = talk.wire.read_pdu()
        if kind != PduType.RELEASE_RP:
            raise ProtocolError(f"PDU of type {kind:#04x} for an answer to A-RELEASE-RQ")
        talk.wire.send(pdu.release_reply(), Part.OTHER)
        talk.wire.await_end(_GOODBYE_SECONDS)
        raise Ended(End.RELEASED)


@dataclass(frozen=True, slots=True)
class Say:
    """The last response, a success, and some more bytes in the same write."""

    more: bytes = b""

    def run(self, talk: Talk) -> None:
        talk.wire.send_raw(talk.framed(talk.response(0), is_command=True) + self.more)


@dataclass(frozen=True, slots=True)
class Linger:
    """Say nothing more until the caller ends the connection, or for some seconds."""

    def run(self, talk: Talk) -> None:
        talk.wire.await_end(_GOODBYE_SECONDS)
        raise Ended(End.SCRIPTED)


def _changed(accept: bytes, change: Callable[[int, bytes], bytes]) -> bytes:
    items = b"".join(_item(kind, change(kind, value)) for kind, value in _items(accept[_FIXED:]))
    return pdu.pdu(PduType.ASSOCIATE_AC, accept[HEADER_LENGTH:_FIXED] + items)


def _without(value: bytes, unwanted: int) -> bytes:
    return b"".join(_item(kind, inner) for kind, inner in _items(value) if kind != unwanted)


def _item(kind: int, value: bytes) -> bytes:
    return struct.pack(">BxH", kind, len(value)) + value


def _items(data: bytes) -> list[tuple[int, bytes]]:
    found = []
    at = 0
    while at < len(data):
        kind, length = struct.unpack_from(">BxH", data, at)
        found.append((kind, data[at + 4 : at + 4 + length]))
        at += 4 + length
    return found
