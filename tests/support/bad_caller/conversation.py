"""A conversation with an acceptor as a value, how it is held, and how its answers are judged.

The oracle: everything the acceptor sends is what an acceptor may send; it is made of whole
PDUs; it ends soon after the caller has; and nothing that was not done is called done.
"""

from __future__ import annotations

import contextlib
import enum
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from tests.support.bad_caller.answers import Answer, Closed, messages
from tests.support.bad_caller.caller import SECONDS, bad_caller
from tests.support.bad_pacs.pdu import ProtocolError
from tests.support.bad_pacs.wire import PeerGone

_HEAR_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class Say:
    """Send these bytes."""

    data: bytes


@dataclass(frozen=True, slots=True)
class Hear:
    """Wait for a PDU, so that the acceptor is where the case wants it; or for nothing."""

    seconds: float = _HEAR_SECONDS


Step: TypeAlias = Say | Hear


class Expect(enum.Enum):
    """What besides proper PDUs and an end is asked of the acceptor."""

    ORDER = "order"  # nothing: the bytes may happen to be in order
    NO_SUCCESS = "no success"  # no response says success, warning or pending
    NO_RESPONSE = "no response"  # no DIMSE response at all


Ending: TypeAlias = Literal["half_close", "close", "reset", "listen"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One connection.

    Attributes:
        ending: how the caller ends it. After ``half_close`` the acceptor must end it too, after
            ``listen`` it must even do so by itself; ``close`` and ``reset`` hear no answer.
    """

    name: str
    steps: tuple[Step, ...]
    expect: Expect = Expect.ORDER
    ending: Ending = "half_close"


def hold(
    case: Case, host: str, port: int, *, seconds: float = SECONDS
) -> tuple[list[Answer], str | None]:
    """Hold one conversation: what came, and what is wrong with it, if anything is."""
    answers: list[Answer] = []
    try:
        with bad_caller(host, port, seconds=seconds) as caller:
            with contextlib.suppress(PeerGone):
                for step in case.steps:
                    if isinstance(step, Say):
                        caller.send(step.data)
                        continue
                    with contextlib.suppress(TimeoutError):
                        answers.append(caller.next(seconds=step.seconds))
                        if isinstance(answers[-1], Closed):
                            break
            if case.ending == "reset":
                caller.reset()
            elif case.ending != "close":
                if case.ending == "half_close":
                    caller.half_close()
                while not answers or not isinstance(answers[-1], Closed):
                    answers.append(caller.next())
    except TimeoutError:
        return answers, f"not ended after {seconds:g} s"
    except ProtocolError as exc:
        return answers, str(exc)
    except OSError as exc:
        return answers, f"cannot connect: {exc}"
    return answers, judge(case.expect, answers)


def judge(expect: Expect, answers: Sequence[Answer]) -> str | None:
    """What the answers have that they must not have; None if all is well."""
    try:
        told = messages(answers)
    except ProtocolError as exc:
        return str(exc)
    for message in told:
        if message.status is None:
            continue  # a C-STORE-RQ of a C-GET
        if expect is Expect.NO_RESPONSE:
            return f"a response with status {message.status:#06x}, where none may be"
        if expect is Expect.NO_SUCCESS and not message.is_failure:
            return f"status {message.status:#06x} for what cannot have been done"
    return None
