"""Configurations that are right, of any make, and the same with one defect."""

from __future__ import annotations

import dataclasses
import json
import random
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

Header: TypeAlias = tuple[str, ...]
Value: TypeAlias = str | int | float | bool | list[str]

_WORDS = ("archive", "ct", "mr", "pacs", "ris", "viewer", "ward", "web", "x-ray", "lab_2", "7")
_NEVER = "1979-05-27"  # no option is a date
_PAIR = 2
_PUNCTUATION = b"[]{}=\"'.,#\\\n\r\t \x00\xc3\xff"


@dataclass(frozen=True, slots=True)
class Table:
    """One TOML table with plain values only."""

    header: Header
    keys: Mapping[str, Value]


@dataclass(frozen=True, slots=True, kw_only=True)
class Generated:
    """A configuration as text.

    Attributes:
        tables: of the file, in order.
        defect: what is wrong; empty if nothing is.
        lines: counted from 1, at any of which a finding about the defect may be.
    """

    tables: tuple[Table, ...]
    text: str
    defect: str = ""
    lines: frozenset[int] = frozenset()


@dataclass(slots=True)
class _Draft:
    """Names, ports and titles that nobody has yet."""

    rng: random.Random
    any_port: bool = False
    tables: list[Table] = field(default_factory=list)
    _count: int = 0

    def name(self) -> str:
        self._count += 1
        return f"{self.rng.choice(_WORDS)}{self._count}"

    def port(self) -> int:
        self._count += 1
        return 20000 + self._count

    def listening(self) -> int:
        port = self.port()
        return 0 if self.any_port else port

    def title(self) -> str:
        self._count += 1
        return f"{self.rng.choice(('AE', 'SCU 7', 'X.Y-Z'))}{self._count}"

    def add(self, *header: str, **keys: Value) -> None:
        self.tables.append(Table(header, keys))

    def some(self, options: Mapping[str, Callable[[random.Random], Value]]) -> dict[str, Value]:
        """Any of these options, or none."""
        names = [name for name in options if self.rng.random() < 0.3]
        self.rng.shuffle(names)
        return {name: options[name](self.rng) for name in names}


def _whole(low: int, high: int) -> Callable[[random.Random], Value]:
    return lambda rng: rng.choice((low, high, rng.randint(low, high)))


def _seconds(rng: random.Random) -> Value:
    return rng.choice((1, 0.5, 2.25, rng.randint(1, 600)))


def _flag(rng: random.Random) -> Value:
    return rng.random() < 0.5


def _one_of(*values: Value) -> Callable[[random.Random], Value]:
    return lambda rng: rng.choice(values)


_DICOM_BACKEND = {
    "engine": _one_of("trio", "pynetdicom"),
    "retrieve": _one_of("auto", "get"),
    "without_bulk": _flag,
    "max_associations": _whole(1, 64),
    "max_waiting": _whole(0, 10000),
    "wait_seconds": _seconds,
    "keep_associations": _whole(0, 8),
    "keep_seconds": _seconds,
    "max_results": _whole(1, 1000000),
    "maximum_pdu": _whole(4096, 131072),
}
_HTTP_BACKEND = {
    "max_connections": _whole(1, 1000),
    "max_waiting": _whole(0, 10000),
    "wait_seconds": _seconds,
    "keep_connections": _whole(0, 1000),
    "keep_seconds": _seconds,
}
_TIMEOUTS = dict.fromkeys(("connect_seconds", "send_seconds", "read_seconds"), _seconds)
_HTTP_ENDPOINT = {
    "max_json_bytes": _whole(2, 268435456),
    "max_store_bytes": _whole(1, 1099511627776),
    "max_parts": _whole(1, 1000000),
    "deadline_seconds": _seconds,
    "empty_find": _one_of(200, 204),
}
_DICOMWEB_ENDPOINT = {
    "max_parts": _whole(1, 1000000),
    "deadline_seconds": _seconds,
    "empty_search": _one_of(200, 204),
    "cache_bytes": _whole(0, 1099511627776),
    "cache_seconds": _seconds,
    "max_retrieves": _whole(1, 1000),
}
_DICOM_ENDPOINT = {
    "engine": _one_of("trio", "pynetdicom"),
    "max_associations": _whole(32, 1000),
    "maximum_pdu": _whole(4096, 131072),
    "accept_unknown_storage_classes": _flag,
    "memory_object_bytes": _whole(0, 268435456),
    "deadline_seconds": _seconds,
    "minimum_rate": _whole(0, 1073741824),
}
_NETWORK = {
    "max_connections": _whole(1000, 100000),
    "max_head_bytes": _whole(1024, 1048576),
    "head_seconds": _seconds,
    "keep_alive_seconds": _seconds,
}
_PROXY: Mapping[str, Callable[[random.Random], Value]] = {
    "id": _one_of("harmony", "ward 7", "Röntgen"),
    "drain_delay_seconds": _one_of(0, 0.5, 1),
    "grace_seconds": _whole(2, 20),
}
_LOG: Mapping[str, Callable[[random.Random], Value]] = {
    "level": _one_of("debug", "info", "warning", "error"),
    "format": _one_of("auto", "console", "json", "logfmt"),
}


