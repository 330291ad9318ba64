"""What can go wrong, and whose fault it is.

Every failure that may reach a caller is one of these. A class says who is at fault; an
instance says what happened, as an HTTP status *hint* and, where a DIMSE peer spoke, its
status. The edges turn them into a problem document, a DIMSE status or a broken body; nothing
in between needs to know either protocol.

Texts in ``detail`` and ``hint`` go to callers and logs: they name components and values of the
configuration, never patient data. A text that a peer sent stands in ``comment`` alone, after
`peer_text`.
"""

from __future__ import annotations

import enum

MAX_PEER_TEXT = 64


class Retry(enum.Enum):
    """Whether trying again, without changing anything, can help."""

    NEVER = "never"
    LATER = "later"


class HarmonyError(Exception):
    """A failure with an owner.

    Args:
        detail: what happened, naming the component and the value; lower case, no full stop.
        code: stable word for the kind of failure, e.g. ``association-rejected``.
        http_status: the status an HTTP caller should see if no byte was sent yet.
        hint: what to do about it, e.g. the key to change or the entry to add at the PACS.
    """

    default_code = "internal-error"
    default_http_status = 500

    def __init__(
        self,
        detail: str,
        *,
        code: str | None = None,
        http_status: int | None = None,
        hint: str | None = None,
    ) -> None:
        super().__init__(detail)
        self.detail = detail
        self.code = code or self.default_code
        self.http_status = http_status or self.default_http_status
        self.hint = hint


class RequestError(HarmonyError):
    """The caller is at fault: what it sent cannot be served, and it can do better."""

    default_code = "bad-request"
    default_http_status = 400


class UpstreamError(HarmonyError):
    """Something behind us failed: a PACS, the network to it, or what it answered.

    Args:
        dimse_status: the status that the peer gave (PS3.7 annex C), if it gave one.
        peer_http_status: the same of a peer that speaks HTTP.
        comment: its Error Comment (0000,0902), made safe to show. Free text of a PACS may hold
            anything, so it goes to the caller and to no log; it is no part of ``detail``.
        peer: the peer's AE title or address as configured.
        backend: name of the backend; filled in by the backend itself.
        retry: whether the same request may succeed later.
        retry_after: seconds after which to try again, for ``Retry-After``.
        asked: False if the peer was never asked: there was no connection or no association with
            it. Another backend may be asked then, and nothing happens twice.
    """

    default_code = "upstream-failure"
    default_http_status = 502

    def __init__(
        self,
        detail: str,
        *,
        code: str | None = None,
        http_status: int | None = None,
        hint: str | None = None,
        dimse_status: int | None = None,
        peer_http_status: int | None = None,
        comment: str | None = None,
        peer: str | None = None,
        backend: str | None = None,
        retry: Retry = Retry.LATER,
        retry_after: int | None = None,
        asked: bool = True,
    ) -> None:
        super().__init__(detail, code=code, http_status=http_status, hint=hint)
        self.dimse_status = dimse_status
        self.peer_http_status = peer_http_status
        self.comment = comment
        self.peer = peer
        self.backend = backend
        self.retry = retry
        self.retry_after = retry_after
        self.asked = asked


class Unavailable(HarmonyError):
    """Harmony itself has no room right now: a queue is full, or it is draining."""

    default_code = "unavailable"
    default_http_status = 503

    def __init__(
        self,
        detail: str,
        *,
        code: str | None = None,
        http_status: int | None = None,
        hint: str | None = None,
        backend: str | None = None,
        retry_after: int = 2,
    ) -> None:
        super().__init__(detail, code=code, http_status=http_status, hint=hint)
        self.backend = backend
        self.retry_after = retry_after


class DeadlineExceeded(HarmonyError):
    """The time allowed for the whole exchange is over."""

    default_code = "deadline-exceeded"
    default_http_status = 504


def peer_text(text: str) -> str:
    """Make a text that a peer chose safe to show: printable characters only, at most 64."""
    shown = "".join(c if c.isprintable() and c != "\\" else f"\\x{ord(c):02x}" for c in text)
    return shown if len(shown) <= MAX_PEER_TEXT else shown[: MAX_PEER_TEXT - 1] + "…"
