"""What is a UID and what is not. PS3.5 9.1."""

from __future__ import annotations

import pydicom.uid
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harmony.dicom.uids import is_uid


@pytest.mark.parametrize(
    "text",
    [
        "1.2",
        "0.0",
        "1.02",
        "01.2",
        "1.00",
        "1.2.840.10008.1.2",
        "2.25.329800735698586629295641978511506172918",
        "1." + "2" * 62,
    ],
)
def test_digits_and_dots_are_a_uid(text):
    assert is_uid(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "1",
        ".",
        "1.",
        ".1",
        "1..2",
        "1.2 ",
        " 1.2",
        "1.2\n",
        "1.2\0",
        "1.2*",
        "1.2\\1.3",
        "1.-2",
        "1.a",
        "1.٢",
        "1.²",
        "1." + "2" * 63,
    ],
)
def test_anything_else_is_none(text):
    assert not is_uid(text)


@given(st.lists(st.integers(0, 10**9), min_size=2, max_size=5))
def test_what_pydicom_takes_for_a_uid_is_one(components):
    text = ".".join(map(str, components))
    assert is_uid(text) == (pydicom.uid.UID(text).is_valid)


@given(st.text(alphabet="012.", max_size=12))
def test_any_shape_is_judged_as_by_its_components(text):
    parts = text.split(".")
    assert is_uid(text) == (len(parts) > 1 and all(parts))
