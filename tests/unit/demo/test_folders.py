"""A demo's folder goes, whatever ends the block, or stays whole."""

import os
import signal

import pytest

from harmony.demo.folders import FolderExists, lasting_folder, passing_folder


def test_a_passing_folder_is_gone_with_all_in_it():
    with passing_folder() as folder:
        (folder / "a").mkdir()
        (folder / "a" / "b").write_text("b")
    assert not folder.exists()


def test_it_is_for_its_owner_only():
    with passing_folder() as folder:
        assert folder.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_the_block_and_removes_the_folder(number):
    with pytest.raises(SystemExit) as ended, passing_folder() as folder:
        os.kill(os.getpid(), number)
    assert ended.value.code == 128 + number
    assert not folder.exists()


def test_a_signal_while_it_is_removed_changes_nothing(monkeypatch):
    removed = []

    def remove(path):
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            os.kill(os.getpid(), number)
        removed.append(path)
        path.rmdir()

    monkeypatch.setattr("harmony.demo.folders.shutil.rmtree", remove)
    with passing_folder() as folder:
        pass
    assert removed == [folder]


def test_signals_mean_afterwards_what_they_meant_before():
    before = [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)]
    with passing_folder():
        pass
    after = [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)]
    assert after == before


def test_a_signal_that_is_ignored_stays_so():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with passing_folder():
            os.kill(os.getpid(), signal.SIGHUP)
    finally:
        signal.signal(signal.SIGHUP, before)


def test_a_lasting_folder_appears_whole(tmp_path):
    path = tmp_path / "new" / "demo"
    with lasting_folder(path) as folder:
        (folder / "a").write_text("a")
        assert not path.exists()
    assert (path / "a").read_text() == "a"
    assert [each.name for each in path.parent.iterdir()] == ["demo"]


def test_nothing_stays_if_it_fails(tmp_path):
    with pytest.raises(RuntimeError), lasting_folder(tmp_path / "demo") as folder:
        (folder / "a").write_text("a")
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []


def test_nothing_that_exists_is_touched(tmp_path):
    path = tmp_path / "demo"
    path.mkdir()
    with pytest.raises(FolderExists, match="demo exists already"), lasting_folder(path):
        pass
    assert [each.name for each in tmp_path.iterdir()] == ["demo"]
