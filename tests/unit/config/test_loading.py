from pathlib import Path

import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck, given, settings

import harmony.config
from harmony.config import loading
from harmony.config.findings import Severity
from harmony.config.loading import load_files
from harmony.config.report import render_json, render_text
from harmony.config.rules import RULES, File
from tests.support.configuration import (
    BACKEND,
    ENDPOINT,
    PIPELINE,
    WHOLE,
    codes,
    load_text,
    only,
    write_files,
)

ROOT = Path(__file__).parents[3]

# The configurations that users of the earlier implementation have.
BACKEND_USE = """\
[backends.my_pacs]
service = "dicom"

[backends.my_pacs.options]
aet = "ORTHANC"
host = "localhost"
port = 4242
local_aet = "HARMONY_SCU"
use_tls = false
"""
ENDPOINT_USE = """\
[endpoints.dicom_scp]
service = "dicom"

[endpoints.dicom_scp.options]
local_aet = "HARMONY_SCP"
# bind_addr = "0.0.0.0"
# port = 11112
"""
BRIDGE = """\
[pipelines.dicom_backend_demo]
description = "Demo DICOM backend usage - HTTP request triggers DIMSE SCU operations"
networks = ["default"]
endpoints = ["http_to_dicom"]
middleware = []
backends = ["dicom_pacs"]

[endpoints.http_to_dicom]
service = "http"
options = { path_prefix = "/dicom" }

[backends.dicom_pacs]
service = "dicom"

[backends.dicom_pacs.options]
aet = "ORTHANC"
host = "localhost"
port = 4242
local_aet = "HARMONY_SCU"
"""


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (BACKEND_USE, ["HRM-W204"]),
        (ENDPOINT_USE, ["HRM-W204"]),
        (ENDPOINT_USE.replace("# ", ""), ["HRM-W204"]),
        (BRIDGE, []),
        (BRIDGE + BACKEND_USE + ENDPOINT_USE, ["HRM-W204", "HRM-W204"]),
    ],
)
def test_configurations_of_the_earlier_implementation_are_valid(tmp_path, text, expected):
    loaded = load_text(tmp_path, text)
    assert codes(loaded) == expected
    assert loaded.configuration is not None


@pytest.mark.parametrize(
    "file", sorted(ROOT.glob("examples/*/config.toml")), ids=lambda file: file.parent.name
)
def test_examples_have_no_finding(file):
    loaded = harmony.config.load(file)
    assert codes(loaded) == []
    assert loaded.configuration is not None


def test_the_default_example_bridges_to_orthanc_on_this_machine():
    configuration = harmony.config.load(ROOT / "examples/default/config.toml").configuration
    assert configuration is not None
    assert configuration.endpoints["http_to_dicom"].options == {"path_prefix": "/dicom"}
    assert configuration.backends["dicom_pacs"].options == {
        "aet": "ORTHANC",
        "host": "localhost",
        "port": 4242,
        "local_aet": "HARMONY_SCU",
        "use_tls": False,
    }


def test_definitions_of_all_files_are_one_configuration(tmp_path):
    further = {"sites/b.toml": BACKEND, "sites/a.toml": ENDPOINT, "other/c.toml": "x = "}
    text = '[proxy]\npipelines_path = "sites"\n' + PIPELINE
    loaded = load_text(tmp_path, text, further)
    assert loaded.findings == ()
    assert [Path(file).name for file in loaded.files] == ["config.toml", "a.toml", "b.toml"]
    assert loaded.configuration is not None
    assert list(loaded.configuration.backends) == ["pacs"]


@pytest.mark.parametrize(
    ("further", "expected"),
    [
        ({}, []),
        ({"pipelines/README.md": ""}, ["HRM-W005", "HRM-N006"]),
        ({"pipelines/a.toml": ""}, []),
        ({"pipelines/deep/a.toml": "x = "}, ["HRM-W005"]),
        ({"pipelines/a.toml/b": ""}, ["HRM-E001"]),
    ],
)
def test_the_default_folder_is_read_if_it_is_there(tmp_path, further, expected):
    assert codes(load_text(tmp_path, WHOLE, further)) == expected


