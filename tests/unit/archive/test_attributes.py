"""The table of attributes agrees with the dictionary and with what a FIND asks for."""

import pytest
from pydicom.datadict import keyword_for_tag

from harmony.archive.attributes import ATTRIBUTES, LAST_TAG, of_level
from harmony.dicom.query import UNIQUE
from harmony.envelope import Level


@pytest.mark.parametrize("level", Level)
def test_the_unique_key_of_each_level_is_an_attribute_of_its_table(level):
    assert UNIQUE[level] in {attribute.tag for attribute in of_level(level)}


def test_columns_are_keywords_and_names_and_lists_have_one_more_to_compare_with():
    for tag, attribute in ATTRIBUTES.items():
        assert attribute.column == keyword_for_tag(tag)
        apart = attribute.compared != attribute.column
        assert apart == (attribute.several or attribute.vr in ("PN", "DT")), attribute.column


def test_everything_lies_before_long_content_and_pixel_data():
    assert LAST_TAG < 0x0040A730
