"""One side of an association, without a socket. PS3.8 9.2.

A `Connection` is fed what the transport connection brings and tells what it means; what the
user wants is turned into the bytes to write. `states.TABLE` says what may be when.

    connection = Connection(Side.REQUESTOR)
    write(connection.send(request))
    while (event := connection.next_event()) is NEED_DATA:
        connection.receive_data(read())  # b"" once the transport connection is closed

An event with a `reply` has it written before anything else. `artim_is_running` says whether the
peer is waited for under the ARTIM timer (PS3.8 9.1.5), whose time is the owner's business.
"""

from __future__ import annotations

import enum
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, Literal, TypeAlias

from harmony.upper_layer.negotiation import Context, agreed
from harmony.upper_layer.pdus import (
    Abort,
    AbortReason,
    AbortSource,
    AssociateAccept,
    AssociateReject,
    AssociateRequest,
    Fragment,
    Pdu,
    PduError,
    PduType,
    ReleaseRequest,
    ReleaseResponse,
    decode,
    encode,
    fragments,
)
from harmony.upper_layer.reading import Limits, PduReader
from harmony.upper_layer.states import TABLE, Action, Event, State

Buffer: TypeAlias = bytes | memoryview


class Side(enum.Enum):
    """Who asked for the association."""

    REQUESTOR = "requestor"
    ACCEPTOR = "acceptor"


@dataclass(frozen=True, slots=True)
class Violation:
    """The peer broke the protocol, and the association is over. PS3.8 9.2, AA-1, AA-7 and AA-8.

    Attributes:
        reason: why, as the A-ABORT says it.
        reply: that A-ABORT.
    """

    reason: AbortReason
    reply: bytes


@dataclass(frozen=True, slots=True)
class Closed:
    """The transport connection is gone, or may be closed now. PS3.8 9.2, AA-2, AA-4, AA-5, AR-5."""


class _NeedData(enum.Enum):
    NEED_DATA = "needs data"


NEED_DATA: Final = _NeedData.NEED_DATA
NeedData: TypeAlias = Literal[_NeedData.NEED_DATA]
Received: TypeAlias = (
    AssociateRequest
    | AssociateAccept
    | AssociateReject
    | Fragment
    | ReleaseRequest
    | ReleaseResponse
    | Abort
    | Violation
    | Closed
)


class StateError(Exception):
    """The user wants what this state does not allow; nothing was done. PS3.8 9.2."""


_RECEIVED: Final = {
    PduType.ASSOCIATE_AC: Event.EVT3,
    PduType.ASSOCIATE_RJ: Event.EVT4,
    PduType.ASSOCIATE_RQ: Event.EVT6,
    PduType.DATA_TF: Event.EVT10,
    PduType.RELEASE_RQ: Event.EVT12,
    PduType.RELEASE_RP: Event.EVT13,
    PduType.ABORT: Event.EVT16,
}
_ASKED: Final[dict[type[Pdu], Event]] = {
    AssociateRequest: Event.EVT2,
    AssociateAccept: Event.EVT7,
    AssociateReject: Event.EVT8,
    ReleaseRequest: Event.EVT11,
    ReleaseResponse: Event.EVT14,
    Abort: Event.EVT15,
}
# Where each action that takes no other decision leads.
_NEXT: Final = {
    Action.AE_2: State.STA5,
    Action.AE_3: State.STA6,
    Action.AE_4: State.STA1,
    Action.AE_6: State.STA3,
    Action.AE_7: State.STA6,
    Action.AE_8: State.STA13,
    Action.DT_1: State.STA6,
    Action.DT_2: State.STA6,
    Action.AR_1: State.STA7,
    Action.AR_2: State.STA8,
    Action.AR_3: State.STA1,
    Action.AR_4: State.STA13,
    Action.AR_5: State.STA1,
    Action.AR_6: State.STA7,
    Action.AR_7: State.STA8,
    Action.AR_9: State.STA11,
    Action.AR_10: State.STA12,
    Action.AA_1: State.STA13,
    Action.AA_2: State.STA1,
    Action.AA_3: State.STA1,
    Action.AA_4: State.STA1,
    Action.AA_5: State.STA1,
    Action.AA_6: State.STA13,
    Action.AA_7: State.STA13,
    Action.AA_8: State.STA13,
}
_DEAF: Final = (State.STA1, State.STA4)  # what comes before we have asked is read after it
_TELLS_THE_PDU: Final = frozenset(
    {
        Action.AE_3,
        Action.AE_4,
        Action.AE_6,
        Action.AR_2,
        Action.AR_3,
        Action.AR_8,
        Action.AR_10,
        Action.AA_3,
    }
)


