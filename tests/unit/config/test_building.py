from harmony.config.model import (
    Admin,
    HttpListener,
    Log,
    Network,
    Peer,
    Pipeline,
    Proxy,
    Reference,
    Service,
)
from tests.support.configuration import BACKEND, ENDPOINT, ROUTER, load_text


def test_an_empty_file_is_all_defaults(tmp_path):
    configuration = load_text(tmp_path, "").configuration
    assert configuration is not None
    assert configuration.file == tmp_path / "config.toml"
    assert (configuration.proxy, configuration.admin, configuration.log) == (
        Proxy(),
        Admin(),
        Log(),
    )
    assert configuration.networks == {"default": Network(name="default")}
    assert (configuration.pipelines, configuration.backends) == ({}, {})
    assert configuration.peers == {}


def test_everything_written_arrives(tmp_path):
    text = (
        """
        [proxy]
        id = "site"
        state_dir = "/var/lib/harmony"
        grace_seconds = 5
        [admin]
        enabled = false
        port = 0
        [log]
        level = "debug"
        format = "json"
        [networks.lan]
        bind_addr = "::1"
        http = { port = 0, head_seconds = 2, max_in_flight = 3 }
        [pipelines.p]
        description = "d"
        networks = ["lan"]
        endpoints = ["web"]
        backends = ["pacs"]
        """
        + ENDPOINT
        + BACKEND
    )
    configuration = load_text(tmp_path, text).configuration
    assert configuration is not None
    assert configuration.proxy == Proxy(id="site", state_dir="/var/lib/harmony", grace_seconds=5.0)
    assert isinstance(configuration.proxy.grace_seconds, float)
    assert configuration.admin == Admin(enabled=False, port=0)
    assert configuration.log == Log(level="debug", format="json")
    assert configuration.networks == {
        "lan": Network(
            name="lan",
            bind_addr="::1",
            http=HttpListener(port=0, head_seconds=2.0, max_in_flight=3),
        ),
        "default": Network(name="default"),
    }
    assert configuration.endpoints == {"web": Service(name="web", service="http", options={})}
    assert configuration.backends["pacs"].options["port"] == 4242
    assert configuration.pipelines == {
        "p": Pipeline(
            name="p",
            description="d",
            networks=("lan",),
            endpoints=("web",),
            backends=(Reference(name="pacs"),),
        )
    }


def test_both_forms_of_a_reference_and_of_a_condition_arrive_as_one(tmp_path):
    text = ROUTER.replace(
        '["pacs"]',
        """["pacs", { name = "two", when = { modality = "CT", calling_aet = ["A*", "B?"] } }]
        strategy = "merge"
        require_all = true""",
    ) + BACKEND.replace("backends.pacs", "backends.two")
    configuration = load_text(tmp_path, text).configuration
    assert configuration is not None
    pipeline = configuration.pipelines["bridge"]
    assert pipeline.backends == (
        Reference(name="pacs"),
        Reference(name="two", when={"modality": ("CT",), "calling_aet": ("A*", "B?")}),
    )
    assert (pipeline.strategy, pipeline.require_all) == ("merge", True)
    assert pipeline.backend_names == ("pacs", "two")


def test_peers_are_what_is_written_with_their_defaults(tmp_path):
    text = (
        ROUTER
        + """
        peers = ["ct", "lan"]
        [peers.ct]
        ae_titles = ["CT1", "CT2"]
        addresses = ["10.1.2.3"]
        allow = ["store"]
        called_ae_titles = ["STORE"]
        move_destinations = ["pacs"]
        [peers.lan]
        addresses = ["fd00::/8"]
        """
    )
    configuration = load_text(tmp_path, text).configuration
    assert configuration is not None
    assert configuration.peers == {
        "ct": Peer(
            name="ct",
            ae_titles=("CT1", "CT2"),
            addresses=("10.1.2.3",),
            allow=("store",),
            called_ae_titles=("STORE",),
            move_destinations=("pacs",),
        ),
        "lan": Peer(name="lan", addresses=("fd00::/8",)),
    }
