from __future__ import annotations

import socket
import subprocess
import threading

import pytest
import trio

from tests.support.leak_watch import assert_nothing_left, leftovers, snapshot


def test_nothing_left_passes():
    before = snapshot()
    with socket.socket():
        pass
    assert_nothing_left(before, grace_seconds=0)


def test_open_socket_is_named():
    before = snapshot()
    with socket.socket(), pytest.raises(AssertionError, match=r"descriptor \d+ \(socket:"):
        assert_nothing_left(before, grace_seconds=0)
    assert_nothing_left(before, grace_seconds=0)


def test_descriptor_reused_for_another_socket_is_named():
    first = socket.socket()
    number = first.fileno()
    before = snapshot()
    first.close()
    with socket.socket() as second:
        assert second.fileno() == number
        assert [name.split(" (")[0] for name in leftovers(before, snapshot())] == [
            f"descriptor {number}"
        ]


def test_running_thread_is_named():
    before = snapshot()
    end = threading.Event()
    thread = threading.Thread(target=end.wait, name="left-over")
    thread.start()
    try:
        with pytest.raises(AssertionError, match="thread 'left-over'"):
            assert_nothing_left(before, grace_seconds=0)
    finally:
        end.set()
        thread.join()


def test_thread_that_ends_within_the_grace_passes():
    before = snapshot()
    end = threading.Event()
    thread = threading.Thread(target=end.wait)
    thread.start()
    threading.Timer(0.1, end.set).start()
    assert_nothing_left(before, grace_seconds=30)
    assert not thread.is_alive()


def test_child_process_is_named():
    before = snapshot()
    with subprocess.Popen(["sleep", "60"]) as child:
        try:
            with pytest.raises(AssertionError, match=f"child process {child.pid}"):
                assert_nothing_left(before, grace_seconds=0)
        finally:
            child.kill()


def test_idle_worker_of_trio_is_no_leak():
    before = snapshot()
    trio.run(trio.to_thread.run_sync, lambda: None)
    assert any(thread.name.startswith("Trio thread") for thread in threading.enumerate())
    assert_nothing_left(before)


def test_busy_worker_of_trio_is_a_leak():
    before = snapshot()
    end = threading.Event()

    async def abandon() -> None:
        with trio.move_on_after(0.05):
            await trio.to_thread.run_sync(end.wait, abandon_on_cancel=True)

    trio.run(abandon)
    try:
        with pytest.raises(AssertionError, match="thread 'wait from"):
            assert_nothing_left(before, grace_seconds=0)
    finally:
        end.set()
    assert_nothing_left(before)
