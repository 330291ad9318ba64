"""WADO-RS: whole instances, as they come from the PACS. PS3.18 10.4.1.1.1."""

from __future__ import annotations

import dataclasses

import trio

from harmony.dicom.multipart import MultipartWriter
from harmony.dicom.peek import peek
from harmony.dicom.query import SERIES_INSTANCE_UID
from harmony.dicom.reencode import alternative, data_in
from harmony.dicom.web_resources import Resource
from harmony.endpoints.accounts import Account, Send, start
from harmony.endpoints.answers import PartMissing, first_instance, write_file, write_instance
from harmony.endpoints.dicomweb.asking import (
    DICOM,
    Asking,
    accepted,
    location,
    no_syntax,
    syntax_for,
)
from harmony.envelope import Completion, Instance, Items, Level, StreamBroken
from harmony.holding import whole_if_small
from harmony.rendering.unpacking import unpacked
from harmony.web.accept import Accept, Choice, Offer
from harmony.web.exchange import Reply, Request

_WHOLE_BYTES = 128 * 1024  # the end of the retrieve is waited for behind what is not larger
_LINGER_SECONDS = 0.02


async def give_instances(
    asking: Asking,
    request: Request,
    reply: Reply,
    resource: Resource,
    account: Account,
    *,
    accept: Accept | None = None,
) -> None:
    """Give the instances of a study, series or instance.

    The first part leaves while the PACS still sends. A retrieve of which a part failed is 206 if
    that is known before; else the body has no end.

    Args:
        accept: what the client takes; None for what its request says.

    Raises:
        RequestError: 404, there is nothing of it; 406, it cannot be given as it is asked for.
        HarmonyError, StreamBroken, ClientGone
    """
    offers = [Offer(DICOM, multipart=True)]
    if resource.level is Level.IMAGE:
        offers.append(Offer(DICOM))
    choice = (accept or accepted(request)).choose(offers)
    envelope = asking.retrieve(request, resource)
    if resource.level is Level.IMAGE and asking.retrieves.keeps(envelope):
        async with asking.retrieves.retrieve(envelope) as retrieved:
            account.backend = retrieved.backend
            async for kept in retrieved:
                items = Items.of(kept.instance(), outcome=retrieved.outcome)
                await _give(choice, items, resource, reply, account, asking.decoding)
        return
    async with asking.exchange(envelope) as response:
        account.backend = response.backend
        await _give(choice, response.items, resource, reply, account, asking.decoding)


async def _give(
    choice: Choice,
    items: Items,
    resource: Resource,
    reply: Reply,
    account: Account,
    decoding: trio.CapacityLimiter,
) -> None:
    first = _in_syntax(await first_instance(items), choice, decoding)
    if first is None:
        raise no_syntax()
    first, status = await _status(first, items)
    if not choice.offer.multipart:
        kind = f"{DICOM}; transfer-syntax={first.transfer_syntax}"
        await start(reply, status, kind)
        await write_file(first, account.counted(reply))
        account.items = 1
        await _end(items)
        await reply.finish()
        return
    writer = MultipartWriter()
    await start(reply, status, writer.content_type(DICOM))
    send = account.counted(reply)
    await _write(first, writer, send, resource)
    account.items = 1
    async for item in items:
        if not isinstance(item, Instance):
            continue
        suitable = _in_syntax(item, choice, decoding)
        if suitable is None:
            raise StreamBroken("an instance cannot be given in the syntax that is asked for")
        await _write(suitable, writer, send, resource)
        account.items += 1
    if items.outcome.completion is not Completion.COMPLETE and status != 206:
        raise PartMissing(items.outcome)
    await send(writer.end())
    await reply.finish()


def _in_syntax(
    instance: Instance, choice: Choice, decoding: trio.CapacityLimiter
) -> Instance | None:
    """The instance as the client takes it; None if it takes it in no way that can be given."""
    syntax = syntax_for(choice, instance.transfer_syntax)
    if syntax is None or syntax == instance.transfer_syntax:
        return instance if syntax is not None else None
    if syntax != alternative(instance.transfer_syntax):
        return unpacked(instance, decoding)
    data = data_in(instance, syntax)
    return dataclasses.replace(instance, transfer_syntax=syntax, data=data, size=None)


async def _status(first: Instance, items: Items) -> tuple[Instance, int]:
    """The first instance, and 206 if it is known already that a part failed. PS3.18 8.5."""
    first = await whole_if_small(first, _WHOLE_BYTES)
    if first.repeatable:
        with trio.move_on_after(_LINGER_SECONDS):
            await items.wait()
    partial = items.has_ended and items.outcome.completion is Completion.PARTIAL
    return first, 206 if partial else 200


async def _end(items: Items) -> None:
    """After the one instance that there should be.

    Raises:
        PartMissing: the retrieve did not end well.
        StreamBroken: there are more.
    """
    async for item in items:
        if isinstance(item, Instance):
            raise StreamBroken("more instances came than the one that was asked for")
    if items.outcome.completion is not Completion.COMPLETE:
        raise PartMissing(items.outcome)


async def _write(
    instance: Instance, writer: MultipartWriter, send: Send, resource: Resource
) -> None:
    series = resource.series
    if series is None:
        found, instance = await peek(instance, (SERIES_INSTANCE_UID,))
        series = found.get(SERIES_INSTANCE_UID)
    where = location(resource, (resource.study, series, instance.sop_instance_uid))
    await write_instance(instance, writer, send, location=where)
