"""Why a TLS handshake failed, in words that say what to change.

OpenSSL names causes by reasons (``WRONG_VERSION_NUMBER``), by the code of a failed
verification, or, where the peer has failed first, by the alert that it sent (RFC 8446 6.2).
What the peer's certificate holds is in none of these texts.
"""

from __future__ import annotations

import ssl
from dataclasses import dataclass

from harmony.errors import Retry


@dataclass(frozen=True, slots=True)
class TlsFault:
    """A handshake that failed.

    Attributes:
        text: what happened; "it" is the peer.
        hint: what to do about it.
        retry: whether it may go well another time, with nothing changed.
    """

    text: str
    hint: str
    retry: Retry = Retry.NEVER


# Codes of X509_verify_cert. Trust and names are the usual faults of a set-up.
_EXPIRED, _NOT_YET_VALID, _WRONG_PURPOSE = 10, 9, 26
_UNKNOWN_AUTHORITY = frozenset({2, 18, 19, 20, 21})
_WRONG_NAME = frozenset({62, 64})
_WEAK = frozenset({66, 67, 68})

_NOT_TLS = frozenset(
    {
        "HTTP_REQUEST",
        "HTTPS_PROXY_REQUEST",
        "UNKNOWN_PROTOCOL",
        "WRONG_VERSION_NUMBER",
    }
)
_NO_COMMON_VERSION = frozenset({"PROTOCOL_VERSION", "UNSUPPORTED_PROTOCOL", "VERSION_TOO_LOW"})
_NO_COMMON_CIPHER = frozenset(
    {
        "NO_SHARED_CIPHER",
        "NO_SHARED_GROUP",
        "NO_SHARED_SIGNATURE_ALGORITHMS",
        "NO_SUITABLE_KEY_SHARE",
        "NO_SUITABLE_SIGNATURE_ALGORITHM",
    }
)
_CERTIFICATE_ALERTS = frozenset(
    {
        "ACCESS_DENIED",
        "BAD_CERTIFICATE",
        "CERTIFICATE_EXPIRED",
        "CERTIFICATE_REVOKED",
        "CERTIFICATE_UNKNOWN",
        "UNKNOWN_CA",
        "UNSUPPORTED_CERTIFICATE",
    }
)

_CIPHERS = "ECDHE with AES-GCM or ChaCha20-Poly1305"
_OURS = "`tls.cert_file` and `tls.key_file`"

CERTIFICATE_MISSING = TlsFault(
    "it wants a certificate of ours", f"name one that it trusts in {_OURS}"
)
CERTIFICATE_REFUSED = TlsFault(
    "it refused our certificate",
    "make it trust the authority that signed `tls.cert_file`, and see that neither has "
    "expired; its log says more",
)
_ALERTS = {
    "CERTIFICATE_REQUIRED": CERTIFICATE_MISSING,
    "HANDSHAKE_FAILURE": TlsFault(
        "it refused the handshake",
        f"it may want a certificate of ours, {_OURS}, or know no cipher that is allowed "
        f"here: {_CIPHERS}",
    ),
    "UNKNOWN_CA": TlsFault(
        "it does not know the authority of our certificate",
        "make it trust the authority that signed `tls.cert_file`",
    ),
    "CERTIFICATE_EXPIRED": TlsFault(
        "it finds our certificate expired",
        "renew `tls.cert_file`, and check the clocks of both machines",
    ),
    "UNRECOGNIZED_NAME": TlsFault(
        "it does not serve the name that was asked for",
        "write the name that its certificate is for in `tls.server_name`",
    ),
}


def outbound_tls_fault(exc: OSError, name: str, *, plain: str) -> TlsFault:
    """Explain why a peer could not be called.

    Args:
        exc: what the handshake raised.
        name: what the peer's certificate was to be for.
        plain: what to change if the peer's port speaks without TLS.
    """
    if isinstance(exc, ssl.SSLCertVerificationError):
        return _their_certificate(exc, name)
    reason = _reason(exc)
    if reason is None:
        hint = f"it may admit this host not at all, or speak no TLS there: {plain}"
        return TlsFault("it closed the connection", hint, Retry.LATER)
    if reason in _NOT_TLS:
        return TlsFault("it does not speak TLS there", plain)
    if reason in _NO_COMMON_VERSION:
        return TlsFault("it speaks neither TLS 1.2 nor 1.3", "enable TLS 1.2 there")
    if reason in _ALERTS:
        return _ALERTS[reason]
    if reason in _CERTIFICATE_ALERTS:
        return CERTIFICATE_REFUSED
    return TlsFault(_words(reason), "its log may say more", Retry.LATER)


