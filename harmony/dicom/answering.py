"""What a DIMSE caller is told of a failure: a status and a comment."""

from __future__ import annotations

from dataclasses import dataclass

from harmony.dicom.status_codes import (
    CLASS_NOT_SUPPORTED,
    DOES_NOT_MATCH,
    NOT_AUTHORISED,
    OUT_OF_RESOURCES,
    PROCESSING_FAILURE,
    UNABLE_TO_COUNT,
    UNABLE_TO_PERFORM,
    UNABLE_TO_PROCESS,
)
from harmony.envelope import Operation
from harmony.errors import HarmonyError, Unavailable, UpstreamError

MAX_COMMENT = 64  # Error Comment (0000,0902) is an LO, PS3.5 table 6.2-1


@dataclass(frozen=True, slots=True)
class Answer:
    """One row: HTTP statuses of errors, and the DIMSE status by operation.

    Attributes:
        http: the statuses it is about; empty for all others.
        retrieve: of GET and MOVE.
    """

    http: frozenset[int]
    store: int
    find: int
    retrieve: int


ANSWERS: tuple[Answer, ...] = (
    Answer(frozenset((400, 422)), UNABLE_TO_PROCESS, DOES_NOT_MATCH, DOES_NOT_MATCH),
    Answer(frozenset((401, 403)), NOT_AUTHORISED, NOT_AUTHORISED, NOT_AUTHORISED),
    Answer(frozenset((406, 415)), CLASS_NOT_SUPPORTED, DOES_NOT_MATCH, UNABLE_TO_PERFORM),
    Answer(frozenset((413,)), OUT_OF_RESOURCES, OUT_OF_RESOURCES, UNABLE_TO_COUNT),
    # Time, room or a connection is lacking. C000 would tell a modality that its object is bad,
    # and it would not send it again.
    Answer(
        frozenset((408, 425, 429, 502, 503, 504, 507)),
        OUT_OF_RESOURCES,
        OUT_OF_RESOURCES,
        UNABLE_TO_PERFORM,
    ),
    Answer(frozenset(), UNABLE_TO_PROCESS, UNABLE_TO_PROCESS, UNABLE_TO_PROCESS),
)

# Failures of a peer that mean the same to our caller, first and last. PS3.7 annex C;
# PS3.4 B.2.3 and tables C.4-1 to C.4-3. Not among them: 0210 to 0212, which speak of our own
# message to the peer, and A801, which speaks of the destination that we named to it.
_COMMON = ((PROCESSING_FAILURE,) * 2, (CLASS_NOT_SUPPORTED,) * 2)
_COMMON_C = (*_COMMON, (NOT_AUTHORISED,) * 2, (UNABLE_TO_PROCESS, 0xCFFF))
_RETRIEVE = (*_COMMON_C, (UNABLE_TO_COUNT, UNABLE_TO_PERFORM), (DOES_NOT_MATCH,) * 2)
PASSED_ON: dict[Operation, tuple[tuple[int, int], ...]] = {
    Operation.ECHO: _COMMON,
    Operation.STORE: (
        *_COMMON_C,
        (0x0111, 0x0111),
        (0x0117, 0x0117),
        (0xA700, 0xA7FF),
        (0xA900, 0xA9FF),
    ),
    Operation.FIND: (*_COMMON_C, (OUT_OF_RESOURCES,) * 2, (DOES_NOT_MATCH,) * 2),
    Operation.GET: _RETRIEVE,
    Operation.MOVE: _RETRIEVE,
}


def dimse_status(error: HarmonyError, operation: Operation) -> int:
    """The failure status that answers `operation`: never a success, a warning or pending.

    What a peer said by DIMSE is passed on where it means the same here; anything else goes by
    the HTTP status that a peer gave, or by that of the error, which holds what the peer's status
    meant in its own service. That a retrieve found nothing (404) is no failure to a DIMSE
    caller; who calls this has seen to it.
    """
    http_status = error.http_status
    if isinstance(error, UpstreamError) and error.dimse_status is not None:
        status = error.dimse_status
        if any(first <= status <= last for first, last in PASSED_ON[operation]):
            return status
    elif isinstance(error, UpstreamError) and error.peer_http_status is not None:
        http_status = error.peer_http_status
    return answer_to(http_status, operation)


def answer_to(http_status: int, operation: Operation) -> int:
    """The failure status that says the same as a status of HTTP that is no success."""
    if operation is Operation.ECHO:
        return PROCESSING_FAILURE
    row = next(row for row in ANSWERS if http_status in row.http or not row.http)
    match operation:
        case Operation.STORE:
            return row.store
        case Operation.FIND:
            return row.find
        case _:
            return row.retrieve


def comment(error: HarmonyError) -> str:
    """Error Comment (0000,0902): the kind of failure and the backend's name, ASCII.

    Neither the error's detail nor the peer's own comment is in it: they may name hosts, and
    the latter anything.
    """
    text = error.code
    if isinstance(error, UpstreamError | Unavailable) and error.backend:
        text += f": backend {error.backend}"
    shown = "".join(c if " " <= c <= "~" and c != "\\" else "?" for c in text)
    return shown[:MAX_COMMENT]
