import io
import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

import harmony.config
from harmony.cli.main import main, use_colour
from tests.support.configuration import BACKEND, WHOLE

ROOT = Path(__file__).parents[3]

HEAVY = ("pynetdicom", "pydicom", "trio", "jsonschema", "hypercorn")


@pytest.fixture(autouse=True)
def _plain_environment(monkeypatch, tmp_path):
    for name in ("HARMONY_CONFIG", "NO_COLOR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)


def write(text, name="config.toml"):
    Path(name).write_text(text, encoding="utf-8")
    return name


def run(*argv, **options):
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "harmony", *argv]
    return subprocess.run(command, env=environment, timeout=60, check=False, **options)


@pytest.mark.parametrize(
    ("text", "flags", "code"),
    [
        (WHOLE, [], 0),
        (BACKEND, [], 0),
        (BACKEND, ["--deny-warnings"], 1),
        ("x = 1", [], 1),
        ("x = ", ["--format", "json"], 1),
    ],
)
def test_validate_says_by_its_exit_code_whether_the_file_is_valid(text, flags, code, capsys):
    assert main(["validate", write(text), *flags]) == code
    captured = capsys.readouterr()
    assert captured.err == ""
    assert captured.out.startswith("{" if "json" in flags else ("config.toml:", "0 errors"))


def test_validate_without_a_file_says_which_it_took(capsys):
    write(WHOLE)
    assert main(["validate"]) == 0
    captured = capsys.readouterr()
    assert captured.err == "harmony: taking config.toml\n"
    assert captured.out == "0 errors, 0 warnings in 1 file.\n"


def test_validate_takes_the_file_of_the_environment(monkeypatch, capsys):
    monkeypatch.setenv("HARMONY_CONFIG", write("x = 1", "other.toml"))
    assert main(["validate"]) == 1
    assert "taking other.toml, named by HARMONY_CONFIG" in capsys.readouterr().err


@pytest.mark.parametrize("verb", ["validate", "serve", "run"])
def test_no_file_at_all_is_wrong_use(verb, capsys, monkeypatch):
    monkeypatch.setattr("harmony.cli.files.SEARCHED", ())
    if Path("/etc/harmony/config.toml").exists():
        pytest.skip("this machine has a configuration")
    assert main([verb]) == 2
    assert "name a FILE or set HARMONY_CONFIG" in capsys.readouterr().err


@pytest.mark.parametrize(
    "argv",
    [
        [],
        ["nonsense"],
        ["validate", "a", "b"],
        ["validate", "a", "--format", "xml"],
        ["validate", "--deny"],
        ["explain"],
        ["explain", "E101", "--all"],
        ["explain", "E999"],
        ["schema", "backend"],
        ["serve", "--log-level", "loud"],
    ],
)
def test_wrong_use_exits_2_and_prints_nothing_to_stdout(argv, capsys):
    assert main(argv) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err != ""


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (["--help"], "validate"),
        (["--version"], f"harmony {harmony.__version__}"),
        (["version"], "pynetdicom 3."),
        (["explain", "E101"], "HRM-E101"),
        (["explain", "--all", "--format", "json"], '"HRM-E101"'),
        (["schema"], "$defs"),
        (["schema", "endpoint", "http"], "path_prefix"),
    ],
)
def test_verbs_that_only_tell(argv, words, capsys):
    assert main(argv) == 0
    captured = capsys.readouterr()
    assert words in captured.out
    assert captured.err == ""


@pytest.mark.parametrize("argv", [["--help"], ["version"], ["explain", "E101"], ["schema"]])
def test_verbs_that_only_tell_import_nothing_heavy(argv):
    script = (
        "import sys\nfrom harmony.cli.main import main\n"
        f"assert main({argv}) == 0\n"
        f"print([name for name in {HEAVY} if name in sys.modules], file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stderr == "[]\n"


@pytest.mark.parametrize(
    ("verb", "flags", "expected"),
    [
        ("serve", [], (None, None, 0, False)),
        (
            "run",
            ["-vv", "--log-level", "debug", "--log-format", "json"],
            ("debug", "json", 2, False),
        ),
        ("serve", ["-q"], (None, None, 0, True)),
    ],
)
def test_serve_hands_over_its_arguments_and_returns_the_exit_code(
    verb, flags, expected, monkeypatch
):
    seen = []

    def serve(arguments):
        seen.append(arguments)
        return 78

    monkeypatch.setitem(sys.modules, "harmony.cli.serve", SimpleNamespace(run=serve))
    assert main([verb, "a.toml", *flags]) == 78
    (given,) = seen
    assert given.file == Path("a.toml")
    assert (given.log_level, given.log_format, given.verbose, given.quiet) == expected


def test_a_bug_is_one_line_that_tells_no_value(monkeypatch, capsys):
    def load(path, **checks):
        raise RuntimeError("hunter2")

    monkeypatch.setattr(harmony.config, "load", load)
    assert main(["validate", "a.toml"]) == 3
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert "RuntimeError at test_main.py:" in err
    assert "please report" in err
    assert "hunter2" not in err


def test_an_interrupt_is_130(monkeypatch):
    def load(path, **checks):
        raise KeyboardInterrupt

    monkeypatch.setattr(harmony.config, "load", load)
    assert main(["validate", "a.toml"]) == 130


def test_a_reader_that_went_away_ends_quietly():
    read, written = os.pipe()
    os.close(read)
    with open(written, "wb") as pipe:
        done = run("explain", "--all", stdout=pipe, stderr=subprocess.PIPE)
    assert done.returncode == 141
    assert done.stderr == b""


def test_a_terminal_without_unicode_gets_escapes(monkeypatch):
    write('[log]\nlevel = "日本"\n')
    monkeypatch.setenv("PYTHONIOENCODING", "ascii")
    done = run("validate", "config.toml", capture_output=True)
    assert done.returncode == 1
    assert rb"\u65e5\u672c" in done.stdout
    assert done.stderr == b""


def test_python_m_harmony_exits_with_the_code_of_the_verb():
    write("x = 1")
    done = run("validate", "config.toml", "--format", "json", capture_output=True)
    assert done.returncode == 1
    assert json.loads(done.stdout)["error_count"] == 1


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.mark.parametrize(
    ("stream", "environment", "refused", "colour"),
    [
        (Terminal(), {}, False, True),
        (Terminal(), {}, True, False),
        (Terminal(), {"NO_COLOR": "1"}, False, False),
        (Terminal(), {"NO_COLOR": ""}, False, True),
        (Terminal(), {"TERM": "dumb"}, False, False),
        (io.StringIO(), {}, False, False),
    ],
)
def test_colour_is_for_terminals_and_nobody_who_refuses(
    stream, environment, refused, colour, monkeypatch
):
    monkeypatch.setenv("TERM", "xterm")
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert use_colour(stream, refused=refused) is colour
