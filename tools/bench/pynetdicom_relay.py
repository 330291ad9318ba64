"""A relay as one writes it with pynetdicom: each C-STORE is sent on before it is answered.

    python -m tools.bench.pynetdicom_relay PORT TO {kept,nodelay,each}

``kept`` keeps one association to the next SCP for each of the caller's; ``each`` opens one for
every object. Both leave pynetdicom as it is installed, with Nagle's algorithm on. ``nodelay`` is
``kept`` without it, which takes knowing that pynetdicom hands out its sockets.
"""

from __future__ import annotations

import socket
import sys
from typing import Literal, TypeAlias, get_args

from pynetdicom import AE, AllStoragePresentationContexts, evt
from pynetdicom.association import Association
from pynetdicom.sop_class import CTImageStorage

_HOST = "127.0.0.1"
_OUT_OF_RESOURCES = 0xA700

Way: TypeAlias = Literal["kept", "nodelay", "each"]


class Relay:
    """Handlers of the accepting side."""

    def __init__(self, to: int, way: Way) -> None:
        self._to = to
        self._keep = way != "each"
        self.handlers: list[evt.EventHandlerType] = (
            [(evt.EVT_CONN_OPEN, send_at_once)] if way == "nodelay" else []
        )
        self._kept: dict[Association, Association] = {}

    def store(self, event: evt.Event) -> int:
        """Pass an object on; the answer is what the next SCP said."""
        association = self._kept.get(event.assoc) or self._associate()
        if not association.is_established:
            return _OUT_OF_RESOURCES
        if self._keep:
            self._kept[event.assoc] = association
        dataset = event.dataset
        dataset.file_meta = event.file_meta
        status = association.send_c_store(dataset)
        if not self._keep:
            association.release()
        return int(status.Status) if "Status" in status else _OUT_OF_RESOURCES

    def end(self, event: evt.Event) -> None:
        """The caller has released or aborted."""
        if association := self._kept.pop(event.assoc, None):
            association.release()

    def _associate(self) -> Association:
        ae = AE("RELAY")
        ae.add_requested_context(CTImageStorage, "1.2.840.10008.1.2.1")
        return ae.associate(_HOST, self._to, ae_title="STORESCP", evt_handlers=self.handlers)


def send_at_once(event: evt.Event) -> None:
    """Switch Nagle's algorithm off."""
    wrapper = event.assoc.dul.socket
    assert wrapper is not None
    assert wrapper.socket is not None
    wrapper.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def main(arguments: list[str]) -> None:
    """Relay until the process is ended."""
    port, to, named = arguments
    ways: dict[str, Way] = {way: way for way in get_args(Way)}
    relay = Relay(int(to), ways[named])
    ae = AE("RELAY")
    ae.supported_contexts = AllStoragePresentationContexts
    ae.start_server(
        (_HOST, int(port)),
        evt_handlers=[
            (evt.EVT_C_STORE, relay.store),
            (evt.EVT_RELEASED, relay.end),
            (evt.EVT_ABORTED, relay.end),
            *relay.handlers,
        ],
    )


if __name__ == "__main__":
    main(sys.argv[1:])
