"""Objects of a JSON array, however the bytes come."""

from __future__ import annotations

import itertools
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harmony.dicom.json_array import ArraySplitter, NotAnArray

LIMIT = 1000


def split(pieces: list[bytes]) -> list[bytes]:
    splitter = ArraySplitter(max_object_bytes=LIMIT)
    found = [each for piece in pieces for each in splitter.feed(piece)]
    splitter.close()
    return found


def cuts(data: bytes, at: list[int]) -> list[bytes]:
    marks = [0, *sorted(at), len(data)]
    return [data[a:b] for a, b in itertools.pairwise(marks)]


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)
objects = st.dictionaries(st.text(), values, max_size=3)


@given(st.lists(objects, max_size=4), st.booleans(), st.data())
def test_each_object_is_found_wherever_the_body_is_cut(
    rows: list[dict[str, object]], spaced: bool, data: st.DataObject
) -> None:
    text = json.dumps(rows, indent=1 if spaced else None, ensure_ascii=spaced).encode()
    at = data.draw(st.lists(st.integers(0, len(text)), max_size=6))
    if any(len(json.dumps(row, indent=1)) > LIMIT // 6 for row in rows):
        return
    assert [json.loads(each) for each in split(cuts(text, at))] == rows
    assert [json.loads(each) for each in split([bytes([b]) for b in text])] == rows


def test_an_object_is_there_as_soon_as_it_has_ended() -> None:
    splitter = ArraySplitter(max_object_bytes=LIMIT)
    assert splitter.feed(b' [ {"a"') == []
    assert splitter.feed(b': "}\\"]"} , {') == [b'{"a": "}\\"]"}']
    assert splitter.feed(b"}") == [b"{}"]
    assert splitter.feed(b" ] \r\n") == []
    splitter.close()


@given(st.lists(objects, min_size=1, max_size=3), st.data())
def test_whatever_is_cut_off_is_not_whole(
    rows: list[dict[str, object]], data: st.DataObject
) -> None:
    text = json.dumps(rows).encode()
    stop = data.draw(st.integers(0, len(text) - 1))
    with pytest.raises(NotAnArray):
        split([text[:stop]])


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"  ",
        b"{}",
        b"null",
        b'"[]"',
        b"<html>",
        b"\xef\xbb\xbf[]",
        b"[1]",
        b"[[{}]]",
        b'["{}"]',
        b"[,{}]",
        b"[{},]",
        b"[{},,{}]",
        b"[{}{}]",
        b"[{};{}]",
        b"[]]",
        b"[] []",
        b"[]x",
        b"[{}",
        b"[",
    ],
)
def test_what_is_no_array_of_objects_is_refused(text: bytes) -> None:
    with pytest.raises(NotAnArray):
        split([text])
    with pytest.raises(NotAnArray):
        split([bytes([byte]) for byte in text])


@pytest.mark.parametrize("text", [b'[{"a": "' + b"x" * LIMIT, b'[{"a":"' + b"x" * LIMIT + b'"}]'])
def test_an_object_has_a_limit(text: bytes) -> None:
    with pytest.raises(NotAnArray, match="more than 1000 bytes"):
        split([text])
    with pytest.raises(NotAnArray, match="more than 1000 bytes"):
        split([bytes([byte]) for byte in text])


def test_many_small_objects_are_no_large_one() -> None:
    assert len(split([b"[" + b",".join([b"{}"] * 10_000) + b"]"])) == 10_000