def test_a_main_file_inside_its_own_pipelines_folder_is_read_once(tmp_path):
    loaded = load_text(tmp_path, '[proxy]\npipelines_path = "."\n' + PIPELINE + ENDPOINT + BACKEND)
    assert codes(loaded) == ["HRM-W005"]


def test_more_files_than_allowed_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(loading, "MAX_FILES", 2)
    further = {f"pipelines/{n}.toml": "" for n in range(3)}
    loaded = load_text(tmp_path, WHOLE, further)
    assert "more than 2 files" in only(loaded, "HRM-E001").message
    assert len(loaded.files) == 1


def test_a_broken_file_hides_neither_the_others_nor_their_values(tmp_path):
    further = {"pipelines/a.toml": "x = ", "pipelines/b.toml": BACKEND.replace("4242", "'4242'")}
    loaded = load_text(tmp_path, "[admin]\nbind_addr = ''\n" + PIPELINE, further)
    assert codes(loaded) == ["HRM-E246", "HRM-E002", "HRM-E101"]


def test_a_broken_main_file_does_not_hide_the_default_folder(tmp_path):
    loaded = load_text(tmp_path, "x = ", {"pipelines/a.toml": "y = "})
    assert codes(loaded) == ["HRM-E002", "HRM-E002"]


def test_a_missing_main_file_is_all_there_is_to_say(tmp_path):
    write_files(tmp_path, [File("pipelines/a.toml", "x = ")])
    loaded = load_files(tmp_path / "config.toml")
    assert codes(loaded) == ["HRM-E001"]
    assert loaded.configuration is None


@pytest.mark.parametrize(
    ("text", "further", "reason"),
    [
        (PIPELINE, {"pipelines/a.toml": "x = "}, "not readable as TOML"),
        ("proxy.pipelines_path = 'gone'\n" + PIPELINE, {}, "does not exist"),
        ("proxy.pipelines_path = 7\n" + PIPELINE, {}, "is not known"),
        ("proxy = 7\n" + PIPELINE, {}, "is not known"),
        (PIPELINE + BACKEND.replace("backends.", "backend."), {}, "is not understood"),
        ("backends = 7\n" + PIPELINE, {}, "is not understood"),
    ],
)
def test_names_are_not_judged_while_definitions_may_be_missing(tmp_path, text, further, reason):
    loaded = load_text(tmp_path, text, further)
    assert not [code for code in codes(loaded) if code[5:7] == "20"]
    (skipped,) = loaded.skipped
    assert skipped.reason.startswith("names (rules 201 to 209, 225): ")
    assert reason in skipped.reason


def test_names_are_judged_when_another_table_is_unknown(tmp_path):
    loaded = load_text(tmp_path, "[admni]\nport = 1\n" + PIPELINE + ENDPOINT)
    assert codes(loaded) == ["HRM-E103", "HRM-E201"]
    assert loaded.skipped == ()


def test_findings_are_sorted_by_place(tmp_path):
    text = "admin.port = ''\nproxy.zzz = 1\n" + PIPELINE + BACKEND.replace("pacs", "Pacs")
    loaded = load_text(tmp_path, text, {"a.toml": "", "pipelines/a.toml": "x = 1"})
    assert list(loaded.findings) == sorted(loaded.findings, key=lambda f: f.sort_key)
    assert len(loaded.findings) >= 3


def test_paths_are_shown_relative_to_the_working_directory(tmp_path, monkeypatch):
    write_files(tmp_path, [File("etc/config.toml", "x = 1")])
    monkeypatch.chdir(tmp_path)
    assert load_files(tmp_path / "etc/config.toml").files == ("etc/config.toml",)
    monkeypatch.chdir(tmp_path / "etc")
    assert load_files(Path("config.toml")).files == ("config.toml",)
    assert load_files(Path("../etc/config.toml")).files == ("../etc/config.toml",)


