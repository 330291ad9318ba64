"""The list of failed instances, in either encoding, and in damaged identifiers."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.dataset import Dataset
from pynetdicom.dsutils import encode

from harmony.dimse.identifiers import failed_instances

IMPLICIT, EXPLICIT = "1.2.840.10008.1.2", "1.2.840.10008.1.2.1"


@pytest.mark.parametrize("syntax", [IMPLICIT, EXPLICIT])
@pytest.mark.parametrize("uids", [["1.2.3"], ["1.2.3", "2.25.12345", "1.2"]])
def test_uids_are_found_behind_other_elements(syntax: str, uids: list[str]) -> None:
    ds = Dataset()
    ds.SpecificCharacterSet = "ISO_IR 100"
    ds.QueryRetrieveLevel = "STUDY"
    ds.FailedSOPInstanceUIDList = uids
    encoded = encode(ds, syntax == IMPLICIT, True)
    assert encoded is not None
    assert failed_instances(encoded, syntax) == tuple(uids)


def test_no_list_gives_no_uids() -> None:
    ds = Dataset()
    ds.QueryRetrieveLevel = "STUDY"
    encoded = encode(ds, True, True)
    assert encoded is not None
    assert failed_instances(encoded, IMPLICIT) == ()


@given(st.binary(max_size=200), st.sampled_from([IMPLICIT, EXPLICIT]))
def test_any_bytes_give_a_tuple(data: bytes, syntax: str) -> None:
    assert isinstance(failed_instances(data, syntax), tuple)
