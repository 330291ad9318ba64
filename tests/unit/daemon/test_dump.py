"""Tasks and threads as log lines."""

import functools
import threading

import pytest
import trio

from harmony.daemon import dump
from harmony.telemetry import log


class Lines:
    def __init__(self):
        self.told = []

    def info(self, event, **keys):
        assert set(keys) <= set(log.KEYS)
        self.told.append((event, keys))

    def names(self, event):
        return [keys["name"] for told, keys in self.told if told == event]


async def wait_for_the_patient(name):
    await trio.sleep_forever()


@pytest.fixture
def lines():
    return Lines()


async def test_tasks_are_named_with_their_depth_and_never_with_their_values(lines):
    async with trio.open_nursery() as nursery:
        nursery.start_soon(wait_for_the_patient, "Zaphod^Beeblebrox")
        nursery.start_soon(functools.partial(wait_for_the_patient, name="Zaphod^Beeblebrox"))
        await trio.testing.wait_all_tasks_blocked()
        dump.dump(lines)
        nursery.cancel_scope.cancel()
    names = lines.names("dump.task")
    assert sum("wait_for_the_patient" in name for name in names) == 2
    assert "Beeblebrox" not in str(lines.told)
    depths = [keys["depth"] for event, keys in lines.told if event == "dump.task"]
    assert depths[0] == 0
    assert max(depths) > 0


async def test_threads_are_named(lines):
    end = threading.Event()
    thread = threading.Thread(target=end.wait, name="reactor of nobody")
    thread.start()
    try:
        dump.dump(lines)
    finally:
        end.set()
        thread.join()
    assert "reactor of nobody" in lines.names("dump.thread")


async def test_where_is_one_of_our_own_lines(lines):
    async with trio.open_nursery() as nursery:
        nursery.start_soon(functools.partial(dump_from_inside, lines))
    where = {keys["where"] for event, keys in lines.told if event == "dump.thread"}
    assert any(place is not None and place.startswith("daemon/dump.py:") for place in where)


async def dump_from_inside(lines):
    dump.dump(lines)


async def test_very_many_tasks_are_counted_but_not_all_told(lines, monkeypatch):
    monkeypatch.setattr(dump, "MAX_LINES", 3)
    async with trio.open_nursery() as nursery:
        for _ in range(10):
            nursery.start_soon(trio.sleep_forever)
        dump.dump(lines)
        nursery.cancel_scope.cancel()
    assert len(lines.names("dump.task")) == 3
    assert lines.told[-1][0] == "dump.finished"
    assert lines.told[-1][1]["count"] > 10
