"""DIMSE statuses, rejections and aborts, and what they mean to an HTTP client.

The tables are data: PS3.7 annex C for statuses common to all services, PS3.4 B.2.3 for storage,
PS3.4 C.4.1 to C.4.3 for query and retrieve, PS3.8 9.3.4 and 9.3.8 for associations.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass

from harmony.envelope import Operation
from harmony.errors import Retry, UpstreamError, peer_text

RETRY_SECONDS = 10


class StatusKind(enum.Enum):
    """What a status says about the operation. PS3.7 annex C."""

    SUCCESS = "success"
    PENDING = "pending"
    CANCEL = "cancel"
    WARNING = "warning"
    FAILURE = "failure"


_WARNINGS = frozenset((0x0001, 0x0107, 0x0116))


def kind(status: int) -> StatusKind:
    """Class of a status; one that no table knows by its first digit. PS3.7 annex C."""
    if status == 0x0000:
        return StatusKind.SUCCESS
    if status in (0xFF00, 0xFF01):
        return StatusKind.PENDING
    if status == 0xFE00:
        return StatusKind.CANCEL
    if status in _WARNINGS or 0xB000 <= status <= 0xBFFF:
        return StatusKind.WARNING
    return StatusKind.FAILURE


def hex_status(status: int) -> str:
    """As people write it: 0xA702."""
    return f"0x{status:04X}"


@dataclass(frozen=True, slots=True)
class Meaning:
    """One row of a table of statuses.

    Attributes:
        first, last: the statuses it is about, both included.
        http: what an HTTP client sees before the first byte.
        code: stable word for the kind of failure.
        text: short words for people.
        hint: what to do; may name ``{destination}`` and ``{local_aet}``.
    """

    first: int
    last: int
    http: int
    code: str
    text: str
    hint: str | None = None


_ASK_THE_PACS = "the log of the PACS says more"
_ALLOW_US = "allow calling AE title {local_aet} to do this at the PACS"

# PS3.7 annex C, for every operation. First match counts, so special rows come first.
COMMON: tuple[Meaning, ...] = (
    Meaning(0x0105, 0x0105, 502, "no-such-attribute", "no such attribute"),
    Meaning(0x0106, 0x0106, 502, "invalid-attribute", "invalid attribute value"),
    Meaning(0x0107, 0x0107, 502, "attribute-list-error", "attribute list error"),
    Meaning(0x0110, 0x0110, 502, "processing-failure", "processing failure", _ASK_THE_PACS),
    Meaning(0x0111, 0x0111, 409, "duplicate-instance", "duplicate SOP instance"),
    Meaning(0x0112, 0x0112, 404, "not-found", "no such SOP instance"),
    Meaning(0x0114, 0x0115, 502, "invalid-argument", "argument not valid"),
    Meaning(0x0117, 0x0119, 409, "class-instance-conflict", "invalid instance, class or both"),
    Meaning(0x0120, 0x0121, 502, "missing-attribute", "missing attribute or value"),
    Meaning(0x0122, 0x0122, 501, "operation-not-supported", "SOP class not supported", _ALLOW_US),
    Meaning(0x0124, 0x0124, 502, "harmony-not-authorised", "not authorised", _ALLOW_US),
    Meaning(0x0210, 0x0212, 502, "protocol-error", "the PACS did not understand the message"),
    Meaning(0x0213, 0x0213, 503, "out-of-resources", "resource limitation"),
)

# The keys of an identifier are the client's. What we add asks for values only, and a peer that
# does not support such a key says FF01, never a failure. PS3.4 C.2.2.1.3.
_KEYS_HINT = "correct the values of the keys, or give fewer of them"
_KEYS: tuple[Meaning, ...] = (
    Meaning(0x0105, 0x0105, 400, "no-such-attribute", "no such attribute", _KEYS_HINT),
    Meaning(0x0106, 0x0106, 400, "invalid-attribute", "invalid attribute value", _KEYS_HINT),
    Meaning(0x0107, 0x0107, 400, "attribute-list-error", "attribute list error", _KEYS_HINT),
    Meaning(0x0114, 0x0115, 400, "invalid-argument", "argument not valid", _KEYS_HINT),
    Meaning(
        0x0120,
        0x0121,
        400,
        "missing-attribute",
        "missing attribute or value",
        "give the keys that the PACS demands at this level",
    ),
)

FIND: tuple[Meaning, ...] = (  # PS3.4 table C.4-1
    Meaning(0xA710, 0xA710, 502, "prior-record-key", "invalid prior record key"),
    Meaning(0xA700, 0xA7FF, 503, "out-of-resources", "out of resources"),
    Meaning(
        0xA900,
        0xA9FF,
        400,
        "identifier-mismatch",
        "the PACS cannot match these keys at this level",
        "ask with fewer keys, or at another `query_level`",
    ),
    Meaning(0xC000, 0xCFFF, 502, "unable-to-process", "unable to process", _ASK_THE_PACS),
    Meaning(0xFE00, 0xFE00, 502, "cancelled-by-peer", "the PACS cancelled the query by itself"),
)

RETRIEVE: tuple[Meaning, ...] = (  # PS3.4 tables C.4-2 and C.4-3
    Meaning(0x0000, 0x0000, 502, "sub-operations-failed", "success, yet all sub-operations failed"),
    Meaning(0xA701, 0xA701, 503, "out-of-resources", "unable to count the matches"),
    Meaning(0xA700, 0xA7FF, 503, "out-of-resources", "out of resources"),
    Meaning(
        0xA801,
        0xA801,
        502,
        "destination-unknown",
        "the PACS does not know the destination",
        "add AE title {destination} with its host and port to the PACS",
    ),
    Meaning(
        0xA900,
        0xA9FF,
        400,
        "identifier-mismatch",
        "the PACS cannot retrieve by these keys",
        "give the UIDs of the level and of those above it",
    ),
    Meaning(0xB000, 0xB000, 502, "sub-operations-failed", "all sub-operations failed"),
    Meaning(0xFE00, 0xFE00, 502, "cancelled-by-peer", "the PACS cancelled the retrieve by itself"),
)

GET: tuple[Meaning, ...] = (  # PS3.4 table C.4-3
    Meaning(
        0xA702,
        0xA702,
        502,
        "sub-operations-failed",
        "unable to perform sub-operations",
        "does the PACS hold them in a transfer syntax that was not agreed on? its log says more",
    ),
    Meaning(0xC000, 0xCFFF, 502, "unable-to-process", "unable to process", _ASK_THE_PACS),
)

MOVE: tuple[Meaning, ...] = (  # PS3.4 table C.4-2
    Meaning(
        0xA702,
        0xA702,
        502,
        "sub-operations-failed",
        "unable to perform sub-operations",
        "can the PACS reach the destination, and does that accept these instances?",
    ),
    Meaning(
        0xC000,
        0xCFFF,
        502,
        "unable-to-process",
        "unable to process",
        # Orthanc says so where A801 is meant, and for a study that it does not have.
        "does the PACS know AE title {destination}, and has it what was asked for? "
        "its log says more",
    ),
)

STORE: tuple[Meaning, ...] = (  # PS3.4 table B.2-1
    Meaning(0xA700, 0xA7FF, 503, "out-of-resources", "out of resources"),
    Meaning(0xA900, 0xA9FF, 409, "data-set-mismatch", "data set does not match its SOP class"),
    Meaning(0xC000, 0xCFFF, 409, "cannot-understand", "cannot understand"),
    Meaning(0x0122, 0x0122, 409, "class-not-supported", "SOP class not supported"),
)

TABLES: dict[Operation, tuple[Meaning, ...]] = {
    Operation.ECHO: COMMON,
    Operation.FIND: FIND + _KEYS + COMMON,
    Operation.GET: GET + RETRIEVE + _KEYS + COMMON,
    Operation.MOVE: MOVE + RETRIEVE + _KEYS + COMMON,
    Operation.STORE: STORE + COMMON,
}

_UNKNOWN = Meaning(0x0000, 0xFFFF, 502, "unknown-status", "a status that no table knows")


def meaning(operation: Operation, status: int) -> Meaning:
    """The row for a status; one that no table has is a processing failure."""
    for row in TABLES.get(operation, COMMON):
        if row.first <= status <= row.last:
            return row
    return _UNKNOWN


def failure(
    operation: Operation,
    status: int,
    *,
    peer: str,
    comment: str | None = None,
    completed: int = 0,
    destination: str | None = None,
    local_aet: str | None = None,
) -> UpstreamError:
    """The error for a failure status of an operation as a whole.

    Args:
        operation: what was asked.
        status: what the peer answered.
        peer: the peer, for people.
        comment: its Error Comment (0000,0902).
        completed: sub-operations that succeeded before; then it is 206 material, which an
            answer that streams cannot say any more, so the body breaks off.
        destination: of a MOVE.
        local_aet: our AE title.
    """
    row = meaning(operation, status)
    detail = f"{peer} answered {operation} with {hex_status(status)}: {row.text}"
    if completed:
        detail += f", after {completed} instances"
    hint = row.hint
    if hint is not None:
        hint = hint.format(destination=destination or "?", local_aet=local_aet or "?")
    return UpstreamError(
        detail,
        code=row.code,
        http_status=row.http,
        hint=hint,
        dimse_status=status,
        comment=peer_text(comment) if comment else None,
        peer=peer,
        retry=Retry.LATER if row.http in (502, 503) else Retry.NEVER,
        retry_after=RETRY_SECONDS if row.http == 503 else None,
    )


@dataclass(frozen=True, slots=True)
class Rejection:
    """One row of PS3.8 table 9-21; None stands for any value."""

    result: int | None
    source: int
    reason: int
    http: int
    text: str
    retry: Retry


_PERMANENT, _TRANSIENT = 1, 2
REJECTIONS: tuple[Rejection, ...] = (
    Rejection(_PERMANENT, 1, 1, 502, "no reason given", Retry.NEVER),
    Rejection(_TRANSIENT, 1, 1, 503, "no reason given", Retry.LATER),
    Rejection(None, 1, 2, 502, "application context not supported", Retry.NEVER),
    Rejection(None, 2, 2, 502, "protocol version not supported", Retry.NEVER),
    Rejection(None, 1, 3, 502, "calling AE title {calling} not recognised", Retry.NEVER),
    Rejection(None, 1, 7, 502, "called AE title {called} not recognised", Retry.NEVER),
    # The reason outranks the result: congestion passes, whatever the first digit says.
    Rejection(None, 3, 1, 503, "temporary congestion", Retry.LATER),
    Rejection(None, 3, 2, 503, "local limit exceeded", Retry.LATER),
)
_HINTS = {
    (1, 3): "add AE title {calling} to the PACS, or correct `local_aet` of this backend",
    (1, 7): "check `aet` of this backend ({called}), and that the PACS knows AE title {calling}: "
    "DCMTK gives this reason for an unknown caller too",
    (3, 1): "the PACS is busy; try again",
    (3, 2): "the PACS allows no more associations; lower `max_associations`, or try again",
}


def rejection(
    result: int, source: int, reason: int, *, peer: str, called: str, calling: str
) -> UpstreamError:
    """The error for an A-ASSOCIATE-RJ. Reasons that the standard reserves go by the result."""
    row = next(
        (
            row
            for row in REJECTIONS
            if (row.source, row.reason) == (source, reason) and row.result in (None, result)
        ),
        None,
    )
    if row is None:
        lasting = result != _TRANSIENT
        row = Rejection(
            result,
            source,
            reason,
            502 if lasting else 503,
            "no reason given",
            Retry.NEVER if lasting else Retry.LATER,
        )
    titles = {"called": called, "calling": calling}
    hint = _HINTS.get((source, reason))
    return UpstreamError(
        f"{peer} rejected the association ({result}/{source}/{reason}): "
        f"{row.text.format(**titles)}",
        code="association-rejected",
        http_status=row.http,
        hint=hint.format(**titles) if hint else None,
        peer=peer,
        asked=False,
        retry=row.retry,
        retry_after=RETRY_SECONDS if row.http == 503 else None,
    )


_ABORT_REASONS = {  # PS3.8 table 9-26, by the service provider
    1: "unrecognised PDU",
    2: "unexpected PDU",
    4: "unrecognised PDU parameter",
    5: "unexpected PDU parameter",
    6: "invalid PDU parameter value",
}


def aborted(source: int, reason: int, *, peer: str, answered: bool) -> UpstreamError:
    """The error for an A-ABORT of the peer."""
    by = "the service user" if source == 0 else "the service provider"
    why = f": {_ABORT_REASONS[reason]}" if source and reason in _ABORT_REASONS else ""
    when = "in the middle of its answer" if answered else "instead of answering"
    return UpstreamError(
        f"{peer} aborted the association {when} (by {by}{why})",
        code="association-aborted",
        peer=peer,
        hint=None
        if answered
        else "it may not know our AE title, or not take what was sent; its log says more",
    )


def store_http_status(statuses: Sequence[int]) -> int:
    """The status of a STORE as a whole, of which something was sent. PS3.18 10.5.3."""
    if not statuses:
        raise ValueError("nothing was stored, so there is no status of it")
    kinds = [kind(status) for status in statuses]
    if all(each is StatusKind.SUCCESS for each in kinds):
        return 200
    if any(each in (StatusKind.SUCCESS, StatusKind.WARNING) for each in kinds):
        return 202
    if all(meaning(Operation.STORE, status).http == 503 for status in statuses):
        return 503
    return 409
