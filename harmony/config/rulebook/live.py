"""L3: what peers and this machine say, with ``--connect`` alone."""

from __future__ import annotations

from harmony.config.rulebook.rule import Rule


def _live(number: int, title: str, template: str, explanation: str) -> Rule:
    """A rule that no file can break or keep by itself."""
    return Rule(
        code=f"HRM-E{number}",
        title=title,
        template=template,
        explanation=explanation,
        bad=(),
        good=(),
    )


ENTRIES = (
    _live(
        501,
        "unknown host",
        "cannot resolve `{host}`",
        "The name service of this machine knows no address of the backend's host, or does not "
        "answer in time.",
    ),
    _live(
        502,
        "no connection",
        "cannot connect to `{peer}`",
        "Nobody listens there, a firewall drops the packets, or the peer takes too long.",
    ),
    _live(
        503,
        "TLS failed",
        "`{peer}`: TLS failed",
        "The two did not come to terms: the message says who did not trust whom.",
    ),
    _live(
        504,
        "association rejected",
        "`{peer}` rejected the association",
        "The peer is there and does not want us. Mostly it has no entry for our AE title, or "
        "another one than it calls itself.",
    ),
    _live(
        505,
        "no proper answer",
        "`{peer}` does not answer C-ECHO",
        "The peer was reached and hangs up, aborts, or answers a C-ECHO with a failure or not at "
        "all; its log may say why.",
    ),
    _live(
        506,
        "operation not accepted",
        "`{peer}` accepts no context for {operation}",
        "The peer is there, and does not offer us what a pipeline needs. Many PACS allow each "
        "operation to each caller one by one.",
    ),
    _live(
        507,
        "HTTP server does not answer",
        "`{url}` does not answer",
        "The server was reached and gave no proper answer to a HEAD of the backend's URL, refused "
        "us (401, 403), or said that it is broken (500, 502, 503, 504).",
    ),
    _live(
        509,
        "cannot listen",
        "cannot bind `{address}`",
        "Another program has the port, the address is none of this machine, or the port needs "
        "privileges.",
    ),
)
