"""Contexts for DICOM TLS: the profile of PS3.15 B.12, filled with the files of an options table.

The profile follows BCP 195 (RFC 8996 and RFC 9325): TLS 1.2 and 1.3, ephemeral keys only, and
only ciphers that authenticate what they encrypt.
"""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

# TLS 1.2; OpenSSL's own suites for TLS 1.3 are AES-GCM and ChaCha20-Poly1305, too.
CIPHERS = "ECDHE+AESGCM:ECDHE+CHACHA20"

_CERTIFICATE = b"-----BEGIN CERTIFICATE-----"
_PRIVATE_KEY = b"PRIVATE KEY-----"
_WEAK = {
    "EE_KEY_TOO_SMALL": "has a key that is too short: use RSA with 2048 bits, or P-256",
    "CA_MD_TOO_WEAK": "is signed with a digest that is broken: use SHA-256",
}


class TlsSetupError(ValueError):
    """A TLS context cannot be made.

    The text names key and file, and nothing of what the file holds.

    Attributes:
        key: of the options, e.g. ``cert_file``.
    """

    def __init__(self, key: str, text: str) -> None:
        super().__init__(f"`{key}`: {text}")
        self.key = key


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientTls:
    """How to call a TLS peer.

    Attributes:
        ca_file: who may vouch for the peer, PEM: its authority, or its own certificate; None
            for the system's authorities.
        cert_file: our certificate and its chain, PEM, for a peer that asks for one.
        key_file: its private key; the two go together.
        server_name: DNS name or IP address that the peer's certificate must be for; None for
            the host that is called.
        verify: whether the peer must prove who it is. Without, anybody on the way can read
            and change everything.
    """

    ca_file: str | None = None
    cert_file: str | None = None
    key_file: str | None = None
    server_name: str | None = None
    verify: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerTls:
    """How to answer TLS callers.

    Attributes:
        cert_file: our certificate and its chain, PEM.
        key_file: its private key.
        ca_file: who may vouch for callers, PEM; needed unless `client_certificate` is "none".
        client_certificate: whether callers must prove who they are, may, or are not asked.
    """

    cert_file: str
    key_file: str
    ca_file: str | None = None
    client_certificate: Literal["required", "optional", "none"] = "required"


def client_context(options: ClientTls, folder: Path) -> ssl.SSLContext:
    """Make the context for calls; blocks while it reads files.

    Args:
        options: what to make it of.
        folder: where relative paths start.

    Raises:
        TlsSetupError: a file is missing, unreadable, or not what its key says.
    """
    context = _profile(ssl.PROTOCOL_TLS_CLIENT)
    if not options.verify:
        context.check_hostname = False  # first: it does not go without the other
        context.verify_mode = ssl.CERT_NONE
    elif options.ca_file is None:
        context.load_default_certs(ssl.Purpose.SERVER_AUTH)
    else:
        _trust(context, folder / options.ca_file)
    if options.cert_file is not None and options.key_file is not None:
        _identify(context, folder / options.cert_file, folder / options.key_file)
    elif options.key_file is not None:
        raise TlsSetupError("cert_file", "missing: `key_file` is of no use without it")
    elif options.cert_file is not None:
        raise TlsSetupError("key_file", "missing: `cert_file` is of no use without it")
    if options.server_name is not None:
        _check_name(context, options.server_name)
    return context


def server_context(options: ServerTls, folder: Path) -> ssl.SSLContext:
    """Make the context for callers; blocks while it reads files.

    Args:
        options: what to make it of.
        folder: where relative paths start.

    Raises:
        TlsSetupError: a file is missing, unreadable, or not what its key says.
    """
    context = _profile(ssl.PROTOCOL_TLS_SERVER)
    _identify(context, folder / options.cert_file, folder / options.key_file)
    if options.client_certificate == "none":
        return context
    if options.ca_file is None:  # the system's authorities would let in half the world
        raise TlsSetupError(
            "ca_file",
            "missing: name the file of the authority that signs the callers' certificates, "
            'or write client_certificate = "none"',
        )
    _trust(context, folder / options.ca_file)
    required = options.client_certificate == "required"
    context.verify_mode = ssl.CERT_REQUIRED if required else ssl.CERT_OPTIONAL
    return context


def _profile(protocol: ssl._SSLMethod) -> ssl.SSLContext:
    """PS3.15 B.12, RFC 9325 3 and 4."""
    context = ssl.SSLContext(protocol)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(CIPHERS)
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION
    return context


def _trust(context: ssl.SSLContext, file: Path) -> None:
    _load_certificates(context, "ca_file", file)
    # What the file holds is trusted as it stands, be it an intermediate authority.
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN


def _identify(context: ssl.SSLContext, cert_file: Path, key_file: Path) -> None:
    # First into a context to throw away, so that what fails afterwards is the key.
    _load_certificates(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), "cert_file", cert_file)
    _check("key_file", key_file, _PRIVATE_KEY, "private key")

    def no_password() -> str:  # OpenSSL would ask the terminal
        raise TlsSetupError("key_file", f"{key_file} is encrypted: store it without a passphrase")

    try:
        context.load_cert_chain(cert_file, key_file, no_password)
    except ssl.SSLError as exc:
        if exc.reason in _WEAK:
            raise TlsSetupError("cert_file", f"{cert_file} {_WEAK[exc.reason]}") from exc
        if exc.reason == "KEY_VALUES_MISMATCH":
            text = f"{key_file} is not the key of the certificate in {cert_file}"
            raise TlsSetupError("key_file", text) from exc
        raise TlsSetupError("key_file", f"the private key in {key_file} is damaged") from exc


def _load_certificates(context: ssl.SSLContext, key: str, file: Path) -> None:
    _check(key, file, _CERTIFICATE, "certificate")
    try:
        context.load_verify_locations(cafile=file)
    except ssl.SSLError as exc:
        raise TlsSetupError(key, f"a certificate in {file} is damaged") from exc


def _check_name(context: ssl.SSLContext, name: str) -> None:
    try:
        context.wrap_bio(ssl.MemoryBIO(), ssl.MemoryBIO(), server_hostname=name)
    except (TypeError, ValueError) as exc:  # the first for a NUL
        raise TlsSetupError("server_name", "not a DNS name or an IP address") from exc


def _check(key: str, file: Path, marker: bytes, what: str) -> None:
    try:
        content = file.read_bytes()
    except OSError as exc:
        reason = (exc.strerror or "failed").lower()
        raise TlsSetupError(key, f"cannot read {file}: {reason}") from exc
    if marker not in content:
        raise TlsSetupError(key, f"{file} holds no {what} in PEM form")
