"""The two streams of a request that is being served: its data set in, its answers out."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import AsyncIterator

import trio

from harmony.dicom.reencode import data_in, suitable
from harmony.dicom.status_codes import CLASS_NOT_SUPPORTED, PENDING, PENDING_WITHOUT_SOME_KEYS
from harmony.dimse.conversation import EvenData
from harmony.dimse.link import AcceptedLink, Context, Fragment, LinkEnded
from harmony.dimse.negotiation import DEFAULT_ROLE
from harmony.dimse.provider import Call, ServingLimits, Tally
from harmony.envelope import Instance, Operation, StreamBroken, WholeBytes
from harmony.upper_layer.commands import (
    DATA_SET_PRESENT,
    NO_DATA_SET,
    PRIORITY_MEDIUM,
    Command,
    CommandField,
    encode,
)
from harmony.upper_layer.messages import Assembler, Data, MessageError, Unit

_MOST_COUNTED = 0xFFFF  # in 16 bits, PS3.7 table E.1-1
_RATE_AFTER_SECONDS = 30.0
_RESPONSES = {
    Operation.FIND: CommandField.C_FIND_RSP,
    Operation.GET: CommandField.C_GET_RSP,
    Operation.MOVE: CommandField.C_MOVE_RSP,
}


class Abort(Exception):
    """What the caller sent cannot be answered. `code` goes to the log."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


def taken(assembler: Assembler, fragment: Fragment) -> Unit | None:
    """What a fragment of the caller makes.

    Raises:
        Abort: it is not what is due.
    """
    try:
        return assembler.take(fragment)
    except MessageError as exc:
        raise Abort(exc.code) from None


class IncomingData:
    """The data set of a request, as it arrives. Read by one task.

    Time counts only while we wait for the caller: a slow reader of ours is not its fault.

    Attributes:
        ended: nothing more of it comes.
        broken: why it is not whole, if it is not.
        is_too_long: it is longer than allowed; its readers got `StreamBroken`.
    """

    def __init__(self, link: AcceptedLink, context_id: int, limits: ServingLimits) -> None:
        self._link = link
        self._assembler = Assembler(data_in=context_id)
        self._limits = limits
        self._waited = 0.0
        self._received = 0
        self.ended = trio.Event()
        self.broken: LinkEnded | Abort | None = None
        self.is_too_long = False

    def __aiter__(self) -> IncomingData:
        return self

    async def __anext__(self) -> bytes:
        if self.is_too_long or self.broken is not None:
            raise StreamBroken("the data set does not arrive whole")
        if self.ended.is_set():
            raise StopAsyncIteration
        try:
            data = await self._next()
        except (LinkEnded, Abort) as exc:
            self.broken = exc
            self.ended.set()
            raise StreamBroken("the data set does not arrive whole") from exc
        if self._received > self._limits.max_object_bytes:
            self.is_too_long = True
            raise StreamBroken("the data set is longer than allowed")
        return data

    async def whole(self, limit: int) -> bytes | None:
        """All of it; None, with nothing kept, if it has more than `limit` bytes.

        Raises:
            LinkEnded, Abort
        """
        data = bytearray()
        while not self.ended.is_set():
            data += await self._next()
            if len(data) > limit:
                await self.pass_over()
                return None
        return bytes(data)

    async def pass_over(self) -> None:
        """Read what is left and drop it.

        Raises:
            LinkEnded, Abort
        """
        while not self.ended.is_set():
            await self._next()

    async def _next(self) -> bytes:
        fragment = self._link.take()
        if fragment is None:
            started = trio.current_time()
            with trio.move_on_after(self._limits.object_idle_seconds):
                fragment = await self._link.receive()
            self._waited += trio.current_time() - started
        if fragment is None:
            raise Abort("stalled")
        unit = taken(self._assembler, fragment)
        assert isinstance(unit, Data)
        self._received += len(unit.data)
        if unit.is_last:
            self.ended.set()
        else:
            self._check_pace()
        return unit.data

    def _check_pace(self) -> None:
        limits = self._limits
        if self._waited > limits.object_seconds:
            raise Abort("object-took-too-long")
        if (
            self._waited > _RATE_AFTER_SECONDS
            and self._received < limits.minimum_rate * self._waited
        ):
            raise Abort("too-slow")


