"""How a caller's presentation contexts are answered: a pure decision. PS3.8 7.1.1, PS3.7 D.3.3."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from harmony.dicom.uids import (
    DEFLATED,
    EXPLICIT_BIG_ENDIAN,
    EXPLICIT_LITTLE_ENDIAN,
    IMPLICIT_LITTLE_ENDIAN,
    is_uid,
)
from harmony.dimse.contexts import MODELS, VERIFICATION
from harmony.dimse.link import (
    Acceptance,
    AssociationRequest,
    Context,
    ContextResult,
    Proposal,
    Role,
)
from harmony.dimse.storage import other_services
from harmony.envelope import Operation, Root

APPLICATION_CONTEXT: Final = "1.2.840.10008.3.1.1.1"  # PS3.7 annex A
DEFAULT_ROLE: Final = Role(scu=True, scp=False)

_IDENTIFIER_SYNTAXES = (EXPLICIT_LITTLE_ENDIAN, IMPLICIT_LITTLE_ENDIAN, EXPLICIT_BIG_ENDIAN)
_SERVICES: Mapping[str, tuple[Operation, Root | None]] = MappingProxyType(
    {
        VERIFICATION: (Operation.ECHO, None),
        **{
            uid: (operation, root)
            for operation, models in MODELS.items()
            for root, uid in models.items()
        },
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """What is served to a caller.

    Attributes:
        operations: which it may ask for.
        storage_classes: SOP classes taken by C-STORE and sent in a C-GET.
        any_class: take every other abstract syntax as a storage class too, unless the standard
            says that it is of another service.
        transfer_syntaxes: in which instances may be encoded.
    """

    operations: frozenset[Operation]
    storage_classes: frozenset[str]
    any_class: bool
    transfer_syntaxes: frozenset[str]


def service_of(abstract_syntax: str) -> tuple[Operation, Root | None]:
    """What a presentation context is for; whatever is no service of its own is storage."""
    return _SERVICES.get(abstract_syntax, (Operation.STORE, None))


def negotiate(request: AssociationRequest, offer: Offer) -> Acceptance:
    """Accept each context that can be served, in a transfer syntax as it was proposed.

    Nothing is decoded on the way, so every known transfer syntax of an instance is as good as
    any other, and the caller's first choice counts.
    """
    accepted: dict[int, Context] = {}
    refused: dict[int, ContextResult] = {}
    roles: dict[str, Role] = {}
    for number, proposal in request.contexts.items():
        abstract = proposal.abstract_syntax
        operation, _ = service_of(abstract)
        if operation is Operation.STORE:
            role = _storage_role(abstract, request.roles.get(abstract), offer)
            served = role is not None
            syntax = _first(proposal, offer.transfer_syntaxes - DEFLATED)
        else:
            role = None
            served = operation in offer.operations
            syntax = _preferred(proposal)
        if not served:
            refused[number] = ContextResult.ABSTRACT_SYNTAX_NOT_SUPPORTED
        elif syntax is None:
            refused[number] = ContextResult.TRANSFER_SYNTAXES_NOT_SUPPORTED
        else:
            accepted[number] = Context(number, abstract, syntax)
            if role is not None and abstract in request.roles:
                roles[abstract] = role
    return Acceptance(contexts=accepted, refused=refused, roles=roles)


def _storage_role(abstract_syntax: str, proposed: Role | None, offer: Offer) -> Role | None:
    """The roles that the caller gets for a storage class; None if there is no use for it.

    Nothing is granted that was not proposed. PS3.7 table D.3-10.
    """
    if abstract_syntax not in offer.storage_classes and not (
        offer.any_class and is_uid(abstract_syntax) and abstract_syntax not in other_services()
    ):
        return None
    proposed = proposed or DEFAULT_ROLE
    role = Role(
        scu=proposed.scu and Operation.STORE in offer.operations,
        scp=proposed.scp and Operation.GET in offer.operations,
    )
    return role if role.scu or role.scp else None


def _first(proposal: Proposal, known: frozenset[str]) -> str | None:
    return next((syntax for syntax in proposal.transfer_syntaxes if syntax in known), None)


def _preferred(proposal: Proposal) -> str | None:
    proposed = proposal.transfer_syntaxes
    return next((syntax for syntax in _IDENTIFIER_SYNTAXES if syntax in proposed), None)
