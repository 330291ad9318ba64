"""What TOML editors say with our schema: taplo and tombi, as their users run them."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import tomli
from jsonschema import Draft7Validator

from harmony.config.editing import for_editors
from harmony.config.loading import load_files
from harmony.config.schemas import MAIN, PIPELINES, builtin_schemas
from tests.support.generated_configurations import valid
from tools.make_reference import FOLDER

ROOT = Path(__file__).parents[3]
SCHEMA = FOLDER / "config.schema.json"
EXAMPLES = sorted((ROOT / "examples").rglob("*.toml"))
WRONG = """\
[pipelines.p]
endpoints = ["e"]
backends = "b"
[endpoints.e]
service = "htp"
[backends.b]
service = "dicom"
[backends.b.options]
aet = "PACS"
host = "127.0.0.1"
port = "x"
local_aet = "H"
nokey = 1
"""
SECONDS = 60


def lint(tool: str, file: Path, schema: Path = SCHEMA) -> tuple[int, str]:
    """Exit code and what it said."""
    program = shutil.which(tool, path=str(Path(sys.executable).parent))
    assert program is not None, f"{tool} is of the dev extra"
    command = {
        "taplo": [program, "lint", "--schema", schema.as_uri(), str(file)],
        "tombi": [program, "lint", "--offline", str(file)],
    }[tool]
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
        cwd=file.parent,
        env={"NO_COLOR": "1", "HOME": str(file.parent)},
    )
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize("name", [MAIN, PIPELINES])
def test_it_is_a_schema_of_draft_7_that_leads_nowhere_else(name: str) -> None:
    schema = for_editors(builtin_schemas(), name)
    Draft7Validator.check_schema(schema)
    references = set(re.findall(r"'\$ref': '([^']*)'", str(schema)))
    definitions = schema["definitions"]
    assert isinstance(definitions, dict)
    assert {each.removeprefix("#/definitions/") for each in references} <= set(definitions)


def test_it_holds_files_to_what_the_other_form_does() -> None:
    validator = Draft7Validator(for_editors(builtin_schemas(), MAIN))
    for seed in range(100):
        assert not list(validator.iter_errors(tomli.loads(valid(seed).text))), seed
    assert len(list(validator.iter_errors(tomli.loads(WRONG)))) == 4


@pytest.mark.parametrize("file", EXAMPLES, ids=lambda file: str(file.relative_to(ROOT)))
@pytest.mark.parametrize("tool", ["taplo", "tombi"])
def test_examples_name_their_schema_and_editors_agree(tool: str, file: Path) -> None:
    first, *_ = file.read_text(encoding="utf-8").splitlines()
    assert first.startswith("#:schema ")
    schema = (file.parent / first.removeprefix("#:schema ")).resolve()
    assert schema.parent == FOLDER
    code, said = lint(tool, file, schema)
    assert code == 0, said


@pytest.mark.parametrize("tool", ["taplo", "tombi"])
def test_they_find_what_we_find_and_where(tool: str, tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    file.write_text(f"#:schema {SCHEMA}\n{WRONG}", encoding="utf-8")
    ours = {finding.span.start.line for finding in load_files(file).findings}
    assert ours == {4, 6, 12, 14}
    code, said = lint(tool, file)
    assert code != 0
    assert ours <= {int(line) for line in re.findall(r"config\.toml:(\d+):", said)}
