"""Why there is no association, in words that say what to check. The same for every engine."""

from __future__ import annotations

from harmony.dimse.connecting import tls_failed
from harmony.dimse.late_alerts import fault_of
from harmony.dimse.link import End
from harmony.dimse.target import Target
from harmony.errors import UpstreamError


def no_answer(target: Target) -> UpstreamError:
    """The A-ASSOCIATE-RQ was not answered in time. PS3.8 7.1.2."""
    return UpstreamError(
        f"{target} did not answer the association request within "
        f"{target.timeouts.associate_seconds:g} s",
        code="associate-timeout",
        http_status=504,
        asked=False,
        peer=str(target),
        hint="something else than a PACS may listen there, or it has no room left",
    )


def not_established(target: Target, end: End) -> UpstreamError:
    """The connection ended, or had to, instead of an answer to the A-ASSOCIATE-RQ."""
    fault = fault_of(end)
    if fault is not None:
        return tls_failed(target, fault)
    hint = "a PACS that knows neither AE title often closes the connection without a word; so does "
    hint += (
        "a TLS port that is spoken to in plain DICOM"
        if target.tls is None
        else "one that wants a certificate of ours: see `tls.cert_file`"
    )
    if end is End.PROTOCOL:
        hint = "something else than a PACS may answer on this port: check `port`"
    return UpstreamError(
        f"no association with {target}: {end.value}",
        code="associate-failed",
        http_status=504 if end is End.STALLED else 502,
        asked=False,
        peer=str(target),
        hint=hint,
    )
