"""Whom to call, as whom, and with what patience."""

from __future__ import annotations

import ssl
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeouts:
    """Seconds that each phase may take; every wait for a peer is bounded by one of them.

    Attributes:
        lookup_seconds: name lookup.
        connect_seconds: TCP connect, all addresses of the host together.
        tls_seconds: TLS handshake.
        associate_seconds: answer to the A-ASSOCIATE-RQ.
        echo_seconds: answer to a C-ECHO.
        find_first_seconds: first answer to a C-FIND.
        find_next_seconds: between two answers to a C-FIND.
        move_seconds: between two answers to a C-MOVE.
        get_seconds: between two sub-operations or answers of a C-GET.
        store_seconds: answer to a C-STORE after its last byte.
        send_seconds: any send that makes no progress.
        pdu_seconds: one PDU, first to last byte.
        cancel_seconds: final answer after a C-CANCEL.
        release_seconds: answer to an A-RELEASE-RQ.
    """

    lookup_seconds: float = 3.0
    connect_seconds: float = 5.0
    tls_seconds: float = 10.0
    associate_seconds: float = 10.0
    echo_seconds: float = 5.0
    find_first_seconds: float = 30.0
    find_next_seconds: float = 15.0
    move_seconds: float = 60.0
    get_seconds: float = 30.0
    store_seconds: float = 60.0
    send_seconds: float = 20.0
    pdu_seconds: float = 15.0
    cancel_seconds: float = 2.0
    release_seconds: float = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """One PACS and how we speak to it.

    Attributes:
        aet: called AE title, the peer's.
        local_aet: calling AE title, ours.
        tls: context for TLS, or None for plain TCP.
        server_name: what the peer's certificate must be for; None for `host`.
        maximum_pdu: bytes of P-DATA we announce and accept (PS3.8 D.1).
        max_object_bytes: most bytes of one data set received.
    """

    aet: str
    host: str
    port: int
    local_aet: str
    tls: ssl.SSLContext | None = None
    server_name: str | None = None
    maximum_pdu: int = 131072
    max_object_bytes: int = 4 * 1024**3
    timeouts: Timeouts = field(default_factory=Timeouts)

    def __str__(self) -> str:
        return f"{self.aet}@{self.host}:{self.port}"
