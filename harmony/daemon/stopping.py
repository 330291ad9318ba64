"""What a signal means, and the end that comes if nothing else ends the process."""

from __future__ import annotations

import enum
import os
import signal
import threading
from typing import Final

from harmony.telemetry.log import get_logger

log = get_logger(__name__)

SIGNALS: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR2)
HARD_STOP_CODE: Final = 70
_LAST_WORDS_SECONDS = 1.0


class Action(enum.Enum):
    """What to do about a signal."""

    DRAIN = "drain"
    STOP_NOW = "stop now"
    DUMP = "dump"
    REFUSE_RELOAD = "refuse to reload"


class Stopper:
    """Decides what signals mean. The first TERM or INT drains, the second stops at once."""

    def __init__(self) -> None:
        self._asked = False
        self._cut_short_by: int | None = None

    def decide(self, number: int) -> Action:
        match number:
            case signal.SIGUSR2:
                return Action.DUMP
            case signal.SIGHUP:
                return Action.REFUSE_RELOAD
        if not self._asked:
            self._asked = True
            return Action.DRAIN
        self._cut_short_by = self._cut_short_by or number
        return Action.STOP_NOW

    def exit_code(self, *, cut_short: bool) -> int:
        """0 after a drain that came to its end, else as the shell reports the signal: 130, 143."""
        return 128 + self._cut_short_by if cut_short and self._cut_short_by else 0


def arm_hard_stop(seconds: float) -> None:
    """End the process after so many seconds, whatever it is doing then.

    The last resort against code that cannot be cancelled. An orderly end comes first and takes
    the timer's thread with it.
    """
    timer = threading.Timer(seconds, _end_process, (seconds,))
    timer.daemon = True
    timer.name = "hard stop"
    timer.start()


def _end_process(seconds: float) -> None:
    # Whoever reads the log may be what is stuck, so it does not get to hold this up as well.
    last_words = threading.Thread(
        target=log.error, args=("daemon.hard_stop",), kwargs={"seconds": seconds}, daemon=True
    )
    last_words.start()
    last_words.join(_LAST_WORDS_SECONDS)
    os._exit(HARD_STOP_CODE)
