"""Who can be asked through an endpoint, and whether one of them answers. Not of the standard."""

from __future__ import annotations

from harmony.dicom import strict_json
from harmony.dicom.web_resources import Resource
from harmony.endpoints.accounts import Account
from harmony.endpoints.dicomweb.asking import JSON, Asking, accepted
from harmony.envelope import Operation
from harmony.web.accept import Offer
from harmony.web.exchange import Reply, Request


async def give_titles(asking: Asking, request: Request, reply: Reply, account: Account) -> None:
    """List what a path below ``/aets`` may begin with."""
    accepted(request).choose((Offer(JSON),))
    listed = [{"aet": title, "backend": name} for title, name in asking.titles.items()]
    await account.whole(reply, 200, JSON, strict_json.dumps(listed))


async def give_echo(
    asking: Asking, request: Request, reply: Reply, resource: Resource, account: Account
) -> None:
    """Ask one of them for an echo.

    Raises:
        RequestError: 404, there is none of this title; 406.
        HarmonyError: it does not answer.
    """
    accepted(request).choose((Offer(JSON),))
    async with asking.exchange(asking.envelope(request, resource, Operation.ECHO)) as response:
        account.backend = response.backend
        async for _ in response.items:
            pass
        seconds = response.items.outcome.seconds or 0.0
    told = {"success": True, "aet": resource.title, "milliseconds": round(seconds * 1000, 3)}
    await account.whole(reply, 200, JSON, strict_json.dumps(told))
