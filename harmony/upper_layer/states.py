"""The upper layer protocol machine as one table. PS3.8 9.2, tables 9-6 to 9-10.

Rows are events, columns are states, each cell is the action to take; an empty cell is an event
that cannot be there in that state. Read it beside table 9-10: events stand in the same order.
Nothing is done here; `connection` takes the actions.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final


class State(enum.IntEnum):
    """PS3.8 tables 9-1 to 9-5."""

    STA1 = 1  # idle: no transport connection
    STA2 = 2  # transport connection open, awaiting A-ASSOCIATE-RQ
    STA3 = 3  # awaiting our user's answer to an A-ASSOCIATE indication
    STA4 = 4  # awaiting the transport connection to open
    STA5 = 5  # awaiting A-ASSOCIATE-AC or A-ASSOCIATE-RJ
    STA6 = 6  # association established, ready for data
    STA7 = 7  # awaiting A-RELEASE-RP
    STA8 = 8  # awaiting our user's A-RELEASE response
    STA9 = 9  # release collision, requestor: awaiting our user's A-RELEASE response
    STA10 = 10  # release collision, acceptor: awaiting A-RELEASE-RP
    STA11 = 11  # release collision, requestor: awaiting A-RELEASE-RP
    STA12 = 12  # release collision, acceptor: awaiting our user's A-RELEASE response
    STA13 = 13  # association over, awaiting the transport connection to close


class Event(enum.IntEnum):
    """PS3.8 table 9-6, and 9-10 for those that the local user causes."""

    EVT1 = 1  # A-ASSOCIATE request of our user
    EVT2 = 2  # transport connection confirmed
    EVT3 = 3  # A-ASSOCIATE-AC received
    EVT4 = 4  # A-ASSOCIATE-RJ received
    EVT5 = 5  # transport connection indicated
    EVT6 = 6  # A-ASSOCIATE-RQ received
    EVT7 = 7  # A-ASSOCIATE response of our user: accept
    EVT8 = 8  # A-ASSOCIATE response of our user: reject
    EVT9 = 9  # P-DATA request of our user
    EVT10 = 10  # P-DATA-TF received
    EVT11 = 11  # A-RELEASE request of our user
    EVT12 = 12  # A-RELEASE-RQ received
    EVT13 = 13  # A-RELEASE-RP received
    EVT14 = 14  # A-RELEASE response of our user
    EVT15 = 15  # A-ABORT request of our user
    EVT16 = 16  # A-ABORT received
    EVT17 = 17  # transport connection closed
    EVT18 = 18  # ARTIM timer expired
    EVT19 = 19  # unrecognised or invalid PDU received


@enum.unique
class Action(enum.Enum):
    """PS3.8 tables 9-6 to 9-9: what to do, and the state that comes next."""

    AE_1 = "open a transport connection; Sta4"
    AE_2 = "send A-ASSOCIATE-RQ; Sta5"
    AE_3 = "confirm the association; Sta6"
    AE_4 = "tell of the rejection, close; Sta1"
    AE_5 = "start ARTIM; Sta2"
    AE_6 = "stop ARTIM, indicate the request; Sta3"
    AE_7 = "send A-ASSOCIATE-AC; Sta6"
    AE_8 = "send A-ASSOCIATE-RJ, start ARTIM; Sta13"
    DT_1 = "send P-DATA-TF; Sta6"
    DT_2 = "indicate data; Sta6"
    AR_1 = "send A-RELEASE-RQ; Sta7"
    AR_2 = "indicate the release; Sta8"
    AR_3 = "confirm the release, close; Sta1"
    AR_4 = "send A-RELEASE-RP, start ARTIM; Sta13"
    AR_5 = "stop ARTIM, for the connection is closed as it should be; Sta1"
    AR_6 = "indicate data; Sta7"
    AR_7 = "send P-DATA-TF; Sta8"
    AR_8 = "indicate the release collision; Sta9 for the requestor, Sta10 for the acceptor"
    AR_9 = "send A-RELEASE-RP; Sta11"
    AR_10 = "confirm the release; Sta12"
    AA_1 = "send A-ABORT, start ARTIM; Sta13"
    AA_2 = "stop ARTIM, close; Sta1"
    AA_3 = "indicate the peer's abort, close; Sta1"
    AA_4 = "indicate that the connection is gone; Sta1"
    AA_5 = "stop ARTIM, for the connection is closed without a request; Sta1"
    AA_6 = "ignore the PDU; Sta13"
    AA_7 = "send A-ABORT; Sta13"
    AA_8 = "send A-ABORT of the provider, indicate it, start ARTIM; Sta13"


_COLUMNS = "Sta1  Sta2  Sta3  Sta4  Sta5  Sta6  Sta7  Sta8  Sta9  Sta10 Sta11 Sta12 Sta13"
_ROWS = """
Evt1     AE-1  -     -     -     -     -     -     -     -     -     -     -     -
Evt2     -     -     -     AE-2  -     -     -     -     -     -     -     -     -
Evt3     -     AA-1  AA-8  -     AE-3  AA-8  AA-8  AA-8  AA-8  AA-8  AA-8  AA-8  AA-6
Evt4     -     AA-1  AA-8  -     AE-4  AA-8  AA-8  AA-8  AA-8  AA-8  AA-8  AA-8  AA-6
Evt5     AE-5  -     -     -     -     -     -     -     -     -     -     -     -
Evt6     -     AE-6  AA-8  -     AA-8  AA-8  AA-8  AA-8  AA-8  AA-8  AA-8  AA-8  AA-7
Evt7     -     -     AE-7  -     -     -     -     -     -     -     -     -     -
Evt8     -     -     AE-8  -     -     -     -     -     -     -     -     -     -
Evt9     -     -     -     -     -     DT-1  -     AR-7  -     -     -     -     -
Evt10    -     AA-1  AA-8  -     AA-8  DT-2  AR-6  AA-8  AA-8  AA-8  AA-8  AA-8  AA-6
Evt11    -     -     -     -     -     AR-1  -     -     -     -     -     -     -
Evt12    -     AA-1  AA-8  -     AA-8  AR-2  AR-8  AA-8  AA-8  AA-8  AA-8  AA-8  AA-6
Evt13    -     AA-1  AA-8  -     AA-8  AA-8  AR-3  AA-8  AA-8  AR-10 AR-3  AA-8  AA-6
Evt14    -     -     -     -     -     -     -     AR-4  AR-9  -     -     AR-4  -
Evt15    -     -     AA-1  AA-2  AA-1  AA-1  AA-1  AA-1  AA-1  AA-1  AA-1  AA-1  -
Evt16    -     AA-2  AA-3  -     AA-3  AA-3  AA-3  AA-3  AA-3  AA-3  AA-3  AA-3  AA-2
Evt17    -     AA-5  AA-4  AA-4  AA-4  AA-4  AA-4  AA-4  AA-4  AA-4  AA-4  AA-4  AR-5
Evt18    -     AA-2  -     -     -     -     -     -     -     -     -     -     AA-2
Evt19    -     AA-1  AA-8  -     AA-8  AA-8  AA-8  AA-8  AA-8  AA-8  AA-8  AA-8  AA-7
"""


def _read(rows: str, columns: str) -> Mapping[tuple[Event, State], Action]:
    states = [State[name.upper()] for name in columns.split()]
    table: dict[tuple[Event, State], Action] = {}
    for row in rows.split("\n")[1:-1]:
        name, *cells = row.split()
        for state, cell in zip(states, cells, strict=True):
            if cell != "-":
                table[Event[name.upper()], state] = Action[cell.replace("-", "_")]
    return MappingProxyType(table)


TABLE: Final[Mapping[tuple[Event, State], Action]] = _read(_ROWS, _COLUMNS)
"""PS3.8 table 9-10."""
