"""An origin as failures name it."""

from __future__ import annotations

from dataclasses import dataclass

from harmony.config.urls import BaseUrl
from harmony.errors import Retry, Unavailable, UpstreamError
from harmony.tls.faults import TlsFault


@dataclass(frozen=True, slots=True)
class Peer:
    """Whose origin it is, and where.

    Attributes:
        backend: as named in the configuration.
    """

    backend: str
    base: BaseUrl

    def __str__(self) -> str:
        return str(self.base)

    def failure(
        self,
        detail: str,
        *,
        code: str,
        http_status: int = 502,
        hint: str | None = None,
        retry: Retry = Retry.LATER,
        retry_after: int | None = None,
        peer_http_status: int | None = None,
        asked: bool = True,
    ) -> UpstreamError:
        """An error that names this origin; `detail` names it, too."""
        return UpstreamError(
            detail,
            code=code,
            http_status=http_status,
            hint=hint,
            peer=str(self),
            backend=self.backend,
            retry=retry,
            retry_after=retry_after,
            peer_http_status=peer_http_status,
            asked=asked,
        )

    def busy(self, detail: str) -> Unavailable:
        """There is no connection for one more request."""
        return Unavailable(
            detail,
            code="backend-busy",
            backend=self.backend,
            hint="try again, or raise `max_connections` of this backend if its origin allows more",
        )

    def closing(self) -> Unavailable:
        """The backend is not, or no more, open."""
        return Unavailable("shutting down", code="draining", backend=self.backend)

    def unreachable(self, why: str, *, hint: str | None = None) -> UpstreamError:
        """There is no connection."""
        return self.failure(
            f"cannot connect to {self}: {why}",
            code="connection-failed",
            asked=False,
            hint=hint or "is it running, and does `url` of this backend name its host and port?",
        )

    def unreachable_in_time(self, seconds: float) -> UpstreamError:
        """There is no connection, or no TLS on it, yet."""
        return self.failure(
            f"connecting to {self} took longer than {seconds:g} s",
            code="connect-timeout",
            http_status=504,
            asked=False,
            hint="a firewall may drop the packets, or the host is down",
        )

    def tls_failed(self, fault: TlsFault) -> UpstreamError:
        """It cannot be trusted, or does not trust us."""
        return self.failure(
            f"TLS with {self} failed: {fault.text}",
            code="tls-failed",
            hint=fault.hint,
            retry=fault.retry,
            asked=False,
        )

    def lost(self) -> UpstreamError:
        """The connection ended under a request."""
        return self.failure(
            f"{self} closed the connection before it answered",
            code="connection-lost",
            hint="its log may say why; one that wants another certificate of ours may do so, too"
            if self.base.is_secure
            else "its log may say why",
        )

    def broken(self) -> UpstreamError:
        """The body of an answer ended before its end."""
        return self.failure(
            f"{self} closed the connection in the middle of its answer", code="answer-broken"
        )

    def not_http(self) -> UpstreamError:
        """What it said is not HTTP/1.1, or too much of it is a head. Nothing is quoted."""
        return self.failure(
            f"what {self} answers is not HTTP/1.1 in order",
            code="protocol-error",
            hint="check that `url` of this backend names its HTTP port",
        )

    def too_late(self, seconds: float) -> UpstreamError:
        """No head of an answer came in time."""
        return self.failure(
            f"{self} did not answer within {seconds:g} s",
            code="answer-timeout",
            http_status=504,
            hint="it is slow or stuck; `timeouts.answer_seconds` says how long to wait",
        )

    def silent(self, seconds: float) -> UpstreamError:
        """No more of the body came in time."""
        return self.failure(
            f"{self} stopped for {seconds:g} s in the middle of its answer",
            code="answer-timeout",
            http_status=504,
        )

    def stalled(self, seconds: float) -> UpstreamError:
        """It takes no more of the request."""
        return self.failure(
            f"{self} took nothing of the request for {seconds:g} s",
            code="peer-stalled",
            http_status=504,
        )
