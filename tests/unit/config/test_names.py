import pytest

from tests.support.configuration import (
    BACKEND,
    ENDPOINT,
    ROUTER,
    SCP,
    WHOLE,
    codes,
    load_text,
    marked,
    only,
    schemas_with,
)

NETWORK = "[networks.lan]\nhttp.port = 8081\n"


def pipeline(name="bridge", **lists):
    lists = {"endpoints": ["web"], "backends": ["pacs"], **lists}
    lines = [f"{key} = {value}" for key, value in lists.items()]
    return "\n".join([f"[pipelines.{name}]", *lines]) + "\n"


@pytest.mark.parametrize(
    ("text", "code", "at", "message", "hint"),
    [
        (pipeline(backends=["pac"]), "HRM-E201", "'pac'", "unknown backend `pac`", "`pacs`?"),
        (pipeline(backends=["x"]), "HRM-E201", "'x'", "backend `x`", "or name one of `pacs`"),
        (pipeline(networks=["x"]), "HRM-E201", "'x'", "unknown network `x`", "[networks.x]"),
        (pipeline(middleware=["x"]), "HRM-E201", "'x'", "unknown middleware `x`", "define"),
        (pipeline(backends=["web"]), "HRM-E203", "'web'", "is an endpoint, not a backend", "name"),
        (pipeline(middleware=["pacs"]), "HRM-E203", "'pacs'", "not middleware", "`backends`"),
        (pipeline(networks=["pacs"]), "HRM-E203", "'pacs'", "not a network", "`backends`"),
        (pipeline(backends=["default"]), "HRM-E203", "'default'", "is a network", "`networks`"),
        (pipeline(endpoints=[]), "HRM-E205", "[]", "`bridge` has no endpoints", "write"),
        ("[pipelines.a]\n", "HRM-E205", "a", "", "write"),
        (pipeline(name='"A.b"'), "HRM-E207", '"A.b"', "`A.b` is not a name", "`a-b`"),
        (pipeline(name='""'), "HRM-E207", '""', "is not a name", ""),
        (pipeline(name='"a\\n"'), "HRM-E207", '"a\\n"', r"`a\n` is not a name", "`a`"),
    ],
)
def test_one_mistake_in_a_pipeline(tmp_path, text, code, at, message, hint):
    text += ENDPOINT + BACKEND
    found = [f for f in load_text(tmp_path, text).findings if f.code == code]
    assert marked(text, found[0]) == at
    assert message in found[0].message
    assert hint in found[0].hint
    assert len(found) == (2 if text.startswith("[pipelines.a]") else 1)


def test_a_pipeline_whose_two_networks_are_known_is_valid(tmp_path):
    text = pipeline(networks=["default", "lan"]) + ENDPOINT + BACKEND + NETWORK
    assert codes(load_text(tmp_path, text)) == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (WHOLE + NETWORK, ["HRM-W204"]),
        (WHOLE + "[networks.default]\n", []),
        (pipeline(networks=["lan"]) + ENDPOINT + BACKEND + NETWORK, []),
        (
            pipeline(networks=["lan"]) + ENDPOINT + BACKEND + NETWORK + "[networks.default]\n",
            ["HRM-W204"],
        ),
        (ENDPOINT + BACKEND, ["HRM-W204", "HRM-W204"]),
        # What a misspelt reference means is not called unused on top.
        (pipeline(backends=["pasc"]) + ENDPOINT + BACKEND, ["HRM-E201"]),
        # A pipeline with an error may be the one that uses it.
        (
            pipeline(backends="pacs").replace("= pacs", "= 'pacs'") + ENDPOINT + BACKEND,
            ["HRM-E101"],
        ),
    ],
)
def test_what_no_pipeline_names_is_told_when_it_is_sure(tmp_path, text, expected):
    assert codes(load_text(tmp_path, text)) == expected


