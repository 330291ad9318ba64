"""A backend's probe: a question to its peer, with the time that it takes."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable

from harmony.errors import HarmonyError
from harmony.interfaces import Probe


async def probed(ask: Callable[[], Awaitable[str]]) -> Probe:
    """Ask; what fails is in the probe.

    Args:
        ask: answers with what the peer said, for people.
    """
    started = time.monotonic()
    try:
        detail = await ask()
    except HarmonyError as exc:
        return Probe(False, exc.detail, time.monotonic() - started)
    return Probe(True, detail, time.monotonic() - started)
