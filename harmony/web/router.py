"""Which handler serves which path, on the listeners of one network."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from urllib.parse import unquote

from harmony.errors import RequestError
from harmony.web.asgi import HttpScope, Receive, Send
from harmony.web.exchange import Handler, Reply, Request, answer

_REFUSED = ("%2f", "%5c", "%00", "\\")


class Router:
    """An ASGI application: the longest mounted prefix that fits serves the request.

    Prefixes fit whole segments of a path. Mounts come and go at run time; requests that have
    begun are not touched by it.
    """

    def __init__(self) -> None:
        self._mounts: dict[tuple[str, ...], Handler] = {}

    def mount(self, prefix: str, handler: Handler) -> None:
        """Serve what lies below `prefix`.

        Raises:
            ValueError: the prefix is taken, or is no absolute path.
        """
        segments = _prefix(prefix)
        if segments in self._mounts:
            raise ValueError(f"path prefix {prefix} is taken")
        self._mounts[segments] = handler

    def unmount(self, prefix: str) -> None:
        """Serve nothing there any more.

        Raises:
            ValueError: nothing is mounted there.
        """
        if self._mounts.pop(_prefix(prefix), None) is None:
            raise ValueError(f"nothing is mounted at {prefix}")

    async def __call__(self, scope: HttpScope, receive: Receive, send: Send) -> None:
        try:
            handler, path, raw_path = self.find(scope["raw_path"])
        except RequestError as exc:
            handler, path, raw_path = _raising(exc), "/", "/"
        request = Request(scope, receive, path=path, raw_path=raw_path)
        await answer(handler, request, Reply(scope, send, request=request))

    def find(self, raw_path: bytes) -> tuple[Handler, str, str]:
        """The handler for a request target, and the path below its prefix: decoded, and as sent.

        Raises:
            RequestError: 400 for a path that can be read in two ways, 404 where nothing is.
        """
        target = _target(raw_path)
        segments = split_path(raw_path)
        for length in range(len(segments), -1, -1):
            handler = self._mounts.get(tuple(segments[:length]))
            if handler is not None:
                below = target[1:].split("/")[length:]
                return handler, "/" + "/".join(segments[length:]), "/" + "/".join(below)
        raise RequestError(
            "nothing is served at this path",
            code="not-found",
            http_status=404,
            hint="see `path_prefix` of the endpoints in the configuration",
        )


@contextlib.contextmanager
def mounted(routers: Iterable[Router], prefix: str, handler: Handler) -> Iterator[None]:
    """Serve what lies below a prefix, on several networks, as long as the block lasts.

    Raises:
        ValueError: the prefix is taken on one of them, or is no absolute path.
    """
    with contextlib.ExitStack() as stack:
        for router in routers:
            router.mount(prefix, handler)
            stack.callback(router.unmount, prefix)
        yield


def split_path(raw_path: bytes) -> list[str]:
    """The decoded segments of a request target; the last one is empty after a trailing slash.

    Raises:
        RequestError: 400 for ``..``, ``//`` and encoded separators, which others may read
            differently.
    """
    target = _target(raw_path)
    if not target.startswith("/"):
        raise _ambiguous("it does not begin with a slash")
    if "//" in target:
        raise _ambiguous("it has an empty segment")
    lowered = target.lower()
    if any(refused in lowered for refused in _REFUSED):
        raise _ambiguous("it holds %2f, %5c, %00 or a backslash")
    try:
        segments = [unquote(segment, errors="strict") for segment in target[1:].split("/")]
    except UnicodeDecodeError:
        raise _ambiguous("it is not UTF-8") from None
    if any(segment in (".", "..") for segment in segments):
        raise _ambiguous("it has a dot segment")
    return segments


def _target(raw_path: bytes) -> str:
    """The path of a request target, as sent."""
    target = raw_path.decode("latin-1")
    scheme, separator, rest = target.partition("://")
    if separator and scheme.lower() in ("http", "https"):  # absolute form, RFC 9112 3.2.2
        return "/" + rest.partition("/")[2]
    return target


def _prefix(prefix: str) -> tuple[str, ...]:
    if not prefix.startswith("/"):
        raise ValueError(f"path prefix {prefix} does not begin with a slash")
    return tuple(segment for segment in prefix.split("/") if segment)


def _ambiguous(why: str) -> RequestError:
    return RequestError(
        f"this path cannot be served: {why}",
        code="malformed-path",
        hint="send the plain path, with one slash between its segments",
    )


def _raising(error: RequestError) -> Handler:
    async def handler(request: Request, reply: Reply) -> None:
        raise error

    return handler
