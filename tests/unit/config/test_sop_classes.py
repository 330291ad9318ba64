"""The keywords that a condition may name, against the table that routes are made with."""

import pytest
from pydicom.uid import UID_dictionary  # type: ignore[attr-defined]

from harmony.config.sop_classes import KEYWORDS, names_a_sop_class
from harmony.pipeline import Route
from tests.support.fake_backend import FakeBackend, gives

KINDS = ("SOP Class", "Meta SOP Class")


def test_they_are_those_of_the_standard():
    assert {entry[4] for entry in UID_dictionary.values() if entry[1] in KINDS} - {""} == KEYWORDS


@pytest.mark.parametrize(
    ("pattern", "named"),
    [
        ("CTImageStorage", True),
        ("CTImageStorag", False),
        ("ctimagestorage", False),
        ("CT*", True),
        ("*Storage", True),
        ("CTImageStorage?", False),
        ("[C]TImageStorage", False),
        ("1.2.840.*", True),
        ("", False),
        ("1." * 33, False),
        ("WideFieldOphthalmicPhotographyStereographicProjectionImageStorage", True),
        ("*" * 101, False),
    ],
)
def test_what_is_found_good_makes_a_route(pattern, named):
    assert names_a_sop_class(pattern) is named
    if named:
        Route(FakeBackend(gives()), {"sop_class": (pattern,)})
