"""One association of the upper layer, as fragments in and out: the border of an engine.

PS3.8 gives a DIMSE message as presentation data values: fragments of a command set, then of a
data set, the last of each marked (PS3.8 E.2). A `Link` passes just these; what they mean is
`association`'s business.
"""

from __future__ import annotations

import enum
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Proposal:
    """A presentation context to ask for. PS3.8 9.3.2.2.

    Attributes:
        receive: propose the SCP role too, so that C-GET can send us this class.
            PS3.7 D.3.3.4.
    """

    abstract_syntax: str
    transfer_syntaxes: tuple[str, ...]
    receive: bool = False


@dataclass(frozen=True, slots=True)
class Context:
    """A presentation context that the peer accepted."""

    id: int
    abstract_syntax: str
    transfer_syntax: str


@dataclass(frozen=True, slots=True)
class Fragment:
    """One presentation data value. PS3.8 9.3.5.1 and E.2."""

    context_id: int
    is_command: bool
    is_last: bool
    data: bytes


class End(enum.Enum):
    """Why a link ended."""

    RELEASED = "released"  # by us, in order
    PEER_RELEASED = "the peer released the association"
    PEER_ABORTED = "the peer aborted the association"
    CLOSED = "the connection was closed"
    STALLED = "the peer stopped in the middle of a PDU"
    SEND_STALLED = "the peer stopped reading"
    PROTOCOL = "the peer broke the upper layer protocol"
    HUNG_UP = "hung up"


@dataclass(frozen=True, slots=True)
class Ending:
    """How a link ended; source and reason are those of an A-ABORT (PS3.8 9.3.8)."""

    end: End
    source: int | None = None
    reason: int | None = None


class LinkEnded(Exception):
    """Nothing more comes from this link, and nothing more can be sent on it."""

    def __init__(self, ending: Ending) -> None:
        super().__init__(ending.end.value)
        self.ending = ending


class Link(Protocol):
    """An established association. One task uses it at a time; any task may `hang_up`."""

    @property
    def contexts(self) -> Mapping[int, Context]:
        """Accepted presentation contexts by ID."""
        ...

    @property
    def is_quiet(self) -> bool:
        """True while nothing unasked has come and the link has not ended."""
        ...

    async def send(
        self, context_id: int, command: bytes, data: AsyncIterator[bytes] | None = None
    ) -> None:
        """Send one message, at the pace of the peer.

        Raises:
            LinkEnded
        """
        ...

    async def receive(self) -> Fragment:
        """The next fragment; waits without limit, so callers bound it.

        Raises:
            LinkEnded
        """
        ...

    async def wait_disturbed(self) -> None:
        """Wait until something comes unasked, or the link ends."""
        ...

    async def release(self) -> None:
        """End in order (A-RELEASE), within the target's ``release_seconds``, else hang up."""
        ...

    def hang_up(self) -> None:
        """End at once: shuts the socket down. Never blocks, may be called again."""
        ...
