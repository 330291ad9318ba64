"""The folder of a cache is private, and none is left behind for long."""

from __future__ import annotations

import errno
import fcntl
import os
import signal
import stat
import subprocess
import sys

import pytest

from harmony.cache.folder import Folder
from harmony.cache.kept import hold
from harmony.envelope import WholeBytes
from harmony.errors import Unavailable


def test_it_is_for_its_owner_alone_and_its_names_tell_nothing(tmp_path):
    folder = Folder.open(tmp_path)
    descriptor, path = folder.create()
    os.close(descriptor)
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert len(path.name) == 32
    folder.close()
    assert list(tmp_path.iterdir()) == []


def test_two_live_side_by_side(tmp_path):
    first, second = Folder.open(tmp_path), Folder.open(tmp_path)
    assert len(list(tmp_path.iterdir())) == 2
    first.close()
    second.close()


def test_another_that_comes_while_it_is_made_leaves_it_alone(tmp_path, monkeypatch):
    flock = fcntl.flock

    def after_another(descriptor: int, how: int) -> None:
        monkeypatch.undo()
        Folder.open(tmp_path).close()
        flock(descriptor, how)

    monkeypatch.setattr(fcntl, "flock", after_another)
    folder = Folder.open(tmp_path)
    descriptor, path = folder.create()
    os.close(descriptor)
    assert path.exists()
    folder.close()


def test_what_a_killed_process_left_behind_is_removed(tmp_path):
    code = (
        "import sys, time, pathlib; from harmony.cache.folder import Folder;"
        "folder = Folder.open(pathlib.Path(sys.argv[1])); folder.create();"
        "print('there', flush=True);"
        "time.sleep(60)"
    )
    process = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE)
    assert process.stdout is not None
    with process.stdout:
        process.stdout.readline()
        (left,) = tmp_path.iterdir()
        Folder.open(tmp_path).close()
        assert left.exists()  # its process lives
        process.send_signal(signal.SIGKILL)
        process.wait()
    Folder.open(tmp_path).close()
    assert list(tmp_path.iterdir()) == []


def test_other_things_beside_it_are_left_alone(tmp_path):
    (tmp_path / "harmony-cache-without-lock").mkdir()
    (tmp_path / "other").mkdir()
    Folder.open(tmp_path).close()
    assert len(list(tmp_path.iterdir())) == 2


async def test_a_full_disk_is_told_and_leaves_no_file(tmp_path, monkeypatch):
    folder = Folder.open(tmp_path)

    def full(descriptor: int, data: bytes) -> int:
        raise OSError(errno.ENOSPC, "no room")

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(Unavailable) as caught:
        await hold(WholeBytes(b"some data"), folder, 0)
    monkeypatch.undo()
    assert (caught.value.code, caught.value.http_status) == ("no-space", 503)
    assert [each.name for each in tmp_path.glob("*/*")] == ["lock"]
    folder.close()
