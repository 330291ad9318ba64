"""Opening, recovering and committing: what a crash at any step leaves behind."""

import contextlib
import errno
import sqlite3

import pytest

from harmony.archive.arrivals import COERCED, DUPLICATE, OUT_OF_RESOURCES, SUCCESS, Refused
from harmony.archive.folder import INDEX, STATUSES, CommitFailed, Folder
from harmony.archive.index import Index, Unusable, Verdict
from harmony.archive.objects import SyncFailed
from harmony.dicom.status import StatusKind, kind
from tests.support.archive import Crash, TroubledDisk, arrive, data_set, files_below, store

MOST_STEPS = 20


def lose(folder, disk=None):
    """The process is gone: no cleaning up, but the lock is free."""
    if disk is not None:
        disk.close_files()
    folder.close()


def contents(path, folder):
    """How many instances the index has, and how many files there are in all."""
    return (
        folder.index.count(),
        len(files_below(path, "objects")),
        len(files_below(path, "incoming")),
    )


def test_every_verdict_has_a_status_that_tells_whether_the_bytes_are_archived():
    assert set(STATUSES) == set(Verdict)
    assert STATUSES[Verdict.SAME] == STATUSES[Verdict.REPLACED] == SUCCESS
    assert STATUSES[Verdict.REFUSED] == DUPLICATE
    assert STATUSES[Verdict.KEPT] == COERCED
    assert kind(COERCED) is StatusKind.WARNING


def test_the_index_learns_of_an_object_only_when_its_file_is_durable(tmp_path, monkeypatch):
    disk = TroubledDisk()
    folder = Folder.open(tmp_path, disk)
    add = folder.index.add

    def recorded(*given):
        disk.steps.append(("commit", "index"))
        return add(*given)

    monkeypatch.setattr(folder.index, "add", recorded)
    disk.reset()
    store(folder)
    assert disk.steps[-6:] == [
        ("write", str(len(data_set()))),
        ("sync", "file"),
        ("link", "objects"),
        ("sync_folder", "objects"),
        ("commit", "index"),
        ("unlink", "incoming"),
    ]
    folder.close()


def test_names_that_may_not_be_durable_are_not_committed(tmp_path):
    disk = TroubledDisk()
    folder = Folder.open(tmp_path, disk)
    disk.reset()
    disk.failing, disk.failure = ("sync_folder",), lambda: OSError(5, "input/output error")
    with pytest.raises(SyncFailed):
        store(folder)
    disk.failing = ()
    folder.close()
    again = Folder.open(tmp_path, disk)
    assert again.recovery.unfinished == 1
    assert not again.objects.any_file()
    again.close()


@pytest.mark.parametrize("at", range(MOST_STEPS))
def test_a_crash_at_any_step_of_a_store_leaves_the_whole_object_or_nothing(tmp_path, at):
    disk = TroubledDisk()
    folder = Folder.open(tmp_path, disk)
    store(folder, SOPInstanceUID="1.1")
    disk.reset()
    disk.at = at
    told = False
    try:
        store(folder)
        told = True
    except Crash:
        pass
    lose(folder, disk)
    folder = Folder.open(tmp_path)
    count, objects, incoming = contents(tmp_path, folder)
    assert (objects, incoming) == (count, 0)
    assert count == 2 or not told
    assert not folder.recovery.missing
    assert not folder.recovery.unclaimed
    assert store(folder).verdict in (Verdict.ADDED, Verdict.SAME)
    assert folder.index.count() == 2
    folder.close()
    assert told == (at >= 7)  # else this test would miss steps


@pytest.mark.parametrize("at", range(MOST_STEPS))
def test_a_crash_while_an_object_is_replaced_leaves_one_of_the_two(tmp_path, at):
    disk = TroubledDisk()
    folder = Folder.open(tmp_path, disk)
    store(folder)
    disk.reset()
    disk.at = at
    with contextlib.suppress(Crash):
        store(folder, "replace", StudyID="NEW")
    lose(folder, disk)
    folder = Folder.open(tmp_path)
    assert contents(tmp_path, folder) == (1, 1, 0)
    assert not folder.recovery.missing
    assert store(folder, "replace", StudyID="NEW").verdict in (Verdict.SAME, Verdict.REPLACED)
    folder.close()


@pytest.mark.parametrize("on_conflict", ["refuse", "keep"])
def test_what_is_not_taken_leaves_no_file(folder, on_conflict):
    store(folder)
    store(folder, on_conflict, StudyID="NEW")
    store(folder, on_conflict)
    assert contents(folder.objects.folder, folder) == (1, 1, 0)


def test_a_replaced_object_leaves_no_file(folder):
    store(folder)
    store(folder, "replace", StudyID="NEW")
    assert contents(folder.objects.folder, folder) == (1, 1, 0)
    assert folder.index.dropped() == []


def test_finished_objects_that_are_not_committed_can_be_given_up(folder):
    entry = arrive(folder, data_set())
    folder.discard([entry])
    assert contents(folder.objects.folder, folder) == (0, 0, 0)


