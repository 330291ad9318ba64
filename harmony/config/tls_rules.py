"""L2: certificates and keys. Their files are read here, and nothing of them is shown."""

from __future__ import annotations

import base64
import re
import ssl
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from harmony.config.certificates import validity
from harmony.config.findings import Finding, KeyPath
from harmony.config.merging import Judged, Merged
from harmony.config.reading import UnreadableFile, read_bytes
from harmony.config.schemas import mapping

_CERTIFICATE = re.compile(
    rb"-----BEGIN CERTIFICATE-----\s[A-Za-z0-9+/=\s]+-----END CERTIFICATE-----"
)
_KEY = re.compile(rb"-----BEGIN ([A-Z ]*PRIVATE KEY)-----\s(.+?)-----END \1-----", re.DOTALL)

_SEQUENCE = b"\x30"  # every kind of key is one, in DER
# A key of another kind than the certificate leaves it unassigned.
_NOT_A_PAIR = ("KEY_VALUES_MISMATCH", "KEY_TYPE_MISMATCH", "NO_CERTIFICATE_ASSIGNED")


def unreadable_file(merged: Merged) -> Iterator[Finding]:
    """E261: no file is there, or it may not be read."""
    for given in merged.judged.get("HRM-E261", ()):
        try:
            _read(merged, given)
        except UnreadableFile as error:
            yield given.finding(
                "HRM-E261",
                "paths are relative to the folder of the main file",
                key=given.path[-1],
                file=given.text,
                reason=error.reason,
            )


def not_pem(merged: Merged) -> Iterator[Finding]:
    """E267: a file without what its key needs, in PEM."""
    for given in _pem_files(merged):
        data = _content(merged, given)
        if data is None or _encrypted(given, data):
            continue
        if _is_key(given):
            wanted, good = "private key", _holds_key(data)
        else:
            wanted, good = "certificate", _holds_certificates(data)
        if not good:
            yield given.finding(
                "HRM-E267",
                f"it should have a block `-----BEGIN {wanted.upper()}-----`; `openssl` converts "
                "other forms",
                file=given.text,
                wanted=wanted,
            )


def encrypted_key(merged: Merged) -> Iterator[Finding]:
    """E266: a key that would need a passphrase."""
    for given in _pem_files(merged):
        data = _content(merged, given)
        if data is not None and _encrypted(given, data):
            yield given.finding(
                "HRM-E266",
                "`openssl pkey -in OLD -out NEW` decrypts it; let nobody else read the new file",
                file=given.text,
            )


def key_of_another_certificate(merged: Merged) -> Iterator[Finding]:
    """E262: a certificate and a key, each good, that are not a pair."""
    pairs: dict[tuple[str, KeyPath], dict[object, Judged]] = {}
    for given in _pem_files(merged):
        pairs.setdefault((given.source.file, given.path[:-1]), {})[given.path[-1]] = given
    for pair in pairs.values():
        certificate, key = pair.get("cert_file"), pair.get("key_file")
        if certificate is None or key is None:
            continue
        chain, secret = _content(merged, certificate), _content(merged, key)
        if chain is None or secret is None or _encrypted(key, secret):
            continue
        if not (_holds_certificates(chain) and _holds_key(secret)):
            continue
        if _differ(merged.folder / certificate.text, merged.folder / key.text):
            yield key.finding(
                "HRM-E262",
                "name the key that the certificate was made for; the first certificate of the "
                "file counts",
                key_file=key.text,
                cert_file=certificate.text,
            )


def expired(merged: Merged) -> Iterator[Finding]:
    """E263: a certificate whose time is over or has not come."""
    now = datetime.now(UTC)
    for given in _pem_files(merged):
        data = _content(merged, given)
        if data is None or _is_key(given) or not _holds_certificates(data):
            continue
        begin, end = validity(_CERTIFICATE.findall(data)[0])
        if begin <= now <= end:
            continue
        late = now > end
        yield given.finding(
            "HRM-E263",
            "have it renewed, or check the clock of this machine",
            file=given.text,
            when=f"expired on {end:%Y-%m-%d}" if late else f"is not valid before {begin:%Y-%m-%d}",
        )


def unverified(merged: Merged) -> Iterator[Finding]:
    """W268: TLS with whoever answers."""
    for backend in merged.intact("backends"):
        tls = mapping(mapping(backend.table.get("options")).get("tls"))
        if tls.get("verify") is False:
            path = (*backend.path, "options", "tls", "verify")
            yield backend.source.finding(
                "HRM-W268",
                path,
                hint="write `ca_file` with the peer's authority, or its own certificate, instead",
                name=backend.name,
            )


def _pem_files(merged: Merged) -> Iterator[Judged]:
    for given in merged.judged.get("HRM-E261", ()):
        if given.path[-1] != "file":  # of a secret
            yield given


def _read(merged: Merged, given: Judged) -> bytes:
    return read_bytes(merged.folder / given.text)


def _content(merged: Merged, given: Judged) -> bytes | None:
    try:
        return _read(merged, given)
    except UnreadableFile:
        return None  # which E261 says


def _is_key(given: Judged) -> bool:
    return given.path[-1] == "key_file"


def _encrypted(given: Judged, data: bytes) -> bool:
    if not _is_key(given) or (match := _KEY.search(data)) is None:
        return False
    # RFC 5958, and the older header of RFC 1421.
    return match[1].startswith(b"ENCRYPTED") or b"Proc-Type: 4,ENCRYPTED" in match[2]


def _holds_certificates(data: bytes) -> bool:
    blocks = _CERTIFICATE.findall(data)
    try:
        for block in blocks:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.load_verify_locations(cadata=block.decode("ascii"))
    except (ssl.SSLError, ValueError):
        return False
    return bool(blocks)


def _holds_key(data: bytes) -> bool:
    match = _KEY.search(data)
    if match is None:
        return False
    try:
        return base64.b64decode(b"".join(match[2].split()), validate=True).startswith(_SEQUENCE)
    except ValueError:
        return False


def _differ(certificate: Path, key: Path) -> bool:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        # Without a password of its own it would ask for one on the terminal.
        context.load_cert_chain(certificate, key, password="")
    except ssl.SSLError as error:
        return error.reason in _NOT_A_PAIR
    except OSError:
        return False  # gone since it was read
    return False


OF_FILES = (unreadable_file, not_pem, encrypted_key, key_of_another_certificate, expired)
RULES = (unverified,)
