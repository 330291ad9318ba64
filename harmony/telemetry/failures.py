"""An exception as words that are safe to log: its type and our own lines of code.

Messages and arguments of exceptions may quote what a peer sent, so they stay out. The one
exception is `HarmonyError`, whose ``detail`` is written for callers and logs.
"""

from __future__ import annotations

import traceback
from dataclasses import dataclass
from pathlib import Path

import harmony
from harmony.errors import HarmonyError

_PACKAGE = Path(harmony.__file__).parent
_MOST_PLACES = 6
_MOST_CAUSES = 4


@dataclass(frozen=True, slots=True)
class Failure:
    """What may be told of an exception.

    Attributes:
        error: the types, the cause after what it caused: ``UpstreamError < OSError``.
        where: our own lines of code, innermost first: ``daemon/run.py:81 < cli/serve.py:40``.
        code: of a `HarmonyError`.
        reason: its ``detail``.
    """

    error: str
    where: str
    code: str | None = None
    reason: str | None = None


def describe(exc: BaseException) -> Failure:
    """Reduce an exception to what may be logged.

    Of a group, its first leaf is told, for the others are mostly the consequence.
    """
    leaf = _first_leaf(exc)
    chain = _causes(leaf)
    ours = next((e for e in chain if isinstance(e, HarmonyError)), None)
    return Failure(
        error=" < ".join(type(e).__name__ for e in chain),
        where=" < ".join(_places(leaf) or _places(exc)),
        code=ours.code if ours else None,
        reason=ours.detail if ours else None,
    )


def _first_leaf(exc: BaseException) -> BaseException:
    while isinstance(exc, BaseExceptionGroup):
        exc = exc.exceptions[0]
    return exc


def _causes(exc: BaseException) -> list[BaseException]:
    chain: list[BaseException] = []
    following: BaseException | None = exc
    while following is not None and len(chain) < _MOST_CAUSES:
        chain.append(following)
        hidden = following.__suppress_context__
        following = following.__cause__ or (None if hidden else following.__context__)
    return chain


def _places(exc: BaseException) -> list[str]:
    places: list[str] = []
    for frame, line in traceback.walk_tb(exc.__traceback__):
        if (place := own_place(frame.f_code.co_filename, line)) is not None:
            places.append(place)
    return places[::-1][:_MOST_PLACES]


def own_place(filename: str, line: int) -> str | None:
    """``daemon/run.py:81`` if the file belongs to this package."""
    try:
        return f"{Path(filename).relative_to(_PACKAGE).as_posix()}:{line}"
    except ValueError:
        return None
