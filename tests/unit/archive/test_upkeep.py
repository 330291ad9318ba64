"""Verify and rebuild."""

import os

import pytest

from harmony.archive.folder import INDEX, Folder
from harmony.archive.index import Unusable, Verdict
from harmony.archive.objects import new_id
from harmony.archive.upkeep import rebuild, verify
from tests.support.archive import arrive, data_set, files_below, store


def ignore(_):
    pass


@pytest.fixture
def path(tmp_path):
    """An archive of three instances that nobody has open."""
    folder = Folder.open(tmp_path)
    for uid in ("1.1", "1.2", "1.3"):
        store(folder, SOPInstanceUID=uid)
    folder.close()
    return tmp_path


def verified(path):
    folder = Folder.open(path)
    try:
        return verify(folder, ignore)
    finally:
        folder.close()


def told(path):
    """All that the index says, but for when and under which row id."""
    folder = Folder.open(path)
    with folder.index.reading() as db:
        found = [
            db.execute(f"SELECT * FROM {table} ORDER BY key").fetchall()
            for table in ("patient", "study", "series")
        ]
        found.append(
            db.execute(
                "SELECT file, SOPInstanceUID, head_bytes, size, sha256, transfer_syntax, Modality "
                "FROM instance JOIN series ON series.id = instance.series ORDER BY file"
            ).fetchall()
        )
    folder.close()
    return found


def test_an_archive_in_order(path):
    counts: list[int] = []
    folder = Folder.open(path)
    report = verify(folder, counts.append)
    folder.close()
    assert (report.good, report.faults) == (3, ())
    assert counts == [1, 2, 3]


@pytest.mark.parametrize(
    ("damage", "what"),
    [
        (lambda file: file.unlink(), "missing"),
        (lambda file: file.write_bytes(file.read_bytes() + b"x"), "another length"),
        (lambda file: file.write_bytes(file.read_bytes()[:-1] + b"x"), "bytes have changed"),
    ],
)
def test_verify_names_each_damaged_file_by_its_random_name(path, damage, what):
    file = files_below(path, "objects")[0]
    damage(file)
    report = verified(path)
    assert report.good == 2
    (fault,) = report.faults
    assert fault.file == file.stem
    assert what in fault.what


def test_verify_names_files_that_the_index_does_not_know(path):
    stray = path / "objects" / "ab" / f"{'ab' * 16}.dcm"
    stray.write_bytes(b"")
    (fault,) = verified(path).faults
    assert fault.file == stray.stem
    assert "does not know" in fault.what


@pytest.mark.parametrize("loss", ["none", "deleted", "garbage"])
def test_a_rebuilt_index_says_the_same(path, loss):
    before = told(path)
    if loss == "deleted":
        (path / INDEX).unlink()
    elif loss == "garbage":
        (path / INDEX).write_bytes(b"garbage" * 1000)
        (path / f"{INDEX}-wal").write_bytes(b"garbage" * 1000)
    report = rebuild(path, ignore)
    assert (report.good, report.faults) == (3, ())
    assert told(path) == before
    assert verified(path).good == 3
    assert not list(path.glob("index.new*"))


def test_a_rebuild_that_was_interrupted_is_begun_anew(path):
    (path / "index.new").write_bytes(b"half of an index")
    assert rebuild(path, ignore).good == 3


def test_files_that_are_no_objects_are_told_and_left(path):
    names = {}
    for content in (b"", b"no DICOM", bytes(128) + b"DICM"):
        name = new_id()
        (path / "objects" / name[:2] / f"{name}.dcm").write_bytes(content)
        names[name] = content
    report = rebuild(path, ignore)
    assert report.good == 3
    assert {fault.file for fault in report.faults} == set(names)
    assert len(files_below(path, "objects")) == 6


def test_of_two_files_of_one_instance_the_later_one_is_taken_and_none_deleted(path):
    older, newer = new_id(), new_id()
    source = files_below(path, "objects")[0]
    for name, content, moment in (
        (older, source.read_bytes(), 1),
        (newer, source.read_bytes() + b"\xfc\xff\xfc\xffOB\0\0\x02\0\0\0xx", 2),
    ):
        copy = path / "objects" / name[:2] / f"{name}.dcm"
        copy.write_bytes(content)
        os.utime(copy, ns=(moment, moment))
    os.utime(source, ns=(0, 0))
    report = rebuild(path, ignore)
    assert report.good == 3
    assert {fault.file for fault in report.faults} == {source.stem, older}
    assert len(files_below(path, "objects")) == 5
    verified(path)  # which opens it
    assert len(files_below(path, "objects")) == 5


def test_what_was_not_committed_but_is_whole_is_kept_by_a_rebuild(path):
    folder = Folder.open(path)
    arrive(folder, data_set(SOPInstanceUID="1.9"), uid="1.9")
    folder.close()
    assert rebuild(path, ignore).good == 4
    folder = Folder.open(path)
    assert folder.index.count() == 4
    assert not files_below(path, "incoming")
    assert store(folder, SOPInstanceUID="1.9").verdict is Verdict.SAME
    folder.close()


def test_an_archive_in_use_is_not_rebuilt(path):
    folder = Folder.open(path)
    with pytest.raises(Unusable, match="in use"):
        rebuild(path, ignore)
    folder.close()
