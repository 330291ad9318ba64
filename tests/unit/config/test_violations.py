import pytest

from harmony.config.violations import Checker


@pytest.mark.parametrize(
    ("kind", "value", "fits"),
    [
        ("integer", 1, True),
        ("integer", 1.0, False),
        ("integer", True, False),
        ("number", 1, True),
        ("number", 1.5, True),
        ("number", float("nan"), False),
        ("number", float("inf"), False),
        ("number", True, False),
    ],
)
def test_numbers_are_those_of_toml(kind, value, fits):
    schema = {"properties": {"a": {"type": kind}}}
    assert [v.keyword for v in Checker(schema).violations({"a": value})] == (
        [] if fits else ["type"]
    )


@pytest.mark.parametrize(
    ("value", "fits"),
    [
        ([], True),
        (["a", "b"], True),
        (["a", "b", "a"], False),
        ([1, 1], True),
        ("aa", True),
        (["a", {"name": "b"}], True),
        (["a", {"name": "a"}], False),
        ([{"name": "a", "x": 1}, {"name": "a", "x": 2}], False),
        ([{}, {}, {"name": 1}, {"name": 1}], True),
    ],
)
def test_names_of_a_list_are_distinct(value, fits):
    schema = {"properties": {"a": {"uniqueItems": True}}}
    assert [v.keyword for v in Checker(schema).violations({"a": value})] == (
        [] if fits else ["uniqueItems"]
    )


def test_a_violation_says_where_and_under_what():
    inner = {"maximum": 3}
    schema = {"properties": {"a": {"items": inner}}}
    (found,) = Checker(schema).violations({"a": [1, 9]})
    assert (found.keyword, found.wanted, found.found) == ("maximum", 3, 9)
    assert (found.path, found.schema) == (("a", 1), inner)
