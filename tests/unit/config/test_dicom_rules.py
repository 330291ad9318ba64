import hypothesis.strategies as st
import pytest
from hypothesis import given

from harmony.config.dicom_rules import ae_title_fault, uid_fault
from tests.support.configuration import (
    ENDPOINT,
    PIPELINE,
    ROUTER,
    WHOLE,
    codes,
    load_text,
    marked,
    only,
)

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
    loaded = load_text(tmp_path, text)
    assert codes(loaded) == [code]
    found = only(loaded, code)
    assert marked(text, found) == at


def test_titles_that_differ_by_outer_spaces_are_the_same(tmp_path):
    assert codes(load_text(tmp_path, WEB + backend("A", "A "))) == ["HRM-W222", "HRM-W223"]


def test_the_title_of_an_endpoint_is_checked_too(tmp_path):
    text = "[endpoints.e]\nservice = 'dicom'\noptions = { local_aet = 'A\\B' }\n"
    assert codes(load_text(tmp_path, text)) == ["HRM-W204", "HRM-E221"]


@pytest.mark.parametrize(
    ("further", "code", "at"),
    [
        ("[peers.ct]\nae_titles = ['CT', 'A\\B']\n", "HRM-E221", "'A\\B'"),
        ("[peers.ct]\nae_titles = ['Ct']\n", "HRM-W222", "'Ct'"),
        (
            "[peers.ct]\nae_titles = ['CT']\ncalled_ae_titles = ['']\n",
            "HRM-E221",
            "''",
        ),
    ],
)
def test_titles_of_a_peer_are_checked_one_by_one(tmp_path, further, code, at):
    text = ROUTER + "peers = ['ct']\n" + further
    (found,) = load_text(tmp_path, text).findings
    assert (found.code, marked(text, found)) == (code, at)


def test_the_title_of_a_receiver_is_checked(tmp_path):
    text = WHOLE + "receiver = { local_aet = 'Me' }\n"
    (found,) = load_text(tmp_path, text).findings
    assert (found.code, marked(text, found)) == ("HRM-W222", "'Me'")


def test_a_move_has_nowhere_to_arrive_without_a_receiver(tmp_path):
    text = WHOLE + "retrieve = 'move'\n"
    found = only(load_text(tmp_path, text), "HRM-E224")
    assert marked(text, found) == "'move'"


@pytest.mark.parametrize(
    "text",
    [
        "retrieve = 'get'\n",
        "retrieve = 'auto'\n",
        "retrieve = 'auto'\nreceiver = { local_aet = 'ME' }\n",
        "retrieve = 'move'\nreceiver = { local_aet = 'ME', port = 0, bind_addr = '::' }\n",
    ],
)
def test_ways_to_retrieve_that_are_complete(tmp_path, text):
    assert codes(load_text(tmp_path, WHOLE + text)) == []


@pytest.mark.parametrize("peer", ["", "allow = ['echo']\n", "ae_titles = []\naddresses = []\n"])
def test_a_peer_that_everybody_would_be(tmp_path, peer):
    text = ROUTER + "peers = ['any']\n[peers.any]\n" + peer
    found = only(load_text(tmp_path, text), "HRM-E227")
    assert marked(text, found) == "any"


@pytest.mark.parametrize(
    ("uid", "reason"),
    [
        ("1.2.840.10008.5.1.4.1.1.2", ""),
        ("0.0", ""),
        ("2.25." + "9" * 59, ""),
        ("2.25." + "9" * 60, "it has 65 characters, 64 are allowed"),
        ("", "it is empty"),
        ("CTImageStorage", "it has other characters than digits and dots"),
        ("1.2.3\n", "it has other characters than digits and dots"),
        ("1.2.٣", "it has other characters than digits and dots"),
        ("1.2.", "a number is missing beside a dot"),
        (".1", "a number is missing beside a dot"),
        ("1..2", "a number is missing beside a dot"),
        ("1.02", "a number begins with 0"),
        ("12", "it has no dot"),
    ],
)
def test_what_is_a_uid(uid, reason):
    assert uid_fault(uid) == reason


def test_a_storage_class_that_is_no_uid_is_pointed_at(tmp_path):
    text = ROUTER + "storage_classes = ['1.2', 'CT']\n"
    found = only(load_text(tmp_path, text), "HRM-E228")
    assert marked(text, found) == "'CT'"


ARCHIVES = (
    '[pipelines.p]\nendpoints = ["web"]\nbackends = ["a", "b"]\n[endpoints.web]\nservice = "http"\n'
    '[backends.a]\nservice = "archive"\noptions = { folder = "one" }\n'
    '[backends.b]\nservice = "archive"\noptions = { folder = "FOLDER" }\n'
)


@pytest.mark.parametrize("folder", ["one", "./one", "one/", "two/../one"])
def test_two_archives_do_not_share_a_folder(tmp_path, folder):
    text = ARCHIVES.replace("FOLDER", folder)
    finding = only(load_text(tmp_path, text), "HRM-E226")
    assert marked(text, finding) == f'"{folder}"'
    assert "archives `a` and `b`" in finding.message


@pytest.mark.parametrize(
    "text",
    [
        ARCHIVES.replace("FOLDER", "two"),
        ARCHIVES.replace("FOLDER", "one").replace('"a", "b"', '"a"'),  # b is opened by nobody
    ],
)
def test_archives_that_do_not_meet_are_fine(tmp_path, text):
    assert "HRM-E226" not in codes(load_text(tmp_path, text))


CONDITION = ROUTER.replace('"pacs"]', '{ name = "pacs", when = { sop_class = CLASSES } }]')


@pytest.mark.parametrize(
    ("classes", "hint"),
    [
        ('"CTImageStorag"', "did you mean `CTImageStorage`?"),
        ('"CT Image Storage"', "did you mean `CTImageStorage`?"),
        ('["MRImageStorage", "Ultrasound??"]', "for example `CTImageStorage`"),
        ('""', "for example `CTImageStorage`"),
        (f'"{"1.2." * 17}"', "for example `CTImageStorage`"),
    ],
)
def test_a_condition_names_a_sop_class_that_there_is(tmp_path, classes, hint):
    loaded = load_text(tmp_path, CONDITION.replace("CLASSES", classes))
    assert codes(loaded) == ["HRM-E229"]
    assert loaded.findings[0].hint.startswith(hint)


@pytest.mark.parametrize(
    "pattern", ["1.2.840.10008.5.1.4.1.1.2", "1.2.*", "CT*", "*", "?RImageStorage"]
)
def test_a_sop_class_may_be_named_in_part(tmp_path, pattern):
    assert codes(load_text(tmp_path, CONDITION.replace("CLASSES", f'"{pattern}"'))) == []
