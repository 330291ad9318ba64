"""Holds conversations with a `dicom` endpoint of this process, several at a time."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import trio

from tests.support.bad_caller.caller import proper_echo
from tests.support.bad_caller.chance import spoilt_messages, spoilt_pdus
from tests.support.bad_caller.conversation import Case, hold
from tools.fuzz.inprocess import Finding

SURFACES: dict[str, Callable[[random.Random], Case]] = {
    "pdu": spoilt_pdus,
    "live": spoilt_messages,
}
_FAULTS = frozenset(("library.warning", "log.unnamed"))
_AT_ONCE = 8
_ECHO_EVERY = 50


@dataclass(frozen=True, slots=True)
class Address:
    """Where the endpoint listens."""

    host: str
    port: int


def make_case(surface: str, seed: int, index: int) -> Case:
    """Case `index` of a run; the same arguments give the same case."""
    return SURFACES[surface](random.Random(f"{seed}/{surface}/{index}"))  # noqa: S311


def make_cases(surface: str, *, seed: int, first: int, count: int) -> Iterable[tuple[int, Case]]:
    """So many cases with their numbers."""
    return ((index, make_case(surface, seed, index)) for index in range(first, first + count))


async def run(
    surface: str,
    cases: Iterable[tuple[int, Case]],
    address: Address,
    *,
    at_once: int = _AT_ONCE,
    echo_every: int = _ECHO_EVERY,
) -> Sequence[Finding]:
    """Hold all these conversations; between them, and at the end, a proper caller echoes.

    A proper caller that is not served ends the run: what comes after would tell nothing.
    """
    findings: list[Finding] = []
    waiting = iter(cases)
    limiter = trio.CapacityLimiter(at_once + 1)
    held = 0

    async def echo(index: int, scope: trio.CancelScope) -> None:
        try:
            await trio.to_thread.run_sync(proper_echo, *_of(address), limiter=limiter)
        except (AssertionError, OSError) as exc:
            why = f"a proper caller was not served about case {index}: {exc}"
            findings.append(Finding(surface=surface, index=index, why=why, case=None))
            scope.cancel()

    async def caller(scope: trio.CancelScope) -> None:
        nonlocal held
        for index, case in waiting:
            _, why = await trio.to_thread.run_sync(hold, case, *_of(address), limiter=limiter)
            if why is not None:
                why = f"{case.name}: {why}"
                findings.append(Finding(surface=surface, index=index, why=why, case=case))
            held += 1
            if held % echo_every == 0:
                await echo(index, scope)

    async with trio.open_nursery() as nursery:
        for _ in range(at_once):
            nursery.start_soon(caller, nursery.cancel_scope)
    with trio.CancelScope() as scope:
        await echo(held, scope)
    return findings


def log_faults(log: str) -> list[str]:
    """What a log in JSON tells of faults of ours, each once; empty if bad callers met none.

    A bad caller may cause warnings, and pynetdicom's log may complain of it. Errors of ours,
    warnings that Python prints, and characters that are not printable are faults.
    """
    found: dict[str, None] = {}  # keeps the order
    for text in log.split("\n"):
        if not text:
            continue
        if not text.isprintable():
            found[f"a log line is not plain: {text!a}"] = None
            continue
        line = json.loads(text)
        is_ours = line["event"] != "library.message"
        if (is_ours and line["level"] in ("error", "critical")) or line["event"] in _FAULTS:
            line.pop("time")
            found[f"the log says {json.dumps(line)}"] = None
    return list(found)


def _of(address: Address) -> tuple[str, int]:
    return address.host, address.port
