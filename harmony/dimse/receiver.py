"""The listener that a PACS sends to when Harmony retrieves by C-MOVE, and what the PACS must know.

A C-MOVE-RQ names its destination by AE title alone. Host and port to that title are an entry
in the PACS, made by hand: the one thing that most often is missing. `entry` words it.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import TypeAlias

import trio

from harmony.dimse.arrivals import Arrivals
from harmony.dimse.target import Target
from harmony.tls.contexts import ServerTls


@dataclass(frozen=True, slots=True, kw_only=True)
class Receiver:
    """``receiver`` of a ``dicom`` backend: a listener of its own; meanings in the schema."""

    local_aet: str
    bind_addr: str = "127.0.0.1"
    port: int = 11112
    tls: ServerTls | None = None


# Serves a receiver until the block is left, and gives the port that it listens on.
ServeReceiver: TypeAlias = Callable[[Receiver, Arrivals], AbstractAsyncContextManager[int]]


async def entry(arrivals: Arrivals, target: Target) -> str:
    """What to do at the PACS so that it finds the receiver.

    Args:
        arrivals: the receiver's, with its address if it listens.
        target: the PACS.
    """
    add = f"add AE title {arrivals.aet}"
    if arrivals.address is None:
        return f"{add} with the host and port of this receiver to the PACS"
    bound, port = arrivals.address
    seen = await address_towards(target.host, target.port)
    host = bound if not _is_wildcard(bound) else seen or "of this machine"
    text = f"{add}, host {host}, port {port} to the PACS"
    if _is_loopback(bound) and seen is not None and not _is_loopback(seen):
        text += f"; and set `bind_addr` of the receiver: at {bound} only this machine reaches it"
    return text


async def address_towards(host: str, port: int) -> str | None:
    """Our own address on the way to a host; None if there is no way. Sends nothing."""
    with trio.move_on_after(1.0):
        try:
            found = await trio.socket.getaddrinfo(host, port, type=trio.socket.SOCK_DGRAM)
            for family, kind, protocol, _, address in found:
                with trio.socket.socket(family, kind, protocol) as sock:
                    await sock.connect(address)
                    return str(sock.getsockname()[0])
        except OSError:
            return None
    return None


def _is_wildcard(address: str) -> bool:
    try:
        return ipaddress.ip_address(address).is_unspecified
    except ValueError:
        return False


def _is_loopback(address: str) -> bool:
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return address == "localhost"
