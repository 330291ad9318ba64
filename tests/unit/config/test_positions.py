import datetime
import math
from pathlib import Path

import hypothesis.strategies as st
import pytest
import tomli
from hypothesis import given, reject, settings

from harmony.config.findings import Position, Span
from harmony.config.positions import scan

ROOT = Path(__file__).parents[3]
FILES = sorted([*ROOT.glob("examples/**/*.toml"), *ROOT.glob("tests/unit/config/**/*.toml")])

TRICKY = """\
# a comment with "quotes" and [brackets]
plain = 1 # after
"quoted key" = 'it is "so" # not a comment'
'a.b'."c \\" d" = \"\"\"
# no comment ] }
three "" quotes\"\"\"\"\"
literal = '''
x = ] # ""\" ''''
when = 1979-05-27 07:32:00Z
list = [ 1, [ "]", '}' ], # ] in a comment
  { x = 1, y = [ 2 ] }, ]
inline = { a.b = 1, "c d" = { e = [] }, f = 0xFF }
"""


def text_at(text: str, span: Span) -> str:
    lines = text.split("\n")
    if span.start.line == span.end.line:
        return lines[span.start.line - 1][span.start.column - 1 : span.end.column - 1]
    first = lines[span.start.line - 1][span.start.column - 1 :]
    between = lines[span.start.line : span.end.line - 1]
    return "\n".join([first, *between, lines[span.end.line - 1][: span.end.column - 1]])


def entries(value, path=()):
    children = (
        value.items()
        if isinstance(value, dict)
        else enumerate(value)
        if isinstance(value, list)
        else ()
    )
    for key, inner in children:
        yield (*path, key), inner
        yield from entries(inner, (*path, key))


def same(a, b):
    if isinstance(a, float) and math.isnan(a):
        return isinstance(b, float) and math.isnan(b)
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    if isinstance(a, list):
        return len(a) == len(b) and all(map(same, a, b))
    return type(a) is type(b) and a == b


def assert_every_value_is_where_the_map_says(text: str) -> None:
    document = tomli.loads(text)
    places = scan(text).places
    found = list(entries(document))
    assert {path for path, _ in found} <= set(places)
    for path, value in found:
        place = places[path]
        if place.key == place.value and isinstance(path[-1], str):
            continue  # opened by a header or a dotted key: only its name stands anywhere
        if isinstance(value, (dict, list)) and text_at(text, place.value)[:1] not in ("{", "["):
            continue  # an element of an array of tables
        parsed = tomli.loads("value = " + text_at(text, place.value))["value"]
        assert same(parsed, value), path
        if isinstance(path[-1], str):
            written = text_at(text, place.key)
            assert list(tomli.loads(f"{written} = 0")) == [path[-1]]


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(ROOT)))
def test_values_of_a_file_are_found(file):
    assert_every_value_is_where_the_map_says(file.read_text(encoding="utf-8"))


def test_values_between_comments_quotes_and_brackets_are_found():
    assert_every_value_is_where_the_map_says(TRICKY)


def test_tables_are_at_their_headers():
    places = scan("a = 1\n[b.c]\n[[d]]\nx = 1\n[[d]]\n[d.e]\n").places
    assert places["b", "c"].key.start == Position(2, 4)
    assert places["b",].key.start == Position(2, 2)
    assert places["d", 0].value.start == Position(3, 3)
    assert places["d", 1].value.start == Position(5, 3)
    assert places["d", 0, "x"].value.start == Position(4, 5)
    assert places["d", 1, "e"].value.start == Position(6, 4)


def test_columns_count_characters_not_bytes():
    assert scan('"日本" = "é" # é\n').places.keys() == {("日本",)}
    assert scan('"日本" = "é"').places["日本",].value.start == Position(1, 8)


def test_an_empty_document_has_no_places():
    assert scan("").places == {}
    assert scan("# only this").places == {}


bare = st.text("abcXYZ019-_", min_size=1, max_size=5)
characters = st.characters(codec="utf-8", exclude_categories=["Cs", "Cc"]) | st.sampled_from("\t\n")
texts = st.text(characters, max_size=12)


def basic(text):
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return '"' + escaped.replace("\n", "\\n").replace("\t", "\\t") + '"'


def multiline(text):
    escaped = text.replace("\\", "\\\\").replace('"""', '""\\"')
    return '"""\n' + (escaped[:-1] + '\\"' if escaped.endswith('"') else escaped) + '"""'


keys = bare | texts.map(basic)
scalars = st.one_of(
    st.integers(-(2**63), 2**63 - 1).map(str),
    st.floats().map(lambda number: repr(number) if "." in repr(number) else "1.5e-7"),
    st.booleans().map(lambda value: str(value).lower()),
    texts.map(basic),
    texts.map(multiline),
    st.datetimes().map(lambda at: at.isoformat(sep=" ")),
    st.dates(min_value=datetime.date(1000, 1, 1)).map(str),
)
blanks = st.sampled_from(["", " ", "\t", " # [x] = '\n ", "\n\n"])


def arrays(values):
    return st.lists(st.tuples(blanks, values, blanks), max_size=4).map(
        lambda items: "[" + ",".join("".join(item) for item in items) + "]"
    )


def tables(values):
    return st.dictionaries(keys, values, max_size=4).map(
        lambda items: "{ " + ", ".join(f"{key} = {value}" for key, value in items.items()) + " }"
    )


values = st.recursive(scalars, lambda inner: arrays(inner) | tables(inner), max_leaves=8)
sections = st.lists(
    st.tuples(
        st.sampled_from(["[{}]", "[[{}]]", "[ {} ] # [x]", "[{}.inner]"]),
        keys,
        st.lists(st.tuples(keys, st.none() | keys, values), max_size=3),
    ),
    max_size=4,
)


def written(parts):
    lines = []
    for header, name, pairs in parts:
        lines.append(header.format(name))
        lines += [f"{key}{'.' + sub if sub else ''} = {value}" for key, sub, value in pairs]
    return "\n".join(lines)


@settings(deadline=None)
@given(sections.map(written))
def test_values_of_any_document_are_found(text):
    try:
        tomli.loads(text)
    except tomli.TOMLDecodeError:
        reject()  # two keys came out the same
    assert_every_value_is_where_the_map_says(text)