PIECES = st.one_of(
    st.sampled_from(
        ["[proxy]", "[admin]", "[log]", "[networks.a]", "[[pipelines]]", "[backends.b]"]
    ),
    st.sampled_from(["[pipelines.p]", "[endpoints.e]", "[middleware.m]", "[backends.b.options]"]),
    st.sampled_from(
        ["id=", "port=", "http=", "service=", "options=", "aet=", "host=", "networks="]
    ),
    st.sampled_from(["endpoints=", "backends=", "bind_addr=", "path_prefix=", "pipelines_path="]),
    st.sampled_from(["'dicom'", "'http'", "'b'", '"\\u0000"', "'/'", "'..'", "'é'", "07:32:00"]),
    st.sampled_from(["1", "-1", "1.5", "nan", "inf", "true", "[]", "{}", "[1,'b']", "{port=0}"]),
)
BROKEN = st.text("[]{}=\"'.,#\\\n ab1-", max_size=40)
LINES = st.lists(PIECES | st.just("\n"), max_size=30).map(" ".join)


def assert_loads_without_a_bug(tmp_path, data: bytes) -> None:
    file = tmp_path / "config.toml"
    file.write_bytes(data)
    loaded = load_files(file)
    errors = loaded.count(Severity.ERROR)
    assert (loaded.configuration is None) == (errors > 0)
    assert {finding.code for finding in loaded.findings} <= set(RULES)
    render_json(loaded, verbose=True)
    assert render_text(loaded, verbose=True).rstrip("\n").replace("\n", "").isprintable()


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.binary(max_size=60) | (BROKEN | LINES).map(str.encode))
def test_no_text_is_a_bug(tmp_path, data):
    assert_loads_without_a_bug(tmp_path, data)


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.text(max_size=5)
    | st.sampled_from(["http", "/"]),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3)
    ),
    max_leaves=5,
)


def toml(value) -> str:
    """Any nested value as TOML, in one line."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{toml(str(k))} = {toml(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(toml, value)) + "]"
    if isinstance(value, str):
        return '"' + "".join(f"\\U{ord(c):08x}" for c in value) + '"'
    return {None: "1.5", True: "true", False: "false"}.get(value, str(value))


TABLES = (
    "proxy",
    "admin",
    "log",
    "networks",
    "pipelines",
    "endpoints",
    "middleware",
    "backends",
    "peers",
)
ENDPOINT_OPTIONS = {"local_aet": "A", "peers": ["a"], "tls": {"cert_file": ".", "key_file": "x"}}
BACKEND_OPTIONS = {
    "aet": "A",
    "host": "localhost",
    "port": 11112,
    "local_aet": "B",
    "retrieve": "move",
    "receiver": "a",
    "tls": {"verify": False},
}
KEYS = [
    "service",
    "options",
    "networks",
    "endpoints",
    "backends",
    "bind_addr",
    "http",
    "port",
    "addresses",
    "ae_titles",
    "move_destinations",
    "strategy",
    "require_all",
]
named = st.dictionaries(
    st.sampled_from(["a", "default", "B b"]),
    st.dictionaries(
        st.sampled_from(KEYS),
        json_values
        | st.sampled_from(["dicom", "http", "merge", True, ["a"], ["default"], {"port": 8080}])
        | st.sampled_from([[{"name": "a", "when": {"peer": "a", "modality": ["CT"]}}, "a"]])
        | st.sampled_from([ENDPOINT_OPTIONS, BACKEND_OPTIONS]),
        max_size=5,
    )
    | json_values,
    max_size=3,
)


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(document=st.dictionaries(st.sampled_from(TABLES), named | json_values, max_size=6))
def test_no_document_is_a_bug(tmp_path, document):
    text = "".join(f"{key} = {toml(value)}\n" for key, value in document.items())
    assert_loads_without_a_bug(tmp_path, text.encode())
