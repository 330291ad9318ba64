"""The catalog and the schemas say the same, walked from both sides."""

import dataclasses
import enum
import types
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
TYPES = {
    str: "string",
    bool: "boolean",
    int: "integer",
    float: "number",
    tuple: "array",
    Mapping: "object",
}


def shape_of_schema(schemas, schema):
    """Names, and for each whether it is required, its type, default and choices."""
    schema = schemas.resolve(schema)
    assert "object" in kinds_of(schema)
    assert schema["additionalProperties"] is False
    required = schema.get("required", [])
    shape = {}
    for name, raw in schema["properties"].items():
        inner = schemas.resolve(raw)
        assert inner.get("description"), f"{name} is not described"
        kinds = kinds_of(inner)
        default = inner.get("default", ...)
        # A table whose names are the user's own has no shape.
        is_table = "object" in kinds and inner.get("additionalProperties") is False
        table = shape_of_schema(schemas, inner) if is_table else None
        shape[name] = (name in required, default, kinds, inner.get("enum"), table)
    return shape


def kinds_of(schema):
    kind = schema["type"]
    return {kind} if isinstance(kind, str) else set(kind)


def shape_of_options(options):
    """The same of a dataclass. An option that may be None has no default in the file."""
    hints = typing.get_type_hints(options)
    shape: dict[str, object] = {}
    missing = dataclasses.MISSING
    for field in dataclasses.fields(options):
        members = members_of(hints[field.name])
        required = field.default is missing and field.default_factory is missing
        tables = [member for member in members if dataclasses.is_dataclass(member)]
        default: object = ...
        if field.default is not missing and field.default is not None:
            default = list(field.default) if isinstance(field.default, tuple) else field.default
        elif field.default_factory is not missing:
            assert typing.cast(object, field.default_factory) in tables, field.name
            default = {}
        choices = [choice for member in members for choice in choices_of(member)]
        kinds = {kind_of(member) for member in members}
        table = shape_of_options(tables[0]) if tables else None
        shape[field.name] = (required, default, kinds, choices or None, table)
    return shape


def members_of(hint):
    """The types of a union without None; the type alone if it is none."""
    if typing.get_origin(hint) not in (typing.Union, types.UnionType):
        return [hint]
    return [member for member in typing.get_args(hint) if member is not type(None)]


def choices_of(hint):
    """What a `Literal` or an enumeration allows."""
    if isinstance(hint, type) and issubclass(hint, enum.Enum):
        return [member.value for member in hint]
    return typing.get_args(hint) if typing.get_origin(hint) is typing.Literal else ()


def kind_of(hint):
    if dataclasses.is_dataclass(hint):
        return "object"
    choices = choices_of(hint)
    if choices:
        return TYPES[type(choices[0])]
    return TYPES[typing.get_origin(hint) or hint]


@pytest.mark.parametrize(("role", "service"), SERVICES)
def test_schema_and_options_have_the_same_names_types_defaults_and_choices(role, service):
    schemas = builtin_schemas()
    fragment = schemas.fragment(role, service)
    assert fragment is not None, f"{role} {service} has no schema"
    options = TABLES[role][service].options
    assert shape_of_options(options) == shape_of_schema(schemas, fragment)


@pytest.mark.parametrize("role", ROLES)
def test_every_schema_is_in_the_catalog(role):
    assert set(builtin_schemas().services(role)) == set(TABLES[role])


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
