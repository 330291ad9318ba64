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
class Network:
    """``[networks.NAME]``: a set of listeners."""

    name: str
    bind_addr: str = "127.0.0.1"
    http: HttpListener = field(default_factory=HttpListener)


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """One ``[endpoints.NAME]``, ``[backends.NAME]`` or ``[middleware.NAME]``."""

    name: str
    service: str
    options: Mapping[str, object]


@dataclass(frozen=True, slots=True, kw_only=True)
class Pipeline:
    """``[pipelines.NAME]``: which endpoints lead to which backends."""

    name: str
    description: str = ""
    networks: tuple[str, ...] = ("default",)
    endpoints: tuple[str, ...] = ()
    middleware: tuple[str, ...] = ()
    backends: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Configuration:
    """Everything, merged. Mappings are keyed by name, in the order of the files."""

    file: Path
    proxy: Proxy = field(default_factory=Proxy)
    admin: Admin = field(default_factory=Admin)
    log: Log = field(default_factory=Log)
    networks: Mapping[str, Network]
    endpoints: Mapping[str, Service]
    middleware: Mapping[str, Service]
    backends: Mapping[str, Service]
    pipelines: Mapping[str, Pipeline]
