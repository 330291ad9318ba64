"""What a broken conversation means to whoever waits for its answer."""

from __future__ import annotations

from harmony.dicom.status import aborted
from harmony.dimse.link import End, Ending
from harmony.dimse.target import Target
from harmony.envelope import Operation
from harmony.errors import HarmonyError, UpstreamError


class NotAnswered(Exception):
    """A held association was gone before the peer answered anything.

    The same request may be tried once on a fresh one where repeating it does no harm.
    """

    def __init__(self, error: UpstreamError) -> None:
        super().__init__(error.detail)
        self.error = error


class Refused(Exception):
    """A failure that leaves the association in order.

    Attributes:
        final: nothing was asked, because the association is not fit for it; another one may be.
    """

    def __init__(self, error: HarmonyError, *, final: bool = False) -> None:
        super().__init__(error.detail)
        self.error = error
        self.final = final


def link_failure(
    ending: Ending, operation: Operation, target: Target, *, answered: bool
) -> UpstreamError:
    """The connection ended under an operation."""
    peer = str(target)
    if ending.end is End.PEER_ABORTED:
        return aborted(ending.source or 0, ending.reason or 0, peer=peer, answered=answered)
    when = "in the middle of its answer" if answered else "before it answered"
    stalled = ending.end in (End.STALLED, End.SEND_STALLED)
    return UpstreamError(
        f"{operation} at {peer} failed {when}: {ending.end.value}",
        code="peer-stalled" if stalled else "connection-lost",
        http_status=504 if stalled else 502,
        peer=peer,
    )


def contradiction(target: Target, what: str) -> UpstreamError:
    """The peer broke the protocol, or contradicts itself: nothing it says can be trusted."""
    return UpstreamError(
        f"{target} broke the protocol: {what}", code="protocol-error", peer=str(target)
    )


def too_late(target: Target, seconds: float) -> UpstreamError:
    """The peer did not answer in time."""
    return UpstreamError(
        f"{target} did not answer within {seconds:g} s",
        code="answer-timeout",
        http_status=504,
        peer=str(target),
        hint="the PACS is slow or stuck; `timeouts` of this backend says how long to wait",
    )


def no_context(target: Target, operation: Operation, abstract_syntax: str) -> UpstreamError:
    """The peer accepted no presentation context for what was asked."""
    return UpstreamError(
        f"{target} does not accept {operation} ({abstract_syntax})",
        code="operation-not-supported",
        http_status=501,
        peer=str(target),
        hint=f"allow this service for calling AE title {target.local_aet} at the PACS",
    )
