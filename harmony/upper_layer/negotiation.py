"""What both sides of an association agree on. PS3.8 7.1.1, PS3.7 D.3.3.

Which contexts are worth proposing or accepting is for the user to decide; here is what follows
from it.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass

from harmony.upper_layer.pdus import (
    AnsweredContext,
    AssociateAccept,
    AssociateRequest,
)
from harmony.upper_layer.user_information import UserInformation

_IMPLICIT_LITTLE_ENDIAN = "1.2.840.10008.1.2"


class ContextResult(enum.IntEnum):
    """What became of a proposed presentation context. PS3.8 table 9-18."""

    ACCEPTED = 0
    USER_REJECTION = 1
    NO_REASON = 2
    ABSTRACT_SYNTAX_NOT_SUPPORTED = 3
    TRANSFER_SYNTAXES_NOT_SUPPORTED = 4


@dataclass(frozen=True, slots=True)
class Context:
    """A presentation context that was accepted."""

    id: int
    abstract_syntax: str
    transfer_syntax: str


def agreed(request: AssociateRequest, accept: AssociateAccept) -> dict[int, Context]:
    """The contexts that can be used, by ID.

    What was not proposed, or was answered in a transfer syntax that was not, is left out: the
    requestor could not read what came in it.
    """
    answers = {answer.id: answer for answer in accept.contexts}
    contexts: dict[int, Context] = {}
    for proposed in request.contexts:
        answer = answers.get(proposed.id)
        if answer is None or answer.result != ContextResult.ACCEPTED:
            continue
        if answer.transfer_syntax in proposed.transfer_syntaxes:
            contexts[proposed.id] = Context(
                proposed.id, proposed.abstract_syntax, answer.transfer_syntax
            )
    return contexts


def answer(
    request: AssociateRequest,
    *,
    accepted: Mapping[int, Context],
    refused: Mapping[int, ContextResult],
    user: UserInformation,
) -> AssociateAccept:
    """The A-ASSOCIATE-AC for a decision. PS3.8 9.3.3.

    Every proposed context is answered once, in the order of the request; the titles go back as
    they came.

    Args:
        accepted: by ID.
        refused: the others, each with its reason.
        user: what the acceptor tells of itself, with the roles that it grants, and none that
            was not proposed (PS3.7 D.3.3.4.2).

    Raises:
        KeyError: a proposed context is neither accepted nor refused.
    """
    contexts = []
    for proposed in request.contexts:
        context = accepted.get(proposed.id)
        if context is not None:
            result, syntax = ContextResult.ACCEPTED, context.transfer_syntax
        else:
            # The transfer syntax of a refused context is not significant, and must be there.
            result, syntax = refused[proposed.id], _IMPLICIT_LITTLE_ENDIAN
        contexts.append(AnsweredContext(id=proposed.id, result=int(result), transfer_syntax=syntax))
    return AssociateAccept(
        called_aet=request.called_aet,
        calling_aet=request.calling_aet,
        contexts=tuple(contexts),
        user=user,
    )
