"""What the check accepts is served: generated configurations, with real listeners."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio

from harmony.assembly import assemble
from harmony.config.loading import load_files
from harmony.daemon.running import Daemon
from harmony.dimse.engines import Engines
from harmony.telemetry.exchanges import Reporter
from harmony.telemetry.log import get_logger
from harmony.telemetry.metrics import Metrics
from tests.support.generated_configurations import valid

CASES = 200
BATCH = 20
SECONDS = 60


@pytest.mark.parametrize("first", range(0, CASES, BATCH))
async def test_what_is_found_right_is_served(first: int, tmp_path: Path) -> None:
    with trio.fail_after(SECONDS):
        for seed in range(first, first + BATCH):
            await started(tmp_path, seed)


async def started(folder: Path, seed: int) -> None:
    """Serve the configuration of a seed until it is ready."""
    file = folder / "config.toml"
    file.write_text(valid(seed, any_port=True).text, encoding="utf-8")
    configuration = load_files(file).configuration
    assert configuration is not None, seed
    metrics = Metrics()
    reporter = Reporter(get_logger("harmony.test"), metrics)
    engines = Engines(threads=trio.CapacityLimiter(64))
    assembly = assemble(configuration, observer=reporter, engines=engines, state_dir=folder)
    ready = trio.Event()
    daemon = Daemon(
        configuration,
        assembly,
        metrics=metrics,
        reporter=reporter,
        on_ready=lambda _: ready.set(),
        arm_hard_stop=lambda _: None,
    )
    async with trio.open_nursery() as nursery:

        async def run() -> None:
            ended = await daemon.run()
            pytest.fail(f"seed {seed}: {ended.problem}")

        nursery.start_soon(run)
        await ready.wait()
        bound = {each.name for each in daemon.readiness.listeners}
        nursery.cancel_scope.cancel()
    assert len(bound) > 1, seed