def _their_certificate(exc: ssl.SSLCertVerificationError, name: str) -> TlsFault:
    code = exc.verify_code
    if code in _UNKNOWN_AUTHORITY:
        return TlsFault(
            "its certificate is from an unknown authority",
            "name the file of that authority's certificate, or of its own, in `tls.ca_file`",
        )
    if code in _WRONG_NAME:
        return TlsFault(
            f"its certificate is not for {name}",
            "write the name that it is for in `tls.server_name`, or have one made for this name",
        )
    if code == _EXPIRED:
        return TlsFault("its certificate has expired", "renew it there, and check the clock here")
    if code == _NOT_YET_VALID:
        return TlsFault(
            "its certificate is not valid yet", "check the clocks of both machines", Retry.LATER
        )
    if code == _WRONG_PURPOSE:
        return TlsFault(
            "its certificate is not made for a server",
            "have one made with the extended key usage serverAuth",
        )
    if code in _WEAK:
        return TlsFault(
            "its certificate, or an authority's, is too weak",
            "have one made with RSA 2048 or P-256, and SHA-256",
        )
    return TlsFault(
        f"its certificate is not accepted: {exc.verify_message}", "have a proper one made"
    )


def late_tls_fault(exc: OSError) -> TlsFault | None:
    """Explain why a peer ends TLS over our certificate; None if that is not why.

    In TLS 1.3 a server judges it when the handshake is over for us (RFC 8446 4.4.2.4), so
    that the first read meets the alert.
    """
    reason = _reason(exc)
    if reason == "CERTIFICATE_REQUIRED":
        return CERTIFICATE_MISSING
    return CERTIFICATE_REFUSED if reason in _CERTIFICATE_ALERTS else None


def inbound_tls_reason(exc: OSError) -> tuple[str, str]:
    """A stable word and a text for a caller whose handshake failed; for the log.

    Args:
        exc: what the handshake raised.
    """
    if isinstance(exc, ssl.SSLCertVerificationError):
        if exc.verify_code in _UNKNOWN_AUTHORITY:
            return "unknown-authority", "the caller's certificate is not of an authority in ca_file"
        if exc.verify_code == _EXPIRED:
            return "certificate-expired", "the caller's certificate has expired"
        return "bad-certificate", f"the caller's certificate is bad: {exc.verify_message}"
    reason = _reason(exc)
    if reason is None:
        return "closed-by-caller", "the caller closed the connection"
    if reason == "PEER_DID_NOT_RETURN_A_CERTIFICATE":
        return "no-certificate", "the caller has no certificate, and one is required"
    if reason in _NOT_TLS:
        return "not-tls", "the caller does not speak TLS: plain DICOM on a TLS port?"
    if reason in _NO_COMMON_VERSION:
        return "no-common-version", "the caller speaks neither TLS 1.2 nor 1.3"
    if reason in _NO_COMMON_CIPHER:
        return "no-common-cipher", f"the caller knows no cipher that is allowed here: {_CIPHERS}"
    if reason in _CERTIFICATE_ALERTS:
        return "own-certificate", f"the caller refused our certificate: {_words(reason)}"
    return "tls-failed", f"the TLS handshake failed: {_words(reason)}"


def _reason(exc: OSError) -> str | None:
    """OpenSSL's reason, or the name of the peer's alert; None if the connection just ended."""
    if not isinstance(exc, ssl.SSLError) or isinstance(
        exc, ssl.SSLEOFError | ssl.SSLZeroReturnError | ssl.SSLSyscallError
    ):
        return None
    reason = exc.reason or "TLS_FAILED"
    if reason == "TLSV1_UNRECOGNIZED_NAME":  # the one alert that OpenSSL does not call so
        return "UNRECOGNIZED_NAME"
    return reason.rpartition("_ALERT_")[2]


def _words(reason: str) -> str:
    return reason.replace("_", " ").lower()
