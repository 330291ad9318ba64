"""L1: one file against its schema, in the words of someone who writes TOML."""

from __future__ import annotations

import datetime
import functools
import itertools
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from types import MappingProxyType

from harmony.config.findings import Finding, KeyPath
from harmony.config.schemas import ROLES, Schemas, mapping, notes
from harmony.config.sources import Source
from harmony.config.violations import Checker, Violation, name_of
from harmony.config.wording import counted, either, near, quoted

MAX_FINDINGS = 200  # of one file


class Structure:
    """Holds files to the schemas."""

    def __init__(self, schemas: Schemas) -> None:
        self._schemas = schemas
        self._checkers: dict[str, Checker] = {}

    def check(self, source: Source, name: str) -> list[Finding]:
        """What the file breaks of the schema `name`, at most `MAX_FINDINGS` of it.

        Secrets that the schema marks are hidden in `source` first.
        """
        bundle = self._schemas.bundle(name)
        for entry in self._schemas.annotate(bundle, source.document, ()):
            if notes(entry.schema).get("secret") is True:
                source.hide(entry.path)
        if name not in self._checkers:
            self._checkers[name] = Checker(bundle)
        broken = list(self._checkers[name].violations(source.document))
        return list(itertools.islice(_Diagnosis(source, self._schemas).of(broken), MAX_FINDINGS))


class _Diagnosis:
    """Turns the errors of the JSON Schema library into findings."""

    def __init__(self, source: Source, schemas: Schemas) -> None:
        self._source = source
        self._schemas = schemas

    def of(self, broken: Sequence[Violation]) -> Iterator[Finding]:
        wrong_type = {violation.path for violation in broken if violation.keyword == "type"}
        renamed = self._renamed(broken)
        seen: set[tuple[str, KeyPath, str]] = set()
        for violation in broken:
            if violation.keyword != "type" and (
                violation.path in wrong_type or "rule" in notes(violation.schema)
            ):
                continue  # the type is said once; a rule of L2 says the rest better
            for finding in self._explain(violation, renamed):
                # Several keywords or errors of the library may come to the same thing.
                mark = (finding.code, finding.path, finding.message)
                if mark not in seen:
                    seen.add(mark)
                    yield finding

    def _renamed(self, broken: Iterable[Violation]) -> Mapping[KeyPath, str]:
        """Unknown keys, by path, that look like a missing one of the same table."""
        missing: dict[KeyPath, list[str]] = {}
        unknown: dict[KeyPath, list[str]] = {}
        for violation in broken:
            if violation.keyword == "required":
                missing[violation.path] = missing.get(violation.path, []) + _missing(violation)
            elif violation.keyword == "additionalProperties":
                unknown[violation.path] = _unknown(violation)[:MAX_FINDINGS]
        renamed: dict[KeyPath, str] = {}
        for path, keys in unknown.items():
            left = set(missing.get(path, ()))
            for key in keys:
                if not self._other_role(key, path) and (wanted := near(key, sorted(left))):
                    renamed[*path, key] = wanted
                    left.remove(wanted)
        return renamed

    def _explain(self, violation: Violation, renamed: Mapping[KeyPath, str]) -> Iterator[Finding]:
        path = violation.path
        if violation.keyword == "required":
            taken = {wanted for where, wanted in renamed.items() if where[:-1] == path}
            for key in _missing(violation):
                if key in taken:
                    continue  # it is said with the unknown key that looks like it
                if "code" in notes(violation.schema):
                    yield self._noted(violation)
                else:
                    yield self._missing_key(key, path)
        elif violation.keyword == "additionalProperties":
            for key in _unknown(violation)[:MAX_FINDINGS]:
                yield self._unknown_key(key, violation, renamed.get((*path, key), ""))
        elif "code" in notes(violation.schema):
            yield self._noted(violation)
        elif violation.keyword == "enum":
            yield self._unknown_value(violation)
        else:
            yield self._bad_value(violation)

    def _missing_key(self, key: str, path: KeyPath) -> Finding:
        hint = f"add `{key} = ...`"
        if key == "options":
            wanted = self._fragment_at(path).get("required")
            names = either(wanted) if isinstance(wanted, list) else ""
            hint = f"add `[{'.'.join(map(str, path))}.options]` with {names}"
        at = self._source.key_span(path)
        return self._source.finding("HRM-E102", path, at=at, hint=hint, key=key)

    def _unknown_key(self, key: str, violation: Violation, renamed: str) -> Finding:
        path = (*violation.path, key)
        at = self._source.key_span(path)
        if other := self._other_role(key, violation.path):
            role = str(path[0])
            return self._source.finding(
                "HRM-E123",
                path,
                at=at,
                hint=f"leave it out: the service has it as {ROLES[other]} only",
                key=key,
                service=self._service_at(path),
                role=ROLES[other],
                other=ROLES[role],
            )
        known = mapping(violation.schema.get("properties"))
        unused = (name for name in known if name not in violation.found)
        guess = renamed or near(key, unused) or near(key, known)
        hint = f"did you mean `{guess}`?" if guess else f"known here: {either(known)}"
        if notes(self._schemas.resolve(mapping(known.get(guess)))).get("secret") is True:
            self._source.hide(path)
        return self._source.finding("HRM-E103", path, at=at, hint=hint, key=key)

    def _other_role(self, key: str, path: KeyPath) -> str:
        """The role in which the same service has the option; empty if there is none."""
        if len(path) != 3 or path[2] != "options" or path[0] not in ROLES:
            return ""
        for other in ROLES:
            fragment = self._schemas.fragment(other, self._service_at(path))
            if other != path[0] and fragment and key in mapping(fragment.get("properties")):
                return other
        return ""

    def _noted(self, violation: Violation) -> Finding:
        """What the schema itself says of a value that it refuses."""
        note, path = notes(violation.schema), violation.path
        key = note.get("key")
        if isinstance(key, str) and key in violation.found:
            path = (*path, key)
        return self._source.finding(
            str(note["code"]),
            path,
            at=self._source.key_span(path),
            hint=str(note.get("hint", "")),
            message=str(note.get("message", "")),
            table=path[-1],
        )

    def _unknown_value(self, violation: Violation) -> Finding:
        path, value = violation.path, violation.found
        at = self._source.value_span(path)
        guess = near(str(value), map(str, violation.wanted))
        hint = f"did you mean `{guess}`?" if guess else f"one of {either(violation.wanted)}"
        if len(path) == 3 and path[2] == "service" and path[0] in ROLES:
            role = ROLES[str(path[0])]
            there = either(violation.wanted)
            services = (
                f"as {role} there is {there}" if there else f"this version has no {role} service"
            )
            if any(self._schemas.fragment(other, value) for other in ROLES):
                return self._source.finding(
                    "HRM-E124", path, at=at, hint=services, service=value, role=role
                )
            hint = hint if guess else services
        shown = self._show(value, path)
        return self._source.finding("HRM-E104", path, at=at, hint=hint, value=shown)

    def _bad_value(self, violation: Violation) -> Finding:
        path, value, schema = violation.path, violation.found, violation.schema
        make = functools.partial(self._source.finding, path=path, at=self._source.value_span(path))
        match violation.keyword:
            case "type":
                kinds = [_TYPES[kind] for kind in _listed(violation.wanted)]
                expected = " or ".join(kinds)
                secret = self._source.is_secret(path)
                hints = [] if secret else [_right_type(value, kind, path) for kind in kinds]
                hint = next(filter(None, hints), "")
                return make("HRM-E101", hint=hint, expected=expected, found=_toml_type(value))
            case "pattern":
                form = notes(schema)["form"]
                hint = str(notes(schema).get("hint", ""))
                return make("HRM-E105", hint=hint, value=self._show(value, path), form=form)
            case "minimum" | "maximum":
                low, high = schema["minimum"], schema["maximum"]
                return make("HRM-E106", value=self._show(value, path), low=low, high=high)
            case "minLength" | "maxLength" | "minItems" | "maxItems":
                unit = "character" if isinstance(value, str) else "item"
                most = violation.keyword.startswith("max")
                wanted = violation.wanted
                limit = f"at most {wanted} allowed" if most else f"at least {wanted} needed"
                return make("HRM-E107", found=counted(len(value), unit), limit=limit)
            case "uniqueItems":
                index = _repeated(value)
                where: KeyPath = (*path, index)
                if isinstance(value[index], dict):
                    where = (*where, "name")
                at = self._source.value_span(where)
                item = self._show(name_of(value[index]), path)
                return self._source.finding("HRM-E108", where, at=at, item=item)
        raise AssertionError(f"a schema uses `{violation.keyword}`, which has no message")

    def _show(self, value: object, path: KeyPath) -> object:
        return "***" if self._source.is_secret(path) else value

    def _service_at(self, path: KeyPath) -> object:
        role, name = str(path[0]), str(path[1])
        return mapping(mapping(self._source.document.get(role)).get(name)).get("service")

    def _fragment_at(self, path: KeyPath) -> Mapping[str, object]:
        return self._schemas.fragment(str(path[0]), self._service_at(path)) or {}