def test_a_full_disk_at_the_commit_refuses_all_and_leaves_nothing(folder, monkeypatch):
    entry = arrive(folder, data_set())

    def full(*_):
        error = sqlite3.OperationalError("database or disk is full")
        error.sqlite_errorcode = sqlite3.SQLITE_FULL
        raise error

    monkeypatch.setattr(folder.index, "_add", full)
    with pytest.raises(Refused) as caught:
        folder.commit([entry], "refuse")
    assert caught.value.status == OUT_OF_RESOURCES
    assert contents(folder.objects.folder, folder) == (0, 0, 0)


def test_after_a_commit_that_failed_only_the_next_opening_knows(tmp_path, monkeypatch):
    folder = Folder.open(tmp_path)
    entry = arrive(folder, data_set())

    def broken(*_):
        error = sqlite3.OperationalError("disk I/O error")
        error.sqlite_errorcode = sqlite3.SQLITE_IOERR
        raise error

    monkeypatch.setattr(folder.index, "_add", broken)
    with pytest.raises(CommitFailed):
        folder.commit([entry], "refuse")
    assert contents(tmp_path, folder) == (0, 1, 1)
    lose(folder)
    folder = Folder.open(tmp_path)
    assert folder.recovery.unfinished == 1
    assert contents(tmp_path, folder) == (0, 0, 0)
    folder.close()


def test_a_disk_that_cannot_tell_of_an_archived_file_replaces_nothing(folder, monkeypatch):
    store(folder)
    entry = arrive(folder, data_set())

    def unreadable(*_):
        raise OSError(errno.EIO, "input/output error")

    monkeypatch.setattr(folder.objects, "is_whole", unreadable)
    with pytest.raises(CommitFailed):
        folder.commit([entry], "replace")
    assert folder.index.count() == 1
    folder.discard([entry])


def test_a_broken_archive_takes_nothing_more(folder):
    folder.broken = "as a test wants it"
    with pytest.raises(Refused) as caught:
        arrive(folder, data_set())
    assert caught.value.status == OUT_OF_RESOURCES


def test_what_was_on_its_way_when_the_archive_broke_is_not_taken_either(folder):
    entry = arrive(folder, data_set())
    folder.broken = "as a test wants it"
    with pytest.raises(Refused) as caught:
        folder.commit([entry], "refuse")
    assert caught.value.status == OUT_OF_RESOURCES
    assert contents(folder.objects.folder, folder) == (0, 0, 0)


def test_files_that_do_not_fit_the_index_are_told_and_left_alone(tmp_path):
    folder = Folder.open(tmp_path)
    store(folder)
    (lost,) = folder.objects.all_files()
    folder.objects.path(lost).unlink()
    stray = "ab" * 16
    folder.objects.path(stray).write_bytes(b"somebody put it there")
    folder.close()
    folder = Folder.open(tmp_path)
    assert folder.recovery.missing == (lost,)
    assert folder.recovery.unclaimed == (stray,)
    assert folder.objects.path(stray).exists()
    folder.close()


def test_a_lost_index_is_no_reason_to_delete_anything(tmp_path):
    folder = Folder.open(tmp_path)
    store(folder)
    folder.close()
    (tmp_path / INDEX).unlink()
    with pytest.raises(Unusable, match="harmony archive rebuild"):
        Folder.open(tmp_path)
    assert len(files_below(tmp_path, "objects")) == 1


def test_one_folder_has_one_owner(tmp_path):
    folder = Folder.open(tmp_path)
    with pytest.raises(Unusable, match="in use by another process"):
        Folder.open(tmp_path)
    folder.close()
    Folder.open(tmp_path).close()


def test_a_folder_that_fails_to_open_is_free_again(tmp_path):
    disk = TroubledDisk()
    disk.failing, disk.failure = ("create",), lambda: OSError(errno.EROFS, "read-only file system")
    with pytest.raises(Unusable, match="read-only file system"):
        Folder.open(tmp_path, disk)
    Folder.open(tmp_path).close()


def test_a_recovery_that_fails_lets_the_folder_go(tmp_path, monkeypatch):
    folder = Folder.open(tmp_path)
    arrive(folder, data_set())
    folder.close()

    def unreadable(*_):
        raise sqlite3.OperationalError("disk I/O error")

    with monkeypatch.context() as patch, pytest.raises(Unusable, match="disk I/O error"):
        patch.setattr(Index, "has_file", unreadable)
        Folder.open(tmp_path)
    folder = Folder.open(tmp_path)
    assert folder.recovery.unfinished == 1
    folder.close()


def test_what_is_no_folder_is_named(tmp_path):
    file = tmp_path / "file"
    file.touch()
    with pytest.raises(Unusable, match="cannot hold an archive"):
        Folder.open(file)


def test_nothing_in_the_folder_is_open_to_others(tmp_path):
    folder = Folder.open(tmp_path / "archive")
    store(folder)
    folder.close()
    for path in files_below(tmp_path, "archive/objects"):
        assert path.stat().st_mode & 0o077 == 0
    assert (tmp_path / "archive").stat().st_mode & 0o077 == 0
