"""The pages of docs/reference are what the schemas and the rules say now."""

from __future__ import annotations

import pytest

from harmony.config.rules import RULES
from harmony.config.schemas import ROLES, builtin_schemas, mapping
from tools.make_reference import FOLDER, pages


@pytest.mark.parametrize("name", pages())
def test_the_page_is_not_stale(name: str) -> None:
    written = (FOLDER / name).read_text(encoding="utf-8")
    assert written == pages()[name], "run `python -m tools.make_reference`"


def test_every_option_and_every_rule_is_there() -> None:
    schemas, options = builtin_schemas(), pages()["options.md"]
    for role, folder in ROLES.items():
        for service in schemas.services(role):
            _, section = options.split(f'## `[{role}.NAME.options] of service = "{service}"`\n')
            rows = section.partition("\n## ")[0]
            for key in mapping(schemas.documents[f"{folder}/{service}.json"].get("properties")):
                assert f"| `{key}` | " in rows, (service, key)
    assert all(f"| `{code}` | " in pages()["rules.md"] for code in RULES)
