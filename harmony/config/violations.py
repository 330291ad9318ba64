"""A document against a JSON Schema: the one place that knows the library for it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from jsonschema import Draft202012Validator, TypeChecker, ValidationError
from jsonschema.protocols import Validator
from jsonschema.validators import extend
from referencing import Registry
from referencing.jsonschema import DRAFT202012

from harmony.config.findings import KeyPath
from harmony.config.schemas import Schema, mapping


@dataclass(frozen=True, slots=True, kw_only=True)
class Violation:
    """One keyword of a schema that a value does not satisfy.

    Attributes:
        keyword: such as ``maximum``.
        wanted: the keyword's value in the schema.
        found: the value in the document, at `path`.
        schema: the schema object that the keyword stands in.
    """

    keyword: str
    wanted: Any
    found: Any
    schema: Schema
    path: KeyPath


class Checker:
    """Holds documents to one self-contained schema, which is crawled but once."""

    def __init__(self, schema: Schema) -> None:
        # A registry without `retrieve` fetches nothing: what a reference names is in the schema
        # or nowhere. Crawled here, for each reference would crawl the whole schema again.
        resource = DRAFT202012.create_resource(schema)
        registry: Registry[Schema] = Registry().with_resource(resource.id() or "", resource)
        self._validator = _STRICT(schema, registry=registry.crawl())

    def violations(self, document: Mapping[str, object]) -> Iterator[Violation]:
        """Everything in `document` that the schema refuses, in its own order."""
        for error in self._validator.iter_errors(document):
            yield Violation(
                keyword=str(error.validator),
                wanted=error.validator_value,
                found=error.instance,
                schema=mapping(error.schema),
                path=tuple(error.absolute_path),
            )


def _is_integer(_: TypeChecker, value: object) -> bool:
    return type(value) is int  # JSON Schema also takes 4242.0; TOML keeps the two apart


def _is_number(_: TypeChecker, value: object) -> bool:
    # TOML has `inf` and `nan`; the latter passes every comparison.
    return type(value) is int or (isinstance(value, float) and math.isfinite(value))


def _unique_items(
    _validator: Validator, _wanted: bool, value: object, _schema: Schema
) -> Iterator[ValidationError]:
    """``uniqueItems`` for `name_of` items, in linear time; the library's own is quadratic."""
    if isinstance(value, list):
        listed = [name for item in value if (name := name_of(item)) is not None]
        if len(set(listed)) < len(listed):
            yield ValidationError("not unique")


def name_of(item: object) -> str | None:
    """What tells one item of a list from another: a text, or a table's ``name``."""
    if isinstance(item, dict):
        item = item.get("name")
    return item if isinstance(item, str) else None


_STRICT = extend(  # type: ignore[no-untyped-call]
    Draft202012Validator,
    validators={"uniqueItems": _unique_items},
    type_checker=Draft202012Validator.TYPE_CHECKER.redefine_many(
        {"integer": _is_integer, "number": _is_number}
    ),
)