def valid(seed: int, *, deployed: bool = False) -> Generated:
    """One with nothing wrong, the same for the same seed.

    Args:
        deployed: for `deployment.deployed`: ports are 0, and ``[admin]`` is left to it.
    """
    rng = random.Random(seed)
    draft = _Draft(rng, any_port=deployed)
    if not deployed:
        draft.add("admin", port=draft.listening())
    draft.add("proxy", **draft.some(_PROXY))
    draft.add("log", **draft.some(_LOG))
    networks = ["default", *(draft.name() for _ in range(rng.randint(0, 1)))]
    for network in networks:
        draft.add("networks", network, "http", port=draft.listening(), **draft.some(_NETWORK))
    for place in range(rng.randint(1, 4)):
        network = networks[-1] if place else networks[0]
        if place == 0 and len(networks) == _PAIR:
            _pipeline(draft, networks)
        else:
            _pipeline(draft, [network])
    tables = list(draft.tables)
    rng.shuffle(tables)
    return Generated(tables=tuple(tables), text=_text(tables))


def _pipeline(draft: _Draft, networks: list[str]) -> None:
    rng = draft.rng
    relays = rng.random() < 0.2
    if relays:  # HTTP to HTTP
        endpoints, backends = [_http(draft)], [_origin(draft)]
    else:
        kinds = rng.sample((_http, _dicomweb, _scp), rng.randint(1, 3))
        if kinds == [_scp] and networks != ["default"]:
            kinds.append(_http)  # a network without HTTP would be for nothing
        endpoints = [kind(draft) for kind in kinds]
        backends = [rng.choice((_pacs, _dicomweb_server, _archive))(draft)]
        if rng.random() < 0.3:
            backends.append(_pacs(draft))
    keys: dict[str, Value] = {"endpoints": endpoints, "backends": backends}
    if networks != ["default"]:
        keys["networks"] = networks
    if rng.random() < 0.3:
        keys["description"] = 'with "quotes", \\ and a # sign'
    draft.add("pipelines", draft.name(), **keys)


def _http(draft: _Draft) -> str:
    return _mounted(draft, "http", _HTTP_ENDPOINT)


def _dicomweb(draft: _Draft) -> str:
    return _mounted(draft, "dicomweb", _DICOMWEB_ENDPOINT)


def _mounted(
    draft: _Draft, service: str, options: Mapping[str, Callable[[random.Random], Value]]
) -> str:
    name = draft.name()
    draft.add("endpoints", name, service=service)
    prefix = f"/{service}/{draft.port()}"
    draft.add("endpoints", name, "options", path_prefix=prefix, **draft.some(options))
    return name


def _scp(draft: _Draft) -> str:
    name = draft.name()
    draft.add("endpoints", name, service="dicom")
    own: dict[str, Value] = {
        "local_aet": draft.title(),
        "port": draft.listening(),
        "bind_addr": draft.rng.choice(("127.0.0.1", "127.0.0.2", "::1")),
    }
    draft.add("endpoints", name, "options", **own, **draft.some(_DICOM_ENDPOINT))
    return name


def _pacs(draft: _Draft) -> str:
    name = draft.name()
    draft.add("backends", name, service="dicom")
    own: dict[str, Value] = {
        "aet": draft.title(),
        "host": draft.rng.choice(("127.0.0.1", "localhost", "::1", "fd00::5", "pacs.test")),
        "port": draft.rng.choice((104, 11112, 4242)),
        "local_aet": draft.title(),
    }
    if own["host"] in ("fd00::5", "pacs.test"):
        own["use_tls"] = True
    draft.add("backends", name, "options", **own, **draft.some(_DICOM_BACKEND))
    if draft.rng.random() < 0.3:
        draft.add("backends", name, "options", "timeouts", find_first_seconds=20)
    return name


def _dicomweb_server(draft: _Draft) -> str:
    return _caller(draft, "dicomweb", "/dicom-web")


def _origin(draft: _Draft) -> str:
    return _caller(draft, "http", draft.rng.choice(("", "/a/b")))


def _caller(draft: _Draft, service: str, path: str) -> str:
    name = draft.name()
    draft.add("backends", name, service=service)
    host = draft.rng.choice(("127.0.0.1:8042", "localhost:8042", "[::1]"))
    url = f"http://{host}{path}"
    draft.add("backends", name, "options", url=url, **draft.some(_HTTP_BACKEND))
    timeouts = draft.some(_TIMEOUTS)
    if timeouts:
        draft.add("backends", name, "options", "timeouts", **timeouts)
    return name


def _archive(draft: _Draft) -> str:
    name = draft.name()
    draft.add("backends", name, service="archive")
    draft.add("backends", name, "options", folder=f"archives/{draft.port()}")
    return name


def with_defect(seed: int) -> Generated:
    """The valid configuration of the seed with one thing wrong."""
    good = valid(seed)
    rng = random.Random(seed + 1)
    makers = [_renamed, _retyped, _unreferenced, _doubled, _moved]
    rng.shuffle(makers)
    return next(made for maker in makers if (made := maker(good, rng)) is not None)


