"""One association of the upper layer, as fragments in and out: the border of an engine.

PS3.8 gives a DIMSE message as presentation data values: fragments of a command set, then of a
data set, the last of each marked (PS3.8 E.2). A `Link` passes just these; what they mean is
`association`'s business.
"""

from __future__ import annotations

import enum
from collections.abc import AsyncIterable, Mapping
from dataclasses import dataclass
from typing import Protocol

from harmony.upper_layer.negotiation import Context as Context
from harmony.upper_layer.negotiation import ContextResult as ContextResult
from harmony.upper_layer.pdus import Fragment as Fragment


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
class Role:
    """Which roles the caller takes for a SOP class. PS3.7 D.3.3.4."""

    scu: bool
    scp: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class AssociationRequest:
    """What a caller asks for in its A-ASSOCIATE-RQ. PS3.8 9.3.2, PS3.7 D.3.3.

    Attributes:
        address: IP address that it calls from.
        contexts: proposed, by ID: abstract syntax and transfer syntaxes.
        roles: proposed, by abstract syntax; a class without entry is in the default role.
        protocol_version: bit 0 stands for the one that there is (PS3.8 table 9-11).
    """

    calling_aet: str
    called_aet: str
    address: str
    application_context: str
    contexts: Mapping[int, Proposal]
    roles: Mapping[str, Role]
    protocol_version: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Acceptance:
    """The answer to a request that is accepted.

    Attributes:
        contexts: accepted, by ID.
        refused: the others, each with its reason.
        roles: granted; only for classes whose roles were proposed.
    """

    contexts: Mapping[int, Context]
    refused: Mapping[int, ContextResult]
    roles: Mapping[str, Role]


@dataclass(frozen=True, slots=True)
class Rejection:
    """The answer to a request that is not accepted. PS3.8 9.3.4.

    Attributes:
        code: stable word for why, for the log.
    """

    result: int
    source: int
    reason: int
    code: str


class Decide(Protocol):
    """Judges a caller's request. Neither waits nor raises."""

    def __call__(self, request: AssociationRequest, /) -> Acceptance | Rejection: ...


class End(enum.Enum):
    """Why a link ended."""

    RELEASED = "released"  # by us, in order
    PEER_RELEASED = "the peer released the association"
    PEER_ABORTED = "the peer aborted the association"
    CLOSED = "the connection was closed"
    STALLED = "the peer stopped in the middle of a PDU"
    SEND_STALLED = "the peer stopped reading"
    CERTIFICATE_MISSING = "the peer wants a certificate of ours"
    CERTIFICATE_REFUSED = "the peer refused our certificate"
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
    """An established association. Any task may `hang_up`.

    One task sends at a time, and one receives.
    """

    @property
    def contexts(self) -> Mapping[int, Context]:
        """Accepted presentation contexts by ID."""
        ...

    @property
    def is_quiet(self) -> bool:
        """True while nothing unasked has come and the link has not ended."""
        ...

    async def send(
        self,
        context_id: int,
        command: bytes,
        data: AsyncIterable[bytes] | None = None,
        *,
        more: bool = False,
    ) -> None:
        """Send one message, at the pace of the peer.

        Args:
            context_id: of the presentation context.
            command: the encoded command set.
            data: the data set that it announces, if it does.
            more: another message follows directly, so this one may wait for it.

        Raises:
            LinkEnded
        """
        ...

    def take(self) -> Fragment | None:
        """The next fragment, if it is there already; None otherwise, or for no reason at all.

        What is there needs no deadline, and no turn of the scheduler. A peer cannot make this
        give fragments for ever.
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


class AcceptedLink(Link, Protocol):
    """An association that a caller asked for."""

    @property
    def request(self) -> AssociationRequest: ...

    @property
    def acceptance(self) -> Acceptance: ...

    async def abort(self) -> None:
        """Send an A-ABORT as the service user (PS3.8 7.3), briefly see it off, hang up."""
        ...
