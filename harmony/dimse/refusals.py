"""Tells of connections that were refused, without letting whoever connects fill the log."""

from __future__ import annotations

import trio

from harmony.telemetry.log import get_logger

log = get_logger(__name__)

_EACH_SECONDS = 1.0
_USUAL = frozenset(("closed-by-caller", "aborted-by-caller", "connection-lost"))


class Refusals:
    """At most one line a second for each reason; it tells how many there were since the last.

    Args:
        listener: whose they are.
    """

    def __init__(self, listener: str) -> None:
        self._listener = listener
        self._told_at: dict[str, float] = {}
        self._untold: dict[str, int] = {}

    def tell(self, address: str, code: str, reason: str | None = None) -> None:
        """Tell of one; those of every scan and health check at level debug.

        Args:
            address: that it came from.
            code: stable word for why.
            reason: the same for people, where there is more to say.
        """
        now = trio.current_time()
        count = self._untold.get(code, 0) + 1
        if now - self._told_at.get(code, -_EACH_SECONDS) < _EACH_SECONDS:
            self._untold[code] = count
            return
        self._told_at[code] = now
        self._untold[code] = 0
        tell = log.debug if code in _USUAL else log.warning
        tell(
            "connection.refused",
            listener=self._listener,
            address=address,
            code=code,
            reason=reason,
            count=count,
        )
