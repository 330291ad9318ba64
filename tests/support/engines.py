"""The engine under test: what the helpers of this package run associations on, in both roles.

The fixture `engine` sets it, so a suite runs over all engines by one line at its head:

    pytestmark = pytest.mark.usefixtures("engine")

A slow test gives the other engines the core of its cases only; see `cases`.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from contextvars import ContextVar

import pytest
import trio

from harmony.dimse.engines import DEFAULT_ENGINE, Engine, Engines
from harmony.dimse.listener import AcceptLink
from harmony.dimse.pool import OpenLink

_UNDER_TEST = ContextVar("engine under test", default=DEFAULT_ENGINE)
_CALLING: ContextVar[Engine | None] = ContextVar("engine of test callers", default=None)
_MANY = 256


@contextlib.contextmanager
def tested(engine: Engine) -> Iterator[None]:
    """Put it under test in this block."""
    token = _UNDER_TEST.set(engine)
    try:
        yield
    finally:
        _UNDER_TEST.reset(token)


@contextlib.contextmanager
def called_from(engine: Engine) -> Iterator[None]:
    """Let the callers of `tests.support.dicom_endpoint` have this one in this block."""
    token = _CALLING.set(engine)
    try:
        yield
    finally:
        _CALLING.reset(token)


def cases(
    names: Sequence[str], all_cases: Sequence[tuple[str, ...]], *, core: Sequence[tuple[str, ...]]
) -> pytest.MarkDecorator:
    """Parametrize a test: all cases for the default engine, and the core of them for the others."""
    others = [engine for engine in Engine if engine is not DEFAULT_ENGINE]
    found = [(DEFAULT_ENGINE, *case) for case in all_cases]
    found += [(engine, *case) for engine in others for case in core]
    ids = ["-".join(filter(None, case)) for case in found]
    return pytest.mark.parametrize(("engine", *names), found, ids=ids, indirect=["engine"])


def under_test() -> Engine:
    """The one under test; the default of the configuration, unless a test says otherwise."""
    return _UNDER_TEST.get()


def calling() -> Engine:
    """That of the callers; the one under test, unless a test says otherwise."""
    return _CALLING.get() or under_test()


def engines() -> Engines:
    """All of them, with as many threads as a test may want."""
    return Engines(threads=trio.CapacityLimiter(_MANY))


def open_link(engine: Engine | None = None) -> OpenLink:
    return engines().open_link(engine or under_test())


def accept_link(engine: Engine | None = None) -> AcceptLink:
    return engines().accept_link(engine or under_test())
