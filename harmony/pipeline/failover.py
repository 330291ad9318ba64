"""The first backend that can be reached answers."""

from __future__ import annotations

from collections.abc import Sequence

from harmony.envelope import RequestEnvelope, ResponseEnvelope
from harmony.errors import HarmonyError, UpstreamError
from harmony.interfaces import Backend, Exchange
from harmony.pipeline.scope import hold_answer


async def first_reachable(
    backends: Sequence[Backend], request: RequestEnvelope, scope: Exchange
) -> ResponseEnvelope:
    """Ask one after the other, as long as none of them was really asked.

    Raises:
        HarmonyError: of the last one that was tried; its hint names all that were.
    """
    for count, backend in enumerate(backends, 1):
        try:
            response: ResponseEnvelope = await scope.nursery.start(hold_answer, backend, request)
        except HarmonyError as exc:
            if was_asked(exc) or count == len(backends):
                name_tried(exc, backends[:count])
                raise
        else:
            return response
    raise AssertionError("there is no backend to ask")


def was_asked(exc: HarmonyError) -> bool:
    """Whether the backend may have seen the request, so that no other should be asked."""
    return not isinstance(exc, UpstreamError) or exc.asked


def name_tried(exc: HarmonyError, backends: Sequence[Backend]) -> None:
    """Add to a failure which backends were tried, if that is more than one."""
    if len(backends) > 1:
        tried = f"tried in this order: {', '.join(backend.name for backend in backends)}"
        exc.hint = f"{exc.hint}; {tried}" if exc.hint else tried
