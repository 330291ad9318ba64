"""The stages of reaching a PACS, and which of them an error is about."""

from __future__ import annotations

import enum


class Stage(enum.Enum):
    """In the order in which they happen; the value is for people."""

    RESOLVE = "resolve"
    CONNECT = "connect"
    TLS = "TLS"
    ASSOCIATE = "associate"
    NEGOTIATE = "negotiate"
    ANSWER = "C-ECHO"


_STAGES = {
    "name-unknown": Stage.RESOLVE,
    "lookup-timeout": Stage.RESOLVE,
    "connection-failed": Stage.CONNECT,
    "connect-timeout": Stage.CONNECT,
    "tls-failed": Stage.TLS,
    "tls-timeout": Stage.TLS,
    "association-rejected": Stage.ASSOCIATE,
    "operation-not-supported": Stage.NEGOTIATE,
}


def stage_of(code: str, *, associated: bool) -> Stage:
    """The stage that an error ended.

    Args:
        code: of `harmony.errors`.
        associated: whether the association stood.
    """
    return _STAGES.get(code, Stage.ANSWER if associated else Stage.ASSOCIATE)


def before(stage: Stage) -> tuple[Stage, ...]:
    """The stages that went well if this one did not."""
    every = tuple(Stage)
    return every[: every.index(stage)]
