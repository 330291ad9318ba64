"""Who speaks DICOM's upper layer (PS3.8) on an association.

`link` says what an engine must do, and one contract suite holds all of them to it.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import trio

from harmony.dimse.listener import AcceptLink
from harmony.dimse.pool import OpenLink


class Engine(StrEnum):
    """An engine's name, as in the configuration."""

    TRIO = "trio"
    PYNETDICOM = "pynetdicom"


DEFAULT_ENGINE: Final = Engine.TRIO


@dataclass(frozen=True, slots=True, kw_only=True)
class Engines:
    """Engines by their names; one that nobody asks for is not even imported.

    Attributes:
        threads: counts those of links on pynetdicom, which takes one for each.
    """

    threads: trio.CapacityLimiter

    def open_link(self, engine: Engine) -> OpenLink:
        """For associations that Harmony asks for."""
        match engine:
            case Engine.TRIO:
                from harmony.dimse import trio_engine

                return trio_engine.open_link
            case Engine.PYNETDICOM:
                from harmony.dimse import pynetdicom_engine  # takes 8 MB for ever

                return functools.partial(pynetdicom_engine.open_link, limiter=self.threads)

    def accept_link(self, engine: Engine) -> AcceptLink:
        """For associations that callers ask for."""
        match engine:
            case Engine.TRIO:
                from harmony.dimse import trio_acceptor

                return trio_acceptor.accept_link
            case Engine.PYNETDICOM:
                from harmony.dimse import pynetdicom_acceptor

                return functools.partial(pynetdicom_acceptor.accept_link, limiter=self.threads)
