"""One line and one count for each exchange, and what it says of the peer behind it."""

from __future__ import annotations

from harmony.interfaces import TOGETHER, ExchangeSummary, Probe
from harmony.telemetry.log import Logger
from harmony.telemetry.metrics import Metrics

_FAILURES = frozenset(("failed", "broken"))
# Failures in which nobody answered; a peer that refuses or aborts one request is there.
_UNANSWERED = frozenset(
    (
        "answer-timeout",
        "associate-failed",
        "associate-timeout",
        "connect-timeout",
        "connection-failed",
        "connection-lost",
        "lookup-timeout",
        "name-unknown",
        "peer-stalled",
        "tls-failed",
        "tls-timeout",
    )
)


class Reporter:
    """Implements `harmony.interfaces.Observer`."""

    def __init__(self, log: Logger, metrics: Metrics) -> None:
        self._log = log
        self._metrics = metrics
        self._up: dict[str, bool] = {}

    def finished(self, summary: ExchangeSummary) -> None:
        """Tell and count an exchange that is over."""
        self._metrics.finished(summary)
        tell = self._log.warning if summary.outcome in _FAILURES else self._log.info
        tell(
            "exchange.finished",
            request_id=summary.request_id,
            pipeline=summary.pipeline,
            endpoint=summary.endpoint,
            backend=summary.backend,
            peer=summary.peer,
            caller=summary.caller,
            operation=summary.operation.value,
            outcome=summary.outcome,
            code=summary.code,
            status=summary.http_status or _hexadecimal(summary.answered),
            dimse_status=_hexadecimal(summary.dimse_status),
            ms=_milliseconds(summary.seconds),
            bytes=summary.bytes_out + summary.bytes_in,
            items=summary.items,
        )
        up = _peer_answered(summary)
        if up is not None and summary.backend is not None and TOGETHER not in summary.backend:
            reason = summary.code or summary.outcome
            self._note_peer(summary.backend, up, summary.seconds, reason)

    def probed(self, backend: str, probe: Probe) -> None:
        """Tell what a backend's peer said when it was asked for no request's sake."""
        self._note_peer(backend, probe.ok, probe.seconds, probe.detail)

    def _note_peer(self, backend: str, up: bool, seconds: float, reason: str) -> None:
        self._metrics.peer(backend, up)
        if self._up.get(backend) is up:
            return
        self._up[backend] = up
        if up:
            self._log.info("peer.up", backend=backend, ms=_milliseconds(seconds), reason=reason)
        else:
            self._log.warning(
                "peer.down", backend=backend, ms=_milliseconds(seconds), reason=reason
            )


def _peer_answered(summary: ExchangeSummary) -> bool | None:
    """Whether the exchange shows that the peer answers; None if it shows neither."""
    if summary.outcome == "ok" or summary.dimse_status is not None:
        return True
    return False if summary.code in _UNANSWERED else None


def _hexadecimal(status: int | None) -> str | None:
    return None if status is None else f"0x{status:04X}"


def _milliseconds(seconds: float) -> float:
    return round(seconds * 1000, 1)
