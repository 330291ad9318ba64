import pytest

from tests.support import configuration
from tests.support.configuration import (
    BACKEND,
    ENDPOINT,
    ROUTER,
    SCP,
    WHOLE,
    load_text,
    marked,
    only,
)


def codes(loaded):
    """But for what is said of each low port, and of each address that others reach."""
    others = ("HRM-W245", "HRM-W304")
    return [code for code in configuration.codes(loaded) if code not in others]


def networks(**listeners):
    lines = [f"[networks.{name}]\n{text}\n" for name, text in listeners.items()]
    used = (
        f'[pipelines.p]\nnetworks = {list(listeners)}\nendpoints = ["web"]\nbackends = ["pacs"]\n'
    )
    return "".join(lines) + used + ENDPOINT + BACKEND


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ("", ""),
        ("http.port = 1", "http = { port = 1 }"),
        ("bind_addr = '0.0.0.0'", ""),
        ("bind_addr = '::'", ""),
        ("", "bind_addr = '::'"),
        ("bind_addr = '::'", "bind_addr = '::1'"),
        ("bind_addr = '::ffff:127.0.0.1'", ""),
        ("bind_addr = '::1'", "bind_addr = '0:0::1'"),
        ("bind_addr = '::'", "bind_addr = '0.0.0.0'"),
    ],
)
def test_listeners_that_clash(tmp_path, a, b):
    assert codes(load_text(tmp_path, networks(a=a, b=b))) == ["HRM-E241"]


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ("http.port = 1", "http.port = 2"),
        ("http.port = 0", "http.port = 0"),
        ("bind_addr = '127.0.0.2'", ""),
        ("bind_addr = '0.0.0.0'", "bind_addr = '::1'"),
        ("bind_addr = 'localhost'", ""),
    ],
)
def test_listeners_that_do_not_clash(tmp_path, a, b):
    assert "HRM-E241" not in codes(load_text(tmp_path, networks(a=a, b=b)))


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("[networks.default]\nhttp.port = 9090\n" + WHOLE, "9090"),
        ("[admin]\nport = 8080\n" + WHOLE, "8080"),
        ("[admin]\nbind_addr = '0.0.0.0'\nport = 8080\n" + WHOLE, "8080"),
        ("[networks.default]\nhttp.port = 7\n[admin]\nport = 7\n" + WHOLE, "7"),
    ],
)
def test_the_admin_listener_counts_and_a_default_is_not_pointed_at(tmp_path, text, at):
    found = only(load_text(tmp_path, text), "HRM-E241")
    assert marked(text, found) == at
    assert "`admin`" in found.message


@pytest.mark.parametrize(
    "text",
    [
        "[admin]\nenabled = false\nport = 8080\n" + WHOLE,
        # Nothing listens for a network that no pipeline uses.
        "[networks.spare]\nhttp.port = 9090\n" + WHOLE,
        "[admin]\nport = 8080\n",
    ],
)
def test_what_does_not_listen_does_not_clash(tmp_path, text):
    assert "HRM-E241" not in codes(load_text(tmp_path, text))


def test_both_listeners_are_named_with_the_address(tmp_path):
    text = networks(a="bind_addr = '::'\nhttp.port = 81", b="bind_addr = '::1'\nhttp.port = 81")
    found = only(load_text(tmp_path, text), "HRM-E241")
    assert found.message == "network `a` and network `b` both listen on [::1]:81"
    assert [related.message for related in found.related] == ["network `a`"]
    assert found.path == ("networks", "b", "http", "port")


@pytest.mark.parametrize(
    "address", ["localhost", "", "256.0.0.1", "127.0.0.1:80", "[::1]", "127.0.0.1\\n", "10.0.0.0/8"]
)
@pytest.mark.parametrize("table", ["admin", "networks.default"])
def test_texts_that_are_no_address(tmp_path, table, address):
    text = f'[{table}]\nbind_addr = "{address}"\n'
    found = only(load_text(tmp_path, text), "HRM-E246")
    assert marked(text, found) == f'"{address}"'


@pytest.mark.parametrize("address", ["0.0.0.0", "::", "::1", "fe80::1%eth0", "192.168.0.7"])
def test_texts_that_are_an_address(tmp_path, address):
    assert codes(load_text(tmp_path, f'[admin]\nbind_addr = "{address}"\n')) == []


LAN = "[networks.lan]\nbind_addr = '10.0.0.1'\nhttp.port = 81\n"
PEER = "[peers.ct]\nae_titles = ['CT']\n"
SECOND = SCP.replace("scp", "two")
TWO = ROUTER.replace('["scp"]', '["scp", "two"]') + SECOND


def networks_of(*used):
    return ROUTER.replace("endpoints =", f"networks = {list(used)}\nendpoints =")


def receiver(text):
    return ROUTER.replace(BACKEND, BACKEND + f"receiver = {{ local_aet = 'A', {text} }}\n")


