"""The DICOM JSON model as XML: DCMTK's own answer for files, and whatever values hold."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from xml.etree import ElementTree

import pydicom
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harmony.dicom.dicomjson import metadata_to_json
from harmony.dicom.native_xml import NAMESPACE, to_xml

WHEEL = Path(pydicom.__file__).parent / "data" / "test_files"
# The character set, which each of the two writes as it thinks fit, and what JSON has not.
LEFT_OUT = ("00080005", "FFFCFFFC", "7FE00010")
FILES = ["CT_small.dcm", "test-SR.dcm", "reportsi.dcm", "priv_SQ.dcm", "MR_small.dcm"]


def parsed(found):
    root = ElementTree.fromstring(to_xml(json.dumps(found).encode()))
    assert root.tag == f"{{{NAMESPACE}}}NativeDicomModel"
    return root


def children(element):
    return [(child.tag.partition("}")[2], dict(child.attrib), child.text) for child in element]


def test_values_are_numbered_and_keep_their_places():
    (attribute,) = parsed({"00080061": {"vr": "CS", "Value": ["CT", None, "MR"]}})
    assert dict(attribute.attrib) == {
        "tag": "00080061",
        "vr": "CS",
        "keyword": "ModalitiesInStudy",
    }
    assert children(attribute) == [
        ("Value", {"number": "1"}, "CT"),
        ("Value", {"number": "3"}, "MR"),
    ]


def test_names_are_taken_apart():
    name = {"Alphabetic": "Yamada^Tarou^^Dr", "Ideographic": "\u5c71\u7530^\u592a\u90ce"}
    (attribute,) = parsed({"00100010": {"vr": "PN", "Value": [name]}})
    (person,) = attribute
    groups = {group.tag.partition("}")[2]: children(group) for group in person}
    assert groups == {
        "Alphabetic": [
            ("FamilyName", {}, "Yamada"),
            ("GivenName", {}, "Tarou"),
            ("NamePrefix", {}, "Dr"),
        ],
        "Ideographic": [("FamilyName", {}, "\u5c71\u7530"), ("GivenName", {}, "\u592a\u90ce")],
    }


def test_sequences_bulk_and_binary():
    found = {
        "00081140": {"vr": "SQ", "Value": [{"00081155": {"vr": "UI", "Value": ["1.2"]}}, {}]},
        "00281201": {"vr": "OW", "InlineBinary": "AAAA"},
        "7FE00010": {"vr": "OW", "BulkDataURI": "bulk/7FE00010?a&b"},
    }
    sequence, inline, bulk = parsed(found)
    assert [item.attrib["number"] for item in sequence] == ["1", "2"]
    assert children(sequence[0][0]) == [("Value", {"number": "1"}, "1.2")]
    assert children(inline) == [("InlineBinary", {}, "AAAA")]
    assert children(bulk) == [("BulkData", {"uri": "bulk/7FE00010?a&b"}, None)]


def test_a_private_attribute_names_its_creator_and_has_no_keyword():
    found = {
        "00090010": {"vr": "LO", "Value": ["ACME <1>"]},
        "00091001": {"vr": "LO", "Value": ["x"]},
        "00091101": {"vr": "LO", "Value": ["nobody's"]},
    }
    creator, owned, orphan = parsed(found)
    assert owned.attrib == {"tag": "00090001", "vr": "LO", "privateCreator": "ACME <1>"}
    assert "privateCreator" not in creator.attrib
    assert "privateCreator" not in orphan.attrib


@given(st.text(max_size=40))
def test_any_text_gives_a_document_that_can_be_read(text):
    (attribute,) = parsed({"00104000": {"vr": "LT", "Value": [text]}})
    (value,) = children(attribute)
    expected = "".join(
        char
        if char in "\t\n\r"
        or (char >= " " and not "\ud800" <= char <= "\udfff" and char not in "\ufffe\uffff")
        else "\ufffd"
        for char in text
    )
    # Line ends are one character to a reader of XML. XML 1.0 2.11.
    assert (value[2] or "") == expected.replace("\r\n", "\n").replace("\r", "\n")


@pytest.mark.skipif(shutil.which("dcm2xml") is None, reason="DCMTK is not installed")
@pytest.mark.parametrize("name", FILES)
def test_dcmtk_says_the_same_of_a_file(name):
    dataset = pydicom.dcmread(WHEEL / name, force=True)
    raw = WHEEL.joinpath(name).read_bytes()
    syntax = str(dataset.file_meta.TransferSyntaxUID)
    start = 144 + int.from_bytes(raw[140:144], "little")  # behind the file meta information
    ours = ElementTree.fromstring(
        to_xml(metadata_to_json(raw[start:], syntax, lambda path: "bulk"))
    )
    told = subprocess.run(
        ["dcm2xml", "--native-format", "--use-xml-namespace", "--convert-to-utf8", WHEEL / name],
        check=False,
        capture_output=True,
    )
    if told.returncode:
        pytest.fail(told.stderr.decode(errors="replace"))
    theirs = ElementTree.fromstring(told.stdout)
    assert _shape(ours) == _shape(theirs)


def _shape(root):
    """Tags and VRs; what one of the two leaves out or calls otherwise is left out."""
    found = []
    for attribute in root:
        tag = attribute.attrib["tag"].upper()
        if tag.startswith("0002") or tag.endswith("0000") or tag in LEFT_OUT:
            continue
        if attribute.attrib["vr"] in ("UN", "SQ"):
            continue
        found.append((tag, attribute.attrib["vr"]))
    return found
