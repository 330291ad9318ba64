"""What the services of DICOMweb share: whom they ask, and how they refer to each other."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import trio

from harmony.cache import Retrieves
from harmony.dicom.query import SERIES_INSTANCE_UID, SOP_INSTANCE_UID, STUDY_INSTANCE_UID
from harmony.dicom.reencode import alternative
from harmony.dicom.uids import EXPLICIT_LITTLE_ENDIAN
from harmony.dicom.web_query import parameters
from harmony.dicom.web_resources import Resource, reference
from harmony.envelope import (
    Body,
    Key,
    Operation,
    Origin,
    Query,
    RequestEnvelope,
    Root,
    StreamBroken,
)
from harmony.errors import HarmonyError, RequestError
from harmony.interfaces import OpenExchange
from harmony.rendering import decodes
from harmony.web.accept import AS_STORED, Accept, Choice
from harmony.web.exchange import Request

DICOM, DICOM_JSON, DICOM_XML, JSON, OCTETS = (
    "application/dicom",
    "application/dicom+json",
    "application/dicom+xml",
    "application/json",
    "application/octet-stream",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Asking:
    """How the services of one endpoint ask.

    Attributes:
        titles: what clients may call a backend by, and its name.
        deadline_seconds: for the first answer of a backend.
        decoding: instances and frames that are decoded at one time.
    """

    pipeline: str
    endpoint: str
    exchange: OpenExchange
    retrieves: Retrieves
    titles: Mapping[str, str]
    deadline_seconds: float
    decoding: trio.CapacityLimiter

    def envelope(
        self,
        request: Request,
        resource: Resource,
        operation: Operation,
        *,
        query: Query | None = None,
        body: Body = b"",
    ) -> RequestEnvelope:
        """The request to the pipeline.

        Raises:
            RequestError: 404, the path names a backend that is none.
        """
        deadline = float("inf")
        if operation is not Operation.STORE:  # whose time is the client's: the upload's limits
            deadline = trio.current_time() + self.deadline_seconds
        return RequestEnvelope(
            id=request.id,
            operation=operation,
            origin=Origin(
                pipeline=self.pipeline,
                endpoint=self.endpoint,
                # Without its path, which holds UIDs.
                caller=f"{request.method} {resource.kind.value}",
            ),
            query=query,
            backend=self._backend(resource.title),
            body=body,
            deadline=deadline,
        )

    def retrieve(
        self, request: Request, resource: Resource, *, without_bulk: bool = False
    ) -> RequestEnvelope:
        """A GET of just what the resource is, at its own level. PS3.4 C.4.3.1.3."""
        query = dataclasses.replace(_of(resource), without_bulk=without_bulk)
        return self.envelope(request, resource, Operation.GET, query=query)

    async def is_absent(self, request: Request, resource: Resource) -> bool:
        """Whether a backend says that there is nothing of it.

        Some PACS fail a retrieve of what they do not have; a query tells that from a failure.
        """
        query = dataclasses.replace(_of(resource), limit=1)
        envelope = self.envelope(request, resource, Operation.FIND, query=query)
        try:
            async with self.exchange(envelope) as response:
                found = await response.items.wait()
                return not found and not response.items.outcome.failed_sources
        except (HarmonyError, StreamBroken):
            return False

    def _backend(self, title: str | None) -> str | None:
        if title is None:
            return None
        name = self.titles.get(title)
        if name is None:
            raise RequestError(
                "no backend has the AE title that the path names",
                code="unknown-title",
                http_status=404,
                hint="GET /aets below the endpoint's path prefix lists those that there are",
            )
        return name


def _of(resource: Resource) -> Query:
    """A query for just what the resource is."""
    level = resource.level
    assert level is not None, "nothing to ask for"
    uids = {
        STUDY_INSTANCE_UID: resource.study,
        SERIES_INSTANCE_UID: resource.series,
        SOP_INSTANCE_UID: resource.instance,
    }
    keys = tuple(Key(tag, (uid,)) for tag, uid in sorted(uids.items()) if uid is not None)
    return Query(level=level, root=Root.STUDY, keys=keys)


def accepted(request: Request) -> Accept:
    """What the client takes, by header or by the parameter ``accept``. PS3.18 8.3.3.

    Raises:
        RequestError: 400 for what cannot be read.
    """
    named = [value for name, value in parameters(request.query) if name == "accept"]
    headers = request.headers.all("accept")
    return Accept(", ".join(headers) if headers else None, ", ".join(named) if named else None)


def location(resource: Resource, uids: Sequence[str | None]) -> str | None:
    """A reference to a study, series or instance, relative to the request's resource.

    Args:
        uids: of study, series and instance, as far down as it is. None if one is unknown.
    """
    if any(uid is None for uid in uids):
        return None
    names = ("studies", "series", "instances")
    segments = ["aets", resource.title] if resource.title is not None else []
    for name, uid in zip(names, uids, strict=False):
        segments += [name, str(uid)]
    return reference(resource.depth, segments)


def syntax_for(choice: Choice, stored: str) -> str | None:
    """The transfer syntax to send an instance in; None if the client takes none that we can give.

    Without one that is asked for, what is not compressed goes in explicit VR little endian,
    PS3.18 8.7.3.5.2. What is compressed stays as it is: the part's Content-Type says so.
    """
    other = alternative(stored)
    if not choice.syntaxes:
        return EXPLICIT_LITTLE_ENDIAN if other == EXPLICIT_LITTLE_ENDIAN else stored
    for wanted in choice.syntaxes:
        if wanted in (AS_STORED, stored):
            return stored
        if wanted == other:
            return wanted
        if wanted == EXPLICIT_LITTLE_ENDIAN and decodes(stored):
            return wanted
    return None


def no_syntax() -> RequestError:
    """The error for a client that takes no transfer syntax that can be given."""
    return RequestError(
        "the instance cannot be given in the transfer syntax that Accept asks for",
        code="not-acceptable",
        http_status=406,
        hint="ask with transfer-syntax=* for it as it is stored",
    )
