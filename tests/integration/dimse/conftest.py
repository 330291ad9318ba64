"""The engine under test, for tests that open associations themselves."""

from __future__ import annotations

import pytest

from harmony.dimse.engines import Engine
from harmony.dimse.pool import OpenLink
from tests.support import engines


@pytest.fixture
def open_link(engine: Engine) -> OpenLink:
    return engines.open_link(engine)
