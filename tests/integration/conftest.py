"""Engines under contract: whoever asks for `engine` runs over each of them, in both roles."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from harmony.dimse.engines import Engine
from tests.support import engines


@pytest.fixture(params=Engine)
def engine(request: pytest.FixtureRequest) -> Iterator[Engine]:
    """The engine under test."""
    with engines.tested(request.param):
        yield request.param
