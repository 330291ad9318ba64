"""What a provider of DIMSE-C services is asked, and what it answers. PS3.7 9.

Shapes and protocols only; `serving` is what speaks to the caller.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

from harmony.dimse.link import Context
from harmony.envelope import Encoded, Instance, Operation, Root


@dataclass(frozen=True, slots=True, kw_only=True)
class ServingLimits:
    """How long a caller may take, and how much it may send.

    Attributes:
        idle_seconds: between two requests.
        object_idle_seconds: between two pieces of a data set, and for a whole command.
        object_seconds: one data set from first to last byte.
        minimum_rate: bytes a second that a data set must average after 30 s; 0 for none.
        store_seconds: for the answer to a C-STORE sub-operation of a C-GET.
        max_object_bytes: of one data set.
    """

    idle_seconds: float = 60.0
    object_idle_seconds: float = 15.0
    object_seconds: float = 3600.0
    minimum_rate: int = 65536
    store_seconds: float = 60.0
    max_object_bytes: int = 4 * 1024**3


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One request of a caller.

    Attributes:
        context: the presentation context that it came in.
        root: the information model, of a query or retrieve.
        destination: AE title that a C-MOVE names.
    """

    operation: Operation
    message_id: int
    context: Context
    root: Root | None = None
    destination: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """The final response.

    Attributes:
        comment: Error Comment (0000,0902), ASCII, at most 64 characters; empty for none.
    """

    status: int
    comment: str = ""


@dataclass(slots=True, kw_only=True)
class Tally:
    """Counters of a retrieve as they stand. PS3.4 C.4.2.1.6 to C.4.2.1.9.

    Attributes:
        remaining: None while nobody knows.
        failed_uids: for (0008,0058) of the final response.
    """

    remaining: int | None = None
    completed: int = 0
    failed: int = 0
    warning: int = 0
    failed_uids: list[str] = field(default_factory=list)


class Matches(Protocol):
    """Where the matches of a C-FIND go."""

    async def pending(
        self, identifier: bytes, *, all_keys_supported: bool, more: bool = False
    ) -> None:
        """Send one match; with `more` it may wait for the next one, which is there already."""
        ...


class Retrieval(Protocol):
    """What a C-GET or C-MOVE tells its caller while it runs."""

    @property
    def tally(self) -> Tally: ...

    async def progress(self) -> None:
        """Send a pending response, if what remains is known."""
        ...

    async def store(self, instance: Instance) -> int:
        """C-GET only: send one instance over this association; the status of its answer.

        A failure that is decided here, because no context takes the instance, is 0122; then
        nothing of it is read.
        """
        ...


class Provider(Protocol):
    """Does what callers ask. Its methods give the final response; only a bug makes them raise.

    When the caller cancels or vanishes, the method is cancelled.
    """

    async def echo(self, call: Call) -> Answer: ...

    async def store(self, call: Call, instance: Instance) -> Answer:
        """`instance` can be read once, as it arrives; what is left unread is passed over.

        Reading it raises `StreamBroken` if it does not arrive whole.
        """
        ...

    async def find(self, call: Call, identifier: Encoded, matches: Matches) -> Answer: ...

    async def retrieve(self, call: Call, identifier: Encoded, retrieval: Retrieval) -> Answer:
        """C-GET and C-MOVE."""
        ...

    def failed_list(self, uids: list[str], transfer_syntax: str) -> bytes:
        """The identifier of a final response, with (0008,0058); empty for none."""
        ...
