import pytest

from tests.support.configuration import BACKEND, ENDPOINT, WHOLE, codes, load_text, marked, only


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
