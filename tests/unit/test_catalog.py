"""The catalog and the schemas say the same, walked from both sides."""

import dataclasses
import typing
from collections.abc import Mapping

import msgspec
import pytest

from harmony import catalog
from harmony.config.schemas import ROLES, builtin_schemas

TABLES: Mapping[str, Mapping[str, catalog.Entry]] = {
    "endpoints": catalog.ENDPOINTS,
    "middleware": catalog.MIDDLEWARE,
    "backends": catalog.BACKENDS,
}
SERVICES = [(role, service) for role, table in TABLES.items() for service in table]
TYPES = {str: "string", bool: "boolean", int: "integer", float: "number"}


def shape_of_schema(schemas, schema):
    """Names, and for each whether it is required, its type, default and choices."""
    schema = schemas.resolve(schema)
    assert schema["type"] == "object"
    assert schema["additionalProperties"] is False
    required = schema.get("required", [])
    shape = {}
    for name, raw in schema["properties"].items():
        inner = schemas.resolve(raw)
        assert inner.get("description"), f"{name} is not described"
        if inner["type"] == "object":
            shape[name] = (name in required, inner.get("default"), shape_of_schema(schemas, inner))
        else:
            default = inner.get("default", ...)
            shape[name] = (name in required, default, (inner["type"], inner.get("enum")))
    return shape


def shape_of_options(options):
    hints = typing.get_type_hints(options)
    shape: dict[str, object] = {}
    for field in dataclasses.fields(options):
        hint = hints[field.name]
        missing = dataclasses.MISSING
        required = field.default is missing and field.default_factory is missing
        if dataclasses.is_dataclass(hint):
            assert typing.cast(object, field.default_factory) is hint, field.name
            shape[field.name] = (required, {}, shape_of_options(hint))
            continue
        choices = list(typing.get_args(hint)) if typing.get_origin(hint) is typing.Literal else None
        kind = type(choices[0]) if choices else hint
        default = ... if field.default is missing else field.default
        shape[field.name] = (required, default, (TYPES[kind], choices))
    return shape


@pytest.mark.parametrize(("role", "service"), SERVICES)
def test_schema_and_options_have_the_same_names_types_defaults_and_choices(role, service):
    schemas = builtin_schemas()
    fragment = schemas.fragment(role, service)
    assert fragment is not None, f"{role} {service} has no schema"
    options = TABLES[role][service].options
    assert shape_of_options(options) == shape_of_schema(schemas, fragment)


@pytest.mark.parametrize("role", ROLES)
def test_every_schema_is_in_the_catalog_unless_it_is_planned(role):
    schemas = builtin_schemas()
    ready = {name for name in schemas.services(role) if not schemas.is_planned(role, name)}
    assert ready == set(TABLES[role])


@pytest.mark.parametrize(("role", "service"), SERVICES)
def test_options_are_frozen_slotted_values(role, service):
    options = TABLES[role][service].options
    assert vars(options)["__dataclass_params__"].frozen
    assert all(field.kw_only for field in dataclasses.fields(options))
    assert hasattr(options, "__slots__")


def test_an_entry_converts_its_table_strictly():
    @dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
    class Options:
        seconds: float = 1.0

    entry = catalog.Entry[object, str](Options, lambda *given: given)
    assert entry.build("one", {"seconds": 3}, "here") == ("one", Options(seconds=3.0), "here")
    assert entry.build("two", {}, "there") == ("two", Options(), "there")
    with pytest.raises(msgspec.ValidationError):
        entry.build("three", {"seconds": "3"}, "here")
