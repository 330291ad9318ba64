"""``harmony archive`` as a user meets it."""

import argparse
import errno
import io
import os

import pytest

from harmony.archive.arrivals import OUT_OF_RESOURCES, Refused
from harmony.archive.folder import Folder
from harmony.cli import archive
from harmony.cli.exits import Exit
from harmony.dicom.part10 import file_head
from tests.support.archive import TroubledDisk, files_below, store
from tests.support.studies import Plan, write_studies


def run(*arguments):
    parser = argparse.ArgumentParser()
    archive.add_to(parser.add_subparsers(required=True))
    given = parser.parse_args(["archive", *map(str, arguments)])
    return given.verb(given)


@pytest.fixture
def source(tmp_path):
    """A folder with four instances and what else lies in such folders."""
    folder = tmp_path / "source"
    write_studies(Plan(studies=2, instances=2, size=16, charsets=("utf8", "japanese")), folder)
    (folder / "README.txt").write_text("not DICOM")
    (folder / "link.dcm").symlink_to("/etc/hostname")
    return folder


def test_import_stores_each_instance_once(tmp_path, source, capsys):
    target = tmp_path / "archive"
    assert run("import", source, "--archive", target) == Exit.OK
    # with the manifest of the studies there are two files that are not DICOM
    assert capsys.readouterr().out == "4 stored, 0 already there, 2 not DICOM, 0 refused\n"
    assert run("import", source, "--archive", target) == Exit.OK
    assert capsys.readouterr().out == "0 stored, 4 already there, 2 not DICOM, 0 refused\n"
    assert run("verify", "--archive", target) == Exit.OK
    assert capsys.readouterr().out == "4 files as the index says, 0 at fault\n"


def test_import_says_which_file_was_refused_and_why(tmp_path, source, capsys):
    (source / "half\n.dcm").write_bytes(bytes(128) + b"DICM" + b"\x02\0")
    whole = next(source.rglob("0000.dcm"))
    (source / "trunk.dcm").write_bytes(whole.read_bytes()[:-550])
    assert run("import", source, "--archive", tmp_path / "archive") == Exit.FINDINGS
    out = capsys.readouterr().out
    assert "half\\x0a.dcm: it ends within the file meta information" in out
    assert "refused" in out.splitlines()[-1]


@pytest.mark.parametrize(
    ("on_conflict", "code"), [("refuse", Exit.FINDINGS), ("keep", Exit.FINDINGS), ("replace", 0)]
)
def test_import_of_other_bytes_under_a_uid(tmp_path, source, capsys, on_conflict, code):
    target = tmp_path / "archive"
    run("import", source, "--archive", target)
    changed = next(source.rglob("0000.dcm"))
    changed.write_bytes(changed.read_bytes()[:-1] + b"x")
    capsys.readouterr()
    assert run("import", source, "--archive", target, "--on-conflict", on_conflict) == code
    out = capsys.readouterr().out
    assert ("another instance with its UID is there" in out) == (code != 0)


def test_import_does_not_enter_the_archive_it_fills(tmp_path, source, capsys):
    target = source / "archive"
    run("import", source, "--archive", target)
    run("import", source, "--archive", target)
    assert "0 stored, 4 already there" in capsys.readouterr().out.splitlines()[-1]


def test_a_dicomdir_is_no_instance(tmp_path, capsys):
    source = tmp_path / "source"
    source.mkdir()
    (source / "DICOMDIR").write_bytes(
        file_head(
            sop_class_uid="1.2.840.10008.1.3.10",
            sop_instance_uid="1.2",
            transfer_syntax="1.2.840.10008.1.2.1",
        )
        + b"\x04\x00\x30\x11CS\x00\x00"
    )
    assert run("import", source, "--archive", tmp_path / "archive") == Exit.OK
    assert "1 not DICOM, 0 refused" in capsys.readouterr().out


def test_verify_lists_damaged_files_and_fails(tmp_path, source, capsys):
    target = tmp_path / "archive"
    run("import", source, "--archive", target)
    lost = files_below(target, "objects")[0]
    lost.unlink()
    capsys.readouterr()
    assert run("verify", "--archive", target) == Exit.FINDINGS
    assert capsys.readouterr().out == (
        f"{lost.stem}: it is missing\n3 files as the index says, 1 at fault\n"
    )


