"""What a valid configuration says, once files are merged and defaults filled in.

Options of a service stay a plain mapping here: only the service's own frozen ``Options``
dataclass, which `assembly` makes from it, knows their meaning.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Proxy:
    """``[proxy]``: the process as a whole."""

    id: str = "harmony"
    pipelines_path: str | None = None
    state_dir: str | None = None
    drain_delay_seconds: float = 0.0
    grace_seconds: float = 30.0
    hard_stop_seconds: float = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Admin:
    """``[admin]``: health and metrics, for this machine's eyes."""

    enabled: bool = True
    bind_addr: str = "127.0.0.1"
    port: int = 9090


@dataclass(frozen=True, slots=True, kw_only=True)
class Log:
    """``[log]``; ``format`` auto is console on a terminal and JSON otherwise."""

    level: str = "info"
    format: str = "auto"


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpListener:
    """``[networks.NAME.http]``: a listener and the limits of every connection on it.

    Defaults are those of the timeout and overload tables of the reference.
    """

    port: int = 8080
    max_connections: int = 1000
    max_in_flight: int = 64
    max_head_bytes: int = 16384
    head_seconds: float = 10.0
    body_idle_seconds: float = 30.0
    write_idle_seconds: float = 30.0
    keep_alive_seconds: float = 15.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Cors:
    """``[networks.NAME.cors]``: whose pages may read answers.

    Attributes:
        origins: as browsers write them; ``*`` for any.
    """

    origins: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """``[networks.NAME]``: a set of listeners."""

    name: str
    bind_addr: str = "127.0.0.1"
    http: HttpListener = field(default_factory=HttpListener)
    cors: Cors = field(default_factory=Cors)


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """One ``[endpoints.NAME]``, ``[backends.NAME]`` or ``[middleware.NAME]``."""

    name: str
    service: str
    options: Mapping[str, object]


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """``[peers.NAME]``: a DIMSE caller that endpoints may admit.

    All conditions that are given must hold.

    Attributes:
        ae_titles: calling AE titles; empty for any.
        addresses: IP addresses and networks (CIDR) that it calls from; empty for any.
        allow: operations that it may ask for.
        called_ae_titles: by which it may call; empty for those of the endpoint.
        move_destinations: backends that a C-MOVE of this peer may send to; None for those of
            the endpoint.
    """

    name: str
    ae_titles: tuple[str, ...] = ()
    addresses: tuple[str, ...] = ()
    allow: tuple[str, ...] = ("echo", "find", "get", "move", "store")
    called_ae_titles: tuple[str, ...] = ()
    move_destinations: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """A backend of a pipeline, and which requests are for it.

    Attributes:
        when: attribute -> patterns, of which one must match; all attributes must. Empty for
            every request. `*` and `?` stand for any text and any character.
    """

    name: str
    when: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pipeline:
    """``[pipelines.NAME]``: which endpoints lead to which backends.

    Attributes:
        strategy: what several backends are for each other: ``failover``, ``fan_out`` or
            ``merge``.
        require_all: whether a merged FIND or GET fails with any of its sources.
    """

    name: str
    description: str = ""
    networks: tuple[str, ...] = ("default",)
    endpoints: tuple[str, ...] = ()
    middleware: tuple[str, ...] = ()
    backends: tuple[Reference, ...] = ()
    strategy: str = "failover"
    require_all: bool = False

    @property
    def backend_names(self) -> tuple[str, ...]:
        return tuple(reference.name for reference in self.backends)


@dataclass(frozen=True, slots=True, kw_only=True)
class Configuration:
    """Everything, merged. Mappings are keyed by name, in the order of the files.

    Attributes:
        file: the main file; relative paths in options start at its folder.
    """

    file: Path
    proxy: Proxy = field(default_factory=Proxy)
    admin: Admin = field(default_factory=Admin)
    log: Log = field(default_factory=Log)
    networks: Mapping[str, Network]
    endpoints: Mapping[str, Service]
    middleware: Mapping[str, Service]
    backends: Mapping[str, Service]
    peers: Mapping[str, Peer] = field(default_factory=dict)
    pipelines: Mapping[str, Pipeline]
