"""The table of everything that can be wrong with a configuration.

A rule is one entry here and one check elsewhere. Output, ``harmony explain`` and the reference
are made from the entries, so the examples are real: the tests run each of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from harmony.config.findings import Layer, Severity
from harmony.config.wording import quoted

_SEVERITIES = {"E": Severity.ERROR, "W": Severity.WARNING, "N": Severity.NOTE}
_LAYERS = {"0": Layer.FILES, "1": Layer.SCHEMA, "2": Layer.MEANING}

MAIN = "config.toml"


@dataclass(frozen=True, slots=True)
class File:
    """One file of an example. `encoding` is how it was saved."""

    name: str
    text: str
    encoding: str = "utf-8"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One thing that can be wrong.

    Attributes:
        code: ``HRM-``, the severity's letter, and the number that alone names the rule.
        template: the message, with the names of its fields in braces.
        bad: files that break the rule; ``config.toml`` is the main one. None at all means that
            the main file does not exist.
        good: the same, put right.
    """

    code: str
    title: str
    template: str
    explanation: str
    bad: tuple[File, ...]
    good: tuple[File, ...]

    @property
    def severity(self) -> Severity:
        return _SEVERITIES[self.code[4]]

    @property
    def layer(self) -> Layer:
        return _LAYERS[self.code[5]]

    def message(self, **fields: object) -> str:
        """The template filled in; every field is escaped and kept short."""
        return self.template.format(**{name: quoted(value) for name, value in fields.items()})


def find_rule(text: str) -> Rule | None:
    """The rule that `text` names: ``HRM-E103``, ``e103`` or ``103``."""
    wanted = text.strip().upper().removeprefix("HRM-")
    for rule in RULES.values():
        if wanted in (rule.code[4:], rule.code[5:]):
            return rule
    return None


def _main(text: str) -> tuple[File, ...]:
    return (File(MAIN, text),)


_PACS = """\
[backends.pacs]
service = "dicom"
options = { aet = "ORTHANC", host = "localhost", port = 4242, local_aet = "HARMONY" }
"""
_WEB = """\
[endpoints.web]
service = "http"
"""
_PIPELINE = """\
[pipelines.bridge]
endpoints = ["web"]
backends = ["pacs"]
"""
_WHOLE = _PIPELINE + _WEB + _PACS

