"""IP addresses and networks, as a configuration writes them."""

from __future__ import annotations

import ipaddress
from typing import TypeAlias

Address: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address

_LOCALHOST = ipaddress.IPv4Address("127.0.0.1")


def parse_address(text: str) -> Address | None:
    """The address, an IPv4 one out of its IPv6 form; None if the text is none."""
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped:
        return address.ipv4_mapped
    return address


def literal_host(host: str) -> Address | None:
    """The address that a host's text itself says; other names than localhost are not resolved."""
    return _LOCALHOST if host.lower() == "localhost" else parse_address(host)


def overlap(a: Address, b: Address) -> bool:
    """Whether two listeners on these addresses and one port are in each other's way."""
    if a == b:
        return True
    for one, other in ((a, b), (b, a)):
        # `::` may take IPv4 connections too, `0.0.0.0` never takes IPv6 ones.
        if one.is_unspecified and (one.version == 6 or other.version == 4):
            return True
    return False


def network_fault(text: str) -> tuple[str, str]:
    """Why the text is neither an address nor a network, and what to write; empty if it is one."""
    shape = "for example `10.1.2.3`, or `10.1.0.0/16` for all that begin with 10.1"
    base, slash, length = text.partition("/")
    address = parse_address(base)
    if address is None:
        return "it is not an IP address", shape
    if "%" in base:
        return "it has a zone", f"write `{base.partition('%')[0]}{slash}{length}`"
    try:
        network = ipaddress.ip_network(text, strict=False)
    except ValueError:
        longest = ipaddress.ip_address(base).max_prefixlen
        return f"after `/` comes a number up to {longest}", shape
    if network.network_address != ipaddress.ip_address(base):
        return (
            f"it has bits beyond the first {network.prefixlen}",
            f"write `{network}` for the network, or `{base}` for the one address",
        )
    return "", ""


def shown_place(address: Address, port: int) -> str:
    """``address:port``, with brackets where an address has colons of its own."""
    return f"[{address}]:{port}" if address.version == 6 else f"{address}:{port}"
