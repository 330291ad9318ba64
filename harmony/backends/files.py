"""The ``files`` backend: a folder of files over HTTP, such as the build of a viewer."""

from __future__ import annotations

import contextlib
import mimetypes
import os
import stat
import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from email.utils import formatdate
from pathlib import Path
from types import MappingProxyType
from urllib.parse import unquote

import trio

from harmony.envelope import (
    Headers,
    HttpRequest,
    Item,
    Items,
    Operation,
    Outcome,
    RequestEnvelope,
    ResponseEnvelope,
    StreamBroken,
)
from harmony.errors import RequestError, UpstreamError
from harmony.interfaces import Exchange, Probe
from harmony.web.problems import MethodNotAllowed

_PIECE_BYTES = 256 * 1024
_METHODS = ("GET", "HEAD")
# What systems disagree about, or do not know.
_TYPES: Mapping[str, str] = MappingProxyType(
    {
        ".css": "text/css; charset=utf-8",
        ".html": "text/html; charset=utf-8",
        ".js": "text/javascript; charset=utf-8",
        ".json": "application/json",
        ".map": "application/json",
        ".mjs": "text/javascript; charset=utf-8",
        ".svg": "image/svg+xml",
        ".txt": "text/plain; charset=utf-8",
        ".wasm": "application/wasm",
        ".webmanifest": "application/manifest+json",
        ".woff2": "font/woff2",
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """``[backends.NAME.options]`` of ``service = "files"``; meanings in the schema."""

    folder: str
    index: str = "index.html"
    fallback: bool = False
    overrides: Mapping[str, str] | None = None
    max_age_seconds: int = 0


@dataclass(frozen=True, slots=True)
class _Found:
    """A file, open for reading.

    Attributes:
        path: by which it was found; its name tells its type.
    """

    descriptor: int
    path: Path
    size: int
    modified: float

    @property
    def tag(self) -> str:
        return f'"{int(self.modified * 1e6):x}-{self.size:x}"'


class FilesBackend:
    """One folder. Implements `harmony.interfaces.Backend`.

    Args:
        folder: of the configuration; relative paths in it start there.
    """

    def __init__(self, name: str, options: Options, folder: Path) -> None:
        self.name = name
        self._options = options
        self._root = folder / options.folder
        self._overrides = {
            path.strip("/"): folder / file for path, file in (options.overrides or {}).items()
        }

    def accepts(self, operation: Operation) -> bool:
        return operation is Operation.HTTP

    @contextlib.asynccontextmanager
    async def lifespan(self) -> AsyncIterator[None]:
        yield

    async def probe(self) -> Probe:
        started = time.monotonic()
        there = await trio.to_thread.run_sync(self._root.is_dir)
        seconds = time.monotonic() - started
        if there:
            return Probe(True, f"the folder of {self.name} is there", seconds)
        return Probe(False, f"the folder of {self.name} is not there", seconds)

    async def handle(self, request: RequestEnvelope, scope: Exchange) -> ResponseEnvelope:
        """Give a file, or what of it the client does not have yet.

        Raises:
            RequestError: 404, there is none of this path; 405.
            UpstreamError: it is there and cannot be read.
        """
        asked = request.http
        assert asked is not None, "no HTTP request"
        if asked.method not in _METHODS:
            raise MethodNotAllowed(_METHODS)
        try:
            found = await trio.to_thread.run_sync(self._find, asked)
        except OSError as exc:
            reason = os.strerror(exc.errno) if exc.errno else "unknown"
            raise UpstreamError(
                f"a file of {self.name} cannot be read: {reason}",
                code="file-unreadable",
                backend=self.name,
            ) from exc
        if found is None:
            raise RequestError("there is no file of this path", code="not-found", http_status=404)
        headers = self._headers(found)
        if _has_it(request.headers, found.tag):
            os.close(found.descriptor)
            return ResponseEnvelope(
                items=Items.of(outcome=Outcome()), backend=self.name, status=304, headers=headers
            )
        headers += (("content-length", str(found.size)),)
        if asked.method == "HEAD" or not found.size:
            os.close(found.descriptor)
            items = Items.of(outcome=Outcome())
        else:
            send, receive = trio.open_memory_channel[Item | Outcome](0)
            scope.nursery.start_soon(_read, found, send)
            items = Items(receive)
        return ResponseEnvelope(items=items, backend=self.name, status=200, headers=headers)

    def _headers(self, found: _Found) -> Headers:
        kind = _TYPES.get(found.path.suffix.lower()) or mimetypes.guess_type(found.path.name)[0]
        age = self._options.max_age_seconds
        return (
            ("content-type", kind or "application/octet-stream"),
            ("etag", found.tag),
            ("last-modified", formatdate(found.modified, usegmt=True)),
            ("cache-control", f"max-age={age}" if age else "no-cache"),
        )

    def _find(self, asked: HttpRequest) -> _Found | None:
        """Open the file of a path; None if there is none. Blocks.

        Raises:
            OSError: it is there and cannot be opened.
        """
        path = unquote(asked.path).strip("/")
        if (override := self._overrides.get(path)) is not None:
            return _opened(override, None)
        segments = path.split("/") if path else []
        if any(segment.startswith(".") or "\0" in segment for segment in segments):
            return None  # neither dot files nor a way out
        root = self._root.resolve()
        wanted = root.joinpath(*segments)
        if not segments or wanted.is_dir():
            wanted /= self._options.index
        found = _opened(wanted, root)
        if found is None and self._options.fallback and "." not in (segments or [""])[-1]:
            found = _opened(root / self._options.index, root)  # a page of a single-page program
        return found


def _opened(path: Path, root: Path | None) -> _Found | None:
    """A regular file, if it lies within `root` whatever links lead to it."""
    with contextlib.suppress(FileNotFoundError, NotADirectoryError):
        real = path.resolve(strict=True)
        if root is not None and not real.is_relative_to(root):
            return None
        descriptor = os.open(real, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        about = os.fstat(descriptor)
        if stat.S_ISREG(about.st_mode):
            return _Found(descriptor, path, about.st_size, about.st_mtime)
        os.close(descriptor)
    return None


async def _read(found: _Found, send: trio.MemorySendChannel[Item | Outcome]) -> None:
    try:
        with send:
            left = found.size
            while left:
                piece = await trio.to_thread.run_sync(
                    os.read, found.descriptor, min(left, _PIECE_BYTES)
                )
                if not piece:
                    raise StreamBroken("a file became shorter while it was read")
                left -= len(piece)
                await send.send(piece)
            await send.send(Outcome())
    finally:
        os.close(found.descriptor)


def _has_it(headers: Headers, tag: str) -> bool:
    """Whether the client has this version. RFC 9110 13.1.2."""
    for name, value in headers:
        if name == "if-none-match":
            offered = [each.strip().removeprefix("W/") for each in value.split(",")]
            if tag in offered or "*" in offered:
                return True
    return False
