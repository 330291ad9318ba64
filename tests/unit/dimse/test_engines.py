"""Engines by name."""

import functools
import subprocess
import sys

import pytest
import trio

from harmony.dimse.engines import Engine, Engines

SERVED = """
import sys
import harmony.cli.serve
from harmony.dimse.engines import Engine, Engines
import trio

engines = Engines(threads=trio.CapacityLimiter(1))
for name in sys.argv[1:]:
    engines.open_link(Engine(name)), engines.accept_link(Engine(name))
print("pynetdicom" in sys.modules)
"""


def loads_pynetdicom(*names):
    """Whether a process that serves on these engines has it in memory."""
    ended = subprocess.run(
        [sys.executable, "-c", SERVED, *names], check=True, capture_output=True, text=True
    )
    return ended.stdout == "True\n"


@pytest.mark.parametrize("names", [(), ("trio",)])
def test_who_does_not_use_pynetdicom_does_not_load_it(names):
    assert not loads_pynetdicom(*names)


def test_who_uses_pynetdicom_loads_it():
    assert loads_pynetdicom("pynetdicom")


def test_all_links_on_pynetdicom_share_the_threads():
    threads = trio.CapacityLimiter(7)
    engines = Engines(threads=threads)
    for make in (engines.open_link, engines.accept_link):
        link = make(Engine.PYNETDICOM)
        assert isinstance(link, functools.partial)
        assert link.keywords == {"limiter": threads}
