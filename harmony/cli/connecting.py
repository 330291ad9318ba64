"""``harmony validate --connect``: L3 on top of a valid configuration."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import trio

from harmony.assembly import Assembly, assemble
from harmony.config.findings import FILE_START, Finding, Loaded
from harmony.config.model import Configuration
from harmony.dimse.engines import Engines
from harmony.interfaces import ExchangeSummary
from harmony.live.connecting import Trouble, connect

MAX_LINK_THREADS = 64


class _Nobody:
    def finished(self, summary: ExchangeSummary) -> None: ...


def connected(loaded: Loaded, *, seconds: float) -> Loaded:
    """The same, with what peers and this machine say as findings.

    Args:
        loaded: valid.
        seconds: that each backend may take.

    Raises:
        ValueError: a file that the configuration names cannot be used.
    """
    configuration = loaded.configuration
    assert configuration is not None, "the configuration is not valid"
    troubles = trio.run(_connect, configuration, seconds)
    findings = (*loaded.findings, *_findings(loaded, troubles))
    return replace(loaded, findings=findings)


def assembled(configuration: Configuration) -> Assembly:
    """What would be served, with nobody to observe it.

    Raises:
        ValueError: a file that the configuration names cannot be used.
    """
    engines = Engines(threads=trio.CapacityLimiter(MAX_LINK_THREADS))
    return assemble(configuration, observer=_Nobody(), engines=engines)


async def _connect(configuration: Configuration, seconds: float) -> Sequence[Trouble]:
    return await connect(configuration, assembled(configuration), seconds=seconds)


def _findings(loaded: Loaded, troubles: Sequence[Trouble]) -> Iterator[Finding]:
    for trouble in troubles:
        written = [each for each in loaded.sources if each.is_written(trouble.path)]
        source = written[0] if written else loaded.sources[0]
        at = source.key_span(trouble.path) if written else FILE_START
        found = source.finding(
            trouble.code, trouble.path, at=at, hint=trouble.hint, message=trouble.message
        )
        yield replace(found, excerpt=source.excerpt(found.span))