_ENTRIES = (
    # L0: files
    Rule(
        code="HRM-E001",
        title="file cannot be read",
        template="cannot read `{file}`: {reason}",
        explanation="The file does not exist, may not be read by this user, is a folder or a "
        "pipe, or is larger than 1 MiB. The other files are checked all the same.",
        bad=(),
        good=_main(_WHOLE),
    ),
    Rule(
        code="HRM-E002",
        title="not valid TOML",
        template="not valid TOML: {reason}",
        explanation="The file breaks the grammar of TOML 1.1, so nothing in it can be checked. "
        "Frequent causes are text without quotes, a key or table written twice, and a missing "
        "bracket one line above. Tables and arrays nest at most 64 deep, and integers have at "
        "most 64 bits.",
        bad=_main("[admin]\nport =\n"),
        good=_main("[admin]\nport = 9090\n"),
    ),
    Rule(
        code="HRM-E003",
        title="not UTF-8",
        template="not UTF-8 at byte {n}",
        explanation="TOML files are UTF-8. Bytes count from 1. Save the file again as UTF-8; an "
        "old editor may have used Latin-1.",
        bad=(File(MAIN, '[proxy]\nid = "röntgen"\n', "latin-1"),),
        good=_main('[proxy]\nid = "röntgen"\n'),
    ),
    Rule(
        code="HRM-E004",
        title="pipelines directory does not exist",
        template="pipelines directory `{dir}` does not exist",
        explanation="`pipelines_path` names a directory, relative to the main file, whose `.toml` "
        "files are read too. Without the key, `pipelines` is read if it is there.",
        bad=_main('[proxy]\npipelines_path = "pipelnes"\n'),
        good=(File(MAIN, '[proxy]\npipelines_path = "sites"\n'), File("sites/ct.toml", _WHOLE)),
    ),
    Rule(
        code="HRM-W005",
        title="pipelines directory is empty",
        template="pipelines directory `{dir}` holds no `.toml` file",
        explanation="The directory is there but gives nothing to read, so the main file is the "
        "whole configuration. Subdirectories are not searched.",
        bad=(File(MAIN, '[proxy]\npipelines_path = "sites"\n'), File("sites/README", "")),
        good=(File(MAIN, '[proxy]\npipelines_path = "sites"\n'), File("sites/ct.toml", _WHOLE)),
    ),
    Rule(
        code="HRM-N006",
        title="file is not read",
        template="`{file}` is not read: its name does not end in `.toml`",
        explanation="Only files whose names end in `.toml` belong to the configuration. Others "
        "may lie beside them, such as a pipeline that is switched off for now.",
        bad=(File(MAIN, ""), File("pipelines/ct.toml", _WHOLE), File("pipelines/mr.toml.off", "")),
        good=(File(MAIN, ""), File("pipelines/ct.toml", _WHOLE)),
    ),
    # L1: each file against its schema
    Rule(
        code="HRM-E101",
        title="wrong type",
        template="expected {expected}, found {found}",
        explanation="The value has another type than the key needs. Numbers and booleans stand "
        "without quotes, text with them, and `4242.0` is not an integer.",
        bad=_main('[admin]\nport = "9090"\n'),
        good=_main("[admin]\nport = 9090\n"),
    ),
    Rule(
        code="HRM-E102",
        title="missing key",
        template="missing required key `{key}`",
        explanation="The table cannot do without this key, and no default would be right for "
        "everyone.",
        bad=_main(
            _PIPELINE + _WEB + '[backends.pacs]\nservice = "dicom"\n\n[backends.pacs.options]\n'
            'aet = "ORTHANC"\nhost = "localhost"\nlocal_aet = "HARMONY"\n'
        ),
        good=_main(_WHOLE),
    ),
    Rule(
        code="HRM-E103",
        title="unknown key",
        template="unknown key `{key}`",
        explanation="Harmony does not know the key here, so what you want from it would not "
        "happen. It may be misspelt or stand in the wrong table.",
        bad=_main('[admin]\nbindaddr = "127.0.0.1"\n'),
        good=_main('[admin]\nbind_addr = "127.0.0.1"\n'),
    ),
    Rule(
        code="HRM-E104",
        title="unknown value",
        template="unknown value `{value}`",
        explanation="The key takes one of a few words. `service` takes the services that this "
        "version has in that role: `harmony schema` lists them.",
        bad=_main('[log]\nlevel = "verbose"\n'),
        good=_main('[log]\nlevel = "debug"\n'),
    ),
    Rule(
        code="HRM-E105",
        title="wrong form",
        template="`{value}` is not {form}",
        explanation="The text has the right type but not the form that the key needs. A host, for "
        "example, is a name or an address alone: the port has its own key, and there is no scheme "
        "or path.",
        bad=_main(_PIPELINE + _WEB + _PACS.replace("localhost", "http://localhost")),
        good=_main(_WHOLE),
    ),
    Rule(
        code="HRM-E106",
        title="out of range",
        template="{value} is outside {low} to {high}",
        explanation="The number is smaller or larger than the key allows.",
        bad=_main("[admin]\nport = 70000\n"),
        good=_main("[admin]\nport = 7000\n"),
    ),
    Rule(
        code="HRM-E107",
        title="too short or too long",
        template="{found}, {limit}",
        explanation="The text or list has fewer or more characters or items than the key allows. "
        "Leave a key out rather than giving it an empty text.",
        bad=_main('[proxy]\nid = ""\n'),
        good=_main('[proxy]\nid = "radiology"\n'),
    ),
    Rule(
        code="HRM-E108",
        title="listed twice",
        template="`{item}` is listed twice",
        explanation="An item of this list can be there once only.",
        bad=_main(_WHOLE.replace('["pacs"]', '["pacs", "pacs"]')),
        good=_main(_WHOLE),
    ),
    Rule(
        code="HRM-E110",
        title="belongs in the main file",
        template="`{table}` belongs in the main file",
        explanation="`proxy`, `admin`, `log` and `networks` are about the process as a whole, so "
        "they stand in the main file. A file of the pipelines directory holds pipelines, "
        "endpoints, middleware and backends.",
        bad=(File(MAIN, _WHOLE), File("pipelines/log.toml", '[log]\nlevel = "debug"\n')),
        good=(File(MAIN, '[log]\nlevel = "debug"\n'), File("pipelines/ct.toml", _WHOLE)),
    ),
    Rule(
        code="HRM-E123",
        title="option of the other role",
        template="`{key}` belongs to `{service}` as {role}; this is {other}",
        explanation="A service may exist in two roles with different options. `dicom` as a "
        "backend calls a peer and has `aet` and `host`; as an endpoint it listens and has "
        "`bind_addr`.",
        bad=_main(_PIPELINE + _WEB + _PACS.replace("{ ", '{ bind_addr = "127.0.0.1", ')),
        good=_main(_WHOLE),
    ),
    Rule(
        code="HRM-E124",
        title="service not available in this role",
        template="`{service}` cannot be used as {role}",
        explanation="The service exists, but not as what the file uses it for: it has only the "
        "other role, or this version does not have the role yet. A planned service may be "
        "defined; the error comes when a pipeline uses it.",
        bad=_main(_WHOLE.replace('service = "http"', 'service = "dicom"\noptions.local_aet="A"')),
        good=_main(_WHOLE),
    ),
    # L2: names and references
    Rule(
        code="HRM-E201",
        title="unknown name",
        template="unknown {kind} `{name}`",
        explanation="A pipeline names something that no file defines. All files of the "
        "configuration are searched, so it is misspelt or its definition is missing.",
        bad=_main(_PIPELINE.replace("pacs", "pcas") + _WEB + _PACS),
        good=_main(_WHOLE),
    ),
    Rule(
        code="HRM-E202",
        title="defined twice",
        template="{kind} `{name}` is already defined at {where}",
        explanation="Files are joined as a union; none overrides another. Remove or rename one "
        "of the two definitions.",
        bad=(File(MAIN, _WHOLE), File("pipelines/ct.toml", _PACS)),
        good=(File(MAIN, _PIPELINE + _WEB), File("pipelines/ct.toml", _PACS)),
    ),
    Rule(
        code="HRM-E203",
        title="wrong kind of thing",
        template="`{name}` is {found}, not {expected}",
        explanation="The name is defined, but as something else than this list takes.",
        bad=_main(_PIPELINE.replace('["web"]', '["web", "pacs"]') + _WEB + _PACS),
        good=_main(_WHOLE),
    ),
    Rule(
        code="HRM-W204",
        title="never used",
        template="{kind} `{name}` is never used",
        explanation="No pipeline names it, so it does nothing. Harmless, and often a sign that a "
        "pipeline has a name too few.",
        bad=_main(_WHOLE + _PACS.replace("[backends.pacs]", "[backends.archive]")),
        good=_main(_WHOLE),
    ),
    Rule(
        code="HRM-E205",
        title="pipeline without ends",
        template="pipeline `{name}` has no {what}",
        explanation="A pipeline leads from at least one endpoint to at least one backend.",
        bad=_main('[pipelines.bridge]\nendpoints = ["web"]\n\n' + _WEB),
        good=_main(_WHOLE),
    ),
    Rule(
        code="HRM-E206",
        title="endpoint in two pipelines",
        template="endpoint `{name}` is claimed by pipelines `{a}` and `{b}`",
        explanation="What an endpoint accepts goes into one pipeline. Define a second endpoint, "
        "or list both backends in one pipeline.",
        bad=_main(_WHOLE + _PIPELINE.replace("bridge", "second")),
        good=_main(_WHOLE),
    ),
    Rule(
        code="HRM-E207",
        title="not a name",
        template="`{name}` is not a name: lower-case letters, digits, `_`, `-`",
        explanation="Names appear in logs, metrics and commands, so they are plain: lower-case "
        "letters, digits, underscore and hyphen.",
        bad=_main(_WHOLE.replace("bridge", '"CT Bridge"')),
        good=_main(_WHOLE.replace("bridge", "ct-bridge")),
    ),
    # L2: DICOM
    Rule(
        code="HRM-E221",
        title="not an AE title",
        template="`{value}` is not an AE title: {reason}",
        explanation="An application entity title has 1 to 16 ASCII characters, none of them a "
        "backslash or a control character, and not only spaces (PS3.5 6.2).",
        bad=_main(_PIPELINE + _WEB + _PACS.replace("ORTHANC", "ORTHANC_IN_RADIOLOGY")),
        good=_main(_WHOLE),
    ),
    Rule(
        code="HRM-W222",
        title="unusual AE title",
        template="AE title `{value}` has {what}",
        explanation="Most peers compare titles letter by letter and most titles are upper case, "
        "so lower-case letters often are a mistake. Outer spaces do not count (PS3.5 6.2).",
        bad=_main(_PIPELINE + _WEB + _PACS.replace("ORTHANC", "Orthanc")),
        good=_main(_WHOLE),
    ),
    Rule(
        code="HRM-W223",
        title="same title on both sides",
        template="`aet` equals `local_aet`",
        explanation="`aet` is the peer's title, `local_aet` is the one that Harmony calls itself. "
        "A peer knows its callers by title, so each needs its own.",
        bad=_main(_PIPELINE + _WEB + _PACS.replace('"HARMONY"', '"ORTHANC"')),
        good=_main(_WHOLE),
    ),
    # L2: listeners and routes
    Rule(
        code="HRM-E241",
        title="address taken twice",
        template="{a} and {b} both listen on {where}",
        explanation="A port of an address has one listener. `0.0.0.0` stands for every IPv4 "
        "address and `::` may stand for all of both kinds. Defaults count: HTTP 8080, admin 9090.",
        bad=_main("[networks.default]\nhttp = { port = 9090 }\n\n" + _WHOLE),
        good=_main("[networks.default]\nhttp = { port = 8081 }\n\n" + _WHOLE),
    ),
    Rule(
        code="HRM-E242",
        title="path prefix taken twice",
        template="{a} and {b} share path prefix `{prefix}`",
        explanation="A request goes to the endpoint with the longest prefix that fits. Two "
        "endpoints with the same one on the same network leave no choice. `/` is the default.",
        bad=_main(
            _WHOLE.replace('endpoints = ["web"]', 'endpoints = ["web", "other"]')
            + '\n[endpoints.other]\nservice = "http"\n'
        ),
        good=_main(
            _WHOLE.replace('endpoints = ["web"]', 'endpoints = ["web", "other"]')
            + '\n[endpoints.other]\nservice = "http"\noptions = { path_prefix = "/other" }\n'
        ),
    ),
    Rule(
        code="HRM-E244",
        title="not a path prefix",
        template="path prefix `{value}` must start with `/`, without `//`, `..` or a final `/`",
        explanation="A prefix is compared with the beginning of the request's path. `/` alone "
        "takes every request. Blanks, `?`, `#`, `%` and backslashes cannot be in it.",
        bad=_main(_WHOLE.replace('"http"\n', '"http"\noptions = { path_prefix = "dicom/" }\n')),
        good=_main(_WHOLE.replace('"http"\n', '"http"\noptions = { path_prefix = "/dicom" }\n')),
    ),
    Rule(
        code="HRM-E246",
        title="not an address",
        template="`{value}` is not an address to bind",
        explanation="Harmony binds to an IP address of this machine and resolves no name for it: "
        "`127.0.0.1` admits this machine only, `0.0.0.0` and `::` listen on every interface.",
        bad=_main('[admin]\nbind_addr = "localhost"\n'),
        good=_main('[admin]\nbind_addr = "127.0.0.1"\n'),
    ),
)

RULES: Mapping[str, Rule] = MappingProxyType({rule.code: rule for rule in _ENTRIES})
