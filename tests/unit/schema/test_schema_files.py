import json
import shutil

import pytest

from harmony.config.schemas import builtin_schemas
from tools.check_schemas import FOLDER, problems


def test_every_schema_file_keeps_the_rules():
    assert list(problems()) == []


def test_the_services_of_this_version():
    schemas = builtin_schemas()
    assert schemas.services("endpoints") == ["dicom", "dicomweb", "http"]
    assert schemas.services("middleware") == []
    assert schemas.services("backends") == [
        *("archive", "dicom", "dicomweb", "echo", "files", "http"),
    ]


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"type": "tabel"}, "is not valid under any of the given schemas"),
        ({"$id": "x"}, "$id is not"),
        ({"$schema": "http://json-schema.org/draft-04/schema#"}, "$schema is not"),
        ({"description": ""}, "no `description`"),
        ({"additionalProperties": True}, "`additionalProperties` is not false"),
        ({"properties": {"a": {"type": "string"}}}, "$.a: no `description`"),
        ({"properties": {"a": {"description": "d", "pattern": "x"}}}, "regular expression"),
        ({"properties": {"a": {"description": "d", "minimum": 1}}}, "come together"),
        ({"properties": {"a": {"description": "d", "not": {}}}}, "`not` is"),
        ({"properties": {"a": {"description": "d", "$ref": "https://x/y"}}}, "leads outside"),
        ({"oneOf": [{}]}, "keywords without a message: oneOf"),
        ({"unevaluatedProperties": False}, "without a message: unevaluatedProperties"),
        ({"x-harmony": {"sekret": True}}, "`x-harmony` takes only"),
    ],
)
def test_a_file_that_breaks_a_rule_is_told(tmp_path, change, problem):
    copied = shutil.copytree(FOLDER, tmp_path / "schema")
    file = copied / "endpoint/http.json"
    file.write_text(json.dumps({**json.loads(file.read_text(encoding="utf-8")), **change}))
    found = list(problems(copied))
    assert any(problem in line for line in found)
    assert all(line.startswith("endpoint/http.json: ") for line in found)
