"""Waiting, under trio, for what another thread or process will have done soon."""

from __future__ import annotations

from collections.abc import Callable

import trio

_POLL_SECONDS = 0.005


async def eventually(condition: Callable[[], bool], *, seconds: float = 5.0) -> None:
    """Wait until `condition` holds.

    Raises:
        trio.TooSlowError: it did not within `seconds`.
    """
    with trio.fail_after(seconds):
        while not condition():
            await trio.sleep(_POLL_SECONDS)
