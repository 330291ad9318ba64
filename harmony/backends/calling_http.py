"""The options that backends which call out by HTTP have in common, and the client they make."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from harmony.config.secrets import Secret, SecretError, reveal
from harmony.config.urls import BaseUrl
from harmony.tls.contexts import ClientTls, client_context
from harmony.web.client import ClientLimits, ClientTimeouts, Credentials, HttpClient


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpOrigin:
    """Where an origin is and how to call it; meanings in the schemas of the backends.

    Attributes:
        tls: None for what the scheme of `url` says: nothing, or the system's authorities.
    """

    url: str
    tls: ClientTls | None = None
    bearer: Secret | None = field(default=None, repr=False)
    username: Secret | None = field(default=None, repr=False)
    password: Secret | None = field(default=None, repr=False)
    max_connections: int = 16
    max_waiting: int = 64
    wait_seconds: float = 5.0
    keep_connections: int = 8
    keep_seconds: float = 5.0
    timeouts: ClientTimeouts = field(default_factory=ClientTimeouts)


def client_of(backend: str, origin: HttpOrigin, folder: Path) -> HttpClient:
    """The client of a backend; blocks while it reads files.

    Args:
        backend: its name.
        origin: checked already.
        folder: where relative paths start.

    Raises:
        TlsSetupError, SecretError: a file or a variable cannot be used.
    """
    base = BaseUrl.parse(origin.url)
    tls = origin.tls or ClientTls()
    return HttpClient(
        backend,
        base,
        tls=client_context(tls, folder) if base.is_secure else None,
        server_name=tls.server_name,
        credentials=_credentials(origin, folder),
        timeouts=origin.timeouts,
        limits=ClientLimits(
            max_connections=origin.max_connections,
            max_waiting=origin.max_waiting,
            wait_seconds=origin.wait_seconds,
            keep_connections=origin.keep_connections,
            keep_seconds=origin.keep_seconds,
        ),
    )


async def head(client: HttpClient) -> int:
    """The status of the answer to a HEAD of the base URL.

    Raises:
        UpstreamError, Unavailable
    """
    async with client.ask("HEAD", "") as answer:
        return answer.status


def _credentials(origin: HttpOrigin, folder: Path) -> Credentials:
    given = {"bearer": origin.bearer, "username": origin.username, "password": origin.password}
    known = {key: reveal(key, value, folder) for key, value in given.items() if value is not None}
    try:
        return Credentials(**known)
    except ValueError as exc:
        raise SecretError(next(iter(known)), str(exc)) from None
