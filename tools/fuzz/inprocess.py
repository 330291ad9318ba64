"""Runs the surfaces of this process, each case under an alarm clock."""

from __future__ import annotations

import contextlib
import gc
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from types import FrameType

from tests.support.bad_caller.conversation import Case
from tools.fuzz.surfaces import Input, check, make_input

CASE_SECONDS = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """A case that did what it must not.

    Attributes:
        case: None if it cannot be told which of several it was.
    """

    surface: str
    index: int
    why: str
    case: Input | Case | None


class _Overdue(BaseException):
    """The alarm rang; no `except Exception` of the code under test may catch it."""


def run(surface: str, *, seed: int, first: int, count: int) -> Iterator[Finding]:
    """Check so many cases; yields those that fail. For the main thread, which gets signals."""
    for index in range(first, first + count):
        case = make_input(surface, seed, index)
        why = failure(case)
        if why is not None:
            yield Finding(surface=surface, index=index, why=why, case=case)


def failure(case: Input) -> str | None:
    """Why a case fails; None if it does not. For the main thread."""
    try:
        with _alarm(CASE_SECONDS):
            check(case)
    except _Overdue:
        return f"took more than {CASE_SECONDS:g} s"
    except Exception as exc:  # it is what the fuzzer looks for
        return f"{type(exc).__name__}: {exc}"
    return None


@contextlib.contextmanager
def _alarm(seconds: float) -> Iterator[None]:
    """Raise `_Overdue` after so much time of this process's own, however busy the machine is.

    Nor does it count how long the garbage of others takes to collect.
    """

    def ring(number: int, frame: FrameType | None) -> None:
        raise _Overdue

    previous = signal.signal(signal.SIGVTALRM, ring)
    collects = gc.isenabled()
    gc.disable()
    signal.setitimer(signal.ITIMER_VIRTUAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, previous)
        if collects:
            gc.enable()