@pytest.mark.parametrize(
    ("text", "at", "message"),
    [
        (TWO, "two", "endpoint `scp` on network `default` and endpoint `two` on network"),
        (TWO + "bind_addr = '127.0.0.1'\n", "'127.0.0.1'", "and endpoint `two` both listen"),
        (TWO + "bind_addr = '::'\npeers = ['ct']\n" + PEER, "'::'", "listen on [::]:11112"),
        (ROUTER + "port = 8080\n", "8080", "network `default` and endpoint `scp` on network"),
        (ROUTER + "port = 9090\n", "9090", "`admin` and endpoint `scp` on network `default` both"),
        (receiver("port = 11112"), "11112", "and receiver of backend `pacs` both listen"),
        (receiver("bind_addr = '0.0.0.0'"), "'0.0.0.0'", "listen on 0.0.0.0:11112"),
        (
            networks_of("default", "all")
            + "peers = ['ct']\n"
            + PEER
            + "[networks.all]\nbind_addr = '0.0.0.0'\nhttp.port = 81\n",
            "scp",
            "endpoint `scp` on network `default` and endpoint `scp` on network `all`",
        ),
    ],
)
def test_dicom_endpoints_and_receivers_clash_as_others_do(tmp_path, text, at, message):
    found = only(load_text(tmp_path, text), "HRM-E241")
    assert message in found.message
    assert marked(text, found) == at


@pytest.mark.parametrize(
    "text",
    [
        ROUTER,
        TWO + "port = 104\n",
        TWO + "bind_addr = '127.0.0.2'\n",
        receiver("port = 0"),
        receiver("bind_addr = '127.0.0.2'"),
        # Two networks on one address are one listener of the endpoint.
        networks_of("default", "b") + "[networks.b]\nhttp.port = 81\n",
    ],
)
def test_dicom_listeners_apart_are_fine(tmp_path, text):
    assert codes(load_text(tmp_path, text)) == []


def test_what_no_pipeline_uses_does_not_listen(tmp_path):
    unused = BACKEND.replace("pacs", "spare") + "receiver = { local_aet = 'A' }\n"
    assert codes(load_text(tmp_path, ROUTER + SECOND + unused)) == ["HRM-W204", "HRM-W204"]


@pytest.mark.parametrize(
    ("host", "bind"),
    [
        ("localhost", ""),
        ("LOCALHOST", "bind_addr = '0.0.0.0'"),
        ("127.0.0.1", ""),
        ("127.0.0.1", "bind_addr = '::'"),
        ("::1", "bind_addr = '::'"),
        ("::ffff:127.0.0.1", ""),
        ("10.0.0.1", "bind_addr = '10.0.0.1'"),
    ],
)
def test_a_backend_must_not_be_the_endpoint_before_it(tmp_path, host, bind):
    text = ROUTER.replace("localhost", host).replace("4242", "11112") + f"{bind}\n"
    found = only(load_text(tmp_path, text), "HRM-E251")
    assert marked(text, found) == "11112"
    assert [related.message for related in found.related] == ["endpoint `scp`"]


@pytest.mark.parametrize(
    ("host", "bind"),
    [
        ("pacs.example.org", "bind_addr = '0.0.0.0'"),
        ("10.0.0.1", "bind_addr = '0.0.0.0'"),
        ("::1", "bind_addr = '0.0.0.0'"),
        ("10.0.0.1", ""),
        ("localhost", "port = 104"),
    ],
)
def test_a_backend_that_may_be_elsewhere_is_not_called_a_loop(tmp_path, host, bind):
    text = ROUTER.replace("localhost", host).replace("4242", "11112") + f"{bind}\n"
    assert "HRM-E251" not in codes(load_text(tmp_path, text))


def test_a_backend_of_another_pipeline_may_be_an_endpoint_of_this_one(tmp_path):
    chain = (
        '[pipelines.front]\nendpoints = ["web"]\nbackends = ["front"]\n'
        + ENDPOINT
        + BACKEND.replace("backends.pacs", "backends.front").replace("4242", "11112")
    )
    assert codes(load_text(tmp_path, ROUTER + chain)) == []


@pytest.mark.parametrize(
    ("text", "at"),
    [
        (ROUTER + "bind_addr = '0.0.0.0'\n", "'0.0.0.0'"),
        (ROUTER + "bind_addr = '::'\npeers = []\n", "'::'"),
        (ROUTER + "[networks.default]\nbind_addr = '10.0.0.1'\n", "scp"),
        (networks_of("default", "lan") + LAN, "scp"),
    ],
)
def test_an_endpoint_that_is_reached_by_nobody_it_admits_is_told_once(tmp_path, text, at):
    loaded = load_text(tmp_path, text)
    assert codes(loaded) == ["HRM-W315"]
    assert marked(text, only(loaded, "HRM-W315")) == at


@pytest.mark.parametrize(
    "text",
    [
        ROUTER + "bind_addr = '127.0.0.9'\n",
        ROUTER + "bind_addr = '::1'\n",
        ROUTER + "bind_addr = '0.0.0.0'\npeers = ['ct']\n" + PEER,
    ],
)
def test_an_endpoint_with_peers_or_on_this_machine_needs_no_warning(tmp_path, text):
    assert codes(load_text(tmp_path, text)) == []
