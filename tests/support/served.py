"""An association that a test calls over, without a socket, and a provider that does as it says.

    caller = Caller()
    async with served(caller, provider):
        (answer,) = await caller.ask(echo())

A message that follows one that was cut short fails the test: no real caller could read it.
"""

from __future__ import annotations

import contextlib
import dataclasses
import math
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass

import trio

from harmony.dicom.status_codes import PROCESSING_FAILURE, SUCCESS
from harmony.dimse.contexts import FIND, GET, MOVE, VERIFICATION
from harmony.dimse.link import (
    Acceptance,
    AssociationRequest,
    Context,
    End,
    Ending,
    Fragment,
    LinkEnded,
    Role,
)
from harmony.dimse.negotiation import APPLICATION_CONTEXT
from harmony.dimse.provider import Answer, Call, Matches, Retrieval, ServingLimits
from harmony.dimse.serving import ServedAssociation
from harmony.envelope import Encoded, Instance, Root, StreamBroken
from harmony.upper_layer.commands import (
    DATA_SET_PRESENT,
    NO_DATA_SET,
    Command,
    CommandField,
    decode,
    encode,
)
from tests.support.scripted_link import CONTEXT_OF, CONTEXTS, CT, Sent

RELEASED = Ending(End.PEER_RELEASED)
ECHO_ID = CONTEXT_OF[VERIFICATION]
FIND_ID = CONTEXT_OF[FIND[Root.STUDY]]
MOVE_ID = CONTEXT_OF[MOVE[Root.STUDY]]
GET_ID = CONTEXT_OF[GET[Root.STUDY]]
STORE_ID = CONTEXT_OF[CT]
_PENDING = (0xFF00, 0xFF01)


@dataclass(frozen=True, slots=True)
class Said:
    """One message of a caller."""

    context_id: int
    command: Command
    data: bytes | None = None

    def fragments(self, size: int = 1 << 20) -> list[Fragment]:
        """Its presentation data values; those of the data set have at most `size` bytes."""
        found = [Fragment(self.context_id, True, True, encode(self.command))]
        if self.data is not None:
            for start in range(0, max(len(self.data), 1), size):
                piece = self.data[start : start + size]
                is_last = start + size >= len(self.data)
                found.append(Fragment(self.context_id, False, is_last, piece))
        return found

    def but(self, **changes: object) -> Said:
        """The same with another command set."""
        return dataclasses.replace(
            self,
            command=dataclasses.replace(self.command, **changes),  # type: ignore[arg-type]
        )


def echo(message_id: int = 1) -> Said:
    return _request(ECHO_ID, CommandField.C_ECHO_RQ, message_id)


def find(data: bytes = b"identifier", message_id: int = 1) -> Said:
    return _request(FIND_ID, CommandField.C_FIND_RQ, message_id, data)


def get(data: bytes = b"identifier", message_id: int = 1) -> Said:
    return _request(GET_ID, CommandField.C_GET_RQ, message_id, data)


def move(data: bytes = b"identifier", message_id: int = 1, destination: str = "DEST") -> Said:
    said = _request(MOVE_ID, CommandField.C_MOVE_RQ, message_id, data)
    return said.but(move_destination=destination)


def store(data: bytes = b"object", message_id: int = 1, uid: str = "1.2.3") -> Said:
    said = _request(STORE_ID, CommandField.C_STORE_RQ, message_id, data)
    return said.but(affected_sop_instance_uid=uid)


def cancel(message_id: int = 1, context_id: int = FIND_ID) -> Said:
    command = Command(field=CommandField.C_CANCEL_RQ, responds_to=message_id)
    return Said(context_id, command)


def stored(message_id: int | None = 1, status: int = SUCCESS) -> Said:
    """The answer to a sub-operation of a C-GET."""
    command = Command(field=CommandField.C_STORE_RSP, responds_to=message_id, status=status)
    return Said(STORE_ID, command)


def _request(
    context_id: int, field: CommandField, message_id: int, data: bytes | None = None
) -> Said:
    command = Command(
        field=field,
        affected_sop_class_uid=CONTEXTS[context_id].abstract_syntax,
        message_id=message_id,
        priority=None if field is CommandField.C_ECHO_RQ else 0,
        data_set_type=NO_DATA_SET if data is None else DATA_SET_PRESENT,
    )
    return Said(context_id, command, data)


