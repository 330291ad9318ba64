"""Spoils bytes: blindly, or where it hurts. All chance comes from a `random.Random` given."""

from __future__ import annotations

import random
import struct
from collections.abc import Callable, Sequence

_LENGTHS_16 = (0, 1, 2, 3, 0x7FFF, 0x8000, 0xFFFE, 0xFFFF)
_LENGTHS_32 = (0, 1, 2, 3, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFE, 0xFFFFFFFF)
_MAX_GROWTH = 1 << 16

Mutator = Callable[[random.Random, bytearray], None]


def mutate(rng: random.Random, data: bytes) -> bytes:
    """The same bytes with one to four things wrong."""
    spoilt = bytearray(data)
    for _ in range(rng.randint(1, 4)):
        rng.choice(_MUTATORS)(rng, spoilt)
    return bytes(spoilt)


def garbage(rng: random.Random) -> bytes:
    """Bytes of another protocol, or of none."""
    return rng.choice(
        (
            b"GET / HTTP/1.1\r\nHost: pacs\r\n\r\n",
            b"POST /dicom/find HTTP/1.1\r\nContent-Length: 4294967296\r\n\r\n{",
            b"SSH-2.0-OpenSSH_9.2\r\n",
            tls_hello(),
            bytes(rng.choice((1, 6, 4096))),
            b"\xff" * rng.choice((1, 6, 4096)),
            rng.randbytes(rng.choice((1, 3, 6, 74, 4096))),
        )
    )


def tls_hello() -> bytes:
    """The beginning of a TLS 1.2 ClientHello, with a cipher and no extension."""
    body = b"\x03\x03" + bytes(32) + b"\0" + b"\0\x02\x13\x01" + b"\x01\0"
    handshake = b"\x01" + len(body).to_bytes(3, "big") + body
    return b"\x16\x03\x01" + len(handshake).to_bytes(2, "big") + handshake


def mutate_pdu(rng: random.Random, whole: bytes) -> bytes:
    """A PDU that is wrong in its header, in its items, or anywhere. PS3.8 9.3.1."""
    head, body = whole[:6], whole[6:]
    length = len(body)
    claimed = rng.choice((0, 1, 3, length - 1, length + 1, length // 2, *_LENGTHS_32[4:]))
    other_type = rng.choice((0, 1, 2, 3, 4, 5, 6, 7, 8, 0x16, 0x47, 0xFF))
    return rng.choice(
        (
            lambda: head[:2] + struct.pack(">I", max(0, claimed)) + body,
            lambda: whole[: rng.randrange(len(whole))],
            lambda: whole * rng.randint(2, 5),
            lambda: bytes([other_type]) + whole[1:],
            lambda: head[:1] + b"\xff" + whole[2:],  # reserved: not tested when received
            lambda: head + mutate(rng, body) if body else whole,
            lambda: _with_true_length(head, mutate(rng, body)),
            lambda: _with_true_length(head, _mutate_items(rng, body)),
        )
    )()


def _with_true_length(head: bytes, body: bytes) -> bytes:
    return head[:2] + struct.pack(">I", len(body)) + body


def _mutate_items(rng: random.Random, body: bytes) -> bytes:
    """Items doubled, shuffled, left out, put into each other, or lying about their length."""
    fixed, items = body[:68], _split(body[68:])
    if not items:
        return mutate(rng, body)
    at = rng.randrange(len(items))
    chosen = items[at]
    kind = rng.randrange(6)
    if kind == 0:
        items.insert(at, chosen)
    elif kind == 1:
        items = items * rng.choice((2, 128))
    elif kind == 2:
        rng.shuffle(items)
    elif kind == 3:
        del items[at]
    elif kind == 4:
        for _ in range(rng.choice((1, 10, 200))):
            chosen = (chosen[:2] + struct.pack(">H", len(chosen) & 0xFFFF) + chosen)[:60000]
        items[at] = chosen
    else:
        items[at] = chosen[:2] + struct.pack(">H", rng.choice(_LENGTHS_16)) + chosen[4:]
    return (fixed + b"".join(items))[: len(body) + _MAX_GROWTH]


def _split(data: bytes) -> list[bytes]:
    found = []
    at = 0
    while at + 4 <= len(data):
        (length,) = struct.unpack_from(">H", data, at + 2)
        found.append(data[at : at + 4 + length])
        at += 4 + length
    return found


def _span(rng: random.Random, data: bytearray) -> tuple[int, int]:
    start = rng.randrange(len(data) + 1)
    return start, min(len(data), start + rng.choice((1, 2, 4, 8, 64)))


def _flip(rng: random.Random, data: bytearray) -> None:
    if data:
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)


def _overwrite(rng: random.Random, data: bytearray) -> None:
    if data:
        data[rng.randrange(len(data))] = rng.choice((0, 1, 0x20, 0x7F, 0x80, 0xFE, 0xFF))


def _length(rng: random.Random, data: bytearray) -> None:
    form, values = rng.choice(
        (("<H", _LENGTHS_16), (">H", _LENGTHS_16), ("<I", _LENGTHS_32), (">I", _LENGTHS_32))
    )
    size = struct.calcsize(form)
    if len(data) >= size:
        struct.pack_into(form, data, rng.randrange(len(data) - size + 1), rng.choice(values))


def _insert(rng: random.Random, data: bytearray) -> None:
    start, _ = _span(rng, data)
    data[start:start] = rng.randbytes(rng.choice((1, 2, 3, 8, 100)))


def _delete(rng: random.Random, data: bytearray) -> None:
    start, end = _span(rng, data)
    del data[start:end]


def _repeat(rng: random.Random, data: bytearray) -> None:
    start, end = _span(rng, data)
    data[start:start] = (data[start:end] * rng.choice((1, 2, 1000)))[:_MAX_GROWTH]


def _truncate(rng: random.Random, data: bytearray) -> None:
    del data[rng.randrange(len(data) + 1) :]


def _swap(rng: random.Random, data: bytearray) -> None:
    start, end = _span(rng, data)
    part = data[start:end]
    del data[start:end]
    at = rng.randrange(len(data) + 1)
    data[at:at] = part


_MUTATORS: Sequence[Mutator] = (
    _flip,
    _overwrite,
    _length,
    _insert,
    _delete,
    _repeat,
    _truncate,
    _swap,
)
