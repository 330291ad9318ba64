import pytest

from harmony.config.report import render_json, render_text
from harmony.config.structure import MAX_FINDINGS
from tests.support.configuration import (
    BACKEND,
    SCP,
    codes,
    load_text,
    marked,
    only,
    schemas_with,
)

PACS = BACKEND.replace("pacs", "p")

SERVICE = {
    "type": "object",
    "additionalProperties": False,
    "properties": {
        "user": {"type": "string"},
        "pin": {"type": "string", "maxLength": 4, "x-harmony": {"secret": True}},
        "mode": {"type": "string", "enum": ["a", "b"], "x-harmony": {"secret": True}},
        "size": {
            "type": "integer",
            "minimum": 1,
            "maximum": 9,
            "x-harmony": {"secret": True},
        },
        "old": {"not": {}, "x-harmony": {"code": "HRM-E110", "message": "gone", "hint": "go"}},
    },
}


@pytest.mark.parametrize(
    ("text", "code", "at", "message", "hint"),
    [
        ("admin = 1", "HRM-E101", "1", "expected table, found integer", ""),
        ("admin.port = 9.0", "HRM-E101", "9.0", "expected integer, found float", "`port = 9`"),
        ("admin.port = true", "HRM-E101", "true", "expected integer, found boolean", ""),
        ("admin.enabled = 'true'", "HRM-E101", "'true'", "expected boolean", "`enabled = true`"),
        ("admin.enabled = 0", "HRM-E101", "0", "expected boolean", "write `enabled = false`"),
        ("proxy.id = 7", "HRM-E101", "7", "expected string, found integer", '`id = "7"`'),
        ("proxy.id = [7]", "HRM-E101", "[7]", "expected string, found array", ""),
        ("proxy.id = 07:32:00", "HRM-E101", "07:32:00", "expected string, found time", ""),
        ("proxy.id = 1979-05-27", "HRM-E101", "1979-05-27", "found date", ""),
        ("proxy.grace_seconds = nan", "HRM-E101", "nan", "expected number, found nan", ""),
        ("proxy.grace_seconds = inf", "HRM-E101", "inf", "expected number, found inf", ""),
        ("proxy.grace_seconds = -1", "HRM-E106", "-1", "-1 is outside 0 to 86400", ""),
        ("networks.a.bind-addr = '::'", "HRM-E103", "bind-addr", "unknown", "`bind_addr`?"),
        ("networks.a.zzz = '::'", "HRM-E103", "zzz", "unknown", "known here: `bind_addr`, `http`"),
        ("endpoint.a.service = 'http'", "HRM-E103", "endpoint", "unknown", "`endpoints`?"),
        ("log.level = 'debgu'", "HRM-E104", "'debgu'", "unknown value `debgu`", "`debug`?"),
        ("pipelines.a.backends = 'b'", "HRM-E101", "'b'", "expected array", '["b"]'),
        ("pipelines.a.backends = ['b', 1]", "HRM-E101", "1", "string or table", ""),
        ("pipelines.a.networks = []", "HRM-E107", "[]", "0 items, at least 1 needed", ""),
        ("backends.a.service = 'dcom'", "HRM-E104", "'dcom'", "unknown value", "`dicom`?"),
        ("backends.a.service = 'zzz'", "HRM-E104", "'zzz'", "unknown", "as backend there is"),
        ("backends.a.service = 7", "HRM-E101", "7", "expected string", ""),
        ("endpoints.a.service = 'archive'", "HRM-E124", "'archive'", "as endpoint", "`dicom`"),
        ("backends.a.service = 'dicom'", "HRM-E102", "a", "key `options`", "[backends.a.options]"),
        ("backends.a.options = {}", "HRM-E102", "a", "required key `service`", "add `service"),
        ("peers.a.allow = ['stor']", "HRM-E104", "'stor'", "unknown value", "`store`?"),
        ("peers.a.allow = []", "HRM-E107", "[]", "0 items", ""),
        ("peers.a.addresses = '::1'", "HRM-E101", "'::1'", "expected array", '["::1"]'),
        ("peers.a.ae_title = 'A'", "HRM-E103", "ae_title", "unknown", "`ae_titles`?"),
        ("pipelines.a.strategy = 'fanout'", "HRM-E104", "'fanout'", "", "`fan_out`?"),
        ("pipelines.a.require_all = true", "HRM-E120", "require_all", '"merge"`', "write"),
        ("pipelines.a.require_all = 'yes'", "HRM-E101", "'yes'", "expected boolean", ""),
        (
            "pipelines.a = { strategy = 'fan_out', require_all = true }",
            "HRM-E120",
            "require_all",
            "effect only",
            "leave",
        ),
        (
            "pipelines.a = { strategy = 'mrege', require_all = true }",
            "HRM-E104",
            "'mrege'",
            "",
            "`merge`?",
        ),
        ("pipelines.a.backends = [{}]", "HRM-E102", "{}", "required key `name`", "add `name"),
        ("pipelines.a.backends = [{ nam = 'b' }]", "HRM-E103", "nam", "", "did you mean `name`?"),
        (
            "pipelines.a.backends = ['b', { name = 'b' }]",
            "HRM-E108",
            "'b'",
            "`b` is listed twice",
            "",
        ),
        ("middleware.a.service = 'y'", "HRM-E104", "'y'", "unknown", "no middleware service"),
    ],
)
def test_one_mistake_gives_one_finding(tmp_path, text, code, at, message, hint):
    loaded = load_text(tmp_path, text)
    found = only(loaded, code)
    assert [c for c in codes(loaded) if c[5] == "1"] == [code]
    assert marked(text, found) == at
    assert message in found.message
    assert hint in found.hint


