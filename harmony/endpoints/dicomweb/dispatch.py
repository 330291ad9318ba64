"""Which request is for which service of DICOMweb."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeAlias

from harmony.dicom.web_resources import Kind, Resource, resource_of
from harmony.endpoints.accounts import Account, Accounts
from harmony.endpoints.dicomweb.asking import Asking
from harmony.endpoints.dicomweb.frames import give_bulk, give_frames
from harmony.endpoints.dicomweb.instances import give_instances
from harmony.endpoints.dicomweb.metadata import give_metadata, not_there
from harmony.endpoints.dicomweb.rendered import give_rendered
from harmony.endpoints.dicomweb.searching import search
from harmony.endpoints.dicomweb.storing import store
from harmony.endpoints.dicomweb.titles import give_echo, give_titles
from harmony.endpoints.dicomweb.wado_uri import wado_uri
from harmony.envelope import Operation
from harmony.errors import UpstreamError
from harmony.web.accept import Accept
from harmony.web.exchange import Reply, Request, until_gone
from harmony.web.problems import MethodNotAllowed

_Give: TypeAlias = Callable[[Asking, Request, Reply, Resource, Account], Awaitable[None]]

_GIVEN: dict[Kind, _Give] = {
    Kind.METADATA: give_metadata,
    Kind.FRAMES: give_frames,
    Kind.BULK: give_bulk,
    Kind.ECHO: give_echo,
}
_OPERATIONS = {
    Kind.SEARCH: Operation.FIND,
    Kind.STORE: Operation.STORE,
    Kind.TITLES: Operation.ECHO,
    Kind.ECHO: Operation.ECHO,
}
_WADO_URI = ("/", "/wado")


@dataclass(frozen=True, slots=True, kw_only=True)
class Dispatch:
    """Handles the requests below one prefix. Shared by all of them.

    Attributes:
        empty: the status of a search without matches.
    """

    accounts: Accounts
    asking: Asking
    max_store_bytes: int
    max_parts: int
    empty: int

    async def handle(self, request: Request, reply: Reply) -> None:
        """Serve one request; raises what the adapter turns into an answer or a break."""
        accept: Accept | None = None
        if request.path in _WADO_URI and request.query:
            resource, accept = wado_uri(request.path, request.query)
        else:
            resource = resource_of(request.path, storing=request.method == "POST")
        if request.method not in ("GET", "POST"):
            raise MethodNotAllowed(_allowed(resource))
        if (request.method == "POST") is not (resource.kind is Kind.STORE):
            raise MethodNotAllowed(_allowed(resource))
        operation = _OPERATIONS.get(resource.kind, Operation.GET)
        with self.accounts.account(operation, request, reply) as account:
            await until_gone(
                request, lambda: self._answer(request, reply, resource, account, accept)
            )

    async def _answer(
        self,
        request: Request,
        reply: Reply,
        resource: Resource,
        account: Account,
        accept: Accept | None,
    ) -> None:
        """Serve it; what a PACS cannot give because it does not have it is 404."""
        try:
            await self._serve(request, reply, resource, account, accept)
        except UpstreamError as exc:
            refused = exc.dimse_status is not None and not reply.started
            if account.operation is not Operation.GET or not refused:
                raise
            if not await self.asking.is_absent(request, resource):
                raise
            raise not_there() from exc

    async def _serve(
        self,
        request: Request,
        reply: Reply,
        resource: Resource,
        account: Account,
        accept: Accept | None,
    ) -> None:
        match resource.kind:
            case Kind.SEARCH:
                await search(self.asking, request, reply, resource, account, self.empty)
            case Kind.STORE:
                await store(
                    self.asking,
                    request,
                    reply,
                    resource,
                    account,
                    max_bytes=self.max_store_bytes,
                    max_parts=self.max_parts,
                )
            case Kind.INSTANCES:
                await give_instances(self.asking, request, reply, resource, account, accept=accept)
            case Kind.RENDERED | Kind.THUMBNAIL:
                await give_rendered(self.asking, request, reply, resource, account, accept=accept)
            case Kind.TITLES:
                await give_titles(self.asking, request, reply, account)
            case kind:
                await _GIVEN[kind](self.asking, request, reply, resource, account)


def _allowed(resource: Resource) -> tuple[str, ...]:
    """The methods of a resource; the paths of studies can be stored to as well."""
    if resource.kind is Kind.STORE:
        return ("GET", "POST")
    return ("GET",)
