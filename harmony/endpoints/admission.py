"""Which callers a ``dicom`` endpoint admits, and what for: a pure decision. PS3.8 9.3.4.

An AE title alone proves nothing, so without ``[peers]`` just callers of this machine are
admitted.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass

from harmony.config.model import Peer
from harmony.dimse.link import AssociationRequest, Rejection
from harmony.dimse.negotiation import APPLICATION_CONTEXT
from harmony.envelope import Operation

UNKNOWN_CALLER = Rejection(1, 1, 3, "unknown-caller")  # calling AE title not recognised
UNKNOWN_CALLED = Rejection(1, 1, 7, "wrong-called-aet")  # called AE title not recognised
NO_APPLICATION_CONTEXT = Rejection(1, 1, 2, "application-context")

_EVERYTHING = frozenset(set(Operation) - {Operation.HTTP})


@dataclass(frozen=True, slots=True, kw_only=True)
class Admitted:
    """A caller that may have an association.

    Attributes:
        peer: its name in ``[peers]``; None for a caller of this machine.
        operations: what it may ask for.
        move_destinations: names of the backends that its C-MOVE may send to; None for those of
            the endpoint.
    """

    peer: str | None
    operations: frozenset[Operation]
    move_destinations: tuple[str, ...] | None = None


class Admission:
    """The rules of one endpoint.

    Args:
        local_aet: by which it is called.
        any_called: whether it may be called by any other AE title, too.
        peers: its peers; empty to admit callers of this machine.
    """

    def __init__(self, local_aet: str, *, any_called: bool, peers: Sequence[Peer]) -> None:
        self._local_aet = local_aet.strip()
        self._any_called = any_called
        self._peers = tuple(_Known(peer) for peer in peers)

    def judge(self, request: AssociationRequest) -> Admitted | Rejection:
        """Admit a caller, or say why not. The first peer whose conditions all hold counts."""
        if request.application_context != APPLICATION_CONTEXT:
            return NO_APPLICATION_CONTEXT
        address = _address(request.address)
        if not self._peers:
            if not address.is_loopback:
                return UNKNOWN_CALLER
            if not self._is_called(request.called_aet, ()):
                return UNKNOWN_CALLED
            return Admitted(peer=None, operations=_EVERYTHING)
        callers = [known for known in self._peers if known.is_caller(request.calling_aet, address)]
        if not callers:
            return UNKNOWN_CALLER
        for known in callers:
            if self._is_called(request.called_aet, known.peer.called_ae_titles):
                return known.admitted
        return UNKNOWN_CALLED

    def _is_called(self, title: str, allowed: Sequence[str]) -> bool:
        if allowed:
            return title in (each.strip() for each in allowed)
        return self._any_called or title == self._local_aet


class _Known:
    """One peer, its conditions ready to be looked at."""

    def __init__(self, peer: Peer) -> None:
        self.peer = peer
        self._titles = frozenset(title.strip() for title in peer.ae_titles)
        self._networks = tuple(ipaddress.ip_network(text) for text in peer.addresses)
        self.admitted = Admitted(
            peer=peer.name,
            operations=frozenset(Operation(word) for word in peer.allow),
            move_destinations=peer.move_destinations,
        )

    def is_caller(self, title: str, address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
        if self._titles and title not in self._titles:
            return False
        return not self._networks or any(address in network for network in self._networks)


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    address = ipaddress.ip_address(text.partition("%")[0])  # without the zone of fe80::1%eth0
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped:
        return address.ipv4_mapped
    return address
