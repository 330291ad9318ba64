"""Which presentation contexts and roles a caller gets."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harmony.dicom.uids import (
    DEFLATED,
    EXPLICIT_BIG_ENDIAN,
    EXPLICIT_LITTLE_ENDIAN,
    IMPLICIT_LITTLE_ENDIAN,
)
from harmony.dimse.contexts import FIND, GET, MOVE, VERIFICATION
from harmony.dimse.link import AssociationRequest, ContextResult, Proposal, Role
from harmony.dimse.negotiation import APPLICATION_CONTEXT, Offer, negotiate, service_of
from harmony.dimse.storage import known_transfer_syntaxes
from harmony.envelope import Operation, Root

CT = "1.2.840.10008.5.1.4.1.1.2"
MR = "1.2.840.10008.5.1.4.1.1.4"
PRIVATE = "1.2.3.4.5"
WORKLIST = "1.2.840.10008.5.1.4.31"
STORAGE_COMMITMENT, PROCEDURE_STEP = "1.2.840.10008.1.20.1", "1.2.840.10008.3.1.2.3.3"
JPEG = "1.2.840.10008.1.2.4.50"
RLE = "1.2.840.10008.1.2.5"
ALL = frozenset((Operation.ECHO, Operation.FIND, Operation.GET, Operation.MOVE, Operation.STORE))
NO_CLASS = ContextResult.ABSTRACT_SYNTAX_NOT_SUPPORTED
NO_SYNTAX = ContextResult.TRANSFER_SYNTAXES_NOT_SUPPORTED


def offer(operations=ALL, *, classes=(CT, MR), any_class=False):
    return Offer(
        operations=frozenset(operations),
        storage_classes=frozenset(classes),
        any_class=any_class,
        transfer_syntaxes=known_transfer_syntaxes(),
    )


def asked(*proposals, roles=None):
    return AssociationRequest(
        calling_aet="CALLER",
        called_aet="HARMONY",
        address="127.0.0.1",
        application_context=APPLICATION_CONTEXT,
        contexts={2 * n + 1: Proposal(uid, tuple(s)) for n, (uid, s) in enumerate(proposals)},
        roles=roles or {},
    )


def one(abstract_syntax, *syntaxes, roles=None, **how):
    """What became of a single context: its transfer syntax, or why not."""
    acceptance = negotiate(asked((abstract_syntax, syntaxes), roles=roles), offer(**how))
    if acceptance.contexts:
        return acceptance.contexts[1].transfer_syntax
    return acceptance.refused[1]


SERVICES = {
    VERIFICATION: (Operation.ECHO, None),
    **{uid: (Operation.FIND, root) for root, uid in FIND.items()},
    **{uid: (Operation.GET, root) for root, uid in GET.items()},
    **{uid: (Operation.MOVE, root) for root, uid in MOVE.items()},
    CT: (Operation.STORE, None),
    PRIVATE: (Operation.STORE, None),
}


@pytest.mark.parametrize(("uid", "service"), SERVICES.items())
def test_a_class_is_for_one_service(uid, service):
    assert service_of(uid) == service


@pytest.mark.parametrize("uid", [uid for uid in SERVICES if uid != PRIVATE])
@pytest.mark.parametrize("operation", sorted(ALL))
def test_a_class_is_accepted_exactly_if_its_service_is_offered(uid, operation):
    wanted, _ = SERVICES[uid]
    answer = one(uid, EXPLICIT_LITTLE_ENDIAN, operations={operation})
    assert answer == (EXPLICIT_LITTLE_ENDIAN if wanted is operation else NO_CLASS)


@pytest.mark.parametrize(
    ("proposed", "taken"),
    [
        ((IMPLICIT_LITTLE_ENDIAN,), IMPLICIT_LITTLE_ENDIAN),
        ((IMPLICIT_LITTLE_ENDIAN, EXPLICIT_LITTLE_ENDIAN), EXPLICIT_LITTLE_ENDIAN),
        ((EXPLICIT_BIG_ENDIAN, IMPLICIT_LITTLE_ENDIAN), IMPLICIT_LITTLE_ENDIAN),
        ((EXPLICIT_BIG_ENDIAN,), EXPLICIT_BIG_ENDIAN),
        ((JPEG,), NO_SYNTAX),
        (("1.2.840.10008.1.2.1.99",), NO_SYNTAX),
        ((), NO_SYNTAX),
    ],
)
def test_identifiers_come_in_a_syntax_that_is_read_here(proposed, taken):
    assert one(FIND[Root.STUDY], *proposed) == taken


@pytest.mark.parametrize(
    ("proposed", "taken"),
    [
        ((JPEG, EXPLICIT_LITTLE_ENDIAN), JPEG),
        ((EXPLICIT_LITTLE_ENDIAN, JPEG), EXPLICIT_LITTLE_ENDIAN),
        (("1.2.3.4", RLE), RLE),
        (("1.2.3.4",), NO_SYNTAX),
        ((), NO_SYNTAX),
        *(((uid, JPEG), JPEG) for uid in DEFLATED),
        *(((uid,), NO_SYNTAX) for uid in DEFLATED),
    ],
)
def test_instances_come_in_the_first_syntax_that_is_known_and_never_deflated(proposed, taken):
    assert one(CT, *proposed) == taken


def test_a_class_that_is_not_known_is_taken_by_option_only():
    assert one(PRIVATE, EXPLICIT_LITTLE_ENDIAN) is NO_CLASS
    assert one(PRIVATE, EXPLICIT_LITTLE_ENDIAN, any_class=True) == EXPLICIT_LITTLE_ENDIAN


@pytest.mark.parametrize("uid", [WORKLIST, STORAGE_COMMITMENT, PROCEDURE_STEP])
def test_another_service_is_no_storage_class_whatever_the_option(uid):
    assert one(uid, EXPLICIT_LITTLE_ENDIAN, any_class=True) is NO_CLASS


@pytest.mark.parametrize("uid", ["", "garbage", "1.2.3\n", "1." + "2" * 64])
def test_what_is_no_uid_is_never_a_class(uid):
    assert one(uid, EXPLICIT_LITTLE_ENDIAN, any_class=True) is NO_CLASS


BOTH, SCU, SCP, NEITHER = Role(True, True), Role(True, False), Role(False, True), Role(False, False)
STORE, RETRIEVE = frozenset({Operation.STORE}), frozenset({Operation.GET})


@pytest.mark.parametrize(
    ("operations", "proposed", "granted"),
    [
        # nothing proposed: the default role, and nothing said of it
        (STORE, None, "accepted"),
        (RETRIEVE, None, NO_CLASS),
        (STORE | RETRIEVE, None, "accepted"),
        # each role for what it is good for
        (STORE, SCU, SCU),
        (STORE, SCP, NO_CLASS),
        (STORE, BOTH, SCU),
        (STORE, NEITHER, NO_CLASS),
        (RETRIEVE, SCU, NO_CLASS),
        (RETRIEVE, SCP, SCP),
        (RETRIEVE, BOTH, SCP),
        (RETRIEVE, NEITHER, NO_CLASS),
        (STORE | RETRIEVE, SCU, SCU),
        (STORE | RETRIEVE, SCP, SCP),
        (STORE | RETRIEVE, BOTH, BOTH),
        (STORE | RETRIEVE, NEITHER, NO_CLASS),
    ],
)
def test_roles_of_a_storage_class(operations, proposed, granted):
    roles = {} if proposed is None else {CT: proposed}
    acceptance = negotiate(asked((CT, [EXPLICIT_LITTLE_ENDIAN]), roles=roles), offer(operations))
    if granted is NO_CLASS:
        assert acceptance.refused == {1: NO_CLASS}
        assert not acceptance.roles
    else:
        assert set(acceptance.contexts) == {1}
        assert acceptance.roles == ({} if granted == "accepted" else {CT: granted})


def test_a_role_is_not_granted_for_a_class_of_which_no_context_is_accepted():
    acceptance = negotiate(asked((CT, ["1.2.3.4"]), roles={CT: BOTH}), offer())
    assert acceptance.refused == {1: NO_SYNTAX}
    assert not acceptance.roles


def test_roles_of_other_services_are_passed_over():
    uid = FIND[Root.STUDY]
    acceptance = negotiate(asked((uid, [EXPLICIT_LITTLE_ENDIAN]), roles={uid: SCP}), offer())
    assert set(acceptance.contexts) == {1}
    assert not acceptance.roles


abstract_syntaxes = st.sampled_from([*SERVICES, WORKLIST, "", "no uid"])
syntax_lists = st.lists(st.sampled_from([*sorted(known_transfer_syntaxes()), "1.2.3", "", "x"]))
role_choices = st.sampled_from([BOTH, SCU, SCP, NEITHER])


@given(
    proposals=st.lists(st.tuples(abstract_syntaxes, syntax_lists), max_size=128),
    roles=st.dictionaries(abstract_syntaxes, role_choices),
    operations=st.frozensets(st.sampled_from(sorted(ALL))),
    any_class=st.booleans(),
)
def test_nothing_is_granted_that_was_not_proposed(proposals, roles, operations, any_class):
    request = asked(*proposals, roles=roles)
    acceptance = negotiate(request, offer(operations, any_class=any_class))
    assert set(acceptance.contexts) | set(acceptance.refused) == set(request.contexts)
    assert not set(acceptance.contexts) & set(acceptance.refused)
    for number, context in acceptance.contexts.items():
        proposal = request.contexts[number]
        assert context.id == number
        assert context.abstract_syntax == proposal.abstract_syntax
        assert context.transfer_syntax in proposal.transfer_syntaxes
        assert context.transfer_syntax not in DEFLATED
    for uid, role in acceptance.roles.items():
        assert role.scu <= roles[uid].scu
        assert role.scp <= roles[uid].scp
        assert role.scu or role.scp
    assert ContextResult.ACCEPTED not in acceptance.refused.values()
