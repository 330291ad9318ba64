"""What the check accepts is served: generated configurations, with real listeners."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio

from tests.support.deployment import deployed
from tests.support.generated_configurations import valid

CASES = 200
BATCH = 20
SECONDS = 60


@pytest.mark.parametrize("first", range(0, CASES, BATCH))
async def test_what_is_found_right_is_served(first: int, tmp_path: Path) -> None:
    with trio.fail_after(SECONDS):
        for seed in range(first, first + BATCH):
            async with deployed(tmp_path, valid(seed, deployed=True).text) as running:
                assert running.at, seed
