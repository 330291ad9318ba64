"""A DIMSE caller that says what its test wants, right or wrong, over a plain socket.

    with bad_caller("127.0.0.1", port) as caller:
        assert caller.associate(Request(version=2)) == Rejected(1, 2, 2)

    with bad_caller("127.0.0.1", port) as caller:
        caller.associate()
        caller.ask(STORE_ID, messages.store("not a uid"), data)
        assert caller.next_message().is_failure

A `Caller` blocks its thread, never longer than its limit; in trio it belongs into
``trio.to_thread``. What it hears is read strictly: a PDU that an acceptor may not send raises
`ProtocolError`. `Request` has every field of an A-ASSOCIATE-RQ, `messages` the command sets and
their framing, `data_sets` what they carry.

A `Case` is a whole conversation as a value, which `hold` holds and judges. `table` has those
with a name, `chance` makes them of a `random.Random`.
"""

from tests.support.bad_caller import chance, data_sets, messages, mutation, table
from tests.support.bad_caller.answers import (
    Aborted,
    Accepted,
    Answer,
    Closed,
    Data,
    Message,
    Rejected,
    ReleaseAsked,
    Released,
)
from tests.support.bad_caller.caller import Caller, bad_caller, proper_echo
from tests.support.bad_caller.conversation import Case, Expect, Hear, Say, hold, judge
from tests.support.bad_caller.request import (
    ALL_SERVICES,
    ECHO_ID,
    FIND_ID,
    GET_ID,
    MOVE_ID,
    STORE_ID,
    Request,
    item,
)

__all__ = [
    "ALL_SERVICES",
    "ECHO_ID",
    "FIND_ID",
    "GET_ID",
    "MOVE_ID",
    "STORE_ID",
    "Aborted",
    "Accepted",
    "Answer",
    "Caller",
    "Case",
    "Closed",
    "Data",
    "Expect",
    "Hear",
    "Message",
    "Rejected",
    "ReleaseAsked",
    "Released",
    "Request",
    "Say",
    "bad_caller",
    "chance",
    "data_sets",
    "hold",
    "item",
    "judge",
    "messages",
    "mutation",
    "proper_echo",
    "table",
]
