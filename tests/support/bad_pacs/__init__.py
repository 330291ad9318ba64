"""A PACS that does what a script says, on real sockets, with PDUs written by hand.

    rows = (Rows(five_data_sets), Abort(2, 0))
    with bad_pacs(Script(find=rows)) as peer:
        ...  # talk to 127.0.0.1, peer.port
        assert [r.kind for r in peer.requests] == ["C-FIND-RQ"]

A `Script` has a tuple of steps for each phase: connecting, associating, each operation, and
the release. Steps run one after the other, so "resets after three answers" is
``(Rows(three), Reset())`` and "freezes inside the fourth" is
``(Rows(three), Freeze(Part.DATA), Rows(one))``. When the steps of a request are used up, the
next request is awaited; steps that stop without a `Final` leave the caller waiting.

A C-CANCEL-RQ ends the steps with status FE00, unless the script says otherwise. What the peer
under test does against the standard fails the test at the end of the ``with`` block.

Each connection has a thread. Leaving the block ends them all.
"""

from tests.support.bad_pacs.instances import (
    Instance,
    encode_dataset,
    instance_from_dataset,
    instance_from_file,
)
from tests.support.bad_pacs.record import Connection, End, Record, Request
from tests.support.bad_pacs.server import BadPacs, Plan, Script, bad_pacs, full_backlog
from tests.support.bad_pacs.steps import (
    Abort,
    Accept,
    Close,
    Final,
    Freeze,
    Pause,
    Progress,
    Raw,
    RawMessage,
    Reject,
    ReleaseReply,
    ReleaseRequest,
    Reset,
    Rows,
    SendInstances,
    Silence,
    Slow,
    Stare,
    broken_command_set,
    broken_identifier,
    counting,
    garbage,
    huge_pdu,
    unknown_pdu,
)
from tests.support.bad_pacs.talk import Counters, Forged, Step, Steps
from tests.support.bad_pacs.wire import Part

__all__ = [
    "Abort",
    "Accept",
    "BadPacs",
    "Close",
    "Connection",
    "Counters",
    "End",
    "Final",
    "Forged",
    "Freeze",
    "Instance",
    "Part",
    "Pause",
    "Plan",
    "Progress",
    "Raw",
    "RawMessage",
    "Record",
    "Reject",
    "ReleaseReply",
    "ReleaseRequest",
    "Request",
    "Reset",
    "Rows",
    "Script",
    "SendInstances",
    "Silence",
    "Slow",
    "Stare",
    "Step",
    "Steps",
    "bad_pacs",
    "broken_command_set",
    "broken_identifier",
    "counting",
    "encode_dataset",
    "full_backlog",
    "garbage",
    "huge_pdu",
    "instance_from_dataset",
    "instance_from_file",
    "unknown_pdu",
]
