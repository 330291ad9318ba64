"""STORE at a PACS: runs of instances on few associations, across requests.

An association takes what its contexts were made for. So a new one proposes what has lately
been sent here, and is held for what comes next: a router that passes on a series uses one.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections import OrderedDict
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager
from typing import TypeAlias
from weakref import WeakKeyDictionary

from harmony.dicom.status_codes import CLASS_NOT_SUPPORTED
from harmony.dimse import contexts
from harmony.dimse.association import Association
from harmony.dimse.failures import NotAnswered
from harmony.dimse.pool import AssociationPool
from harmony.envelope import Instance, Stored

_PURPOSE = "store"
_MOST_KINDS = 64  # each is a context or two, of which 128 fit into a request (PS3.8 9.3.2.2)
_REMEMBERED_BYTES = 1024 * 1024

Kind: TypeAlias = tuple[str, str]  # SOP class, transfer syntax


class Recent:
    """What has lately been sent to one PACS, newest first; bounded."""

    def __init__(self, most: int = _MOST_KINDS) -> None:
        self._most = most
        self._kinds: OrderedDict[Kind, None] = OrderedDict()  # newest last

    def add(self, kind: Kind) -> None:
        self._kinds[kind] = None
        self._kinds.move_to_end(kind)
        if len(self._kinds) > self._most:
            self._kinds.popitem(last=False)

    def drop(self, kind: Kind) -> None:
        self._kinds.pop(kind, None)

    def __iter__(self) -> Iterator[Kind]:
        return reversed(self._kinds)


class Remembered:
    """Data that can be read once, and once more from the start while it is short.

    The chunks given are kept until they are more than `limit` bytes.
    """

    def __init__(self, data: AsyncIterable[bytes], *, limit: int = _REMEMBERED_BYTES) -> None:
        self._rest = aiter(data)
        self._kept: list[bytes] = []
        self._next = 0
        self._room = limit
        self._ended = False

    @property
    def is_whole(self) -> bool:
        """Whether reading it again gives all of it."""
        return self._room >= 0

    def __aiter__(self) -> Remembered:
        self._next = 0
        return self

    async def __anext__(self) -> bytes:
        if self._next < len(self._kept):
            self._next += 1
            return self._kept[self._next - 1]
        if self._ended:
            raise StopAsyncIteration
        try:
            chunk = await anext(self._rest)
        except StopAsyncIteration:
            self._ended = True
            raise
        self._room -= len(chunk)
        if self.is_whole:
            self._kept.append(chunk)
            self._next += 1
        else:
            self._kept.clear()
            self._next = 0
        return chunk


class Storer:
    """Stores at one PACS. Shared by all requests; each calls `store` once."""

    def __init__(self, pool: AssociationPool) -> None:
        self._pool = pool
        self._recent = Recent()
        # An association that was asked for a kind in vain need not be opened anew for it.
        self._refused: WeakKeyDictionary[Association, set[Kind]] = WeakKeyDictionary()

    async def store(
        self,
        body: AsyncIterator[Instance],
        report: Callable[[Stored], Awaitable[None]],
        *,
        keep: bool = True,
    ) -> None:
        """C-STORE each instance and report what became of it.

        What the PACS accepts no context for is refused by itself (0122), not the others.

        Args:
            body: the instances.
            report: is told of each.
            keep: whether to hold the association for the next request; else it is released.

        Raises:
            NotAnswered, RequestError, UpstreamError, Unavailable: nothing is known of the
                instance under way, and those after it were not sent.
        """
        async with contextlib.AsyncExitStack() as place:
            run = _Run(self, place, keep=keep)
            async for instance in body:
                await report(await run.store(instance))

    def borrow(
        self, kind: Kind, *, fresh: bool, keep: bool
    ) -> AbstractAsyncContextManager[Association]:
        """An association that takes this kind, or one that was asked for it."""
        self._recent.add(kind)
        return self._pool.borrow(
            _PURPOSE,
            lambda: contexts.for_store(self._recent),
            fits=lambda association: association.accepts(*kind) or self.refuses(association, kind),
            fresh=fresh,
            keep=keep,
        )

    def use(self, kind: Kind) -> None:
        """It is being sent."""
        self._recent.add(kind)

    def refuse(self, association: Association, kind: Kind) -> None:
        """The association does not take it."""
        self._recent.drop(kind)
        self._refused.setdefault(association, set()).add(kind)

    def refuses(self, association: Association, kind: Kind) -> bool:
        return kind in self._refused.get(association, ())


class _Run:
    """The instances of one request, and the association that it has."""

    def __init__(self, storer: Storer, place: contextlib.AsyncExitStack, *, keep: bool) -> None:
        self._storer = storer
        self._place = place
        self._keep = keep
        self._association: Association | None = None
        self._refused: set[Kind] = set()

    async def store(self, instance: Instance) -> Stored:
        kind = (instance.sop_class_uid, instance.transfer_syntax)
        if kind in self._refused:
            return _not_accepted(instance)
        association = self._association
        if association is None or not association.accepts(*kind):
            association = await self._borrow(kind)
        data = instance.data
        if association.was_used and not instance.repeatable:
            data = Remembered(data)
            instance = dataclasses.replace(instance, data=data)
        try:
            return await self._send(association, instance)
        except NotAnswered:
            # It was held too long. A second C-STORE of the same instance does no harm.
            if isinstance(data, Remembered) and not data.is_whole:
                raise
            return await self._send(await self._borrow(kind, fresh=True), instance)

    async def _send(self, association: Association, instance: Instance) -> Stored:
        kind = (instance.sop_class_uid, instance.transfer_syntax)
        if association.accepts(*kind):
            self._storer.use(kind)
            return await association.store(instance)
        self._refused.add(kind)
        self._storer.refuse(association, kind)
        return _not_accepted(instance)

    async def _borrow(self, kind: Kind, *, fresh: bool = False) -> Association:
        self._association = None
        await self._place.aclose()  # give back first: it may have been the last place
        self._association = await self._place.enter_async_context(
            self._storer.borrow(kind, fresh=fresh, keep=self._keep)
        )
        return self._association


def _not_accepted(instance: Instance) -> Stored:
    return Stored(
        sop_class_uid=instance.sop_class_uid,
        sop_instance_uid=instance.sop_instance_uid,
        status=CLASS_NOT_SUPPORTED,
    )
