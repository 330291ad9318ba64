"""A link whose peer follows a script: conversations of DIMSE without a socket.

    link = ScriptedLink([response(0xFF00, row), response(0x0000)])
    association = Association(link, target())

Each step answers one `receive`; what was sent is in ``link.sent``.
"""

from __future__ import annotations

import dataclasses
from collections.abc import AsyncIterable, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass

import trio

from harmony.dimse.contexts import FIND, GET, MOVE, VERIFICATION
from harmony.dimse.link import Context, End, Ending, Fragment, Link, LinkEnded, Proposal
from harmony.dimse.target import Target, Timeouts
from harmony.upper_layer.commands import DATA_SET_PRESENT, Command, CommandField, decode, encode

EXPLICIT = "1.2.840.10008.1.2.1"
CT = "1.2.840.10008.5.1.4.1.1.2"
_UIDS = (VERIFICATION, *FIND.values(), *MOVE.values(), *GET.values(), CT)
CONTEXTS = {2 * i + 1: Context(2 * i + 1, uid, EXPLICIT) for i, uid in enumerate(_UIDS)}
CONTEXT_OF = {context.abstract_syntax: context.id for context in CONTEXTS.values()}


def target(**timeouts: float) -> Target:
    return Target(
        aet="PACS",
        host="pacs.test",
        port=104,
        local_aet="HARMONY",
        timeouts=dataclasses.replace(Timeouts(), **timeouts),
    )


@dataclass(frozen=True, slots=True)
class Silence:
    """The peer says nothing more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One message of the peer.

    Attributes:
        responds_to: None answers the last request's message ID.
        context_id: None uses the last request's context.
    """

    field: int
    status: int | None = None
    data: bytes | None = None
    responds_to: int | None = None
    context_id: int | None = None
    extra: Mapping[str, object] = dataclasses.field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class CutShort:
    """A message without its last fragment."""

    message: Answer


@dataclass(frozen=True, slots=True)
class Sent:
    context_id: int
    command: Command
    data: bytes | None


@dataclass(frozen=True, slots=True)
class Meanwhile:
    """Something else happens before the next step; it gets the last request."""

    happen: Callable[[Command], Awaitable[None]]


Step = CutShort | Answer | Fragment | Ending | Silence | Meanwhile


class ScriptedLink:
    """Implements `harmony.dimse.link.Link`."""

    def __init__(
        self, script: Sequence[Step], contexts: Mapping[int, Context] | None = None
    ) -> None:
        self.contexts: Mapping[int, Context] = CONTEXTS if contexts is None else contexts
        self.sent: list[Sent] = []
        self.hung_up = False
        self.released = False
        self.ended = trio.Event()
        self._script = list(script)
        self._fragments: list[Fragment] = []

    @property
    def is_quiet(self) -> bool:
        return not self.hung_up and not self._fragments

    async def send(
        self,
        context_id: int,
        command: bytes,
        data: AsyncIterable[bytes] | None = None,
        *,
        more: bool = False,
    ) -> None:
        await trio.lowlevel.checkpoint()
        body = None if data is None else b"".join([chunk async for chunk in data])
        self.sent.append(Sent(context_id, decode(command), body))

    def take(self) -> Fragment | None:
        return None

    async def receive(self) -> Fragment:
        await trio.lowlevel.checkpoint()
        while not self._fragments:
            step = self._script.pop(0) if self._script else Silence()
            match step:
                case Meanwhile():
                    await step.happen(self._request().command)
                case Silence():
                    await trio.sleep_forever()
                case Ending():
                    raise LinkEnded(step)
                case Fragment():
                    self._fragments.append(step)
                case Answer():
                    self._fragments += self._message(step)
                case CutShort():
                    self._fragments += self._message(step.message)[:-1]
        return self._fragments.pop(0)

    def _request(self) -> Sent:
        return next(s for s in reversed(self.sent) if s.command.message_id is not None)

    def _message(self, answer: Answer) -> list[Fragment]:
        request = self._request()
        context = answer.context_id or request.context_id
        is_request = answer.field == CommandField.C_STORE_RQ
        command = Command(
            field=answer.field,
            status=answer.status,
            responds_to=None if is_request else (answer.responds_to or request.command.message_id),
            data_set_type=0x0101 if answer.data is None else DATA_SET_PRESENT,
        )
        command = dataclasses.replace(command, **answer.extra)  # type: ignore[arg-type]
        fragments = [Fragment(context, True, True, encode(command))]
        if answer.data is not None:
            half = len(answer.data) // 2
            fragments.append(Fragment(context, False, False, answer.data[:half]))
            fragments.append(Fragment(context, False, True, answer.data[half:]))
        return fragments

    async def wait_disturbed(self) -> None:
        await trio.sleep_forever()

    async def release(self) -> None:
        self.released = True
        self.ended.set()

    def hang_up(self) -> None:
        self.hung_up = True
        self.ended.set()


class ScriptedEngine:
    """Opens these links, one after the other. Implements `harmony.dimse.pool.OpenLink`."""

    def __init__(self, *links: ScriptedLink) -> None:
        self.proposals: list[Sequence[Proposal]] = []
        self.links = list(links)

    async def __call__(
        self,
        target: Target,
        proposals: Sequence[Proposal],
        /,
        *,
        task_status: trio.TaskStatus[Link],
    ) -> None:
        await trio.lowlevel.checkpoint()
        link = self.links.pop(0)
        self.proposals.append(proposals)
        task_status.started(link)
        await link.ended.wait()


ABORTED = Ending(End.PEER_ABORTED, 0, 0)
CLOSED = Ending(End.CLOSED)
