"""The answer to a STOW request tells the fate of each instance."""

from __future__ import annotations

import json

import pytest

from harmony.dicom.store_response import Fate, NotAResponse, read, response

CT = "1.2.840.10008.5.1.4.1.1.2"


def fate(uid, status, **others):
    return Fate(sop_class_uid=CT, sop_instance_uid=uid, status=status, **others)


def values(item, tag):
    return item[tag]["Value"]


def test_stored_instances_are_referenced_with_where_they_are():
    module = json.loads(response([fate("1.1", 0x0000, url="studies/1")], study_url="studies/1"))
    assert list(module) == ["00081190", "00081199"]
    (item,) = values(module, "00081199")
    assert values(item, "00081150") == [CT]
    assert values(item, "00081155") == ["1.1"]
    assert values(item, "00081190") == ["studies/1"]
    assert "00081196" not in item


def test_a_warning_has_its_reason_and_is_stored():
    module = json.loads(response([fate("1.1", 0xB000)]))
    (item,) = values(module, "00081199")
    assert values(item, "00081196") == [0xB000]


def test_a_failure_has_its_reason_and_no_place():
    module = json.loads(response([fate("1.1", 0xA700, url="studies/1")], study_url="studies/1"))
    assert list(module) == ["00081198"]
    (item,) = values(module, "00081198")
    assert values(item, "00081197") == [0xA700]
    assert "00081190" not in item


def test_an_instance_that_nobody_could_name_is_among_other_failures():
    unknown = Fate(sop_class_uid=None, sop_instance_uid=None, status=0xC000)
    module = json.loads(response([unknown, fate("1.1", 0x0000)]))
    assert values(module, "0008119A") == [{"00081197": {"vr": "US", "Value": [0xC000]}}]
    assert len(values(module, "00081199")) == 1


def test_each_has_a_fate_of_its_own_in_the_order_they_were_sent():
    statuses = [0x0000, 0xC000, 0xB007, 0x0000, 0x0122]
    module = json.loads(response(fate(f"1.{n}", status) for n, status in enumerate(statuses)))
    assert [values(item, "00081155") for item in values(module, "00081199")] == [
        ["1.0"],
        ["1.2"],
        ["1.3"],
    ]
    assert [values(item, "00081197") for item in values(module, "00081198")] == [[0xC000], [0x0122]]


# Reading

JSON = "application/dicom+json"
MARK = "Doe^Jane"


def module(stored: dict[str, int | None], failed: dict[str, int | None]) -> dict[str, object]:
    def items(of: dict[str, int | None], reason: str) -> dict[str, object]:
        return {
            "vr": "SQ",
            "Value": [
                {
                    "00081150": {"vr": "UI", "Value": ["1.2.840.10008.5.1.4.1.1.2"]},
                    "00081155": {"vr": "UI", "Value": [uid]},
                    **({} if why is None else {reason: {"vr": "US", "Value": [why]}}),
                }
                for uid, why in of.items()
            ],
        }

    return {"00081199": items(stored, "00081196"), "00081198": items(failed, "00081197")}


NATIVE = """<?xml version="1.0" encoding="UTF-8"?>
<NativeDicomModel {space} xml:space="preserve">
 <DicomAttribute tag="00081198" vr="SQ" keyword="FailedSOPSequence"><Item number="1">
  <DicomAttribute tag="00081155" vr="UI"><Value number="1">1.3</Value></DicomAttribute>
  <DicomAttribute tag="00081197" vr="US"><Value number="1">42752</Value></DicomAttribute>
 </Item></DicomAttribute>
 <DicomAttribute tag="00081199" vr="SQ"><Item number="1">
  <DicomAttribute tag="00081155" vr="UI"><Value number="1"> 1.2 </Value></DicomAttribute>
 </Item></DicomAttribute>
</NativeDicomModel>"""


@pytest.mark.parametrize(
    ("stored", "failed", "expected"),
    [
        ({}, {}, {}),
        ({"1.2": None}, {}, {"1.2": 0}),
        ({"1.2": 0xB000}, {"1.3": 0xA700}, {"1.2": 0xB000, "1.3": 0xA700}),
        ({}, {"1.3": None}, {"1.3": 0xC000}),
        ({}, {"1.3": 0}, {"1.3": 0xC000}),
        ({}, {"1.3": 0xB000}, {"1.3": 0xC000}),
        ({"1.2": None}, {"1.2": 0x0110}, {"1.2": 0x0110}),
    ],
)
def test_a_response_is_read(
    stored: dict[str, int | None], failed: dict[str, int | None], expected: dict[str, int]
) -> None:
    document = module(stored, failed)
    assert read(json.dumps(document).encode(), JSON) == expected
    assert read(json.dumps([document]).encode(), "application/json; charset=utf-8") == expected


@pytest.mark.parametrize("space", ["", 'xmlns="http://dicom.nema.org/PS3.19/models/NativeDICOM"'])
@pytest.mark.parametrize("kind", ["application/dicom+xml", "application/xml; charset=utf-8"])
def test_a_response_in_xml_is_read(space: str, kind: str) -> None:
    assert read(NATIVE.format(space=space).encode(), kind) == {"1.2": 0, "1.3": 0xA700}


def test_our_own_response_is_read() -> None:
    fates = [
        Fate(sop_class_uid="1.1", sop_instance_uid="1.2", status=0),
        Fate(sop_class_uid="1.1", sop_instance_uid="1.3", status=0xB007),
        Fate(sop_class_uid="1.1", sop_instance_uid="1.4", status=0x0122),
        Fate(sop_class_uid=None, sop_instance_uid=None, status=0xC000),
    ]
    assert read(response(fates), JSON) == {"1.2": 0, "1.3": 0xB007, "1.4": 0x0122}


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"", JSON),
        (b"<html>", JSON),
        (b"[]", JSON),
        (b"[{}, {}]", JSON),
        (b"7", JSON),
        (b'{"00081198": 7, "x": NaN}', JSON),
        (b'{"00081198": 7}', JSON),
        (b'{"00081198": {"Value": 7}}', JSON),
        (b'{"00081198": {"Value": ["Doe^Jane"]}}', JSON),
        (
            b'{"00081198": {"Value": [{"00081155": {"Value": ["1"]},'
            b' "00081197": {"Value": ["Doe^Jane"]}}]}}',
            JSON,
        ),
        (b"{}", "text/html"),
        (b"{}", None),
        (b"", "application/dicom+xml"),
        (b"<Doe^Jane>", "application/dicom+xml"),
        (b"<html/>", "application/dicom+xml"),
        (b"<!DOCTYPE x><NativeDicomModel/>", "application/dicom+xml"),
        ("<NativeDicomModel/>".encode("utf-16"), "application/dicom+xml"),
    ],
)
def test_what_is_no_response_is_refused_and_not_quoted(body: bytes, kind: str | None) -> None:
    with pytest.raises(NotAResponse) as caught:
        read(body, kind)
    assert MARK not in str(caught.value)