def test_rebuild_makes_a_lost_index_anew(tmp_path, source, capsys):
    target = tmp_path / "archive"
    run("import", source, "--archive", target)
    (target / "index.db").unlink()
    capsys.readouterr()
    assert run("rebuild", "--archive", target) == Exit.OK
    assert capsys.readouterr().out == "4 files in the new index, 0 at fault\n"
    assert run("verify", "--archive", target) == Exit.OK


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (("import", "nowhere", "--archive", "a"), "nowhere is no folder"),
        (("verify", "--archive", "a"), "a is no archive"),
        (("rebuild", "--archive", "a"), "a is no archive"),
    ],
)
def test_what_is_not_there_is_named_and_not_made(tmp_path, monkeypatch, capsys, arguments, why):
    monkeypatch.chdir(tmp_path)
    assert run(*arguments) == Exit.FINDINGS
    assert why in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("action", ["import", "verify", "rebuild"])
def test_an_archive_in_use_is_left_alone(tmp_path, source, capsys, action):
    target = tmp_path / "archive"
    folder = Folder.open(target)
    store(folder)
    try:
        more = [source] if action == "import" else []
        assert run(action, *more, "--archive", target) == Exit.FINDINGS
        assert "in use by another process" in capsys.readouterr().err
    finally:
        folder.close()


def test_a_disk_that_fails_during_an_import_is_said_to(tmp_path, source, capsys, monkeypatch):
    disk = TroubledDisk()
    monkeypatch.setattr(Folder, "open", lambda path, opened=Folder.open: opened(path, disk))
    disk.failure = lambda: OSError(5, "input/output error")
    create = disk.create

    def then_fail(path):
        disk.failing = ("sync",)
        return create(path)

    monkeypatch.setattr(disk, "create", then_fail)
    assert run("import", source, "--archive", tmp_path / "archive") == Exit.FINDINGS
    assert "the disk of" in capsys.readouterr().err


def test_a_folder_that_cannot_be_read_stops_no_import(tmp_path, source, capsys, monkeypatch):
    locked = source / "locked"
    locked.mkdir()

    def scandir(path, scan=os.scandir):
        if path == locked:
            raise PermissionError(errno.EACCES, "Permission denied")
        return scan(path)

    monkeypatch.setattr(os, "scandir", scandir)
    assert run("import", source, "--archive", tmp_path / "archive") == Exit.FINDINGS
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"refused: {locked}: it cannot be read: Permission denied"
    assert lines[-1] == "4 stored, 0 already there, 2 not DICOM, 1 refused"


def test_a_disk_that_is_full_at_the_commit_is_said_for_each_file(
    tmp_path, source, capsys, monkeypatch
):
    def full(*_):
        raise Refused(OUT_OF_RESOURCES, "the disk is full")

    monkeypatch.setattr(Folder, "commit", full)
    assert run("import", source, "--archive", tmp_path / "archive") == Exit.FINDINGS
    lines = capsys.readouterr().out.splitlines()
    assert len([line for line in lines if line.endswith(": the disk is full")]) == 4
    assert lines[-1] == "0 stored, 0 already there, 2 not DICOM, 4 refused"


def test_an_import_that_is_interrupted_leaves_no_unfinished_files(tmp_path, source, monkeypatch):
    monkeypatch.setattr(archive.Progress, "__call__", interrupt)
    with pytest.raises(KeyboardInterrupt):
        run("import", source, "--archive", tmp_path / "archive")
    assert not files_below(tmp_path / "archive", "incoming")
    assert not files_below(tmp_path / "archive", "objects")


def interrupt(_progress, done):
    if done == 3:
        raise KeyboardInterrupt


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_progress_is_for_terminals():
    terminal, file = Terminal(), io.StringIO()
    for stream in (terminal, file):
        progress = archive.Progress(stream)
        progress(1)
        progress(2)  # too soon to be told
    assert terminal.getvalue() == "\r1 files\r"
    assert file.getvalue() == ""
