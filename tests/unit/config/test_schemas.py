from pathlib import Path

import pytest
from jsonschema import Draft202012Validator
from referencing import Registry

import harmony
from harmony.config.schemas import (
    MAIN,
    PIPELINES,
    builtin_schemas,
    mapping,
    notes,
    read_schemas,
    schema_folder,
)

DICOM = {"aet": "A", "host": "h", "port": 1, "local_aet": "B"}


@pytest.mark.parametrize("name", list(builtin_schemas().documents))
def test_a_bundle_is_valid_and_needs_nothing_else(name):
    bundle = builtin_schemas().bundle(name)
    Draft202012Validator.check_schema(bundle)
    list(Draft202012Validator(bundle, registry=Registry()).iter_errors({}))


def references(schema):
    if isinstance(schema, dict):
        yield from (value for key, value in schema.items() if key == "$ref")
        schema = list(schema.values())
    if isinstance(schema, list):
        yield from (found for inner in schema for found in references(inner))


@pytest.mark.parametrize("name", list(builtin_schemas().documents))
def test_every_reference_leads_to_a_definition_with_a_type(name):
    schemas = builtin_schemas()
    for reference in references(schemas.documents[name]):
        assert "type" in schemas.resolve({"$ref": reference}), reference


@pytest.mark.parametrize("name", [MAIN, PIPELINES])
def test_the_service_chooses_what_options_may_be(name):
    validator = Draft202012Validator(builtin_schemas().bundle(name), registry=Registry())
    assert validator.is_valid({"backends": {"a": {"service": "dicom", "options": DICOM}}})
    assert not validator.is_valid({"backends": {"a": {"service": "dicom", "options": {}}}})
    assert not validator.is_valid({"backends": {"a": {"service": "dicom"}}})
    assert validator.is_valid({"endpoints": {"a": {"service": "http"}}})


def test_bundling_leaves_the_files_as_they_are():
    schemas = builtin_schemas()
    before = repr(schemas.documents)
    assert schemas.bundle(MAIN) == schemas.bundle(MAIN)
    assert repr(schemas.documents) == before


def test_keys_beside_a_reference_win():
    schemas = builtin_schemas()
    port = mapping(mapping(mapping(schemas.documents["backend/dicom.json"])["properties"])["port"])
    resolved = schemas.resolve(port)
    assert resolved["maximum"] == 65535
    assert resolved["description"] == port["description"]


def test_values_meet_the_schema_they_stand_under():
    schemas = builtin_schemas()
    document = {
        "networks": {"a": {"bind_addr": "::"}},
        "pipelines": {"p": {"backends": ["x"]}},
        "backends": {"b": {"service": "dicom", "options": DICOM}},
        "zzz": {"k": [1]},
    }
    found = {
        entry.path: notes(entry.schema).get("rule")
        for entry in schemas.annotate(schemas.bundle(MAIN), document, ())
        if notes(entry.schema)
    }
    assert found == {
        ("networks", "a", "bind_addr"): "HRM-E246",
        ("pipelines", "p", "backends"): None,
        ("backends", "b", "options", "aet"): "HRM-E221",
        ("backends", "b", "options", "host"): None,
        ("backends", "b", "options", "local_aet"): "HRM-E221",
    }


def test_an_unknown_service_has_no_fragment():
    assert builtin_schemas().fragment("backends", "no") is None
    assert builtin_schemas().fragment("backends", ["dicom"]) is None
    assert builtin_schemas().fragment("backends", "../common") is None


def test_installed_schemas_come_before_those_of_a_checkout(tmp_path, monkeypatch):
    package = tmp_path / "harmony"
    (package / "schema").mkdir(parents=True)
    monkeypatch.setattr(harmony, "__file__", str(package / "__init__.py"))
    assert schema_folder() == package / "schema"
    (package / "schema").rmdir()
    assert schema_folder() == tmp_path / "schema"


def test_schema_files_are_named_by_their_path(tmp_path):
    (tmp_path / "backend").mkdir()
    (tmp_path / "backend/x.json").write_text('{"title": "x"}')
    (tmp_path / "README.md").touch()
    assert read_schemas(tmp_path).documents == {"backend/x.json": {"title": "x"}}
    assert Path(schema_folder() / "common.json").is_file()
