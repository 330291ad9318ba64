"""A `dicom` endpoint before it serves: its claims, and what callers may have contexts for."""

from __future__ import annotations

from pathlib import Path

import pytest

from harmony.config.model import Peer
from harmony.dimse.arrivals import Arrivals
from harmony.dimse.contexts import FIND, GET, MOVE, VERIFICATION
from harmony.dimse.link import Acceptance, AssociationRequest, Proposal, Rejection
from harmony.dimse.negotiation import APPLICATION_CONTEXT
from harmony.endpoints.dicom import DicomEndpoint, Options
from harmony.envelope import Operation
from harmony.interfaces import PortClaim
from tests.support import engines
from tests.support.gateway import Summaries

CT = "1.2.840.10008.5.1.4.1.1.2"
PRIVATE = "1.2.3.4.5"
EXPLICIT = "1.2.840.10008.1.2.1"
CLASSES = (VERIFICATION, *FIND.values(), *GET.values(), *MOVE.values(), CT, PRIVATE)
ALL = frozenset(set(Operation) - {Operation.HTTP})


def endpoint(operations=ALL, peers=(), **options):
    return DicomEndpoint(
        "pacs",
        Options(local_aet="HARMONY", peers=tuple(peer.name for peer in peers), **options),
        pipeline="test",
        hosts=("127.0.0.1", "::1"),
        folder=Path(),
        operations=frozenset(operations),
        peers={peer.name: peer for peer in peers},
        destinations={},
        arrivals=Arrivals("HARMONY"),
        observer=Summaries(),
        accept_link=engines.accept_link(),
    )


def accepted(of, address="127.0.0.1"):
    """Abstract syntaxes that a caller of everything gets a context for."""
    request = AssociationRequest(
        calling_aet="CALLER",
        called_aet="HARMONY",
        address=address,
        application_context=APPLICATION_CONTEXT,
        contexts={2 * n + 1: Proposal(uid, (EXPLICIT,)) for n, uid in enumerate(CLASSES)},
        roles={},
    )
    decision = of.decide(request)
    if isinstance(decision, Rejection):
        return decision
    assert isinstance(decision, Acceptance)
    return {context.abstract_syntax for context in decision.contexts.values()}


@pytest.mark.parametrize(
    ("options", "claims"),
    [
        ({}, [PortClaim("127.0.0.1", 11112), PortClaim("::1", 11112)]),
        ({"port": 104}, [PortClaim("127.0.0.1", 104), PortClaim("::1", 104)]),
        ({"bind_addr": "0.0.0.0"}, [PortClaim("0.0.0.0", 11112)]),
    ],
)
def test_it_claims_a_port_on_each_address(options, claims):
    assert list(endpoint(**options).claims()) == claims


QUERIES, RETRIEVES = {*FIND.values()}, {*GET.values(), *MOVE.values()}


@pytest.mark.parametrize(
    ("operations", "classes"),
    [
        (ALL, {VERIFICATION, CT} | QUERIES | RETRIEVES),
        ({Operation.ECHO}, {VERIFICATION}),
        ({Operation.FIND}, QUERIES),
        ({Operation.STORE}, {CT}),
        # a C-MOVE is a GET of the backend and a STORE elsewhere: what the backend moves
        # by itself does not go where our callers may send to
        ({Operation.GET}, RETRIEVES),
        ({Operation.MOVE}, set()),
        ({Operation.HTTP}, set()),
    ],
)
def test_a_caller_gets_contexts_for_what_the_pipeline_can_do(operations, classes):
    assert accepted(endpoint(operations)) == classes


def test_storage_classes_may_be_narrowed_or_opened():
    assert CT not in accepted(endpoint(storage_classes=("1.2.840.10008.5.1.4.1.1.4",)))
    assert PRIVATE not in accepted(endpoint())
    assert PRIVATE in accepted(endpoint(accept_unknown_storage_classes=True))


def test_peers_of_the_endpoint_count_and_no_others():
    peer = Peer(name="near", addresses=("10.0.0.0/8",))
    assert accepted(endpoint(peers=[peer]), "10.1.1.1")
    assert isinstance(accepted(endpoint(peers=[peer])), Rejection)
    assert isinstance(accepted(endpoint(), "10.1.1.1"), Rejection)
