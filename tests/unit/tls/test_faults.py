"""Handshakes that fail, and what is said about them on both sides."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest

from harmony.errors import Retry
from harmony.tls.contexts import ClientTls, ServerTls, client_context, server_context
from harmony.tls.faults import inbound_tls_reason, outbound_tls_fault
from tests.support.certificates import Authority, Identity
from tests.support.handshakes import Handshake, hear, shake_hands

NAME = "pacs.test"
PLAIN = "if it speaks plain DICOM, set `use_tls = false`"
V12, V13 = ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3
ASSOCIATE_RQ = b"\x01\x00\x00\x00\x00\xcd\x00\x01\x00\x00" + b"PACS".ljust(16) + b"SCU".ljust(16)
ABORT = b"\x07\x00\x00\x00\x00\x04\x00\x00\x02\x00"


class Parties:
    """Two authorities and what they sign, in files."""

    def __init__(self, folder: Path) -> None:
        self.ours = Authority(folder)
        self.theirs = Authority(folder, name="theirs")
        self.server = self.ours.issue(NAME, name="server")
        self._folder = folder

    def client(
        self, trusts: Authority | None = None, identity: Identity | None = None
    ) -> ssl.SSLContext:
        return client_context(
            ClientTls(
                ca_file=str((trusts or self.ours).ca_file),
                cert_file=None if identity is None else str(identity.cert_file),
                key_file=None if identity is None else str(identity.key_file),
            ),
            self._folder,
        )

    def listener(self, identity: Identity | None = None, *, ask: bool = False) -> ssl.SSLContext:
        shown = identity or self.server
        return server_context(
            ServerTls(
                cert_file=str(shown.cert_file),
                key_file=str(shown.key_file),
                ca_file=str(self.ours.ca_file),
                client_certificate="required" if ask else "none",
            ),
            self._folder,
        )


@pytest.fixture
def parties(tmp_path: Path) -> Parties:
    return Parties(tmp_path)


def speak(context: ssl.SSLContext, version: ssl.TLSVersion) -> ssl.SSLContext:
    context.minimum_version = V12  # else the maximum could fall below it
    context.maximum_version = version
    context.minimum_version = version
    return context


def outbound(handshake: Handshake) -> tuple[str, str, Retry]:
    assert handshake.client is not None
    fault = outbound_tls_fault(handshake.client, NAME, plain=PLAIN)
    return fault.text, fault.hint, fault.retry


def inbound(handshake: Handshake) -> tuple[str, str]:
    assert handshake.server is not None
    return inbound_tls_reason(handshake.server)


# The peer's certificate


def test_certificate_of_an_unknown_authority(parties: Parties) -> None:
    handshake = shake_hands(parties.client(trusts=parties.theirs), parties.listener())
    text, hint, retry = outbound(handshake)
    assert text == "its certificate is from an unknown authority"
    assert "`tls.ca_file`" in hint
    assert retry is Retry.NEVER
    word, text = inbound(handshake)
    assert (word, text) == ("own-certificate", "the caller refused our certificate: unknown ca")


def test_certificate_that_has_expired(parties: Parties) -> None:
    expired = parties.ours.issue(NAME, name="expired", expired=True)
    handshake = shake_hands(parties.client(), parties.listener(expired))
    text, hint, retry = outbound(handshake)
    assert text == "its certificate has expired"
    assert "clock" in hint
    assert retry is Retry.NEVER
    assert inbound(handshake)[0] == "own-certificate"


@pytest.mark.parametrize("name", ["other.test", "192.0.2.1"])
def test_certificate_for_another_name(parties: Parties, name: str) -> None:
    identity = parties.ours.issue(name, name="named")
    text, hint, retry = outbound(shake_hands(parties.client(), parties.listener(identity)))
    assert text == f"its certificate is not for {NAME}"
    assert "`tls.server_name`" in hint
    assert name not in hint  # what a peer says is not repeated
    assert retry is Retry.NEVER


# Our certificate


@pytest.mark.parametrize(
    ("version", "text"),
    [(V12, "it refused the handshake"), (V13, "it wants a certificate of ours")],
    ids=["1.2", "1.3"],
)
def test_no_certificate_where_one_is_required(
    parties: Parties, version: ssl.TLSVersion, text: str
) -> None:
    handshake = shake_hands(speak(parties.client(), version), parties.listener(ask=True))
    told, hint, retry = outbound(handshake)
    assert told == text
    assert "`tls.cert_file`" in hint
    assert retry is Retry.NEVER
    assert inbound(handshake)[0] == "no-certificate"


@pytest.mark.parametrize("version", [V12, V13], ids=["1.2", "1.3"])
@pytest.mark.parametrize(
    ("fault", "text", "word"),
    [
        ("foreign", "it does not know the authority of our certificate", "unknown-authority"),
        ("expired", "it finds our certificate expired", "certificate-expired"),
    ],
)
def test_a_certificate_of_ours_that_is_refused(
    parties: Parties, version: ssl.TLSVersion, fault: str, text: str, word: str
) -> None:
    issuer = parties.theirs if fault == "foreign" else parties.ours
    identity = issuer.issue("scu.test", name="scu", expired=fault == "expired")
    calling = speak(parties.client(identity=identity), version)
    handshake = shake_hands(calling, parties.listener(ask=True))
    told, hint, retry = outbound(handshake)
    assert told == text
    assert "`tls.cert_file`" in hint
    assert retry is Retry.NEVER
    assert inbound(handshake)[0] == word


# Nothing in common


def test_no_common_version(parties: Parties) -> None:
    handshake = shake_hands(speak(parties.client(), V12), speak(parties.listener(), V13))
    assert outbound(handshake)[0] == "it speaks neither TLS 1.2 nor 1.3"
    assert inbound(handshake)[0] == "no-common-version"


def test_no_common_cipher(parties: Parties) -> None:
    listener = speak(parties.listener(), V12)
    listener.set_ciphers("ECDHE-ECDSA-AES128-SHA256")
    handshake = shake_hands(parties.client(), listener)
    text, hint, _ = outbound(handshake)
    assert text == "it refused the handshake"
    assert "AES-GCM" in hint
    word, text = inbound(handshake)
    assert word == "no-common-cipher"
    assert "AES-GCM" in text


# No TLS at all


@pytest.mark.parametrize(
    "said",
    [ABORT, b"HTTP/1.0 400 Bad Request\r\n\r\n", b"SSH-2.0-OpenSSH_9.2\r\n", b"\xff" * 64],
    ids=["A-ABORT", "HTTP", "SSH", "garbage"],
)
def test_a_peer_that_speaks_no_tls(parties: Parties, said: bytes) -> None:
    fault = outbound_tls_fault(hear(parties.client(), said, server_side=False), NAME, plain=PLAIN)
    assert fault.text == "it does not speak TLS there"
    assert PLAIN in fault.hint
    assert fault.retry is Retry.NEVER


@pytest.mark.parametrize(
    "said",
    [ASSOCIATE_RQ, b"GET / HTTP/1.1\r\n\r\n", b"CONNECT a:1 HTTP/1.1\r\n\r\n", b"\xff" * 64],
    ids=["A-ASSOCIATE-RQ", "HTTP", "proxy", "garbage"],
)
def test_a_caller_that_speaks_no_tls(parties: Parties, said: bytes) -> None:
    word, text = inbound_tls_reason(hear(parties.listener(), said, server_side=True))
    assert word == "not-tls"
    assert "plain DICOM" in text


@pytest.mark.parametrize("said", [b"", b"\x16\x03\x01"], ids=["nothing", "three bytes"])
def test_a_caller_that_closes(parties: Parties, said: bytes) -> None:
    assert (
        inbound_tls_reason(hear(parties.listener(), said, server_side=True))[0]
        == "closed-by-caller"
    )


@pytest.mark.parametrize("exc", [ConnectionResetError(104, "reset"), ssl.SSLEOFError(8, "EOF")])
def test_a_connection_that_ends_may_come_back(exc: OSError) -> None:
    fault = outbound_tls_fault(exc, NAME, plain=PLAIN)
    assert fault.text == "it closed the connection"
    assert PLAIN in fault.hint
    assert fault.retry is Retry.LATER
    assert inbound_tls_reason(exc)[0] == "closed-by-caller"


def test_a_broken_handshake_is_told_in_the_words_of_openssl(parties: Parties) -> None:
    said = b"\x16\x03\x01\x00\x10" + b"\xff" * 64
    exc = hear(parties.listener(), said, server_side=True)
    assert inbound_tls_reason(exc) == ("tls-failed", "the TLS handshake failed: unexpected message")
