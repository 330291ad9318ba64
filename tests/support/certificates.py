"""Certificates in files, as the ``tls`` tables of a configuration name them.

authority = Authority(tmp_path)
server = authority.issue("127.0.0.1", name="server")
"""

from __future__ import annotations

import datetime
from dataclasses import dataclass
from pathlib import Path

import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

_PAST = datetime.datetime(2001, 1, 1)
_A_DAY = datetime.timedelta(days=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """A certificate with its chain, and its private key."""

    cert_file: Path
    key_file: Path


class Authority:
    """A certificate authority; what it signs lies beside its own certificate.

    Attributes:
        ca_file: its certificate.
    """

    def __init__(
        self, folder: Path, *, name: str = "ca", authority: trustme.CA | None = None
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._authority = authority or trustme.CA()
        self._folder = folder
        self.ca_file = folder / f"{name}.crt"
        self.ca_file.write_bytes(self._authority.cert_pem.bytes())

    def issue(self, *hosts: str, name: str, expired: bool = False) -> Identity:
        """Sign a certificate for `hosts`, to be ``name.crt`` and ``name.key``."""
        certificate = self._authority.issue_cert(
            *hosts,
            not_before=_PAST if expired else None,
            not_after=_PAST + _A_DAY if expired else None,
        )
        chain = b"".join(part.bytes() for part in certificate.cert_chain_pems)
        return _write(self._folder, name, chain, certificate.private_key_pem.bytes())

    def child(self, *, name: str) -> Authority:
        """An intermediate authority."""
        return Authority(self._folder, name=name, authority=self._authority.create_child_ca())


def self_signed(folder: Path, host: str, *, name: str) -> Identity:
    """A certificate that nobody vouches for, as PACS make them at their installation."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, host)])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _A_DAY)
        .not_valid_after(now + _A_DAY)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    return _write(folder, name, certificate.public_bytes(serialization.Encoding.PEM), _pem(key))


def encrypt_key(identity: Identity) -> Identity:
    """The same with a passphrase on its key, in a file of its own."""
    key = serialization.load_pem_private_key(identity.key_file.read_bytes(), None)
    encrypted = identity.key_file.with_suffix(".encrypted.key")
    encrypted.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"passphrase"),
        )
    )
    return Identity(cert_file=identity.cert_file, key_file=encrypted)


def dcmtk_options(
    identity: Identity, ca_file: Path, *, client_certificate: bool = True
) -> tuple[str | Path, ...]:
    """Options of DCMTK's programs for TLS, in both roles.

    Args:
        identity: who it is.
        ca_file: whom it trusts.
        client_certificate: as a server: whether callers must have one.
    """
    peers = "--require-peer-cert" if client_certificate else "--ignore-peer-cert"
    own = (identity.key_file, identity.cert_file)
    return ("--enable-tls", *own, "--add-cert-file", ca_file, peers)


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


def _write(folder: Path, name: str, certificates: bytes, key: bytes) -> Identity:
    written = Identity(cert_file=folder / f"{name}.crt", key_file=folder / f"{name}.key")
    written.cert_file.write_bytes(certificates)
    written.key_file.write_bytes(key)
    return written
