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
from harmony.dimse.receiver import Receiver
from harmony.errors import HarmonyError
from harmony.interfaces import Backend, PortClaim
from harmony.live.stages import Stage, stage_of

_CODES = {
    Stage.RESOLVE: "HRM-E501",
    Stage.CONNECT: "HRM-E502",
    Stage.TLS: "HRM-E503",
    Stage.ASSOCIATE: "HRM-E504",
    Stage.NEGOTIATE: "HRM-E506",
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
    with trio.move_on_after(seconds):
        if isinstance(backend, DicomBackend):
            return await _reach_pacs(configuration, backend)
        if isinstance(backend, HttpBackend | DicomwebBackend):
            return await _reach_server(backend)
        return []  # no peer
    message = f"backend {backend.name} did not answer within {seconds:g} s"
    return [_trouble("HRM-E502", backend, message)]


async def _reach_pacs(configuration: Configuration, backend: DicomBackend) -> Sequence[Trouble]:
    try:
        examined = await backend.examine()
    except HarmonyError as exc:
        return [_failed(exc, backend, "HRM-E505")]
    return _lacks(configuration, backend, examined)


async def _reach_server(backend: HttpBackend | DicomwebBackend) -> Sequence[Trouble]:
    async with backend.lifespan():
        try:
            status = await backend.head()
        except HarmonyError as exc:  # inside, for a lifespan's nursery would wrap it
            return [_failed(exc, backend, "HRM-E507")]
    if status in _NOT_US:
        hint = "it wants other credentials than this backend has"
    elif status in _BROKEN:
        hint = "the log of the server may say why"
    else:
        return []  # there, whatever it thinks of a HEAD of this path
    message = f"backend {backend.name}: HEAD is answered with {status}"
    return [_trouble("HRM-E507", backend, message, hint)]


def _failed(exc: HarmonyError, backend: Backend, other: str) -> Trouble:
    """The trouble that an error is.

    Args:
        other: its code if the peer was reached.
    """
    code = _CODES.get(stage_of(exc.code, associated=True), other)
    return _trouble(code, backend, exc.detail, exc.hint or "")


def _trouble(code: str, backend: Backend, message: str, hint: str = "") -> Trouble:
    return Trouble(code=code, path=("backends", backend.name), message=message, hint=hint)


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
        lacking = "retrieve" if examined.find else "query"
        message = f"{backend.peer} accepts no {lacking}, which pipeline {pipeline.name} needs"
        hint = "allow it there for our AE title, or set `receiver` if it knows C-MOVE alone"
        return [_trouble("HRM-E506", backend, message, hint)]
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
    for name, backend in assembly.backends.items():
        if isinstance(backend, DicomBackend) and isinstance(backend.options.receiver, Receiver):
            receiver = backend.options.receiver
            path = ("backends", name, "options", "receiver")
            yield path, receiver.bind_addr, receiver.port
    if configuration.admin.enabled:
        yield ("admin",), configuration.admin.bind_addr, configuration.admin.port
