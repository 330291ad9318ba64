"""pynetdicom's own engine, in both roles: a peer that shares no code with the one under test.

    with plain_scp(has=files) as peer:
        ...  # C-STORE to 127.0.0.1, peer.port
        assert peer.stored == [instance_from_file(path)]

    with plain_scu(host, port, contexts) as association:  # in a thread, as it blocks
        assert association.send_c_echo().Status == 0

Data sets that it receives are kept as the bytes that came. What it sends is written by pydicom,
but for `send_file`.
"""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydicom import dcmread
from pydicom.dataset import Dataset
from pynetdicom import _config, evt
from pynetdicom.ae import ApplicationEntity
from pynetdicom.association import Association
from pynetdicom.dimse_primitives import C_STORE
from pynetdicom.pdu_primitives import SCP_SCU_RoleSelectionNegotiation
from pynetdicom.presentation import PresentationContext, build_context

from tests.support.bad_pacs import Instance
from tests.support.bad_pacs.pdu import PduType

_AET = "PLAIN"
_VERIFICATION, _IMPLICIT = "1.2.840.10008.1.1", "1.2.840.10008.1.2"
_SECONDS = 20.0
_MANY = 100
_HERE = "127.0.0.1"
PENDING, CANCELLED, SUCCESS = 0xFF00, 0xFE00, 0x0000

Handlers = list[tuple[Any, ...]]


@dataclass(kw_only=True)
class PlainScp:
    """A running one.

    Attributes:
        stored: what came by C-STORE, in order.
        cancelled: how many answers had been given when a C-CANCEL was seen, for each.
        pause: seconds before each row. pynetdicom 3.0.4 reads nothing, so no C-CANCEL, while
            it has something to send.
        longest: bytes of the longest P-DATA-TF that came, behind its header.
    """

    port: int = 0
    aet: str = _AET
    stored: list[Instance] = field(default_factory=list)
    cancelled: list[int] = field(default_factory=list)
    longest: int = 0
    has: Sequence[Path] = ()
    rows: Sequence[Dataset] = ()
    pause: float = 0.0
    destinations: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._opened: list[tuple[Association, socket.socket]] = []

    def handlers(self) -> Handlers:
        return [
            (evt.EVT_CONN_OPEN, self._note),
            (evt.EVT_C_ECHO, lambda event: SUCCESS),
            (evt.EVT_C_STORE, self._store),
            (evt.EVT_C_FIND, self._find),
            (evt.EVT_C_GET, self._get),
            (evt.EVT_C_MOVE, self._move),
            (evt.EVT_DATA_RECV, self._measure),
        ]

    def close(self) -> None:
        """Wait for its threads, and close the sockets that it forgets now and then."""
        for association, sock in self._opened:
            association.join(_SECONDS)
            sock.close()

    def _note(self, event: evt.Event) -> None:
        connected = event.assoc.dul.socket
        assert connected is not None
        assert connected.socket is not None
        self._opened.append((event.assoc, connected.socket))

    def _measure(self, event: evt.Event) -> None:
        if event.data[0] == PduType.P_DATA:
            self.longest = max(self.longest, len(event.data) - 6)

    def _store(self, event: evt.Event) -> int:
        self.stored.append(received(event))
        return SUCCESS

    def _find(self, event: evt.Event) -> Iterator[tuple[int, Dataset | None]]:
        for number, row in enumerate(self.rows):
            if event.is_cancelled:
                self.cancelled.append(number)
                yield CANCELLED, None
                return
            time.sleep(self.pause)
            yield PENDING, row

    def _get(self, event: evt.Event) -> Iterator[Any]:
        yield len(self.has)
        yield from self._sub_operations(event)

    def _move(self, event: evt.Event) -> Iterator[Any]:
        port = self.destinations.get(str(event.move_destination))
        yield (None, None) if port is None else (_HERE, port)
        yield len(self.has)
        yield from self._sub_operations(event)

    def _sub_operations(self, event: evt.Event) -> Iterator[tuple[int, Dataset | None]]:
        for number, path in enumerate(self.has):
            if event.is_cancelled:
                self.cancelled.append(number)
                yield CANCELLED, None
                return
            yield PENDING, dcmread(path)


