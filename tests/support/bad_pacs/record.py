"""What the bad PACS saw: requests, connections, and how each ended."""

from __future__ import annotations

import enum
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One DIMSE request, C-CANCEL included.

    Attributes:
        kind: e.g. ``C-FIND-RQ``.
        message_id: its own; for a C-CANCEL-RQ that of the request it cancels.
        connection: number of the connection, from 0.
        data: the encoded data set; None if there was none or the script keeps none.
        size: length of the data set.
    """

    kind: str
    message_id: int
    connection: int
    context_id: int
    transfer_syntax: str
    sop_class: str = ""
    sop_instance: str = ""
    move_destination: str = ""
    data: bytes | None = field(default=None, repr=False)
    size: int = 0


class End(enum.StrEnum):
    """How a connection ended, as the bad PACS saw it."""

    RELEASED = "released"
    ABORTED = "aborted"  # A-ABORT came from the peer
    HUNG_UP = "hung up"  # the peer closed, or the test was over
    SCRIPTED = "scripted"  # a step ended it


@dataclass(slots=True, kw_only=True)
class Connection:
    """One TCP connection. Times are those of `time.monotonic`.

    Attributes:
        abstract_syntaxes: proposed ones; empty before the A-ASSOCIATE-RQ.
        end: None while it lasts.
    """

    number: int
    opened_at: float
    calling_ae_title: str = ""
    called_ae_title: str = ""
    abstract_syntaxes: tuple[str, ...] = ()
    end: End | None = None
    ended_at: float | None = None


class Record:
    """Filled in by the threads of the bad PACS, read by the test."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._requests: list[Request] = []
        self._connections: list[Connection] = []
        self._problems: list[str] = []

    @property
    def requests(self) -> list[Request]:
        """All requests so far, oldest first."""
        with self._changed:
            return list(self._requests)

    @property
    def connections(self) -> list[Connection]:
        """All connections so far, oldest first."""
        with self._changed:
            return list(self._connections)

    @property
    def problems(self) -> list[str]:
        """What the peer under test did against the standard."""
        with self._changed:
            return list(self._problems)

    def opened(self) -> Connection:
        """A connection was accepted."""
        with self._changed:
            connection = Connection(number=len(self._connections), opened_at=time.monotonic())
            self._connections.append(connection)
            self._changed.notify_all()
            return connection

    def ended(self, connection: Connection, end: End) -> None:
        """A connection is over."""
        with self._changed:
            connection.end, connection.ended_at = end, time.monotonic()
            self._changed.notify_all()

    def requested(self, request: Request) -> None:
        """A request was read."""
        with self._changed:
            self._requests.append(request)
            self._changed.notify_all()

    def problem(self, text: str) -> None:
        """The peer broke the standard."""
        with self._changed:
            self._problems.append(text)
            self._changed.notify_all()

    def wait_until(self, condition: Callable[[], bool], *, seconds: float = 5.0) -> None:
        """Block until `condition` holds; it may read this record.

        Blocks its thread: under trio use `tests.support.eventually` instead.

        Raises:
            TimeoutError: it did not within `seconds`.
        """
        deadline = time.monotonic() + seconds
        while True:
            with self._changed:
                seen = (len(self._requests), len(self._connections))
            if condition():
                return
            left = deadline - time.monotonic()
            if left <= 0:
                raise TimeoutError(f"not seen within {seconds} s; saw {seen} requests, connections")
            with self._changed:
                self._changed.wait(min(left, 0.02))
