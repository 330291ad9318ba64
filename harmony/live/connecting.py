"""L3: reach every backend, and bind every listener, for a moment."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import trio

from harmony.assembly import Assembly
from harmony.backends.dicom import DicomBackend
from harmony.backends.dicomweb.backend import DicomwebBackend
from harmony.backends.http import HttpBackend
from harmony.config.findings import KeyPath
from harmony.config.model import Configuration
from harmony.dimse.examining import Examined
from harmony.errors import HarmonyError
from harmony.interfaces import Backend, PortClaim

# What an error's code means; others are by the backend's service.
_CODES = {
    **dict.fromkeys(("name-unknown", "lookup-timeout"), "HRM-E501"),
    **dict.fromkeys(("connection-failed", "connect-timeout", "connection-lost"), "HRM-E502"),
    **dict.fromkeys(("tls-failed", "tls-timeout"), "HRM-E503"),
    "association-rejected": "HRM-E504",
    "operation-not-supported": "HRM-E506",
}
# Answers to a HEAD that no other path or method would change. RFC 9110 15.5, 15.6.
_NOT_US = frozenset((401, 403, 407))
_BROKEN = frozenset((500, 502, 503, 504))
_NEEDS_RETRIEVE = frozenset(("dicomweb",))


@dataclass(frozen=True, slots=True, kw_only=True)
class Trouble:
    """What a peer or this machine said no to.

    Attributes:
        path: of the table in the configuration that it is about.
    """

    code: str
    path: KeyPath
    message: str
    hint: str


async def connect(
    configuration: Configuration, assembly: Assembly, *, seconds: float
) -> Sequence[Trouble]:
    """Try all of it at the same time; what is wrong, in the order of the configuration.

    Args:
        seconds: that each backend may take.
    """
    found: dict[int, list[Trouble]] = {}

    async def one(place: int, backend: Backend) -> None:
        found[place] = list(await _reach(configuration, backend, seconds))

    async with trio.open_nursery() as nursery:
        for place, backend in enumerate(assembly.backends.values()):
            nursery.start_soon(one, place, backend)
    return [*(t for place in sorted(found) for t in found[place]), *_bind(configuration, assembly)]


async def _reach(
    configuration: Configuration, backend: Backend, seconds: float
) -> Sequence[Trouble]:
    path: KeyPath = ("backends", backend.name)
    with trio.move_on_after(seconds):
        async with backend.lifespan():
            return await _ask(configuration, backend)
    message = f"backend {backend.name} did not answer within {seconds:g} s"
    return [Trouble(code="HRM-E502", path=path, message=message, hint="")]


async def _ask(configuration: Configuration, backend: Backend) -> Sequence[Trouble]:
    path: KeyPath = ("backends", backend.name)
    try:
        if isinstance(backend, DicomBackend):
            return _lacks(configuration, backend, await backend.examine())
        if not isinstance(backend, HttpBackend | DicomwebBackend):
            return []  # no peer
        status = await backend.head()
    except HarmonyError as exc:  # inside, for a lifespan's nursery would wrap it
        other = "HRM-E505" if isinstance(backend, DicomBackend) else "HRM-E507"
        code = _CODES.get(exc.code, other)
        return [Trouble(code=code, path=path, message=exc.detail, hint=exc.hint or "")]
    if status in _NOT_US:
        hint = "it wants other credentials than this backend has"
    elif status in _BROKEN:
        hint = "the log of the server may say why"
    else:
        return []  # there, whatever it thinks of a HEAD of this path
    message = f"backend {backend.name}: HEAD is answered with {status}"
    return [Trouble(code="HRM-E507", path=path, message=message, hint=hint)]


def _lacks(
    configuration: Configuration, backend: DicomBackend, examined: Examined
) -> Sequence[Trouble]:
    """What a pipeline needs of a PACS and it does not accept."""
    for pipeline in configuration.pipelines.values():
        services = {configuration.endpoints[name].service for name in pipeline.endpoints}
        if backend.name not in pipeline.backend_names or not services & _NEEDS_RETRIEVE:
            continue
        can_retrieve = examined.get or (examined.move and backend.can_receive)
        if examined.find and can_retrieve:
            continue
        return [
            Trouble(
                code="HRM-E506",
                path=("backends", backend.name),
                message=f"{backend.peer} accepts no "
                f"{'retrieve' if examined.find else 'query'}, which pipeline "
                f"{pipeline.name} needs",
                hint="allow it there for our AE title, or set `receiver` if it knows C-MOVE alone",
            )
        ]
    return []


def _bind(configuration: Configuration, assembly: Assembly) -> Iterator[Trouble]:
    """Listen everywhere, and stop at once."""
    for path, host, port in _places(configuration, assembly):
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        with socket.socket(family, socket.SOCK_STREAM) as listener:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                listener.bind((host, port))
                listener.listen()
            except OSError as exc:
                reason = (os.strerror(exc.errno) if exc.errno else "not possible").lower()
                yield Trouble(
                    code="HRM-E509",
                    path=path,
                    message=f"cannot bind {host}:{port}: {reason}",
                    hint="who listens there? `ss -ltnp` tells",
                )


def _places(configuration: Configuration, assembly: Assembly) -> Iterator[tuple[KeyPath, str, int]]:
    for name in assembly.routers:
        network = configuration.networks[name]
        yield ("networks", name), network.bind_addr, network.http.port
    for pipeline in assembly.pipelines:
        for endpoint in pipeline.endpoints:
            for claim in endpoint.claims():
                if isinstance(claim, PortClaim):
                    yield ("endpoints", endpoint.name), claim.host, claim.port
    if configuration.admin.enabled:
        yield ("admin",), configuration.admin.bind_addr, configuration.admin.port
