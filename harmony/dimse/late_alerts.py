"""A TLS connection that the peer ends over our certificate, as an ending of a link."""

from __future__ import annotations

from harmony.dimse.link import End
from harmony.tls.faults import (
    CERTIFICATE_MISSING,
    CERTIFICATE_REFUSED,
    TlsFault,
    late_tls_fault,
)


def late_alert(exc: OSError) -> End | None:
    """The ending that `exc` means; None if our certificate is not why."""
    fault = late_tls_fault(exc)
    if fault is None:
        return None
    return End.CERTIFICATE_MISSING if fault is CERTIFICATE_MISSING else End.CERTIFICATE_REFUSED


def fault_of(end: End) -> TlsFault | None:
    """The explanation of what `late_alert` gave; None for any other ending."""
    if end is End.CERTIFICATE_MISSING:
        return CERTIFICATE_MISSING
    return CERTIFICATE_REFUSED if end is End.CERTIFICATE_REFUSED else None
