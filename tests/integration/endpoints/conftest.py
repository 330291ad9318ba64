"""Engines before one another."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from harmony.dimse.engines import Engine
from tests.support import engines


@pytest.fixture(params=Engine, ids=lambda engine: f"by {engine}")
def calling_engine(request: pytest.FixtureRequest) -> Iterator[Engine]:
    """That of whoever calls the endpoint; `engine` is the endpoint's."""
    with engines.called_from(request.param):
        yield request.param
