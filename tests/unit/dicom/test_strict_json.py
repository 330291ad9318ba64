"""JSON without surprises."""

from __future__ import annotations

import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harmony.dicom.strict_json import MAX_BYTES, MAX_DEPTH, dumps, loads
from harmony.errors import RequestError

documents = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**90), 10**90)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


def refusal(data: bytes, **limits: int) -> RequestError:
    with pytest.raises(RequestError) as caught:
        loads(data, **limits)
    return caught.value


@given(documents, st.booleans())
def test_proper_json_is_read_as_python_reads_it(document, ascii_only):
    assert loads(json.dumps(document, ensure_ascii=ascii_only).encode()) == document


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.text(),
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
        max_leaves=12,
    )
)
def test_what_is_written_is_read_back(document):
    assert loads(dumps(document)) == document


def test_writing_is_compact_utf_8():
    assert dumps({"name": "Äneas", "n": [1, None]}) == '{"name":"Äneas","n":[1,null]}'.encode()


@given(st.binary(max_size=60))
def test_any_bytes_are_a_document_or_a_bad_request(data):
    with contextlib.suppress(RequestError):
        loads(data)


@given(st.text(alphabet='"\\[]{}:,u0d8 1e-N', max_size=30))
def test_any_brackets_and_quotes_are_a_document_or_a_bad_request(text):
    try:
        document = loads(text.encode())
    except RequestError:
        return
    assert document == json.loads(text)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("NaN", "NaN"),
        ('{"a": [NaN]}', "NaN"),
        ("Infinity", "Infinity"),
        ("-Infinity", "-Infinity"),
        ("1e999", "too large"),
        ("-1e999", "too large"),
        ("1" * 101, "too long"),
        ('{"a": 1, "a": 1}', "`a` is given twice"),
        ('[{"x": {"b": 1, "c": 2, "b": 3}}]', "`b` is given twice"),
        ('{"a": 1, "\\u0061": 2}', "`a` is given twice"),
        ('{"\\u001b": 1, "\\u001b": 2}', "`?` is given twice"),
        ('"\\ud800"', "surrogate"),
        ('{"\\udfff": 1}', "surrogate"),
        ('["\\ud800\\u0041"]', "surrogate"),
        ("", "line 1, column 1"),
        ("{", "line 1, column 2"),
        ('{"a":\n 1,}', "line 2"),
        ("{'a': 1}", "line 1, column 2"),
        ("[1] 2", "line 1, column 5"),
        ("\ufeff{}", "line 1, column 1"),
        ('"a\tb"', "invalid control character at line 1, column 3"),
        ('"abc', "unterminated string starting at line 1, column 1"),
        ("01", "line 1, column 2"),
        ("nul", "line 1, column 1"),
    ],
)
def test_what_is_wrong_is_told(text, told):
    error = refusal(text.encode())
    assert error.http_status == 400
    assert error.code == "bad-json"
    assert told in error.detail


@pytest.mark.parametrize(
    ("data", "at"),
    [(b'"\xff"', 1), (b'{"a": "\xc3"}', 7), (b'"\xed\xa0\x80"', 1), (b"\xfe\xff", 0)],
)
def test_what_is_not_utf_8_is_told_with_its_place(data, at):
    assert f"not UTF-8 at byte {at}" in refusal(data).detail


def test_a_whole_surrogate_pair_is_one_character():
    assert loads(b'"\\ud83d\\ude00"') == "\U0001f600"


def test_a_large_integer_keeps_all_its_digits():
    assert loads(b"9" * 100) == int("9" * 100)


@pytest.mark.parametrize("shape", ['[{"a":', "[", '{"a":'])
def test_depth_is_counted_over_lists_and_objects(shape):
    text = shape * (MAX_DEPTH + 1)
    assert f"more than {MAX_DEPTH} deep" in refusal(text.encode()).detail


def test_the_greatest_depth_is_read():
    assert loads(b"[" * MAX_DEPTH + b"]" * MAX_DEPTH)
    assert "deep" in refusal(b"[" * (MAX_DEPTH + 1) + b"]" * (MAX_DEPTH + 1)).detail
    assert "deep" in refusal(b"[[]]", max_depth=1).detail


def test_brackets_in_strings_have_no_depth():
    assert loads(json.dumps(["[" * 100, '"\\' + "{" * 100]).encode())
    assert loads(b"[" + b",".join([b"[]"] * 1000) + b"]") == [[]] * 1000


def test_a_string_that_never_closes_costs_no_more_than_its_length():
    # If every quote in it were tried as an opening one, this would run into the test's time-out.
    text = b'"' + b'\\"' * (MAX_BYTES // 2 - 1)
    assert "unterminated string" in refusal(text).detail


def test_what_is_too_large_is_413():
    assert loads(b'"' + b"a" * 8 + b'"', max_bytes=10)
    error = refusal(b'"' + b"a" * 9 + b'"', max_bytes=10)
    assert (error.http_status, error.code) == (413, "body-too-large")
    assert "at most 10" in error.detail


def test_a_refusal_quotes_no_value():
    assert "SECRET" not in refusal(b'{"patient_name": "SECRET",, }').detail