@pytest.mark.parametrize(
    ("condition", "code", "at", "message", "hint"),
    [
        ("modality = 7", "HRM-E101", "7", "expected string or array, found integer", '"7"`'),
        ("modality = ['CT', 7]", "HRM-E101", "7", "expected string", ""),
        ("modality = 'ct'", "HRM-E105", "'ct'", "`ct` is not a modality such as `CT`", "upper"),
        ("modality = ['CT', 'mr']", "HRM-E105", "'mr'", "`mr` is not a modality", "upper"),
        ("modality = []", "HRM-E107", "[]", "at least 1 needed", ""),
        ("modality = ['CT', 'CT']", "HRM-E108", "'CT'", "`CT` is listed twice", ""),
        ("modalities = 'CT'", "HRM-E103", "modalities", "unknown key", "`modality`?"),
        ("transfer_syntax = 'JPEG'", "HRM-E105", "'JPEG'", "UID of a transfer", "1.2.840"),
        ("operation = 'c-store'", "HRM-E105", "'c-store'", "an operation", "`store`"),
        ("operation = 'stroe'", "HRM-E105", "'stroe'", "an operation", "`store`"),
        ("peer = 'CT 1'", "HRM-E105", "'CT 1'", "the name of a peer", ""),
        ("called_aet = ''", "HRM-E107", "''", "0 characters", ""),
    ],
)
def test_one_mistake_in_a_condition_gives_one_finding(tmp_path, condition, code, at, message, hint):
    text = f"pipelines.a.backends = ['b', {{ name = 'c', when = {{ {condition} }} }}]"
    loaded = load_text(tmp_path, text)
    found = only(loaded, code)
    assert [c for c in codes(loaded) if c[5] == "1"] == [code]
    assert marked(text, found) == at
    assert message in found.message
    assert hint in found.hint


