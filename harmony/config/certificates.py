"""When a certificate is valid, out of its DER. RFC 5280 4.1.

Python's own library tells it of authorities alone.
"""

from __future__ import annotations

import ssl
from datetime import UTC, datetime
from typing import NamedTuple

_VERSION, _UTC_TIME = 0xA0, 0x17


class _Value(NamedTuple):
    tag: int
    content: bytes
    rest: bytes


def validity(pem: bytes) -> tuple[datetime, datetime]:
    """The first and the last moment, in UTC.

    Args:
        pem: one certificate, which OpenSSL has taken for one.
    """
    certificate = _value(ssl.PEM_cert_to_DER_cert(pem.decode("ascii")))
    rest = _value(certificate.content).content
    if rest[0] == _VERSION:
        rest = _value(rest).rest
    for _ in ("serial number", "signature algorithm", "issuer"):
        rest = _value(rest).rest
    begin = _value(_value(rest).content)
    return _time(begin), _time(_value(begin.rest))


def _value(der: bytes) -> _Value:
    """The first value. ITU-T X.690 8.1."""
    length, start = der[1], 2
    if length & 0x80:
        start += length & 0x7F
        length = int.from_bytes(der[2:start], "big")
    return _Value(der[0], der[start : start + length], der[start + length :])


def _time(value: _Value) -> datetime:
    """RFC 5280 4.1.2.5: two digits of a year from 50 on are of the last century."""
    text = value.content.decode("ascii")
    if value.tag == _UTC_TIME:
        text = ("19" if text[:2] >= "50" else "20") + text
    return datetime.strptime(text, "%Y%m%d%H%M%SZ").replace(tzinfo=UTC)
