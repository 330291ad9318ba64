"""``harmony demo``: its arguments, what it prints, what it writes; running it is a system test."""

import argparse
import os
import shlex
import sys
from pathlib import Path

import pytest

from harmony.cli import demo
from harmony.config import load


@pytest.fixture
def parse():
    parser = argparse.ArgumentParser()
    demo.add_to(parser.add_subparsers())

    def parse(*words):
        arguments = parser.parse_args(["demo", *words])
        assert arguments.verb is demo.run
        return arguments

    return parse


@pytest.fixture
def no_archive(monkeypatch):
    """The archive's own tests fill it; here its folder suffices."""
    filled = []

    def fill(folder):
        (folder / "archive").mkdir()
        filled.append(folder)

    monkeypatch.setattr("harmony.demo.filling.fill", fill)
    return filled


@pytest.fixture
def serve(monkeypatch):
    """Stands in for the daemon; tells what it was given, and that it was all there."""
    served = []

    def serve_file(file, arguments, lines):
        assert load(file).findings == ()
        served.append((file, arguments, lines(None, 1, None)))
        return 0

    monkeypatch.setattr("harmony.cli.serve.serve_file", serve_file)
    return served


def test_it_serves_a_valid_file_in_a_folder_that_is_gone_afterwards(parse, no_archive, serve):
    assert demo.run(parse("--log-level", "info")) == 0
    ((file, arguments, lines),) = serve
    assert [file.parent] == no_archive
    assert not file.parent.exists()
    assert arguments.log_level == "info"
    assert len(lines) <= 20
    assert lines[-1].endswith(str(file.parent))


def test_the_exit_code_is_that_of_serve(parse, no_archive, monkeypatch):
    monkeypatch.setattr("harmony.cli.serve.serve_file", lambda *_: 78)
    assert demo.run(parse()) == 78


def test_what_is_written_is_valid_and_its_commands_name_it(
    parse, no_archive, serve, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    assert demo.run(parse("--write", "my demo")) == 0
    assert serve == []
    file = tmp_path / "my demo" / "config.toml"
    assert load(file).findings == ()
    printed = capsys.readouterr().out.splitlines()
    assert len(printed) <= 20
    assert [shlex.split(line)[-2:] for line in printed[1:3]] == [
        ["validate", str(file)],
        ["serve", str(file)],
    ]


def test_a_folder_that_exists_is_wrong_use(parse, no_archive, tmp_path, capsys):
    assert demo.run(parse("--write", str(tmp_path))) == 2
    assert no_archive == []
    assert capsys.readouterr().err == (
        f"harmony demo: {tmp_path} exists already; name a folder that does not\n"
    )


def test_a_disk_that_fails_is_one_line(parse, monkeypatch, capsys):
    def fill(folder):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("harmony.demo.filling.fill", fill)
    assert demo.run(parse()) == 1
    assert capsys.readouterr().err == "harmony demo: [Errno 28] No space left on device\n"


def test_a_reader_that_went_away_is_left_to_the_caller(parse, no_archive, monkeypatch):
    def serve_file(*_):
        raise BrokenPipeError

    monkeypatch.setattr("harmony.cli.serve.serve_file", serve_file)
    with pytest.raises(BrokenPipeError):
        demo.run(parse())


@pytest.mark.parametrize(
    ("program", "expected"),
    [
        ("/opt/harmony/bin/harmony", ["/opt/harmony/bin/harmony"]),
        ("/x/harmony/__main__.py", [sys.executable, "-m", "harmony"]),
    ],
)
def test_commands_begin_as_this_program_was_called(
    program, expected, parse, no_archive, tmp_path, monkeypatch, capsys
):
    monkeypatch.setattr(sys, "argv", [program])
    assert demo.run(parse("--write", str(tmp_path / "demo"))) == 0
    line = capsys.readouterr().out.splitlines()[1]
    assert shlex.split(line)[: len(expected)] == expected


def test_temporary_files_go_where_the_environment_says(
    parse, no_archive, serve, tmp_path, monkeypatch
):
    monkeypatch.setattr("tempfile.tempdir", None)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    assert demo.run(parse()) == 0
    assert Path(os.path.dirname(no_archive[0])) == tmp_path


def test_a_viewer_is_given_out_beside_the_rest(parse, no_archive, serve, tmp_path):
    build = tmp_path / "dist"
    build.mkdir()
    (build / "index.html").write_text("<html>")
    assert demo.run(parse("--viewer", str(build))) == 0
    ((_, _, lines),) = serve
    assert any(line.startswith("OHIF ") for line in lines)
    target = tmp_path / "demo"
    assert demo.run(parse("--write", str(target), "--viewer", str(build))) == 0
    assert load(target / "config.toml").findings == ()
    example = Path(__file__).parents[3] / "examples" / "ohif" / "app-config.js"
    ours = (target / "app-config.js").read_text()
    assert example.read_text().endswith(ours)


def test_what_is_no_viewer_is_refused(parse, no_archive, tmp_path, capsys):
    assert demo.run(parse("--viewer", str(tmp_path))) == 2
    assert "no index.html" in capsys.readouterr().err
    assert no_archive == []