class Answers:
    """Pending responses and sub-operations of one query or retrieve.

    Implements `provider.Matches` and `provider.Retrieval`. What is begun is sent whole, and a
    sub-operation ends with its answer: a C-CANCEL that comes meanwhile, or a failure of the
    source, takes effect after it, and the association stays in order.
    """

    def __init__(self, link: AcceptedLink, call: Call, store_seconds: float) -> None:
        self._link = link
        self._call = call
        self._store_seconds = store_seconds
        self._tally = Tally()
        self._under_way: trio.CancelScope | None = None
        self._cancelling: trio.CancelScope | None = None
        self._heard = True
        self._sub_operations = 0
        self._waiting_in: Context | None = None
        self._answer_in, self._answer_out = trio.open_memory_channel[Command](1)

    @property
    def tally(self) -> Tally:
        return self._tally

    # Heard from the caller

    def cancel(self, scope: trio.CancelScope) -> None:
        """End the work in `scope`, now or when what is under way is over. PS3.7 9.3.2.3."""
        self._cancelling = scope
        if self._under_way is None:
            scope.cancel()

    def give_up(self) -> None:
        """Nobody listens to the caller any more, so what is under way waits for no end."""
        self._heard = False
        if self._under_way is not None:
            self._under_way.shield = False

    def take(self, context: Context, answer: Command) -> None:
        """The answer to a sub-operation. PS3.7 9.3.1.2.

        Raises:
            Abort: nothing was asked, or this answers something else.
        """
        fits = (
            self._waiting_in == context
            and answer.responds_to == self._sub_operations
            and answer.status is not None
            and not answer.has_data_set
        )
        if not fits:
            raise Abort("response-to-nothing")
        self._waiting_in = None
        self._answer_in.send_nowait(answer)

    # Told to the caller

    async def pending(
        self, identifier: bytes, *, all_keys_supported: bool, more: bool = False
    ) -> None:
        status = PENDING if all_keys_supported else PENDING_WITHOUT_SOME_KEYS
        response = self._response(status, data_set_type=DATA_SET_PRESENT)
        async with self._to_its_end():
            await self._link.send(
                self._call.context.id, encode(response), WholeBytes(identifier), more=more
            )

    async def progress(self) -> None:
        if self._tally.remaining is None:
            return  # a pending response must tell what remains, PS3.4 C.4.2.1.6
        response = with_counters(self._response(PENDING), self._tally, remaining=True)
        async with self._to_its_end():
            await self._link.send(self._call.context.id, encode(response))

    async def store(self, instance: Instance) -> int:
        context = self._context(instance)
        if context is None:
            return CLASS_NOT_SUPPORTED
        async with self._to_its_end():
            status = await self._sub_operation(context, instance)
        return status

    async def _sub_operation(self, context: Context, instance: Instance) -> int:
        """C-STORE to the caller. PS3.7 9.1.1, 9.3.1."""
        self._sub_operations = self._sub_operations % _MOST_COUNTED + 1
        request = Command(
            field=CommandField.C_STORE_RQ,
            affected_sop_class_uid=instance.sop_class_uid,
            affected_sop_instance_uid=instance.sop_instance_uid,
            message_id=self._sub_operations,
            priority=PRIORITY_MEDIUM,
            data_set_type=DATA_SET_PRESENT,
        )
        self._waiting_in = context
        try:
            data = EvenData(data_in(instance, context.transfer_syntax), context.transfer_syntax)
            await self._link.send(context.id, encode(request), data)
        except LinkEnded:
            raise
        except Exception as exc:
            # A data set that was begun cannot be taken back, nor ended as if it were whole.
            raise Abort("sub-operation-broken-off") from exc
        with trio.move_on_after(self._store_seconds):
            answer = await self._answer_out.receive()
            assert answer.status is not None
            return answer.status
        raise Abort("no-answer-to-sub-operation")

    def _response(self, status: int, *, data_set_type: int = NO_DATA_SET) -> Command:
        return Command(
            field=_RESPONSES[self._call.operation],
            affected_sop_class_uid=self._call.context.abstract_syntax,
            responds_to=self._call.message_id,
            data_set_type=data_set_type,
            status=status,
        )

    def _context(self, instance: Instance) -> Context | None:
        """Where the caller takes this instance as an SCP. PS3.4 C.4.3, PS3.7 D.3.3.4.

        As it is, if it takes that; else in what it can be re-encoded into.
        """
        roles = self._link.acceptance.roles
        if not roles.get(instance.sop_class_uid, DEFAULT_ROLE).scp:
            return None
        for syntax in suitable(instance.transfer_syntax):
            wanted = (instance.sop_class_uid, syntax)
            for context in self._link.contexts.values():
                if (context.abstract_syntax, context.transfer_syntax) == wanted:
                    return context
        return None

    @contextlib.asynccontextmanager
    async def _to_its_end(self) -> AsyncIterator[None]:
        """Let the block run to its end once it has begun, as long as the caller is heard.

        It waits for the caller only, and for a source that ends or fails; both have deadlines.
        """
        await trio.lowlevel.checkpoint_if_cancelled()
        with trio.CancelScope(shield=self._heard) as self._under_way:
            try:
                yield
            finally:
                self._under_way = None
                if self._cancelling is not None:
                    self._cancelling.cancel()


def with_counters(response: Command, tally: Tally, *, remaining: bool) -> Command:
    """A response with the counters of a retrieve. PS3.4 C.4.2.1.6 to C.4.2.1.9.

    Args:
        response: to a C-GET or C-MOVE.
        tally: as it stands.
        remaining: whether this response may tell what remains: a pending one must, and one
            that says cancelled; no other.
    """
    left = tally.remaining if remaining else None
    return dataclasses.replace(
        response,
        remaining=None if left is None else min(left, _MOST_COUNTED),
        completed=min(tally.completed, _MOST_COUNTED),
        failed=min(tally.failed, _MOST_COUNTED),
        warning=min(tally.warning, _MOST_COUNTED),
    )
