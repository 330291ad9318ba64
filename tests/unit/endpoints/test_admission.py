"""Who is let in, and what for."""

from __future__ import annotations

import pytest

from harmony.config.model import Peer
from harmony.dimse.link import AssociationRequest, Rejection
from harmony.dimse.negotiation import APPLICATION_CONTEXT
from harmony.endpoints.admission import Admission, Admitted
from harmony.envelope import Operation

EVERYTHING = frozenset(set(Operation) - {Operation.HTTP})
CT = Peer(name="ct", ae_titles=("CT1", "CT2"), addresses=("10.1.0.0/16",), allow=("store",))
VIEWER = Peer(name="viewer", addresses=("10.2.0.7", "fd00::/8"), allow=("find", "get"))
BY_TITLE = Peer(name="by-title", ae_titles=("SOMEBODY",))
OTHER_NAME = Peer(name="other-name", ae_titles=("OLD",), called_ae_titles=("ARCHIVE", "OLDNAME"))
MOVER = Peer(name="mover", ae_titles=("MOVER",), move_destinations=("ws1",))
ANYBODY = Peer(name="anybody", addresses=("192.168.0.0/24",))
PEERS = (CT, VIEWER, BY_TITLE, OTHER_NAME, MOVER, ANYBODY)


def asked(calling="CT1", address="10.1.2.3", called="HARMONY", context=APPLICATION_CONTEXT):
    return AssociationRequest(
        calling_aet=calling,
        called_aet=called,
        address=address,
        application_context=context,
        contexts={},
        roles={},
    )


def judged(request, peers=PEERS, *, any_called=False):
    """The peer's name, or result, source and reason of the rejection."""
    answer = Admission("HARMONY", any_called=any_called, peers=peers).judge(request)
    if isinstance(answer, Rejection):
        return answer.result, answer.source, answer.reason
    assert isinstance(answer, Admitted)
    return answer.peer


@pytest.mark.parametrize(
    ("calling", "address", "answer"),
    [
        ("CT1", "10.1.2.3", "ct"),
        ("CT2", "10.1.255.255", "ct"),
        ("CT1", "10.3.0.1", (1, 1, 3)),  # the title alone proves nothing
        ("CT3", "10.1.2.3", (1, 1, 3)),
        ("ct1", "10.1.2.3", (1, 1, 3)),  # titles have a case
        ("CT1", "127.0.0.1", (1, 1, 3)),  # with peers, loopback is nobody
        ("CT1", "::ffff:10.1.2.3", "ct"),  # IPv4 on a socket of IPv6
        ("WHOEVER", "10.2.0.7", "viewer"),
        ("WHOEVER", "10.2.0.8", (1, 1, 3)),
        ("WHOEVER", "fd12::1", "viewer"),
        ("WHOEVER", "fe80::1%eth0", (1, 1, 3)),
        ("SOMEBODY", "8.8.8.8", "by-title"),
        ("", "192.168.0.9", "anybody"),
        ("CT1", "192.168.0.9", "anybody"),  # the first whose conditions all hold
    ],
)
def test_a_caller_is_known_by_title_and_address(calling, address, answer):
    assert judged(asked(calling, address)) == answer


@pytest.mark.parametrize(
    ("calling", "called", "any_called", "answer"),
    [
        ("SOMEBODY", "HARMONY", False, "by-title"),
        ("SOMEBODY", "OTHER", False, (1, 1, 7)),
        ("SOMEBODY", "harmony", False, (1, 1, 7)),
        ("SOMEBODY", "", False, (1, 1, 7)),
        ("SOMEBODY", "OTHER", True, "by-title"),
        ("OLD", "ARCHIVE", False, "other-name"),
        ("OLD", "OLDNAME", False, "other-name"),
        ("OLD", "HARMONY", False, (1, 1, 7)),  # what a peer says of it holds alone
        ("OLD", "HARMONY", True, (1, 1, 7)),
    ],
)
def test_a_caller_must_call_by_the_right_title(calling, called, any_called, answer):
    request = asked(calling, "8.8.8.8", called)
    assert judged(request, any_called=any_called) == answer


@pytest.mark.parametrize(
    ("address", "answer"),
    [
        ("127.0.0.1", None),
        ("127.9.9.9", None),
        ("::1", None),
        ("::ffff:127.0.0.1", None),
        ("10.0.0.1", (1, 1, 3)),
        ("::ffff:10.0.0.1", (1, 1, 3)),
        ("fe80::1%lo", (1, 1, 3)),
        ("2001:db8::1", (1, 1, 3)),
    ],
)
def test_without_peers_only_this_machine_is_let_in(address, answer):
    assert judged(asked(address=address), ()) == answer


@pytest.mark.parametrize(
    ("called", "any_called", "answer"),
    [("HARMONY", False, None), ("OTHER", False, (1, 1, 7)), ("OTHER", True, None)],
)
def test_without_peers_the_called_title_counts_too(called, any_called, answer):
    request = asked(address="127.0.0.1", called=called)
    assert judged(request, (), any_called=any_called) == answer


@pytest.mark.parametrize("context", ["", "1.2.3", APPLICATION_CONTEXT + ".1"])
@pytest.mark.parametrize("peers", [(), PEERS])
def test_another_application_context_comes_first(context, peers):
    assert judged(asked("NOBODY", "8.8.8.8", "WRONG", context), peers) == (1, 1, 2)


@pytest.mark.parametrize(
    ("calling", "address", "operations", "destinations"),
    [
        ("CT1", "10.1.2.3", {Operation.STORE}, None),
        ("ANY", "10.2.0.7", {Operation.FIND, Operation.GET}, None),
        ("SOMEBODY", "8.8.8.8", EVERYTHING, None),
        ("MOVER", "8.8.8.8", EVERYTHING, ("ws1",)),
    ],
)
def test_a_peer_may_ask_for_what_it_is_allowed(calling, address, operations, destinations):
    answer = Admission("HARMONY", any_called=False, peers=PEERS).judge(asked(calling, address))
    assert isinstance(answer, Admitted)
    assert answer.operations == operations
    assert answer.move_destinations == destinations


def test_this_machine_may_ask_for_everything():
    answer = Admission("HARMONY", any_called=False, peers=()).judge(asked(address="127.0.0.1"))
    assert isinstance(answer, Admitted)
    assert answer.operations == EVERYTHING
    assert answer.move_destinations is None


def test_padding_of_a_title_in_the_file_does_not_matter():
    padded = Peer(name="padded", ae_titles=(" CT1 ",), called_ae_titles=("HARMONY ",))
    assert judged(asked(), (padded,)) == "padded"
    assert judged(asked(address="::1"), ()) is None
