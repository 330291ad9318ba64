"""Asking one handler, in a scope of its own. The one place where exception groups are unwrapped."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass

import trio

from harmony.envelope import RequestEnvelope, ResponseEnvelope, StreamBroken, root_cause
from harmony.errors import HarmonyError, UpstreamError
from harmony.interfaces import TOGETHER, Backend, Handler


@dataclass(frozen=True, slots=True)
class _Scope:
    """What a backend sees of the exchange it works for."""

    nursery: trio.Nursery


@contextlib.asynccontextmanager
async def answering(handler: Handler, request: RequestEnvelope) -> AsyncIterator[ResponseEnvelope]:
    """Ask; the block runs once the first item, or the end, is there. Leaving it ends all work.

    Raises:
        HarmonyError, StreamBroken: what went wrong, before or inside the block.
    """
    try:
        async with trio.open_nursery() as nursery:
            response = await handler(request, _Scope(nursery))
            await response.items.wait()
            yield response
            nursery.cancel_scope.cancel()
    except BaseExceptionGroup as group:
        raise root_cause(group) from None


async def hold_answer(
    backend: Backend,
    request: RequestEnvelope,
    *,
    task_status: trio.TaskStatus[ResponseEnvelope] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Ask, report the answer once it has begun, and work on it until cancelled.

    With `trio.Nursery.start`: what goes wrong before the answer has begun comes from there, so
    that another backend can be asked; what goes wrong later ends the nursery.
    """
    async with answering(backend.handle, request) as response:
        task_status.started(response)
        await trio.sleep_forever()


def failure_of(backend: Backend, exc: HarmonyError | StreamBroken) -> HarmonyError:
    """What went wrong with a backend, if its answer may also just have stopped."""
    if isinstance(exc, HarmonyError):
        return exc
    return UpstreamError(
        f"backend {backend.name} stopped without an end to its answer",
        code="answer-broken",
        backend=backend.name,
    )


def names(backends: Sequence[Backend]) -> str:
    """Several backends as one, for logs."""
    return TOGETHER.join(backend.name for backend in backends)
