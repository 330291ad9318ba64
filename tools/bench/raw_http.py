"""HTTP requests on kept connections, many at once, at little cost before any server."""

from __future__ import annotations

import http.client
import socket
import threading
from collections.abc import Sequence
from typing import BinaryIO

_SECONDS = 60


def request(path: str, body: bytes) -> bytes:
    """A POST of JSON."""
    head = (
        f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        f"Accept: */*\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def ask_many(host: str, port: int, asked: bytes, *, connections: int, each: int) -> int:
    """Ask `each` times on each of so many connections at once; how often the answer was 200."""
    answered: list[int] = []

    def ask() -> None:
        with (
            socket.create_connection((host, port), timeout=_SECONDS) as sock,
            sock.makefile("rb") as stream,
        ):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for _ in range(each):
                sock.sendall(asked)
                answered.append(read_answer(stream) == 200)

    _run([threading.Thread(target=ask) for _ in range(connections)])
    return sum(answered)


def get(host: str, port: int, path: str, accept: str) -> bytes:
    """The body of one answer, over a connection of its own.

    Raises:
        ConnectionError: it is not whole, or its status is not 200.
    """
    (body,) = get_all(host, port, [(path, accept)], connections=1)
    return body


def get_all(
    host: str, port: int, asked: Sequence[tuple[str, str]], *, connections: int
) -> list[bytes]:
    """The bodies of answers to GETs of paths, each with what is accepted, in any order.

    A server may end a connection after an answer; then there is a new one.

    Raises:
        ConnectionError: one of them is not whole, or its status is not 200.
    """
    left = iter(asked)
    bodies: list[bytes] = []
    failures: list[BaseException] = []

    def ask() -> None:
        connection = http.client.HTTPConnection(host, port, timeout=_SECONDS)
        try:
            for path, accept in left:
                connection.request("GET", path, headers={"Accept": accept})
                answer = connection.getresponse()
                body = answer.read()
                if answer.status != 200:
                    raise ConnectionError(f"status {answer.status}")
                bodies.append(body)
        except (OSError, http.client.HTTPException) as exc:
            failures.append(exc)
        finally:
            connection.close()

    _run([threading.Thread(target=ask) for _ in range(connections)])
    if failures:
        raise ConnectionError(str(failures[0]))
    return bodies


def _run(threads: Sequence[threading.Thread]) -> None:
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def read_answer(stream: BinaryIO) -> int:
    """Read an answer to its end; the status.

    Raises:
        ConnectionError: it ends before that.
    """
    line = _line(stream)
    status = int(line.split()[1])
    headers: dict[bytes, bytes] = {}
    while line := _line(stream):
        name, _, value = line.partition(b":")
        headers[name.lower()] = value.strip()
    if headers.get(b"transfer-encoding") == b"chunked":
        while size := int(_line(stream), 16):
            stream.read(size + 2)
        _line(stream)
    else:
        stream.read(int(headers[b"content-length"]))
    return status


def _line(stream: BinaryIO) -> bytes:
    line = stream.readline()
    if not line.endswith(b"\r\n"):
        raise ConnectionError("the server has closed the connection")
    return line[:-2]
