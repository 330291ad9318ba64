"""Ways to cut a DIMSE message into P-DATA-TF PDUs, all of which a peer has to understand.

PS3.8 9.3.5 and annex E let a sender choose: how many values share a PDU, how long a fragment is,
and whether one is empty. Real senders use few of these ways; a test uses each.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Final, TypeAlias

from tests.support.bad_caller.messages import p_data
from tests.support.bad_pacs.pdu import Pdv

# Context, command set and data set, if there is one, to the bytes of a message.
Packing: TypeAlias = Callable[[int, bytes, bytes | None], bytes]

_FEW = 1000  # bytes a value
_SHARING = 800  # values a PDU; Harmony takes somewhat more


def cut(data: bytes, step: int) -> list[bytes]:
    """Pieces of so many bytes; a single empty one of nothing."""
    return [data[at : at + step] for at in range(0, len(data), step)] or [b""]


def values(
    context_id: int, command: bytes, data: bytes | None, to_pieces: Callable[[bytes], list[bytes]]
) -> list[Pdv]:
    """The presentation data values of a message, with the last of each part marked."""
    return [
        *_part(context_id, to_pieces(command), is_command=True),
        *_part(context_id, [] if data is None else to_pieces(data), is_command=False),
    ]


def _part(context_id: int, pieces: Sequence[bytes], *, is_command: bool) -> Iterator[Pdv]:
    for number, piece in enumerate(pieces, 1):
        yield Pdv(
            context_id=context_id,
            is_command=is_command,
            is_last=number == len(pieces),
            data=piece,
        )


def _alone(to_pieces: Callable[[bytes], list[bytes]]) -> Packing:
    """Each value has a PDU of its own."""

    def pack(context_id: int, command: bytes, data: bytes | None) -> bytes:
        return b"".join(p_data([one]) for one in values(context_id, command, data, to_pieces))

    return pack


def _together(to_pieces: Callable[[bytes], list[bytes]]) -> Packing:
    """All values of a message share a PDU, whatever they are of; many hundred at a time."""

    def pack(context_id: int, command: bytes, data: bytes | None) -> bytes:
        found = values(context_id, command, data, to_pieces)
        return b"".join(p_data(found[at : at + _SHARING]) for at in range(0, len(found), _SHARING))

    return pack


def _empty_last(data: bytes) -> list[bytes]:
    return [data, b""]


def _empty_among(data: bytes) -> list[bytes]:
    half = len(data) // 2 | 1
    return [b"", data[:half], b"", b"", data[half:], b""]


PACKINGS: Final[Mapping[str, Packing]] = MappingProxyType(
    {
        "each value in a PDU of its own": _alone(lambda data: cut(data, _FEW)),
        "all values in one PDU": _together(lambda data: cut(data, _FEW)),
        "command and data set in one PDU, whole": _together(lambda data: [data]),
        "an empty last fragment in a PDU of its own": _alone(_empty_last),
        "an empty last fragment in the same PDU": _together(_empty_last),
        "empty fragments first, among and last": _alone(_empty_among),
        "the same in one PDU": _together(_empty_among),
        "fragments of one byte": _alone(lambda data: cut(data, 1)),
        "fragments of one byte in one PDU": _together(lambda data: cut(data, 1)),
        "fragments of odd length": _alone(lambda data: cut(data, 77)),
        "fragments of odd length in one PDU": _together(lambda data: cut(data, 77)),
    }
)
