import io
import json

import pytest
from jsonschema import Draft202012Validator

from harmony.cli import reference
from harmony.config.rules import RULES


def explain(code=None, *, every=False, as_json=False):
    out = io.StringIO()
    exit_code = reference.explain(code, every=every, as_json=as_json, out=out)
    return exit_code, out.getvalue()


def schema(*names):
    out = io.StringIO()
    role, service = [*names, None, None][:2]
    return reference.print_schema(role, service, out=out), out.getvalue()


def test_a_rule_is_explained_with_both_examples():
    code, text = explain("e101")
    assert code == 0
    assert text.startswith("HRM-E101 (error): wrong type\n")
    assert 'Bad:\n\n    # config.toml\n    [admin]\n    port = "9090"\n' in text
    assert text.endswith("Good:\n\n    # config.toml\n    [admin]\n    port = 9090\n")


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("E001", "Bad:\n\n    (no such file)"),
        ("E003", "# config.toml, saved as latin-1"),
        ("E202", "# pipelines/ct.toml"),
    ],
)
def test_examples_of_no_file_several_files_and_another_encoding(code, words):
    assert words in explain(code)[1]


def test_all_rules_as_text_and_json():
    assert all(rule.code in explain(every=True)[1] for rule in RULES.values())
    entries = json.loads(explain(every=True, as_json=True)[1])
    assert [entry["code"] for entry in entries] == list(RULES)
    assert json.loads(explain("e101", as_json=True)[1]) in entries


def test_what_peers_say_has_no_files():
    page = explain("E504")[1]
    assert "--connect" in page
    assert "Bad:" not in page


@pytest.mark.parametrize("code", ["E999", "\x1b[2J"])
def test_an_unknown_rule_is_wrong_use(code, capsys):
    assert explain(code) == (2, "")
    assert "no rule" in (err := capsys.readouterr().err)
    assert "\x1b" not in err


def test_the_schema_of_the_main_file_stands_alone():
    code, text = schema()
    document = json.loads(text)
    assert code == 0
    Draft202012Validator.check_schema(document)
    assert "backend/dicom.json" in document["$defs"]


@pytest.mark.parametrize("names", [("backend", "dicom"), ("backends", "dicom")])
def test_the_schema_of_a_service(names):
    code, text = schema(*names)
    assert code == 0
    assert json.loads(text)["required"] == ["aet", "host", "port", "local_aet"]


@pytest.mark.parametrize("names", [("backend",), ("backend", "no"), ("no", "dicom"), ("", "main")])
def test_an_unknown_service_is_wrong_use(names, capsys):
    assert schema(*names) == (2, "")
    assert "endpoint http, backend archive, backend dicom" in capsys.readouterr().err
