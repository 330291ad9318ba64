import pytest

from tests.support.configuration import BACKEND, ENDPOINT, WHOLE, codes, load_text, marked, only


@pytest.mark.parametrize(
    ("prefix", "better"),
    [
        ("", "/"),
        ("dicom", "/dicom"),
        ("/dicom/", "/dicom"),
        ("//dicom", "/dicom"),
        ("/a//b", "/a/b"),
        ("/a/../b", "/a/b"),
        ("/./a", "/a"),
        ("/a b", "/"),
        ("/a?b", "/"),
        ("/a%20b", "/"),
        ("/a\\n", "/"),
        ("/a\\u0000", "/"),
    ],
)
def test_prefixes_that_no_path_begins_with_or_that_read_two_ways(tmp_path, prefix, better):
    text = WHOLE.replace('"http"\n', f'"http"\noptions = {{ path_prefix = "{prefix}" }}\n')
    found = only(load_text(tmp_path, text), "HRM-E244")
    assert marked(text, found) == f'"{prefix}"'
    assert found.hint == f"for example `{better}`"


@pytest.mark.parametrize("prefix", ["/", "/dicom", "/a/b", "/a.b/..c", "/é"])
def test_prefixes_that_are_taken(tmp_path, prefix):
    text = WHOLE.replace('"http"\n', f'"http"\noptions = {{ path_prefix = "{prefix}" }}\n')
    assert codes(load_text(tmp_path, text)) == []


OTHER = ENDPOINT.replace("web", "other")
BOTH = WHOLE.replace('["web"]', '["web", "other"]')


@pytest.mark.parametrize(
    ("prefix", "at"),
    [("", "other"), ('options = { path_prefix = "/" }\n', '"/"')],
)
def test_two_endpoints_under_one_prefix_of_a_network_leave_no_choice(tmp_path, prefix, at):
    text = BOTH + OTHER + prefix
    found = only(load_text(tmp_path, text), "HRM-E242")
    assert found.message == "endpoint `web` and `other` share path prefix `/`"
    assert marked(text, found) == at
    assert [related.message for related in found.related] == ["endpoint `web`"]


def test_one_prefix_on_two_networks_is_fine(tmp_path):
    text = (
        WHOLE
        + OTHER
        + '[networks.lan]\nhttp.port = 8081\n[pipelines.q]\nnetworks = ["lan"]\n'
        + 'endpoints = ["other"]\nbackends = ["pacs"]\n'
    )
    assert codes(load_text(tmp_path, text)) == []


def test_a_dicom_endpoint_has_no_prefix(tmp_path):
    scp = "[endpoints.other]\nservice = 'dicom'\noptions = { local_aet = 'SCP' }\n"
    assert codes(load_text(tmp_path, BOTH.replace(BACKEND, "") + BACKEND + scp)) == []