def test_an_endpoint_of_two_pipelines_names_both(tmp_path):
    text = WHOLE + pipeline("second")
    found = only(load_text(tmp_path, text), "HRM-E206")
    assert found.message == "endpoint `web` is claimed by pipelines `bridge` and `second`"
    assert found.path == ("pipelines", "second", "endpoints", 0)


def test_a_backend_of_two_pipelines_is_fine(tmp_path):
    second = ENDPOINT.replace("web", "web2") + 'options = { path_prefix = "/2" }\n'
    text = WHOLE + pipeline("second", endpoints=["web2"]) + second
    assert codes(load_text(tmp_path, text)) == []


def test_a_name_defined_in_three_files_clashes_twice(tmp_path):
    further = {"pipelines/a.toml": BACKEND, "pipelines/b.toml": BACKEND}
    loaded = load_text(tmp_path, WHOLE, further)
    assert codes(loaded) == ["HRM-E202", "HRM-E202"]
    assert {finding.related[0].file for finding in loaded.findings} == {loaded.files[0]}


def test_the_same_name_in_two_tables_is_no_clash(tmp_path):
    text = WHOLE.replace("web", "pacs").replace("bridge", "pacs")
    assert codes(load_text(tmp_path, text)) == []


PEER = "[peers.ct]\nae_titles = ['CT']\n"
SECOND = BACKEND.replace("pacs", "second")


@pytest.mark.parametrize(
    ("text", "code", "at", "message", "hint"),
    [
        (
            ROUTER + "peers = ['tc']\n" + PEER,
            "HRM-E201",
            "'tc'",
            "unknown peer `tc`",
            "one of `ct`",
        ),
        (ROUTER + "peers = ['x']\n", "HRM-E201", "'x'", "unknown peer `x`", "[peers.x]"),
        (ROUTER + "peers = ['pacs']\n", "HRM-E203", "'pacs'", "not a peer", "`[peers]` defines"),
        (
            ROUTER + "peers = ['ct']\nmove_destinations = ['ct']\n" + PEER,
            "HRM-E203",
            "'ct'",
            "`ct` is a peer, not a backend",
            "`move_destinations` takes what `[backends]`",
        ),
        (
            ROUTER + "peers = ['ct']\n" + PEER + "move_destinations = ['packs']\n",
            "HRM-E201",
            "'packs'",
            "unknown backend `packs`",
            "`pacs`?",
        ),
        (
            ROUTER.replace('["pacs"]', "['pacs', { name = 'secnd' }]") + SECOND,
            "HRM-E201",
            "'secnd'",
            "unknown backend `secnd`",
            "`second`?",
        ),
        (
            ROUTER.replace('["pacs"]', "[{ name = 'pacs', when = { peer = 'tc' } }]"),
            "HRM-E201",
            "'tc'",
            "unknown peer `tc`",
            "[peers.tc]",
        ),
        (
            ROUTER.replace("port = 4242", "port = 4242\nreceiver = 'spc'"),
            "HRM-E201",
            "'spc'",
            "unknown endpoint `spc`",
            "`scp`?",
        ),
        (
            ROUTER.replace("port = 4242", "port = 4242\nreceiver = 'pacs'"),
            "HRM-E203",
            "'pacs'",
            "is a backend, not an endpoint",
            "`receiver` takes",
        ),
        (
            ROUTER + '[peers."CT 1"]\nae_titles = ["CT"]\n',
            "HRM-E207",
            '"CT 1"',
            "`CT 1` is not a name",
            "`ct-1`",
        ),
    ],
)
def test_one_mistake_in_a_name_outside_the_plain_lists(tmp_path, text, code, at, message, hint):
    found = only(load_text(tmp_path, text), code)
    assert marked(text, found) == at
    assert message in found.message
    assert hint in found.hint


