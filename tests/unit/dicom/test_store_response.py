"""The answer to a STOW request tells the fate of each instance."""

from __future__ import annotations

import json

from harmony.dicom.store_response import Fate, response

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
