"""Names of files and the steps between them."""

import re

import pytest

from harmony.archive.objects import Objects, SyncFailed, new_id
from tests.support.archive import TroubledDisk, files_below


@pytest.fixture
def disk():
    return TroubledDisk()


@pytest.fixture
def objects(tmp_path, disk):
    made = Objects(tmp_path, disk)
    made.prepare()
    disk.reset()
    return made


def test_a_name_is_128_random_bits():
    names = {new_id() for _ in range(100)}
    assert len(names) == 100
    assert all(re.fullmatch("[0-9a-f]{32}", name) for name in names)


def test_preparing_leaves_nothing_and_may_be_repeated(objects, tmp_path):
    objects.prepare()
    assert not files_below(tmp_path, "incoming")
    assert not objects.any_file()


def test_preparing_fails_where_a_file_cannot_have_two_names(tmp_path, disk):
    disk.failing, disk.failure = ("link",), lambda: PermissionError(1, "not permitted")
    with pytest.raises(PermissionError):
        Objects(tmp_path, disk).prepare()
    assert not files_below(tmp_path, "incoming")


def test_a_file_is_published_then_settled(objects, tmp_path):
    file = new_id()
    objects.create(file).close()
    objects.publish(file)
    assert objects.path(file).parent == tmp_path / "objects" / file[:2]
    assert list(objects.unsettled()) == [file]
    objects.settle(file)
    assert list(objects.unsettled()) == []
    assert objects.found(file[:2]) == {file}
    assert objects.is_whole(file, 0)
    assert not objects.is_whole(file, 1)


def test_the_name_that_marks_a_file_as_uncommitted_goes_last(objects, disk):
    file = new_id()
    objects.create(file).close()
    objects.publish(file)
    disk.reset()
    objects.discard(file)
    assert disk.steps == [("unlink", file[:2]), ("unlink", "incoming")]


@pytest.mark.parametrize("step", ["sync", "sync_folder"])
def test_a_sync_that_failed_is_told_apart(objects, disk, step):
    disk.failing, disk.failure = (step,), lambda: OSError(5, "input/output error")
    file = new_id()
    with objects.create(file) as stream:
        with pytest.raises(SyncFailed):
            objects.sync(stream)
            objects.publish(file)
            objects.sync_names([file])


def test_names_in_one_folder_share_a_sync(objects, disk):
    objects.sync_names(["ab" + "0" * 30, "cd" + "0" * 30, "ab" + "1" * 30])
    assert disk.steps == [("sync_folder", "objects")] * 2


def test_strange_files_are_nobodys(objects, tmp_path):
    (tmp_path / "objects" / "ab" / "notes.txt").touch()
    (tmp_path / "objects" / "ab" / ("cd" * 16 + ".dcm")).touch()  # in another's folder
    (tmp_path / "incoming" / "..dcm").touch()
    assert not objects.any_file()
    assert list(objects.unsettled()) == []