def received(event: evt.Event) -> Instance:
    """What a C-STORE request carries, as it came."""
    request = event.request
    assert isinstance(request, C_STORE)
    assert request.DataSet is not None
    return Instance(
        sop_class=str(request.AffectedSOPClassUID),
        sop_instance=str(request.AffectedSOPInstanceUID),
        transfer_syntax=str(event.context.transfer_syntax),
        data=request.DataSet.getvalue(),
    )


@contextlib.contextmanager
def plain_scp(
    supported: Iterable[tuple[str, str]],
    *,
    max_pdu: int = 16382,
    has: Sequence[Path] = (),
    rows: Sequence[Dataset] = (),
    pause: float = 0.0,
    destinations: dict[str, int] | None = None,
) -> Iterator[PlainScp]:
    """Serve all five services on a free port until the block ends.

    Args:
        supported: abstract and transfer syntaxes, in either role; verification is always there.
        max_pdu: the maximum length that it announces; 0 for none.
        has: files that each C-GET and C-MOVE sends.
        rows: what each C-FIND gives.
        pause: before each row.
        destinations: port of each AE title that C-MOVE may send to, at this machine.
    """
    peer = PlainScp(has=has, rows=rows, pause=pause, destinations=destinations or {})
    ae = _entity(_AET)
    ae.maximum_pdu_size = max_pdu
    ae.maximum_associations = _MANY
    pairs = [(_VERIFICATION, _IMPLICIT), *supported]
    for uid, syntax in pairs:
        ae.add_supported_context(uid, syntax, scu_role=True, scp_role=True)
    ae.requested_contexts = [build_context(*pair) for pair in dict.fromkeys(pairs)][:128]
    server = ae.start_server((_HERE, 0), block=False, evt_handlers=peer.handlers())
    assert server is not None
    peer.port = server.server_address[1]
    try:
        yield peer
    finally:
        ae.shutdown()
        peer.close()


@contextlib.contextmanager
def plain_scu(
    host: str,
    port: int,
    contexts: Sequence[PresentationContext],
    *,
    called: str = "HARMONY",
    calling: str = "CALLER",
    max_pdu: int = 16382,
    items: Sequence[Any] = (),
    handlers: Handlers | None = None,
) -> Iterator[Association]:
    """An association, released at the end of the block if it is still there.

    Args:
        contexts: at most 128.
        max_pdu: the maximum length that it announces; 0 for none.
        items: of the user information.
    """
    association = _entity(calling).associate(
        host,
        port,
        contexts=list(contexts),
        ae_title=called,
        max_pdu=max_pdu,
        ext_neg=list(items),
        evt_handlers=handlers or [],
    )
    association._reactor_checkpoint = _Checkpoint(association)
    try:
        yield association
    finally:
        if association.is_established:
            association.release()
        association.join(_SECONDS)


class _Checkpoint(threading.Event):
    """Where the reactor of an association is held while its caller reads answers itself.

    pynetdicom 3.0.4 looks at a flag that says so shortly before it is so. A reactor that is just
    passing then takes the answer, about once in 10,000 times, and the caller waits in vain.
    """

    def __init__(self, association: Association) -> None:
        super().__init__()
        self.set()
        self._association = association
        self._is_held = False

    def wait(self, timeout: float | None = None) -> bool:
        if not self.is_set():
            self._is_held = True
        return super().wait(timeout)

    def clear(self) -> None:
        self._is_held = False
        super().clear()
        while not self._is_held and self._association.is_alive():
            time.sleep(0.0001)


def as_scp(sop_class: str) -> SCP_SCU_RoleSelectionNegotiation:
    """The caller takes objects of this class in a C-GET. PS3.7 D.3.3.4."""
    role = SCP_SCU_RoleSelectionNegotiation()
    role.sop_class_uid = sop_class
    role.scu_role, role.scp_role = False, True
    return role


def send_files(association: Association, files: Iterable[Path]) -> list[int | None]:
    """C-STORE each, data sets byte for byte as they are in the files; status of each."""
    before, _config.STORE_SEND_CHUNKED_DATASET = _config.STORE_SEND_CHUNKED_DATASET, True
    try:
        return [association.send_c_store(file).get("Status") for file in files]
    finally:
        _config.STORE_SEND_CHUNKED_DATASET = before


def _entity(aet: str) -> ApplicationEntity:
    ae = ApplicationEntity(aet)
    ae.acse_timeout = ae.dimse_timeout = ae.network_timeout = _SECONDS
    ae.connection_timeout = _SECONDS
    return ae