class Caller:
    """Implements `harmony.dimse.link.AcceptedLink`; what is said on it the test says.

    Attributes:
        sent: whole messages that came from the session.
        aborted, hung_up: what the session has done.
        takes: messages are taken while it is set; cleared, each waits in its middle.
        sending: a message has begun and is not whole.
        on_store: what to say when a sub-operation has come.
    """

    def __init__(
        self,
        *,
        roles: Mapping[str, Role] | None = None,
        on_store: Callable[[Sent], Said | Ending | None] | None = None,
    ) -> None:
        self.contexts: Mapping[int, Context] = CONTEXTS
        self.request = AssociationRequest(
            calling_aet="CALLER",
            called_aet="HARMONY",
            address="127.0.0.1",
            application_context=APPLICATION_CONTEXT,
            contexts={},
            roles={},
        )
        self.acceptance = Acceptance(contexts=CONTEXTS, refused={}, roles=roles or {})
        self.sent: list[Sent] = []
        self.aborted = False
        self.hung_up = False
        self.takes = trio.Event()
        self.takes.set()
        self.sending = trio.Event()
        self.on_store = on_store
        self._cut_short = False
        self._news = trio.Event()
        self._say, self._said = trio.open_memory_channel[Fragment | Ending](math.inf)

    # What a test does

    def say(self, *said: Said | Fragment | Ending, size: int = 1 << 20) -> None:
        for each in said:
            units = each.fragments(size) if isinstance(each, Said) else [each]
            for unit in units:
                self._say.send_nowait(unit)

    async def ask(self, said: Said, *, size: int = 1 << 20) -> list[Sent]:
        """Say it; what comes until its final answer, or until the session aborts."""
        start = len(self.sent)
        self.say(said, size=size)
        while not self.aborted:
            for number, each in enumerate(self.sent[start:], start + 1):
                answered = each.command.responds_to == said.command.message_id
                if answered and each.command.status not in _PENDING:
                    return self.sent[start:number]
            self._news = trio.Event()
            await self._news.wait()
        return self.sent[start:]

    # What the session does

    @property
    def is_quiet(self) -> bool:
        return False

    async def send(
        self,
        context_id: int,
        command: bytes,
        data: AsyncIterable[bytes] | None = None,
        *,
        more: bool = False,
    ) -> None:
        assert not self._cut_short, "a message after one that was cut short"
        self._cut_short = True
        self.sending.set()
        await self.takes.wait()
        body = None if data is None else b"".join([chunk async for chunk in data])
        self._cut_short = False
        self.sending = trio.Event()
        sent = Sent(context_id, decode(command), body)
        self.sent.append(sent)
        self._news.set()
        if self.on_store is not None and sent.command.field == CommandField.C_STORE_RQ:
            answer = self.on_store(sent)
            if answer is not None:
                self.say(answer)

    def take(self) -> Fragment | None:
        return None

    async def receive(self) -> Fragment:
        unit = await self._said.receive()
        if isinstance(unit, Ending):
            raise LinkEnded(unit)
        return unit

    async def wait_disturbed(self) -> None:
        await trio.sleep_forever()

    async def release(self) -> None:
        self.hang_up()

    def hang_up(self) -> None:
        self.hung_up = True

    async def abort(self) -> None:
        await trio.lowlevel.checkpoint()
        self.aborted = True
        self._news.set()


Work = Callable[..., Awaitable[Answer]]


async def _success(*arguments: object) -> Answer:
    return Answer(status=SUCCESS)


async def _keep(call: Call, instance: Instance) -> Answer:
    try:
        async for _ in instance.data:
            pass
    except StreamBroken:
        return Answer(status=PROCESSING_FAILURE)
    return Answer(status=SUCCESS)


@dataclass(slots=True, kw_only=True)
class FakeProvider:
    """Implements `harmony.dimse.provider.Provider` by functions of a test."""

    on_echo: Work = _success
    on_store: Work = _keep
    on_find: Work = _success
    on_retrieve: Work = _success
    calls: list[Call] = dataclasses.field(default_factory=list)
    cancelled: list[Call] = dataclasses.field(default_factory=list)

    async def echo(self, call: Call) -> Answer:
        return await self._do(call, self.on_echo(call))

    async def store(self, call: Call, instance: Instance) -> Answer:
        return await self._do(call, self.on_store(call, instance))

    async def find(self, call: Call, identifier: Encoded, matches: Matches) -> Answer:
        return await self._do(call, self.on_find(call, identifier, matches))

    async def retrieve(self, call: Call, identifier: Encoded, retrieval: Retrieval) -> Answer:
        return await self._do(call, self.on_retrieve(call, identifier, retrieval))

    def failed_list(self, uids: list[str], transfer_syntax: str) -> bytes:
        return "\\".join(uids).encode()

    async def _do(self, call: Call, work: Awaitable[Answer]) -> Answer:
        self.calls.append(call)
        try:
            return await work
        except trio.Cancelled:
            self.cancelled.append(call)
            raise


def status_of(sent: Sequence[Sent]) -> int | None:
    """The status of the last response."""
    return sent[-1].command.status


@contextlib.asynccontextmanager
async def served(
    caller: Caller, provider: FakeProvider | None = None, **limits: float
) -> AsyncIterator[ServedAssociation]:
    """Serve the caller while the block runs; left, the association is released by the caller."""
    session = ServedAssociation(
        caller,
        provider or FakeProvider(),
        dataclasses.replace(ServingLimits(), **limits),  # type: ignore[arg-type]
        "test",
    )
    async with trio.open_nursery() as nursery:
        nursery.start_soon(session.run)
        yield session
        caller.say(RELEASED)