def _missing(violation: Violation) -> list[str]:
    return [key for key in violation.wanted if key not in violation.found]


def _unknown(violation: Violation) -> list[str]:
    known = mapping(violation.schema.get("properties"))
    return [key for key in violation.found if key not in known]


def _repeated(values: Sequence[object]) -> int:
    """Index of the first item whose name was there before."""
    seen: set[str] = set()
    for index, value in enumerate(values):
        if (name := name_of(value)) is not None:
            if name in seen:
                return index
            seen.add(name)
    raise AssertionError("no name is there twice")


def _listed(wanted: str | Sequence[str]) -> Sequence[str]:
    return [wanted] if isinstance(wanted, str) else wanted


_TYPES = MappingProxyType(
    {
        "array": "array",
        "boolean": "boolean",
        "integer": "integer",
        "number": "number",
        "object": "table",
        "string": "string",
    }
)


def _toml_type(value: object) -> str:
    match value:
        case bool():
            return "boolean"
        case int():
            return "integer"
        case float():
            return "float" if math.isfinite(value) else str(value)
        case str():
            return "string"
        case list():
            return "array"
        case dict():
            return "table"
        case datetime.date():  # datetime too
            return "date"
        case _:
            return "time"


def _right_type(value: object, expected: str, path: KeyPath) -> str:
    """What to write instead, where that can be told from the value."""
    key = path[-1] if path else ""
    if isinstance(key, int):
        return ""
    match expected, value:
        case "integer" | "number", str(text) if text.isascii() and text.isdecimal():
            return f"write `{key} = {quoted(text)}`, without quotes"
        case "integer", float(number) if number.is_integer():
            return f"write `{key} = {int(number)}`"
        case "boolean", str("true" | "false" as text):
            return f"write `{key} = {text}`, without quotes"
        case "boolean", 0 | 1:
            return f"write `{key} = {'true' if value else 'false'}`"
        case "array", str(text):
            return f'write `{key} = ["{quoted(text)}"]`'
        case "string", bool() | int() | float():
            return f'write `{key} = "{quoted(value)}"`'
        case _:
            return ""
