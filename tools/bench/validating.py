"""``harmony validate`` beside plain jsonschema and, if it is installed, ``taplo lint``."""

from __future__ import annotations

import functools
import json
import resource
import shutil
import sys
from collections.abc import Sequence

from harmony.config.schemas import MAIN, Schema, builtin_schemas
from tools.bench.commands import run_all
from tools.bench.goals import Measure, Score
from tools.bench.setting import Setting
from tools.bench.timing import Case, Entry, print_head, timed

_PIPELINES = (1, 1000)
_MOST_MILLISECONDS = 1000.0  # of processor time, for the most pipelines
_HELP_TIMES = 3  # as long as an interpreter that does nothing, at the most
# What a program of a few lines would do: the same schema, no positions, no rules.
_PLAIN = """\
import json, sys, tomllib
from jsonschema import Draft202012Validator
schema = json.load(open(sys.argv[1]))
document = tomllib.load(open(sys.argv[2], "rb"))
sys.exit(next(Draft202012Validator(schema).iter_errors(document), None) is not None)
"""
_PIPELINE = """\
[pipelines.p{0}]
endpoints = ["e{0}"]
backends = ["b{0}"]
[endpoints.e{0}]
service = "http"
[endpoints.e{0}.options]
path_prefix = "/p{0}"
[backends.b{0}]
service = "dicom"
[backends.b{0}.options]
aet = "PACS{0}"
host = "127.0.0.1"
port = 4242
local_aet = "HARMONY"
"""
_HARMONY = (sys.executable, "-m", "harmony")


def print_tables(setting: Setting) -> None:
    """Whole processes, from start to end."""
    names = ["Harmony", "python -c pass"]
    print_head(f"Command line; {setting.rounds} rounds", names)
    nothing = [sys.executable, "-c", "pass"]
    entries = [
        _entry("Harmony", [*_HARMONY, "--help"]),
        _entry("python -c pass", nothing, goal=1 / _HELP_TIMES),
    ]
    setting.print_case(Case(title="--help", entries=entries), setting.rounds)

    schema = setting.disk / "schema.json"
    schema.write_text(json.dumps(_bundle()))
    taplo = shutil.which("taplo")
    names = ["Harmony", "jsonschema", *(["taplo lint"] if taplo else [])]
    print_head(f"validate; {setting.rounds} rounds", names)
    for count in _PIPELINES:
        file = setting.disk / f"{count}.toml"
        file.write_text("".join(_PIPELINE.format(number) for number in range(count)))
        commands = {
            "Harmony": [*_HARMONY, "validate", str(file)],
            "jsonschema": [sys.executable, "-c", _PLAIN, str(schema), str(file)],
        }
        if taplo:
            commands["taplo lint"] = [taplo, "lint", "--schema", schema.as_uri(), str(file)]
        title = f"{count} pipeline{'s' * (count > 1)}"
        entries = [_entry(name, command) for name, command in commands.items()]
        setting.print_case(Case(title=title, entries=entries), setting.rounds)
    most = max(_PIPELINES)
    spent = _processor_milliseconds([*_HARMONY, "validate", str(setting.disk / f"{most}.toml")])
    print(f"{most} pipelines take Harmony {spent:.0f} ms of processor time")
    setting.score(
        Score(
            row=f"validate, {most} pipelines, processor time",
            measure=Measure.MILLISECONDS,
            goal=_MOST_MILLISECONDS,
            reached=spent,
        )
    )


def _entry(name: str, command: Sequence[str], goal: float | None = None) -> Entry:
    def run() -> int:
        run_all([command], nodelay=True)
        return 1

    return Entry(name=name, run=functools.partial(timed, run), due=1, goal=goal)


def _processor_milliseconds(command: Sequence[str]) -> float:
    def used() -> float:
        usage = resource.getrusage(resource.RUSAGE_CHILDREN)
        return usage.ru_utime + usage.ru_stime

    before = used()
    run_all([command], nodelay=True)
    return (used() - before) * 1e3


def _bundle() -> Schema:
    return builtin_schemas().bundle(MAIN)
