"""The listener of the bad PACS, and the thread of each of its connections."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from tests.support.bad_pacs import pdu
from tests.support.bad_pacs.instances import Row, encode_rows
from tests.support.bad_pacs.pdu import ProtocolError
from tests.support.bad_pacs.record import Connection, End, Record, Request
from tests.support.bad_pacs.steps import Accept, Final, ReleaseReply
from tests.support.bad_pacs.talk import Ended, ReleaseAsked, Steps, Talk
from tests.support.bad_pacs.wire import CutShort, Part, PeerGone, Wire

MAX_CONNECTIONS = 512
_JOIN_SECONDS = 5.0

Plan: TypeAlias = Steps | Callable[[Request], Steps]


@dataclass(frozen=True, slots=True, kw_only=True)
class Script:
    """What happens in each phase; a well-behaved, empty PACS by default.

    Attributes:
        connect: before the A-ASSOCIATE-RQ is read.
        associate: what answers it.
        echo, find, get, move, store: what answers a request; or a function of the request.
        release: what answers an A-RELEASE-RQ.
        honours_cancel: whether a C-CANCEL-RQ ends the steps with status FE00.
        keep_data: whether data sets of requests are recorded.
    """

    connect: Steps = ()
    associate: Steps = (Accept(),)
    echo: Plan = (Final(),)
    find: Plan = (Final(),)
    get: Plan = (Final(),)
    move: Plan = (Final(),)
    store: Plan = (Final(),)
    release: Steps = (ReleaseReply(),)
    honours_cancel: bool = True
    keep_data: bool = True

    def steps(self, request: Request) -> Steps:
        """The steps that answer `request`."""
        plans = {
            "C-ECHO-RQ": self.echo,
            "C-FIND-RQ": self.find,
            "C-GET-RQ": self.get,
            "C-MOVE-RQ": self.move,
            "C-STORE-RQ": self.store,
        }
        plan = plans.get(request.kind)
        if plan is None:
            raise ProtocolError(f"{request.kind} where a request was expected")
        return plan(request) if callable(plan) else plan


class BadPacs:
    """A peer on a loopback port that follows a script.

    Attributes:
        port: what to connect to.
        script: may be replaced at any time; the next phase or request follows the new one.
        record: what was seen; `requests` and `connections` are short for its own.
    """

    def __init__(self, script: Script, *, listening: bool = True) -> None:
        self.script = script
        self.record = Record()
        self._over = threading.Event()
        self._lock = threading.Lock()
        self._open: dict[threading.Thread, Wire] = {}
        self._encoded: dict[tuple[int, str], tuple[Sequence[Row], Sequence[bytes]]] = {}
        self._acceptor: threading.Thread | None = None
        # Bound but not listening, a port refuses connections, and nobody else can take it.
        self._listener = socket.socket()
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._listener.bind(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        if listening:
            self.listen()

    @property
    def requests(self) -> list[Request]:
        """All requests so far, oldest first; C-CANCEL-RQ included."""
        return self.record.requests

    @property
    def connections(self) -> list[Connection]:
        """All connections so far, oldest first."""
        return self.record.connections

    def listen(self) -> None:
        """Stop refusing connections."""
        self._listener.listen(MAX_CONNECTIONS)
        self._acceptor = threading.Thread(target=self._accept, name="bad-pacs-acceptor")
        self._acceptor.start()

    def hang_up(self) -> None:
        """Cut every open connection, as when the host loses its network card."""
        with self._lock:
            for wire in self._open.values():
                wire.hang_up()

    def close(self) -> None:
        """End every wait, close every socket, join every thread.

        Raises:
            RuntimeError: a thread did not end.
        """
        self._over.set()
        with contextlib.suppress(OSError):  # it never listened
            self._listener.shutdown(socket.SHUT_RDWR)
        deadline = time.monotonic() + _JOIN_SECONDS
        if self._acceptor is not None:
            self._acceptor.join(_JOIN_SECONDS)
        self._listener.close()
        self.hang_up()
        with self._lock:
            threads = list(self._open)
        for thread in threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        if any(thread.is_alive() for thread in threads):
            raise RuntimeError("a connection of the bad PACS did not end")

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return  # shut down by `close`
            wire = Wire(sock, self._over)
            thread = threading.Thread(
                target=self._converse, args=(wire, self.record.opened()), name="bad-pacs"
            )
            with self._lock:
                if self._over.is_set() or len(self._open) >= MAX_CONNECTIONS:
                    wire.close()
                    continue
                self._open[thread] = wire
            thread.start()

    def _converse(self, wire: Wire, connection: Connection) -> None:
        end = End.SCRIPTED
        try:
            talk = Talk(
                wire,
                record=self.record,
                connection=connection,
                encoder=self._encode,
                keep_data=self.script.keep_data,
            )
            self._associate(talk)
        except Ended as ended:
            end = ended.end
        except PeerGone:
            end = End.HUNG_UP
        except ProtocolError as error:
            self.record.problem(str(error))
            with contextlib.suppress(PeerGone):
                wire.send(pdu.abort(2, 0), Part.OTHER)
                wire.finish()
                wire.await_end(1)
        except Exception:
            self.record.problem(traceback.format_exc())
        finally:
            wire.close()
            self.record.ended(connection, end)
            with self._lock:
                del self._open[threading.current_thread()]

    def _associate(self, talk: Talk) -> None:
        self._perform(talk, self.script.connect)
        talk.read_association()
        self._perform(talk, self.script.associate)
        try:
            while True:
                request = talk.next_request()
                self._perform(talk, self.script.steps(request))
        except ReleaseAsked:
            self._perform(talk, self.script.release)

    def _perform(self, talk: Talk, steps: Steps) -> None:
        try:
            for step in steps:
                step.run(talk)
                if talk.cancelled and self.script.honours_cancel:
                    Final(0xFE00).run(talk)
                    return
        except CutShort:
            assert talk.after_cut is not None, "only a step arms a cut"
            talk.after_cut.run(talk)

    def _encode(self, rows: Sequence[Row], transfer_syntax: str) -> Sequence[bytes]:
        key = (id(rows), transfer_syntax)
        if key not in self._encoded:
            # The rows are kept too, so that no others can come to have their id.
            self._encoded[key] = (rows, encode_rows(rows, transfer_syntax))
        return self._encoded[key][1]


@contextlib.contextmanager
def bad_pacs(script: Script | None = None, *, listening: bool = True) -> Iterator[BadPacs]:
    """A peer that follows `script`, until the block ends.

    Args:
        script: a well-behaved, empty PACS if left out.
        listening: False refuses TCP connections, until `BadPacs.listen`.

    Raises:
        AssertionError: at the end, if whoever called it broke the standard.
    """
    peer = BadPacs(script or Script(), listening=listening)
    try:
        yield peer
    finally:
        peer.close()
    if problems := peer.record.problems:
        raise AssertionError("the bad PACS complains: " + "; ".join(problems))


@contextlib.contextmanager
def full_backlog() -> Iterator[int]:
    """A port whose connections are neither accepted nor refused: ``connect`` waits for ever."""
    with contextlib.ExitStack() as sockets:
        listener = sockets.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        # The kernel takes one more than the backlog, and drops what comes after.
        for _ in range(2):
            filler = sockets.enter_context(socket.socket())
            filler.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                filler.connect(listener.getsockname())
        yield listener.getsockname()[1]
