import ipaddress

import hypothesis.strategies as st
import pytest
from hypothesis import given

from harmony.config.addresses import (
    literal_host,
    network_fault,
    overlap,
    parse_address,
    shown_place,
)
from tests.support.configuration import ROUTER, load_text, marked, only


def address(text):
    found = parse_address(text)
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("10.0.0.1", "10.0.0.1"),
        ("0:0::1", "::1"),
        ("::ffff:10.0.0.1", "10.0.0.1"),
        ("fe80::1%eth0", "fe80::1%eth0"),
        ("localhost", "None"),
        ("10.0.0.1/8", "None"),
        ("010.0.0.1", "None"),
        ("", "None"),
    ],
)
def test_an_address_is_one_in_numbers(text, shown):
    assert str(parse_address(text)) == shown


@pytest.mark.parametrize(
    ("host", "shown"),
    [("LocalHost", "127.0.0.1"), ("::1", "::1"), ("pacs", "None"), ("localhost.", "None")],
)
def test_no_name_but_localhost_is_resolved(host, shown):
    assert str(literal_host(host)) == shown


@pytest.mark.parametrize(
    ("a", "b", "clash"),
    [
        ("10.0.0.1", "10.0.0.1", True),
        ("10.0.0.1", "10.0.0.2", False),
        ("0.0.0.0", "10.0.0.1", True),
        ("0.0.0.0", "::1", False),
        ("::", "10.0.0.1", True),
        ("::", "::1", True),
    ],
)
def test_listeners_in_each_others_way(a, b, clash):
    assert overlap(address(a), address(b)) is overlap(address(b), address(a)) is clash


def test_an_address_with_colons_has_brackets_before_its_port():
    assert shown_place(address("10.0.0.1"), 104) == "10.0.0.1:104"
    assert shown_place(address("::1"), 104) == "[::1]:104"


@pytest.mark.parametrize(
    "text",
    ["10.0.0.1", "10.0.0.0/8", "0.0.0.0/0", "10.0.0.1/32", "::1", "fd00::/8", "10.0.0.0/255.0.0.0"],
)
def test_addresses_and_networks_without_fault(text):
    assert network_fault(text) == ("", "")


@pytest.mark.parametrize(
    ("text", "reason", "hint"),
    [
        ("", "it is not an IP address", "`10.1.2.3`"),
        ("pacs", "it is not an IP address", "`10.1.0.0/16`"),
        ("10.1.2", "it is not an IP address", ""),
        ("10.1.2.*", "it is not an IP address", ""),
        ("/8", "it is not an IP address", ""),
        ("10.1.2.3:104", "it is not an IP address", ""),
        ("10.0.0.0/33", "after `/` comes a number up to 32", ""),
        ("10.0.0.0/", "after `/` comes a number up to 32", ""),
        ("10.0.0.0/x", "after `/` comes a number up to 32", ""),
        ("10.0.0.0/-1", "after `/` comes a number up to 32", ""),
        ("10.0.0.0/8/8", "after `/` comes a number up to 32", ""),
        ("fd00::/129", "after `/` comes a number up to 128", ""),
        ("10.0.0.0/" + "9" * 9999, "after `/` comes a number up to 32", ""),
        ("10.1.2.3/16", "it has bits beyond the first 16", "write `10.1.0.0/16` for"),
        ("10.1.2.3/16", "it has bits beyond the first 16", "or `10.1.2.3` for"),
        ("fd00::1/64", "it has bits beyond the first 64", "`fd00::/64`"),
        ("fe80::1%eth0", "it has a zone", "write `fe80::1`"),
        ("fe80::1%eth0/64", "it has a zone", "write `fe80::1/64`"),
    ],
)
def test_what_is_wrong_with_a_network(text, reason, hint):
    found = network_fault(text)
    assert found[0] == reason
    assert hint in found[1]


@given(st.text("0123456789.:/abcdef%* ", max_size=24) | st.text(max_size=24))
def test_a_text_without_fault_is_a_network_and_every_fault_has_a_hint(text):
    reason, hint = network_fault(text)
    assert bool(reason) == bool(hint)
    if not reason:
        ipaddress.ip_network(text)


def test_the_address_of_a_peer_is_judged_where_it_stands(tmp_path):
    text = ROUTER + "peers = ['ct']\n[peers.ct]\naddresses = ['10.0.0.1', '10.0.0.1/8']\n"
    found = only(load_text(tmp_path, text), "HRM-E248")
    assert marked(text, found) == "'10.0.0.1/8'"
