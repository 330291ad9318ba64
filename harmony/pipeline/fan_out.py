"""Every backend must answer."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import trio

from harmony.envelope import Items, RequestEnvelope, ResponseEnvelope, root_cause
from harmony.interfaces import Backend
from harmony.pipeline.scope import answering, names


async def echo_all(backends: Sequence[Backend], request: RequestEnvelope) -> ResponseEnvelope:
    """ECHO at all of them at once; the answer is that of the slowest.

    Raises:
        HarmonyError: of the first one that does not answer.
    """
    answers: list[ResponseEnvelope] = []

    async def ask(backend: Backend) -> None:
        async with answering(backend.handle, request) as response:
            async for _ in response.items:
                pass
            answers.append(response)

    try:
        async with trio.open_nursery() as nursery:
            for backend in backends:
                nursery.start_soon(ask, backend)
    except BaseExceptionGroup as group:
        raise root_cause(group) from None
    slowest = max(answers, key=lambda answer: answer.items.outcome.seconds or 0.0)
    return dataclasses.replace(
        slowest, items=Items.of(outcome=slowest.items.outcome), backend=names(backends)
    )
