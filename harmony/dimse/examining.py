"""What a peer is: whether it answers, and which services it accepts. Asks nothing of patients."""

from __future__ import annotations

import time
from collections.abc import Callable
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


async def echo(pool: AssociationPool) -> float:
    """Associate and send one C-ECHO; the seconds that it took, without its association.

    Raises:
        UpstreamError, Unavailable: it does not associate, or does not answer.
    """
    async with pool.borrow("echo", contexts.for_queries, fresh=True, keep=False) as association:
        return await _timed(association)


async def examine(pool: AssociationPool, associated: Callable[[], None]) -> Examined:
    """Associate twice, for queries and for C-GET, and send one C-ECHO.

    Args:
        associated: called once the first association stands.

    Raises:
        UpstreamError, Unavailable: it does not associate, or does not answer.
    """
    async with pool.borrow("examine", contexts.for_queries, fresh=True, keep=False) as queries:
        associated()
        seconds = await _timed(queries)
        find, move = _models(queries, Operation.FIND), _models(queries, Operation.MOVE)
    async with pool.borrow("examine get", contexts.for_get, fresh=True, keep=False) as retrieves:
        get = _models(retrieves, Operation.GET)
    return Examined(seconds=seconds, find=find, get=get, move=move)


async def _timed(association: Association) -> float:
    started = time.monotonic()
    await association.echo()
    return time.monotonic() - started


def _models(association: Association, operation: Operation) -> frozenset[Root]:
    uids = contexts.MODELS[operation]
    return frozenset(root for root, uid in uids.items() if association.knows(uid))