def spoilt(seed: int) -> bytes:
    """A configuration with bytes cut out, doubled, or changed for others that mean something."""
    rng = random.Random(seed)
    text = bytearray(valid(seed).text.encode())
    for _ in range(rng.randint(1, 5)):
        start = rng.randrange(len(text))
        end = min(len(text), start + rng.choice((1, 1, 8, 60)))
        piece = bytes(text[start:end])
        text[start:end] = rng.choice(
            (b"", piece * 2, bytes(rng.choices(_PUNCTUATION, k=2)), rng.randbytes(3))
        )
        text = text or bytearray(b"=")
    return bytes(text)


def _renamed(good: Generated, rng: random.Random) -> Generated | None:
    place, key = _any_key(good, rng)
    table = good.tables[place]
    keys = {f"{old}{'_x' * (old == key)}": value for old, value in table.keys.items()}
    return _changed(
        good, {place: Table(table.header, keys)}, f"{key} renamed", [(place, f"{key}_x")]
    )


def _retyped(good: Generated, rng: random.Random) -> Generated | None:
    place, key = _any_key(good, rng)
    old = good.tables[place].keys[key]
    wrong: Value = rng.choice([_Raw(_NEVER), 7 if isinstance(old, str | list) else "seven"])
    return _with_values(good, {(place, key): wrong}, f"{key} of another type")


def _unreferenced(good: Generated, rng: random.Random) -> Generated | None:
    lists = [
        (place, key, value)
        for place, table in enumerate(good.tables)
        for key, value in table.keys.items()
        if table.header[0] == "pipelines" and isinstance(value, list)
    ]
    place, key, value = rng.choice(lists)
    broken = list(value)
    broken[rng.randrange(len(broken))] = "nobody"
    return _with_values(good, {(place, key): broken}, f"{key} name nobody")


def _doubled(good: Generated, rng: random.Random) -> Generated | None:
    listening = [
        (place, table.keys["port"])
        for place, table in enumerate(good.tables)
        if "port" in table.keys
        and table.header[0] != "backends"
        and table.keys.get("bind_addr", "127.0.0.1") == "127.0.0.1"
    ]
    if len(listening) < _PAIR:
        return None
    (first, _), (second, port) = rng.sample(listening, 2)
    made = _with_values(good, {(first, "port"): port}, f"port {port} doubled")
    lines = made.lines | {_line_of(made.tables, second, "port")}
    return dataclasses.replace(made, lines=lines)


def _moved(good: Generated, rng: random.Random) -> Generated | None:
    name = rng.choice([t.header for t in good.tables if t.header[0] in ("endpoints", "backends")])
    other = "backends" if name[0] == "endpoints" else "endpoints"
    changed = {
        place: Table((other, *table.header[1:]), table.keys)
        for place, table in enumerate(good.tables)
        if table.header[:2] == name[:2]
    }
    places = [(place, key) for place in changed for key in ("", *changed[place].keys)]
    return _changed(good, changed, f"{'.'.join(name[:2])} moved to {other}", places)


class _Raw(str):
    """TOML as it is."""

    __slots__ = ()


def _any_key(good: Generated, rng: random.Random) -> tuple[int, str]:
    return rng.choice([(place, key) for place, t in enumerate(good.tables) for key in t.keys])


def _with_values(
    good: Generated, values: Mapping[tuple[int, str], Value], defect: str
) -> Generated:
    changed = {
        place: Table(good.tables[place].header, {**good.tables[place].keys, key: value})
        for (place, key), value in values.items()
    }
    return _changed(good, changed, defect, list(values))


def _changed(
    good: Generated, changed: Mapping[int, Table], defect: str, places: list[tuple[int, str]]
) -> Generated:
    tables = tuple(changed.get(place, table) for place, table in enumerate(good.tables))
    lines = frozenset(_line_of(tables, place, key) for place, key in places)
    return Generated(tables=tables, text=_text(tables), defect=defect, lines=lines)


def _line_of(tables: tuple[Table, ...], place: int, key: str) -> int:
    """The line of a key, or of the header for the empty key."""
    before = sum(len(table.keys) + 2 for table in tables[:place])
    return before + 1 + (list(tables[place].keys).index(key) + 1 if key else 0)


def _text(tables: tuple[Table, ...] | list[Table]) -> str:
    return "".join(f"{line}\n" for line in _lines(tables))


def _lines(tables: tuple[Table, ...] | list[Table]) -> Iterator[str]:
    for table in tables:
        yield f"[{'.'.join(_quoted(part) for part in table.header)}]"
        for key, value in table.keys.items():
            yield f"{key} = {_toml(value)}"
        yield ""


def _quoted(part: str) -> str:
    plain = part.isascii() and all(c.isalnum() or c in "-_" for c in part)
    return part if plain else json.dumps(part, ensure_ascii=False)


def _toml(value: Value) -> str:
    if isinstance(value, _Raw):
        return str(value)
    return json.dumps(value, ensure_ascii=False)
