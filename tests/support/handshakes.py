"""TLS handshakes without sockets, to look at how they fail."""

from __future__ import annotations

import ssl
from dataclasses import dataclass

_ROUNDS = 8  # more than any handshake has


@dataclass(frozen=True, slots=True, kw_only=True)
class Handshake:
    """How it ended on both sides.

    Attributes:
        client: what the client met, in the handshake or at its first read after it.
        server: what the server met.
        version: that was agreed, None if none was.
        cipher: that was agreed.
    """

    client: ssl.SSLError | None
    server: ssl.SSLError | None
    version: str | None
    cipher: str | None

    @property
    def succeeded(self) -> bool:
        return self.client is None and self.server is None


class _Side:
    def __init__(self, tls: ssl.SSLObject) -> None:
        self._tls = tls
        self._established = False
        self.error: ssl.SSLError | None = None

    def step(self) -> None:
        if self.error is not None:
            return
        try:
            if not self._established:
                self._tls.do_handshake()
                self._established = True
            self._tls.read(1)  # TLS 1.3 tells a client only here that it is not wanted
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLError as exc:
            self.error = exc


def shake_hands(
    client: ssl.SSLContext, server: ssl.SSLContext, name: str = "pacs.test"
) -> Handshake:
    """Let a client of this context call a server of that; `name` is whom it means to call."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    calling = client.wrap_bio(to_client, to_server, server_hostname=name)
    sides = (_Side(calling), _Side(server.wrap_bio(to_server, to_client, server_side=True)))
    for _ in range(_ROUNDS):
        for side in sides:
            side.step()
    cipher = calling.cipher()
    return Handshake(
        client=sides[0].error,
        server=sides[1].error,
        version=calling.version(),
        cipher=cipher[0] if cipher else None,
    )


def hear(context: ssl.SSLContext, said: bytes, *, server_side: bool) -> ssl.SSLError:
    """What this side makes of a peer that says just this, and closes."""
    incoming = ssl.MemoryBIO()
    tls = context.wrap_bio(
        incoming,
        ssl.MemoryBIO(),
        server_side=server_side,
        server_hostname=None if server_side else "pacs.test",
    )
    incoming.write(said)
    incoming.write_eof()
    try:
        tls.do_handshake()
    except ssl.SSLError as exc:
        return exc
    raise AssertionError("that was a handshake")