def test_a_peer_defined_twice_clashes(tmp_path):
    text = ROUTER + "peers = ['ct']\n" + PEER
    assert codes(load_text(tmp_path, text, {"pipelines/a.toml": PEER})) == ["HRM-E202"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (ROUTER + PEER, ["HRM-W204"]),
        (ROUTER + "peers = ['ct']\n" + PEER, []),
        # Who only asks whether it was `ct` lets nobody in.
        (
            ROUTER.replace('["pacs"]', "[{ name = 'pacs', when = { peer = 'ct' } }]") + PEER,
            ["HRM-W204"],
        ),
        (ROUTER.replace('["pacs"]', "[{ name = 'pacs', when = { peer = 'c*' } }]"), []),
        (ROUTER.replace('["pacs"]', "[{ name = 'pacs' }]"), []),
        (ROUTER + "move_destinations = ['second']\n" + SECOND, []),
        (
            ROUTER + "peers = ['ct']\n" + PEER + "move_destinations = ['second']\n" + SECOND,
            [],
        ),
        # An endpoint with an error may be the one that names the peer.
        (ROUTER + "peers = 'ct'\n" + PEER, ["HRM-E101"]),
        # A peer with an error may be the one that names the backend.
        (ROUTER + "peers = ['ct']\n" + PEER + "allow = ['all']\n" + SECOND, ["HRM-E104"]),
    ],
)
def test_peers_destinations_and_receivers_are_used_by_those_that_name_them(
    tmp_path, text, expected
):
    assert codes(load_text(tmp_path, text)) == expected


def test_the_unused_peer_is_for_an_endpoint_to_name(tmp_path):
    found = only(load_text(tmp_path, ROUTER + PEER), "HRM-W204")
    assert found.message == "peer `ct` is never used"
    assert found.hint == "name it in an endpoint's `peers`, or remove it"


def test_an_endpoint_may_be_a_receiver_and_in_a_pipeline(tmp_path):
    text = (
        ROUTER.replace("port = 4242", "port = 4242\nreceiver = 'scp'\nretrieve = 'move'")
        + '[pipelines.web]\nendpoints = ["web"]\nbackends = ["pacs"]\n'
        + ENDPOINT
    )
    assert codes(load_text(tmp_path, text)) == []


@pytest.mark.parametrize(
    ("text", "at", "message"),
    [
        (
            WHOLE + "receiver = 'web'\n",
            "'web'",
            "endpoint `web` cannot be a receiver: its service is `http`, not `dicom`",
        ),
        (
            WHOLE + "receiver = 'scp'\n" + SCP,
            "'scp'",
            "endpoint `scp` cannot be a receiver: no pipeline has it, so it does not listen",
        ),
    ],
)
def test_a_receiver_is_a_dicom_endpoint_that_listens(tmp_path, text, at, message):
    loaded = load_text(tmp_path, text)
    assert codes(loaded) == ["HRM-E225"]
    assert loaded.findings[0].message == message
    assert marked(text, loaded.findings[0]) == at


@pytest.mark.parametrize("where", ["endpoint", "peer"])
def test_a_move_destination_is_a_dicom_backend(tmp_path, where):
    schemas = schemas_with({"backend/sample.json": {"type": "object", "properties": {}}})
    line = "move_destinations = ['s']\n"
    text = ROUTER + "peers = ['ct']\n" + (line + PEER if where == "endpoint" else PEER + line)
    loaded = load_text(tmp_path, text + "[backends.s]\nservice = 'sample'\n", schemas=schemas)
    assert codes(loaded) == ["HRM-E225"]
    assert loaded.findings[0].message == (
        "backend `s` cannot be a move destination: its service is `sample`, not `dicom`"
    )


def test_a_receiver_is_not_said_to_be_deaf_while_a_pipeline_is_not_understood(tmp_path):
    text = ROUTER.replace('["scp"]', '"scp"').replace("port = 4242", "port = 4242\nreceiver='scp'")
    assert codes(load_text(tmp_path, text)) == ["HRM-E101"]
