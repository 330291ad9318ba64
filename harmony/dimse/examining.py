"""What a peer is: whether it answers, and which services it accepts. Asks nothing of patients."""

from __future__ import annotations

import time
from dataclasses import dataclass

from harmony.dimse import contexts
from harmony.dimse.association import Association
from harmony.dimse.pool import AssociationPool
from harmony.envelope import Operation, Root


@dataclass(frozen=True, slots=True, kw_only=True)
class Examined:
    """A peer that associates and answers a C-ECHO.

    Attributes:
        seconds: that the echo took, without its association.
        find, get, move: information models that it accepts these for. PS3.4 C.6.
    """

    seconds: float
    find: frozenset[Root]
    get: frozenset[Root]
    move: frozenset[Root]


async def examine(pool: AssociationPool) -> Examined:
    """Associate twice, for queries and for C-GET, and send one C-ECHO.

    Raises:
        UpstreamError, Unavailable: it does not associate, or does not answer.
    """
    async with pool.borrow("examine", contexts.for_queries, fresh=True, keep=False) as queries:
        started = time.monotonic()
        await queries.echo()
        seconds = time.monotonic() - started
        find, move = _models(queries, Operation.FIND), _models(queries, Operation.MOVE)
    async with pool.borrow("examine get", contexts.for_get, fresh=True, keep=False) as retrieves:
        get = _models(retrieves, Operation.GET)
    return Examined(seconds=seconds, find=find, get=get, move=move)


def _models(association: Association, operation: Operation) -> frozenset[Root]:
    uids = contexts.MODELS[operation]
    return frozenset(root for root, uid in uids.items() if association.knows(uid))