@pytest.mark.parametrize(
    "condition",
    [
        "called_aet = 'RESEARCH*', calling_aet = ['CT?', 'MR1']",
        "modality = ['CT', 'M*', '?']",
        "sop_class = ['CTImageStorage', '*MR*Storage', '1.2.840.10008.5.1.4.1.1.2', '1.2.840*']",
        "transfer_syntax = '1.2.840.10008.1.2.4.*'",
        "operation = ['store', 'f*', '*']",
        "peer = 'ct*'",
        "",
    ],
)
def test_conditions_that_are_taken(tmp_path, condition):
    text = f"pipelines.a.backends = [{{ name = 'c', when = {{ {condition} }} }}]"
    assert [c for c in codes(load_text(tmp_path, text)) if c[5] == "1"] == []


@pytest.mark.parametrize(
    ("option", "code", "at", "message"),
    [
        ("tls = { cert_file = 'a' }", "HRM-E121", "cert_file", "`cert_file` needs `key_file`"),
        ("tls = { key_file = 'a' }", "HRM-E121", "key_file", "`key_file` needs `cert_file`"),
        ("tls = { certfile = 'a' }", "HRM-E103", "certfile", "unknown key"),
        ("tls = { cert_file = 'a', keyfile = 'b' }", "HRM-E103", "keyfile", "unknown key"),
        ("tls = true", "HRM-E101", "true", "expected table"),
        ("tls = {}\nuse_tls = false", "HRM-E122", "use_tls", "exclude each other"),
        ("retrieve = 'mve'", "HRM-E104", "'mve'", "unknown value `mve`"),
        ("engine = 'tiro'", "HRM-E104", "'tiro'", "unknown value `tiro`"),
        ("receiver = 7", "HRM-E101", "7", "expected string or table, found integer"),
        ("receiver = {}", "HRM-E102", "receiver", "missing required key `local_aet`"),
        ("receiver = { aet = 'A' }", "HRM-E102", "receiver", "`local_aet`"),
        (
            "receiver = { local_aet = 'A', tls = { cert_file = 'a', key_file = 'b' } }",
            "HRM-E121",
            "tls",
            "needs `ca_file`",
        ),
    ],
)
def test_one_mistake_in_the_options_of_a_backend(tmp_path, option, code, at, message):
    text = PACS + option + "\n"
    found = [f for f in load_text(tmp_path, text).findings if f.code == code]
    assert [marked(text, f) for f in found] == [at]
    assert message in found[0].message


@pytest.mark.parametrize(
    ("tls", "code", "at"),
    [
        ("cert_file = 'a'", "HRM-E102", "tls"),
        ("cert_file = 'a', key_file = 'b'", "HRM-E121", "tls"),
        (
            "cert_file = 'a', key_file = 'b', client_certificate = 'optional'",
            "HRM-E121",
            "client_certificate",
        ),
        (
            "cert_file = 'a', key_file = 'b', client_certificate = 'maybe'",
            "HRM-E104",
            "'maybe'",
        ),
    ],
)
def test_one_mistake_in_the_tls_of_an_endpoint(tmp_path, tls, code, at):
    text = SCP + f"tls = {{ {tls} }}\n"
    found = [f for f in load_text(tmp_path, text).findings if f.code == code]
    assert [marked(text, f) for f in found] == [at]


@pytest.mark.parametrize(
    "host", ["http://pacs", "pacs:104", "pa cs", "pacs/x", "[::1]", "me@pacs", "pacs\\n", ""]
)
def test_a_host_is_a_name_or_address_alone(tmp_path, host):
    loaded = load_text(tmp_path, PACS.replace("localhost", host))
    wrong = [f for f in loaded.findings if f.path == ("backends", "p", "options", "host")]
    assert [f.code for f in wrong] == ["HRM-E105" if host else "HRM-E107"]


@pytest.mark.parametrize("host", ["pacs.example.org", "10.0.0.1", "::1", "fe80::1%eth0", "bücher"])
def test_every_kind_of_host_is_taken(tmp_path, host):
    assert codes(load_text(tmp_path, PACS.replace("localhost", host))) == ["HRM-W204"]