class Connection:
    """The protocol machine of one association, on a transport connection that is open.

    For a requestor it begins in Sta4 with Evt2, so the first thing to do is to send the
    `AssociateRequest`; for an acceptor in Sta2, awaiting one.

    Args:
        side: whose.
        limits: for what is received.
    """

    def __init__(self, side: Side, limits: Limits | None = None) -> None:
        self._side = side
        self._reader = PduReader(limits or Limits())
        self._state = State.STA4 if side is Side.REQUESTOR else State.STA2
        self._fragments: deque[Fragment] = deque()
        self._is_closed = False
        self._is_lost = False  # where PDUs begin
        self._request: AssociateRequest | None = None
        self._contexts: Mapping[int, Context] = MappingProxyType({})
        self._peer_maximum = 0

    @property
    def state(self) -> State:
        return self._state

    @property
    def artim_is_running(self) -> bool:
        """PS3.8 9.1.5: the peer has to send its request, or to close, within ARTIM's time."""
        return self._state in (State.STA2, State.STA13)

    @property
    def is_within_pdu(self) -> bool:
        """True if a PDU has begun to arrive and is not whole yet."""
        return self._reader.is_within_pdu and not self._is_lost

    @property
    def can_send_data(self) -> bool:
        """True if the state allows P-DATA."""
        return (Event.EVT9, self._state) in TABLE

    @property
    def peer_maximum_length(self) -> int:
        """Most bytes of a P-DATA-TF that the peer takes; 0 if it sets no limit. PS3.8 D.1."""
        return self._peer_maximum

    @property
    def contexts(self) -> Mapping[int, Context]:
        """The presentation contexts that both sides agreed on, by ID."""
        return self._contexts

    # From the peer

    def receive_data(self, data: bytes) -> None:
        """Take what was read; nothing at all says that the transport connection is closed.

        Feed only when `next_event` wants data: what is fed is kept.
        """
        if not data:
            self._is_closed = True
        elif self._state is not State.STA1 and not self._is_lost:
            self._reader.feed(data)

    def next_event(self) -> Received | NeedData:
        """What the peer did next.

        After the last event, `Closed` comes again and again.
        """
        if self._fragments:
            return self._fragments.popleft()
        while self._state not in _DEAF and not self._is_lost:
            try:
                unit = self._reader.next()
                if unit is None:
                    break
                event = self._pdu(*unit)
            except PduError as exc:
                event = self._violation(Event.EVT19, exc.reason)
                self._is_lost = True
            if event is not None:
                return event
        if self._state is State.STA1:
            return Closed()
        if not self._is_closed:
            return NEED_DATA
        return self._done(TABLE[Event.EVT17, self._state])

    def artim_expired(self) -> Closed:
        """Tell that ARTIM ran out (Evt18): close the transport connection now.

        Raises:
            StateError: it is not running.
        """
        return self._done(self._action(Event.EVT18))

    def _pdu(self, kind: int, body: memoryview) -> Received | None:
        """What a whole PDU means; None if it is ignored.

        Raises:
            PduError: it is not one.
        """
        event = _RECEIVED[PduType(kind)]
        if event is Event.EVT10:
            return self._data(body)
        pdu = decode(kind, body)
        action = self._action(event)
        if action in _TELLS_THE_PDU:
            if action is Action.AR_8:
                collided = self._side is Side.REQUESTOR
                self._state = State.STA9 if collided else State.STA10
            else:
                self._state = _NEXT[action]
            self._negotiated(pdu)
            if isinstance(pdu, AssociateRequest | AssociateAccept):
                self._peer_maximum = pdu.user.maximum_length or 0
            return pdu
        if action is Action.AA_6:
            return None
        if action is Action.AA_2:
            return self._done(action)
        return self._violation(event, AbortReason.UNEXPECTED_PDU)

    def _data(self, body: memoryview) -> Received | None:
        """P-DATA-TF. PS3.8 9.3.5."""
        values = fragments(body)
        action = self._action(Event.EVT10)
        if action is Action.AA_6:
            return None
        if action not in (Action.DT_2, Action.AR_6):
            return self._violation(Event.EVT10, AbortReason.UNEXPECTED_PDU)
        if any(value.context_id not in self._contexts for value in values):
            raise PduError("a context that was not accepted", AbortReason.INVALID_PARAMETER)
        self._fragments.extend(values)
        return self._fragments.popleft()

    def _violation(self, event: Event, reason: AbortReason) -> Violation:
        """End the association, as the provider and with a reason. PS3.8 9.3.8.

        For Sta2 the standard's AA-1 names the service user as the source, which has no reasons
        to give; there is no user yet, and a caller has a right to know.
        """
        self._state = _NEXT[self._action(event)]
        abort = Abort(source=AbortSource.PROVIDER, reason=reason)
        return Violation(reason, encode(abort))

    def _done(self, action: Action) -> Closed:
        self._state = _NEXT[action]
        return Closed()

    # From the user

    def send(self, pdu: Pdu) -> bytes:
        """The bytes to write for what the user wants.

        Raises:
            StateError: this state does not allow it.
            ValueError: the PDU holds what must not be sent; nothing was done.
        """
        action = self._action(_ASKED[type(pdu)])
        if action is Action.AA_2:  # nothing was asked yet: the connection is just closed
            self._state = State.STA1
            return b""
        data = encode(pdu)
        self._state = _NEXT[action]
        self._negotiated(pdu)
        return data

    def send_data(self, pdu: Sequence[Buffer]) -> Sequence[Buffer]:
        """The buffers to write for a P-DATA-TF that `messages.Packer` has filled, uncopied.

        Raises:
            StateError: this state does not allow it.
        """
        self._state = _NEXT[self._action(Event.EVT9)]
        return pdu

    def _negotiated(self, pdu: Pdu) -> None:
        if isinstance(pdu, AssociateRequest):
            self._request = pdu
        elif isinstance(pdu, AssociateAccept) and self._request is not None:
            self._contexts = MappingProxyType(agreed(self._request, pdu))

    def _action(self, event: Event) -> Action:
        action = TABLE.get((event, self._state))
        if action is None:
            raise StateError(f"{event.name} cannot be in {self._state.name}")
        return action
