import pytest

from tests.support.configuration import (
    BACKEND,
    ENDPOINT,
    PIPELINE,
    WHOLE,
    codes,
    load_text,
    marked,
    only,
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


def test_a_planned_service_may_be_defined_but_not_used(tmp_path):
    scp = "[endpoints.web]\nservice = 'dicom'\noptions = { local_aet = 'SCP' }\n"
    assert codes(load_text(tmp_path, scp)) == ["HRM-W204"]
    text = PIPELINE + scp + BACKEND
    found = only(load_text(tmp_path, text), "HRM-E124")
    assert marked(text, found) == '"web"'
    assert found.hint == "this version has no `dicom` endpoint yet; take `web` out"


def test_a_name_defined_in_three_files_clashes_twice(tmp_path):
    further = {"pipelines/a.toml": BACKEND, "pipelines/b.toml": BACKEND}
    loaded = load_text(tmp_path, WHOLE, further)
    assert codes(loaded) == ["HRM-E202", "HRM-E202"]
    assert {finding.related[0].file for finding in loaded.findings} == {loaded.files[0]}


def test_the_same_name_in_two_tables_is_no_clash(tmp_path):
    text = WHOLE.replace("web", "pacs").replace("bridge", "pacs")
    assert codes(load_text(tmp_path, text)) == []
