"""L2: certificates and keys."""

from __future__ import annotations

from harmony.config.rulebook.examples import (
    CERTIFICATE,
    ENCRYPTED_KEY,
    EXPIRED,
    KEY,
    OTHER_KEY,
    with_tls,
)
from harmony.config.rulebook.rule import File, Rule

_PAIR = 'cert_file = "harmony.pem", key_file = "harmony.key"'
_OF_A_PAIR = with_tls(_PAIR, File("harmony.pem", CERTIFICATE), File("harmony.key", KEY))

ENTRIES = (
    Rule(
        code="HRM-E261",
        title="file cannot be read",
        template="`{key}`: no readable file `{file}`: {reason}",
        explanation="A certificate, a key or a secret is not where the path says, or this user may "
        "not read it. A relative path starts at the folder of the main file.",
        bad=with_tls('ca_file = "hospital.pem"'),
        good=with_tls('ca_file = "hospital.pem"', File("hospital.pem", CERTIFICATE)),
    ),
    Rule(
        code="HRM-E262",
        title="key of another certificate",
        template="key `{key_file}` does not match `{cert_file}`",
        explanation="A certificate is of use only with the private key that it was made for. In a "
        "file with several certificates the first is Harmony's own; those of the authorities "
        "between follow it.",
        bad=with_tls(_PAIR, File("harmony.pem", CERTIFICATE), File("harmony.key", OTHER_KEY)),
        good=_OF_A_PAIR,
    ),
    Rule(
        code="HRM-E263",
        title="certificate out of its time",
        template="certificate `{file}` {when}",
        explanation="A certificate counts from its first to its last day, by the clock of whoever "
        "looks at it. Of a file with several, the first is looked at here.",
        bad=with_tls('ca_file = "hospital.pem"', File("hospital.pem", EXPIRED)),
        good=with_tls('ca_file = "hospital.pem"', File("hospital.pem", CERTIFICATE)),
    ),
    Rule(
        code="HRM-E266",
        title="encrypted key",
        template="key `{file}` is encrypted, and there is nobody to ask for its passphrase",
        explanation="Harmony starts without anybody at a keyboard, so the key is kept as a file "
        "that is not encrypted and that only its own user can read.",
        bad=with_tls(_PAIR, File("harmony.pem", CERTIFICATE), File("harmony.key", ENCRYPTED_KEY)),
        good=_OF_A_PAIR,
    ),
    Rule(
        code="HRM-E267",
        title="not PEM",
        template="`{file}` is not PEM with a {wanted}",
        explanation="Certificates and keys are text in base64 between `-----BEGIN` and `-----END` "
        "lines. Binary files (DER, PKCS #12) are converted with `openssl x509`, `openssl pkey` or "
        "`openssl pkcs12`.",
        bad=with_tls('ca_file = "hospital.pem"', File("hospital.pem", "hospital\n")),
        good=with_tls('ca_file = "hospital.pem"', File("hospital.pem", CERTIFICATE)),
    ),
    Rule(
        code="HRM-W268",
        title="peer not verified",
        template="backend `{name}` does not verify the peer's certificate",
        explanation="With `verify = false` anybody on the way can answer as the peer, read what "
        "is sent and change it. A peer with a certificate of its own making is trusted by naming "
        "that certificate as `ca_file`.",
        bad=with_tls("verify = false"),
        good=with_tls('ca_file = "pacs.pem"', File("pacs.pem", CERTIFICATE)),
    ),
)
