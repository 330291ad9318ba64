import hypothesis.strategies as st
import pytest
from hypothesis import given

from harmony.config.dicom_rules import ae_title_fault
from tests.support.configuration import ENDPOINT, PIPELINE, codes, load_text, marked

WEB = PIPELINE + ENDPOINT


def backend(aet="ORTHANC", local_aet="HARMONY"):
    return (
        '[backends.pacs]\nservice = "dicom"\n[backends.pacs.options]\nhost = "h"\nport = 104\n'
        f'aet = "{aet}"\nlocal_aet = "{local_aet}"\n'
    )


@pytest.mark.parametrize(
    ("title", "reason"),
    [
        ("", "it is empty"),
        ("   ", "it has only spaces"),
        ("PACS\n", "it has a control character"),
        ("PA\tCS", "it has a control character"),
        ("PACS\x7f", "it has a control character"),
        ("A\\B", "it has a backslash"),
        ("RÖNTGEN", "it has a character outside ASCII"),
        ("PACS\u2028", "it has a character outside ASCII"),
        ("A" * 17, "it has 17 characters, 16 are allowed"),
        ("A" * 16, ""),
        ("a", ""),
        (" A B ", ""),
        ("~!@#$%^&*()", ""),
    ],
)
def test_what_is_an_ae_title(title, reason):
    assert ae_title_fault(title) == reason


@given(st.text(max_size=20))
def test_a_title_without_fault_is_what_the_value_representation_allows(title):
    allowed = 1 <= len(title) <= 16 and all(" " <= c <= "~" and c != "\\" for c in title)
    assert (ae_title_fault(title) == "") == (allowed and title.strip(" ") != "")


@pytest.mark.parametrize(
    ("aet", "local_aet", "code", "at"),
    [
        ("PACS\\n", "HARMONY", "HRM-E221", '"PACS\\n"'),
        ("", "HARMONY", "HRM-E221", '""'),
        ("ORTHANC", "\\u00c4", "HRM-E221", '"\\u00c4"'),
        ("ORTHANC", "Harmony", "HRM-W222", '"Harmony"'),
        ("ORTHANC ", "HARMONY", "HRM-W222", '"ORTHANC "'),
        ("SAME", "SAME", "HRM-W223", '"SAME"'),
    ],
)
def test_titles_of_a_backend(tmp_path, aet, local_aet, code, at):
    text = WEB + backend(aet, local_aet)
    (found,) = load_text(tmp_path, text).findings
    assert found.code == code
    assert marked(text, found) == at


def test_titles_that_differ_by_outer_spaces_are_the_same(tmp_path):
    assert codes(load_text(tmp_path, WEB + backend("A", "A "))) == ["HRM-W222", "HRM-W223"]


def test_the_title_of_an_endpoint_is_checked_too(tmp_path):
    text = "[endpoints.e]\nservice = 'dicom'\noptions = { local_aet = 'A\\B' }\n"
    assert codes(load_text(tmp_path, text)) == ["HRM-W204", "HRM-E221"]
