"""The demo's file: valid without a remark, with ports that are free."""

import socket

import tomli

from harmony.config import load
from harmony.demo.configuration import Ports, choose_ports, configuration_text


def listening(port=0):
    listener = socket.socket()
    listener.bind(("127.0.0.1", port))
    listener.listen()
    return listener


def free_ports():
    with listening() as a, listening() as b, listening() as c, listening() as d:
        numbers = [each.getsockname()[1] for each in (a, b, c, d)]
    return Ports(http=numbers[0], admin=numbers[1], pacs=numbers[2], workstation=numbers[3])


def numbers(ports):
    return [ports.http, ports.admin, ports.pacs, ports.workstation]


def test_nothing_is_wrong_with_it(tmp_path):
    file = tmp_path / "config.toml"
    file.write_text(configuration_text(Ports()))
    loaded = load(file)
    assert loaded.findings == ()
    assert list(loaded.configuration.pipelines) == ["web", "sample_pacs"]


def test_all_ports_are_where_they_belong():
    ports = Ports(http=1, admin=2, pacs=3, workstation=4)
    table = tomli.loads(configuration_text(ports))
    assert table["networks"]["default"]["http"]["port"] == 1
    assert table["admin"]["port"] == 2
    assert table["endpoints"]["pacs"]["options"]["port"] == 3
    assert table["backends"]["pacs"]["options"]["port"] == 3
    assert table["backends"]["workstation"]["options"]["port"] == 4


def test_the_http_side_reaches_the_pacs_by_dimse():
    table = tomli.loads(configuration_text(Ports()))
    called = table["backends"]["pacs"]["options"]
    assert called["aet"] == table["endpoints"]["pacs"]["options"]["local_aet"]
    assert table["backends"]["pacs"]["service"] == "dicom"


def test_usual_ports_are_taken_when_they_are_free():
    usual = free_ports()
    assert choose_ports(usual) == usual


def test_another_is_found_for_each_that_is_taken():
    usual = free_ports()
    with listening(usual.pacs), listening(usual.admin):
        chosen = choose_ports(usual)
    assert (chosen.http, chosen.workstation) == (usual.http, usual.workstation)
    assert chosen.pacs != usual.pacs
    assert chosen.admin != usual.admin
    assert len(set(numbers(chosen))) == 4
    assert all(numbers(chosen))