def test_a_missing_and_an_unknown_key_that_look_alike_are_one_finding(tmp_path):
    text = PACS.replace("local_aet", "localaet")
    loaded = load_text(tmp_path, text)
    assert [code for code in codes(loaded) if code != "HRM-W204"] == ["HRM-E103"]
    assert only(loaded, "HRM-E103").hint == "did you mean `local_aet`?"


def test_a_missing_and_an_unknown_key_that_differ_are_two_findings(tmp_path):
    loaded = load_text(tmp_path, PACS.replace("local_aet", "zzz"))
    assert codes(loaded) == ["HRM-W204", "HRM-E102", "HRM-E103"]


def test_every_missing_key_is_told_once(tmp_path):
    loaded = load_text(tmp_path, "[backends.p]\nservice = 'dicom'\noptions = {}\n")
    missing = [f.message for f in loaded.findings if f.code == "HRM-E102"]
    assert sorted(missing) == [
        f"missing required key `{key}`" for key in ("aet", "host", "local_aet", "port")
    ]


def test_an_option_of_the_other_role_says_where_it_belongs(tmp_path):
    text = "[endpoints.e]\nservice = 'dicom'\noptions = { local_aet = 'A', aet = 'B' }\n"
    found = only(load_text(tmp_path, text), "HRM-E123")
    assert found.message == "`aet` belongs to `dicom` as backend; this is endpoint"
    assert marked(text, found) == "aet"


def test_a_key_of_a_megabyte_is_looked_at_quickly_and_shown_short(tmp_path):
    loaded = load_text(tmp_path, f"[admin]\n{'x' * 900_000} = 1\n")
    assert len(only(loaded, "HRM-E103").message) < 100


def test_the_number_of_findings_of_a_file_is_bounded_and_told(tmp_path):
    loaded = load_text(tmp_path, "[admin]\n" + "".join(f"x{n} = 1\n" for n in range(1000)))
    assert len(loaded.findings) == MAX_FINDINGS
    assert any("only the first 200" in skipped.reason for skipped in loaded.skipped)


def test_a_list_with_two_kinds_of_things_is_checked_in_linear_time(tmp_path):
    items = "1, 'a', " * 50_000
    loaded = load_text(tmp_path, f"pipelines.p.endpoints = [{items}]\n")
    assert len(loaded.findings) == MAX_FINDINGS


@pytest.mark.parametrize(
    ("option", "value", "code"),
    [
        ("pin", '"hunter2"', "HRM-E107"),
        ("pin", "42424242", "HRM-E101"),
        ("mode", '"hunter2"', "HRM-E104"),
        ("size", "42424242", "HRM-E106"),
        ("pni", '"hunter2"', "HRM-E103"),
    ],
)
@pytest.mark.parametrize("inline", [True, False])
def test_a_secret_is_in_no_output(tmp_path, option, value, code, inline):
    schemas = schemas_with({"backend/sample.json": SERVICE})
    options = f"{option} = {value}"
    header = (
        f"options = {{ user = 'u', {options} }}" if inline else f"[backends.s.options]\n{options}"
    )
    loaded = load_text(tmp_path, f"[backends.s]\nservice = 'sample'\n{header}\n", schemas=schemas)
    found = only(loaded, code)
    for text in (render_text(loaded), render_json(loaded), repr(loaded)):
        assert value.strip('"') not in text
    assert found.excerpt is not None
    assert found.excerpt.text == f"{option} = ***"


def test_a_schema_says_itself_what_a_forbidden_key_means(tmp_path):
    schemas = schemas_with({"backend/sample.json": SERVICE})
    text = "[backends.s]\nservice = 'sample'\noptions.old = 1\n"
    found = only(load_text(tmp_path, text, schemas=schemas), "HRM-E110")
    assert (found.message, found.hint) == ("gone", "go")
