"""What it means when a DICOMweb server answers with a status that is no success."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from harmony.dicom.status import RETRY_SECONDS
from harmony.errors import Retry, UpstreamError
from harmony.web.client import Answer, Peer

_MOST_RETRY_SECONDS = 3600


@dataclass(frozen=True, slots=True)
class Refusal:
    """One row: statuses of a server, and what an HTTP caller of ours is told.

    Attributes:
        theirs: empty for all others.
        ours: a 401 or 403 is never passed on: it was Harmony that may not.
    """

    theirs: Collection[int]
    ours: int
    code: str
    text: str
    hint: str
    retry: Retry = Retry.NEVER


REFUSALS: tuple[Refusal, ...] = (
    Refusal(
        range(300, 400),
        502,
        "redirected",
        "it redirects, which is not followed",
        "write the place that it redirects to in `url` of this backend, if that is meant",
    ),
    Refusal(
        (400, 422),
        400,
        "request-refused",
        "it finds the request wrong",
        "correct the values of the keys, or give fewer of them; the log of the server says more",
    ),
    Refusal(
        (401, 403),
        502,
        "harmony-not-authorised",
        "Harmony may not do this",
        "set `bearer`, or `username` and `password`, of this backend, or allow it at the server",
    ),
    Refusal(
        (404, 410),
        502,
        "service-missing",
        "there is no such service",
        "check the path in `url` of this backend: it ends where /studies begins",
    ),
    Refusal(
        (406, 415),
        502,
        "media-type-refused",
        "it does not speak the media types of DICOMweb",
        "the log of the server says more",
    ),
    Refusal(
        (413,), 502, "request-too-large", "it takes no request of this size", "raise its limit"
    ),
    Refusal(
        (408, 425, 429, 503, 507),
        503,
        "peer-busy",
        "it has no time or room",
        "try again later",
        Retry.LATER,
    ),
    Refusal((504,), 504, "peer-timeout", "what is behind it is late", "try again", Retry.LATER),
    Refusal((), 502, "peer-failed", "it failed", "its log says why", Retry.LATER),
)


def refusal(peer: Peer, answer: Answer, doing: str) -> UpstreamError:
    """The error for an answer that is no success. Nothing of its body is read.

    Args:
        doing: what was asked for, as in "the search".
    """
    row = next(row for row in REFUSALS if answer.status in row.theirs or not row.theirs)
    return peer.failure(
        f"{peer} answered {doing} with {answer.status}: {row.text}",
        code=row.code,
        http_status=row.ours,
        hint=row.hint,
        retry=row.retry,
        retry_after=_retry_after(answer) if row.ours == 503 else None,
        peer_http_status=answer.status,
    )


def undecodable(peer: Peer, doing: str, why: str) -> UpstreamError:
    """The error for a success that does not hold what it must.

    Args:
        doing: what was asked for, as in "the search".
        why: as in "cannot be read: it is no DICOM JSON".
    """
    return peer.failure(
        f"what {peer} answers to {doing} {why}",
        code="undecodable-answer",
        hint="does `url` of this backend lead to its DICOMweb service?",
    )


def _retry_after(answer: Answer) -> int:
    told = (answer.get("retry-after") or "").strip()
    if told.isascii() and told.isdigit() and len(told) < 10:
        return min(int(told), _MOST_RETRY_SECONDS)
    return RETRY_SECONDS
