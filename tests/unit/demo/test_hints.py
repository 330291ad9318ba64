"""The lines to try name the real ports and folder, and a shell reads them as they are meant."""

import json
import shlex
from pathlib import Path

import pytest

from harmony.demo.configuration import Ports
from harmony.demo.hints import dicom_lines, http_lines, try_lines

PORTS = Ports(http=1001, admin=1002, pacs=1003, workstation=1004)
FOLDER = Path("/tmp/it's a demo")


def words(lines):
    return {line[0]: line for line in map(shlex.split, lines)}


def test_each_dicom_command_calls_the_pacs_by_its_title_and_port():
    for line in words(dicom_lines(PORTS, FOLDER)).values():
        where = line.index("DEMO_PACS")
        assert line[where - 1 : where + 3] == ["-aec", "DEMO_PACS", "127.0.0.1", "1003"]


def test_all_five_services_are_shown():
    assert list(words(dicom_lines(PORTS, FOLDER))) == [
        "echoscu",
        "findscu",
        "getscu",
        "movescu",
        "storescu",
    ]


def test_movescu_listens_where_the_pacs_sends_to():
    line = words(dicom_lines(PORTS, FOLDER))["movescu"]
    assert line[line.index("-aem") + 1] == "DEMO_SCP"
    assert line[line.index("+P") + 1] == "1004"


def test_paths_with_blanks_and_quotes_stay_one_word():
    lines = words(dicom_lines(PORTS, FOLDER))
    assert lines["getscu"][lines["getscu"].index("-od") + 1] == f"{FOLDER}/received"
    assert lines["storescu"][-1] == f"{FOLDER}/new-1.dcm"


def test_json_bodies_are_json():
    bodies = [
        json.loads(line[line.index("-d") + 1])
        for line in map(shlex.split, http_lines(PORTS, FOLDER))
        if "-d" in line
    ]
    assert [body["query_level"] for body in bodies] == ["STUDY", "STUDY"]


@pytest.mark.parametrize("port", ["1001", "1002", "1003", "1004"])
def test_every_port_is_told(port):
    assert any(port in line for line in try_lines(PORTS, FOLDER))


def test_they_are_fewer_than_twenty():
    assert len(try_lines(PORTS, FOLDER)) < 18
