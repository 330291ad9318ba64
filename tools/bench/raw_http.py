"""The same HTTP request again and again on kept connections, at little cost before any server."""

from __future__ import annotations

import socket
import threading
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

    threads = [threading.Thread(target=ask) for _ in range(connections)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(answered)


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
